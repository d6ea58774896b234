/* See task.h. The semantics are those of CPython's asyncio.Task (Lib/asyncio/tasks.py documents
 * them); where this one differs: eager first step, no repr of coroutines, no stack printing. */
#include "task.h"

#include <structmember.h>

#include "convert.h"
#include "wait.h"
#include "watchdog.h"

static int step(q5py_task *task, PyObject *exception);

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

/* all_tasks() lists tasks that wait; one that never does is never registered. */
static void set_registered(q5py_task *self, bool on) {
    if (self->registered == on) return;
    self->registered = on;
    q5py_state *state = self->module;
    PyObject *done =
        PyObject_CallOneArg(on ? state->register_task : state->unregister_task, (PyObject *)self);
    if (!done) PyErr_WriteUnraisable((PyObject *)self);
    Py_XDECREF(done);
}

/* ---- ending ---------------------------------------------------------------------------------- */

/* 0, or -1 with an exception (the loop is closed). */
static int call_soon(q5py_task *self, PyObject *callback, PyObject *arg, PyObject *context) {
    q5py_state *state = self->module;
    PyObject *args[4] = {self->loop, callback, arg, context};
    PyObject *handle = PyObject_VectorcallMethod(state->str_call_soon, args, 3, state->kw_context);
    Py_XDECREF(handle);
    return handle ? 0 : -1;
}

static void schedule_callbacks(q5py_task *self) {
    PyObject *callbacks = self->callbacks;
    self->callbacks = NULL;
    if (!callbacks) return;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(callbacks); i++) {
        PyObject *pair = PyList_GET_ITEM(callbacks, i);
        PyObject *callback = PyTuple_GET_ITEM(pair, 0), *context = PyTuple_GET_ITEM(pair, 1);
        if (call_soon(self, callback, (PyObject *)self, context)) PyErr_WriteUnraisable(callback);
    }
    Py_DECREF(callbacks);
}

/* What shall not wait for a turn of the loop: what is given back for the next request, say. */
static void call_at_end(q5py_task *self) {
    PyObject *list = self->at_end;
    self->at_end = NULL;
    for (Py_ssize_t i = 0; list && i < PyList_GET_SIZE(list); i++) {
        PyObject *done = PyObject_CallOneArg(PyList_GET_ITEM(list, i), (PyObject *)self);
        if (!done) PyErr_WriteUnraisable(PyList_GET_ITEM(list, i));
        Py_XDECREF(done);
    }
    Py_XDECREF(list);
}

