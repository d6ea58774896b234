/* Stepping a task's coroutine, and what becomes of it when that has ended. */
#include "task_internal.h"

#include "convert.h"
#include "greenlets/wait.h"
#include "watchdog.h"

/* ---- the current task of the loop ------------------------------------------------------------ */

/* Makes the task current; *ret_before is what was, NULL: none (new reference). 0, or -1 with an
 * exception. Up to 3.13 the dict that _asyncio itself looks into is at hand, at a third of the cost
 * of _swap_current_task, which is the only way since. */
static int enter(q5py_task *self, PyObject **ret_before) {
#if PY_VERSION_HEX >= 0x030E0000
    PyObject *args[2] = {self->loop, (PyObject *)self};
    *ret_before = PyObject_Vectorcall(self->module->swap_current_task, args, 2, NULL);
    return *ret_before ? 0 : -1;
#else
    PyObject *tasks = self->module->current_tasks;
    PyObject *before = PyDict_GetItemWithError(tasks, self->loop);
    if (!before && PyErr_Occurred()) return -1;
    *ret_before = Py_XNewRef(before);
    if (PyDict_SetItem(tasks, self->loop, (PyObject *)self) == 0) return 0;
    Py_CLEAR(*ret_before);
    return -1;
#endif
}

/* Undoes it; steals `before`. 0, or -1 with an exception. */
static int leave(q5py_task *self, PyObject *before) {
#if PY_VERSION_HEX >= 0x030E0000
    PyObject *args[2] = {self->loop, before};
    PyObject *ours = PyObject_Vectorcall(self->module->swap_current_task, args, 2, NULL);
    Py_DECREF(before);
    Py_XDECREF(ours);
    return ours ? 0 : -1;
#else
    PyObject *tasks = self->module->current_tasks;
    int rc = before ? PyDict_SetItem(tasks, self->loop, before) : PyDict_DelItem(tasks, self->loop);
    Py_XDECREF(before);
    return rc;
#endif
}

/* ---- ending ---------------------------------------------------------------------------------- */

static void end(q5py_task *self) {
    q5py_task_set_registered(self, false);
    Py_CLEAR(self->coro);
    if (self->on_end) {
        void (*on_end)(q5py_task *, void *) = self->on_end;
        self->on_end = NULL;
        on_end(self, self->arg);
    }
    if (self->state == Q5PY_TASK_PENDING) return; /* it was continued */
    q5py_task_call_at_end(self);
    q5py_task_schedule_callbacks(self);
}

static void end_with_error(q5py_task *self) {
    self->exception = q5py_exception_take();
    bool cancelled = PyErr_GivenExceptionMatches(self->exception, self->module->cancelled_error);
    self->state = cancelled ? Q5PY_TASK_CANCELLED : Q5PY_TASK_FINISHED;
    end(self);
}

/* A new CancelledError; out of memory, that MemoryError instead. */
static PyObject *make_cancelled(q5py_task *self) {
    PyObject *type = self->module->cancelled_error, *message = self->cancel_message;
    PyObject *made = message ? PyObject_CallOneArg(type, message) : PyObject_CallNoArgs(type);
    return made ? made : q5py_exception_take();
}

static void end_with_result(q5py_task *self, PyObject *result) {
    if (self->must_cancel) {
        /* Cancelled after its last wait: as asyncio, the result gives way. */
        self->must_cancel = false;
        Py_DECREF(result);
        q5py_exception_set(make_cancelled(self));
        end_with_error(self);
        return;
    }
    self->result = result;
    self->state = Q5PY_TASK_FINISHED;
    end(self);
}

/* ---- stepping -------------------------------------------------------------------------------- */

static PySendResult send(q5py_task *self, PyObject *exception, PyObject **ret) {
    if (!exception) return PyIter_Send(self->coro, Py_None, ret);
    *ret = PyObject_CallMethodOneArg(self->coro, self->module->str_throw, exception);
    if (*ret) return PYGEN_NEXT;
    if (!PyErr_ExceptionMatches(PyExc_StopIteration)) return PYGEN_ERROR;
    PyObject *stop = q5py_exception_take();
    *ret = Py_NewRef(((PyStopIterationObject *)stop)->value);
    Py_DECREF(stop);
    return PYGEN_RETURN;
}

