/* _quintette.Poller: the selector of an asyncio loop that also drives our servers. */
#ifndef Q5PY_POLLER_H
#define Q5PY_POLLER_H

#include <pthread.h>
#include <stdatomic.h>

#include "q5py.h"

#define Q5PY_EVENT_READ 1 /* selectors.EVENT_READ, EVENT_WRITE; also psycopg's WAIT_R, WAIT_W */
#define Q5PY_EVENT_WRITE 2

typedef struct q5py_job q5py_job;
typedef struct q5py_thread_pool q5py_thread_pool;

/* Work that crosses threads. Embedded in its owner. run is called in a worker thread, finish on the
 * loop's thread, all under the GIL; none may leave an exception set. */
struct q5py_job {
    q5py_job *next;
    void (*run)(q5py_job *job);
    /* Or NULL. In the worker thread after run, while the loop's thread is inside the kernel's wait:
     * does what finish would, as far as that thread may. True: done, and the job may be gone. */
    bool (*finish_here)(q5py_job *job);
    void (*finish)(q5py_job *job);
    PyObject *object; /* owned; the Job that a Python executor or loop holds, or NULL */
};

/* Something that wants to be called before each wait, and after it. Embedded in its owner. */
typedef struct q5py_poll_hook q5py_poll_hook;
struct q5py_poll_hook {
    q5py_poll_hook *prev, *next;
    /* Milliseconds until the next call is needed, -1: none. */
    int (*before_wait)(q5py_poll_hook *hook);
    void (*after_wait)(q5py_poll_hook *hook);
    /* By a worker thread while the loop's is inside its wait: sends what finished jobs have left.
     * Milliseconds until before_wait must be called, -1: none. */
    int (*stand_in)(q5py_poll_hook *hook);
    /* The loop has been closed: nothing of it may be waited for any more. May remove the hook.
     * NULL: nothing to do. */
    void (*on_close)(q5py_poll_hook *hook);
    PyObject *owner; /* kept alive until the hook is removed */
};

/* A watch of its own, on the heap, for an owner that may end in another thread (the cyclic
 * collector runs anywhere) while the loop's is inside its wait, which may have fetched an event of
 * it. */
typedef struct q5py_watch {
    q5_watch watch;
    void *owner; /* borrowed; NULL: gone, and the event is nobody's */
    struct q5py_watch *next_dropped;
} q5py_watch;

typedef struct q5py_poller {
    PyObject_HEAD q5py_state *state;
    q5_poller *poller;
    PyObject *keys;                           /* dict: fd -> SelectorKey */
    struct q5py_registration **registrations; /* by fd; owned */
    q5py_watch *dropped;                      /* during a wait; freed after it; owned */
    int registrations_cap;
    PyObject *ready;      /* the list that select will return; NULL outside of select */
    PyObject *loop;       /* bound loop, or NULL */
    PyObject *loop_ready; /* its deque of ready handles, or NULL */
    PyObject *loop_timers, *loop_next; /* during select: its heap, and what was first in it */
    PyObject *raised; /* a KeyboardInterrupt or SystemExit that select will raise, or NULL */
    /* A thread is inside the kernel's wait, without the GIL. While this is seen under the GIL,
     * nobody else can be in the midst of anything that the GIL guards. */
    bool in_wait;
    double wait_until;         /* when that wait will end, monotonic seconds; negative: open end */
    bool serving;              /* hooks, events or jobs are being worked off */
    double held_since;         /* when a worker first held something back; 0: nothing is */
    q5py_thread_pool *to_wake; /* owned: a thread of it was called while we serve; or NULL */
    q5py_poll_hook *hooks;
    /* The inbox: jobs that finished in other threads. */
    pthread_mutex_t lock;
    q5py_job *inbox_first, *inbox_last;
    atomic_bool waiting; /* inside the kernel's wait: a post must wake it */
    int wake_fds[2];
    q5_watch wake_watch;
} q5py_poller;

/* Q5_POLL_* for Q5PY_EVENT_*. */
static inline unsigned q5py_poll_events(long events) {
    return (events & Q5PY_EVENT_READ ? Q5_POLL_READ : 0) |
           (events & Q5PY_EVENT_WRITE ? Q5_POLL_WRITE : 0);
}

/* The poller takes a reference to hook->owner, so that an owner is never freed by what its own hook
 * runs. */
void q5py_poller_add_hook(q5py_poller *poller, q5py_poll_hook *hook);
/* May free the owner. */
void q5py_poller_remove_hook(q5py_poller *poller, q5py_poll_hook *hook);
/* Under the GIL, from any thread: removes the watch from the kernel's poller and takes over its
 * block, which is from PyMem_*alloc and begins with it. It is freed once no event can be on its way
 * to it. */
void q5py_poller_drop(q5py_poller *poller, q5py_watch *watch);
/* Another thread is inside the kernel's wait: what it may be about to deliver must not be freed.
 * True, with RuntimeError set, when the caller must not go on. */
bool q5py_poller_is_waiting(q5py_poller *poller);
/* Under the GIL: takes back a job that was posted and whose finish was not called yet, if so. */
void q5py_poller_forget(q5py_poller *poller, q5py_job *job);
/* Takes the current exception, which must reach whoever runs the loop: select will raise it. */
void q5py_poller_raise(q5py_poller *poller);
/* From any thread, with or without the GIL: job->finish will be called on the loop's thread. The
 * caller makes sure that the poller outlives the job. */
void q5py_poller_post(q5py_poller *poller, q5py_job *job);
/* Under the GIL: is the poller at work, so that the pool's thread, which could not have the GIL, is
 * better woken when that is done or Python code is about to run? Then it will be. */
bool q5py_poller_will_wake(q5py_poller *poller, q5py_thread_pool *pool);
void q5py_poller_wake_thread(q5py_poller *poller);
/* Under the GIL, by a worker thread after job->run: finishes the job here or posts it. What it has
 * to send is held back for a moment when this thread has more jobs: sent together, responses cost
 * the kernel less. */
void q5py_poller_settle(q5py_poller *poller, q5py_job *job, bool more);
/* Under the GIL, by a worker thread: sends what was held back. */
void q5py_poller_stand_in(q5py_poller *poller);

#endif
