/* The type, and its part in a flight's life: it is made when the handler's arguments are, answers
 * the handshake when it is first used, and keeps the flight until both the handler and the
 * connection have ended. */
#include "websocket.h"

#include "api/plan_data.h"
#include "auth/auth.h"
#include "convert.h"
#include "q5/ws_handshake.h"

/* ---- making it ------------------------------------------------------------------------------- */

PyObject *q5py_websocket_of(q5_exchange *x) {
    q5py_flight *flight = x->user;
    if (!flight) {
        PyErr_SetString(PyExc_RuntimeError, "only our server has WebSockets");
        return NULL;
    }
    if (flight->socket) return Py_NewRef((PyObject *)flight->socket);
    q5py_state *state = flight->server->state;
    PyTypeObject *type =
        state->websocket_class ? (PyTypeObject *)state->websocket_class : state->websocket_type;
    q5py_websocket *self = (q5py_websocket *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->state = state;
    self->flight = flight;
    self->plan = Py_NewRef((PyObject *)flight->plan);
    flight->socket = (q5py_websocket *)Py_NewRef((PyObject *)self);
    return (PyObject *)self;
}

void q5py_websocket_raise_closed(q5py_websocket *self) {
    int code = self->ended ? self->close_code : Q5_WS_ABNORMAL;
    PyObject *error = PyObject_CallFunction(self->state->websocket_closed, "iO", code,
                                            self->close_reason ? self->close_reason : Py_None);
    if (error) q5py_exception_set(error);
}

void q5py_websocket_set_thrown(PyObject *args) {
    PyObject *type, *value = Py_None, *traceback = NULL;
    if (!PyArg_ParseTuple(args, "O|OO:throw", &type, &value, &traceback)) return;
    if (PyExceptionInstance_Check(type))
        PyErr_SetObject((PyObject *)Py_TYPE(type), type);
    else
        PyErr_SetObject(type, value == Py_None ? NULL : value);
}

/* ---- answering the handshake ----------------------------------------------------------------- */

static int add_text(q5py_reply *reply, const char *name, q5_slice text) {
    PyObject *key = PyUnicode_FromString(name);
    PyObject *value = q5py_latin1(text);
    int rc = key && value ? q5py_reply_add_field(reply, key, value) : -1;
    Py_XDECREF(key);
    Py_XDECREF(value);
    return rc;
}

static int choose_protocol(q5py_websocket *self, q5py_reply *reply) {
    PyObject *protocols = q5py_websocket_plan_of(self)->protocols;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(protocols); i++) {
        Py_ssize_t len;
        const char *text = PyUnicode_AsUTF8AndSize(PyTuple_GET_ITEM(protocols, i), &len);
        if (!text) return -1;
        q5_slice name = q5_slice_make(text, (size_t)len);
        if (!q5_ws_offers_protocol(&self->flight->x->head, name)) continue;
        self->protocol = Py_NewRef(PyTuple_GET_ITEM(protocols, i));
        return add_text(reply, "Sec-WebSocket-Protocol", q5_slice_make(text, (size_t)len));
    }
    return 0;
}

static int choose_extension(q5py_websocket *self, q5py_reply *reply) {
    char text[Q5_WS_EXTENSION_MAX];
    size_t len;
    if (q5py_websocket_negotiate(self, text, &len)) return -1;
    return len ? add_text(reply, "Sec-WebSocket-Extensions", q5_slice_make(text, len)) : 0;
}

static int make_reply(q5py_websocket *self, q5py_reply *reply) {
    q5_slice key;
    char accept[Q5_WS_ACCEPT_LEN];
    if (q5_ws_handshake_check(&self->flight->x->head, &key)) {
        PyErr_SetString(PyExc_RuntimeError, "this request asks for no WebSocket");
        return -1;
    }
    q5_ws_accept(key, accept);
    reply->status = 101;
    if (q5py_reply_add_lines(reply, Q5_LIT("Upgrade: websocket\r\n")) ||
        add_text(reply, "Sec-WebSocket-Accept", q5_slice_make(accept, sizeof(accept))) ||
        choose_protocol(self, reply))
        return -1;
    return choose_extension(self, reply);
}

