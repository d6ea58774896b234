/* What bodies in pieces have in common: which of them are wanted, items to bytes, bytes to the
 * response. */
#include "stream.h"

#include "pieces.h"
#include "responses/encoder.h"

#define SMALL_MAX 4096  /* larger pieces are sent from where they are */
#define BATCH_MAX 16384 /* small pieces that are sent as one */

bool q5py_stream_is_unwanted(const q5_exchange *x, int status) {
    return x->bodiless || status == 204 || status == 205 || status == 304;
}

PyObject *q5py_stream_piece(const q5py_reply *reply, PyObject *item) {
    if (reply->pieces) return q5py_pieces_encode(reply->pieces, item);
    if (PyBytes_Check(item)) return Py_NewRef(item);
    if (PyUnicode_Check(item)) return PyUnicode_AsUTF8String(item);
    return PyBytes_FromObject(item);
}

int q5py_stream_begin(q5py_flight *flight) {
    const q5py_reply *reply = &flight->reply;
    q5_exchange *x = flight->x;
    int status = q5_response_stream(x, -1);
    if (status == Q5_OK && reply->keep_alive_msec)
        status = q5_response_keep_alive(x, reply->keep_alive, reply->keep_alive_msec);
    if (status == Q5_OK && reply->prelude) status = q5py_stream_write(x, reply->prelude);
    return status == Q5_AGAIN ? Q5_OK : status;
}

static void release_object(void *ctx) {
    Py_DECREF((PyObject *)ctx);
}

int q5py_stream_write(q5_exchange *x, PyObject *bytes) {
    q5_slice data = q5_slice_make(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    return q5_response_write(x, data, release_object, Py_NewRef(bytes));
}

/* ---- batches --------------------------------------------------------------------------------- */

/* What can be decoded of the pieces so far, coded. */
static int write_coded(q5py_flight *flight, PyObject *coded) {
    if (!coded) { /* out of memory, or the stream has ended */
        PyErr_Clear();
        return Q5_ENOMEM;
    }
    int status = PyBytes_GET_SIZE(coded) ? q5py_stream_write(flight->x, coded) : Q5_OK;
    Py_DECREF(coded);
    return status;
}

int q5py_batch_flush(q5_buf *batch, q5py_flight *flight) {
    if (!batch->len) return Q5_OK;
    PyObject *encoder = flight->reply.encoder;
    int status = encoder ? write_coded(flight, q5py_encoder_flush(encoder, q5_buf_slice(batch)))
                         : q5_response_write(flight->x, q5_buf_slice(batch), NULL, NULL);
    batch->len = 0;
    return status;
}

int q5py_batch_add(q5_buf *batch, q5py_flight *flight, PyObject *bytes) {
    size_t len = (size_t)PyBytes_GET_SIZE(bytes);
    if (len > SMALL_MAX && !flight->reply.encoder) {
        int status = q5py_batch_flush(batch, flight);
        return status && status != Q5_AGAIN ? status : q5py_stream_write(flight->x, bytes);
    }
    if (q5_buf_append(batch, PyBytes_AS_STRING(bytes), len)) return Q5_ENOMEM;
    return batch->len >= BATCH_MAX ? q5py_batch_flush(batch, flight) : Q5_OK;
}

void q5py_stream_end(q5py_flight *flight) {
    PyObject *encoder = flight->reply.encoder;
    int status = encoder ? write_coded(flight, q5py_encoder_finish(encoder)) : Q5_OK;
    if (status == Q5_OK || status == Q5_AGAIN)
        q5_response_end(flight->x);
    else
        q5_response_abort(flight->x);
}
