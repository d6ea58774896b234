/* See wait.h. To asyncio it is a future: the methods are those that a Task uses. */
#include "wait.h"

#include <structmember.h>

#include "convert.h"
#include "sync_call.h"

/* ---- the loop -------------------------------------------------------------------------------- */

static PyObject *running_loop(q5py_state *state) {
    PyObject *loop = PyObject_CallNoArgs(state->get_running_loop);
    if (loop != Py_None) return loop;
    Py_DECREF(loop);
    PyErr_SetString(PyExc_RuntimeError, "no event loop runs in this thread");
    return NULL;
}

q5py_poller *q5py_running_poller(q5py_state *state) {
    PyObject *loop = running_loop(state);
    PyObject *selector = loop ? PyObject_GetAttr(loop, state->str__selector) : NULL;
    Py_XDECREF(loop);
    if (!selector) {
        PyErr_Clear();
        return NULL;
    }
    bool ours = Py_IS_TYPE(selector, state->poller_type);
    Py_DECREF(selector); /* the loop holds it */
    return ours ? (q5py_poller *)selector : NULL;
}

/* ---- being over ------------------------------------------------------------------------------ */

static void call_callbacks(q5py_wait *self) {
    PyObject *callbacks = self->callbacks;
    self->callbacks = NULL;
    if (!callbacks) return;
    q5py_state *state = self->module;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(callbacks); i++) {
        PyObject *pair = PyList_GET_ITEM(callbacks, i);
        PyObject *args[4] = {self->loop, PyTuple_GET_ITEM(pair, 0), (PyObject *)self,
                             PyTuple_GET_ITEM(pair, 1)};
        PyObject *handle =
            PyObject_VectorcallMethod(state->str_call_soon, args, 3, state->kw_context);
        if (!handle) PyErr_WriteUnraisable(args[1]);
        Py_XDECREF(handle);
    }
    Py_DECREF(callbacks);
}

static PyObject *cancelled_error(q5py_wait *self) {
    PyObject *type = self->module->cancelled_error, *message = self->cancel_message;
    return message ? PyObject_CallOneArg(type, message) : PyObject_CallNoArgs(type);
}

/* What a failed or cancelled wait raises: a new reference. NULL: it ended well. */
static PyObject *outcome_error(q5py_wait *self) {
    if (self->state == Q5PY_WAIT_CANCELLED) {
        PyObject *made = cancelled_error(self);
        return made ? made : q5py_exception_take();
    }
    return Py_XNewRef(self->exception);
}

static void wake(q5py_wait *self, bool now) {
    q5py_task *task = self->task;
    self->task = NULL;
    Py_INCREF(self);
    if (task) {
        PyObject *error = outcome_error(self);
        q5py_task_resume(task, error, now);
        Py_XDECREF(error);
        Py_DECREF(task);
    }
    call_callbacks(self);
    Py_DECREF(self);
}

static void finish(q5py_wait *self, PyObject *result, bool now) {
    if (self->state != Q5PY_WAIT_PENDING) return;
    self->state = Q5PY_WAIT_DONE;
    self->result = Py_XNewRef(result);
    wake(self, now);
}

void q5py_wait_finish(q5py_wait *self, PyObject *result) {
    finish(self, result, false);
}

void q5py_wait_finish_now(q5py_wait *self, PyObject *result) {
    finish(self, result, true);
}

void q5py_wait_fail(q5py_wait *self) {
    PyObject *exception = q5py_exception_take();
    if (self->state == Q5PY_WAIT_PENDING) {
        self->state = Q5PY_WAIT_DONE;
        self->exception = Py_NewRef(exception);
        wake(self, false);
    }
    Py_DECREF(exception);
}

bool q5py_wait_cancel(q5py_wait *self) {
    if (self->state != Q5PY_WAIT_PENDING) return false;
    self->state = Q5PY_WAIT_CANCELLED;
    Py_INCREF(self);
    if (self->on_cancel) self->on_cancel(self, self->arg);
    wake(self, false);
    Py_DECREF(self);
    return true;
}

/* ---- waiting in a greenlet ------------------------------------------------------------------- */

