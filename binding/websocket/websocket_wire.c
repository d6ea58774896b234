/* Between a connection that has left HTTP and the protocol on it: bytes in, frames out, time, and
 * who is told when it ends. */
#include "websocket.h"

#include "convert.h"

/* ---- out ------------------------------------------------------------------------------------- */

void q5py_websocket_write(q5py_websocket *self, q5_slice data, q5_release release, void *ctx) {
    if (!self->flight || self->over) {
        if (release) release(ctx);
        return;
    }
    int status = q5_response_write(self->flight->x, data, release, ctx);
    if (status == Q5_AGAIN) self->full = true;
    if (status != Q5_ENOMEM) return;
    /* The connection was cut, and nobody else tells us. */
    self->over = true;
    q5py_websocket_left(self, Q5_WS_ABNORMAL, q5_slice_make(NULL, 0));
    if (self->flight && self->handler_over) q5py_flight_end(self->flight);
}

/* ---- ends ------------------------------------------------------------------------------------ */

/* On a socket of the poller's no task is being stepped when something comes: a waiting one goes on
 * at once. */
static bool may_step(const q5py_websocket *self) {
    const q5_exchange *x = self->flight ? self->flight->x : NULL;
    return x && x->conn && q5_conn_transport(x->conn) && self->ws.busy;
}

static void wake_receiver(q5py_websocket *self) {
    q5py_wait *receiver = self->receiver;
    if (!receiver) return;
    self->receiver = NULL;
    receiver->on_cancel = NULL;
    if (may_step(self))
        q5py_wait_finish_now(receiver, NULL);
    else
        q5py_wait_finish(receiver, NULL);
    Py_DECREF(receiver);
}

void q5py_websocket_finish(q5py_websocket *self, int code, q5_slice reason) {
    if (self->ended) return;
    self->ended = true;
    self->close_code = code;
    self->close_reason = PyUnicode_DecodeUTF8(reason.base, (Py_ssize_t)reason.len, "replace");
    if (!self->close_reason) PyErr_Clear();
    Py_INCREF(self);
    wake_receiver(self);
    q5py_websocket_drained(self);
    Py_DECREF(self);
}

/* It reads, but not now: should it not come back to it, it is cancelled after all. */
static void cancel_later(q5py_websocket *self, q5py_task *task) {
    double seconds = (double)self->ws.config->close_msec / 1000;
    PyObject *cancel = PyObject_GetAttr((PyObject *)task, self->state->str_cancel);
    PyObject *timer =
        cancel ? PyObject_CallMethod(task->loop, "call_later", "dO", seconds, cancel) : NULL;
    if (!timer) q5py_server_error(self->flight->server, NULL);
    Py_XDECREF(timer);
    Py_XDECREF(cancel);
}

void q5py_websocket_left(q5py_websocket *self, int code, q5_slice reason) {
    if (self->ended) return;
    q5py_websocket_finish(self, code, reason);
    q5py_task *task = self->flight && !self->handler_over ? self->flight->task : NULL;
    if (!task || task->state != Q5PY_TASK_PENDING) return;
    if (self->has_received)
        cancel_later(self, task);
    else
        q5py_task_cancel(task, NULL);
}

int q5py_websocket_close(q5py_websocket *self, unsigned code, q5_slice reason) {
    if (!q5_ws_code_valid(code)) {
        PyErr_Format(PyExc_ValueError, "%u is no code that a WebSocket may be closed with", code);
        return -1;
    }
    if (self->ended || self->over) return 0;
    Py_INCREF(self);
    q5_ws_close(&self->ws, code, reason, q5_clock_msec());
    q5py_websocket_finish(self, (int)code, reason);
    Py_DECREF(self);
    return 0;
}

/* ---- events of the protocol ------------------------------------------------------------------ */

