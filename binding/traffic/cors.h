/* _quintette.CorsGuard: which other sites' scripts may read what a route answers (Fetch standard,
 * 3.2, "CORS protocol"). */
#ifndef Q5PY_CORS_H
#define Q5PY_CORS_H

#include "guards/guard.h"

/* Whether this is a browser's question (OPTIONS with Origin and Access-Control-Request-Method),
 * and about which method; *ret_method points into the head. */
bool q5py_cors_is_preflight(const q5_head *head, q5_slice *ret_method);

#endif
