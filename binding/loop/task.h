/* _quintette.Task: drives one coroutine. It is what asyncio.current_task() answers inside it, and
 * behaves as an asyncio.Task to whoever looks (cancel, uncancel, callbacks, names, isinstance), but
 * its first step runs at once and a coroutine that never waits costs no turn of the loop. */
#ifndef Q5PY_TASK_H
#define Q5PY_TASK_H

#include "q5py.h"

typedef struct q5py_task q5py_task;

typedef enum q5py_task_state {
    Q5PY_TASK_PENDING,
    Q5PY_TASK_CANCELLED,
    Q5PY_TASK_FINISHED
} q5py_task_state;

struct q5py_task {
    PyObject_HEAD q5py_state *module;
    PyObject *coro;
    PyObject *context;
    PyObject *loop;
    PyObject *name;      /* NULL: made up when asked for */
    PyObject *waiter;    /* the future it waits for, or NULL */
    PyObject *callbacks; /* list of (callback, context), or NULL */
    PyObject *at_end;    /* list of callables, or NULL */
    PyObject *result;
    PyObject *exception; /* normalised, or NULL */
    PyObject *cancel_message;
    PyObject *weakrefs;
    long cancels;
    q5py_task_state state;
    bool must_cancel, blocking, registered;
    /* Told once when the coroutine has ended, before the callbacks; NULL: nobody is. Result and
     * exception can be read then. An exception must not be left set. */
    void (*on_end)(q5py_task *task, void *arg);
    void *arg; /* while there is on_end: the flight */
};

/* Takes over neither reference. Nothing runs yet. */
q5py_task *q5py_task_new(q5py_state *state, PyObject *loop, PyObject *coro, PyObject *context);
/* The first step, at once, in the task's context; on_end may be called before it returns, and from
 * later steps is called in that context too. 0; -1 with an exception when the coroutine raised one
 * that whoever runs the loop must see, as asyncio has it: KeyboardInterrupt or SystemExit. */
int q5py_task_start(q5py_task *task);
/* Runs a further coroutine in the ended task, whose on_end it is called from; the reference to
 * coro is borrowed. */
void q5py_task_continue(q5py_task *task, PyObject *coro);
/* A wait of a task of ours is over: the next step, with an exception to throw in (NULL: none); in a
 * later turn of the loop, or now: not while another task is being stepped. */
void q5py_task_resume(q5py_task *task, PyObject *exception, bool now);
/* As asyncio.Task.cancel(). False when it has ended. */
bool q5py_task_cancel(q5py_task *task, PyObject *message);

#endif
