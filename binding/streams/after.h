/* Work for behind the response. */
#ifndef Q5PY_AFTER_H
#define Q5PY_AFTER_H

#include "server/server.h"

/* The flight ends, on any thread: what its handler has left to do is begun on the loop, in the
 * request's context. */
void q5py_after_start(q5py_flight *flight);

#endif
