/* See task.h. The semantics are those of CPython's asyncio.Task (Lib/asyncio/tasks.py documents
 * them); where this one differs: eager first step, no repr of coroutines, no stack printing. */
#include "task.h"

#include <structmember.h>

#include "convert.h"

static void step(q5py_task *task, PyObject *exception);

/* ---- the current task of the loop ------------------------------------------------------------ */

/* Makes `task` (or None) current; returns what was (new reference), NULL with an exception. */
static PyObject *swap_current(q5py_task *self, PyObject *task) {
#if PY_VERSION_HEX >= 0x030C0000
    PyObject *args[2] = {self->loop, task};
    return PyObject_Vectorcall(self->module->swap_current_task, args, 2, NULL);
#else
    PyObject *tasks = self->module->current_tasks;
    PyObject *before = PyDict_GetItemWithError(tasks, self->loop);
    if (!before && PyErr_Occurred()) return NULL;
    before = Py_NewRef(before ? before : Py_None);
    int rc = task == Py_None ? PyDict_DelItem(tasks, self->loop)
                             : PyDict_SetItem(tasks, self->loop, task);
    if (rc && PyErr_ExceptionMatches(PyExc_KeyError)) PyErr_Clear();
    return before;
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

static void call_soon(q5py_task *self, PyObject *callback, PyObject *arg, PyObject *context) {
    PyObject *kwnames = PyTuple_Pack(1, self->module->str_context);
    PyObject *args[4] = {self->loop, callback, arg, context};
    PyObject *handle =
        kwnames ? PyObject_VectorcallMethod(self->module->str_call_soon, args, 3, kwnames) : NULL;
    if (!handle) PyErr_WriteUnraisable(callback);
    Py_XDECREF(handle);
    Py_XDECREF(kwnames);
}

static void schedule_callbacks(q5py_task *self) {
    PyObject *callbacks = self->callbacks;
    self->callbacks = NULL;
    if (!callbacks) return;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(callbacks); i++) {
        PyObject *pair = PyList_GET_ITEM(callbacks, i);
        call_soon(self, PyTuple_GET_ITEM(pair, 0), (PyObject *)self, PyTuple_GET_ITEM(pair, 1));
    }
    Py_DECREF(callbacks);
}

static void end(q5py_task *self) {
    set_registered(self, false);
    Py_CLEAR(self->coro);
    if (self->on_end) {
        void (*on_end)(q5py_task *, void *) = self->on_end;
        self->on_end = NULL;
        on_end(self, self->arg);
    }
    if (self->state != Q5PY_TASK_PENDING) schedule_callbacks(self);
}

static void end_with_error(q5py_task *self) {
    self->exception = q5py_exception_take();
    bool cancelled = PyErr_GivenExceptionMatches(self->exception, self->module->cancelled_error);
    self->state = cancelled ? Q5PY_TASK_CANCELLED : Q5PY_TASK_FINISHED;
    end(self);
}

