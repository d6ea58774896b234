/* The type _quintette.SyncCall: to whoever steps it, a coroutine. What a step does is in
 * greenlets.c. */
#include "sync_call_internal.h"

#include <pythread.h>

#include "convert.h"

/* ---- the methods of a coroutine -------------------------------------------------------------- */

static int check_usable(q5py_sync_call *self) {
    if (!self->stepping && !(self->ended && !self->greenlet)) {
        if (!self->started || self->thread_id == PyThread_get_thread_ident()) return 0;
        PyErr_SetString(PyExc_RuntimeError, "a call in a greenlet belongs to its thread");
        return -1;
    }
    PyErr_SetString(PyExc_RuntimeError, self->stepping ? "the call is being stepped already"
                                                       : "cannot reuse an awaited call");
    return -1;
}

static PySendResult sync_call_send(PyObject *op, PyObject *value, PyObject **ret) {
    (void)value;
    q5py_sync_call *self = (q5py_sync_call *)op;
    *ret = NULL;
    return check_usable(self) ? PYGEN_ERROR : q5py_sync_call_step(self, ret);
}

static PyObject *sync_call_next(PyObject *op) {
    PyObject *value;
    PySendResult sent = sync_call_send(op, Py_None, &value);
    return q5py_next_of(sent, value);
}

static PyObject *sync_call_send_method(PyObject *op, PyObject *value) {
    (void)value;
    return sync_call_next(op);
}

static PyObject *throw_in(q5py_sync_call *self, PyObject *exception) {
    PyObject *value = NULL;
    if (check_usable(self)) return NULL;
    if (!self->started) {
        self->started = self->ended = true;
        q5py_exception_set(Py_NewRef(exception));
        return NULL;
    }
    Py_XSETREF(self->thrown, Py_NewRef(exception));
    PySendResult sent = q5py_sync_call_step(self, &value);
    return q5py_next_of(sent, value);
}

/* As a generator's: throw(type, value, traceback) is the older form. */
static PyObject *sync_call_throw(PyObject *op, PyObject *const *args, Py_ssize_t nargs) {
    if (nargs < 1 || nargs > 3) {
        PyErr_SetString(PyExc_TypeError, "throw() takes from 1 to 3 arguments");
        return NULL;
    }
    PyObject *value = nargs > 1 && args[1] != Py_None ? args[1] : NULL;
    PyObject *exception = PyType_Check(args[0])
                              ? (value && PyExceptionInstance_Check(value)
                                     ? Py_NewRef(value)
                                     : PyObject_CallFunctionObjArgs(args[0], value, NULL))
                              : Py_NewRef(args[0]);
    if (!exception) return NULL;
    PyObject *result = NULL;
    if (PyExceptionInstance_Check(exception))
        result = throw_in((q5py_sync_call *)op, exception);
    else
        PyErr_SetString(PyExc_TypeError, "exceptions must derive from BaseException");
    Py_DECREF(exception);
    return result;
}

/* Unwinds the code at its wait; what it wants to wait for meanwhile is refused. */
static int close_call(q5py_sync_call *self) {
    if (!self->started) self->started = self->ended = true;
    if (!self->greenlet || self->stepping) return 0;
    self->closing = true;
    PyObject *exit = PyObject_CallNoArgs(PyExc_GeneratorExit);
    PyObject *value = exit ? throw_in(self, exit) : NULL;
    Py_XDECREF(exit);
    if (value || PyErr_ExceptionMatches(PyExc_StopIteration) ||
        PyErr_ExceptionMatches(PyExc_GeneratorExit)) {
        Py_XDECREF(value);
        PyErr_Clear();
        return 0;
    }
    return -1;
}

static PyObject *sync_call_close(PyObject *op, PyObject *unused) {
    (void)unused;
    if (((q5py_sync_call *)op)->stepping) {
        PyErr_SetString(PyExc_ValueError, "the call is being stepped");
        return NULL;
    }
    if (close_call((q5py_sync_call *)op)) return NULL;
    Py_RETURN_NONE;
}

/* ---- calling Python -------------------------------------------------------------------------- */

static PyObject *call_python(void *arg) {
    q5py_sync_call *self = arg;
    PyObject *func = self->func, *args = self->args, *kwargs = self->kwargs;
    self->func = self->args = self->kwargs = NULL;
    PyObject *result = PyObject_Call(func, args, kwargs);
    Py_DECREF(func);
    Py_DECREF(args);
    Py_XDECREF(kwargs);
    return result;
}