static void end(q5py_task *self) {
    set_registered(self, false);
    Py_CLEAR(self->coro);
    if (self->on_end) {
        void (*on_end)(q5py_task *, void *) = self->on_end;
        self->on_end = NULL;
        on_end(self, self->arg);
    }
    if (self->state == Q5PY_TASK_PENDING) return; /* it was continued */
    call_at_end(self);
    schedule_callbacks(self);
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

/* ---- waiting --------------------------------------------------------------------------------- */

/* The loop calls both in the task's context. */
static PyObject *task_wakeup(PyObject *op, PyObject *future) {
    q5py_task *self = (q5py_task *)op;
    if (self->state != Q5PY_TASK_PENDING) Py_RETURN_NONE;
    /* The coroutine's own await fetches the result; only a failed future is thrown in. */
    PyObject *result = PyObject_CallMethodNoArgs(future, self->module->str_result);
    PyObject *exception = result ? NULL : q5py_exception_take();
    Py_XDECREF(result);
    int rc = step(self, exception);
    Py_XDECREF(exception);
    if (rc) return NULL;
    Py_RETURN_NONE;
}

static PyObject *task_step_later(PyObject *op, PyObject *exception) {
    q5py_task *self = (q5py_task *)op;
    if (self->state == Q5PY_TASK_PENDING && step(self, exception == Py_None ? NULL : exception))
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef wakeup_def = {"wakeup", task_wakeup, METH_O, NULL};
static PyMethodDef step_def = {"step", task_step_later, METH_O, NULL};

/* Next turn of the loop, with an exception to throw in (None: none). A loop that takes no more
 * callbacks leaves the task as it is, like any other. */
static void step_soon(q5py_task *self, PyObject *exception) {
    PyObject *callback = PyCFunction_New(&step_def, (PyObject *)self);
    if (!callback || call_soon(self, callback, exception, self->context))
        PyErr_WriteUnraisable((PyObject *)self);
    Py_XDECREF(callback);
}

/* The current exception is thrown in. */
static void step_soon_with_error(q5py_task *self) {
    PyObject *exception = q5py_exception_take();
    step_soon(self, exception);
    Py_DECREF(exception);
}

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

/* The coroutine yielded something: a future that it waits for, or None for "next turn". */
static void wait_for(q5py_task *self, PyObject *yielded) {
    set_registered(self, true);
    if (yielded == Py_None) {
        step_soon(self, Py_None);
        return;
    }
    if (!wait_directly(self, yielded) &&
        (check_yielded(self, yielded) ||
         PyObject_SetAttr(yielded, self->module->str__asyncio_future_blocking, Py_False) ||
         add_wakeup(self, yielded))) {
        step_soon_with_error(self);
        return;
    }
    self->waiter = Py_NewRef(yielded);
    if (!self->must_cancel) return;
    int rc = cancel_future(self, yielded);
    if (rc > 0) self->must_cancel = false;
    if (rc < 0) PyErr_WriteUnraisable((PyObject *)self);
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

/* 0, or -1 with an exception for whoever runs the loop. Called in the task's context. */
static int step(q5py_task *self, PyObject *exception) {
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
        wait_for(self, result);
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

/* ---- memory ---------------------------------------------------------------------------------- */

/* Tasks come and go with requests: their memory is kept, linked by the field that holds the loop.
 * Under a sanitizer it is not, lest it hide a use after the end. */
#ifdef __SANITIZE_ADDRESS__
#define FREE_TASKS_MAX 0
#else
#define FREE_TASKS_MAX 128
#endif

static q5py_task *task_alloc(q5py_state *state) {
    q5py_task *self = state->free_tasks;
    if (!self) return (q5py_task *)state->task_type->tp_alloc(state->task_type, 0);
    state->free_tasks = (q5py_task *)self->loop;
    state->free_task_count--;
    memset((char *)self + sizeof(PyObject), 0, sizeof(*self) - sizeof(PyObject));
    PyObject_Init((PyObject *)self, state->task_type);
    PyObject_GC_Track(self);
    return self;
}

static void task_free(q5py_task *self) {
    q5py_state *state = self->module;
    if (state->free_task_count >= FREE_TASKS_MAX) {
        PyObject_GC_Del(self);
        return;
    }
    self->loop = (PyObject *)state->free_tasks;
    state->free_tasks = self;
    state->free_task_count++;
}

void q5py_task_free_list_clear(q5py_state *state) {
    while (state->free_tasks) {
        q5py_task *self = state->free_tasks;
        state->free_tasks = (q5py_task *)self->loop;
        PyObject_GC_Del(self);
    }
    state->free_task_count = 0;
}

q5py_task *q5py_task_new(q5py_state *state, PyObject *loop, PyObject *coro, PyObject *context) {
    q5py_task *self = task_alloc(state);
    if (!self) return NULL;
    self->module = state;
    self->loop = Py_NewRef(loop);
    self->coro = Py_NewRef(coro);
    self->context = Py_NewRef(context);
    return self;
}

int q5py_task_start(q5py_task *self) {
    if (PyContext_Enter(self->context)) {
        end_with_error(self);
        return 0;
    }
    int rc = step(self, NULL);
    PyObject *exception = rc ? q5py_exception_take() : NULL;
    if (PyContext_Exit(self->context)) PyErr_WriteUnraisable((PyObject *)self);
    if (exception) q5py_exception_set(exception);
    return rc;
}

static void resume_now(q5py_task *self, PyObject *exception) {
    if (PyContext_Enter(self->context)) {
        step_soon_with_error(self);
        return;
    }
    int rc = step(self, exception);
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
        step_soon(self, exception ? exception : Py_None);
}

void q5py_task_continue(q5py_task *self, PyObject *coro) {
    Py_CLEAR(self->result);
    Py_CLEAR(self->exception);
    Py_XSETREF(self->coro, Py_NewRef(coro));
    self->state = Q5PY_TASK_PENDING;
    /* The step from whose end we were called raises it. */
    if (step(self, NULL)) PyErr_Clear();
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

/* ---- the methods of asyncio.Task ------------------------------------------------------------- */

static PyObject *task_cancel(PyObject *op, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"msg", NULL};
    PyObject *message = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O", keywords, &message)) return NULL;
    return PyBool_FromLong(q5py_task_cancel((q5py_task *)op, message == Py_None ? NULL : message));
}

/* For asyncio's call graphs (3.14): who awaits us is not recorded. */
static PyObject *task_get_awaited_by(PyObject *op, void *unused) {
    (void)op;
    (void)unused;
    Py_RETURN_NONE;
}

static PyObject *task_cancelling(PyObject *op, PyObject *unused) {
    (void)unused;
    return PyLong_FromLong(((q5py_task *)op)->cancels);
}

static PyObject *task_uncancel(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_task *self = (q5py_task *)op;
    if (self->cancels > 0 && --self->cancels == 0) self->must_cancel = false;
    return PyLong_FromLong(self->cancels);
}

static PyObject *task_call_at_end(PyObject *op, PyObject *callback) {
    q5py_task *self = (q5py_task *)op;
    if (!self->at_end && !(self->at_end = PyList_New(0))) return NULL;
    if (PyList_Append(self->at_end, callback)) return NULL;
    Py_RETURN_NONE;
}

static PyObject *task_done(PyObject *op, PyObject *unused) {
    (void)unused;
    return PyBool_FromLong(((q5py_task *)op)->state != Q5PY_TASK_PENDING);
}

static PyObject *task_cancelled(PyObject *op, PyObject *unused) {
    (void)unused;
    return PyBool_FromLong(((q5py_task *)op)->state == Q5PY_TASK_CANCELLED);
}

/* Raises unless the task finished without having been cancelled. */
static int check_finished(q5py_task *self, const char *pending) {
    if (self->state == Q5PY_TASK_FINISHED) return 0;
    if (self->state == Q5PY_TASK_CANCELLED)
        PyErr_SetObject((PyObject *)Py_TYPE(self->exception), self->exception);
    else
        PyErr_SetString(self->module->invalid_state_error, pending);
    return -1;
}

static PyObject *task_result(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_task *self = (q5py_task *)op;
    if (check_finished(self, "Result is not set.")) return NULL;
    if (self->exception) {
        PyErr_SetObject((PyObject *)Py_TYPE(self->exception), self->exception);
        return NULL;
    }
    return Py_NewRef(self->result ? self->result : Py_None);
}

static PyObject *task_exception(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_task *self = (q5py_task *)op;
    if (check_finished(self, "Exception is not set.")) return NULL;
    return Py_NewRef(self->exception ? self->exception : Py_None);
}

static PyObject *task_add_done_callback(PyObject *op, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"fn", "context", NULL};
    q5py_task *self = (q5py_task *)op;
    PyObject *callback, *context = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$O", keywords, &callback, &context))
        return NULL;
    context = context == Py_None ? PyContext_CopyCurrent() : Py_NewRef(context);
    if (!context) return NULL;
    int rc = 0;
    if (self->state != Q5PY_TASK_PENDING) {
        rc = call_soon(self, callback, op, context);
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

static PyObject *task_remove_done_callback(PyObject *op, PyObject *callback) {
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

static PyObject *or_none(PyObject *value) {
    return Py_NewRef(value ? value : Py_None);
}

static PyObject *task_get_coro(PyObject *op, PyObject *unused) {
    (void)unused;
    return or_none(((q5py_task *)op)->coro);
}

static PyObject *task_get_context(PyObject *op, PyObject *unused) {
    (void)unused;
    return Py_NewRef(((q5py_task *)op)->context);
}

static PyObject *task_get_loop(PyObject *op, PyObject *unused) {
    (void)unused;
    return Py_NewRef(((q5py_task *)op)->loop);
}

static PyObject *task_get_name(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_task *self = (q5py_task *)op;
    if (!self->name && !(self->name = PyUnicode_FromFormat("Request-%p", op))) return NULL;
    return Py_NewRef(self->name);
}

static PyObject *task_set_name(PyObject *op, PyObject *name) {
    PyObject *text = PyObject_Str(name);
    if (!text) return NULL;
    Py_XSETREF(((q5py_task *)op)->name, text);
    Py_RETURN_NONE;
}

static PyObject *task_get_stack(PyObject *op, PyObject *args, PyObject *kwargs) {
    (void)op;
    (void)args;
    (void)kwargs;
    return PyList_New(0);
}

static PyObject *task_print_stack(PyObject *op, PyObject *args, PyObject *kwargs) {
    (void)op;
    (void)args;
    (void)kwargs;
    Py_RETURN_NONE;
}

/* What asyncio.Future.__await__ answers: yields the task while it is pending, then ends with its
 * outcome. */
typedef struct task_await {
    PyObject_HEAD q5py_task *task; /* owned; NULL once the outcome was given */
} task_await;

static PyObject *task_await_iter(PyObject *op) {
    q5py_state *state = ((q5py_task *)op)->module;
    task_await *self = (task_await *)state->task_await_type->tp_alloc(state->task_await_type, 0);
    if (self) self->task = (q5py_task *)Py_NewRef(op);
    return (PyObject *)self;
}

static PyObject *task_await_next(PyObject *op) {
    task_await *self = (task_await *)op;
    q5py_task *task = self->task;
    if (!task) return NULL;
    if (task->state == Q5PY_TASK_PENDING && !task->blocking) {
        task->blocking = true;
        return Py_NewRef((PyObject *)task);
    }
    if (task->state == Q5PY_TASK_PENDING) {
        PyErr_SetString(PyExc_RuntimeError, "await wasn't used with future");
        return NULL;
    }
    self->task = NULL;
    PyObject *result = task_result((PyObject *)task, NULL);
    if (result) q5py_stop_iteration(result);
    Py_DECREF(task);
    return NULL;
}

static int task_await_traverse(PyObject *op, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(op));
    Py_VISIT((PyObject *)((task_await *)op)->task);
    return 0;
}

static int task_await_clear(PyObject *op) {
    Py_CLEAR(((task_await *)op)->task);
    return 0;
}

static void task_await_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    task_await_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyType_Slot task_await_slots[] = {
    {Py_tp_dealloc, task_await_dealloc}, {Py_tp_traverse, task_await_traverse},
    {Py_tp_clear, task_await_clear},     {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, task_await_next},   {0, NULL},
};

static PyType_Spec task_await_spec = {
    .name = "quintette._quintette.TaskAwait",
    .basicsize = sizeof(task_await),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = task_await_slots,
};

static PyObject *task_repr(PyObject *op) {
    q5py_task *self = (q5py_task *)op;
    static const char *const states[] = {"pending", "cancelled", "finished"};
    PyObject *name = task_get_name(op, NULL);
    if (!name) return NULL;
    PyObject *text = PyUnicode_FromFormat("<quintette Task name=%R %s coro=%R>", name,
                                          states[self->state], self->coro ? self->coro : Py_None);
    Py_DECREF(name);
    return text;
}

/* isinstance(task, asyncio.Task) is true: libraries ask before they cancel. */
static PyObject *task_class(PyObject *op, void *unused) {
    (void)unused;
    return Py_NewRef(((q5py_task *)op)->module->task_class);
}

/* anyio looks for the loop's root task by its callbacks: list of (callback, context), or None. */
static PyObject *task_get_callbacks(PyObject *op, void *unused) {
    (void)unused;
    PyObject *callbacks = ((q5py_task *)op)->callbacks;
    return callbacks ? PyList_GetSlice(callbacks, 0, PY_SSIZE_T_MAX) : Py_NewRef(Py_None);
}

static PyObject *task_get_blocking(PyObject *op, void *unused) {
    (void)unused;
    return PyBool_FromLong(((q5py_task *)op)->blocking);
}

static int task_set_blocking(PyObject *op, PyObject *value, void *unused) {
    (void)unused;
    int on = value ? PyObject_IsTrue(value) : 0;
    if (on < 0) return -1;
    ((q5py_task *)op)->blocking = on;
    return 0;
}

static PyObject *task_get_waiter(PyObject *op, void *unused) {
    (void)unused;
    return or_none(((q5py_task *)op)->waiter);
}

static PyObject *task_get_must_cancel(PyObject *op, void *unused) {
    (void)unused;
    return PyBool_FromLong(((q5py_task *)op)->must_cancel);
}

static int task_traverse(PyObject *op, visitproc visit, void *arg) {
    q5py_task *self = (q5py_task *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->coro);
    Py_VISIT(self->context);
    Py_VISIT(self->loop);
    Py_VISIT(self->name);
    Py_VISIT(self->waiter);
    Py_VISIT(self->callbacks);
    Py_VISIT(self->at_end);
    Py_VISIT(self->result);
    Py_VISIT(self->exception);
    Py_VISIT(self->cancel_message);
    return 0;
}

static int task_clear(PyObject *op) {
    q5py_task *self = (q5py_task *)op;
    Py_CLEAR(self->coro);
    Py_CLEAR(self->context);
    Py_CLEAR(self->loop);
    Py_CLEAR(self->name);
    Py_CLEAR(self->waiter);
    Py_CLEAR(self->callbacks);
    Py_CLEAR(self->at_end);
    Py_CLEAR(self->result);
    Py_CLEAR(self->exception);
    Py_CLEAR(self->cancel_message);
    return 0;
}

static void task_dealloc(PyObject *op) {
    q5py_task *self = (q5py_task *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    if (self->weakrefs) PyObject_ClearWeakRefs(op);
    task_clear(op);
    task_free(self);
    Py_DECREF(type);
}

#define WITH_KEYWORDS(f) (PyCFunction)(void (*)(void))(f)

static PyMethodDef task_methods[] = {
    {"cancel", WITH_KEYWORDS(task_cancel), METH_VARARGS | METH_KEYWORDS, NULL},
    {"cancelling", task_cancelling, METH_NOARGS, NULL},
    {"call_at_end", task_call_at_end, METH_O,
     "call_at_end(callback)\n\n"
     "callback(task), within the task's last step. It must not wait."},
    {"uncancel", task_uncancel, METH_NOARGS, NULL},
    {"done", task_done, METH_NOARGS, NULL},
    {"cancelled", task_cancelled, METH_NOARGS, NULL},
    {"result", task_result, METH_NOARGS, NULL},
    {"exception", task_exception, METH_NOARGS, NULL},
    {"add_done_callback", WITH_KEYWORDS(task_add_done_callback), METH_VARARGS | METH_KEYWORDS,
     NULL},
    {"remove_done_callback", task_remove_done_callback, METH_O, NULL},
    {"get_coro", task_get_coro, METH_NOARGS, NULL},
    {"get_context", task_get_context, METH_NOARGS, NULL},
    {"get_loop", task_get_loop, METH_NOARGS, NULL},
    {"get_name", task_get_name, METH_NOARGS, NULL},
    {"set_name", task_set_name, METH_O, NULL},
    {"get_stack", WITH_KEYWORDS(task_get_stack), METH_VARARGS | METH_KEYWORDS, NULL},
    {"print_stack", WITH_KEYWORDS(task_print_stack), METH_VARARGS | METH_KEYWORDS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef task_getset[] = {
    {"__class__", task_class, NULL, NULL, NULL},
    {"_asyncio_future_blocking", task_get_blocking, task_set_blocking, NULL, NULL},
    {"_callbacks", task_get_callbacks, NULL, NULL, NULL},
    {"_fut_waiter", task_get_waiter, NULL, NULL, NULL},
    {"_asyncio_awaited_by", task_get_awaited_by, NULL, NULL, NULL},
    {"_must_cancel", task_get_must_cancel, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef task_members[] = {
    {"_loop", T_OBJECT, offsetof(q5py_task, loop), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(q5py_task, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot task_slots[] = {
    {Py_tp_doc, "Drives one coroutine; an asyncio.Task to whoever looks."},
    {Py_tp_dealloc, task_dealloc},
    {Py_tp_traverse, task_traverse},
    {Py_tp_clear, task_clear},
    {Py_tp_repr, task_repr},
    {Py_tp_methods, task_methods},
    {Py_tp_getset, task_getset},
    {Py_tp_members, task_members},
    {Py_tp_iter, task_await_iter},
    {Py_am_await, task_await_iter},
    {0, NULL},
};

static PyType_Spec task_spec = {
    .name = "quintette._quintette.Task",
    .basicsize = sizeof(q5py_task),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = task_slots,
};

int q5py_init_task(PyObject *module, q5py_state *state) {
    state->task_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &task_spec, NULL);
    state->task_await_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &task_await_spec, NULL);
    state->kw_context = PyTuple_Pack(1, state->str_context);
    state->kw_msg = Py_BuildValue("(s)", "msg");
    if (!state->task_await_type || !state->kw_context || !state->kw_msg) return -1;
    return state->task_type ? PyModule_AddType(module, state->task_type) : -1;
}
