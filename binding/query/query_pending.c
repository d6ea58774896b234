/* _quintette.Pending: a call of a compiled query, its arguments bound. Nothing runs before somebody
 * awaits it, asks for its result, or returns it from a handler. */
#include "query.h"

#include <structmember.h>

#include "convert.h"
#include "greenlets/sync_call.h"

/* ---- where it may run ------------------------------------------------------------------------ */

/* Where this context's connections are found, for as long as nobody puts another storage in place
 * of Django's: borrowed, or NULL with an exception. */
static PyObject *find_storage(q5py_statement *statement) {
    q5py_state *state = statement->state;
    PyObject *local = PyObject_GetAttr(state->connections, state->str__connections);
    if (!local) return NULL;
    if (local != state->connections_known) {
        PyObject *storage = PyObject_CallMethod(statement->python, "storage", NULL);
        if (storage) {
            Py_XSETREF(state->connections_storage, storage);
            Py_XSETREF(state->connections_known, Py_NewRef(local));
        }
        Py_DECREF(local);
        return storage;
    }
    Py_DECREF(local);
    return state->connections_storage;
}

/* In atomic(), or since set_autocommit(False) on a connection that is open. */
static int has_transaction(q5py_state *state, PyObject *wrapper) {
    int rc = q5py_truth_of(wrapper, state->str_in_atomic_block);
    if (rc) return rc;
    rc = q5py_truth_of(wrapper, state->str_autocommit);
    if (rc) return rc < 0 ? -1 : 0;
    PyObject *connection = PyObject_GetAttr(wrapper, state->str_connection);
    if (!connection) return -1;
    Py_DECREF(connection);
    return connection != Py_None;
}

/* Does this context have an open transaction on that database? Its data are visible on Django's own
 * connection alone. 1, 0, or -1 with an exception. */
static int in_transaction(q5py_statement *statement) {
    PyObject *storage = find_storage(statement), *wrapper = NULL;
    int rc = storage ? q5py_find_attribute(storage, statement->alias, &wrapper) : -1;
    if (rc <= 0) return rc;
    rc = has_transaction(statement->state, wrapper);
    Py_DECREF(wrapper);
    return rc;
}

PyObject *q5py_pending_elsewhere(q5py_pending *self) {
    return PyObject_CallMethod(self->statement->python, "elsewhere", "O", self);
}

static PyObject *finished(q5py_state *state, PyObject *result) {
    q5py_wait *wait = q5py_wait_new(state);
    if (wait) q5py_wait_finish(wait, result);
    Py_DECREF(result);
    return (PyObject *)wait;
}

/* A loop of async_to_sync's: the transaction, if there is one, is its caller's, in another thread.
 * Ours never is. */
static int is_called_from_sync(q5py_statement *statement) {
    if (q5py_running_poller(statement->state)) return 0;
    PyObject *answer = PyObject_CallMethod(statement->python, "is_called_from_sync", NULL);
    int rc = answer ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(answer);
    return rc;
}

static int run_on_sqlite(q5py_pending *self, PyObject **ret) {
    PyObject *result = NULL;
    int rc = is_called_from_sync(self->statement);
    if (rc) return rc < 0 ? -1 : 0;
    rc = q5py_sqlite_run(self, &result);
    if (rc <= 0) return rc;
    result = q5py_pending_outcome(self, result);
    *ret = result ? finished(self->statement->state, result) : NULL;
    return *ret ? 1 : -1;
}

int q5py_pending_start(q5py_pending *self, PyObject **ret) {
    q5py_statement *statement = self->statement;
    q5py_state *state = statement->state;
    if (statement->in_python) return 0;
    int rc = in_transaction(statement);
    if (rc) return rc < 0 ? -1 : 0;
    if (!statement->is_postgresql) return run_on_sqlite(self, ret);
    q5py_poller *poller = q5py_running_poller(state);
    return poller ? q5py_pg_start(self, poller, (q5py_wait **)ret) : 0;
}

