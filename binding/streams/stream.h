/* What feed.c, pump.c and subscription.c share. All under the GIL. */
#ifndef Q5PY_STREAM_H
#define Q5PY_STREAM_H

#include "server/server.h"

/* Nothing of the body would be sent, so the iterator is not begun: it may have no end. */
bool q5py_stream_is_unwanted(const q5_exchange *x, int status);
/* What an item of the reply's iterator is sent as: new reference to bytes, or NULL. */
PyObject *q5py_stream_piece(const q5py_reply *reply, PyObject *item);
/* On the loop, after q5py_reply_start: the head is sent, and what comes before the first piece. A
 * q5_status. */
int q5py_stream_begin(q5py_flight *flight);
/* As q5_response_write, whose data are kept alive. */
int q5py_stream_write(q5_exchange *x, PyObject *bytes);

/* Small pieces cost less together: they are collected in `batch` and written when there are many,
 * or by q5py_batch_flush, which is due before anybody waits. As q5_response_write; what was
 * collected is dropped with an error. */
int q5py_batch_add(q5_buf *batch, q5py_flight *flight, PyObject *bytes);
int q5py_batch_flush(q5_buf *batch, q5py_flight *flight);
/* Ends the response, and with it what its pieces leave through. */
void q5py_stream_end(q5py_flight *flight);

#endif
