/* _quintette.Wait: something that will be over once. A coroutine awaits it, as it would an
 * asyncio.Future; synchronous code in a greenlet waits for it by q5py_wait_here(). Belongs to one
 * event loop and is touched on that loop's thread only. */
#ifndef Q5PY_WAIT_H
#define Q5PY_WAIT_H

#include "loop/poller.h"
#include "loop/task.h"

typedef enum q5py_wait_state {
    Q5PY_WAIT_PENDING,
    Q5PY_WAIT_DONE,
    Q5PY_WAIT_CANCELLED
} q5py_wait_state;

typedef struct q5py_wait q5py_wait;

struct q5py_wait {
    PyObject_HEAD q5py_state *module;
    PyObject *loop;
    q5py_task *task;     /* owned: the one of ours that waits; or NULL */
    PyObject *callbacks; /* list of (callback, context), or NULL */
    PyObject *result;    /* NULL: None */
    PyObject *exception; /* normalised, or NULL */
    PyObject *cancel_message;
    q5py_wait_state state;
    bool blocking, expired;
    /* Whoever waited has given up: nobody will look at the outcome. NULL: the maker need not know.
     * Called at most once; not once the wait is done. */
    void (*on_cancel)(q5py_wait *wait, void *arg);
    void *arg;
};

/* Of the loop that runs in this thread; NULL with an exception: none does. */
q5py_wait *q5py_wait_new(q5py_state *state);
/* Of that loop, which runs in this thread, though it may be hidden. A new reference is taken. */
q5py_wait *q5py_wait_new_on(q5py_state *state, PyObject *loop);
/* It is over, with that result (NULL: None; a new reference is taken). Whoever waits goes on in a
 * later turn of the loop. Nothing when it was over already. */
void q5py_wait_finish(q5py_wait *wait, PyObject *result);
/* The same, and a task of ours goes on within this call. Only from what the poller calls, where no
 * other task is being stepped. May run anything. */
void q5py_wait_finish_now(q5py_wait *wait, PyObject *result);
/* It has failed, with the current exception. */
void q5py_wait_fail(q5py_wait *wait);
bool q5py_wait_cancel(q5py_wait *wait);

/* In a greenlet of ours (q5py_can_wait): other code runs on this thread until the wait is over.
 * timeout_s < 0: no bound. 0: it is over, and *ret_result, unless ret_result is NULL, is a new
 * reference; 1: the time is; -1 with an exception: it failed, or this code was cancelled. */
int q5py_wait_here(q5py_wait *wait, double timeout_s, PyObject **ret_result);

/* The poller of the loop that runs in this thread, when it is ours; NULL without an exception when
 * it is another's. */
q5py_poller *q5py_running_poller(q5py_state *state);

int q5py_init_wait(PyObject *module, q5py_state *state);

#endif
