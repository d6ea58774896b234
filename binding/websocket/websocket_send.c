/* Messages to the client. One that finds room is on its way before send() returns; another waits
 * in its awaitable, so that what a handler does not await costs no more than itself. */
#include "websocket.h"

#include "convert.h"

#define COPY_MAX 4096   /* bytes: a shorter message and its head are one piece */
#define DEFLATE_MIN 256 /* bytes: below it compression costs more than it saves */
#define DEFLATE_MIN_CONTEXT 32

/* ---- encoding -------------------------------------------------------------------------------- */

/* A message as it goes out: bytes of an owned object. */
typedef struct payload {
    PyObject *owner; /* owned */
    q5_slice data;
    q5_ws_opcode opcode;
} payload;

static int from_bytes(PyObject *bytes, q5_ws_opcode opcode, payload *ret) {
    if (!bytes) return -1;
    if (!PyBytes_Check(bytes)) {
        PyErr_Format(PyExc_TypeError, "an encoder gives bytes, not %R", bytes);
        Py_DECREF(bytes);
        return -1;
    }
    *ret = (payload){bytes, {PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)}, opcode};
    return 0;
}

static int from_text(PyObject *text, payload *ret) {
    Py_ssize_t len;
    const char *base = PyUnicode_AsUTF8AndSize(text, &len);
    if (!base) return -1;
    *ret = (payload){Py_NewRef(text), {base, (size_t)len}, Q5_WS_TEXT};
    return 0;
}