static PyObject *iterator_of(PyObject *awaitable) {
    return Py_TYPE(awaitable)->tp_as_async->am_await(awaitable);
}

static PyObject *pending_await(PyObject *op) {
    q5py_pending *self = (q5py_pending *)op;
    PyObject *awaitable = NULL;
    if (self->future) return iterator_of(self->future);
    int rc = q5py_pending_start(self, &awaitable);
    if (rc < 0) return NULL;
    if (rc > 0) return awaitable;
    PyObject *coroutine = q5py_pending_elsewhere(self);
    if (!coroutine) return NULL;
    PyObject *iterator = iterator_of(coroutine);
    Py_DECREF(coroutine);
    return iterator;
}

PyObject *q5py_pending_outcome(q5py_pending *self, PyObject *result) {
    if (!result || !self->as_body || !PyBytes_Check(result)) return result;
    Py_XSETREF(self->body, result);
    return Py_NewRef((PyObject *)self);
}

/* ---- synchronous code ------------------------------------------------------------------------ */

/* In a greenlet of ours: waits for a connection of our own. 1, 0: not possible, -1. */
static int wait_here(q5py_pending *self, PyObject **ret) {
    PyObject *awaitable = NULL;
    int rc = q5py_pending_start(self, &awaitable);
    if (rc <= 0) return rc;
    rc = q5py_wait_here((q5py_wait *)awaitable, -1, ret);
    Py_DECREF(awaitable);
    return rc ? -1 : 1;
}

static PyObject *pending_get(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_pending *self = (q5py_pending *)op;
    if (q5py_can_wait()) {
        PyObject *result = NULL;
        int rc = wait_here(self, &result);
        if (rc) return rc < 0 ? NULL : result;
    }
    return PyObject_CallMethod(self->statement->python, "run", "OO", self->arguments,
                               self->as_json ? Py_True : Py_False);
}

static PyObject *pending_iter(PyObject *op) {
    PyObject *result = pending_get(op, NULL);
    PyObject *iterator = result ? PyObject_GetIter(result) : NULL;
    Py_XDECREF(result);
    return iterator;
}

/* ---- handlers -------------------------------------------------------------------------------- */

static int loop_runs(q5py_state *state) {
    PyObject *loop = PyObject_CallNoArgs(state->get_running_loop);
    if (!loop) return -1;
    Py_DECREF(loop);
    return loop != Py_None;
}

/* Without a loop: objects are as a list that the handler has made itself. */
static int judge_here(q5py_pending *self, PyObject **ret_body, PyObject **ret_result) {
    PyObject *result = pending_get((PyObject *)self, NULL);
    *(self->as_json ? ret_body : ret_result) = result;
    return result ? 0 : -1;
}

int q5py_pending_judge(PyObject *op, bool in_thread, PyObject **ret_body, PyObject **ret_result,
                       PyObject **ret_awaitable) {
    q5py_pending *self = (q5py_pending *)op;
    if (self->body) {
        *ret_body = Py_NewRef(self->body);
        return 0;
    }
    int loop = in_thread ? 0 : loop_runs(self->statement->state);
    if (loop < 0) return -1;
    if (!loop) return judge_here(self, ret_body, ret_result);
    self->as_body = self->as_json;
    int rc = q5py_pending_start(self, ret_awaitable);
    if (rc == 0) *ret_awaitable = q5py_pending_elsewhere(self);
    return *ret_awaitable ? 0 : -1;
}

static PyObject *pending_outcome(PyObject *op, PyObject *result) {
    return q5py_pending_outcome((q5py_pending *)op, Py_NewRef(result));
}

/* ---- the type -------------------------------------------------------------------------------- */