static q5py_sync_call *sync_call_alloc(q5py_state *state, PyObject *(*body)(void *), void *arg) {
    q5py_sync_call *self =
        (q5py_sync_call *)state->sync_call_type->tp_alloc(state->sync_call_type, 0);
    if (!self) return NULL;
    self->module = state;
    self->body = body;
    self->arg = arg ? arg : self;
    return self;
}

PyObject *q5py_sync_call_new(q5py_state *state, PyObject *(*body)(void *), void *arg,
                             bool stands_still) {
    q5py_sync_call *self = sync_call_alloc(state, body, arg);
    if (self) self->stands_still = stands_still;
    return (PyObject *)self;
}

static PyObject *sync_call_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    if (PyTuple_GET_SIZE(args) < 1 || !PyCallable_Check(PyTuple_GET_ITEM(args, 0))) {
        PyErr_SetString(PyExc_TypeError, "SyncCall(func, *args, **kwargs): a callable is needed");
        return NULL;
    }
    q5py_sync_call *self = sync_call_alloc(q5py_state_of_type(type), call_python, NULL);
    if (!self) return NULL;
    self->func = Py_NewRef(PyTuple_GET_ITEM(args, 0));
    self->kwargs = Py_XNewRef(kwargs);
    self->args = PyTuple_GetSlice(args, 1, PyTuple_GET_SIZE(args));
    if (!self->args) Py_CLEAR(self);
    return (PyObject *)self;
}

/* ---- the type -------------------------------------------------------------------------------- */

static int sync_call_traverse(PyObject *op, visitproc visit, void *arg) {
    q5py_sync_call *self = (q5py_sync_call *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->func);
    Py_VISIT(self->args);
    Py_VISIT(self->kwargs);
    Py_VISIT(self->awaited);
    Py_VISIT(self->thrown);
    Py_VISIT(self->result);
    Py_VISIT(self->exception);
    return 0;
}

static int sync_call_clear(PyObject *op) {
    q5py_sync_call *self = (q5py_sync_call *)op;
    Py_CLEAR(self->func);
    Py_CLEAR(self->args);
    Py_CLEAR(self->kwargs);
    Py_CLEAR(self->awaited);
    Py_CLEAR(self->thrown);
    Py_CLEAR(self->result);
    Py_CLEAR(self->exception);
    return 0;
}

/* Like a coroutine that nobody steps any more, it is closed. In another thread that is impossible:
 * greenlet then unwinds it when its own thread comes by. */
static void sync_call_finalize(PyObject *op) {
    q5py_sync_call *self = (q5py_sync_call *)op;
    PyObject *error = q5py_exception_take();
    if (self->greenlet && self->thread_id == PyThread_get_thread_ident() && close_call(self))
        PyErr_WriteUnraisable(op);
    if (error) q5py_exception_set(error);
}

static void sync_call_dealloc(PyObject *op) {
    q5py_sync_call *self = (q5py_sync_call *)op;
    PyTypeObject *type = Py_TYPE(op);
    if (self->greenlet && PyObject_CallFinalizerFromDealloc(op)) return;
    PyObject_GC_UnTrack(op);
    Py_CLEAR(self->waiting);
    if (self->greenlet) q5py_greenlet_orphan(self->greenlet);
    sync_call_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef sync_call_methods[] = {
    {"send", sync_call_send_method, METH_O, "send(None)"},
    {"throw", (PyCFunction)(void (*)(void))sync_call_throw, METH_FASTCALL, "throw(exception)"},
    {"close", sync_call_close, METH_NOARGS, "close()"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot sync_call_slots[] = {
    {Py_tp_doc, "SyncCall(func, *args, **kwargs)\n\nAn awaitable that runs func in a greenlet."},
    {Py_tp_new, sync_call_new},
    {Py_tp_dealloc, sync_call_dealloc},
    {Py_tp_finalize, sync_call_finalize},
    {Py_tp_traverse, sync_call_traverse},
    {Py_tp_clear, sync_call_clear},
    {Py_tp_methods, sync_call_methods},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, sync_call_next},
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, sync_call_send},
    {0, NULL},
};

static PyType_Spec sync_call_spec = {
    .name = "quintette._quintette.SyncCall",
    .basicsize = sizeof(q5py_sync_call),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = sync_call_slots,
};

int q5py_init_sync_call(PyObject *module, q5py_state *state) {
    if (q5py_init_greenlets(state)) return -1;
    state->sync_call_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &sync_call_spec, NULL);
    return state->sync_call_type ? PyModule_AddType(module, state->sync_call_type) : -1;
}