/* `out`: the q5py_message_kind of the route. */
static int encode(PyObject *message, uint8_t out, PyObject *encoder, payload *ret) {
    if (out == Q5PY_MESSAGE_JSON)
        return from_bytes(PyObject_CallOneArg(encoder, message), Q5_WS_TEXT, ret);
    if (out & Q5PY_MESSAGE_TEXT && PyUnicode_Check(message)) return from_text(message, ret);
    if (out & Q5PY_MESSAGE_BYTES && PyObject_CheckBuffer(message))
        return from_bytes(PyBytes_FromObject(message), Q5_WS_BINARY, ret);
    PyErr_Format(PyExc_TypeError, "this WebSocket sends %s, not %s",
                 out == Q5PY_MESSAGE_TEXT    ? "str"
                 : out == Q5PY_MESSAGE_BYTES ? "bytes"
                                             : "str and bytes",
                 Py_TYPE(message)->tp_name);
    return -1;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static void release_object(void *ctx) {
    Py_DECREF((PyObject *)ctx);
}

static void write_frame(q5py_websocket *self, q5_ws_opcode opcode, bool compressed, q5_slice data,
                        PyObject *owner) {
    char frame[Q5_WS_HEAD_MAX + COPY_MAX];
    size_t len = q5_ws_head_write(frame, opcode, compressed, data.len);
    bool whole = data.len <= COPY_MAX;
    if (whole && data.len) memcpy(frame + len, data.base, data.len);
    q5py_websocket_write(self, q5_slice_make(frame, whole ? len + data.len : len), NULL, NULL);
    if (whole) return;
    if (owner)
        q5py_websocket_write(self, data, release_object, Py_NewRef(owner));
    else
        q5py_websocket_write(self, data, NULL, NULL);
}

/* True: it went out compressed, or never will. */
static bool write_deflated(q5py_websocket *self, const payload *message) {
    q5_buf out;
    q5_buf_init(&out, NULL);
    int status = q5py_websocket_deflate(self, message->data, &out);
    if (status == Q5_OK) write_frame(self, message->opcode, true, q5_buf_slice(&out), NULL);
    q5_buf_deinit(&out);
    if (status == Q5_OK || !self->own_deflater) return status == Q5_OK;
    q5py_websocket_close(self, Q5_WS_INTERNAL, Q5_LIT("out of memory"));
    return true;
}

/* A kept context makes short messages shorter too. */
static bool is_worth_it(const q5py_websocket *self, size_t len) {
    return self->deflater && len >= (self->own_deflater ? DEFLATE_MIN_CONTEXT : DEFLATE_MIN);
}

static void write_message(q5py_websocket *self, const payload *message) {
    if (!self->flight) return;
    if (is_worth_it(self, message->data.len) && write_deflated(self, message)) return;
    write_frame(self, message->opcode, false, message->data, message->owner);
}

/* ---- the awaitable --------------------------------------------------------------------------- */

typedef struct sending {
    PyObject_HEAD q5py_websocket *socket; /* owned; NULL: it is sent */
    payload message;
    q5py_wait *wait; /* owned or NULL */
} sending;

static PySendResult wait_for_room(sending *self, PyObject **ret) {
    q5py_websocket *socket = self->socket;
    PyObject *loop = q5py_server_loop(socket->flight->server);
    q5py_wait *wait = loop ? q5py_wait_new_on(socket->state, loop) : NULL;
    Py_XDECREF(loop);
    if (!wait) return PYGEN_ERROR;
    Py_XSETREF(self->wait, wait);
    if (!socket->drainers) socket->drainers = PyList_New(0);
    if (!socket->drainers || PyList_Append(socket->drainers, (PyObject *)wait)) return PYGEN_ERROR;
    return PyIter_Send((PyObject *)wait, Py_None, ret);
}

static PySendResult sending_send(PyObject *op, PyObject *value, PyObject **ret) {
    (void)value;
    sending *self = (sending *)op;
    q5py_websocket *socket = self->socket;
    if (socket && (socket->ended || !socket->flight)) {
        q5py_websocket_raise_closed(socket);
        return PYGEN_ERROR;
    }
    if (socket && socket->full) return wait_for_room(self, ret);
    if (socket) {
        write_message(socket, &self->message);
        Py_CLEAR(self->message.owner);
        Py_CLEAR(self->socket);
    }
    *ret = Py_NewRef(Py_None);
    return PYGEN_RETURN;
}

static PyObject *sending_next(PyObject *op) {
    PyObject *value = NULL;
    PySendResult sent = sending_send(op, NULL, &value);
    return q5py_next_of(sent, value);
}

static PyObject *sending_send_method(PyObject *op, PyObject *unused) {
    (void)unused;
    return sending_next(op);
}

static PyObject *sending_close(PyObject *op, PyObject *unused) {
    (void)unused;
    (void)op;
    Py_RETURN_NONE;
}

static PyObject *sending_throw(PyObject *op, PyObject *args) {
    (void)op;
    q5py_websocket_set_thrown(args);
    return NULL;
}

static PyObject *sending_new(q5py_state *state, q5py_websocket *socket, const payload *message) {
    PyTypeObject *type = state->socket_send_type;
    sending *self = (sending *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->socket = (q5py_websocket *)Py_NewRef((PyObject *)socket);
    self->message = *message;
    Py_INCREF(message->owner);
    return (PyObject *)self;
}

PyObject *q5py_websocket_done(q5py_state *state) {
    return Py_NewRef(state->websocket_sent);
}

PyObject *q5py_websocket_send(PyObject *op, PyObject *message) {
    q5py_websocket *self = (q5py_websocket *)op;
    payload made;
    if (self->ended) {
        q5py_websocket_raise_closed(self);
        return NULL;
    }
    const struct q5py_websocket_plan *plan = q5py_websocket_plan_of(self);
    if (q5py_websocket_open(self) || encode(message, plan->out, plan->encode, &made)) return NULL;
    PyObject *awaitable = NULL;
    if (self->full) {
        awaitable = sending_new(self->state, self, &made);
    } else {
        write_message(self, &made);
        awaitable = q5py_websocket_done(self->state);
    }
    Py_DECREF(made.owner);
    return awaitable;
}

void q5py_websocket_drained(q5py_websocket *self) {
    PyObject *drainers = self->drainers;
    self->full = false;
    self->drainers = NULL;
    for (Py_ssize_t i = 0; drainers && i < PyList_GET_SIZE(drainers); i++)
        q5py_wait_finish((q5py_wait *)PyList_GET_ITEM(drainers, i), NULL);
    Py_XDECREF(drainers);
}

/* ---- to many --------------------------------------------------------------------------------- */

/* As bytes, or NULL with an exception: the same for all, so that it is made once. */
static PyObject *make_frame(PyObject *message, uint8_t out, PyObject *encoder) {
    payload made;
    if (encode(message, out, encoder, &made)) return NULL;
    char head[Q5_WS_HEAD_MAX];
    size_t len = q5_ws_head_write(head, made.opcode, false, made.data.len);
    PyObject *frame = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(len + made.data.len));
    if (frame) {
        memcpy(PyBytes_AS_STRING(frame), head, len);
        if (made.data.len) memcpy(PyBytes_AS_STRING(frame) + len, made.data.base, made.data.len);
    }
    Py_DECREF(made.owner);
    return frame;
}

static bool is_socket(const q5py_state *state, PyObject *op) {
    return PyObject_TypeCheck(op, state->websocket_type);
}

/* 1: it is on its way; 0: the socket is closed, or is now, for its client is behind. */
static int give(q5py_websocket *socket, PyObject *frame) {
    if (socket->ended || !socket->opened) return 0;
    if (socket->full) {
        q5py_websocket_close(socket, Q5_WS_TRY_LATER, Q5_LIT("too slow"));
        return 0;
    }
    q5_slice bytes = q5_slice_make(PyBytes_AS_STRING(frame), (size_t)PyBytes_GET_SIZE(frame));
    q5py_websocket_write(socket, bytes, release_object, Py_NewRef(frame));
    return 1;
}

/* `list` is our own. */
static PyObject *give_all(const q5py_state *state, PyObject *list, PyObject *message) {
    PyObject *frames[4] = {NULL}; /* by q5py_message_kind */
    Py_ssize_t sent = 0;
    bool failed = false;
    for (Py_ssize_t i = 0; !failed && i < PyList_GET_SIZE(list); i++) {
        PyObject *op = PyList_GET_ITEM(list, i);
        if (!is_socket(state, op)) {
            PyErr_Format(PyExc_TypeError, "%R is no WebSocket", op);
            failed = true;
            continue;
        }
        q5py_websocket *socket = (q5py_websocket *)op;
        const struct q5py_websocket_plan *plan = q5py_websocket_plan_of(socket);
        if (!frames[plan->out]) frames[plan->out] = make_frame(message, plan->out, plan->encode);
        failed = !frames[plan->out];
        if (!failed) sent += give(socket, frames[plan->out]);
    }
    for (size_t i = 0; i < Q5_ARRAY_LEN(frames); i++)
        Py_XDECREF(frames[i]);
    return failed ? NULL : PyLong_FromSsize_t(sent);
}

PyObject *q5py_websocket_broadcast(PyObject *module, PyObject *args) {
    PyObject *sockets, *message;
    if (!PyArg_ParseTuple(args, "OO:websocket_broadcast", &sockets, &message)) return NULL;
    PyObject *list = PySequence_List(sockets);
    PyObject *sent = list ? give_all(q5py_state_of(module), list, message) : NULL;
    Py_XDECREF(list);
    return sent;
}

/* ---- the type -------------------------------------------------------------------------------- */

static int sending_traverse(PyObject *op, visitproc visit, void *arg) {
    sending *self = (sending *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT((PyObject *)self->socket);
    Py_VISIT((PyObject *)self->wait);
    return 0;
}

static int sending_clear(PyObject *op) {
    sending *self = (sending *)op;
    Py_CLEAR(self->socket);
    Py_CLEAR(self->wait);
    Py_CLEAR(self->message.owner);
    return 0;
}

static void sending_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    sending_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef sending_methods[] = {
    {"send", sending_send_method, METH_O, NULL},
    {"throw", sending_throw, METH_VARARGS, NULL},
    {"close", sending_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot sending_slots[] = {
    {Py_tp_doc, "A message on its way: a coroutine to asyncio."},
    {Py_tp_dealloc, sending_dealloc},
    {Py_tp_traverse, sending_traverse},
    {Py_tp_clear, sending_clear},
    {Py_tp_methods, sending_methods},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, sending_next},
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, sending_send},
    {0, NULL},
};

static PyType_Spec sending_spec = {
    .name = "quintette._quintette.WebSocketSend",
    .basicsize = sizeof(sending),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = sending_slots,
};

int q5py_init_websocket_send(PyObject *module, q5py_state *state) {
    state->socket_send_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &sending_spec, NULL);
    if (!state->socket_send_type) return -1;
    /* One for all that were sent at once. */
    state->websocket_sent = state->socket_send_type->tp_alloc(state->socket_send_type, 0);
    return state->websocket_sent ? 0 : -1;
}
