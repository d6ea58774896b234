/* See watch.h. Whoever watches must not break what it sees: its exceptions are reported as
 * unraisable. */
#include "watch.h"

#include "convert.h"

PyObject *q5py_set_watch(PyObject *module, PyObject *args) {
    q5py_state *state = PyModule_GetState(module);
    PyObject *request, *query;
    if (!PyArg_ParseTuple(args, "OO", &request, &query)) return NULL;
    Py_XSETREF(state->watch_request, request == Py_None ? NULL : Py_NewRef(request));
    Py_XSETREF(state->watch_query, query == Py_None ? NULL : Py_NewRef(query));
    Py_RETURN_NONE;
}

/* The same reference, but NULL for None and, once it was reported, for an exception. */
static PyObject *something(PyObject *object, PyObject *watcher) {
    if (!object) PyErr_WriteUnraisable(watcher);
    if (object == Py_None) Py_CLEAR(object);
    return object;
}

/* ---- requests -------------------------------------------------------------------------------- */

void q5py_watch_request(q5py_flight *flight) {
    q5py_state *state = flight->server->state;
    const q5_head *head = &flight->x->head;
    PyObject *watcher = Py_NewRef(state->watch_request);
    PyObject *handler = flight->plan ? flight->plan->handler : Py_None;
    if (PyContext_Enter(flight->context)) {
        PyErr_WriteUnraisable(watcher);
    } else {
        flight->watched = something(
            PyObject_CallFunction(watcher, "s#y#O", head->method.base, (Py_ssize_t)head->method.len,
                                  head->path.base, (Py_ssize_t)head->path.len, handler),
            watcher);
        if (PyContext_Exit(flight->context)) PyErr_WriteUnraisable(watcher);
    }
    Py_DECREF(watcher);
}

PyObject *q5py_watch_fields(q5py_flight *flight) {
    PyObject *watched = flight->watched;
    return watched ? something(PyObject_CallMethod(watched, "fields", NULL), watched) : NULL;
}

void q5py_watch_end(q5py_flight *flight) {
    PyObject *watched = flight->watched;
    if (!watched) return;
    flight->watched = NULL;
    PyObject *exception = q5py_exception_take();
    Py_XDECREF(something(PyObject_CallMethod(watched, "end", NULL), watched));
    Py_DECREF(watched);
    if (exception) q5py_exception_set(exception);
}

/* ---- queries --------------------------------------------------------------------------------- */

PyObject *q5py__watch_query(q5py_pending *pending) {
    PyObject *watcher = Py_NewRef(pending->statement->state->watch_query);
    PyObject *done = something(
        PyObject_CallFunctionObjArgs(watcher, pending->statement, pending->arguments, NULL),
        watcher);
    Py_DECREF(watcher);
    return done;
}

void q5py_watch_done(PyObject *done, bool succeeded) {
    if (!done) return;
    PyObject *exception = q5py_exception_take();
    Py_XDECREF(something(PyObject_CallOneArg(done, succeeded ? Py_True : Py_False), done));
    Py_DECREF(done);
    if (exception) q5py_exception_set(exception);
}
