/* A body that a coroutine on the loop produces: it pumps an async iterator into the response. */
#include "stream.h"

#include "convert.h"
#include "pieces.h"

/* _quintette.Stream: what the pumping coroutine writes to. */
typedef struct stream_object {
    PyObject_HEAD q5py_flight *flight; /* borrowed; NULL once the flight has ended */
    q5_buf batch;                      /* small pieces, written before the loop waits */
    struct stream_object *next_unsent; /* in server->unsent, which holds no reference */
    struct stream_object *prev, *next; /* in server->event_streams, likewise */
    bool is_events;                    /* is in it */
    bool is_unsent;
    bool full;
} stream_object;

/* ---- batches --------------------------------------------------------------------------------- */

static void forget_unsent(stream_object *self) {
    if (!self->is_unsent) return;
    PyObject **link = &self->flight->server->unsent;
    while (*link != (PyObject *)self)
        link = (PyObject **)&((stream_object *)*link)->next_unsent;
    *link = (PyObject *)self->next_unsent;
    self->is_unsent = false;
}

static void remember_unsent(stream_object *self) {
    if (self->is_unsent || !self->batch.len) return;
    q5py_server *server = self->flight->server;
    self->next_unsent = (stream_object *)server->unsent;
    server->unsent = (PyObject *)self;
    self->is_unsent = true;
}

static void flush(stream_object *self) {
    forget_unsent(self);
    if (q5py_batch_flush(&self->batch, self->flight) == Q5_AGAIN) self->full = true;
}

void q5py_pump_flush(q5py_server *server) {
    while (server->unsent)
        flush((stream_object *)server->unsent);
}

/* ---- drains ---------------------------------------------------------------------------------- */

static void join_events(stream_object *self) {
    q5py_server *server = self->flight->server;
    if (!self->flight->reply.pieces || !q5py_pieces_are_events(self->flight->reply.pieces)) return;
    self->is_events = true;
    self->next = (stream_object *)server->event_streams;
    if (self->next) self->next->prev = self;
    server->event_streams = (PyObject *)self;
}

static void leave_events(stream_object *self) {
    if (!self->is_events) return;
    self->is_events = false;
    if (self->prev)
        self->prev->next = self->next;
    else
        self->flight->server->event_streams = (PyObject *)self->next;
    if (self->next) self->next->prev = self->prev;
    self->prev = self->next = NULL;
}

void q5py_pumps_drain(q5py_server *server) {
    while (server->event_streams) {
        stream_object *stream = (stream_object *)server->event_streams;
        q5py_flight *flight = stream->flight;
        leave_events(stream);
        flight->ending = true;
        if (flight->task) q5py_task_cancel(flight->task, NULL);
    }
}

/* ---- the stream ------------------------------------------------------------------------------ */

static void stream_gone(void) {
    PyErr_SetString(PyExc_ConnectionResetError, "the client has left");
}

/* Items are collected until the loop waits; one without a poller does not say when. */
static int write_piece(stream_object *self, PyObject *bytes) {
    q5py_flight *flight = self->flight;
    bool is_batched = flight->reply.pieces && flight->server->poller;
    if (!is_batched && !flight->reply.encoder) return q5py_stream_write(flight->x, bytes);
    int status = q5py_batch_add(&self->batch, flight, bytes);
    if (!is_batched && (status == Q5_OK || status == Q5_AGAIN))
        return q5py_batch_flush(&self->batch, flight);
    remember_unsent(self);
    return status;
}

static PyObject *stream_write(PyObject *op, PyObject *item) {
    stream_object *self = (stream_object *)op;
    if (!self->flight) {
        stream_gone();
        return NULL;
    }
    PyObject *bytes = q5py_stream_piece(&self->flight->reply, item);
    if (!bytes) return NULL;
    /* An encoder may have run anything. */
    int status = self->flight ? write_piece(self, bytes) : Q5_ECLOSED;
    Py_DECREF(bytes);
    if (status && status != Q5_AGAIN) {
        if (status == Q5_ECLOSED)
            stream_gone();
        else
            q5py_raise_status(status);
        return NULL;
    }
    if (status == Q5_AGAIN) self->full = true;
    return PyBool_FromLong(!self->full);
}

static PyObject *stream_drained(PyObject *op, PyObject *unused) {
    (void)unused;
    stream_object *self = (stream_object *)op;
    if (!self->flight || self->flight->gone) {
        stream_gone();
        return NULL;
    }
    if (self->full && self->flight->drained) return Py_NewRef(self->flight->drained);
    PyObject *loop = q5py_server_loop(self->flight->server);
    PyObject *future = loop ? PyObject_CallMethod(loop, "create_future", NULL) : NULL;
    Py_XDECREF(loop);
    if (!future) return NULL;
    if (self->full) {
        Py_XSETREF(self->flight->drained, Py_NewRef(future));
        return future;
    }
    PyObject *done = PyObject_CallMethod(future, "set_result", "O", Py_None);
    if (!done) Py_CLEAR(future);
    Py_XDECREF(done);
    return future;
}

