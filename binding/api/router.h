/* _quintette.Router: the routes of a project that are answered without Django, found in C. Plans
 * are added while it is built; once frozen it is read only, by any thread. */
#ifndef Q5PY_ROUTER_H
#define Q5PY_ROUTER_H

#include "plan.h"

#include "q5/router.h"

/* The router inside a _quintette.Router, frozen by this call. Borrowed; its routes are borrowed
 * PyObject pointers, q5py_plan or what else was added. Both live as long as the object. */
const q5_router *q5py_router_freeze(PyObject *router);

#endif
