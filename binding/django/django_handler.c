/* _quintette.DjangoHandler: the base of the handlers, in front of Django's BaseHandler. Its methods
 * are BaseHandler's in C; where those have been replaced by somebody, the replacements are called.
 */
#include "django.h"

#include "convert.h"

typedef struct handler {
    PyObject_HEAD q5py_state *state;
} handler;

static q5py_state *state_of(PyObject *op) {
    q5py_state *state = ((handler *)op)->state;
    if (!state->django) PyErr_SetString(PyExc_RuntimeError, "set_django() has not been called");
    return state->django ? state : NULL;
}

/* True: BaseHandler's method of that name is Django's. */
static bool is_djangos(q5py_state *state, PyObject *name, PyObject *own) {
    return q5py_is_own((PyTypeObject *)state->django->base_handler, name, own);
}

static PyObject *call_base(q5py_state *state, PyObject *name, PyObject *self, PyObject *request) {
    PyObject *args[3] = {state->django->base_handler, self, request};
    return PyObject_VectorcallMethod(name, args, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

/* ---- _get_response --------------------------------------------------------------------------- */

static PyObject *handler__get_response(PyObject *self, PyObject *request) {
    q5py_state *state = state_of(self);
    if (!state) return NULL;
    if (!is_djangos(state, state->str__get_response, state->django->handler__get_response))
        return call_base(state, state->str__get_response, self, request);
    return q5py_view_response(state, self, request);
}

PyObject *q5py_handler_response(PyObject *self, PyObject *request) {
    q5py_state *state = ((handler *)self)->state;
    PyObject *ours = _PyType_Lookup(state->django_handler_type, state->str__get_response);
    if (q5py_is_own(Py_TYPE(self), state->str__get_response, ours))
        return handler__get_response(self, request);
    return PyObject_CallMethodOneArg(self, state->str__get_response, request);
}

static PyObject *handler_resolve_request(PyObject *self, PyObject *request) {
    q5py_state *state = state_of(self);
    if (!state) return NULL;
    if (!is_djangos(state, state->str_resolve_request, state->django->handler_resolve_request))
        return call_base(state, state->str_resolve_request, self, request);
    q5py_target to;
    if (q5py_resolve_request(state, request, &to)) return NULL;
    return Py_BuildValue("(NNN)", to.callback, to.args, to.kwargs);
}

/* ---- get_response ---------------------------------------------------------------------------- */

static int set_default_urlconf(q5py_state *state) {
    PyObject *urlconf = q5py_setting(state, state->str_ROOT_URLCONF);
    int rc = urlconf ? q5py_set_urlconf(state, urlconf) : -1;
    Py_XDECREF(urlconf);
    return rc;
}

static int close_request_with(q5py_state *state, PyObject *response, PyObject *request) {
    PyObject *closers = PyObject_GetAttr(response, state->str__resource_closers);
    PyObject *closer = closers ? PyObject_GetAttr(request, state->str_close) : NULL;
    int rc = -1;
    if (closer && PyList_CheckExact(closers)) {
        rc = PyList_Append(closers, closer);
    } else if (closer) {
        PyObject *done = PyObject_CallMethod(closers, "append", "O", closer);
        rc = done ? 0 : -1;
        Py_XDECREF(done);
    }
    Py_XDECREF(closers);
    Py_XDECREF(closer);
    return rc;
}

static int log_error(q5py_state *state, PyObject *response, PyObject *request) {
    PyObject *reason = PyObject_GetAttrString(response, "reason_phrase");
    PyObject *path = reason ? PyObject_GetAttrString(request, "path") : NULL;
    PyObject *args = path ? Py_BuildValue("(sOO)", "%s: %s", reason, path) : NULL;
    PyObject *kwargs =
        args ? Py_BuildValue("{sOsO}", "response", response, "request", request) : NULL;
    PyObject *done = kwargs ? PyObject_Call(state->django->log_response, args, kwargs) : NULL;
    Py_XDECREF(reason);
    Py_XDECREF(path);
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* 1, 0, or -1 with an exception. */
static int is_error(q5py_state *state, PyObject *response) {
    PyObject *status = PyObject_GetAttr(response, state->str_status_code);
    long number = status ? PyLong_AsLong(status) : -1;
    Py_XDECREF(status);
    return number == -1 && PyErr_Occurred() ? -1 : number >= 400;
}

static PyObject *respond(q5py_state *state, PyObject *self, PyObject *request) {
    if (set_default_urlconf(state)) return NULL;
    PyObject *chain = PyObject_GetAttr(self, state->str__middleware_chain);
    PyObject *response = chain ? PyObject_CallOneArg(chain, request) : NULL;
    Py_XDECREF(chain);
    if (!response) return NULL;
    int error = close_request_with(state, response, request) ? -1 : is_error(state, response);
    if (error > 0 && log_error(state, response, request)) error = -1;
    if (error < 0) Py_CLEAR(response);
    return response;
}

static PyObject *handler_get_response(PyObject *self, PyObject *request) {
    q5py_state *state = state_of(self);
    if (!state) return NULL;
    if (!is_djangos(state, state->str_get_response, state->django->handler_get_response))
        return call_base(state, state->str_get_response, self, request);
    return respond(state, self, request);
}

/* ---- the handler itself ---------------------------------------------------------------------- */

/* Of a FileResponse that did not choose a size: what suits a server better. */
static int set_block_size(q5py_state *state, PyObject *response) {
    q5py_django *django = state->django;
    if (!PyObject_TypeCheck(response, (PyTypeObject *)django->file_response_class)) return 0;
    PyObject *usual = PyObject_GetAttrString(django->file_response_class, "block_size");
    PyObject *size = usual ? PyObject_GetAttrString(response, "block_size") : NULL;
    int same = size ? PyObject_RichCompareBool(size, usual, Py_EQ) : -1;
    Py_XDECREF(usual);
    Py_XDECREF(size);
    if (same > 0) same = PyObject_SetAttrString(response, "block_size", django->file_block_size);
    return same < 0 ? -1 : 0;
}

/* A broken error page, or DEBUG_PROPAGATE_EXCEPTIONS: the server answers 500. With the exception
 * being handled meanwhile, and set again afterwards. */
static void finish_without(q5py_state *state, PyObject *sender, PyObject *request) {
    PyObject *error = q5py_exception_take(), *handled = PyErr_GetHandledException();
    PyErr_SetHandledException(error);
    PyObject *done = PyObject_CallMethodNoArgs(request, state->str_close);
    int rc = done ? q5py_send_finished(state, sender) : -1;
    PyErr_SetHandledException(handled);
    Py_XDECREF(handled);
    Py_XDECREF(done);
    if (rc) /* that exception has this one as its context */
        Py_DECREF(error);
    else
        q5py_exception_set(error);
}

static PyObject *handler_call(PyObject *self, PyObject *args, PyObject *kwargs) {
    PyObject *request;
    q5py_state *state = state_of(self);
    if (!state) return NULL;
    if (kwargs && PyDict_GET_SIZE(kwargs)) {
        PyErr_SetString(PyExc_TypeError, "a handler takes a request");
        return NULL;
    }
    if (!PyArg_UnpackTuple(args, "handler", 1, 1, &request)) return NULL;
    PyObject *sender = (PyObject *)Py_TYPE(self);
    if (q5py_set_script_prefix(state) || q5py_send_started(state, sender, request)) return NULL;
    PyObject *response = PyObject_CallMethodOneArg(self, state->str_get_response, request);
    if (!response) {
        finish_without(state, sender, request);
        return NULL;
    }
    if (PyObject_SetAttr(response, state->str__handler_class, sender) ||
        set_block_size(state, response))
        Py_CLEAR(response);
    return response;
}

/* ---- the type -------------------------------------------------------------------------------- */

static PyObject *handler_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)args;
    (void)kwargs;
    PyObject *self = type->tp_alloc(type, 0);
    if (self) ((handler *)self)->state = q5py_state_of_type(type);
    return self;
}

static int handler_traverse(PyObject *op, visitproc visit, void *arg) {
    (void)arg;
    Py_VISIT(Py_TYPE(op));
    return 0;
}

static void handler_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef handler_methods[] = {
    {"get_response", handler_get_response, METH_O, "BaseHandler.get_response"},
    {"_get_response", handler__get_response, METH_O, "BaseHandler._get_response"},
    {"resolve_request", handler_resolve_request, METH_O,
     "BaseHandler.resolve_request, but for the result, which is the three values alone"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot handler_slots[] = {
    {Py_tp_doc, "Django's BaseHandler in C: a base class to put in front of it. Calling a handler\n"
                "with a request sends request_started and gives the response, which is to be\n"
                "closed."},
    {Py_tp_new, handler_new},
    {Py_tp_dealloc, handler_dealloc},
    {Py_tp_traverse, handler_traverse},
    {Py_tp_call, handler_call},
    {Py_tp_methods, handler_methods},
    {0, NULL},
};

static PyType_Spec handler_spec = {
    .name = "quintette._quintette.DjangoHandler",
    .basicsize = sizeof(handler),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = handler_slots,
};

int q5py_init_django_handler(PyObject *module, q5py_state *state) {
    state->django_handler_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &handler_spec, NULL);
    return state->django_handler_type ? PyModule_AddType(module, state->django_handler_type) : -1;
}
