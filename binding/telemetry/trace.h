/* Whose request it is: its id, and its place in a trace (q5/trace_context.h). Known from the head
 * on; told to the project by a context variable, to the client by a field, to logs by both.
 *
 *   trace.c        per request;  trace_type.c: _quintette.Trace, what the variable holds */
#ifndef Q5PY_TRACE_H
#define Q5PY_TRACE_H

#include "server/server.h"

#include "q5/trace_context.h"

#define Q5PY_ID_FIELD_MAX 64 /* bytes of the field's name */

/* Of a server whose requests are traced. */
typedef struct q5py_tracing {
    q5_random random;
    bool trust;       /* a client's own id is taken over where it is valid */
    uint8_t name_len; /* 0: no field is read or sent */
    char name[Q5PY_ID_FIELD_MAX];
} q5py_tracing;

/* x->note of exchanges of such a server, or of one that counts; in their arena. */
typedef struct q5py_note {
    q5_trace trace;           /* where requests are traced */
    PyObject *context;        /* owned or NULL: see spans.h */
    uint64_t begin_unix_usec; /* of a sampled one */
    uint32_t route;           /* of a request that no plan answers: see metrics.h */
    char line[];              /* x->own_line, and within it x->request_id */
} q5py_note;

/* Server.trace(): see server.c. */
PyObject *q5py_server_trace(PyObject *server, PyObject *args);
/* In on_head: makes x->note. Out of memory, the request has none, and no id. */
void q5py_trace_head(q5py_server *server, q5_exchange *x);
/* Of a flight whose context is new: sets the variable there. 0, or -1 with an exception. */
int q5py_trace_tell(q5py_flight *flight);

/* ---- trace_type.c */
/* A Trace of an exchange with a note: new reference, or NULL with an exception. */
PyObject *q5py_trace_new(q5py_state *state, const q5_exchange *x);

#endif
