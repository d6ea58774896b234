/* _quintette.Trace: one request's id and place in a trace. It outlives its request where a task
 * that the request started does, and holds nothing else of it. */
#include "trace.h"

#include "convert.h"

typedef struct trace_object {
    PyObject_VAR_HEAD q5_trace trace;
    uint64_t begin_unix_usec;
    PyObject *state;   /* owned or NULL: the caller's tracestate */
    char request_id[]; /* as many bytes as the object has items */
} trace_object;

PyObject *q5py_trace_new(q5py_state *state, const q5_exchange *x) {
    const q5py_note *note = x->note;
    PyTypeObject *type = state->trace_type;
    trace_object *self = (trace_object *)type->tp_alloc(type, (Py_ssize_t)x->request_id.len);
    if (!self) return NULL;
    self->trace = note->trace;
    self->begin_unix_usec = note->begin_unix_usec;
    memcpy(self->request_id, x->request_id.base, x->request_id.len);
    q5_slice caller = q5_trace_state(&note->trace, &x->head);
    if (!caller.len) return (PyObject *)self;
    self->state = q5py_latin1(caller);
    if (!self->state) Py_CLEAR(self);
    return (PyObject *)self;
}

static PyObject *hex(const uint8_t *bytes, size_t size) {
    char text[2 * Q5_TRACE_ID_SIZE];
    q5_hex_write(bytes, size, text);
    return PyUnicode_FromStringAndSize(text, (Py_ssize_t)(2 * size));
}

static PyObject *get_request_id(PyObject *op, void *unused) {
    (void)unused;
    return PyUnicode_FromStringAndSize(((trace_object *)op)->request_id, Py_SIZE(op));
}

static PyObject *get_trace_id(PyObject *op, void *unused) {
    (void)unused;
    return hex(((trace_object *)op)->trace.trace_id, Q5_TRACE_ID_SIZE);
}

static PyObject *get_span_id(PyObject *op, void *unused) {
    (void)unused;
    return hex(((trace_object *)op)->trace.span_id, Q5_SPAN_ID_SIZE);
}

static PyObject *get_parent_id(PyObject *op, void *unused) {
    (void)unused;
    const q5_trace *trace = &((trace_object *)op)->trace;
    if (!trace->has_parent) Py_RETURN_NONE;
    return hex(trace->parent_id, Q5_SPAN_ID_SIZE);
}

static PyObject *get_sampled(PyObject *op, void *unused) {
    (void)unused;
    return PyBool_FromLong(((trace_object *)op)->trace.flags & Q5_TRACE_SAMPLED);
}

static PyObject *get_flags(PyObject *op, void *unused) {
    (void)unused;
    return PyLong_FromLong(((trace_object *)op)->trace.flags);
}

static PyObject *get_tracestate(PyObject *op, void *unused) {
    (void)unused;
    PyObject *caller = ((trace_object *)op)->state;
    return caller ? Py_NewRef(caller) : PyUnicode_FromString("");
}

static PyObject *get_begin_ns(PyObject *op, void *unused) {
    (void)unused;
    return PyLong_FromUnsignedLongLong(((trace_object *)op)->begin_unix_usec * 1000);
}

static PyObject *get_traceparent(PyObject *op, void *unused) {
    (void)unused;
    char text[Q5_TRACEPARENT_LEN];
    q5_traceparent_format(&((trace_object *)op)->trace, text);
    return PyUnicode_FromStringAndSize(text, sizeof(text));
}

static PyObject *trace_repr(PyObject *op) {
    PyObject *id = get_request_id(op, NULL);
    PyObject *text = id ? PyUnicode_FromFormat("<Trace of request %U>", id) : NULL;
    Py_XDECREF(id);
    return text;
}

static void trace_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    Py_XDECREF(((trace_object *)op)->state);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyGetSetDef trace_getset[] = {
    {"request_id", get_request_id, NULL, "str", NULL},
    {"trace_id", get_trace_id, NULL, "str, 32 hexadecimal digits", NULL},
    {"span_id", get_span_id, NULL, "str, 16 hexadecimal digits: this request's", NULL},
    {"parent_id", get_parent_id, NULL, "str, 16 hexadecimal digits: the caller's, or None", NULL},
    {"sampled", get_sampled, NULL, "bool: the trace is to be recorded", NULL},
    {"flags", get_flags, NULL, "int, as in traceparent", NULL},
    {"traceparent", get_traceparent, NULL, "str: what a request made on its behalf sends", NULL},
    {"tracestate", get_tracestate, NULL, "str: the caller's, to be sent along; may be empty", NULL},
    {"begin_ns", get_begin_ns, NULL, "int: since 1970, of a sampled request; else 0", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot trace_slots[] = {
    {Py_tp_doc, "A request's id and place in a trace. Made by the server alone."},
    {Py_tp_dealloc, trace_dealloc},
    {Py_tp_repr, trace_repr},
    {Py_tp_getset, trace_getset},
    {0, NULL},
};

static PyType_Spec trace_spec = {
    .name = "quintette._quintette.Trace",
    .basicsize = offsetof(trace_object, request_id),
    .itemsize = 1,
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = trace_slots,
};

int q5py_init_trace(PyObject *module, q5py_state *state) {
    state->trace_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &trace_spec, NULL);
    if (!state->trace_type) return -1;
    state->trace_var = PyContextVar_New("quintette.trace", NULL);
    if (!state->trace_var || PyModule_AddObjectRef(module, "trace_var", state->trace_var))
        return -1;
    return PyModule_AddType(module, state->trace_type);
}