static void stream_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    type->tp_free(op);
    Py_DECREF(type);
}

void q5py_stream_detach(q5py_flight *flight) {
    stream_object *stream = (stream_object *)flight->stream;
    if (!stream) return;
    forget_unsent(stream);
    leave_events(stream);
    q5_buf_deinit(&stream->batch);
    stream->flight = NULL;
    flight->stream = NULL;
    Py_DECREF(stream);
}

static void on_pump_end(q5py_task *task, void *arg) {
    q5py_flight *flight = arg;
    if (task->exception && !flight->gone && !flight->ending) {
        PyErr_SetObject((PyObject *)Py_TYPE(task->exception), task->exception);
        q5py_server_error(flight->server, flight->request);
        q5_response_abort(flight->x);
    } else if (!flight->gone) {
        flush((stream_object *)flight->stream);
        q5py_stream_end(flight);
    }
    q5py_reply_close(flight);
    q5py_flight_end(flight);
}

PyObject *q5py_streams_attribute(const char *name) {
    PyObject *module = PyImport_ImportModule("quintette._streams");
    PyObject *value = module ? PyObject_GetAttrString(module, name) : NULL;
    Py_XDECREF(module);
    return value;
}

static void end_without_body(q5py_flight *flight) {
    if (q5_response_stream(flight->x, -1) == Q5_OK) q5_response_end(flight->x);
    q5py_reply_close(flight);
    q5py_flight_end(flight);
}

void q5py_pump_start(q5py_flight *flight) {
    q5py_state *state = flight->server->state;
    if (q5py_subscription_start(flight)) return;
    if (q5py_stream_is_unwanted(flight->x, flight->reply.status)) {
        end_without_body(flight);
        return;
    }
    PyObject *pump = q5py_streams_attribute("pump");
    stream_object *stream =
        pump ? (stream_object *)state->stream_type->tp_alloc(state->stream_type, 0) : NULL;
    if (stream) {
        stream->flight = flight;
        q5_buf_init(&stream->batch, NULL);
        join_events(stream);
    }
    flight->stream = (PyObject *)stream;
    PyObject *coro =
        stream ? PyObject_CallFunctionObjArgs(pump, stream, flight->reply.stream, NULL) : NULL;
    Py_XDECREF(pump);
    /* We may be inside the context of the handler's task, and none can be entered twice. */
    PyObject *context = coro ? PyContext_Copy(flight->context) : NULL;
    if (context) Py_SETREF(flight->context, context);
    int status = context ? q5py_stream_begin(flight) : Q5_EINVAL;
    if (status == Q5_OK) {
        if (q5py_flight_start_task(flight, coro, on_pump_end) == 0) return;
        q5_response_abort(flight->x);
    } else {
        Py_XDECREF(coro);
        q5_response_abort(flight->x);
    }
    if (PyErr_Occurred()) q5py_server_error(flight->server, flight->request);
    q5py_reply_close(flight);
    q5py_flight_end(flight);
}

void q5py_pump_wake(q5py_flight *flight) {
    stream_object *stream = (stream_object *)flight->stream;
    if (stream) stream->full = false;
    PyObject *future = flight->drained;
    flight->drained = NULL;
    if (!future) return;
    PyObject *over = PyObject_CallMethod(future, "done", NULL);
    PyObject *done = over == Py_False ? PyObject_CallMethod(future, "set_result", "O", Py_None)
                                      : Py_NewRef(Py_None);
    if (!over || !done) q5py_server_error(flight->server, NULL);
    Py_XDECREF(over);
    Py_XDECREF(done);
    Py_DECREF(future);
}

static PyMethodDef stream_methods[] = {
    {"write", stream_write, METH_O,
     "write(chunk) -> bool\n\nFalse: await drained() before the next chunk."},
    {"drained", stream_drained, METH_NOARGS, "drained() -> Future: there is room again"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot stream_slots[] = {
    {Py_tp_doc, "The body of a response that is being streamed by a coroutine."},
    {Py_tp_dealloc, stream_dealloc},
    {Py_tp_methods, stream_methods},
    {0, NULL},
};

static PyType_Spec stream_spec = {
    .name = "quintette._quintette.Stream",
    .basicsize = sizeof(stream_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = stream_slots,
};

int q5py_init_stream(PyObject *module, q5py_state *state) {
    state->stream_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &stream_spec, NULL);
    return state->stream_type ? PyModule_AddType(module, state->stream_type) : -1;
}
