/* _quintette.CsrfView: CsrfViewMiddleware.process_view. Safe methods and exempt views pass at once;
 * whatever is to be checked, Django checks. */
#include "middleware.h"

#include "convert.h"

typedef struct csrf_view {
    PyObject_HEAD q5py_state *state;
    PyObject *instance; /* owned: Django's middleware */
    PyObject *own;      /* owned or NULL: its process_view as the class had it */
} csrf_view;

static bool is_safe_method(PyObject *method) {
    return PyUnicode_Check(method) && (PyUnicode_CompareWithASCIIString(method, "GET") == 0 ||
                                       PyUnicode_CompareWithASCIIString(method, "HEAD") == 0 ||
                                       PyUnicode_CompareWithASCIIString(method, "OPTIONS") == 0 ||
                                       PyUnicode_CompareWithASCIIString(method, "TRACE") == 0);
}

/* 1: the request passes; 0: Django is to look; -1 with an exception. */
static int passes(csrf_view *self, PyObject *request, PyObject *callback) {
    q5py_state *state = self->state;
    if (!q5py_is_own(Py_TYPE(self->instance), state->str_process_view, self->own)) return 0;
    int done = q5py_flag_of(request, state->str_csrf_processing_done);
    if (done) return done;
    int exempt = q5py_flag_of(callback, state->str_csrf_exempt);
    if (exempt) return exempt;
    PyObject *method = PyObject_GetAttr(request, state->str_method);
    if (!method) return -1;
    bool safe = is_safe_method(method);
    Py_DECREF(method);
    if (!safe) return 0;
    return PyObject_SetAttr(request, state->str_csrf_processing_done, Py_True) ? -1 : 1;
}

static PyObject *view_passes(PyObject *object, PyObject *args) {
    PyObject *request, *callback;
    if (!PyArg_ParseTuple(args, "OO:passes", &request, &callback)) return NULL;
    int rc = passes((csrf_view *)object, request, callback);
    return rc < 0 ? NULL : PyBool_FromLong(rc);
}

static PyObject *view_call(PyObject *object, PyObject *args, PyObject *kwargs) {
    csrf_view *self = (csrf_view *)object;
    if (PyTuple_GET_SIZE(args) >= 2) {
        int rc = passes(self, PyTuple_GET_ITEM(args, 0), PyTuple_GET_ITEM(args, 1));
        if (rc < 0) return NULL;
        if (rc) Py_RETURN_NONE;
    }
    PyObject *method = PyObject_GetAttr(self->instance, self->state->str_process_view);
    PyObject *response = method ? PyObject_Call(method, args, kwargs) : NULL;
    Py_XDECREF(method);
    return response;
}

static PyObject *view_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"instance", NULL};
    PyObject *instance;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:CsrfView", names, &instance)) return NULL;
    csrf_view *self = (csrf_view *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->state = q5py_state_of_type(type);
    self->instance = Py_NewRef(instance);
    self->own = Py_XNewRef(_PyType_Lookup(Py_TYPE(instance), self->state->str_process_view));
    return (PyObject *)self;
}

static int view_traverse(PyObject *object, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((csrf_view *)object)->instance);
    return 0;
}

static int view_clear(PyObject *object) {
    Py_CLEAR(((csrf_view *)object)->instance);
    Py_CLEAR(((csrf_view *)object)->own);
    return 0;
}

static void view_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    view_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef view_methods[] = {
    {"passes", view_passes, METH_VARARGS,
     "passes(request, callback) -> bool\n\nFalse: process_view() is to look."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot view_slots[] = {
    {Py_tp_doc, "CsrfViewMiddleware.process_view(request, callback, args, kwargs)."},
    {Py_tp_new, view_new},
    {Py_tp_call, view_call},
    {Py_tp_traverse, view_traverse},
    {Py_tp_clear, view_clear},
    {Py_tp_dealloc, view_dealloc},
    {Py_tp_methods, view_methods},
    {0, NULL},
};

static PyType_Spec view_spec = {
    .name = "_quintette.CsrfView",
    .basicsize = sizeof(csrf_view),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = view_slots,
};

int q5py_init_csrf_view(PyObject *module, q5py_state *state) {
    state->csrf_view_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &view_spec, NULL);
    return state->csrf_view_type ? PyModule_AddType(module, state->csrf_view_type) : -1;
}
