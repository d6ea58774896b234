#include "body_source.h"

#include "convert.h"

typedef struct body_source {
    PyObject_HEAD q5_exchange *x; /* one reference */
    q5py_flight *flight;          /* borrowed; NULL once the request is answered */
    PyObject *wake;               /* owned or NULL: called once, on the loop's thread */
    q5py_job job;                 /* finish: on the loop, a thread has taken something */
    size_t taken;                 /* bytes that it has, and that the loop is yet to drop */
    bool posted;
} body_source;

/* ---- the loop's side ------------------------------------------------------------------------- */

static void on_taken(q5py_job *job) {
    body_source *self = Q5_CONTAINER_OF(job, body_source, job);
    size_t taken = self->taken;
    self->posted = false;
    self->taken = 0;
    q5_body_peek(self->x); /* asks the client for it, should that be due */
    q5_body_consume(self->x, taken);
}

void q5py_body_source_wake(q5py_flight *flight) {
    body_source *self = (body_source *)flight->body_source;
    PyObject *wake = self ? self->wake : NULL;
    if (!wake) return;
    self->wake = NULL;
    PyObject *done = PyObject_CallNoArgs(wake);
    if (!done) q5py_server_error(flight->server, NULL);
    Py_XDECREF(done);
    Py_DECREF(wake);
}

void q5py_body_source_detach(q5py_flight *flight) {
    body_source *self = (body_source *)flight->body_source;
    if (!self) return;
    q5py_job_forget(flight->server, &self->job);
    self->posted = false;
    flight->body_source = NULL;
    self->flight = NULL;
    Py_CLEAR(self->wake);
    Py_DECREF((PyObject *)self);
}

/* ---- the reader's side ----------------------------------------------------------------------- */

/* This thread is not the loop's, or nobody can tell: what is taken is dropped there. */
static bool is_elsewhere(const q5py_server *server) {
    if (server->poller) return server->poller->in_wait;
    PyObject *loop = PyObject_CallNoArgs(server->state->get_running_loop);
    bool none = !loop || loop == Py_None;
    if (!loop) PyErr_Clear();
    Py_XDECREF(loop);
    return none;
}

static void post(body_source *self) {
    if (self->posted) return;
    self->posted = true;
    q5py_server_post(self->flight->server, &self->job);
}

/* False, with an exception: the request is over. */
static bool is_open(const body_source *self) {
    if (self->flight) return true;
    PyErr_SetString(PyExc_RuntimeError, "the request is answered: nothing more of its body comes");
    return false;
}

static bool is_at_end(const body_source *self) {
    return q5_body_complete(self->x) || self->x->body_error || !self->x->conn || self->flight->gone;
}

PyDoc_STRVAR(take_doc,
             "take(size) -> bytes | None\n\nAt most so many bytes of what has come. Empty: "
             "that was all, or `fault` says why no\nmore will come. None: wait.");

static PyObject *source_take(PyObject *op, PyObject *arg) {
    body_source *self = (body_source *)op;
    Py_ssize_t max = PyLong_AsSsize_t(arg);
    if ((max == -1 && PyErr_Occurred()) || !is_open(self)) return NULL;
    bool elsewhere = self->posted || is_elsewhere(self->flight->server);
    q5_slice data = elsewhere ? q5_body_pending(self->x) : q5_body_peek(self->x);
    size_t len = data.len - self->taken;
    if (max >= 0 && len > (size_t)max) len = (size_t)max;
    if (!len && max != 0 && !is_at_end(self)) {
        if (elsewhere) post(self);
        Py_RETURN_NONE;
    }
    PyObject *bytes = PyBytes_FromStringAndSize(data.base + self->taken, (Py_ssize_t)len);
    if (!bytes || !len) return bytes;
    if (elsewhere) {
        self->taken += len;
        post(self);
    } else {
        q5_body_consume(self->x, len);
    }
    return bytes;
}

PyDoc_STRVAR(set_wake_doc,
             "set_wake(callable) -> bool\n\nTo be called once on the loop's thread, when "
             "take() has an answer. False: it has one now.");

static PyObject *source_set_wake(PyObject *op, PyObject *wake) {
    body_source *self = (body_source *)op;
    if (!is_open(self)) return NULL;
    if (q5_body_pending(self->x).len > self->taken || is_at_end(self)) Py_RETURN_FALSE;
    Py_XSETREF(self->wake, Py_NewRef(wake));
    Py_RETURN_TRUE;
}

static PyObject *source_fault(PyObject *op, void *unused) {
    (void)unused;
    const body_source *self = (body_source *)op;
    int status = self->x->body_error;
    if (status) return Py_BuildValue("is", q5_status_http(status), q5_status_text(status));
    if (!self->flight || q5_body_complete(self->x)) Py_RETURN_NONE;
    if (self->x->conn && !self->flight->gone) Py_RETURN_NONE;
    return Py_BuildValue("is", 0, "the client has left");
}

static PyObject *source_content_type(PyObject *op, void *unused) {
    (void)unused;
    const q5_field *field = q5_head_known(&((body_source *)op)->x->head, Q5_FIELD_CONTENT_TYPE);
    if (!field) return PyUnicode_FromStringAndSize(NULL, 0);
    return q5py_latin1(field->value);
}

/* ---- the type -------------------------------------------------------------------------------- */

PyObject *q5py_body_source_new(q5py_state *state, q5_exchange *x) {
    q5py_flight *flight = x->user;
    body_source *self =
        (body_source *)state->body_source_type->tp_alloc(state->body_source_type, 0);
    if (!self) return NULL;
    self->x = q5_exchange_ref(x);
    self->job.finish = on_taken;
    self->flight = flight;
    flight->body_source = Py_NewRef((PyObject *)self);
    return (PyObject *)self;
}

static int source_traverse(PyObject *op, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((body_source *)op)->wake);
    return 0;
}

static int source_clear(PyObject *op) {
    Py_CLEAR(((body_source *)op)->wake);
    return 0;
}

static void source_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    source_clear(op);
    q5_exchange_unref(((body_source *)op)->x);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef source_methods[] = {
    {"take", source_take, METH_O, take_doc},
    {"set_wake", source_set_wake, METH_O, set_wake_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef source_getset[] = {
    {"fault", source_fault, NULL,
     "(status, text) | None: why no more comes; status 0: the client has left", NULL},
    {"content_type", source_content_type, NULL, "str: as it was sent; empty: it was not", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot source_slots[] = {
    {Py_tp_doc, "A request's body, taken while it comes; see api/bodies.py."},
    {Py_tp_dealloc, source_dealloc},
    {Py_tp_traverse, source_traverse},
    {Py_tp_clear, source_clear},
    {Py_tp_methods, source_methods},
    {Py_tp_getset, source_getset},
    {0, NULL},
};

static PyType_Spec source_spec = {
    .name = "quintette._quintette.BodySource",
    .basicsize = sizeof(body_source),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = source_slots,
};

int q5py_init_body_source(PyObject *module, q5py_state *state) {
    state->body_source_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &source_spec, NULL);
    return state->body_source_type ? PyModule_AddType(module, state->body_source_type) : -1;
}
