#include "limit_table.h"

#include <sys/mman.h>
#include <time.h>

#define NSEC_PER_SEC UINT64_C(1000000000)

static q5_nsec now_nsec(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (q5_nsec)ts.tv_sec * NSEC_PER_SEC + (q5_nsec)ts.tv_nsec;
}

q5_limit_verdict q5py_limit_take(const q5py_limit_table *self, const q5_limit_rate *rate,
                                 uint64_t key) {
    return q5_limit_take(&self->table, rate, key, now_nsec());
}

/* Private memory is mapped, too: zeroed, aligned, and touched only where keys are. */
static PyObject *table_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"keys", "shared", NULL};
    unsigned int keys;
    int shared;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Ip:LimitTable", names, &keys, &shared))
        return NULL;
    if (keys == 0 || keys > Q5_LIMIT_KEYS_MAX)
        return PyErr_Format(PyExc_ValueError, "keys must be from 1 to %u", Q5_LIMIT_KEYS_MAX);
    q5py_limit_table *self = (q5py_limit_table *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    int sharing = shared ? MAP_SHARED : MAP_PRIVATE;
    self->size = q5_limit_table_size(keys);
    self->memory = mmap(NULL, self->size, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
    if (self->memory == MAP_FAILED) {
        self->memory = NULL;
        Py_DECREF(self);
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    self->table = q5_limit_table_make(self->memory, keys);
    return (PyObject *)self;
}

static void table_dealloc(PyObject *object) {
    q5py_limit_table *self = (q5py_limit_table *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (self->memory) munmap(self->memory, self->size);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot table_slots[] = {
    {Py_tp_doc,
     "LimitTable(keys, shared)\n\nMemory of 16 bytes for each of `keys` keys, shared with the\n"
     "processes forked from here or not."},
    {Py_tp_new, table_new},
    {Py_tp_dealloc, table_dealloc},
    {0, NULL},
};

static PyType_Spec table_spec = {
    .name = "_quintette.LimitTable",
    .basicsize = sizeof(q5py_limit_table),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = table_slots,
};

int q5py_init_limit_table(PyObject *module, q5py_state *state) {
    state->limit_table_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &table_spec, NULL);
    return state->limit_table_type ? PyModule_AddType(module, state->limit_table_type) : -1;
}
