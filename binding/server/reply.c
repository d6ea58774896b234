/* From a reply to the response, on the loop's thread. */
#include "server.h"

#include <unistd.h>

#include "django/django.h"
#include "query/watch.h"

void q5py_reply_clear(q5py_reply *reply) {
    Py_CLEAR(reply->reason);
    Py_CLEAR(reply->fields);
    Py_CLEAR(reply->body);
    Py_CLEAR(reply->stream);
    Py_CLEAR(reply->file);
    Py_CLEAR(reply->closer);
    Py_CLEAR(reply->pieces);
    Py_CLEAR(reply->encoder);
    Py_CLEAR(reply->prelude);
    if (reply->file_is_ours) close(reply->file_fd);
    reply->file_is_ours = false;
    reply->file_fd = -1;
}

/* ---- head ------------------------------------------------------------------------------------ */

static int add_field(q5_exchange *x, PyObject *pair) {
    q5_slice name, value;
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) {
        PyErr_Format(PyExc_TypeError, "a header is a (name, value) tuple, not %R", pair);
        return -1;
    }
    if (q5py_field_slice(PyTuple_GET_ITEM(pair, 0), &name) ||
        q5py_field_slice(PyTuple_GET_ITEM(pair, 1), &value))
        return -1;
    int status = q5_response_field(x, name, value);
    if (status == Q5_EHEADER_OUT) {
        PyErr_Format(PyExc_ValueError, "invalid response header %R", pair);
        return -1;
    }
    if (status) q5py_raise_status(status);
    return status ? -1 : 0;
}

static int add_fields(q5_exchange *x, PyObject *fields) {
    PyObject *fast = PySequence_Fast(fields, "headers are a list or tuple");
    if (!fast) return -1;
    int rc = 0;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(fast) && rc == 0; i++)
        rc = add_field(x, PySequence_Fast_GET_ITEM(fast, i));
    Py_DECREF(fast);
    return rc;
}

/* Those of whoever watches the request. */
static int add_watched(q5py_flight *flight) {
    PyObject *fields = q5py_watch_fields(flight);
    int rc = fields ? add_fields(flight->x, fields) : 0;
    Py_XDECREF(fields);
    return rc;
}

/* 0 or -1 with an exception. */
static int start(q5_exchange *x, const q5py_reply *reply) {
    q5_slice reason;
    if (reply->reason && q5py_field_slice(reply->reason, &reason)) return -1;
    int status = reply->reason ? q5_response_start_reason(x, reply->status, reason)
                               : q5_response_start(x, reply->status);
    if (status == Q5_EHEADER_OUT)
        PyErr_Format(PyExc_ValueError, "invalid reason phrase %R", reply->reason);
    else if (status)
        q5py_raise_status(status);
    return status ? -1 : 0;
}

int q5py_reply_start(q5py_flight *flight) {
    q5_exchange *x = flight->x;
    q5py_reply *reply = &flight->reply;
    if (start(x, reply)) return -1;
    int status = Q5_OK;
    if (reply->lines.len) status = q5_response_lines(x, reply->lines);
    for (uint8_t i = 0; !status && i < reply->more_count; i++)
        status = q5_response_lines(x, reply->more_lines[i]);
    if (!status && (!reply->fields || add_fields(x, reply->fields) == 0) &&
        (!flight->watched || add_watched(flight) == 0))
        return 0;
    if (status) q5py_raise_status(status);
    q5_response_reset(x);
    return -1;
}

/* ---- bodies ---------------------------------------------------------------------------------- */

static void release_object(void *ctx) {
    Py_DECREF((PyObject *)ctx);
}

static int send_body(q5_exchange *x, PyObject *body) {
    if (PyBytes_Check(body))
        return q5_response_send(
            x, q5_slice_make(PyBytes_AS_STRING(body), (size_t)PyBytes_GET_SIZE(body)),
            release_object, Py_NewRef(body));
    Py_buffer view;
    if (PyObject_GetBuffer(body, &view, PyBUF_SIMPLE)) return Q5_EINVAL;
    int status = q5_response_send(x, q5_slice_make(view.buf, (size_t)view.len), NULL, NULL);
    PyBuffer_Release(&view);
    return status;
}

