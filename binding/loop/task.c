/* The type _quintette.Task: its memory, and the methods of asyncio.Task. The semantics are those of
 * CPython's (Lib/asyncio/tasks.py documents them); where this one differs: eager first step, no
 * repr of coroutines, no stack printing.
 *
 *   task_step.c       steps the coroutine, and ends the task
 *   task_wait.c       what it waits for, and cancelling
 *   task_callbacks.c  whom it tells that it has ended
 *   task_await.c      awaiting it */
#include "task_internal.h"

#include <structmember.h>

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

PyObject *q5py_task_result(PyObject *op, PyObject *unused) {
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

/* ---- attributes ------------------------------------------------------------------------------ */

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

/* ---- the type -------------------------------------------------------------------------------- */

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
    {"call_at_end", q5py_task_call_at_end_method, METH_O,
     "call_at_end(callback)\n\n"
     "callback(task), within the task's last step. It must not wait."},
    {"uncancel", task_uncancel, METH_NOARGS, NULL},
    {"done", task_done, METH_NOARGS, NULL},
    {"cancelled", task_cancelled, METH_NOARGS, NULL},
    {"result", q5py_task_result, METH_NOARGS, NULL},
    {"exception", task_exception, METH_NOARGS, NULL},
    {"add_done_callback", WITH_KEYWORDS(q5py_task_add_done_callback), METH_VARARGS | METH_KEYWORDS,
     NULL},
    {"remove_done_callback", q5py_task_remove_done_callback, METH_O, NULL},
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
    {"_callbacks", q5py_task_get_callbacks, NULL, NULL, NULL},
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
    {Py_tp_iter, q5py_task_await},
    {Py_am_await, q5py_task_await},
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
    state->kw_context = PyTuple_Pack(1, state->str_context);
    state->kw_msg = Py_BuildValue("(s)", "msg");
    if (!state->task_type || !state->kw_context || !state->kw_msg) return -1;
    return q5py_init_task_await(module, state) ? -1 : PyModule_AddType(module, state->task_type);
}
