/* _quintette.Watchdog: notices when user code holds the event loop of a server for long. The loop's
 * thread writes down where it is (one store; no clock); a thread of the watchdog's own looks at
 * that now and then, and needs the GIL only once something has lasted too long. */
#ifndef Q5PY_WATCHDOG_H
#define Q5PY_WATCHDOG_H

#include <pthread.h>
#include <stdatomic.h>

#include "poller.h"

/* Where the loop's thread is: the lowest bits of `place`; the others count the changes. */
#define Q5PY_PLACE_WAITING 0u /* in the kernel's wait, or for the GIL after it */
#define Q5PY_PLACE_LOOP 1u    /* our code in C, or asyncio's callbacks */
#define Q5PY_PLACE_USER 2u    /* what a request's task or handler runs */
#define Q5PY_PLACE_BITS 2

typedef struct q5py_watchdog q5py_watchdog;
typedef struct q5py_flight q5py_flight;

struct q5py_watchdog {
    PyObject_HEAD q5py_state *state;
    q5py_poller *poller; /* owned */
    PyObject *look;      /* owned: look(thread_id, subject) -> what report() is given, else None */
    PyObject *callback;  /* owned: callback(thread_id) -> the frame of asyncio's callback or None */
    PyObject *report;    /* owned: report(seen, seconds, over) */
    unsigned long loop_id; /* the thread that called start() */
    unsigned limit_msec;
    /* Written by the loop's thread, under the GIL. */
    _Atomic uint64_t place;
    unsigned depth; /* of USER within USER */
    const q5py_flight
        *flight; /* borrowed: of the innermost; read in USER, under the GIL; or NULL */
    /* Written by the watchdog's thread. */
    _Atomic uint64_t count, total_msec, longest_msec;
    /* Of the watchdog's thread alone. */
    uint64_t seen;    /* the place that it saw last, ... */
    double since;     /* ... since when, monotonic seconds, ... */
    PyObject *sample; /* ... what look() gave, owned; or NULL, ... */
    PyObject *frame;  /* ... and callback()'s, owned; or NULL */
    bool noted, told; /* too long; reported although it goes on */
    pthread_t thread;
    pthread_mutex_t lock; /* of the two below */
    pthread_cond_t call;
    bool running, stopping;
    atomic_bool dozing; /* it sleeps until the loop has something to do */
};

/* Whom to name (dispatch.c): the handler, the Request, or None. New reference. */
PyObject *q5py_flight_subject(const q5py_flight *flight);

void q5py_watchdog_wake(q5py_watchdog *self);

static inline void q5py_watchdog_set(q5py_watchdog *self, unsigned place) {
    uint64_t before = atomic_load_explicit(&self->place, memory_order_relaxed);
    uint64_t count = (before >> Q5PY_PLACE_BITS) + 1;
    atomic_store_explicit(&self->place, count << Q5PY_PLACE_BITS | place, memory_order_relaxed);
}

/* Around each wait of the poller; self may be NULL. */
static inline void q5py_watchdog_wait(q5py_watchdog *self, bool begins) {
    if (!self) return;
    q5py_watchdog_set(self, begins ? Q5PY_PLACE_WAITING : Q5PY_PLACE_LOOP);
    if (!begins && atomic_load_explicit(&self->dozing, memory_order_relaxed))
        q5py_watchdog_wake(self);
}

/* Around user code on the loop's thread. Gives what leave() must be given. */
static inline const q5py_flight *q5py_watchdog_enter(q5py_watchdog *self,
                                                     const q5py_flight *flight) {
    const q5py_flight *outer = self->flight;
    self->flight = flight;
    self->depth++;
    q5py_watchdog_set(self, Q5PY_PLACE_USER);
    return outer;
}

static inline void q5py_watchdog_leave(q5py_watchdog *self, const q5py_flight *outer) {
    self->flight = outer;
    q5py_watchdog_set(self, --self->depth ? Q5PY_PLACE_USER : Q5PY_PLACE_LOOP);
}

/* How often, and for how many milliseconds in all and at most, something held that poller's loop.
 */
typedef struct q5py_watchdog_stats {
    unsigned long long count, total_msec, longest_msec;
} q5py_watchdog_stats;

q5py_watchdog_stats q5py_watchdog_get_stats(const q5py_state *state, const q5py_poller *poller);

int q5py_init_watchdog(PyObject *module, q5py_state *state);

#endif
