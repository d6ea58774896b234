/* See watchdog.h. Time is known to the watchdog's thread alone, which looks eight times per limit:
 * what it reports has lasted at least the limit, and what lasts a quarter longer is reported. */
#include "watchdog.h"

#include <errno.h>
#include <signal.h>

#include "condition.h"
#include "convert.h"
#include "now.h"

#define LOOKS_PER_LIMIT 8
#define LIMIT_MSEC_MAX 60000
#define IDLE_SECONDS 1.0  /* of waiting; then it dozes */
#define DOZE_SECONDS 1.0  /* at most, should a call have been missed */
#define STILL_SECONDS 5.0 /* what lasts so long is reported before its end */

/* ---- on the loop's thread -------------------------------------------------------------------- */

void q5py_watchdog_wake(q5py_watchdog *self) {
    atomic_store(&self->dozing, false);
    pthread_mutex_lock(&self->lock);
    pthread_cond_signal(&self->call);
    pthread_mutex_unlock(&self->lock);
}

/* ---- on the watchdog's thread, under the GIL ------------------------------------------------- */

/* subject: NULL: there is no such argument. None where the call fails. */
static PyObject *call_or_none(q5py_watchdog *self, PyObject *function, PyObject *subject) {
    PyObject *id = PyLong_FromUnsignedLong(self->loop_id);
    PyObject *result = id ? PyObject_CallFunctionObjArgs(function, id, subject, NULL) : NULL;
    Py_XDECREF(id);
    if (result) return result;
    PyErr_WriteUnraisable(function);
    return Py_NewRef(Py_None);
}

/* Under the GIL the loop's thread does not move on. */
static bool still_there(q5py_watchdog *self) {
    return atomic_load_explicit(&self->place, memory_order_relaxed) == self->seen;
}

/* A callback of asyncio's: several in a row look the same from here. It is the same one if its
 * frame is. False: not as long as the limit yet. */
static bool same_callback(q5py_watchdog *self, double now) {
    PyObject *frame = still_there(self) ? call_or_none(self, self->callback, NULL) : NULL;
    bool same = frame && frame != Py_None && frame == self->frame;
    Py_XSETREF(self->frame, frame);
    if (!same) self->since = now;
    return same;
}

/* What has lasted so long may be over before the GIL is had: then there is nothing to see. */
static void look(q5py_watchdog *self) {
    if (!still_there(self)) return;
    PyObject *subject = self->seen & Q5PY_PLACE_USER && self->flight
                            ? q5py_flight_subject(self->flight)
                            : Py_NewRef(Py_None);
    Py_XSETREF(self->sample, call_or_none(self, self->look, subject));
    Py_DECREF(subject);
}

static void tell(q5py_watchdog *self, double seconds, bool over) {
    PyObject *done = PyObject_CallFunction(self->report, "Odi",
                                           self->sample ? self->sample : Py_None, seconds, over);
    if (!done) PyErr_WriteUnraisable(self->report);
    Py_XDECREF(done);
}

/* ---- on the watchdog's thread, without the GIL ----------------------------------------------- */

static void count(q5py_watchdog *self, double seconds) {
    uint64_t msec = (uint64_t)(seconds * 1000);
    atomic_fetch_add(&self->count, 1);
    atomic_fetch_add(&self->total_msec, msec);
    if (msec > atomic_load(&self->longest_msec)) atomic_store(&self->longest_msec, msec);
}

/* The place has lasted as long as the limit. */
static void note(q5py_watchdog *self, double now) {
    PyGILState_STATE gil = PyGILState_Ensure();
    if (self->seen & Q5PY_PLACE_USER || same_callback(self, now)) {
        look(self);
        self->noted = true;
    }
    PyGILState_Release(gil);
}

static void move_on(q5py_watchdog *self, uint64_t place, double now) {
    double seconds = now - self->since;
    if (self->noted) count(self, seconds);
    if (self->noted || self->frame) {
        PyGILState_STATE gil = PyGILState_Ensure();
        if (self->noted && !self->told) tell(self, seconds, true);
        Py_CLEAR(self->sample);
        Py_CLEAR(self->frame);
        PyGILState_Release(gil);
    }
    self->noted = self->told = false;
    self->seen = place;
    self->since = now;
}

static void tell_of_endless(q5py_watchdog *self, double seconds) {
    PyGILState_STATE gil = PyGILState_Ensure();
    tell(self, seconds, false);
    PyGILState_Release(gil);
    self->told = true;
}

/* How long to sleep now, in seconds. */
static double step(q5py_watchdog *self) {
    double now = q5py_now_seconds(), limit = self->limit_msec * 1e-3;
    uint64_t place = atomic_load_explicit(&self->place, memory_order_relaxed);
    bool waiting = (place & ((1u << Q5PY_PLACE_BITS) - 1)) == Q5PY_PLACE_WAITING;
    if (place != self->seen)
        move_on(self, place, now);
    else if (waiting && now - self->since > IDLE_SECONDS)
        return DOZE_SECONDS;
    else if (!waiting && !self->noted && now - self->since >= limit)
        note(self, now);
    else if (self->noted && !self->told && now - self->since > STILL_SECONDS)
        tell_of_endless(self, now - self->since);
    return limit / LOOKS_PER_LIMIT;
}

/* Under the lock. The place is looked at once more, after `dozing` can be seen; should the loop's
 * thread have missed it all the same, it is back in DOZE_SECONDS. */