/* A new reference; NULL: it is none that the route takes, or out of memory. */
static PyObject *raw_message(const q5py_websocket *self, bool is_text, q5_slice data) {
    uint8_t in = q5py_websocket_plan_of(self)->in;
    if (is_text && in & Q5PY_MESSAGE_TEXT) return q5py_str(data);
    bool takes = is_text ? in == Q5PY_MESSAGE_JSON : in & Q5PY_MESSAGE_BYTES;
    return takes ? PyBytes_FromStringAndSize(data.base, (Py_ssize_t)data.len) : NULL;
}

static bool on_message(void *ctx, bool is_text, q5_slice data) {
    q5py_websocket *self = ctx;
    PyObject *message = raw_message(self, is_text, data);
    if (!message) {
        bool failed = PyErr_Occurred();
        PyErr_Clear();
        q5_slice why = failed    ? Q5_LIT("out of memory")
                       : is_text ? Q5_LIT("binary messages are expected")
                                 : Q5_LIT("text messages are expected");
        q5py_websocket_close(self, failed ? Q5_WS_INTERNAL : Q5_WS_UNSUPPORTED, why);
        return true;
    }
    q5py_websocket_push(self, message);
    wake_receiver(self);
    return q5py_websocket_has_room(self);
}

static void on_control(void *ctx, q5_slice frame) {
    q5py_websocket_write(ctx, frame, NULL, NULL);
}

static void on_close(void *ctx, q5_ws_code code, q5_slice reason) {
    q5py_websocket_left(ctx, (int)code, reason);
}

static void on_end(void *ctx) {
    q5py_websocket *self = ctx;
    self->over = true;
    if (!self->flight) return;
    q5_response_end(self->flight->x);
    if (self->handler_over) q5py_flight_end(self->flight);
}

void q5py_websocket_begin(q5py_websocket *self, const q5_ws_inflate *inflate) {
    q5_ws_events events = {.ctx = self,
                           .on_message = on_message,
                           .on_control = on_control,
                           .on_close = on_close,
                           .on_end = on_end};
    q5_ws_init(&self->ws, &self->flight->server->ws_config, &events, inflate, q5_clock_msec());
}

/* ---- the tunnel ------------------------------------------------------------------------------ */

static int tunnel_space(void *ctx, char **ret_base, size_t *ret_len) {
    return q5_ws_space(&((q5py_websocket *)ctx)->ws, ret_base, ret_len);
}

/* The flight, which holds the socket, may end within. */
static void tunnel_received(void *ctx, size_t n, q5_msec now) {
    q5py_websocket *self = ctx;
    Py_INCREF(self);
    q5_ws_received(&self->ws, n, now);
    Py_DECREF(self);
}

static void tunnel_eof(void *ctx, q5_msec now) {
    (void)now;
    q5py_websocket *self = ctx;
    Py_INCREF(self);
    q5_ws_eof(&self->ws);
    Py_DECREF(self);
}

static q5_msec tunnel_deadline(void *ctx) {
    return q5_ws_deadline(&((q5py_websocket *)ctx)->ws);
}

static void tunnel_expire(void *ctx, q5_msec now) {
    q5py_websocket *self = ctx;
    Py_INCREF(self);
    q5_ws_expire(&self->ws, now);
    Py_DECREF(self);
}

static void tunnel_drain(void *ctx) {
    q5py_websocket *self = ctx;
    q5_slice why = Q5_LIT("the server is going down");
    if (self->ended) return;
    Py_INCREF(self);
    q5_ws_close(&self->ws, Q5_WS_GOING_AWAY, why, q5_clock_msec());
    q5py_websocket_left(self, Q5_WS_GOING_AWAY, why);
    Py_DECREF(self);
}

const q5_tunnel_ops q5py_websocket_tunnel = {.space = tunnel_space,
                                             .received = tunnel_received,
                                             .eof = tunnel_eof,
                                             .deadline = tunnel_deadline,
                                             .expire = tunnel_expire,
                                             .drain = tunnel_drain};
