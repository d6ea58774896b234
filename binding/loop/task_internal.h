/* What the files of _quintette.Task share; see task.c for which does what. */
#ifndef Q5PY_TASK_INTERNAL_H
#define Q5PY_TASK_INTERNAL_H

#include "task.h"

/* ---- task.c */
/* task.result(). */
PyObject *q5py_task_result(PyObject *task, PyObject *unused);

/* ---- task_step.c */
/* Steps the coroutine, with an exception to throw in (NULL: none). 0, or -1 with an exception for
 * whoever runs the loop. Called in the task's context. */
int q5py_task_step(q5py_task *task, PyObject *exception);

/* ---- task_wait.c */
/* The coroutine has yielded something: a future that it waits for, or None for "next turn". */
void q5py_task_wait_for(q5py_task *task, PyObject *yielded);
/* A step in the loop's next turn, with an exception to throw in (None: none). A loop that takes no
 * more callbacks leaves the task as it is, like any other. */
void q5py_task_step_soon(q5py_task *task, PyObject *exception);
/* The same; the current exception is thrown in. */
void q5py_task_step_soon_with_error(q5py_task *task);
/* all_tasks() lists tasks that wait; one that never does is never registered. */
void q5py_task_set_registered(q5py_task *task, bool on);

/* ---- task_callbacks.c */
/* loop.call_soon(callback, arg, context=context). 0, or -1 with an exception (the loop is closed).
 */
int q5py_task_call_soon(q5py_task *task, PyObject *callback, PyObject *arg, PyObject *context);
/* Of a task that has ended: those of call_at_end() now, done callbacks in the next turn. */
void q5py_task_call_at_end(q5py_task *task);
void q5py_task_schedule_callbacks(q5py_task *task);
/* Methods and an attribute of the type. */
PyObject *q5py_task_call_at_end_method(PyObject *task, PyObject *callback);
PyObject *q5py_task_add_done_callback(PyObject *task, PyObject *args, PyObject *kwargs);
PyObject *q5py_task_remove_done_callback(PyObject *task, PyObject *callback);
PyObject *q5py_task_get_callbacks(PyObject *task, void *unused);

/* ---- task_await.c */
/* A new iterator of the type _quintette.TaskAwait. */
PyObject *q5py_task_await(PyObject *task);
int q5py_init_task_await(PyObject *module, q5py_state *state);

#endif
