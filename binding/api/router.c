#include "router.h"

#include "convert.h"

/* A custom converter's context; the address must stay put, so each has its own allocation. */
typedef struct q5py_custom {
    PyObject *accepts; /* owned; str -> truth value */
    struct q5py_custom *next;
} q5py_custom;

typedef struct q5py_router {
    PyObject_HEAD q5_router *router;
    PyObject *routes; /* owned list: keeps alive what the router points to */
    q5py_custom *customs;
    bool frozen;
} q5py_router;

const q5_router *q5py_router_freeze(PyObject *self) {
    ((q5py_router *)self)->frozen = true;
    return ((q5py_router *)self)->router;
}

static PyObject *router_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    if (PyTuple_GET_SIZE(args) || (kwargs && PyDict_GET_SIZE(kwargs)))
        return PyErr_Format(PyExc_TypeError, "Router takes no arguments");
    q5py_router *self = (q5py_router *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->routes = PyList_New(0);
    self->router = q5_router_create(NULL);
    if (self->routes && self->router) return (PyObject *)self;
    if (self->routes) PyErr_NoMemory();
    Py_DECREF(self);
    return NULL;
}

/* ---- building -------------------------------------------------------------------------------- */

static int check_building(const q5py_router *self) {
    if (!self->frozen) return 0;
    PyErr_SetString(PyExc_RuntimeError, "the router is in use");
    return -1;
}

PyDoc_STRVAR(add_doc,
             "add(method, pattern, route)\n\n"
             "Adds a route, a Plan or what else the server knows, under a pattern in Django's\n"
             "spelling with a leading slash. Method None: any. HEAD is answered by GET's. Raises\n"
             "ValueError for a pattern that is malformed or taken.");

static PyObject *router_add(PyObject *object, PyObject *args) {
    q5py_router *self = (q5py_router *)object;
    const char *method, *pattern;
    Py_ssize_t method_len, pattern_len;
    PyObject *route;
    if (!PyArg_ParseTuple(args, "z#s#O:add", &method, &method_len, &pattern, &pattern_len, &route))
        return NULL;
    if (check_building(self) < 0) return NULL;
    q5_method id =
        method ? q5_method_find(q5_slice_make(method, (size_t)method_len)) : Q5_METHOD_OTHER;
    if (method && id == Q5_METHOD_OTHER)
        return PyErr_Format(PyExc_ValueError, "unknown method: %s", method);
    if (PyList_Append(self->routes, route) < 0) return NULL;
    size_t error = 0;
    int status =
        q5_router_add(self->router, id, q5_slice_make(pattern, (size_t)pattern_len), route, &error);
    if (status == Q5_OK) Py_RETURN_NONE;
    Py_ssize_t count = PyList_GET_SIZE(self->routes);
    if (PyList_SetSlice(self->routes, count - 1, count, NULL) < 0) return NULL;
    if (status != Q5_EROUTE) return q5py_raise_status(status);
    return PyErr_Format(PyExc_ValueError, "%s (at offset %zu of %s %s)", q5_status_text(status),
                        error, method ? method : "*", pattern);
}

PyDoc_STRVAR(
    add_view_doc,
    "add_view(pattern, sync=0)\n\n"
    "Requests for this path, whatever their method, are answered by a Django view: an\n"
    "asynchronous one, which is the server's django_async's, or, with sync, a synchronous\n"
    "one that shall run in a thread (1), a greenlet (2) or inline (3). Raises ValueError\n"
    "as add() does.");

static PyObject *router_add_view(PyObject *object, PyObject *args) {
    q5py_router *self = (q5py_router *)object;
    Py_ssize_t len;
    const char *pattern;
    int sync = Q5PY_SYNC_DEFAULT;
    if (!PyArg_ParseTuple(args, "s#|i", &pattern, &len, &sync) || check_building(self) < 0)
        return NULL;
    if (sync < Q5PY_SYNC_DEFAULT || sync > Q5PY_SYNC_INLINE) {
        PyErr_SetString(PyExc_ValueError, "sync must be from 0 to 3");
        return NULL;
    }
    size_t error = 0;
    /* A route that is no plan: a small integer, which is there for ever. */
    PyObject *route = PyLong_FromLong(sync);
    if (!route) return NULL;
    int status = q5_router_add(self->router, Q5_METHOD_OTHER, q5_slice_make(pattern, (size_t)len),
                               route, &error);
    Py_DECREF(route);
    if (status == Q5_OK) Py_RETURN_NONE;
    if (status != Q5_EROUTE) return q5py_raise_status(status);
    return PyErr_Format(PyExc_ValueError, "%s (at offset %zu of %s)", q5_status_text(status), error,
                        pattern);
}

