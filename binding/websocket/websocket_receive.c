/* Messages to the handler: a bounded queue of what came, and the awaitable that takes one out of
 * it. A message leaves the queue when the awaiting code has it for sure, so that none is lost to a
 * timeout. */
#include "websocket.h"

#include "convert.h"
#include "q5/json_guard.h"

#define QUEUE_CAP_MIN 4

/* ---- the queue ------------------------------------------------------------------------------- */

static int grow(q5py_websocket *self) {
    uint32_t cap = self->queue_cap ? self->queue_cap * 2 : QUEUE_CAP_MIN;
    PyObject **queue = PyMem_Malloc(cap * sizeof(*queue));
    if (!queue) return -1;
    for (uint32_t i = 0; i < self->queue_count; i++)
        queue[i] = self->queue[(self->queue_first + i) & (self->queue_cap - 1)];
    PyMem_Free(self->queue);
    self->queue = queue;
    self->queue_first = 0;
    self->queue_cap = cap;
    return 0;
}

static size_t size_of(PyObject *message) {
    return PyBytes_CheckExact(message) ? (size_t)PyBytes_GET_SIZE(message)
                                       : (size_t)PyUnicode_GET_LENGTH(message);
}

void q5py_websocket_push(q5py_websocket *self, PyObject *message) {
    if (self->queue_count == self->queue_cap && grow(self)) {
        Py_DECREF(message);
        q5py_websocket_close(self, Q5_WS_INTERNAL, Q5_LIT("out of memory"));
        return;
    }
    self->queue[(self->queue_first + self->queue_count++) & (self->queue_cap - 1)] = message;
    self->queue_bytes += size_of(message);
}

/* NULL: it is empty. */
static PyObject *pop(q5py_websocket *self) {
    if (!self->queue_count) return NULL;
    PyObject *message = self->queue[self->queue_first];
    self->queue_first = (self->queue_first + 1) & (self->queue_cap - 1);
    self->queue_count--;
    self->queue_bytes -= size_of(message);
    return message;
}

void q5py_websocket_clear_queue(q5py_websocket *self) {
    PyObject *message;
    while ((message = pop(self)))
        Py_DECREF(message);
    PyMem_Free(self->queue);
    self->queue = NULL;
    self->queue_cap = 0;
}

/* The client was kept waiting. */
static void read_on(q5py_websocket *self) {
    if (!self->ws.paused || self->over || self->ws.busy || !q5py_websocket_has_room(self)) return;
    q5_ws_resume(&self->ws, q5_clock_msec());
    if (!self->ws.paused && self->flight) q5_tunnel_has_room(self->flight->x);
}

/* ---- decoding -------------------------------------------------------------------------------- */

/* The client is told what is wrong with its message; the handler, that the socket is closed. */
static void refuse(q5py_websocket *self, unsigned code) {
    PyObject *error = q5py_exception_take();
    PyObject *text = error ? PyObject_Str(error) : NULL;
    Py_ssize_t len = 0;
    const char *reason = text ? PyUnicode_AsUTF8AndSize(text, &len) : NULL;
    PyErr_Clear();
    if (!reason) len = 0;
    if (q5py_websocket_close(self, code, q5_slice_make(reason, (size_t)len))) PyErr_Clear();
    q5py_websocket_clear_queue(self);
    Py_XDECREF(text);
    Py_XDECREF(error);
}

/* What the current exception of a decoder means: the code, or 0 when it is none of the client's. */
static unsigned code_of_exception(const q5py_websocket *self) {
    if (!PyErr_ExceptionMatches(PyExc_Exception) || PyErr_ExceptionMatches(PyExc_MemoryError))
        return 0;
    PyObject *error = q5py_exception_take();
    PyObject *answer = PyObject_CallOneArg(q5py_websocket_plan_of(self)->is_invalid, error);
    unsigned code = answer == Py_True ? Q5_WS_POLICY : answer == Py_False ? Q5_WS_INVALID : 0;
    Py_XDECREF(answer);
    PyErr_Clear();
    q5py_exception_set(error);
    return code;
}

/* Takes over a raw message. 1: *ret is a new reference; 0: it was refused; -1 with an exception. */
static int decode(q5py_websocket *self, PyObject *raw, PyObject **ret) {
    PyObject *decoder = q5py_websocket_plan_of(self)->decode;
    if (!decoder) {
        *ret = raw;
        return 1;
    }
    size_t error;
    int status = q5_json_guard(PyBytes_AS_STRING(raw), (size_t)PyBytes_GET_SIZE(raw), NULL, &error);
    if (status)
        PyErr_SetString(PyExc_ValueError, q5_status_text(status));
    else
        *ret = PyObject_CallOneArg(decoder, raw);
    Py_DECREF(raw);
    if (!status && *ret) return 1;
    unsigned code = status == Q5_EJSON ? Q5_WS_INVALID
                    : status           ? Q5_WS_POLICY
                                       : code_of_exception(self);
    if (!code) return -1;
    refuse(self, code);
    return 0;
}

/* ---- the awaitable --------------------------------------------------------------------------- */

