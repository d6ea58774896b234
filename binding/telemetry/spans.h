/* OpenTelemetry: who is sampled, and what is told of each sampled request once it is over. Whether
 * is decided here, at its head; the span is made in Python (quintette/telemetry.py), of many
 * requests together, when the loop's thread is about to wait. */
#ifndef Q5PY_SPANS_H
#define Q5PY_SPANS_H

#include "trace.h"

#define Q5PY_SPANS_MAX 10000 /* that wait to be told; further ones are dropped */

/* Of a server. */
typedef struct q5py_spans {
    PyObject *finish;            /* owned: finish(list), see telemetry.py */
    PyTypeObject *context_class; /* owned: made for each request, without its __init__ */
    PyObject *variable;          /* owned: the ContextVar that it is set in */
    bool all;                    /* each trace that begins here; else those */
    uint64_t bound;              /* whose id's lower half is below it */
    bool obeys_parent;           /* where there is one, its flag decides */
    PyObject *pending;           /* owned list of tuples */
} q5py_spans;

/* Server.spans(): see server.c. */
PyObject *q5py_server_spans(PyObject *server, PyObject *args);
void q5py_spans_free(q5py_spans *spans);
int q5py_spans_traverse(q5py_spans *spans, visitproc visit, void *arg);
/* At the head: sets or clears the trace's flag. */
void q5py_spans_sample(const q5py_spans *spans, q5py_note *note);
/* In the flight's context: sets the variable. 0, or -1 with an exception. */
int q5py_spans_tell(q5py_spans *spans, q5py_note *note, PyObject *trace);
/* In on_done: runs no Python code. */
void q5py_spans_done(q5py_server *server, q5_exchange *x, uint64_t duration_usec);
/* On the loop's thread, outside of the library: tells what is pending. */
void q5py_spans_flush(q5py_spans *spans);

static inline bool q5py_spans_pending(const q5py_spans *spans) {
    return spans && PyList_GET_SIZE(spans->pending) > 0;
}

#endif