PyObject *q5py_pending_new(q5py_statement *statement, PyObject *arguments, bool as_json) {
    PyTypeObject *type = statement->state->pending_type;
    q5py_pending *self = (q5py_pending *)type->tp_alloc(type, 0);
    if (!self) {
        Py_DECREF(arguments);
        return NULL;
    }
    self->statement = (q5py_statement *)Py_NewRef((PyObject *)statement);
    self->arguments = arguments;
    self->as_json = as_json;
    return (PyObject *)self;
}

static int pending_traverse(PyObject *op, visitproc visit, void *arg) {
    q5py_pending *self = (q5py_pending *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->statement);
    Py_VISIT(self->arguments);
    Py_VISIT(self->future);
    Py_VISIT(self->forwarded);
    return 0;
}

static void pending_dealloc(PyObject *op) {
    q5py_pending *self = (q5py_pending *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_CLEAR(self->statement);
    Py_CLEAR(self->arguments);
    Py_CLEAR(self->body);
    Py_CLEAR(self->future);
    Py_CLEAR(self->forwarded);
    type->tp_free(op);
    Py_DECREF(type);
}

/* The type has no subclasses. */
bool q5py_is_pending(PyObject *object) {
    return Py_TYPE(object)->tp_dealloc == pending_dealloc;
}

static PyMethodDef pending_methods[] = {
    {"get", pending_get, METH_NOARGS,
     "get(): the result, in synchronous code. In a thread it blocks, on Django's connection; in a\n"
     "greenlet other code goes on."},
    {"outcome", pending_outcome, METH_O, "outcome(result): what awaiting it gives for that."},
    {"add_done_callback", (PyCFunction)(void (*)(void))q5py_pending_add_done_callback,
     METH_VARARGS | METH_KEYWORDS, "Begins, if nothing did; see asyncio.Future."},
    {"remove_done_callback", q5py_pending_remove_done_callback, METH_O, NULL},
    {"cancel", (PyCFunction)(void (*)(void))q5py_pending_cancel, METH_VARARGS | METH_KEYWORDS,
     NULL},
    {"cancelled", q5py_pending_cancelled, METH_NOARGS, NULL},
    {"done", q5py_pending_done, METH_NOARGS, NULL},
    {"result", q5py_pending_result, METH_NOARGS, NULL},
    {"exception", q5py_pending_exception, METH_NOARGS, NULL},
    {"get_loop", q5py_pending_get_loop, METH_NOARGS, NULL},
    {"_make_cancelled_error", q5py_pending_make_cancelled_error, METH_NOARGS, NULL},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef pending_members[] = {
    {"statement", T_OBJECT, offsetof(q5py_pending, statement), READONLY, NULL},
    {"arguments", T_OBJECT, offsetof(q5py_pending, arguments), READONLY, NULL},
    {"as_json", T_BOOL, offsetof(q5py_pending, as_json), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

/* It is never yielded to a task itself: only there does the mark change. */
static PyObject *pending_get_blocking(PyObject *op, void *closure) {
    (void)op;
    (void)closure;
    Py_RETURN_FALSE;
}

static PyGetSetDef pending_getset[] = {
    {"_asyncio_future_blocking", pending_get_blocking, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot pending_slots[] = {
    {Py_tp_doc, "A call of a compiled query: await it, or get() its result."},
    {Py_tp_dealloc, pending_dealloc},
    {Py_tp_traverse, pending_traverse},
    {Py_tp_methods, pending_methods},
    {Py_tp_members, pending_members},
    {Py_tp_getset, pending_getset},
    {Py_tp_iter, pending_iter},
    {Py_am_await, pending_await},
    {0, NULL},
};

static PyType_Spec pending_spec = {
    .name = "quintette._quintette.Pending",
    .basicsize = sizeof(q5py_pending),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = pending_slots,
};

int q5py_init_pending(PyObject *module, q5py_state *state) {
    state->pending_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &pending_spec, NULL);
    return state->pending_type ? PyModule_AddType(module, state->pending_type) : -1;
}
