/* _quintette.Request: the Python face of an exchange. The project's request class derives from it
 * and from django.http.HttpRequest; it is created here without calling __init__. */
#ifndef Q5PY_REQUEST_H
#define Q5PY_REQUEST_H

#include "q5py.h"

typedef struct q5py_request {
    PyObject_HEAD q5_exchange *x; /* one reference; never NULL once created by C */
    PyObject *server;             /* owned; the Server whose pool x is from, NULL when detached */
    char peer_host[46];           /* the client's: see client.h; "": not known */
    uint16_t peer_port;
    PyObject *resolver_match; /* owned; NULL: None. A UrlMatch until somebody asks */
    /* Attributes that middleware in C has promised: bits of middleware.h. Cleared when one is made.
     */
    unsigned lazy;
    PyObject *session_store; /* owned or NULL: with the session's bit, its class */
} q5py_request;

/* An instance of the class that set_request_class registered (by default Request itself); takes
 * its own reference to x. New reference or NULL. */
PyObject *q5py_request_new(q5py_state *state, q5_exchange *x);

/* Attributes that are made when they are asked for: bits of middleware.h, and with the session's
 * bit its class. Does nothing for a request of another host. */
void q5py_request_promise(q5py_state *state, PyObject *request, unsigned lazy,
                          PyObject *session_store);

/* For any instance of Request. The decoded path, "/" where it is empty: new reference, or NULL with
 * an exception. */
PyObject *q5py_request_path(PyObject *request);
/* Its exchange, borrowed, or NULL with RuntimeError: made in Python, not by the server. */
q5_exchange *q5py_request_exchange(PyObject *request);
/* Its resolver_match is to be made of this UrlMatch. */
void q5py_request_set_match(PyObject *request, PyObject *match);

/* ---- request_environ.c: methods of the type */
PyObject *q5py_request_environ(PyObject *request, PyObject *unused);
PyObject *q5py_request_cookies(PyObject *request, PyObject *unused);
/* The address that the client has connected to; false: there is no socket. */
bool q5py_request_local(q5_exchange *x, char host[46], uint16_t *ret_port);

#endif
