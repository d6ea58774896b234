/* Bodies in pieces. A sync iterator is run by the worker thread that made the reply, for the sake
 * of what is bound to the thread (database connections), and feeds the loop with a bounded number
 * of bytes in between. An async iterator is pumped by a coroutine on the loop. */
#include "server.h"

#include <time.h>

#include "convert.h"
#include "sync_call.h"

#define FEED_BYTES_MAX 262144 /* produced but not yet taken by the loop */
#define CHUNK_COST 128        /* what a chunk takes besides its bytes: object, segment, framing */

/* Flags and list are guarded by the GIL; lock and condition only put the worker to sleep. */
typedef struct q5py_feed {
    q5py_job job;
    q5py_flight *flight;
    pthread_mutex_t lock;
    pthread_cond_t awake;
    bool signalled;  /* under the lock */
    q5py_wait *wait; /* owned: of a greenlet that sleeps; or NULL */
    PyObject *chunks;
    size_t bytes;
    bool posted, started, full, ended, failed;
} q5py_feed;

/* Nothing of the body would be sent, so the iterator is not begun: it may have no end. */
static bool body_is_unwanted(const q5_exchange *x, int status) {
    return x->bodiless || status == 204 || status == 205 || status == 304;
}

/* ---- feed: the worker's side ----------------------------------------------------------------- */

/* Woken by a client that takes what was sent, or leaves. */
static int feed_wait_here(q5py_feed *feed) {
    PyObject *loop = q5py_server_loop(feed->flight->server);
    feed->wait = loop ? q5py_wait_new_on(feed->flight->server->state, loop) : NULL;
    Py_XDECREF(loop);
    int rc = feed->wait ? q5py_wait_here(feed->wait, -1, NULL) : -1;
    Py_CLEAR(feed->wait);
    return rc;
}

static void feed_sleep(q5py_feed *feed) {
    Py_BEGIN_ALLOW_THREADS
        pthread_mutex_lock(&feed->lock);
        while (!feed->signalled)
            pthread_cond_wait(&feed->awake, &feed->lock);
        feed->signalled = false;
        pthread_mutex_unlock(&feed->lock);
    Py_END_ALLOW_THREADS
}

static void feed_post(q5py_feed *feed) {
    if (feed->posted) return;
    feed->posted = true;
    q5py_server_post(feed->flight->server, &feed->job);
}

/* Bounded by the connection's write deadline: a client that takes nothing is given up, and that
 * wakes us. */
static int feed_chunk(q5py_feed *feed, PyObject *chunk) {
    Py_ssize_t len = PyObject_Size(chunk);
    if (len < 0 || PyList_Append(feed->chunks, chunk)) return -1;
    feed->bytes += (size_t)len + CHUNK_COST;
    feed_post(feed);
    int rc = 0;
    while (rc == 0 && (feed->full || feed->bytes > FEED_BYTES_MAX) && !feed->flight->gone) {
        if (q5py_in_greenlet())
            rc = feed_wait_here(feed);
        else
            feed_sleep(feed);
    }
    return rc;
}

/* str is encoded as Django's make_bytes does for the default charset; bytes-likes pass. */
static PyObject *as_bytes(PyObject *chunk) {
    if (PyBytes_Check(chunk)) return Py_NewRef(chunk);
    if (PyUnicode_Check(chunk)) return PyUnicode_AsUTF8String(chunk);
    return PyBytes_FromObject(chunk);
}

static int feed_all(q5py_feed *feed, PyObject *iterable) {
    PyObject *iterator = PyObject_GetIter(iterable), *chunk;
    if (!iterator) return -1;
    int rc = 0;
    while (rc == 0 && !feed->flight->gone && (chunk = PyIter_Next(iterator))) {
        PyObject *bytes = as_bytes(chunk);
        Py_DECREF(chunk);
        rc = bytes ? feed_chunk(feed, bytes) : -1;
        Py_XDECREF(bytes);
    }
    Py_DECREF(iterator);
    return PyErr_Occurred() ? -1 : rc;
}

static void feed_flush(q5py_job *job);

static q5py_feed *feed_new(q5py_flight *flight) {
    q5py_feed *feed = PyMem_Calloc(1, sizeof(*feed));
    if (!feed) return NULL;
    feed->job.finish = feed_flush;
    feed->flight = flight;
    feed->chunks = PyList_New(0);
    if (!feed->chunks) {
        PyMem_Free(feed);
        return NULL;
    }
    pthread_mutex_init(&feed->lock, NULL);
    pthread_cond_init(&feed->awake, NULL);
    return feed;
}

void q5py_feed_free(q5py_flight *flight) {
    q5py_feed *feed = flight->feed;
    if (!feed) return;
    flight->feed = NULL;
    q5py_job_forget(flight->server, &feed->job);
    Py_DECREF(feed->chunks);
    Py_XDECREF((PyObject *)feed->wait);
    pthread_mutex_destroy(&feed->lock);
    pthread_cond_destroy(&feed->awake);
    PyMem_Free(feed);
}

