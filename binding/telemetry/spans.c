#include "spans.h"

#include <time.h>

#include "convert.h"
#include "metrics.h"
#include "traffic/client.h"

/* ---- configuration --------------------------------------------------------------------------- */

PyObject *q5py_server_spans(PyObject *op, PyObject *args) {
    q5py_server *self = (q5py_server *)op;
    PyObject *finish, *context_class, *variable, *bound;
    int obeys_parent;
    if (!PyArg_ParseTuple(args, "OO!O!Op:spans", &finish, &PyType_Type, &context_class,
                          &PyContextVar_Type, &variable, &bound, &obeys_parent))
        return NULL;
    q5py_spans *spans = PyMem_Calloc(1, sizeof(*spans));
    if (!spans) return PyErr_NoMemory();
    spans->all = bound == Py_None;
    spans->bound = spans->all ? 0 : PyLong_AsUnsignedLongLong(bound);
    spans->pending = PyErr_Occurred() ? NULL : PyList_New(0);
    if (!spans->pending) {
        PyMem_Free(spans);
        return NULL;
    }
    spans->finish = Py_NewRef(finish);
    spans->context_class = (PyTypeObject *)Py_NewRef(context_class);
    spans->variable = Py_NewRef(variable);
    spans->obeys_parent = obeys_parent;
    q5py_spans_free(self->spans);
    self->spans = spans;
    Py_RETURN_NONE;
}

void q5py_spans_free(q5py_spans *spans) {
    if (!spans) return;
    Py_DECREF(spans->finish);
    Py_DECREF(spans->context_class);
    Py_DECREF(spans->variable);
    Py_DECREF(spans->pending);
    PyMem_Free(spans);
}

int q5py_spans_traverse(q5py_spans *spans, visitproc visit, void *arg) {
    if (!spans) return 0;
    Py_VISIT(spans->finish);
    Py_VISIT(spans->context_class);
    Py_VISIT(spans->pending);
    return 0;
}

/* ---- the head -------------------------------------------------------------------------------- */

/* As TraceIdRatioBased does, so that all services of a trace that have its rate agree. */
static uint64_t lower_half(const uint8_t trace_id[Q5_TRACE_ID_SIZE]) {
    uint64_t value = 0;
    for (size_t i = Q5_TRACE_ID_SIZE / 2; i < Q5_TRACE_ID_SIZE; i++)
        value = value << 8 | trace_id[i];
    return value;
}

static bool is_sampled(const q5py_spans *spans, const q5_trace *trace) {
    if (trace->has_parent && spans->obeys_parent) return trace->flags & Q5_TRACE_SAMPLED;
    return spans->all || lower_half(trace->trace_id) < spans->bound;
}

static uint64_t unix_usec(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void q5py_spans_sample(const q5py_spans *spans, q5py_note *note) {
    q5_trace *trace = &note->trace;
    bool sampled = is_sampled(spans, trace);
    trace->flags = (uint8_t)((trace->flags & ~Q5_TRACE_SAMPLED) | (sampled ? Q5_TRACE_SAMPLED : 0));
    if (sampled) note->begin_unix_usec = unix_usec();
}

int q5py_spans_tell(q5py_spans *spans, q5py_note *note, PyObject *trace) {
    PyObject *none = PyTuple_New(0);
    PyObject *context =
        none ? spans->context_class->tp_new(spans->context_class, none, NULL) : NULL;
    Py_XDECREF(none);
    PyObject *token = NULL;
    if (context && PyObject_SetAttrString(context, "trace", trace) == 0)
        token = PyContextVar_Set(spans->variable, context);
    if (!token) {
        Py_XDECREF(context);
        return -1;
    }
    Py_DECREF(token);
    Py_XSETREF(note->context, context);
    return 0;
}

/* ---- the end --------------------------------------------------------------------------------- */

static PyObject *field(const q5_exchange *x, q5_field_id id) {
    const q5_field *found = q5_head_known(&x->head, id);
    return q5py_latin1(found ? found->value : q5_slice_make(NULL, 0));
}

/* What telemetry.Finished reads. */
static PyObject *describe(q5py_server *server, q5_exchange *x, uint64_t duration_usec) {
    const q5py_note *note = x->note;
    char host[Q5_ADDRESS_TEXT_MAX];
    uint16_t port;
    q5py_client_text(x, host, &port);
    bool is_https = q5py_client_is_https(x);
    PyObject *route = q5py_metrics_route(server, x);
    PyObject *context = note->context ? note->context : Py_None;
    return Py_BuildValue(
        "(NONNNNOisHKKNsi)", q5py_trace_new(server->state, x), context, q5py_latin1(x->head.method),
        q5py_latin1(x->head.path), q5py_latin1(x->head.query), q5py_latin1(x->head.host),
        route ? route : Py_None, x->status, host, port, duration_usec, x->sent_len,
        field(x, Q5_FIELD_USER_AGENT), is_https ? "https" : "http", (int)x->head.version_minor);
}

void q5py_spans_done(q5py_server *server, q5_exchange *x, uint64_t duration_usec) {
    q5py_note *note = x->note;
    if (!note) return;
    PyObject *list = server->spans->pending;
    bool told = (note->trace.flags & Q5_TRACE_SAMPLED) && PyList_GET_SIZE(list) < Q5PY_SPANS_MAX;
    if (told) {
        PyObject *exception = q5py_exception_take();
        PyObject *item = describe(server, x, duration_usec);
        if (!item || PyList_Append(list, item)) PyErr_WriteUnraisable((PyObject *)server);
        Py_XDECREF(item);
        if (exception) q5py_exception_set(exception);
    }
    Py_CLEAR(note->context);
}

void q5py_spans_flush(q5py_spans *spans) {
    PyObject *list = PyList_New(0);
    if (!list) {
        PyErr_Clear();
        return;
    }
    PyObject *pending = spans->pending;
    PyObject *finish = Py_NewRef(spans->finish);
    spans->pending = list;
    PyObject *done = PyObject_CallOneArg(finish, pending);
    if (!done) PyErr_WriteUnraisable(finish);
    Py_XDECREF(done);
    Py_DECREF(finish);
    Py_DECREF(pending);
}
