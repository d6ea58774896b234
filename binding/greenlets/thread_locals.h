/* What a thread state holds for threading.local and PyThreadState_GetDict(), to be exchanged: a
 * greenlet that has its own sees no other's thread-local data, as if it were a thread. Under the
 * GIL. Uses fields of PyThreadState that its public header shows (cpython/pystate.h). */
#ifndef Q5PY_THREAD_LOCALS_H
#define Q5PY_THREAD_LOCALS_H

#include "q5py.h"

/* Owned references, each NULL until the thread needs it. */
typedef struct q5py_thread_locals {
    PyObject *dict;
#if PY_VERSION_HEX >= 0x030D0000
    PyObject *key, *sentinel;
#endif
} q5py_thread_locals;

/* Empty ones, that share nothing with the calling thread's but the running event loop. 0, or -1
 * with an exception. */
int q5py_thread_locals_renew(q5py_thread_locals *locals);
/* Exchanges them with those of the thread state. */
void q5py_thread_locals_swap(q5py_thread_locals *locals);
/* May run anything. */
void q5py_thread_locals_clear(q5py_thread_locals *locals);

#endif
