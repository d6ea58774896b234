/* select(): waits until asyncio has work, and serves meanwhile what else the poller watches. */
#include "poller_internal.h"

#include <math.h>

#include "convert.h"
#include "now.h"
#include "watchdog.h"

/* ---- watches that other threads may drop ----------------------------------------------------- */

/* Between the return of the kernel's wait and the moment when the poller knows of its events, none
 * of them can be taken back. */
void q5py_poller_drop(q5py_poller *self, q5py_watch *watch) {
    q5_poller_remove(self->poller, &watch->watch);
    if (!self->in_wait) {
        PyMem_Free(watch);
        return;
    }
    watch->owner = NULL;
    watch->next_dropped = self->dropped;
    self->dropped = watch;
}

void q5py_poller_free_dropped(q5py_poller *self) {
    q5py_watch *watch;
    while ((watch = self->dropped)) {
        self->dropped = watch->next_dropped;
        PyMem_Free(watch);
    }
}

/* ---- has asyncio work? ----------------------------------------------------------------------- */

/* A handler has called loop.stop(), which only sets a flag. -1 with an exception. */
static int loop_stopping(q5py_poller *self) {
    PyObject *stopping = PyObject_GetAttr(self->loop, self->state->str__stopping);
    int rc = stopping ? PyObject_IsTrue(stopping) : -1;
    Py_XDECREF(stopping);
    return rc;
}

/* A timer was scheduled that is due before the one for which select was called. */
static bool timer_came_first(q5py_poller *self) {
    PyObject *timers = self->loop_timers;
    return timers && PyList_GET_SIZE(timers) && PyList_GET_ITEM(timers, 0) != self->loop_next;
}

/* 1, 0, or -1 with an exception. Without a bound loop each wait is handed back. */
static int asyncio_has_work(q5py_poller *self) {
    if (PyList_GET_SIZE(self->ready) || !self->loop_ready) return 1;
    Py_ssize_t handles = PyObject_Size(self->loop_ready);
    if (handles) return handles < 0 ? -1 : 1;
    return timer_came_first(self) ? 1 : loop_stopping(self);
}

/* The loop replaces its heap now and then, but not while it waits. */
static int look_at_timers(q5py_poller *self) {
    if (!self->loop) return 0;
    PyObject *timers = PyObject_GetAttr(self->loop, self->state->str__scheduled);
    if (!timers) return -1;
    Py_XSETREF(self->loop_timers, timers);
    if (!PyList_CheckExact(timers)) {
        PyErr_SetString(PyExc_TypeError, "the loop's timers are not in a list");
        return -1;
    }
    PyObject *next = PyList_GET_SIZE(timers) ? PyList_GET_ITEM(timers, 0) : NULL;
    Py_XSETREF(self->loop_next, Py_XNewRef(next));
    return 0;
}

/* ---- one wait -------------------------------------------------------------------------------- */

static int sooner(int a, int b) {
    if (a < 0) return b;
    return b < 0 || a < b ? a : b;
}

static int call_before_hooks(q5py_poller *self) {
    int timeout = -1;
    self->serving = true;
    for (q5py_poll_hook *hook = self->hooks; hook; hook = hook->next)
        timeout = sooner(timeout, hook->before_wait(hook));
    self->serving = false;
    q5py_poller_wake_thread(self);
    return timeout;
}

static q5py_watchdog *watchdog_of(q5py_poller *self) {
    q5py_watchdog *watchdog = self->state->watchdog;
    return watchdog && watchdog->poller == self ? watchdog : NULL;
}

static int wait_once(q5py_poller *self, int timeout) {
    int n;
    atomic_store(&self->waiting, true);
    if (!q5py_poller_inbox_empty(self)) timeout = 0;
    self->wait_until = timeout < 0 ? -1 : q5py_now_seconds() + timeout * 1e-3;
    self->in_wait = true;
    q5py_watchdog *watchdog = watchdog_of(self);
    q5py_watchdog_wait(watchdog, true);
    Py_BEGIN_ALLOW_THREADS
        n = q5_poller_wait(self->poller, timeout);
    Py_END_ALLOW_THREADS
    if (watchdog == watchdog_of(self)) q5py_watchdog_wait(watchdog, false);
    self->in_wait = false;
    self->held_since = 0; /* the tick will send it */
    atomic_store(&self->waiting, false);
    if (n < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    self->serving = true;
    for (q5py_poll_hook *hook = self->hooks; hook; hook = hook->next)
        hook->after_wait(hook);
    q5_poller_deliver(self->poller);
    q5py_poller_free_dropped(self);
    q5py_poller_work_off_inbox(self);
    self->serving = false;
    q5py_poller_wake_thread(self);
    if (self->raised) {
        q5py_exception_set(self->raised);
        self->raised = NULL;
        return -1;
    }
    /* A signal without a Python-level wake-up descriptor must still raise. */
    return PyErr_CheckSignals();
}

/* ---- waiting until something is due ---------------------------------------------------------- */

/* Milliseconds left until due (0: unknown, wait for ever), rounded up. */
static int msec_until(double due) {
    double left = due - q5py_now_seconds();
    if (left <= 0) return 0;
    return left > 86400 ? 86400000 : (int)ceil(left * 1000);
}

static int parse_timeout(PyObject *arg, double *ret_due) {
    *ret_due = -1;
    if (arg == Py_None) return 0;
    double timeout = PyFloat_AsDouble(arg);
    if (timeout == -1.0 && PyErr_Occurred()) return -1;
    if (!(timeout > 0)) {
        *ret_due = 0;
        return 0;
    }
    *ret_due = q5py_now_seconds() + timeout;
    return 0;
}

/* Waits until asyncio has work or `due`: monotonic seconds; -1: never; 0: does not wait. */
static int serve_until(q5py_poller *self, double due) {
    bool over;
    int work;
    do {
        int hooks = call_before_hooks(self);
        int left = due < 0 ? -1 : due == 0 ? 0 : msec_until(due);
        work = self->loop_ready ? asyncio_has_work(self) : 0;
        if (work < 0 || wait_once(self, work || self->raised ? 0 : sooner(left, hooks))) return -1;
        over = due >= 0 && (due == 0 || msec_until(due) == 0);
        work = asyncio_has_work(self);
    } while (!over && work == 0);
    return work < 0 ? -1 : 0;
}

PyObject *q5py_poller_select(PyObject *op, PyObject *const *args, Py_ssize_t nargs) {
    q5py_poller *self = (q5py_poller *)op;
    double due;
    if (self->ready) {
        PyErr_SetString(PyExc_RuntimeError, "select() is running already");
        return NULL;
    }
    if (parse_timeout(nargs ? args[0] : Py_None, &due)) return NULL;
    if (!(self->ready = PyList_New(0))) return NULL;
    int rc = look_at_timers(self);
    if (rc == 0) rc = serve_until(self, due);
    PyObject *ready = self->ready;
    self->ready = NULL;
    Py_CLEAR(self->loop_timers);
    Py_CLEAR(self->loop_next);
    if (rc) Py_CLEAR(ready);
    return ready;
}