static PyObject *call_later(q5py_wait *self, double timeout_s) {
    PyObject *expire = PyObject_GetAttr((PyObject *)self, self->module->str_expire);
    PyObject *timer =
        expire ? PyObject_CallMethod(self->loop, "call_later", "dO", timeout_s, expire) : NULL;
    Py_XDECREF(expire);
    return timer;
}

/* Keeps the current exception. */
static void cancel_timer(q5py_wait *self, PyObject *timer) {
    PyObject *error = q5py_exception_take();
    PyObject *done = PyObject_CallMethodNoArgs(timer, self->module->str_cancel);
    if (!done) PyErr_WriteUnraisable(timer);
    Py_XDECREF(done);
    Py_DECREF(timer);
    if (error) q5py_exception_set(error);
}

static int outcome(q5py_wait *self, PyObject **ret_result) {
    PyObject *error = outcome_error(self);
    if (error) {
        q5py_exception_set(error);
        return -1;
    }
    if (self->expired) return 1;
    if (ret_result) *ret_result = Py_NewRef(self->result ? self->result : Py_None);
    return 0;
}

/* The rest of q5py_wait_here(), once it runs again. */
static int resumed(q5py_wait *self, int rc, PyObject **ret_result) {
    if (rc && self->state == Q5PY_WAIT_PENDING) {
        /* Thrown in from outside: the maker is told, the exception stays. */
        PyObject *error = q5py_exception_take();
        q5py_wait_cancel(self);
        q5py_exception_set(error);
    }
    if (rc) return -1;
    if (self->state != Q5PY_WAIT_PENDING) return outcome(self, ret_result);
    PyErr_SetString(PyExc_RuntimeError, "resumed before what it waits for was over");
    return -1;
}

int q5py_wait_here(q5py_wait *self, double timeout_s, PyObject **ret_result) {
    if (self->state != Q5PY_WAIT_PENDING) return outcome(self, ret_result);
    PyObject *timer = timeout_s >= 0 ? call_later(self, timeout_s) : NULL;
    if (timeout_s >= 0 && !timer) return -1;
    Py_INCREF(self); /* the maker may drop it on cancellation */
    self->blocking = true;
    int rc = q5py_yield((PyObject *)self);
    if (timer) cancel_timer(self, timer);
    rc = resumed(self, rc, ret_result);
    Py_DECREF(self);
    return rc;
}

/* ---- the methods of a future ----------------------------------------------------------------- */

static PyObject *wait_result(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_wait *self = (q5py_wait *)op;
    PyObject *result = NULL;
    if (self->state == Q5PY_WAIT_PENDING) {
        PyErr_SetString(self->module->invalid_state_error, "Result is not set.");
        return NULL;
    }
    if (outcome(self, &result) > 0) Py_RETURN_NONE; /* q5py_wait_here() tells the difference */
    return result;
}

static PyObject *wait_exception(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_wait *self = (q5py_wait *)op;
    if (self->state == Q5PY_WAIT_PENDING) {
        PyErr_SetString(self->module->invalid_state_error, "Exception is not set.");
        return NULL;
    }
    if (self->state == Q5PY_WAIT_CANCELLED) {
        q5py_exception_set(outcome_error(self));
        return NULL;
    }
    return Py_NewRef(self->exception ? self->exception : Py_None);
}

static PyObject *wait_done(PyObject *op, PyObject *unused) {
    (void)unused;
    return PyBool_FromLong(((q5py_wait *)op)->state != Q5PY_WAIT_PENDING);
}

static PyObject *wait_cancelled(PyObject *op, PyObject *unused) {
    (void)unused;
    return PyBool_FromLong(((q5py_wait *)op)->state == Q5PY_WAIT_CANCELLED);
}

static PyObject *wait_cancel(PyObject *op, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"msg", NULL};
    q5py_wait *self = (q5py_wait *)op;
    PyObject *message = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O", keywords, &message)) return NULL;
    if (self->state == Q5PY_WAIT_PENDING && message != Py_None)
        Py_XSETREF(self->cancel_message, Py_NewRef(message));
    return PyBool_FromLong(q5py_wait_cancel(self));
}