/* What a guard awaits after the reply, whose result nobody looks at, goes on by itself. */
static int run_aside(q5py_websocket *self, PyObject *awaitable) {
    PyObject *module = PyImport_ImportModule("asyncio");
    PyObject *task = module ? PyObject_CallMethod(module, "ensure_future", "O", awaitable) : NULL;
    if (task && !self->asides) self->asides = PyList_New(0);
    int rc = task && self->asides ? PyList_Append(self->asides, task) : -1;
    Py_XDECREF(module);
    Py_XDECREF(task);
    Py_DECREF(awaitable);
    return rc;
}

static int pass_guards(q5py_websocket *self) {
    q5py_flight *flight = self->flight;
    PyObject *awaitable = NULL;
    while (q5py_pass_after(&flight->pass, &flight->reply, &awaitable) == Q5PY_GUARD_WAIT)
        if (run_aside(self, awaitable)) return -1;
    return 0;
}

/* Q5_EINVAL: the client has not waited, and what it has sent is no request; Q5_ESTATE: the server
 * is about to stop. */
static void refuse(q5py_websocket *self, int status) {
    q5py_reply *reply = &self->flight->reply;
    q5_response_reset(self->flight->x);
    q5py_reply_clear(reply);
    q5py_reply_init(reply);
    reply->status = status == Q5_EINVAL ? 400 : 503;
    if (add_text(reply, "Connection", Q5_LIT("close"))) PyErr_Clear();
    self->refused = true;
}

int q5py_websocket_open(q5py_websocket *self) {
    if (self->opened) return 0;
    q5py_flight *flight = self->flight;
    if (!flight || flight->gone || self->refused) {
        q5py_websocket_raise_closed(self);
        return -1;
    }
    q5py_reply *reply = &flight->reply;
    if (make_reply(self, reply) || pass_guards(self)) {
        q5py_reply_clear(reply);
        q5py_reply_init(reply);
        return -1;
    }
    int status = Q5_OK;
    self->refused = reply->status != 101; /* a guard has failed */
    if (!self->refused && q5py_reply_start(flight)) return -1;
    if (!self->refused) status = q5_response_upgrade(flight->x, &q5py_websocket_tunnel, self);
    if (status) refuse(self, status);
    if (self->refused) {
        q5py_websocket_raise_closed(self);
        return -1;
    }
    q5py_reply_clear(reply);
    q5py_reply_init(reply);
    self->opened = true;
    q5_ws_inflate inflate = {.piece = q5_ws_inflater_piece, .ctx = self->inflater};
    q5py_websocket_begin(self, self->inflater ? &inflate : NULL);
    return 0;
}

/* ---- the handler's end ----------------------------------------------------------------------- */

/* An exception of the handler's: logged, or made an answer, as any route's; which tells what the
 * client is told now that it cannot have that. */
static int code_for_exception(q5py_flight *flight, PyObject *exception) {
    q5py_state *state = flight->server->state;
    if (PyErr_GivenExceptionMatches(exception, state->websocket_closed)) return Q5_WS_NORMAL;
    if (PyErr_GivenExceptionMatches(exception, state->cancelled_error)) return Q5_WS_GOING_AWAY;
    PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    q5py_plan_fail(&flight->pass, &flight->reply, NULL);
    int status = flight->reply.status;
    q5py_reply_clear(&flight->reply);
    q5py_reply_init(&flight->reply);
    return status >= 400 && status < 500 ? Q5_WS_POLICY : Q5_WS_INTERNAL;
}

/* At the handler's end, which has not opened it. */
static void fail_to_open(q5py_websocket *self) {
    q5py_flight *flight = self->flight;
    if (self->refused || flight->gone) {
        PyErr_Clear();
        return;
    }
    q5py_server_error(flight->server, flight->request);
    flight->failed = self->refused = true;
}

