/* What a task calls when it has ended: asyncio's done callbacks, in the loop's next turn, and those
 * of call_at_end(), at once. */
#include "task_internal.h"

int q5py_task_call_soon(q5py_task *self, PyObject *callback, PyObject *arg, PyObject *context) {
    q5py_state *state = self->module;
    PyObject *args[4] = {self->loop, callback, arg, context};
    PyObject *handle = PyObject_VectorcallMethod(state->str_call_soon, args, 3, state->kw_context);
    Py_XDECREF(handle);
    return handle ? 0 : -1;
}

void q5py_task_schedule_callbacks(q5py_task *self) {
    PyObject *callbacks = self->callbacks;
    self->callbacks = NULL;
    if (!callbacks) return;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(callbacks); i++) {
        PyObject *pair = PyList_GET_ITEM(callbacks, i);
        PyObject *callback = PyTuple_GET_ITEM(pair, 0), *context = PyTuple_GET_ITEM(pair, 1);
        if (q5py_task_call_soon(self, callback, (PyObject *)self, context))
            PyErr_WriteUnraisable(callback);
    }
    Py_DECREF(callbacks);
}

/* What shall not wait for a turn of the loop: what is given back for the next request, say. */
void q5py_task_call_at_end(q5py_task *self) {
    PyObject *list = self->at_end;
    self->at_end = NULL;
    for (Py_ssize_t i = 0; list && i < PyList_GET_SIZE(list); i++) {
        PyObject *done = PyObject_CallOneArg(PyList_GET_ITEM(list, i), (PyObject *)self);
        if (!done) PyErr_WriteUnraisable(PyList_GET_ITEM(list, i));
        Py_XDECREF(done);
    }
    Py_XDECREF(list);
}

PyObject *q5py_task_call_at_end_method(PyObject *op, PyObject *callback) {
    q5py_task *self = (q5py_task *)op;
    if (!self->at_end && !(self->at_end = PyList_New(0))) return NULL;
    if (PyList_Append(self->at_end, callback)) return NULL;
    Py_RETURN_NONE;
}

PyObject *q5py_task_add_done_callback(PyObject *op, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"fn", "context", NULL};
    q5py_task *self = (q5py_task *)op;
    PyObject *callback, *context = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$O", keywords, &callback, &context))
        return NULL;
    context = context == Py_None ? PyContext_CopyCurrent() : Py_NewRef(context);
    if (!context) return NULL;
    int rc = 0;
    if (self->state != Q5PY_TASK_PENDING) {
        rc = q5py_task_call_soon(self, callback, op, context);
    } else {
        PyObject *pair = PyTuple_Pack(2, callback, context);
        if (!self->callbacks) self->callbacks = PyList_New(0);
        rc = pair && self->callbacks ? PyList_Append(self->callbacks, pair) : -1;
        Py_XDECREF(pair);
    }
    Py_DECREF(context);
    if (rc) return NULL;
    Py_RETURN_NONE;
}

/* The callbacks but for `callback`; a comparison may run anything, so the list is left alone. */
static PyObject *without(PyObject *callbacks, PyObject *callback) {
    PyObject *kept = PyList_New(0);
    Py_ssize_t count = PyList_GET_SIZE(callbacks);
    for (Py_ssize_t i = 0; kept && i < count && i < PyList_GET_SIZE(callbacks); i++) {
        PyObject *pair = Py_NewRef(PyList_GET_ITEM(callbacks, i));
        int same = PyObject_RichCompareBool(PyTuple_GET_ITEM(pair, 0), callback, Py_EQ);
        if (same < 0 || (same == 0 && PyList_Append(kept, pair))) Py_CLEAR(kept);
        Py_DECREF(pair);
    }
    return kept;
}

PyObject *q5py_task_remove_done_callback(PyObject *op, PyObject *callback) {
    q5py_task *self = (q5py_task *)op;
    if (!self->callbacks) return PyLong_FromLong(0);
    PyObject *callbacks = Py_NewRef(self->callbacks);
    PyObject *kept = without(callbacks, callback);
    Py_ssize_t removed = kept ? PyList_GET_SIZE(callbacks) - PyList_GET_SIZE(kept) : 0;
    if (kept && self->callbacks == callbacks) Py_SETREF(self->callbacks, Py_NewRef(kept));
    Py_DECREF(callbacks);
    if (!kept) return NULL;
    Py_DECREF(kept);
    return PyLong_FromSsize_t(removed);
}

/* anyio looks for the loop's root task by its callbacks: list of (callback, context), or None. */
PyObject *q5py_task_get_callbacks(PyObject *op, void *unused) {
    (void)unused;
    PyObject *callbacks = ((q5py_task *)op)->callbacks;
    return callbacks ? PyList_GetSlice(callbacks, 0, PY_SSIZE_T_MAX) : Py_NewRef(Py_None);
}
