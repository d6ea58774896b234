/* _quintette.Poller: the selector of an asyncio loop that also drives our servers. */
#ifndef Q5PY_POLLER_H
#define Q5PY_POLLER_H

#include <pthread.h>
#include <stdatomic.h>

#include "q5py.h"

typedef struct q5py_job q5py_job;

/* Work that crosses threads. Embedded in its owner. run is called in a worker thread, finish on the
 * loop's thread, both under the GIL; an exception must not be left set by either. */
struct q5py_job {
    q5py_job *next;
    void (*run)(q5py_job *job);
    void (*finish)(q5py_job *job);
};

/* Something that wants to be called before each wait, and after it. Embedded in its owner. */
typedef struct q5py_poll_hook q5py_poll_hook;
struct q5py_poll_hook {
    q5py_poll_hook *prev, *next;
    /* Milliseconds until the next call is needed, -1: none. */
    int (*before_wait)(q5py_poll_hook *hook);
    void (*after_wait)(q5py_poll_hook *hook);
};

typedef struct q5py_poller {
    PyObject_HEAD q5py_state *state;
    q5_poller *poller;
    PyObject *keys;                           /* dict: fd -> SelectorKey */
    struct q5py_registration **registrations; /* by fd; owned */
    int registrations_cap;
    PyObject *ready;      /* the list that select will return */
    PyObject *loop;       /* bound loop, or NULL */
    PyObject *loop_ready; /* its deque of ready handles, or NULL */
    q5py_poll_hook *hooks;
    /* The inbox: jobs that finished in other threads. */
    pthread_mutex_t lock;
    q5py_job *inbox_first, *inbox_last;
    atomic_bool waiting; /* inside the kernel's wait: a post must wake it */
    int wake_fds[2];
    q5_watch wake_watch;
} q5py_poller;

void q5py_poller_add_hook(q5py_poller *poller, q5py_poll_hook *hook);
void q5py_poller_remove_hook(q5py_poller *poller, q5py_poll_hook *hook);
/* From any thread, with or without the GIL: job->finish will be called on the loop's thread. The
 * caller makes sure that the poller outlives the job. */
void q5py_poller_post(q5py_poller *poller, q5py_job *job);

#endif