static PyObject *wait_fail(PyObject *op, PyObject *exception) {
    if (!PyExceptionInstance_Check(exception)) {
        PyErr_SetString(PyExc_TypeError, "an exception is needed");
        return NULL;
    }
    q5py_exception_set(Py_NewRef(exception));
    q5py_wait_fail((q5py_wait *)op);
    Py_RETURN_NONE;
}

static PyObject *wait_finish(PyObject *op, PyObject *const *args, Py_ssize_t nargs) {
    q5py_wait_finish((q5py_wait *)op, nargs ? args[0] : NULL);
    Py_RETURN_NONE;
}

static PyObject *wait_expire(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_wait *self = (q5py_wait *)op;
    if (self->state != Q5PY_WAIT_PENDING) Py_RETURN_NONE;
    self->expired = true;
    Py_INCREF(self);
    if (self->on_cancel) self->on_cancel(self, self->arg);
    finish(self, NULL, false);
    Py_DECREF(self);
    Py_RETURN_NONE;
}

static PyObject *wait_get_loop(PyObject *op, PyObject *unused) {
    (void)unused;
    return Py_NewRef(((q5py_wait *)op)->loop);
}

static PyObject *wait_add_done_callback(PyObject *op, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"fn", "context", NULL};
    q5py_wait *self = (q5py_wait *)op;
    PyObject *callback, *context = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$O", keywords, &callback, &context))
        return NULL;
    context = context && context != Py_None ? Py_NewRef(context) : PyContext_CopyCurrent();
    PyObject *pair = context ? PyTuple_Pack(2, callback, context) : NULL;
    Py_XDECREF(context);
    if (pair && !self->callbacks) self->callbacks = PyList_New(0);
    int rc = pair && self->callbacks ? PyList_Append(self->callbacks, pair) : -1;
    Py_XDECREF(pair);
    if (rc) return NULL;
    if (self->state != Q5PY_WAIT_PENDING) call_callbacks(self);
    Py_RETURN_NONE;
}

static PyObject *wait_remove_done_callback(PyObject *op, PyObject *callback) {
    q5py_wait *self = (q5py_wait *)op;
    long removed = 0;
    for (Py_ssize_t i = self->callbacks ? PyList_GET_SIZE(self->callbacks) : 0; i-- > 0;) {
        PyObject *pair = PyList_GET_ITEM(self->callbacks, i);
        int same = PyObject_RichCompareBool(PyTuple_GET_ITEM(pair, 0), callback, Py_EQ);
        if (same < 0 || (same && PySequence_DelItem(self->callbacks, i))) return NULL;
        removed += same;
    }
    return PyLong_FromLong(removed);
}

/* ---- awaiting -------------------------------------------------------------------------------- */

/* Its own iterator: pending, it yields itself; over, it ends with the outcome. */
static PySendResult wait_send(PyObject *op, PyObject *value, PyObject **ret) {
    (void)value;
    q5py_wait *self = (q5py_wait *)op;
    if (self->state == Q5PY_WAIT_PENDING) {
        if (self->blocking) {
            PyErr_SetString(PyExc_RuntimeError, "await wasn't used with future");
            return PYGEN_ERROR;
        }
        self->blocking = true;
        *ret = Py_NewRef(op);
        return PYGEN_NEXT;
    }
    *ret = wait_result(op, NULL);
    return *ret ? PYGEN_RETURN : PYGEN_ERROR;
}

static PyObject *wait_next(PyObject *op) {
    PyObject *value = NULL;
    PySendResult sent = wait_send(op, NULL, &value);
    return q5py_next_of(sent, value);
}

static PyObject *wait_get_blocking(PyObject *op, void *unused) {
    (void)unused;
    return PyBool_FromLong(((q5py_wait *)op)->blocking);
}

static int wait_set_blocking(PyObject *op, PyObject *value, void *unused) {
    (void)unused;
    int truth = value ? PyObject_IsTrue(value) : 0;
    if (truth < 0) return -1;
    ((q5py_wait *)op)->blocking = truth;
    return 0;
}