bool q5py_websocket_handler_ended(q5py_flight *flight, q5py_task *task) {
    q5py_websocket *self = flight->socket;
    if (!self || (!self->opened && !self->refused && task->exception)) return false;
    if (!self->opened && !self->refused && q5py_websocket_open(self)) fail_to_open(self);
    if (self->refused) {
        q5py_reply_send(flight);
        return true;
    }
    if (!self->opened) return false;
    int code = task->exception ? code_for_exception(flight, task->exception) : Q5_WS_NORMAL;
    Py_INCREF(self);
    self->handler_over = true;
    if (self->over)
        q5py_flight_end(flight);
    else
        q5py_websocket_close(self, (unsigned)code, q5_slice_make(NULL, 0));
    Py_DECREF(self);
    return true;
}

/* ---- the connection's end -------------------------------------------------------------------- */

bool q5py_websocket_gone(q5py_flight *flight) {
    q5py_websocket *self = flight->socket;
    if (!self || !self->opened) return false;
    Py_INCREF(self);
    self->over = true;
    q5py_websocket_left(self, Q5_WS_ABNORMAL, q5_slice_make(NULL, 0));
    if (self->flight && self->handler_over) q5py_flight_end(flight);
    Py_DECREF(self);
    return true;
}

void q5py_websocket_detach(q5py_flight *flight) {
    q5py_websocket *self = flight->socket;
    if (!self) return;
    flight->socket = NULL;
    q5py_websocket_finish(self, Q5_WS_ABNORMAL, q5_slice_make(NULL, 0));
    self->over = true;
    self->flight = NULL;
    Py_DECREF(self);
}

/* ---- the type -------------------------------------------------------------------------------- */

PyDoc_STRVAR(
    accept_doc,
    "accept() -> awaitable\n\nAnswers the handshake. receive() and send() do it too; until "
    "then an exception is\nanswered as any route's.");

static PyObject *websocket_accept(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_websocket *self = (q5py_websocket *)op;
    return q5py_websocket_open(self) ? NULL : q5py_websocket_done(self->state);
}

PyDoc_STRVAR(close_doc,
             "close(code=1000, reason='') -> awaitable\n\nSends Close. What comes from here on is "
             "dropped. Closed already: does nothing.");

static PyObject *websocket_close(PyObject *op, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"code", "reason", NULL};
    q5py_websocket *self = (q5py_websocket *)op;
    unsigned code = Q5_WS_NORMAL;
    const char *reason = "";
    Py_ssize_t len = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|Is#", keywords, &code, &reason, &len) ||
        (!self->ended && q5py_websocket_open(self)) ||
        q5py_websocket_close(self, code, q5_slice_make(reason, (size_t)len)))
        return NULL;
    return q5py_websocket_done(self->state);
}

static PyObject *get_request(PyObject *op, void *unused) {
    (void)unused;
    q5py_websocket *self = (q5py_websocket *)op;
    if (!self->flight) {
        PyErr_SetString(PyExc_RuntimeError, "the WebSocket's request has ended");
        return NULL;
    }
    return Py_XNewRef(q5py_pass_request(&self->flight->pass));
}

static PyObject *get_user(PyObject *op, void *unused) {
    (void)unused;
    q5py_websocket *self = (q5py_websocket *)op;
    if (!self->flight) Py_RETURN_NONE;
    return Py_XNewRef(q5py_pass_user(&self->flight->pass));
}

static PyObject *get_subprotocol(PyObject *op, void *unused) {
    (void)unused;
    PyObject *protocol = ((q5py_websocket *)op)->protocol;
    return Py_NewRef(protocol ? protocol : Py_None);
}

static PyObject *get_closed(PyObject *op, void *unused) {
    (void)unused;
    return PyBool_FromLong(((q5py_websocket *)op)->ended);
}

static PyObject *get_close_code(PyObject *op, void *unused) {
    (void)unused;
    q5py_websocket *self = (q5py_websocket *)op;
    if (!self->ended) Py_RETURN_NONE;
    return PyLong_FromLong(self->close_code);
}