/* Runs under the GIL, as q5_router_match does here. An exception is nobody's to handle. */
static bool custom_accepts(void *ctx, q5_slice segment) {
    const q5py_custom *custom = ctx;
    PyObject *text = q5py_str(segment);
    PyObject *answer = text ? PyObject_CallOneArg(custom->accepts, text) : NULL;
    int accepted = answer ? PyObject_IsTrue(answer) : -1;
    if (accepted < 0) {
        if (PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
            PyErr_Clear();
        else
            PyErr_WriteUnraisable(custom->accepts);
    }
    Py_XDECREF(text);
    Py_XDECREF(answer);
    return accepted > 0;
}

PyDoc_STRVAR(add_converter_doc,
             "add_converter(name, accepts)\n\n"
             "Names a custom converter; accepts is called with the segment as sent, still\n"
             "percent-encoded, and tells whether it matches.");

static PyObject *router_add_converter(PyObject *object, PyObject *args) {
    q5py_router *self = (q5py_router *)object;
    const char *name;
    Py_ssize_t len;
    PyObject *accepts;
    if (!PyArg_ParseTuple(args, "s#O:add_converter", &name, &len, &accepts)) return NULL;
    if (check_building(self) < 0) return NULL;
    q5py_custom *custom = PyMem_Calloc(1, sizeof(*custom));
    if (!custom) return PyErr_NoMemory();
    int status = q5_router_add_converter(self->router, q5_slice_make(name, (size_t)len),
                                         custom_accepts, custom);
    if (status != Q5_OK) {
        PyMem_Free(custom);
        return q5py_raise_status(status);
    }
    custom->accepts = Py_NewRef(accepts);
    custom->next = self->customs;
    self->customs = custom;
    Py_RETURN_NONE;
}

/* ---- matching -------------------------------------------------------------------------------- */

static PyObject *match_params(const q5_route_match *match) {
    PyObject *params = PyTuple_New(match->param_count);
    if (!params) return NULL;
    for (uint8_t i = 0; i < match->param_count; i++) {
        q5_slice value = match->params[i].value;
        PyObject *bytes = PyBytes_FromStringAndSize(value.base, (Py_ssize_t)value.len);
        if (!bytes) {
            Py_DECREF(params);
            return NULL;
        }
        PyTuple_SET_ITEM(params, i, bytes);
    }
    return params;
}

PyDoc_STRVAR(match_doc,
             "match(method, path) -> (route, params) | None\n\n"
             "The route of a path (bytes, percent-encoded) and its parameters as sent. For tests\n"
             "and other hosts: the server matches without Python.");

static PyObject *router_match(PyObject *object, PyObject *args) {
    q5py_router *self = (q5py_router *)object;
    const char *method, *path;
    Py_ssize_t method_len, path_len;
    q5_route_match match;
    if (!PyArg_ParseTuple(args, "s#y#:match", &method, &method_len, &path, &path_len)) return NULL;
    q5_method id = q5_method_find(q5_slice_make(method, (size_t)method_len));
    int status = q5_router_match(self->router, id, q5_slice_make(path, (size_t)path_len), &match);
    if (status != Q5_OK) Py_RETURN_NONE;
    PyObject *params = match_params(&match);
    return params ? Py_BuildValue("(ON)", (PyObject *)match.route, params) : NULL;
}

/* ---- the type -------------------------------------------------------------------------------- */

static int router_traverse(PyObject *object, visitproc visit, void *arg) {
    q5py_router *self = (q5py_router *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->routes);
    for (q5py_custom *custom = self->customs; custom; custom = custom->next)
        Py_VISIT(custom->accepts);
    return 0;
}

/* The router goes with the routes: it points to them. */
static int router_clear(PyObject *object) {
    q5py_router *self = (q5py_router *)object;
    q5_router_destroy(self->router);
    self->router = NULL;
    Py_CLEAR(self->routes);
    while (self->customs) {
        q5py_custom *custom = self->customs;
        self->customs = custom->next;
        Py_XDECREF(custom->accepts);
        PyMem_Free(custom);
    }
    return 0;
}

static void router_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    router_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static Py_ssize_t router_length(PyObject *object) {
    return PyList_GET_SIZE(((q5py_router *)object)->routes);
}

static PyMethodDef router_methods[] = {
    {"add", router_add, METH_VARARGS, add_doc},
    {"add_view", router_add_view, METH_VARARGS, add_view_doc},
    {"add_converter", router_add_converter, METH_VARARGS, add_converter_doc},
    {"match", router_match, METH_VARARGS, match_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot router_slots[] = {
    {Py_tp_doc, "Routes that are answered without Django."},
    {Py_tp_new, router_new},
    {Py_tp_traverse, router_traverse},
    {Py_tp_clear, router_clear},
    {Py_tp_dealloc, router_dealloc},
    {Py_tp_methods, router_methods},
    {Py_sq_length, router_length},
    {0, NULL},
};

static PyType_Spec router_spec = {
    .name = "_quintette.Router",
    .basicsize = sizeof(q5py_router),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = router_slots,
};

int q5py_init_router(PyObject *module, q5py_state *state) {
    state->router_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &router_spec, NULL);
    if (!state->router_type) return -1;
    return PyModule_AddType(module, state->router_type);
}
