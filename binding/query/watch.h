/* Seeing queries: `quintette.db.watch` is told of each request and of each query that runs on a
 * connection of ours. While nothing watches, state->watch_request and state->watch_query are NULL,
 * and testing that is all it costs. Called under the GIL, on any thread. */
#ifndef Q5PY_WATCH_H
#define Q5PY_WATCH_H

#include "query.h"
#include "server/server.h"

/* set_watch(request, query): callables or None.
 *   request(method, path, handler or None) -> None, or an object with two methods:
 *     fields() -> list of (name, value) for the response's head; end()
 *   query(Statement, arguments) -> None, or done(succeeded), called once unless the query runs
 *     elsewhere or is given up */
PyObject *q5py_set_watch(PyObject *module, PyObject *args);

/* Of a flight that has its context; sets flight->watched. Only with state->watch_request. */
void q5py_watch_request(q5py_flight *flight);
/* Borrows nothing: a new reference to the list of fields, or NULL without an exception. */
PyObject *q5py_watch_fields(q5py_flight *flight);
/* Tells flight->watched that the request is over, and drops it. Keeps the current exception. */
void q5py_watch_end(q5py_flight *flight);

/* A new reference to done(), or NULL without an exception. */
static inline PyObject *q5py_watch_query(q5py_pending *pending);
/* Steals the reference, which may be NULL; keeps the current exception. */
void q5py_watch_done(PyObject *done, bool succeeded);

PyObject *q5py__watch_query(q5py_pending *pending);

static inline PyObject *q5py_watch_query(q5py_pending *pending) {
    return pending->statement->state->watch_query ? q5py__watch_query(pending) : NULL;
}

#endif
