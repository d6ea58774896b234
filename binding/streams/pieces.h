/* What the items of a stream are sent as: events or lines of JSON. One object per declared type,
 * made at import time; constant, so that any thread may use it under the GIL. */
#ifndef Q5PY_PIECES_H
#define Q5PY_PIECES_H

#include "q5py.h"

/* `pieces` is a _quintette.Pieces. New reference to bytes, or NULL with an exception. */
PyObject *q5py_pieces_encode(PyObject *pieces, PyObject *item);

/* Events, which a client asks for again when they end. */
bool q5py_pieces_are_events(PyObject *pieces);

int q5py_init_pieces(PyObject *module, q5py_state *state);

#endif
