#include "pieces.h"

#include "api/plan_data.h"
#include "q5/sse.h"

/* Shared with api/streams.py. */
typedef enum pieces_kind { PIECES_EVENTS, PIECES_LINES } pieces_kind;

typedef struct pieces_object {
    PyObject_HEAD pieces_kind kind;
    q5py_shape shape;      /* values of it are encoded as they are */
    PyObject *encode;      /* owned; value -> bytes */
    PyObject *convert;     /* owned or NULL; other value -> value */
    PyObject *event_class; /* owned */
} pieces_object;

/* ---- values ---------------------------------------------------------------------------------- */

static PyObject *encode_value(const pieces_object *self, PyObject *value) {
    int fits = self->convert ? q5py_shape_matches(&self->shape, value) : 1;
    if (fits < 0) return NULL;
    PyObject *sent = fits ? Py_NewRef(value) : PyObject_CallOneArg(self->convert, value);
    PyObject *bytes = sent ? PyObject_CallOneArg(self->encode, sent) : NULL;
    Py_XDECREF(sent);
    if (!bytes || PyBytes_Check(bytes)) return bytes;
    Py_DECREF(bytes);
    PyErr_SetString(PyExc_SystemError, "an encoder must return bytes");
    return NULL;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static PyObject *encode_line(const pieces_object *self, PyObject *item) {
    PyObject *bytes = encode_value(self, item);
    if (!bytes) return NULL;
    Py_ssize_t len = PyBytes_GET_SIZE(bytes);
    PyObject *line = PyBytes_FromStringAndSize(NULL, len + 1);
    if (line) {
        memcpy(PyBytes_AS_STRING(line), PyBytes_AS_STRING(bytes), (size_t)len);
        PyBytes_AS_STRING(line)[len] = '\n';
    }
    Py_DECREF(bytes);
    return line;
}

/* ---- events ---------------------------------------------------------------------------------- */

/* An event being written, and what its slices point into. */
typedef struct draft {
    q5_sse_event event;
    PyObject *kept[4]; /* owned */
    int kept_count;
} draft;

static void draft_clear(draft *d) {
    while (d->kept_count)
        Py_DECREF(d->kept[--d->kept_count]);
}

/* Takes over `text`, a str or bytes. */
static int take_text(draft *d, PyObject *text, q5_slice *ret) {
    d->kept[d->kept_count++] = text;
    if (PyBytes_Check(text)) {
        *ret = q5_slice_make(PyBytes_AS_STRING(text), (size_t)PyBytes_GET_SIZE(text));
        return 0;
    }
    Py_ssize_t len;
    const char *base = PyUnicode_AsUTF8AndSize(text, &len);
    if (base) *ret = q5_slice_make(base, (size_t)len);
    return base ? 0 : -1;
}

static int read_text(draft *d, PyObject *event, PyObject *name, q5_slice *ret) {
    PyObject *value = PyObject_GetAttr(event, name);
    if (!value) return -1;
    if (value == Py_None) {
        Py_DECREF(value);
        return 0;
    }
    if (!PyUnicode_Check(value)) Py_SETREF(value, PyObject_Str(value));
    return value ? take_text(d, value, ret) : -1;
}

static int read_retry(PyObject *event, PyObject *name, int64_t *ret) {
    PyObject *value = PyObject_GetAttr(event, name);
    if (!value) return -1;
    if (value != Py_None) *ret = PyLong_AsLongLong(value);
    Py_DECREF(value);
    if (PyErr_Occurred()) return -1;
    return 0;
}

/* Texts are sent as they are, anything else as JSON; an empty text is no data, which a client
 * takes for the same. */
static int take_data(const pieces_object *self, draft *d, PyObject *data) {
    bool is_text = PyUnicode_Check(data) || PyBytes_Check(data);
    PyObject *text = is_text ? Py_NewRef(data) : encode_value(self, data);
    if (!text || take_text(d, text, &d->event.data)) return -1;
    if (d->event.data.len == 0) d->event.data.base = NULL;
    return 0;
}

static int read_event(const pieces_object *self, draft *d, PyObject *event) {
    const q5py_state *state = q5py_state_of_type(Py_TYPE((PyObject *)self));
    PyObject *data = PyObject_GetAttr(event, state->str_data);
    int rc = data ? take_data(self, d, data) : -1;
    Py_XDECREF(data);
    if (rc || read_text(d, event, state->str_id, &d->event.id) ||
        read_text(d, event, state->str_event, &d->event.name) ||
        read_text(d, event, state->str_comment, &d->event.comment))
        return -1;
    return read_retry(event, state->str_retry, &d->event.retry_msec);
}

static PyObject *write_event(const q5_sse_event *event) {
    q5_buf buf;
    q5_buf_init(&buf, NULL);
    PyObject *bytes = NULL;
    int status = q5_sse_write(&buf, event);
    if (status == Q5_OK)
        bytes = PyBytes_FromStringAndSize(buf.base, (Py_ssize_t)buf.len);
    else if (status == Q5_ENOMEM)
        PyErr_NoMemory();
    else
        PyErr_SetString(PyExc_ValueError, "id and name of an event are one line, without NUL");
    q5_buf_deinit(&buf);
    return bytes;
}

static PyObject *encode_event(const pieces_object *self, PyObject *item) {
    draft d = {.event = q5_sse_event_make(q5_slice_make(NULL, 0))};
    int is_event = PyObject_IsInstance(item, self->event_class);
    int rc = is_event < 0 ? -1 : is_event ? read_event(self, &d, item) : take_data(self, &d, item);
    PyObject *bytes = rc ? NULL : write_event(&d.event);
    draft_clear(&d);
    return bytes;
}

PyObject *q5py_pieces_encode(PyObject *pieces, PyObject *item) {
    const pieces_object *self = (pieces_object *)pieces;
    return self->kind == PIECES_EVENTS ? encode_event(self, item) : encode_line(self, item);
}

bool q5py_pieces_are_events(PyObject *pieces) {
    return ((pieces_object *)pieces)->kind == PIECES_EVENTS;
}

/* ---- the type -------------------------------------------------------------------------------- */

static PyObject *pieces_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"kind", "shape", "encode", "convert", "event_class", NULL};
    int kind;
    PyObject *shape, *encode, *convert, *event_class;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "iO!OOO!:Pieces", names, &kind, &PyTuple_Type,
                                     &shape, &encode, &convert, &PyType_Type, &event_class))
        return NULL;
    if (kind < PIECES_EVENTS || kind > PIECES_LINES)
        return PyErr_Format(PyExc_ValueError, "unknown kind of pieces");
    pieces_object *self = (pieces_object *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->kind = (pieces_kind)kind;
    self->encode = Py_NewRef(encode);
    self->convert = convert == Py_None ? NULL : Py_NewRef(convert);
    self->event_class = Py_NewRef(event_class);
    if (q5py_shape_read(&self->shape, shape) < 0) Py_CLEAR(self);
    return (PyObject *)self;
}