static PyObject *get_close_reason(PyObject *op, void *unused) {
    (void)unused;
    q5py_websocket *self = (q5py_websocket *)op;
    return self->close_reason ? Py_NewRef(self->close_reason) : PyUnicode_FromString("");
}

static int websocket_traverse(PyObject *op, visitproc visit, void *arg) {
    q5py_websocket *self = (q5py_websocket *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->plan);
    Py_VISIT((PyObject *)self->receiver);
    Py_VISIT(self->drainers);
    Py_VISIT(self->asides);
    return 0;
}

static int websocket_clear(PyObject *op) {
    q5py_websocket *self = (q5py_websocket *)op;
    if (self->receiver) self->receiver->on_cancel = NULL;
    Py_CLEAR(self->receiver);
    Py_CLEAR(self->drainers);
    Py_CLEAR(self->asides);
    return 0;
}

/* The flight holds a reference: it has ended. */
static void websocket_dealloc(PyObject *op) {
    q5py_websocket *self = (q5py_websocket *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    websocket_clear(op);
    q5py_websocket_clear_queue(self);
    if (self->opened) q5_ws_deinit(&self->ws);
    q5py_websocket_free_compression(self);
    Py_XDECREF(self->protocol);
    Py_XDECREF(self->close_reason);
    Py_XDECREF(self->plan);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef websocket_methods[] = {
    {"accept", websocket_accept, METH_NOARGS, accept_doc},
    {"receive", q5py_websocket_receive, METH_NOARGS,
     "receive() -> awaitable: the next message. Raises WebSocketClosed behind the last one."},
    {"send", q5py_websocket_send, METH_O,
     "send(message) -> awaitable\n\nWaits while the client is behind. Raises WebSocketClosed."},
    {"close", (PyCFunction)(void (*)(void))websocket_close, METH_VARARGS | METH_KEYWORDS,
     close_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef websocket_getset[] = {
    {"request", get_request, NULL, "The request of the handshake.", NULL},
    {"user", get_user, NULL, "Who an authentication guard has found to ask; or None.", NULL},
    {"subprotocol", get_subprotocol, NULL, "What was agreed on, or None.", NULL},
    {"closed", get_closed, NULL, "bool: nothing can be sent any more", NULL},
    {"close_code", get_close_code, NULL, "Why it was closed; None while it is open.", NULL},
    {"close_reason", get_close_reason, NULL, "In words; or \"\".", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot websocket_slots[] = {
    {Py_tp_doc, "A WebSocket, the server's end."},
    {Py_tp_dealloc, websocket_dealloc},
    {Py_tp_traverse, websocket_traverse},
    {Py_tp_clear, websocket_clear},
    {Py_tp_methods, websocket_methods},
    {Py_tp_getset, websocket_getset},
    {Py_am_aiter, PyObject_SelfIter},
    {Py_am_anext, q5py_websocket_next},
    {0, NULL},
};

static PyType_Spec websocket_spec = {
    .name = "quintette._quintette.WebSocket",
    .basicsize = sizeof(q5py_websocket),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = websocket_slots,
};

PyObject *q5py_set_websocket_classes(PyObject *module, PyObject *args) {
    q5py_state *state = q5py_state_of(module);
    PyObject *socket, *closed;
    if (!PyArg_ParseTuple(args, "O!O", &PyType_Type, &socket, &closed)) return NULL;
    if (!PyType_IsSubtype((PyTypeObject *)socket, state->websocket_type) ||
        !PyExceptionClass_Check(closed)) {
        PyErr_SetString(PyExc_TypeError, "a subclass of WebSocket and an exception are needed");
        return NULL;
    }
    Py_XSETREF(state->websocket_class, Py_NewRef(socket));
    Py_XSETREF(state->websocket_closed, Py_NewRef(closed));
    Py_RETURN_NONE;
}

int q5py_init_websocket(PyObject *module, q5py_state *state) {
    state->websocket_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &websocket_spec, NULL);
    if (!state->websocket_type || q5py_init_websocket_receive(module, state) ||
        q5py_init_websocket_send(module, state))
        return -1;
    return PyModule_AddType(module, state->websocket_type);
}
