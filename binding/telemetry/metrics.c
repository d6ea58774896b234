#include "metrics.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int read_names(q5py_metrics *self) {
    Py_ssize_t count = PyTuple_GET_SIZE(self->names);
    self->routes = PyMem_Calloc((size_t)count, sizeof(*self->routes));
    if (!self->routes) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_ssize_t len;
        const char *text = PyUnicode_AsUTF8AndSize(PyTuple_GET_ITEM(self->names, i), &len);
        if (!text) return -1;
        self->routes[i] = q5_slice_make(text, (size_t)len);
    }
    return 0;
}

/* Pages are there once they are written to. */
static int map(q5py_metrics *self, uint32_t count, uint32_t slots) {
    self->size = q5_metrics_size(count, slots);
    if (!self->size) {
        PyErr_Format(PyExc_ValueError, "up to %d routes and %d processes", Q5_METRICS_ROUTES_MAX,
                     Q5_METRICS_SLOTS_MAX);
        return -1;
    }
    void *memory = mmap(NULL, self->size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        self->size = 0;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    q5_metrics_init(&self->metrics, memory, self->routes, count, slots);
    return 0;
}

static PyObject *metrics_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"names", "patterns", "by_text", "slots", NULL};
    PyObject *names, *patterns, *by_text;
    unsigned int slots;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O!O!I:Metrics", keywords, &PyTuple_Type,
                                     &names, &PyDict_Type, &patterns, &PyDict_Type, &by_text,
                                     &slots))
        return NULL;
    q5py_metrics *self = (q5py_metrics *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->names = Py_NewRef(names);
    self->patterns = Py_NewRef(patterns);
    self->by_text = Py_NewRef(by_text);
    if (read_names(self) || map(self, (uint32_t)PyTuple_GET_SIZE(names), slots)) Py_CLEAR(self);
    return (PyObject *)self;
}

static PyObject *metrics_claim(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_metrics *self = (q5py_metrics *)op;
    int64_t now = (int64_t)time(NULL) * 1000;
    int status = q5_metrics_claim(&self->metrics, (uint64_t)getpid(), now, &self->slot);
    self->claimed = status == Q5_OK;
    return PyBool_FromLong(self->claimed);
}

static PyObject *metrics_release(PyObject *op, PyObject *pid) {
    unsigned long long number = PyLong_AsUnsignedLongLong(pid);
    if (PyErr_Occurred()) return NULL;
    q5_metrics_release(&((q5py_metrics *)op)->metrics, number);
    Py_RETURN_NONE;
}

static PyObject *metrics_text(PyObject *op, PyObject *args) {
    int open = 0;
    if (!PyArg_ParseTuple(args, "|p:text", &open)) return NULL;
    q5_buf buf;
    q5_buf_init(&buf, NULL);
    int status = q5_metrics_write(&((q5py_metrics *)op)->metrics,
                                  open ? Q5_METRICS_OPENMETRICS : Q5_METRICS_TEXT, &buf);
    PyObject *text = status ? q5py_raise_status(status)
                            : PyBytes_FromStringAndSize(buf.base, (Py_ssize_t)buf.len);
    q5_buf_deinit(&buf);
    return text;
}

static PyObject *numbers(const uint64_t *values, size_t count) {
    PyObject *tuple = PyTuple_New((Py_ssize_t)count);
    for (size_t i = 0; tuple && i < count; i++) {
        PyObject *number = PyLong_FromUnsignedLongLong(values[i]);
        if (number)
            PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, number);
        else
            Py_CLEAR(tuple);
    }
    return tuple;
}

static int append_row(q5py_metrics *self, PyObject *list, uint32_t route, uint8_t method) {
    q5_metrics_row row;
    if (!q5_metrics_read(&self->metrics, self->slot, route, method, &row)) return 0;
    PyObject *item = Py_BuildValue(
        "(OsNNKKK)", PyTuple_GET_ITEM(self->names, route), q5_method_name((q5_method)method),
        numbers(row.classes, Q5_METRICS_CLASSES), numbers(row.buckets, Q5_METRICS_BUCKETS + 1),
        row.duration_usec, row.received, row.sent);
    int rc = item ? PyList_Append(list, item) : -1;
    Py_XDECREF(item);
    return rc;
}

static PyObject *metrics_rows(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_metrics *self = (q5py_metrics *)op;
    PyObject *list = PyList_New(0);
    for (uint32_t route = 0; list && route < self->metrics.route_count; route++)
        for (int method = 0; list && method < Q5_METHOD_COUNT; method++)
            if (append_row(self, list, route, (uint8_t)method)) Py_CLEAR(list);
    return list;
}

static int metrics_traverse(PyObject *op, visitproc visit, void *arg) {
    q5py_metrics *self = (q5py_metrics *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->patterns);
    Py_VISIT(self->by_text);
    return 0;
}

static void metrics_dealloc(PyObject *op) {
    q5py_metrics *self = (q5py_metrics *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    if (self->size) munmap(self->metrics.memory, self->size);
    PyMem_Free(self->routes);
    Py_XDECREF(self->names);
    Py_XDECREF(self->patterns);
    Py_XDECREF(self->by_text);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef metrics_methods[] = {
    {"claim", metrics_claim, METH_NOARGS,
     "claim() -> bool: a slot for this process. False: all are taken, nothing is counted."},
    {"release", metrics_release, METH_O, "release(pid): that process has ended"},
    {"text", metrics_text, METH_VARARGS, "text(openmetrics=False) -> bytes"},
    {"rows", metrics_rows, METH_NOARGS,
     "rows() -> list of (route, method, by class of status, by bucket, microseconds in all,\n"
     "bytes received, bytes sent): of this process and its predecessors in its slot"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot metrics_slots[] = {
    {Py_tp_doc,
     "Metrics(names, patterns, by_text, slots)\n\nCounters that are shared with processes forked\n"
     "from here. names: of routes; patterns, by_text: how those of Django's are found."},
    {Py_tp_new, metrics_new},
    {Py_tp_dealloc, metrics_dealloc},
    {Py_tp_traverse, metrics_traverse},
    {Py_tp_methods, metrics_methods},
    {0, NULL},
};

static PyType_Spec metrics_spec = {
    .name = "quintette._quintette.Metrics",
    .basicsize = sizeof(q5py_metrics),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = metrics_slots,
};

int q5py_init_metrics(PyObject *module, q5py_state *state) {
    state->metrics_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &metrics_spec, NULL);
    return state->metrics_type ? PyModule_AddType(module, state->metrics_type) : -1;
}
