/* See lock.h. Under the GIL. A lock that is released with somebody waiting stays held: it is handed
 * to the first in the queue, so nobody can come in between. */
#include "lock.h"

#include <math.h>
#include <pythread.h>

#include "convert.h"
#include "sync_call.h"

typedef struct lock_waiter lock_waiter;

typedef struct lock {
    PyObject_HEAD q5py_state *module;
    bool held;
    lock_waiter *first, *last;
} lock;

/* In the queue, or granted. Owned by acquire(), on the heap: a greenlet's stack moves. */
struct lock_waiter {
    lock_waiter *prev, *next;
    lock *lock; /* borrowed; NULL: not in the queue */
    bool granted;
    q5py_wait *wait;           /* owned: of a greenlet; or NULL */
    PyThread_type_lock thread; /* owned: of a thread; or NULL */
    unsigned long thread_id;
};

/* ---- the queue ------------------------------------------------------------------------------- */

static void enqueue(lock *self, lock_waiter *waiter) {
    waiter->lock = self;
    waiter->prev = self->last;
    if (self->last)
        self->last->next = waiter;
    else
        self->first = waiter;
    self->last = waiter;
}

static void dequeue(lock_waiter *waiter) {
    lock *self = waiter->lock;
    if (!self) return;
    if (waiter->prev)
        waiter->prev->next = waiter->next;
    else
        self->first = waiter->next;
    if (waiter->next)
        waiter->next->prev = waiter->prev;
    else
        self->last = waiter->prev;
    waiter->lock = NULL;
}

static void on_cancel(q5py_wait *wait, void *arg) {
    (void)wait;
    dequeue(arg);
}

static lock_waiter *waiter_new(void) {
    lock_waiter *self = PyMem_Calloc(1, sizeof(*self));
    if (!self) {
        PyErr_NoMemory();
        return NULL;
    }
    self->thread_id = PyThread_get_thread_ident();
    return self;
}

static void waiter_free(lock_waiter *self) {
    dequeue(self);
    if (self->wait) self->wait->on_cancel = NULL;
    Py_XDECREF((PyObject *)self->wait);
    if (self->thread) PyThread_free_lock(self->thread);
    PyMem_Free(self);
}

/* ---- releasing ------------------------------------------------------------------------------- */

static void wake_other_loop(q5py_wait *wait) {
    PyObject *finish = PyObject_GetAttr((PyObject *)wait, wait->module->str_finish);
    PyObject *done =
        finish ? PyObject_CallMethod(wait->loop, "call_soon_threadsafe", "O", finish) : NULL;
    Py_XDECREF(finish);
    Py_XDECREF(done);
    if (!done) PyErr_WriteUnraisable((PyObject *)wait);
}

static void release(lock *self) {
    lock_waiter *next = self->first;
    if (!next) {
        self->held = false;
        return;
    }
    dequeue(next);
    next->granted = true;
    if (next->thread)
        PyThread_release_lock(next->thread);
    else if (next->thread_id == PyThread_get_thread_ident())
        q5py_wait_finish(next->wait, NULL);
    else
        wake_other_loop(next->wait);
}

/* ---- acquiring ------------------------------------------------------------------------------- */

/* Each gives 1: acquired; 0: the time is over; -1 with an exception. */
static int wait_in_greenlet(lock *self, lock_waiter *waiter, double timeout_s) {
    waiter->wait = q5py_wait_new(self->module);
    if (!waiter->wait) return -1;
    waiter->wait->on_cancel = on_cancel;
    waiter->wait->arg = waiter;
    enqueue(self, waiter);
    int rc = q5py_wait_here(waiter->wait, timeout_s, NULL);
    if (rc == 0) return 1;
    if (!waiter->granted) return rc < 0 ? -1 : 0;
    /* Granted, but the waiting code is told of something else first. */
    PyObject *error = q5py_exception_take();
    release(self);
    if (error) q5py_exception_set(error);
    return error ? -1 : 0;
}

static int wait_in_thread(lock *self, lock_waiter *waiter, double timeout_s) {
    waiter->thread = PyThread_allocate_lock();
    if (!waiter->thread) {
        PyErr_NoMemory();
        return -1;
    }
    PyThread_acquire_lock(waiter->thread, NOWAIT_LOCK);
    enqueue(self, waiter);
    PY_TIMEOUT_T usec = timeout_s < 0 ? -1 : (PY_TIMEOUT_T)(timeout_s * 1e6);
    PyLockStatus status;
    do {
        Py_BEGIN_ALLOW_THREADS
            status = PyThread_acquire_lock_timed(waiter->thread, usec, 1);
        Py_END_ALLOW_THREADS
    } while (status == PY_LOCK_INTR && PyErr_CheckSignals() == 0);
    if (waiter->granted && status == PY_LOCK_INTR) release(self); /* the signal's exception wins */
    return status == PY_LOCK_INTR ? -1 : waiter->granted;
}

