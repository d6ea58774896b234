#include "channel.h"

#include "pieces.h"

#define HISTORY_MAX 65536

/* ---- the ring -------------------------------------------------------------------------------- */

static void drop_oldest(q5py_channel *self) {
    q5py_entry entry = *q5py_channel_at(self, self->first++);
    self->bytes -= (size_t)PyBytes_GET_SIZE(entry.bytes);
    Py_DECREF(entry.bytes);
    Py_DECREF(entry.event);
}

static bool is_full(const q5py_channel *self, size_t len) {
    return self->next - self->first >= self->history || self->bytes + len > self->bytes_max;
}

static int keep(q5py_channel *self, PyObject *event, PyObject *bytes) {
    size_t len = (size_t)PyBytes_GET_SIZE(bytes);
    if (len > self->bytes_max) {
        PyErr_Format(PyExc_ValueError, "an event of %zu bytes: the channel keeps %zu", len,
                     self->bytes_max);
        return -1;
    }
    if (is_full(self, len)) q5py_channel_spill(self);
    while (is_full(self, len))
        drop_oldest(self);
    *q5py_channel_at(self, self->next++) = (q5py_entry){Py_NewRef(event), Py_NewRef(bytes)};
    self->bytes += len;
    return 0;
}

/* ---- publishing ------------------------------------------------------------------------------ */

static PyObject *channel_publish(PyObject *op, PyObject *event) {
    q5py_channel *self = (q5py_channel *)op;
    PyObject *bytes = q5py_pieces_encode(self->pieces, event);
    if (!bytes) return NULL;
    int rc = -1;
    if (self->closed)
        PyErr_SetString(PyExc_RuntimeError, "the channel is closed");
    else
        rc = keep(self, event, bytes);
    Py_DECREF(bytes);
    if (rc) return NULL;
    q5py_channel_tell(self);
    Py_RETURN_NONE;
}

static PyObject *channel_close(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_channel *self = (q5py_channel *)op;
    self->closed = true;
    q5py_channel_tell(self);
    Py_RETURN_NONE;
}

static PyObject *channel_subscribe(PyObject *op, PyObject *args) {
    PyObject *cls, *last_event_id;
    if (!PyArg_ParseTuple(args, "O!O", &PyType_Type, &cls, &last_event_id)) return NULL;
    return q5py_subscription_new((q5py_channel *)op, cls, last_event_id);
}

/* ---- the type -------------------------------------------------------------------------------- */

static PyObject *channel_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"pieces", "history", "history_bytes", "cuts", NULL};
    /* May be a subclass's. */
    q5py_state *state = q5py_state_of_type(type);
    PyObject *pieces;
    unsigned int history;
    Py_ssize_t bytes_max;
    int cuts;
    if (!state ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "O!Inp:Channel", names, state->pieces_type,
                                     &pieces, &history, &bytes_max, &cuts))
        return NULL;
    if (history == 0 || history > HISTORY_MAX || bytes_max <= 0)
        return PyErr_Format(PyExc_ValueError, "a channel keeps from 1 to %d events", HISTORY_MAX);
    uint32_t cap = 1;
    while (cap < history)
        cap *= 2;
    q5py_channel *self = (q5py_channel *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->state = state;
    self->pieces = Py_NewRef(pieces);
    self->history = history;
    self->bytes_max = (size_t)bytes_max;
    self->cuts = cuts;
    self->cap = cap;
    self->ring = PyMem_Calloc(cap, sizeof(*self->ring));
    self->waiting = PyDict_New();
    if (self->ring && self->waiting) return (PyObject *)self;
    if (!self->ring) PyErr_NoMemory();
    Py_DECREF(self);
    return NULL;
}

static int channel_traverse(PyObject *op, visitproc visit, void *arg) {
    q5py_channel *self = (q5py_channel *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->pieces);
    Py_VISIT(self->waiting);
    for (uint64_t i = self->first; i < self->next; i++)
        Py_VISIT(q5py_channel_at(self, i)->event);
    return 0;
}

static int channel_clear(PyObject *op) {
    q5py_channel *self = (q5py_channel *)op;
    while (self->first < self->next)
        drop_oldest(self);
    if (self->waiting) PyDict_Clear(self->waiting);
    return 0;
}

/* No station is left: its subscriptions hold references. */
static void channel_dealloc(PyObject *op) {
    q5py_channel *self = (q5py_channel *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    channel_clear(op);
    Py_CLEAR(self->waiting);
    Py_XDECREF(self->pieces);
    PyMem_Free(self->ring);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyObject *channel_subscribers(PyObject *op, void *unused) {
    (void)unused;
    q5py_channel *self = (q5py_channel *)op;
    return PyLong_FromSsize_t((Py_ssize_t)self->attached + PyDict_GET_SIZE(self->waiting));
}

static PyObject *channel_is_closed(PyObject *op, void *unused) {
    (void)unused;
    return PyBool_FromLong(((q5py_channel *)op)->closed);
}

static PyMethodDef channel_methods[] = {
    {"send", channel_publish, METH_O,
     "send(event)\n\nKeeps the event and has it sent to everybody who has subscribed."},
    {"open", channel_subscribe, METH_VARARGS, "open(cls, last_event_id) -> Subscription"},
    {"close", channel_close, METH_NOARGS,
     "close()\n\nNothing more is published: streams end with the last event."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef channel_getset[] = {
    {"subscribers", channel_subscribers, NULL, "int: streams that wait for events", NULL},
    {"closed", channel_is_closed, NULL, "bool: nothing more is published", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot channel_slots[] = {
    {Py_tp_doc, "Events for many at once; see api/channels.py."},
    {Py_tp_new, channel_new},
    {Py_tp_dealloc, channel_dealloc},
    {Py_tp_traverse, channel_traverse},
    {Py_tp_clear, channel_clear},
    {Py_tp_methods, channel_methods},
    {Py_tp_getset, channel_getset},
    {0, NULL},
};

static PyType_Spec channel_spec = {
    .name = "quintette._quintette.Channel",
    .basicsize = sizeof(q5py_channel),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = channel_slots,
};

int q5py_init_channel(PyObject *module, q5py_state *state) {
    state->channel_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &channel_spec, NULL);
    return state->channel_type ? PyModule_AddType(module, state->channel_type) : -1;
}
