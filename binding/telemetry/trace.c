#include "spans.h"

/* ---- a server's ------------------------------------------------------------------------------ */

PyObject *q5py_server_trace(PyObject *op, PyObject *args) {
    q5py_server *self = (q5py_server *)op;
    const char *name, *seed;
    Py_ssize_t name_len, seed_len;
    int trust;
    if (!PyArg_ParseTuple(args, "s#py#:trace", &name, &name_len, &trust, &seed, &seed_len))
        return NULL;
    if (name_len > Q5PY_ID_FIELD_MAX || seed_len != Q5_RANDOM_SEED_SIZE) {
        PyErr_Format(PyExc_ValueError, "a name of up to %d bytes and a seed of %d are needed",
                     Q5PY_ID_FIELD_MAX, Q5_RANDOM_SEED_SIZE);
        return NULL;
    }
    q5py_tracing *tracing = PyMem_Calloc(1, sizeof(*tracing));
    if (!tracing) return PyErr_NoMemory();
    q5_random_init(&tracing->random, (const uint8_t *)seed);
    tracing->trust = trust;
    tracing->name_len = (uint8_t)name_len;
    memcpy(tracing->name, name, (size_t)name_len);
    PyMem_Free(self->tracing);
    self->tracing = tracing;
    Py_RETURN_NONE;
}

/* ---- a request's ----------------------------------------------------------------------------- */

/* What the client calls its request, where it may; else empty. */
static q5_slice given_id(const q5py_tracing *tracing, const q5_head *head) {
    const q5_field *field =
        tracing->trust && tracing->name_len
            ? q5_head_find(head, q5_slice_make(tracing->name, tracing->name_len), 0)
            : NULL;
    if (!field || !q5_request_id_valid(field->value)) return q5_slice_make(NULL, 0);
    return field->value;
}

static char *put(char *at, const char *text, size_t len) {
    memcpy(at, text, len);
    return at + len;
}

/* "X-Request-ID: 4bf9...\r\n"; without a name, the id alone. */
static void put_line(q5py_tracing *tracing, q5_exchange *x, q5py_note *note, q5_slice given) {
    char *at = note->line;
    if (tracing->name_len) at = put(put(at, tracing->name, tracing->name_len), ": ", 2);
    x->request_id = q5_slice_make(at, given.len ? given.len : Q5_REQUEST_ID_LEN);
    if (given.len)
        put(at, given.base, given.len);
    else
        q5_request_id_make(&note->trace, &tracing->random, at);
    if (!tracing->name_len) return;
    at = put(at + x->request_id.len, "\r\n", 2);
    x->own_line = q5_slice_make(note->line, (size_t)(at - note->line));
}

void q5py_trace_head(q5py_server *server, q5_exchange *x) {
    q5py_tracing *tracing = server->tracing;
    if (!tracing) {
        q5py_note *plain = q5_arena_alloc(&x->arena, sizeof(*plain));
        if (plain) *plain = (q5py_note){.route = 0};
        x->note = plain;
        return;
    }
    q5_slice given = given_id(tracing, &x->head);
    size_t id_len = given.len ? given.len : Q5_REQUEST_ID_LEN;
    q5py_note *note = q5_arena_alloc(&x->arena, sizeof(*note) + tracing->name_len + id_len + 4);
    if (!note) return;
    note->route = 0;
    note->context = NULL;
    note->begin_unix_usec = 0;
    q5_trace_begin(&note->trace, &x->head, &tracing->random);
    put_line(tracing, x, note, given);
    x->note = note;
    if (server->spans) q5py_spans_sample(server->spans, note);
}

int q5py_trace_tell(q5py_flight *flight) {
    q5py_state *state = flight->server->state;
    if (!flight->x->request_id.len) return 0;
    PyObject *trace = q5py_trace_new(state, flight->x);
    if (!trace || PyContext_Enter(flight->context)) {
        Py_XDECREF(trace);
        return -1;
    }
    PyObject *token = PyContextVar_Set(state->trace_var, trace);
    int rc = token ? 0 : -1;
    q5py_spans *spans = flight->server->spans;
    if (rc == 0 && spans) rc = q5py_spans_tell(spans, flight->x->note, trace);
    Py_XDECREF(token);
    Py_DECREF(trace);
    return PyContext_Exit(flight->context) || rc ? -1 : 0;
}