static void sleep_for(q5py_watchdog *self, double seconds) {
    bool doze = seconds >= DOZE_SECONDS;
    struct timespec until = q5py_condition_until(seconds);
    atomic_store(&self->dozing, doze);
    if (doze && atomic_load(&self->place) != self->seen) return;
    pthread_cond_timedwait(&self->call, &self->lock, &until);
    atomic_store(&self->dozing, false);
}

static void *watch(void *arg) {
    q5py_watchdog *self = arg;
    self->seen = atomic_load(&self->place);
    self->since = q5py_now_seconds();
    pthread_mutex_lock(&self->lock);
    while (!self->stopping) {
        pthread_mutex_unlock(&self->lock);
        double seconds = step(self);
        pthread_mutex_lock(&self->lock);
        if (!self->stopping) sleep_for(self, seconds);
    }
    pthread_mutex_unlock(&self->lock);
    move_on(self, 0, q5py_now_seconds());
    return NULL;
}

q5py_watchdog_stats q5py_watchdog_get_stats(const q5py_state *state, const q5py_poller *poller) {
    q5py_watchdog *self = state->watchdog;
    if (!self || self->poller != poller) return (q5py_watchdog_stats){0};
    return (q5py_watchdog_stats){atomic_load(&self->count), atomic_load(&self->total_msec),
                                 atomic_load(&self->longest_msec)};
}

/* ---- the type -------------------------------------------------------------------------------- */

/* Signals are the loop's thread's. */
static int start_thread(q5py_watchdog *self) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&self->thread, NULL, watch, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static PyObject *watchdog_start(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_watchdog *self = (q5py_watchdog *)op;
    if (self->state->watchdog || self->stopping) {
        PyErr_SetString(PyExc_RuntimeError, self->stopping ? "the watchdog was stopped"
                                                           : "a watchdog is at work already");
        return NULL;
    }
    self->loop_id = PyThread_get_thread_ident();
    atomic_store(&self->place, (uint64_t)1 << Q5PY_PLACE_BITS | Q5PY_PLACE_LOOP);
    int error = start_thread(self);
    if (error) {
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    self->running = true;
    self->state->watchdog = (q5py_watchdog *)Py_NewRef(op);
    Py_RETURN_NONE;
}

static PyObject *watchdog_stop(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_watchdog *self = (q5py_watchdog *)op;
    if (!self->running) Py_RETURN_NONE;
    self->running = false;
    pthread_mutex_lock(&self->lock);
    self->stopping = true;
    pthread_cond_signal(&self->call);
    pthread_mutex_unlock(&self->lock);
    Py_BEGIN_ALLOW_THREADS
        pthread_join(self->thread, NULL);
    Py_END_ALLOW_THREADS
    self->state->watchdog = NULL;
    Py_DECREF(self);
    Py_RETURN_NONE;
}

static PyObject *watchdog_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"poller", "limit_msec", "look", "callback", "report", NULL};
    q5py_state *state = q5py_state_of_type(type);
    PyObject *poller, *look_function, *callback, *report;
    unsigned limit_msec;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!IOOO", keywords, state->poller_type, &poller,
                                     &limit_msec, &look_function, &callback, &report))
        return NULL;
    if (limit_msec < 1 || limit_msec > LIMIT_MSEC_MAX) {
        PyErr_Format(PyExc_ValueError, "limit_msec must be from 1 to %d", LIMIT_MSEC_MAX);
        return NULL;
    }
    q5py_watchdog *self = (q5py_watchdog *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->state = state;
    self->limit_msec = limit_msec;
    self->poller = (q5py_poller *)Py_NewRef(poller);
    self->look = Py_NewRef(look_function);
    self->callback = Py_NewRef(callback);
    self->report = Py_NewRef(report);
    pthread_mutex_init(&self->lock, NULL);
    q5py_condition_init(&self->call);
    return (PyObject *)self;
}

/* While it runs the module's state holds it, so nothing is left to stop here. */
static void watchdog_dealloc(PyObject *op) {
    q5py_watchdog *self = (q5py_watchdog *)op;
    PyTypeObject *type = Py_TYPE(op);
    Py_XDECREF(self->poller);
    Py_XDECREF(self->look);
    Py_XDECREF(self->callback);
    Py_XDECREF(self->report);
    pthread_mutex_destroy(&self->lock);
    pthread_cond_destroy(&self->call);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef watchdog_methods[] = {
    {"start", watchdog_start, METH_NOARGS,
     "start()\n\nOn the loop's thread. One watchdog at a time in a process."},
    {"stop", watchdog_stop, METH_NOARGS, "stop()\n\nIts thread has ended afterwards."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot watchdog_slots[] = {
    {Py_tp_doc,
     "Watchdog(poller, limit_msec, look, callback, report)\n\n"
     "Calls, in a thread of its own: look(thread_id, subject) while something holds the loop;\n"
     "report(what look gave or None, seconds, over) afterwards; callback(thread_id): the frame of\n"
     "the callback that asyncio runs, or None."},
    {Py_tp_new, watchdog_new},
    {Py_tp_dealloc, watchdog_dealloc},
    {Py_tp_methods, watchdog_methods},
    {0, NULL},
};

static PyType_Spec watchdog_spec = {
    .name = "quintette._quintette.Watchdog",
    .basicsize = sizeof(q5py_watchdog),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = watchdog_slots,
};

int q5py_init_watchdog(PyObject *module, q5py_state *state) {
    state->watchdog_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &watchdog_spec, NULL);
    return state->watchdog_type ? PyModule_AddType(module, state->watchdog_type) : -1;
}