typedef struct receive {
    PyObject_HEAD q5py_websocket *socket; /* owned; NULL once it is over */
    q5py_wait *wait;                      /* owned or NULL */
    bool is_iteration;                    /* ends with StopAsyncIteration */
} receive;

static void on_cancel(q5py_wait *wait, void *arg) {
    q5py_websocket *socket = arg;
    if (socket->receiver != wait) return;
    socket->receiver = NULL;
    Py_DECREF(wait);
}

static void leave(receive *self) {
    q5py_wait *wait = self->wait;
    self->wait = NULL;
    if (!wait) return;
    if (wait->on_cancel) on_cancel(wait, wait->arg);
    wait->on_cancel = NULL;
    Py_DECREF(wait);
}

static PySendResult wait_for_one(receive *self, PyObject **ret) {
    q5py_websocket *socket = self->socket;
    if (socket->receiver) {
        PyErr_SetString(PyExc_RuntimeError, "another task waits for a message of this WebSocket");
        return PYGEN_ERROR;
    }
    PyObject *loop = q5py_server_loop(socket->flight->server);
    q5py_wait *wait = loop ? q5py_wait_new_on(socket->state, loop) : NULL;
    Py_XDECREF(loop);
    if (!wait) return PYGEN_ERROR;
    wait->on_cancel = on_cancel;
    wait->arg = socket;
    socket->receiver = (q5py_wait *)Py_NewRef((PyObject *)wait);
    self->wait = wait;
    return PyIter_Send((PyObject *)wait, Py_None, ret);
}

static PySendResult end(receive *self) {
    if (self->is_iteration)
        PyErr_SetNone(PyExc_StopAsyncIteration);
    else
        q5py_websocket_raise_closed(self->socket);
    Py_CLEAR(self->socket);
    return PYGEN_ERROR;
}

static PySendResult receive_send(PyObject *op, PyObject *value, PyObject **ret) {
    (void)value;
    receive *self = (receive *)op;
    q5py_websocket *socket = self->socket;
    if (!socket) {
        PyErr_SetString(PyExc_RuntimeError, "receive() was awaited before");
        return PYGEN_ERROR;
    }
    leave(self);
    PyObject *raw;
    while ((raw = pop(socket))) {
        int rc = decode(socket, raw, ret);
        if (rc < 0) return PYGEN_ERROR;
        read_on(socket);
        if (rc == 0) continue;
        Py_CLEAR(self->socket);
        return PYGEN_RETURN;
    }
    return socket->ended || !socket->flight ? end(self) : wait_for_one(self, ret);
}

static PyObject *receive_next(PyObject *op) {
    PyObject *value = NULL;
    PySendResult sent = receive_send(op, NULL, &value);
    return q5py_next_of(sent, value);
}

static PyObject *receive_send_method(PyObject *op, PyObject *unused) {
    (void)unused;
    return receive_next(op);
}

static PyObject *receive_close(PyObject *op, PyObject *unused) {
    (void)unused;
    leave((receive *)op);
    Py_CLEAR(((receive *)op)->socket);
    Py_RETURN_NONE;
}

static PyObject *receive_throw(PyObject *op, PyObject *args) {
    leave((receive *)op);
    q5py_websocket_set_thrown(args);
    return NULL;
}

static PyObject *receive_new(PyObject *op, bool is_iteration) {
    q5py_websocket *socket = (q5py_websocket *)op;
    if (!socket->ended && q5py_websocket_open(socket)) return NULL;
    PyTypeObject *type = socket->state->socket_receive_type;
    receive *self = (receive *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    socket->has_received = true;
    self->socket = (q5py_websocket *)Py_NewRef(op);
    self->is_iteration = is_iteration;
    return (PyObject *)self;
}

PyObject *q5py_websocket_receive(PyObject *op, PyObject *unused) {
    (void)unused;
    return receive_new(op, false);
}

PyObject *q5py_websocket_next(PyObject *op) {
    return receive_new(op, true);
}

static int receive_traverse(PyObject *op, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(op));
    Py_VISIT((PyObject *)((receive *)op)->socket);
    Py_VISIT((PyObject *)((receive *)op)->wait);
    return 0;
}

static int receive_clear(PyObject *op) {
    leave((receive *)op);
    Py_CLEAR(((receive *)op)->socket);
    return 0;
}

static void receive_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    receive_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef receive_methods[] = {
    {"send", receive_send_method, METH_O, NULL},
    {"throw", receive_throw, METH_VARARGS, NULL},
    {"close", receive_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot receive_slots[] = {
    {Py_tp_doc, "A message that is waited for: a coroutine to asyncio."},
    {Py_tp_dealloc, receive_dealloc},
    {Py_tp_traverse, receive_traverse},
    {Py_tp_clear, receive_clear},
    {Py_tp_methods, receive_methods},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, receive_next},
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, receive_send},
    {0, NULL},
};

static PyType_Spec receive_spec = {
    .name = "quintette._quintette.WebSocketReceive",
    .basicsize = sizeof(receive),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = receive_slots,
};

int q5py_init_websocket_receive(PyObject *module, q5py_state *state) {
    state->socket_receive_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &receive_spec, NULL);
    return state->socket_receive_type ? 0 : -1;
}
