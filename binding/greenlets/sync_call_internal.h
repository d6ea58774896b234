/* What sync_call.c and greenlets.c share. */
#ifndef Q5PY_SYNC_CALL_INTERNAL_H
#define Q5PY_SYNC_CALL_INTERNAL_H

#include "sync_call.h"
#include "thread_locals.h"

struct _greenlet; /* greenlet's PyGreenlet */
typedef struct q5py_sync_call q5py_sync_call;

/* A greenlet of ours. Owned by its call while it runs one, else by the thread's list, or, should
 * the call be freed by another thread, by greenlet_main(). */
typedef struct q5py_greenlet {
    struct _greenlet *greenlet; /* owned; NULL: orphaned */
    q5py_thread_locals locals;
    q5py_sync_call *call; /* borrowed; NULL: idle, or orphaned */
    struct q5py_greenlet *next;
    bool last_call; /* it ends with the call that it runs */
} q5py_greenlet;

struct q5py_sync_call {
    PyObject_HEAD q5py_state *module;
    PyObject *(*body)(void *arg);
    void *arg;
    PyObject *func, *args, *kwargs; /* of call_python */
    q5py_greenlet *greenlet;        /* owned while the call runs */
    struct _greenlet *stepper;      /* owned during a step: who is switched back to */
    q5py_sync_call *outer;          /* borrowed during a step: whose code steps this one */
    struct _greenlet *waiting;      /* owned between steps: who is switched to */
    PyObject *awaited;              /* owned: what q5py_yield() hands out */
    PyObject *thrown;               /* owned: what it shall raise */
    PyObject *result, *exception;   /* owned; once ended */
    unsigned long thread_id;
    bool started, stepping, ended, closing, stands_still;
};

/* Runs the call until it waits or has ended. ret_value: the awaited object, or the result. */
PySendResult q5py_sync_call_step(q5py_sync_call *call, PyObject **ret_value);
/* The call that it runs is freed by another thread: it ends when its own comes by. */
void q5py_greenlet_orphan(q5py_greenlet *greenlet);
/* 0, or -1 with an exception. */
int q5py_init_greenlets(q5py_state *state);

#endif
