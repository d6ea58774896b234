/* What every way of answering ends in: a status, fields and a body, held as Python objects and
 * written to an exchange by the loop's thread. Producers (typed API, Django responses) fill one in
 * under the GIL, on any thread. */
#ifndef Q5PY_REPLY_H
#define Q5PY_REPLY_H

#include "q5py.h"

#include <stddef.h>

#define Q5PY_REPLY_LINES_MAX 16

typedef struct q5py_reply {
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
    uint64_t file_offset, file_len;
    /* For streams. NULL, or an owned Pieces: the iterator's items are not bytes, but these. */
    PyObject *pieces;
    PyObject *encoder;   /* NULL, or an owned Encoder: what the pieces leave through */
    PyObject *prelude;   /* NULL, or owned bytes that are sent before the first piece */
    q5_slice keep_alive; /* a constant that is sent to break a silence of keep_alive_msec */
    /* NULL, or an owned object whose close() is called once the response has left or the client
     * has (Django's HttpResponse.close: request_finished). Called on the thread that made the reply
     * for thread jobs, else on the loop's. */
    PyObject *closer;
    int status;
    int file_fd;
    uint32_t keep_alive_msec; /* 0: silence is not broken */
    uint8_t more_count;       /* of more_lines */
    bool fields_are_ours;     /* a list that nobody else has */
    bool stream_is_async;
    bool file_is_ours; /* file_fd is a duplicate that the reply closes */
    /* As `lines`, of guards: more_count of them. Last, so that a new reply need not clear them. */
    q5_slice more_lines[Q5PY_REPLY_LINES_MAX];
} q5py_reply;

static inline void q5py_reply_init(q5py_reply *reply) {
    memset(reply, 0, offsetof(q5py_reply, more_lines));
    reply->file_fd = -1;
}

/* Drops the references. Does not call close(). */
void q5py_reply_clear(q5py_reply *reply);

/* reply_fields.c: for guards, once the reply is filled in. Each gives 0, or -1 with an exception.
 */
/* Adds a field of latin-1 strs or bytes, checked when the head is written. */
int q5py_reply_add_field(q5py_reply *reply, PyObject *name, PyObject *value);
/* Adds complete, checked lines that outlive the request ("Name: value\r\n"). */
int q5py_reply_add_lines(q5py_reply *reply, q5_slice lines);
/* The first field of that name, case-insensitively; *ret points into the reply. */
bool q5py_reply_find(const q5py_reply *reply, q5_slice name, q5_slice *ret);
/* Bit i: there is a field names[i], of 32 at most; names are compared case-insensitively. */
uint32_t q5py_reply_present(const q5py_reply *reply, const q5_slice *names, uint8_t count);
/* Drops all fields of that name. */
int q5py_reply_remove(q5py_reply *reply, q5_slice name);
/* reply_vary.c: adds a name to Vary unless it, or "*", is there. */
int q5py_reply_vary(q5py_reply *reply, q5_slice name);
/* Adds a list of (name, value), names of Vary as q5py_reply_vary does. An exception among them is
 * raised: whoever made the list met it. */
int q5py_reply_merge_fields(q5py_reply *reply, PyObject *fields);
/* All fields, lines too, as the list that will be sent: new reference, NULL with an exception. */
PyObject *q5py_reply_take_fields(q5py_reply *reply);
/* The bytes of a name or value, which live as long as `text`. */
int q5py_field_slice(PyObject *text, q5_slice *ret);

/* binding/django/django_response.c: fills reply from a django.http.HttpResponseBase. 0, or -1 with
 * an exception. */
int q5py_reply_from_django(q5py_state *state, PyObject *response, q5py_reply *reply);

#endif