static PyObject *pieces_call(PyObject *op, PyObject *args, PyObject *kwargs) {
    PyObject *item;
    if (kwargs && PyDict_GET_SIZE(kwargs)) {
        PyErr_SetString(PyExc_TypeError, "an item is positional");
        return NULL;
    }
    return PyArg_ParseTuple(args, "O", &item) ? q5py_pieces_encode(op, item) : NULL;
}

static int pieces_traverse(PyObject *op, visitproc visit, void *arg) {
    pieces_object *self = (pieces_object *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->encode);
    Py_VISIT(self->convert);
    Py_VISIT(self->event_class);
    return q5py_shape_traverse(&self->shape, visit, arg);
}

static int pieces_clear(PyObject *op) {
    Py_CLEAR(((pieces_object *)op)->convert);
    return 0;
}

static void pieces_dealloc(PyObject *op) {
    pieces_object *self = (pieces_object *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    pieces_clear(op);
    Py_XDECREF(self->encode);
    Py_XDECREF(self->event_class);
    q5py_shape_clear(&self->shape);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyType_Slot pieces_slots[] = {
    {Py_tp_doc, "pieces(item) -> bytes: how the items of a stream are sent."},
    {Py_tp_new, pieces_new},
    {Py_tp_call, pieces_call},
    {Py_tp_traverse, pieces_traverse},
    {Py_tp_clear, pieces_clear},
    {Py_tp_dealloc, pieces_dealloc},
    {0, NULL},
};

static PyType_Spec pieces_spec = {
    .name = "_quintette.Pieces",
    .basicsize = sizeof(pieces_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = pieces_slots,
};

int q5py_init_pieces(PyObject *module, q5py_state *state) {
    state->pieces_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &pieces_spec, NULL);
    return state->pieces_type ? PyModule_AddType(module, state->pieces_type) : -1;
}
