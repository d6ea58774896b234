/* _quintette.MemoryConnection: a client's end of a connection that has no socket, for test clients.
 * The same parser, router, plans and response writer as on a socket. */
#include "server.h"

#include <unistd.h>

#include "convert.h"

typedef struct memory_connection {
    PyObject_HEAD q5py_server *server; /* owned */
    q5_conn *conn;                     /* owned */
    PyObject *wake;                    /* owned or NULL: called when there is output to take */
} memory_connection;

static void on_wake(q5_conn *conn, void *ctx) {
    (void)conn;
    memory_connection *self = ctx;
    if (!self->wake) return;
    PyObject *wake = Py_NewRef(self->wake);
    PyObject *done = PyObject_CallNoArgs(wake);
    if (!done) PyErr_WriteUnraisable((PyObject *)self);
    Py_XDECREF(done);
    Py_DECREF(wake);
}

/* A handler has raised KeyboardInterrupt or SystemExit: true, and it is set. */
static bool must_raise(memory_connection *self) {
    PyObject *exception = self->server->raised;
    if (!exception) return false;
    self->server->raised = NULL;
    q5py_exception_set(exception);
    return true;
}

PyObject *q5py_memory_connection(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_server *server = (q5py_server *)op;
    if (server->closed) {
        PyErr_SetString(PyExc_RuntimeError, "the server is closed");
        return NULL;
    }
    PyObject *loop = q5py_server_loop(server);
    if (!loop) return NULL;
    Py_XSETREF(server->memory_loop, loop);
    PyTypeObject *type = server->state->memory_type;
    memory_connection *self = (memory_connection *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->server = (q5py_server *)Py_NewRef(op);
    self->conn = q5_conn_create(q5_server_conn_config(server->server), &server->app,
                                q5_server_pool(server->server), q5_clock_msec());
    if (!self->conn) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    q5_conn_set_wake(self->conn, on_wake, self);
    return (PyObject *)self;
}

static PyObject *memory_feed(PyObject *op, PyObject *arg) {
    memory_connection *self = (memory_connection *)op;
    Py_buffer view;
    if (self->server->closed) {
        PyErr_SetString(PyExc_RuntimeError, "the server is closed");
        return NULL;
    }
    if (PyObject_GetBuffer(arg, &view, PyBUF_SIMPLE)) return NULL;
    const char *from = view.buf;
    size_t left = (size_t)view.len;
    q5_server_refresh(self->server->server);
    while (left) {
        char *base;
        size_t len;
        if (q5_conn_recv_space(self->conn, &base, &len)) break;
        if (len > left) len = left;
        memcpy(base, from, len);
        q5_conn_received(self->conn, len, q5_clock_msec());
        from += len;
        left -= len;
    }
    PyBuffer_Release(&view);
    if (must_raise(self)) return NULL;
    return PyLong_FromSize_t((size_t)view.len - left);
}

static PyObject *read_file(const q5_segment *segment) {
    PyObject *out = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)segment->len);
    if (!out) return NULL;
    ssize_t n = pread(segment->fd, PyBytes_AS_STRING(out), segment->len, (off_t)segment->offset);
    if (n == (ssize_t)segment->len) return out;
    Py_DECREF(out);
    return PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *memory_take(PyObject *op, PyObject *unused) {
    (void)unused;
    memory_connection *self = (memory_connection *)op;
    PyObject *out = PyBytes_FromStringAndSize(NULL, 0);
    while (out && q5_conn_has_output(self->conn)) {
        size_t count;
        const q5_segment *segment = q5_conn_output(self->conn, &count);
        PyObject *piece = segment->fd >= 0
                              ? read_file(segment)
                              : PyBytes_FromStringAndSize(segment->base, (Py_ssize_t)segment->len);
        if (!piece) Py_CLEAR(out);
        if (piece) PyBytes_ConcatAndDel(&out, piece);
        q5_conn_sent(self->conn, segment->len);
    }
    return out;
}

static PyObject *memory_resume(PyObject *op, PyObject *unused) {
    (void)unused;
    memory_connection *self = (memory_connection *)op;
    bool more = q5_conn_resume(self->conn, q5_clock_msec());
    return must_raise(self) ? NULL : PyBool_FromLong(more);
}

static PyObject *memory_eof(PyObject *op, PyObject *unused) {
    (void)unused;
    q5_conn_eof(((memory_connection *)op)->conn, q5_clock_msec());
    Py_RETURN_NONE;
}

static PyObject *memory_set_wake(PyObject *op, PyObject *wake) {
    memory_connection *self = (memory_connection *)op;
    Py_XSETREF(self->wake, wake == Py_None ? NULL : Py_NewRef(wake));
    Py_RETURN_NONE;
}

static PyObject *memory_closed(PyObject *op, void *unused) {
    (void)unused;
    return PyBool_FromLong(q5_conn_finished(((memory_connection *)op)->conn));
}

static int memory_traverse(PyObject *op, visitproc visit, void *arg) {
    memory_connection *self = (memory_connection *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->server);
    Py_VISIT(self->wake);
    return 0;
}

static int memory_clear(PyObject *op) {
    Py_CLEAR(((memory_connection *)op)->wake);
    return 0;
}

static void memory_dealloc(PyObject *op) {
    memory_connection *self = (memory_connection *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    /* Tells a handler that the client has left, which may run anything. */
    PyObject *exception = q5py_exception_take();
    memory_clear(op);
    if (self->conn) q5_conn_destroy(self->conn, Q5_GONE_PEER);
    if (exception) q5py_exception_set(exception);
    Py_CLEAR(self->server);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef memory_methods[] = {
    {"feed", memory_feed, METH_O,
     "feed(data) -> int\n\nBytes from the client; returns how many were taken. What is left is to "
     "be\n"
     "fed again once the request that is being handled has its answer."},
    {"take", memory_take, METH_NOARGS, "take() -> bytes: what the server has sent since"},
    {"resume", memory_resume, METH_NOARGS,
     "resume() -> bool\n\nWorks off pipelined requests; True: there are more."},
    {"eof", memory_eof, METH_NOARGS, "eof(): the client closes its side"},
    {"set_wake", memory_set_wake, METH_O, "set_wake(callable | None): called when there is output"},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef memory_getset[] = {
    {"closed", memory_closed, NULL, "bool: the server has closed, all output is taken", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot memory_slots[] = {
    {Py_tp_doc, "A connection without a socket, for test clients."},
    {Py_tp_dealloc, memory_dealloc},
    {Py_tp_traverse, memory_traverse},
    {Py_tp_clear, memory_clear},
    {Py_tp_methods, memory_methods},
    {Py_tp_getset, memory_getset},
    {0, NULL},
};

static PyType_Spec memory_spec = {
    .name = "quintette._quintette.MemoryConnection",
    .basicsize = sizeof(memory_connection),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = memory_slots,
};

int q5py_init_memory(PyObject *module, q5py_state *state) {
    state->memory_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &memory_spec, NULL);
    return state->memory_type ? PyModule_AddType(module, state->memory_type) : -1;
}
