/* _quintette.LimitTable: what throttles remember of their keys, in memory of the process or of all
 * processes forked from the one that made it. */
#ifndef Q5PY_LIMIT_TABLE_H
#define Q5PY_LIMIT_TABLE_H

#include "q5py.h"

#include "q5/limit.h"

typedef struct q5py_limit_table {
    PyObject_HEAD q5_limit_table table;
    void *memory; /* owned, by mmap */
    size_t size;  /* bytes */
} q5py_limit_table;

/* A request of the key, a keyed hash, now, by the system's monotonic clock. */
q5_limit_verdict q5py_limit_take(const q5py_limit_table *self, const q5_limit_rate *rate,
                                 uint64_t key);
/* Adds the type to the module. 0, or -1 with an exception. */
int q5py_init_limit_table(PyObject *module, q5py_state *state);

#endif