/* ---- the type -------------------------------------------------------------------------------- */

q5py_wait *q5py_wait_new_on(q5py_state *state, PyObject *loop) {
    q5py_wait *self = (q5py_wait *)state->wait_type->tp_alloc(state->wait_type, 0);
    if (!self) return NULL;
    self->module = state;
    self->loop = Py_NewRef(loop);
    return self;
}

q5py_wait *q5py_wait_new(q5py_state *state) {
    PyObject *loop = running_loop(state);
    q5py_wait *self = loop ? q5py_wait_new_on(state, loop) : NULL;
    Py_XDECREF(loop);
    return self;
}

static PyObject *wait_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "", keywords)) return NULL;
    return (PyObject *)q5py_wait_new(q5py_state_of_type(type));
}

static int wait_traverse(PyObject *op, visitproc visit, void *arg) {
    q5py_wait *self = (q5py_wait *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->loop);
    Py_VISIT(self->task);
    Py_VISIT(self->callbacks);
    Py_VISIT(self->result);
    Py_VISIT(self->exception);
    Py_VISIT(self->cancel_message);
    return 0;
}

static int wait_clear(PyObject *op) {
    q5py_wait *self = (q5py_wait *)op;
    Py_CLEAR(self->loop);
    Py_CLEAR(self->task);
    Py_CLEAR(self->callbacks);
    Py_CLEAR(self->result);
    Py_CLEAR(self->exception);
    Py_CLEAR(self->cancel_message);
    return 0;
}

static void wait_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    wait_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

/* What asyncio.gather() asks of a future that was cancelled. */
static PyObject *wait_make_cancelled_error(PyObject *op, PyObject *unused) {
    (void)unused;
    return cancelled_error((q5py_wait *)op);
}

static PyMethodDef wait_methods[] = {
    {"finish", (PyCFunction)(void (*)(void))wait_finish, METH_FASTCALL,
     "finish(result=None): it is over"},
    {"fail", wait_fail, METH_O, "fail(exception): it has failed with it"},
    {"expire", wait_expire, METH_NOARGS, "expire(): its time is over"},
    {"result", wait_result, METH_NOARGS, NULL},
    {"exception", wait_exception, METH_NOARGS, NULL},
    {"done", wait_done, METH_NOARGS, NULL},
    {"cancelled", wait_cancelled, METH_NOARGS, NULL},
    {"cancel", (PyCFunction)(void (*)(void))wait_cancel, METH_VARARGS | METH_KEYWORDS, NULL},
    {"get_loop", wait_get_loop, METH_NOARGS, NULL},
    {"_make_cancelled_error", wait_make_cancelled_error, METH_NOARGS, NULL},
    {"add_done_callback", (PyCFunction)(void (*)(void))wait_add_done_callback,
     METH_VARARGS | METH_KEYWORDS, NULL},
    {"remove_done_callback", wait_remove_done_callback, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef wait_members[] = {
    {"_loop", T_OBJECT, offsetof(q5py_wait, loop), READONLY, NULL},
    {"expired", T_BOOL, offsetof(q5py_wait, expired), READONLY, "Its time was over first."},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef wait_getset[] = {
    {"_asyncio_future_blocking", wait_get_blocking, wait_set_blocking, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot wait_slots[] = {
    {Py_tp_doc, "Something that will be over once: awaitable, and a future to asyncio."},
    {Py_tp_new, wait_new},
    {Py_tp_dealloc, wait_dealloc},
    {Py_tp_traverse, wait_traverse},
    {Py_tp_clear, wait_clear},
    {Py_tp_methods, wait_methods},
    {Py_tp_members, wait_members},
    {Py_tp_getset, wait_getset},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, wait_next},
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, wait_send},
    {0, NULL},
};

static PyType_Spec wait_spec = {
    .name = "quintette._quintette.Wait",
    .basicsize = sizeof(q5py_wait),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = wait_slots,
};

int q5py_init_wait(PyObject *module, q5py_state *state) {
    state->wait_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &wait_spec, NULL);
    return state->wait_type ? PyModule_AddType(module, state->wait_type) : -1;
}
