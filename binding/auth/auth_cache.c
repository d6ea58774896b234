/* _quintette.AuthCache: what credentials were verified lately, by a digest of them. Entries are
 * bounded in number and age; what was refused is not kept. Comparing digests of secrets tells
 * nothing about the secrets, however long it takes. */
#include "auth.h"

#include "loop/now.h"

typedef struct auth_cache {
    PyObject_HEAD PyObject *entries; /* owned dict: digest -> (deadline, value), oldest first */
    Py_ssize_t size_max;
} auth_cache;

/* The entry, borrowed; NULL without an exception when there is none, or none any more. */
static PyObject *find(auth_cache *self, PyObject *digest) {
    PyObject *entry = PyDict_GetItemWithError(self->entries, digest);
    if (!entry) return NULL;
    if (PyFloat_AS_DOUBLE(PyTuple_GET_ITEM(entry, 0)) > q5py_now_seconds()) return entry;
    PyDict_DelItem(self->entries, digest);
    return NULL;
}

PyObject *q5py_auth_cache_get(PyObject *cache, PyObject *digest) {
    PyObject *entry = find((auth_cache *)cache, digest);
    return entry ? Py_NewRef(PyTuple_GET_ITEM(entry, 1)) : NULL;
}

static PyObject *cache_get(PyObject *object, PyObject *digest) {
    PyObject *value = q5py_auth_cache_get(object, digest);
    if (value || PyErr_Occurred()) return value;
    Py_RETURN_NONE;
}

static int make_room(auth_cache *self) {
    while (PyDict_GET_SIZE(self->entries) >= self->size_max) {
        Py_ssize_t at = 0;
        PyObject *oldest, *value;
        if (!PyDict_Next(self->entries, &at, &oldest, &value)) return 0;
        Py_INCREF(oldest);
        int rc = PyDict_DelItem(self->entries, oldest);
        Py_DECREF(oldest);
        if (rc) return -1;
    }
    return 0;
}

static PyObject *cache_put(PyObject *object, PyObject *args) {
    auth_cache *self = (auth_cache *)object;
    PyObject *digest, *value;
    double seconds;
    if (!PyArg_ParseTuple(args, "SOd:put", &digest, &value, &seconds)) return NULL;
    /* Anew, so that the oldest stay in front. */
    if (PyDict_GetItemWithError(self->entries, digest) && PyDict_DelItem(self->entries, digest))
        return NULL;
    if (PyErr_Occurred() || make_room(self)) return NULL;
    PyObject *entry = Py_BuildValue("(dO)", q5py_now_seconds() + seconds, value);
    int rc = entry ? PyDict_SetItem(self->entries, digest, entry) : -1;
    Py_XDECREF(entry);
    if (rc) return NULL;
    Py_RETURN_NONE;
}

static PyObject *cache_drop(PyObject *object, PyObject *digest) {
    auth_cache *self = (auth_cache *)object;
    int known = PyDict_Contains(self->entries, digest);
    if (known < 0 || (known && PyDict_DelItem(self->entries, digest))) return NULL;
    Py_RETURN_NONE;
}

static PyObject *cache_clear_all(PyObject *object, PyObject *unused) {
    (void)unused;
    PyDict_Clear(((auth_cache *)object)->entries);
    Py_RETURN_NONE;
}

static Py_ssize_t cache_len(PyObject *object) {
    return PyDict_GET_SIZE(((auth_cache *)object)->entries);
}

static PyObject *cache_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"size_max", NULL};
    Py_ssize_t size_max;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "n:AuthCache", names, &size_max)) return NULL;
    if (size_max < 1) {
        PyErr_SetString(PyExc_ValueError, "a cache holds one entry at least");
        return NULL;
    }
    auth_cache *self = (auth_cache *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->size_max = size_max;
    if (!(self->entries = PyDict_New())) Py_CLEAR(self);
    return (PyObject *)self;
}

static int cache_traverse(PyObject *object, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((auth_cache *)object)->entries);
    return 0;
}

/* The dict stays: every method needs it. */
static int cache_tp_clear(PyObject *object) {
    PyObject *entries = ((auth_cache *)object)->entries;
    if (entries) PyDict_Clear(entries);
    return 0;
}

static void cache_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    Py_CLEAR(((auth_cache *)object)->entries);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef cache_methods[] = {
    {"get", cache_get, METH_O, "get(digest) -> the value, or None"},
    {"put", cache_put, METH_VARARGS, "put(digest, value, seconds)\n\nIn the oldest one's place."},
    {"drop", cache_drop, METH_O, "drop(digest)"},
    {"clear", cache_clear_all, METH_NOARGS, "clear()"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot cache_slots[] = {
    {Py_tp_doc, "AuthCache(size_max)\n\nWhat was verified lately, by a digest (bytes)."},
    {Py_tp_new, cache_new},
    {Py_tp_traverse, cache_traverse},
    {Py_tp_clear, cache_tp_clear},
    {Py_tp_dealloc, cache_dealloc},
    {Py_tp_methods, cache_methods},
    {Py_mp_length, cache_len},
    {0, NULL},
};

static PyType_Spec cache_spec = {
    .name = "_quintette.AuthCache",
    .basicsize = sizeof(auth_cache),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = cache_slots,
};

int q5py_init_auth_cache(PyObject *module, q5py_state *state) {
    state->auth_cache_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &cache_spec, NULL);
    return state->auth_cache_type ? PyModule_AddType(module, state->auth_cache_type) : -1;
}
