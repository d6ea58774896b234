/* _quintette.BodySource: a request's body, taken while it comes. */
#ifndef Q5PY_BODY_SOURCE_H
#define Q5PY_BODY_SOURCE_H

#include "server/server.h"

/* New reference, or NULL with an exception. Of an exchange with a flight. */
PyObject *q5py_body_source_new(q5py_state *state, q5_exchange *x);
/* On the loop: there is more to take, or no more will come. */
void q5py_body_source_wake(q5py_flight *flight);
/* The flight ends. */
void q5py_body_source_detach(q5py_flight *flight);

int q5py_init_body_source(PyObject *module, q5py_state *state);

#endif
