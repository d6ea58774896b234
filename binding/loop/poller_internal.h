/* What the files of _quintette.Poller share; see poller.c for which does what. */
#ifndef Q5PY_POLLER_INTERNAL_H
#define Q5PY_POLLER_INTERNAL_H

#include "poller.h"

/* ---- poller_wait.c */
/* The method. */
PyObject *q5py_poller_select(PyObject *poller, PyObject *const *args, Py_ssize_t nargs);
/* Frees what q5py_poller_drop() has kept: no event is on its way. */
void q5py_poller_free_dropped(q5py_poller *poller);

/* ---- poller_files.c */
/* Methods. */
PyObject *q5py_poller_register(PyObject *poller, PyObject *args);
PyObject *q5py_poller_unregister(PyObject *poller, PyObject *file);
PyObject *q5py_poller_modify(PyObject *poller, PyObject *args);
PyObject *q5py_poller_get(PyObject *poller, PyObject *args);
PyObject *q5py_poller_get_key(PyObject *poller, PyObject *file);
Py_ssize_t q5py_poller_length(PyObject *poller);
int q5py_poller_contains(PyObject *poller, PyObject *file);
PyObject *q5py_poller_iter(PyObject *poller);
PyObject *q5py_poller_values(PyObject *poller, PyObject *unused);
/* No file is watched any more. poller->keys is left as it is. */
void q5py_poller_drop_files(q5py_poller *poller);
/* After that: frees the table. */
void q5py_poller_free_files(q5py_poller *poller);
/* For tp_traverse. */
int q5py_poller_visit_files(q5py_poller *poller, visitproc visit, void *arg);

/* ---- poller_jobs.c */
/* What is written into wakes the wait. 0, or -1 with errno. */
int q5py_poller_open_wake(q5py_poller *poller);
bool q5py_poller_inbox_empty(q5py_poller *poller);
/* Finishes the jobs that are there now: what is posted meanwhile waits for the next turn. */
void q5py_poller_work_off_inbox(q5py_poller *poller);

#endif