static void release_file(void *ctx) {
    close((int)(intptr_t)ctx);
}

static int send_file(q5_exchange *x, q5py_reply *reply) {
    if (!reply->file_is_ours) {
        int fd = dup(reply->file_fd);
        if (fd < 0) return Q5_EIO;
        reply->file_fd = fd;
    }
    reply->file_is_ours = false; /* the response's from here on */
    void *ctx = (void *)(intptr_t)reply->file_fd;
    int status = q5_response_stream(x, (int64_t)reply->file_len);
    if (status) {
        release_file(ctx);
        return status;
    }
    status =
        q5_response_file(x, reply->file_fd, reply->file_offset, reply->file_len, release_file, ctx);
    if (status == Q5_OK || status == Q5_AGAIN) status = q5_response_end(x);
    return status;
}

static int send_whole(q5py_flight *flight) {
    q5py_reply *reply = &flight->reply;
    if (reply->file) return send_file(flight->x, reply);
    if (reply->body) return send_body(flight->x, reply->body);
    return q5_response_send(flight->x, q5_slice_make(NULL, 0), NULL, NULL);
}

/* ---- closing --------------------------------------------------------------------------------- */

static void close_closer(q5py_flight *flight, PyObject *closer) {
    if (q5py_response_close(flight->server->state, closer)) q5py_server_error(flight->server, NULL);
    Py_DECREF(closer);
}

void q5py_reply_close_here(q5py_flight *flight) {
    q5py_reply *reply = &flight->reply;
    PyObject *closer = reply->closer;
    if (!closer) return;
    if (reply->file && !reply->file_is_ours) {
        /* The file outlives its owner's close() as a descriptor of ours. */
        int fd = dup(reply->file_fd);
        if (fd < 0) return;
        reply->file_fd = fd;
        reply->file_is_ours = true;
    }
    reply->closer = NULL;
    close_closer(flight, closer);
}

void q5py_reply_close(q5py_flight *flight) {
    PyObject *closer = flight->reply.closer;
    if (!closer) return;
    flight->reply.closer = NULL;
    PyObject *helper = q5py_streams_attribute("close_on_loop");
    PyObject *done = helper ? PyObject_CallOneArg(helper, closer) : NULL;
    if (!done) q5py_server_error(flight->server, NULL);
    Py_XDECREF(done);
    Py_XDECREF(helper);
    Py_DECREF(closer);
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* Or, when something of the response has left already, cuts it. */
static void send_plain_500(q5_exchange *x) {
    q5_response_reset(x);
    if (q5_response_problem(x, 500, q5_slice_make(NULL, 0)) == Q5_ESTATE &&
        x->response_state != Q5_RESPONSE_END)
        q5_response_abort(x);
}

/* 0: the response is given, or waits for its stream. -1: an exception is set, or a status was bad.
 */
static int give(q5py_flight *flight) {
    if (q5py_reply_start(flight)) return -1;
    return flight->reply.stream || send_whole(flight) == Q5_OK ? 0 : -1;
}

/* The client is told 500. */
static void report(q5py_flight *flight) {
    if (PyErr_Occurred() && flight->x->conn) q5py_server_error(flight->server, flight->request);
    PyErr_Clear();
    flight->failed = true;
}

void q5py_reply_send(q5py_flight *flight) {
    if (flight->feed) q5py_feed_finish(flight);
    /* A worker has fed the response to its end, or nobody waits for it. */
    bool over = flight->feed || flight->gone;
    if (!over && !flight->failed && give(flight)) report(flight);
    if (!over && flight->failed) {
        send_plain_500(flight->x);
    } else if (!over && flight->reply.stream) {
        q5py_pump_start(flight);
        return;
    }
    q5py_reply_close(flight);
    q5py_flight_end(flight);
}

bool q5py_reply_send_here(q5py_flight *flight) {
    q5py_reply *reply = &flight->reply;
    if (flight->feed || flight->gone || flight->failed || reply->stream || reply->closer)
        return false;
    q5_server_refresh(flight->server->server);
    if (give(flight)) {
        report(flight);
        return false;
    }
    q5py_flight_end(flight);
    return true;
}
