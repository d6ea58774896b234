/* What a task waits for: the future that its coroutine has yielded, or the loop's next turn. */
#include "task_internal.h"

#include "convert.h"
#include "greenlets/wait.h"

void q5py_task_set_registered(q5py_task *self, bool on) {
    if (self->registered == on) return;
    self->registered = on;
    q5py_state *state = self->module;
    PyObject *done =
        PyObject_CallOneArg(on ? state->register_task : state->unregister_task, (PyObject *)self);
    if (!done) PyErr_WriteUnraisable((PyObject *)self);
    Py_XDECREF(done);
}

/* ---- going on -------------------------------------------------------------------------------- */

/* The loop calls both in the task's context. */
static PyObject *task_wakeup(PyObject *op, PyObject *future) {
    q5py_task *self = (q5py_task *)op;
    if (self->state != Q5PY_TASK_PENDING) Py_RETURN_NONE;
    /* The coroutine's own await fetches the result; only a failed future is thrown in. */
    PyObject *result = PyObject_CallMethodNoArgs(future, self->module->str_result);
    PyObject *exception = result ? NULL : q5py_exception_take();
    Py_XDECREF(result);
    int rc = q5py_task_step(self, exception);
    Py_XDECREF(exception);
    if (rc) return NULL;
    Py_RETURN_NONE;
}

static PyObject *task_step_later(PyObject *op, PyObject *exception) {
    q5py_task *self = (q5py_task *)op;
    if (self->state == Q5PY_TASK_PENDING &&
        q5py_task_step(self, exception == Py_None ? NULL : exception))
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef wakeup_def = {"wakeup", task_wakeup, METH_O, NULL};
static PyMethodDef step_def = {"step", task_step_later, METH_O, NULL};

void q5py_task_step_soon(q5py_task *self, PyObject *exception) {
    PyObject *callback = PyCFunction_New(&step_def, (PyObject *)self);
    if (!callback || q5py_task_call_soon(self, callback, exception, self->context))
        PyErr_WriteUnraisable((PyObject *)self);
    Py_XDECREF(callback);
}

void q5py_task_step_soon_with_error(q5py_task *self) {
    PyObject *exception = q5py_exception_take();
    q5py_task_step_soon(self, exception);
    Py_DECREF(exception);
}

/* ---- beginning to wait ----------------------------------------------------------------------- */

static int add_wakeup(q5py_task *self, PyObject *future) {
    q5py_state *state = self->module;
    PyObject *callback = PyCFunction_New(&wakeup_def, (PyObject *)self);
    if (!callback) return -1;
    PyObject *args[3] = {future, callback, self->context};
    PyObject *done =
        PyObject_VectorcallMethod(state->str_add_done_callback, args, 2, state->kw_context);
    Py_DECREF(callback);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* Truth of what future.cancel() answered, or -1 with an exception. */
static int cancel_future(q5py_task *self, PyObject *future) {
    q5py_state *state = self->module;
    PyObject *args[2] = {future, self->cancel_message};
    PyObject *done = PyObject_VectorcallMethod(state->str_cancel, args, 1,
                                               self->cancel_message ? state->kw_msg : NULL);
    int rc = done ? PyObject_IsTrue(done) : -1;
    Py_XDECREF(done);
    return rc;
}

static PyObject *loop_of(q5py_task *self, PyObject *future) {
    PyObject *loop = PyObject_GetAttr(future, self->module->str__loop);
    if (loop || !PyErr_ExceptionMatches(PyExc_AttributeError)) return loop;
    PyErr_Clear();
    return PyObject_CallMethodNoArgs(future, self->module->str_get_loop);
}

/* 0, or -1 with the exception that is to be thrown in. */
static int check_yielded(q5py_task *self, PyObject *yielded) {
    PyObject *blocking = PyObject_GetAttr(yielded, self->module->str__asyncio_future_blocking);
    if (!blocking) PyErr_Clear();
    bool is_future = blocking == Py_True;
    Py_XDECREF(blocking);
    if (!is_future) {
        PyErr_Format(PyExc_RuntimeError, "Task %R got bad yield: %R", self, yielded);
        return -1;
    }
    if (yielded == (PyObject *)self) {
        PyErr_Format(PyExc_RuntimeError, "Task cannot await on itself: %R", self);
        return -1;
    }
    PyObject *loop = loop_of(self, yielded);
    if (!loop) return -1;
    bool same = loop == self->loop;
    Py_DECREF(loop);
    if (same) return 0;
    PyErr_Format(PyExc_RuntimeError, "Task %R got Future %R attached to a different loop", self,
                 yielded);
    return -1;
}

/* A Wait of this loop needs no callback: it knows us. False: it is none. */
static bool wait_directly(q5py_task *self, PyObject *yielded) {
    q5py_wait *wait = (q5py_wait *)yielded;
    if (!Py_IS_TYPE(yielded, self->module->wait_type) || wait->loop != self->loop ||
        !wait->blocking || wait->task || wait->state != Q5PY_WAIT_PENDING)
        return false;
    wait->blocking = false;
    wait->task = (q5py_task *)Py_NewRef((PyObject *)self);
    return true;
}

void q5py_task_wait_for(q5py_task *self, PyObject *yielded) {
    q5py_task_set_registered(self, true);
    if (yielded == Py_None) {
        q5py_task_step_soon(self, Py_None);
        return;
    }
    if (!wait_directly(self, yielded) &&
        (check_yielded(self, yielded) ||
         PyObject_SetAttr(yielded, self->module->str__asyncio_future_blocking, Py_False) ||
         add_wakeup(self, yielded))) {
        q5py_task_step_soon_with_error(self);
        return;
    }
    self->waiter = Py_NewRef(yielded);
    if (!self->must_cancel) return;
    int rc = cancel_future(self, yielded);
    if (rc > 0) self->must_cancel = false;
    if (rc < 0) PyErr_WriteUnraisable((PyObject *)self);
}

bool q5py_task_cancel(q5py_task *self, PyObject *message) {
    if (self->state != Q5PY_TASK_PENDING) return false;
    self->cancels++;
    Py_XSETREF(self->cancel_message, Py_XNewRef(message));
    if (self->waiter) {
        PyObject *waiter = Py_NewRef(self->waiter);
        int rc = cancel_future(self, waiter);
        Py_DECREF(waiter);
        if (rc > 0) return true;
        if (rc < 0) PyErr_WriteUnraisable((PyObject *)self);
    }
    self->must_cancel = true;
    return true;
}
