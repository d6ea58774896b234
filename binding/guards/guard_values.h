/* Shared by guards that ask functions of the project's. */
#ifndef Q5PY_GUARD_VALUES_H
#define Q5PY_GUARD_VALUES_H

#include "guard.h"

/* The values of the path by name, converted as the handler gets them; without those that it will
 * refuse. New reference, or NULL with an exception. */
PyObject *q5py_pass_path(q5py_pass *pass);
/* function(request, values of the path): new reference, or NULL with an exception. */
PyObject *q5py_pass_ask(q5py_pass *pass, PyObject *function);
/* Raises the exception that maker() makes. */
void q5py_raise_made(PyObject *maker);

#endif