static PySendResult send_as_current(q5py_task *self, PyObject *exception, PyObject **ret) {
    PyObject *before;
    if (enter(self, &before)) return PYGEN_ERROR;
    q5py_watchdog *watchdog = self->module->watchdog;
    PySendResult sent;
    if (watchdog && watchdog->poller->loop == self->loop) {
        const q5py_flight *outer = q5py_watchdog_enter(watchdog, self->on_end ? self->arg : NULL);
        sent = send(self, exception, ret);
        if (watchdog == self->module->watchdog) q5py_watchdog_leave(watchdog, outer);
    } else {
        sent = send(self, exception, ret);
    }
    PyObject *error = sent == PYGEN_ERROR ? q5py_exception_take() : NULL;
    if (leave(self, before)) PyErr_WriteUnraisable((PyObject *)self);
    if (error) q5py_exception_set(error);
    return sent;
}

static bool is_exit(PyObject *exception) {
    return exception && (PyErr_GivenExceptionMatches(exception, PyExc_KeyboardInterrupt) ||
                         PyErr_GivenExceptionMatches(exception, PyExc_SystemExit));
}

int q5py_task_step(q5py_task *self, PyObject *exception) {
    PyObject *result = NULL, *cancelled = NULL;
    Py_INCREF(self);
    Py_CLEAR(self->waiter);
    if (self->must_cancel) {
        self->must_cancel = false;
        if (!exception || !PyErr_GivenExceptionMatches(exception, self->module->cancelled_error))
            exception = cancelled = make_cancelled(self);
    }
    switch (send_as_current(self, exception, &result)) {
    case PYGEN_RETURN:
        end_with_result(self, result);
        break;
    case PYGEN_ERROR:
        end_with_error(self);
        break;
    case PYGEN_NEXT:
        q5py_task_wait_for(self, result);
        Py_DECREF(result);
        break;
    }
    Py_XDECREF(cancelled);
    int rc = 0;
    if (is_exit(self->exception)) {
        q5py_exception_set(Py_NewRef(self->exception));
        rc = -1;
    }
    Py_DECREF(self);
    return rc;
}

/* ---- who begins a step ----------------------------------------------------------------------- */

int q5py_task_start(q5py_task *self) {
    if (PyContext_Enter(self->context)) {
        end_with_error(self);
        return 0;
    }
    int rc = q5py_task_step(self, NULL);
    PyObject *exception = rc ? q5py_exception_take() : NULL;
    if (PyContext_Exit(self->context)) PyErr_WriteUnraisable((PyObject *)self);
    if (exception) q5py_exception_set(exception);
    return rc;
}

static void resume_now(q5py_task *self, PyObject *exception) {
    if (PyContext_Enter(self->context)) {
        q5py_task_step_soon_with_error(self);
        return;
    }
    int rc = q5py_task_step(self, exception);
    PyObject *exit = rc ? q5py_exception_take() : NULL;
    if (PyContext_Exit(self->context)) PyErr_WriteUnraisable((PyObject *)self);
    q5py_poller *poller = exit ? q5py_running_poller(self->module) : NULL;
    if (exit) q5py_exception_set(exit);
    if (poller)
        q5py_poller_raise(poller);
    else if (exit)
        PyErr_WriteUnraisable((PyObject *)self);
}

void q5py_task_resume(q5py_task *self, PyObject *exception, bool now) {
    if (self->state != Q5PY_TASK_PENDING) return;
    if (now)
        resume_now(self, exception);
    else
        q5py_task_step_soon(self, exception ? exception : Py_None);
}

void q5py_task_continue(q5py_task *self, PyObject *coro) {
    Py_CLEAR(self->result);
    Py_CLEAR(self->exception);
    Py_XSETREF(self->coro, Py_NewRef(coro));
    self->state = Q5PY_TASK_PENDING;
    /* The step from whose end we were called raises it. */
    if (q5py_task_step(self, NULL)) PyErr_Clear();
}