static void end_with_result(q5py_task *self, PyObject *result) {
    if (self->must_cancel) {
        /* Cancelled after its last wait: as asyncio, the result gives way. */
        self->must_cancel = false;
        Py_DECREF(result);
        PyErr_SetNone(self->module->cancelled_error);
        end_with_error(self);
        return;
    }
    self->result = result;
    self->state = Q5PY_TASK_FINISHED;
    end(self);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static PyObject *task_wakeup(PyObject *op, PyObject *future) {
    q5py_task *self = (q5py_task *)op;
    if (self->state != Q5PY_TASK_PENDING) Py_RETURN_NONE;
    /* The coroutine's own await fetches the result; only a failed future is thrown in. */
    PyObject *result = PyObject_CallMethodNoArgs(future, self->module->str_result);
    Py_CLEAR(self->waiter);
    PyObject *exception = result ? NULL : q5py_exception_take();
    Py_XDECREF(result);
    step(self, exception);
    Py_XDECREF(exception);
    Py_RETURN_NONE;
}

static PyObject *task_step_later(PyObject *op, PyObject *exception) {
    q5py_task *self = (q5py_task *)op;
    if (self->state == Q5PY_TASK_PENDING) step(self, exception == Py_None ? NULL : exception);
    Py_RETURN_NONE;
}

static PyMethodDef wakeup_def = {"wakeup", task_wakeup, METH_O, NULL};
static PyMethodDef step_def = {"step", task_step_later, METH_O, NULL};

/* Borrowed, or NULL with an exception. Made for the tasks that wait alone. */
static PyObject *outer_context(q5py_task *self) {
    if (!self->outer) self->outer = PyContext_New();
    return self->outer;
}

/* Next turn of the loop, with an exception to throw in (None: none). */
static void step_soon(q5py_task *self, PyObject *exception) {
    PyObject *callback = PyCFunction_New(&step_def, (PyObject *)self);
    if (!callback || !outer_context(self)) {
        Py_XDECREF(callback);
        PyErr_WriteUnraisable((PyObject *)self);
        return;
    }
    call_soon(self, callback, exception, self->outer);
    Py_DECREF(callback);
}

static void step_soon_with_error(q5py_task *self, PyObject *what, const char *format) {
    PyErr_Format(PyExc_RuntimeError, format, self, what);
    PyObject *exception = q5py_exception_take();
    step_soon(self, exception);
    Py_DECREF(exception);
}

static int add_wakeup(q5py_task *self, PyObject *future) {
    PyObject *callback = PyCFunction_New(&wakeup_def, (PyObject *)self);
    PyObject *kwnames = PyTuple_Pack(1, self->module->str_context);
    PyObject *args[3] = {future, callback, outer_context(self)};
    PyObject *done = NULL;
    if (callback && kwnames && args[2])
        done = PyObject_VectorcallMethod(self->module->str_add_done_callback, args, 2, kwnames);
    Py_XDECREF(callback);
    Py_XDECREF(kwnames);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static int cancel_future(q5py_task *self, PyObject *future) {
    PyObject *done = PyObject_CallMethodNoArgs(future, self->module->str_cancel);
    int rc = done ? PyObject_IsTrue(done) : -1;
    Py_XDECREF(done);
    return rc;
}

/* The coroutine yielded something: a future that it waits for, or None for "next turn". */
static void wait_for(q5py_task *self, PyObject *yielded) {
    set_registered(self, true);
    if (yielded == Py_None) {
        step_soon(self, Py_None);
        return;
    }
    q5py_state *state = self->module;
    PyObject *blocking = PyObject_GetAttr(yielded, state->str__asyncio_future_blocking);
    if (!blocking) PyErr_Clear();
    bool is_future = blocking == Py_True;
    Py_XDECREF(blocking);
    if (!is_future) {
        step_soon_with_error(self, yielded, "Task %R got bad yield: %R");
        return;
    }
    if (yielded == (PyObject *)self) {
        step_soon_with_error(self, yielded, "Task %R cannot await on itself: %R");
        return;
    }
    if (PyObject_SetAttr(yielded, state->str__asyncio_future_blocking, Py_False) ||
        add_wakeup(self, yielded)) {
        PyObject *exception = q5py_exception_take();
        step_soon(self, exception);
        Py_DECREF(exception);
        return;
    }
    self->waiter = Py_NewRef(yielded);
    if (self->must_cancel && cancel_future(self, yielded) > 0) self->must_cancel = false;
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
    PyObject *before = swap_current(self, (PyObject *)self);
    if (!before) return PYGEN_ERROR;
    self->running = true;
    PySendResult sent = PYGEN_ERROR;
    if (PyContext_Enter(self->context) == 0) {
        sent = send(self, exception, ret);
        if (PyContext_Exit(self->context)) PyErr_WriteUnraisable((PyObject *)self);
    }
    self->running = false;
    PyObject *error = sent == PYGEN_ERROR ? q5py_exception_take() : NULL;
    PyObject *ours = swap_current(self, before);
    if (!ours) PyErr_WriteUnraisable((PyObject *)self);
    Py_XDECREF(ours);
    Py_DECREF(before);
    if (error) q5py_exception_set(error);
    return sent;
}

static void step(q5py_task *self, PyObject *exception) {
    PyObject *result = NULL, *cancelled = NULL;
    Py_INCREF(self);
    if (self->must_cancel &&
        !(exception && PyErr_GivenExceptionMatches(exception, self->module->cancelled_error))) {
        self->must_cancel = false;
        exception = cancelled =
            self->cancel_message
                ? PyObject_CallOneArg(self->module->cancelled_error, self->cancel_message)
                : PyObject_CallNoArgs(self->module->cancelled_error);
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
    Py_DECREF(self);
}

q5py_task *q5py_task_new(q5py_state *state, PyObject *loop, PyObject *coro, PyObject *context) {
    q5py_task *self = (q5py_task *)state->task_type->tp_alloc(state->task_type, 0);
    if (!self) return NULL;
    self->module = state;
    self->loop = Py_NewRef(loop);
    self->coro = Py_NewRef(coro);
    self->context = Py_NewRef(context);
    return self;
}

void q5py_task_start(q5py_task *self) {
    step(self, NULL);
}

void q5py_task_continue(q5py_task *self, PyObject *coro) {
    Py_CLEAR(self->result);
    Py_XSETREF(self->coro, Py_NewRef(coro));
    self->state = Q5PY_TASK_PENDING;
    step(self, NULL);
}

bool q5py_task_cancel(q5py_task *self, PyObject *message) {
    if (self->state != Q5PY_TASK_PENDING) return false;
    self->cancels++;
    Py_XSETREF(self->cancel_message, Py_XNewRef(message));
    if (self->waiter) {
        int rc = cancel_future(self, self->waiter);
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

static PyObject *task_done(PyObject *op, PyObject *unused) {
    (void)unused;
    return PyBool_FromLong(((q5py_task *)op)->state != Q5PY_TASK_PENDING);
}

static PyObject *task_cancelled(PyObject *op, PyObject *unused) {
    (void)unused;
    return PyBool_FromLong(((q5py_task *)op)->state == Q5PY_TASK_CANCELLED);
}

/* Raises unless the task finished without having been cancelled. */
static int check_finished(q5py_task *self) {
    if (self->state == Q5PY_TASK_FINISHED) return 0;
    if (self->state == Q5PY_TASK_CANCELLED)
        PyErr_SetObject(self->module->cancelled_error, self->cancel_message);
    else
        PyErr_SetString(self->module->invalid_state_error, "Result is not set.");
    return -1;
}

static PyObject *task_result(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_task *self = (q5py_task *)op;
    if (check_finished(self)) return NULL;
    if (self->exception) {
        PyErr_SetObject((PyObject *)Py_TYPE(self->exception), self->exception);
        return NULL;
    }
    return Py_NewRef(self->result ? self->result : Py_None);
}

static PyObject *task_exception(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_task *self = (q5py_task *)op;
    if (check_finished(self)) return NULL;
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
    PyObject *pair = NULL;
    if (self->state != Q5PY_TASK_PENDING) {
        call_soon(self, callback, op, context);
    } else if ((self->callbacks || (self->callbacks = PyList_New(0))) &&
               (pair = PyTuple_Pack(2, callback, context))) {
        if (PyList_Append(self->callbacks, pair)) Py_CLEAR(pair);
    }
    Py_DECREF(context);
    Py_XDECREF(pair);
    if (PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}

static PyObject *task_remove_done_callback(PyObject *op, PyObject *callback) {
    q5py_task *self = (q5py_task *)op;
    long removed = 0;
    for (Py_ssize_t i = self->callbacks ? PyList_GET_SIZE(self->callbacks) : 0; i-- > 0;) {
        PyObject *pair = PyList_GET_ITEM(self->callbacks, i);
        int same = PyObject_RichCompareBool(PyTuple_GET_ITEM(pair, 0), callback, Py_EQ);
        if (same < 0) return NULL;
        if (!same) continue;
        if (PyList_SetSlice(self->callbacks, i, i + 1, NULL)) return NULL;
        removed++;
    }
    return PyLong_FromLong(removed);
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

/* For another task that awaits this one: a real future that follows it, so that there is one
 * implementation of an awaitable's iterator. */
static PyObject *copy_outcome(PyObject *future, PyObject *op) {
    q5py_task *self = (q5py_task *)op;
    PyObject *done = PyObject_CallMethod(future, "done", NULL), *rc = NULL;
    if (!done) return NULL;
    bool over = done == Py_True;
    Py_DECREF(done);
    if (over) Py_RETURN_NONE;
    if (self->state == Q5PY_TASK_CANCELLED)
        rc = PyObject_CallMethod(future, "cancel", NULL);
    else if (self->exception)
        rc = PyObject_CallMethod(future, "set_exception", "O", self->exception);
    else
        rc = PyObject_CallMethod(future, "set_result", "O", self->result ? self->result : Py_None);
    Py_XDECREF(rc);
    if (!rc) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef copy_def = {"copy_outcome", copy_outcome, METH_O, NULL};

static PyObject *task_await(PyObject *op) {
    q5py_task *self = (q5py_task *)op;
    PyObject *future = PyObject_CallMethod(self->loop, "create_future", NULL);
    PyObject *copy = future ? PyCFunction_New(&copy_def, future) : NULL;
    PyObject *added = copy ? PyObject_CallMethod(op, "add_done_callback", "O", copy) : NULL;
    PyObject *iterator = added ? PyObject_CallMethod(future, "__await__", NULL) : NULL;
    Py_XDECREF(added);
    Py_XDECREF(copy);
    Py_XDECREF(future);
    return iterator;
}

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
    Py_VISIT(self->outer);
    Py_VISIT(self->loop);
    Py_VISIT(self->name);
    Py_VISIT(self->waiter);
    Py_VISIT(self->callbacks);
    Py_VISIT(self->result);
    Py_VISIT(self->exception);
    Py_VISIT(self->cancel_message);
    return 0;
}

static int task_clear(PyObject *op) {
    q5py_task *self = (q5py_task *)op;
    Py_CLEAR(self->coro);
    Py_CLEAR(self->context);
    Py_CLEAR(self->outer);
    Py_CLEAR(self->loop);
    Py_CLEAR(self->name);
    Py_CLEAR(self->waiter);
    Py_CLEAR(self->callbacks);
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
    type->tp_free(op);
    Py_DECREF(type);
}

#define WITH_KEYWORDS(f) (PyCFunction)(void (*)(void))(f)

static PyMethodDef task_methods[] = {
    {"cancel", WITH_KEYWORDS(task_cancel), METH_VARARGS | METH_KEYWORDS, NULL},
    {"cancelling", task_cancelling, METH_NOARGS, NULL},
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
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef task_getset[] = {
    {"__class__", task_class, NULL, NULL, NULL},
    {"_asyncio_future_blocking", task_get_blocking, task_set_blocking, NULL, NULL},
    {"_fut_waiter", task_get_waiter, NULL, NULL, NULL},
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
    {Py_tp_iter, task_await},
    {Py_am_await, task_await},
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
    return state->task_type ? PyModule_AddType(module, state->task_type) : -1;
}
