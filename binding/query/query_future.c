/* Pending as a future: asyncio.gather(), wait() and shield() take it as it is. They would make a
 * task of it otherwise, which costs as much as the query.
 *
 * It begins when the first of them asks to be told of its end. */
#include "query.h"

static PyObject *loop_of(q5py_pending *self) {
    q5py_state *state = self->statement->state;
    PyObject *loop = PyObject_CallNoArgs(state->get_running_loop);
    if (loop != Py_None) return loop;
    Py_DECREF(loop);
    PyErr_SetString(PyExc_RuntimeError, "no running event loop");
    return NULL;
}

/* As a task, what runs on Django's connection. */
static PyObject *begin_elsewhere(q5py_pending *self) {
    PyObject *loop = loop_of(self);
    PyObject *coroutine = loop ? q5py_pending_elsewhere(self) : NULL;
    PyObject *task = coroutine ? PyObject_CallMethod(loop, "create_task", "O", coroutine) : NULL;
    Py_XDECREF(coroutine);
    Py_XDECREF(loop);
    return task;
}

/* The future that this one stands for: borrowed, or NULL with an exception. */
static PyObject *begun(q5py_pending *self) {
    if (self->future) return self->future;
    int rc = q5py_pending_start(self, &self->future);
    if (rc == 0) self->future = begin_elsewhere(self);
    return self->future;
}

/* ---- callbacks ------------------------------------------------------------------------------- */

/* What the future behind calls in a callback's place, `pair` being (this call, callback): each is
 * to be given what it was added to. */
static PyObject *forward(PyObject *pair, PyObject *future) {
    (void)future;
    q5py_pending *self = (q5py_pending *)PyTuple_GET_ITEM(pair, 0);
    Py_CLEAR(self->forwarded); /* it is over: nothing can be removed any more */
    return PyObject_CallOneArg(PyTuple_GET_ITEM(pair, 1), (PyObject *)self);
}

static PyMethodDef forward_method = {"forward", forward, METH_O, NULL};

/* A new reference; (callback, it) is kept in the list. */
static PyObject *forwarder(q5py_pending *self, PyObject *callback) {
    if (!self->forwarded && !(self->forwarded = PyList_New(0))) return NULL;
    PyObject *pair = PyTuple_Pack(2, self, callback);
    PyObject *function = pair ? PyCFunction_New(&forward_method, pair) : NULL;
    PyObject *kept = function ? PyTuple_Pack(2, callback, function) : NULL;
    if (!kept || PyList_Append(self->forwarded, kept)) Py_CLEAR(function);
    Py_XDECREF(kept);
    Py_XDECREF(pair);
    return function;
}

static PyObject *call(PyObject *object, const char *name, PyObject *args, PyObject *kwargs) {
    PyObject *method = PyObject_GetAttrString(object, name);
    PyObject *result = method ? PyObject_Call(method, args, kwargs) : NULL;
    Py_XDECREF(method);
    return result;
}

static PyObject *call_with(PyObject *object, const char *name, PyObject *first, PyObject *kwargs) {
    PyObject *args = PyTuple_Pack(1, first);
    PyObject *result = args ? call(object, name, args, kwargs) : NULL;
    Py_XDECREF(args);
    return result;
}

PyObject *q5py_pending_add_done_callback(PyObject *op, PyObject *args, PyObject *kwargs) {
    q5py_pending *self = (q5py_pending *)op;
    PyObject *callback;
    if (!PyArg_ParseTuple(args, "O:add_done_callback", &callback)) return NULL;
    PyObject *future = begun(self);
    PyObject *function = future ? forwarder(self, callback) : NULL;
    PyObject *result = function ? call_with(future, "add_done_callback", function, kwargs) : NULL;
    Py_XDECREF(function);
    return result;
}

/* Those in `kept` that forward to the callback. Their number, or -1 with an exception. */
static Py_ssize_t remove_all(q5py_pending *self, PyObject *kept, PyObject *callback) {
    Py_ssize_t removed = 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(kept); i++) {
        PyObject *pair = PyTuple_GET_ITEM(kept, i);
        int same = PyObject_RichCompareBool(PyTuple_GET_ITEM(pair, 0), callback, Py_EQ);
        if (same < 0) return -1;
        if (!same) continue;
        PyObject *result =
            call_with(self->future, "remove_done_callback", PyTuple_GET_ITEM(pair, 1), NULL);
        removed += result ? PyLong_AsSsize_t(result) : 0;
        Py_XDECREF(result);
        if (PyErr_Occurred()) return -1;
    }
    return removed;
}

PyObject *q5py_pending_remove_done_callback(PyObject *op, PyObject *callback) {
    q5py_pending *self = (q5py_pending *)op;
    if (!self->forwarded) return PyLong_FromLong(0);
    PyObject *kept = PyList_AsTuple(self->forwarded); /* comparing runs anything */
    Py_ssize_t removed = kept ? remove_all(self, kept, callback) : -1;
    Py_XDECREF(kept);
    return removed < 0 ? NULL : PyLong_FromSsize_t(removed);
}

/* ---- the rest -------------------------------------------------------------------------------- */

/* Of one that nobody has begun, so that it never does. */
static PyObject *cancelled_future(q5py_pending *self) {
    q5py_wait *wait = q5py_wait_new(self->statement->state);
    if (wait) q5py_wait_cancel(wait);
    return (PyObject *)wait;
}

PyObject *q5py_pending_cancel(PyObject *op, PyObject *args, PyObject *kwargs) {
    q5py_pending *self = (q5py_pending *)op;
    if (!self->future) {
        self->future = cancelled_future(self);
        return self->future ? Py_NewRef(Py_True) : NULL;
    }
    return call(self->future, "cancel", args, kwargs);
}

PyObject *q5py_pending_get_loop(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_pending *self = (q5py_pending *)op;
    return self->future ? PyObject_CallMethod(self->future, "get_loop", NULL) : loop_of(self);
}

static PyObject *asked(q5py_pending *self, const char *method) {
    return self->future ? PyObject_CallMethod(self->future, method, NULL) : Py_NewRef(Py_False);
}

PyObject *q5py_pending_done(PyObject *op, PyObject *unused) {
    (void)unused;
    return asked((q5py_pending *)op, "done");
}

PyObject *q5py_pending_cancelled(PyObject *op, PyObject *unused) {
    (void)unused;
    return asked((q5py_pending *)op, "cancelled");
}

static PyObject *ended(q5py_pending *self, const char *method) {
    if (self->future) return PyObject_CallMethod(self->future, method, NULL);
    PyErr_SetString(self->statement->state->invalid_state_error, "it has not begun: await it");
    return NULL;
}

PyObject *q5py_pending_result(PyObject *op, PyObject *unused) {
    (void)unused;
    return ended((q5py_pending *)op, "result");
}

PyObject *q5py_pending_exception(PyObject *op, PyObject *unused) {
    (void)unused;
    return ended((q5py_pending *)op, "exception");
}

PyObject *q5py_pending_make_cancelled_error(PyObject *op, PyObject *unused) {
    (void)unused;
    return ended((q5py_pending *)op, "_make_cancelled_error");
}