/* In a coroutine, waiting would stop the loop, which could be waited for. */
static int check_may_wait(lock *self) {
    PyObject *loop = PyObject_CallNoArgs(self->module->get_running_loop);
    if (!loop) return -1;
    bool running = loop != Py_None;
    Py_DECREF(loop);
    if (!running) return 0;
    PyErr_SetString(PyExc_RuntimeError,
                    "a held lock was acquired on the event loop's thread, outside of a greenlet: "
                    "use `async with`");
    return -1;
}

static int acquire(lock *self, double timeout_s) {
    if (!self->held) {
        self->held = true;
        return 1;
    }
    if (timeout_s == 0) return 0;
    bool in_greenlet = q5py_can_wait();
    if (!in_greenlet && check_may_wait(self)) return -1;
    lock_waiter *waiter = waiter_new();
    if (!waiter) return -1;
    Py_INCREF(self);
    int rc = in_greenlet ? wait_in_greenlet(self, waiter, timeout_s)
                         : wait_in_thread(self, waiter, timeout_s);
    waiter_free(waiter);
    Py_DECREF(self);
    return rc;
}

/* As threading.Lock has it, but for negative ones: all of them are none. 0, or -1 with an
 * exception. */
static int check_timeout(double timeout_s) {
    if (isnan(timeout_s)) {
        PyErr_SetString(PyExc_ValueError, "timeout is not a number");
        return -1;
    }
    if (timeout_s * 1e6 < (double)PY_TIMEOUT_MAX) return 0;
    PyErr_SetString(PyExc_OverflowError, "timeout is too large");
    return -1;
}

static PyObject *lock_acquire(PyObject *op, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"blocking", "timeout", NULL};
    int blocking = 1;
    double timeout_s = -1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|pd", keywords, &blocking, &timeout_s) ||
        check_timeout(timeout_s))
        return NULL;
    int rc = acquire((lock *)op, blocking ? timeout_s : 0);
    return rc < 0 ? NULL : PyBool_FromLong(rc);
}

static PyObject *lock_release(PyObject *op, PyObject *unused) {
    (void)unused;
    lock *self = (lock *)op;
    if (!self->held) {
        PyErr_SetString(PyExc_RuntimeError, "release of a lock that is not held");
        return NULL;
    }
    release(self);
    Py_RETURN_NONE;
}

static PyObject *lock_enter(PyObject *op, PyObject *unused) {
    (void)unused;
    return acquire((lock *)op, -1) < 0 ? NULL : PyBool_FromLong(1);
}

static PyObject *lock_exit(PyObject *op, PyObject *const *args, Py_ssize_t nargs) {
    (void)args;
    (void)nargs;
    return lock_release(op, NULL);
}

static PyObject *lock_locked(PyObject *op, PyObject *unused) {
    (void)unused;
    return PyBool_FromLong(((lock *)op)->held);
}

/* ---- for coroutines -------------------------------------------------------------------------- */

static PyObject *in_greenlet(PyObject *op, const char *method) {
    PyObject *bound = PyObject_GetAttrString(op, method);
    PyObject *call =
        bound ? PyObject_CallOneArg((PyObject *)((lock *)op)->module->sync_call_type, bound) : NULL;
    Py_XDECREF(bound);
    return call;
}

static PyObject *lock_aenter(PyObject *op, PyObject *unused) {
    (void)unused;
    return in_greenlet(op, "__enter__");
}

static PyObject *lock_aexit(PyObject *op, PyObject *const *args, Py_ssize_t nargs) {
    (void)args;
    (void)nargs;
    return in_greenlet(op, "release");
}

/* ---- the type -------------------------------------------------------------------------------- */

static PyObject *lock_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "", keywords)) return NULL;
    lock *self = (lock *)type->tp_alloc(type, 0);
    if (self) self->module = q5py_state_of_type(type);
    return (PyObject *)self;
}

/* Whoever waits holds a reference, so the queue is empty. */
static void lock_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef lock_methods[] = {
    {"acquire", (PyCFunction)(void (*)(void))lock_acquire, METH_VARARGS | METH_KEYWORDS,
     "acquire(blocking=True, timeout=-1) -> bool\n\nTimeout in seconds. Not reentrant."},
    {"release", lock_release, METH_NOARGS, "release()"},
    {"locked", lock_locked, METH_NOARGS, "locked() -> bool"},
    {"__enter__", lock_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))lock_exit, METH_FASTCALL, NULL},
    {"__aenter__", lock_aenter, METH_NOARGS, NULL},
    {"__aexit__", (PyCFunction)(void (*)(void))lock_aexit, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot lock_slots[] = {
    {Py_tp_doc, "A lock that greenlets, coroutines and threads get in the order of asking."},
    {Py_tp_new, lock_new},
    {Py_tp_dealloc, lock_dealloc},
    {Py_tp_methods, lock_methods},
    {0, NULL},
};

static PyType_Spec lock_spec = {
    .name = "quintette._quintette.Lock",
    .basicsize = sizeof(lock),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = lock_slots,
};

int q5py_init_lock(PyObject *module, q5py_state *state) {
    state->lock_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &lock_spec, NULL);
    return state->lock_type ? PyModule_AddType(module, state->lock_type) : -1;
}
