/* _quintette.SyncCall: an awaitable that runs synchronous code in a greenlet on the thread of the
 * event loop. When that code waits (q5py_wait_here), the greenlet is switched away from and the
 * awaitable yields what is waited for; whoever steps the awaitable, a Task for instance, is thus
 * the one that waits. A step, and with it the code, runs in the stepper's context and as its task.
 */
#ifndef Q5PY_SYNC_CALL_H
#define Q5PY_SYNC_CALL_H

#include "wait.h"

/* Runs body(arg) in a greenlet when it is stepped; the result is a new reference or NULL with an
 * exception. A coroutine for q5py_task_new. With stands_still the code sees no event loop and
 * cannot wait, but that q5py_yield() works. */
PyObject *q5py_sync_call_new(q5py_state *state, PyObject *(*body)(void *arg), void *arg,
                             bool stands_still);

/* Is the calling code in a greenlet of ours? */
bool q5py_in_greenlet(void);
/* And may it wait there? */
bool q5py_can_wait(void);

/* Hands the awaited object (new reference is taken) to whoever steps the current greenlet and
 * returns when it is stepped again: 0, or -1 with the exception that was thrown in. */
int q5py_yield(PyObject *awaited);

/* Methods of the module: those that wait in wait_for.c, the last in greenlets.c. */
PyObject *q5py_wait_for(PyObject *module, PyObject *awaitable);
PyObject *q5py_can_wait_py(PyObject *module, PyObject *unused);
PyObject *q5py_steppers(PyObject *module, PyObject *unused);

int q5py_init_sync_call(PyObject *module, q5py_state *state);

#endif
