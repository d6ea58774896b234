/* _quintette.Lock: mutual exclusion between greenlets, coroutines and threads, first come, first
 * served. */
#ifndef Q5PY_LOCK_H
#define Q5PY_LOCK_H

#include "wait.h"

int q5py_init_lock(PyObject *module, q5py_state *state);

#endif
