/* The type _quintette.Poller: a selectors.BaseSelector for asyncio whose wait also serves our
 * connections. Requests are read, handled and answered inside select(); it returns to asyncio only
 * when asyncio has work: one of its own descriptors is ready, a handle was scheduled, or its
 * timeout has passed.
 *
 *   poller_wait.c   select()
 *   poller_files.c  register() and its like
 *   poller_jobs.c   what comes from other threads */
#include "poller_internal.h"

#include <errno.h>
#include <unistd.h>

#include "convert.h"

/* ---- hooks ----------------------------------------------------------------------------------- */

void q5py_poller_add_hook(q5py_poller *self, q5py_poll_hook *hook) {
    hook->prev = NULL;
    hook->next = self->hooks;
    if (hook->next) hook->next->prev = hook;
    self->hooks = hook;
    Py_INCREF(hook->owner);
}

void q5py_poller_remove_hook(q5py_poller *self, q5py_poll_hook *hook) {
    if (!hook->owner) return;
    if (hook->prev)
        hook->prev->next = hook->next;
    else
        self->hooks = hook->next;
    if (hook->next) hook->next->prev = hook->prev;
    hook->prev = hook->next = NULL;
    Py_CLEAR(hook->owner);
}

bool q5py_poller_is_waiting(q5py_poller *self) {
    if (!self->in_wait) return false;
    PyErr_SetString(PyExc_RuntimeError,
                    "the loop runs in another thread; use loop.call_soon_threadsafe");
    return true;
}

void q5py_poller_raise(q5py_poller *self) {
    PyObject *exception = q5py_exception_take();
    Py_XSETREF(self->raised, exception);
}

/* ---- methods --------------------------------------------------------------------------------- */

static PyObject *poller_get_map(PyObject *op, PyObject *unused) {
    (void)unused;
    return Py_NewRef(op);
}

static PyObject *poller_fileno(PyObject *op, PyObject *unused) {
    (void)unused;
    return PyLong_FromLong(q5_poller_fd(((q5py_poller *)op)->poller));
}

static PyObject *poller_bind_loop(PyObject *op, PyObject *loop) {
    q5py_poller *self = (q5py_poller *)op;
    PyObject *ready = PyObject_GetAttr(loop, self->state->str__ready);
    if (!ready) return NULL;
    Py_XSETREF(self->loop_ready, ready);
    Py_XSETREF(self->loop, Py_NewRef(loop));
    Py_RETURN_NONE;
}

static PyObject *poller_close(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_poller *self = (q5py_poller *)op;
    for (q5py_poll_hook *hook = self->hooks, *next; hook; hook = next) {
        next = hook->next;
        if (hook->on_close) hook->on_close(hook);
    }
    q5py_poller_drop_files(self);
    PyDict_Clear(self->keys);
    Py_CLEAR(self->loop_ready);
    Py_CLEAR(self->loop);
    Py_RETURN_NONE;
}

/* ---- life ------------------------------------------------------------------------------------ */

static PyObject *poller_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "", keywords)) return NULL;
    q5py_poller *self = (q5py_poller *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->state = q5py_state_of_type(type);
    self->wake_fds[0] = self->wake_fds[1] = -1;
    pthread_mutex_init(&self->lock, NULL);
    self->keys = PyDict_New();
    self->poller = q5_poller_create(NULL);
    if (!self->keys || !self->poller || q5py_poller_open_wake(self)) {
        if (!PyErr_Occurred()) PyErr_SetFromErrno(PyExc_OSError);
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int poller_traverse(PyObject *op, visitproc visit, void *arg) {
    q5py_poller *self = (q5py_poller *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->keys);
    Py_VISIT(self->ready);
    Py_VISIT(self->loop);
    Py_VISIT(self->loop_ready);
    Py_VISIT(self->loop_timers);
    Py_VISIT(self->loop_next);
    Py_VISIT(self->raised);
    for (q5py_poll_hook *hook = self->hooks; hook; hook = hook->next)
        Py_VISIT(hook->owner);
    return q5py_poller_visit_files(self, visit, arg);
}

/* What is cleared here may still be called by what is being collected with it: all stays usable.
 */
static int poller_clear(PyObject *op) {
    q5py_poller *self = (q5py_poller *)op;
    if (self->poller) q5py_poller_drop_files(self);
    if (self->keys) PyDict_Clear(self->keys);
    Py_CLEAR(self->loop);
    Py_CLEAR(self->loop_ready);
    Py_CLEAR(self->raised);
    while (self->hooks)
        q5py_poller_remove_hook(self, self->hooks);
    return 0;
}

static void poller_dealloc(PyObject *op) {
    q5py_poller *self = (q5py_poller *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    poller_clear(op);
    Py_CLEAR(self->keys);
    if (self->poller) q5_poller_destroy(self->poller);
    for (int i = 0; i < 2; i++)
        if (self->wake_fds[i] >= 0) close(self->wake_fds[i]);
    q5py_poller_free_dropped(self);
    q5py_poller_free_files(self);
    pthread_mutex_destroy(&self->lock);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef poller_methods[] = {
    {"register", q5py_poller_register, METH_VARARGS, "register(fileobj, events, data=None)"},
    {"unregister", q5py_poller_unregister, METH_O, "unregister(fileobj)"},
    {"modify", q5py_poller_modify, METH_VARARGS, "modify(fileobj, events, data=None)"},
    {"select", (PyCFunction)(void (*)(void))q5py_poller_select, METH_FASTCALL,
     "select(timeout=None)"},
    {"get", q5py_poller_get, METH_VARARGS, "get(fileobj, default=None)"},
    {"get_key", q5py_poller_get_key, METH_O, "get_key(fileobj)"},
    {"get_map", poller_get_map, METH_NOARGS, "get_map(): the mapping of file objects to keys"},
    {"values", q5py_poller_values, METH_NOARGS, "values(): the keys"},
    {"fileno", poller_fileno, METH_NOARGS, "fileno(): of the kernel's poller"},
    {"bind_loop", poller_bind_loop, METH_O,
     "bind_loop(loop)\n\nselect() then returns only when that loop has work."},
    {"close", poller_close, METH_NOARGS, "close()"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot poller_slots[] = {
    {Py_tp_doc, "A selector for asyncio.SelectorEventLoop that also drives servers."},
    {Py_tp_new, poller_new},
    {Py_tp_dealloc, poller_dealloc},
    {Py_tp_traverse, poller_traverse},
    {Py_tp_clear, poller_clear},
    {Py_tp_methods, poller_methods},
    {Py_tp_iter, q5py_poller_iter},
    {Py_mp_subscript, q5py_poller_get_key},
    {Py_mp_length, q5py_poller_length},
    {Py_sq_contains, q5py_poller_contains},
    {0, NULL},
};

static PyType_Spec poller_spec = {
    .name = "quintette._quintette.Poller",
    .basicsize = sizeof(q5py_poller),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = poller_slots,
};

int q5py_init_poller(PyObject *module, q5py_state *state) {
    state->poller_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &poller_spec, NULL);
    return state->poller_type ? PyModule_AddType(module, state->poller_type) : -1;
}
