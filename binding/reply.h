/* What every way of answering ends in: a status, fields and a body, held as Python objects and
 * written to an exchange by the loop's thread. Producers (typed API, Django responses) fill one in
 * under the GIL, on any thread. */
#ifndef Q5PY_REPLY_H
#define Q5PY_REPLY_H

#include "q5py.h"

typedef struct q5py_reply {
    int status;
    /* NULL, or an owned str (latin-1) or bytes: the reason phrase, where it is not the usual one.
     */
    PyObject *reason;
    /* Complete, checked header lines with CRLFs ("Content-Type: application/json\r\n"), kept alive
     * by whoever the exchange keeps alive (a plan). May be empty. */
    q5_slice lines;
    /* NULL, or an owned list or tuple of (name, value), each str (latin-1) or bytes. */
    PyObject *fields;
    /* Exactly one of: owned bytes-like body; owned sync or async iterator of bytes-like chunks;
     * owned file object of which file_len bytes at file_offset are sent by sendfile (file_fd). All
     * NULL: an empty body. */
    PyObject *body;
    PyObject *stream;
    PyObject *file;
    int file_fd;
    uint64_t file_offset, file_len;
    bool stream_is_async;
    bool file_is_ours; /* file_fd is a duplicate that the reply closes */
    /* NULL, or an owned object whose close() is called once the response has left or the client
     * has (Django's HttpResponse.close: request_finished). Called on the thread that made the reply
     * for thread jobs, else on the loop's. */
    PyObject *closer;
} q5py_reply;

static inline void q5py_reply_init(q5py_reply *reply) {
    memset(reply, 0, sizeof(*reply));
    reply->file_fd = -1;
}

/* Drops the references. Does not call close(). */
void q5py_reply_clear(q5py_reply *reply);

/* binding/django_response.c: fills reply from a django.http.HttpResponseBase. 0, or -1 with an
 * exception. */
int q5py_reply_from_django(q5py_state *state, PyObject *response, q5py_reply *reply);

#endif
