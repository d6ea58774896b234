/* _quintette.FdWait: readiness of one descriptor for code in greenlets. It stays registered with
 * the poller from one wait to the next, so that waiting for an answer costs no system call. */
#ifndef Q5PY_FD_WAIT_H
#define Q5PY_FD_WAIT_H

#include "wait.h"

int q5py_init_fd_wait(PyObject *module, q5py_state *state);

#endif