void q5py_feed_run(q5py_flight *flight) {
    q5py_feed *feed = flight->feed = feed_new(flight);
    if (!feed) {
        PyErr_Clear();
        return;
    }
    feed_post(feed); /* the head need not wait for the first chunk */
    if (!body_is_unwanted(flight->x, flight->reply.status) &&
        feed_all(feed, flight->reply.stream)) {
        feed->failed = true;
        q5py_server_error(flight->server, flight->request);
    }
    feed->ended = true;
    feed_post(feed);
    Py_CLEAR(flight->reply.stream);
    q5py_reply_close_here(flight);
}

/* ---- feed: the loop's side ------------------------------------------------------------------- */

void q5py_feed_wake(q5py_flight *flight) {
    q5py_feed *feed = flight->feed;
    feed->full = false;
    if (feed->wait) q5py_wait_finish(feed->wait, NULL);
    pthread_mutex_lock(&feed->lock);
    feed->signalled = true;
    pthread_cond_signal(&feed->awake);
    pthread_mutex_unlock(&feed->lock);
}

static void release_object(void *ctx) {
    Py_DECREF((PyObject *)ctx);
}

static int write_chunk(q5_exchange *x, PyObject *chunk) {
    q5_slice data = q5_slice_make(PyBytes_AS_STRING(chunk), (size_t)PyBytes_GET_SIZE(chunk));
    return q5_response_write(x, data, release_object, Py_NewRef(chunk));
}

static bool feed_start(q5py_feed *feed) {
    q5py_flight *flight = feed->flight;
    feed->started = true;
    if (q5py_reply_start(flight) == 0 && q5_response_stream(flight->x, -1) == Q5_OK) return true;
    if (PyErr_Occurred()) q5py_server_error(flight->server, flight->request);
    q5_response_problem(flight->x, 500, q5_slice_make(NULL, 0));
    return false;
}

static void feed_flush(q5py_job *job) {
    q5py_feed *feed = Q5_CONTAINER_OF(job, q5py_feed, job);
    q5py_flight *flight = feed->flight;
    feed->posted = false;
    if (!feed->started && !flight->gone && !feed_start(feed)) flight->gone = true;
    bool full = false;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(feed->chunks) && !flight->gone; i++) {
        int status = write_chunk(flight->x, PyList_GET_ITEM(feed->chunks, i));
        if (status == Q5_AGAIN)
            full = true;
        else if (status)
            flight->gone = true;
    }
    if (PyList_SetSlice(feed->chunks, 0, PyList_GET_SIZE(feed->chunks), NULL)) PyErr_Clear();
    feed->bytes = 0;
    if (feed->ended && !flight->gone) {
        if (feed->failed)
            q5_response_abort(flight->x);
        else
            q5_response_end(flight->x);
    }
    q5py_feed_wake(flight);
    feed->full = full;
}

void q5py_feed_finish(q5py_flight *flight) {
    q5py_feed *feed = flight->feed;
    if (!feed->posted || flight->gone) return;
    q5py_job_forget(flight->server, &feed->job);
    feed_flush(&feed->job);
}

/* ---- pump: async iterators ------------------------------------------------------------------- */

/* _quintette.Stream: what the pumping coroutine writes to. */
typedef struct stream_object {
    PyObject_HEAD q5py_flight *flight; /* borrowed; NULL once the flight has ended */
    bool full;
} stream_object;

static void stream_gone(void) {
    PyErr_SetString(PyExc_ConnectionResetError, "the client has left");
}

static PyObject *stream_write(PyObject *op, PyObject *chunk) {
    stream_object *self = (stream_object *)op;
    PyObject *bytes = as_bytes(chunk);
    if (!bytes) return NULL;
    int status = self->flight ? write_chunk(self->flight->x, bytes) : Q5_ECLOSED;
    Py_DECREF(bytes);
    if (status && status != Q5_AGAIN) {
        if (status == Q5_ECLOSED)
            stream_gone();
        else
            q5py_raise_status(status);
        return NULL;
    }
    self->full = status == Q5_AGAIN;
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
    stream->flight = NULL;
    flight->stream = NULL;
    Py_DECREF(stream);
}

static void on_pump_end(q5py_task *task, void *arg) {
    q5py_flight *flight = arg;
    if (task->exception && !flight->gone) {
        PyErr_SetObject((PyObject *)Py_TYPE(task->exception), task->exception);
        q5py_server_error(flight->server, flight->request);
        q5_response_abort(flight->x);
    } else if (!flight->gone) {
        q5_response_end(flight->x);
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
    if (body_is_unwanted(flight->x, flight->reply.status)) {
        end_without_body(flight);
        return;
    }
    PyObject *pump = q5py_streams_attribute("pump");
    stream_object *stream =
        pump ? (stream_object *)state->stream_type->tp_alloc(state->stream_type, 0) : NULL;
    if (stream) stream->flight = flight;
    flight->stream = (PyObject *)stream;
    PyObject *coro =
        stream ? PyObject_CallFunctionObjArgs(pump, stream, flight->reply.stream, NULL) : NULL;
    Py_XDECREF(pump);
    /* We may be inside the context of the handler's task, and none can be entered twice. */
    PyObject *context = coro ? PyContext_Copy(flight->context) : NULL;
    if (context) Py_SETREF(flight->context, context);
    int status = context ? q5_response_stream(flight->x, -1) : Q5_EINVAL;
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
