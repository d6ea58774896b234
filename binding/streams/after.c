#include "after.h"

#include "convert.h"

/* Of a request that was answered; one that was given up has come to nothing. */
void q5py_after_start(q5py_flight *flight) {
    PyObject *after = flight->pass.after;
    if (!after || !flight->x->status) return;
    q5py_server *server = flight->server;
    PyObject *loop = server->poller ? server->poller->loop : server->memory_loop;
    PyObject *exception = q5py_exception_take();
    PyObject *done =
        PyObject_CallMethod(after, "start", "OO", loop ? loop : Py_None, flight->context);
    if (!done) q5py_server_error(server, NULL);
    Py_XDECREF(done);
    if (exception) q5py_exception_set(exception);
}
