/* _quintette.WebSocket: what a handler of a WebSocket route is given.
 *
 *   websocket_plan.c     what a route declares; the handshake's checks
 *   websocket.c          the type;  its part in a flight's life
 *   websocket_wire.c     between the connection and the protocol
 *   websocket_receive.c  messages to the handler
 *   websocket_send.c     messages to the client, to one or to many
 *   websocket_deflate.c  their compression
 *
 * All on the loop's thread. */
#ifndef Q5PY_WEBSOCKET_H
#define Q5PY_WEBSOCKET_H

#include "server/server.h"
#include "greenlets/wait.h"

#include "q5/ws.h"
#include "q5/ws_deflate.h"
#include "q5/ws_handshake.h"

/* Messages that were received and not taken: no more is read at either. */
#define Q5PY_WEBSOCKET_QUEUE_MAX 16
#define Q5PY_WEBSOCKET_QUEUE_BYTES_MAX 65536

typedef enum q5py_message_kind {
    Q5PY_MESSAGE_JSON = 0,
    Q5PY_MESSAGE_TEXT = 1,
    Q5PY_MESSAGE_BYTES = 2 /* bits: both are possible */
} q5py_message_kind;

/* The numbers are shared with api/handshake.py. */
typedef enum q5py_compression {
    Q5PY_COMPRESS_NOTHING,
    Q5PY_COMPRESS_MESSAGE, /* each message by itself */
    Q5PY_COMPRESS_CONTEXT  /* with what messages before it have had: memory for each connection */
} q5py_compression;

/* What a route declares; read-only. */
struct q5py_websocket_plan {
    uint8_t in, out;      /* q5py_message_kind */
    PyObject *decode;     /* owned: of JSON, bytes -> message; or NULL */
    PyObject *encode;     /* owned: message -> bytes */
    PyObject *origins;    /* owned tuple of str beside the same host's; "*": any */
    PyObject *protocols;  /* owned tuple of str, the preferred ones first */
    PyObject *refuse;     /* owned: (status, detail) -> answer */
    PyObject *is_invalid; /* owned: (exception) -> bool: the message is JSON, but not as declared */
    uint8_t compression;  /* q5py_compression */
};

typedef struct q5py_websocket {
    PyObject_HEAD q5py_state *state;
    q5py_flight *flight;          /* borrowed; NULL once it has ended */
    PyObject *plan;               /* owned */
    q5_ws ws;                     /* from opened on, until over */
    q5_ws_inflater *inflater;     /* owned or NULL */
    q5_ws_deflater *deflater;     /* borrowed: own_deflater or the server's; NULL: none */
    q5_ws_deflater *own_deflater; /* owned or NULL */
    PyObject *protocol;           /* owned str, or NULL */
    PyObject **queue;             /* owned ring of raw messages, str or bytes */
    uint32_t queue_first, queue_count, queue_cap;
    size_t queue_bytes;
    q5py_wait *receiver; /* owned: who waits for a message, or NULL */
    PyObject *drainers;  /* owned list of Waits for room to send, or NULL */
    PyObject *asides;    /* owned list of tasks of guards, or NULL */
    int close_code;      /* once ended */
    PyObject *close_reason;
    bool opened;       /* the handshake was answered */
    bool refused;      /* it could not be: flight->reply says why */
    bool ended;        /* no more messages but those in the queue, nothing can be sent */
    bool over;         /* the connection is done with */
    bool handler_over; /* so is the handler */
    bool has_received; /* the handler reads: it will find out by itself that the client has left */
    bool full;         /* output waits */
} q5py_websocket;

static inline struct q5py_websocket_plan *q5py_websocket_plan_of(const q5py_websocket *self) {
    return ((q5py_plan *)self->plan)->websocket;
}

/* ---- websocket_plan.c */
/* Reads the tuple that api/websockets.py makes. NULL with an exception. */
struct q5py_websocket_plan *q5py_websocket_plan_new(PyObject *given);
void q5py_websocket_plan_free(struct q5py_websocket_plan *plan);
int q5py_websocket_plan_traverse(const struct q5py_websocket_plan *plan, visitproc visit,
                                 void *arg);
/* GO; ANSWER: the request is no handshake or from another origin, and *reply says so; -1. */
int q5py_websocket_check(q5py_flight *flight);

/* ---- websocket.c */
/* The flight's socket, made by the first call: a new reference, or NULL with an exception. */
PyObject *q5py_websocket_of(q5_exchange *x);
/* Answers the handshake unless that was done. 0, or -1 with an exception. */
int q5py_websocket_open(q5py_websocket *self);
/* Raises WebSocketClosed. */
void q5py_websocket_raise_closed(q5py_websocket *self);
/* throw(exception) or throw(type, value, traceback) of an awaitable: sets it, unless the arguments
 * are wrong, which sets a TypeError. */
void q5py_websocket_set_thrown(PyObject *args);
/* The handler's task has ended. False: it never opened the socket, so its outcome is the answer. */
bool q5py_websocket_handler_ended(q5py_flight *flight, q5py_task *task);
/* The client has left without the closing handshake. False: the socket was not open. */
bool q5py_websocket_gone(q5py_flight *flight);
/* The flight ends. */
void q5py_websocket_detach(q5py_flight *flight);
int q5py_init_websocket(PyObject *module, q5py_state *state);
/* set_websocket_classes(WebSocket, WebSocketClosed) */
PyObject *q5py_set_websocket_classes(PyObject *module, PyObject *args);

/* ---- websocket_deflate.c */
/* Agrees on compression. *ret_len bytes of `out` are to be told to the client; 0: none. 0, or -1
 * with an exception. */
int q5py_websocket_negotiate(q5py_websocket *self, char out[Q5_WS_EXTENSION_MAX], size_t *ret_len);
/* With self->deflater. Q5_OK: *out is to be sent; Q5_AGAIN: the message as it is; else the
 * connection cannot go on if it has an own_deflater. */
int q5py_websocket_deflate(q5py_websocket *self, q5_slice message, q5_buf *out);
void q5py_websocket_free_compression(q5py_websocket *self);

/* ---- websocket_wire.c */
extern const q5_tunnel_ops q5py_websocket_tunnel;
void q5py_websocket_begin(q5py_websocket *self, const q5_ws_inflate *inflate);
/* No more messages: whoever waits is told, once. */
void q5py_websocket_finish(q5py_websocket *self, int code, q5_slice reason);
/* The same, and the handler is cancelled unless it reads: then it is given some time. */
void q5py_websocket_left(q5py_websocket *self, int code, q5_slice reason);
/* Sends Close and finishes. 0, or -1 with ValueError. */
int q5py_websocket_close(q5py_websocket *self, unsigned code, q5_slice reason);
/* Queues bytes. */
void q5py_websocket_write(q5py_websocket *self, q5_slice data, q5_release release, void *ctx);

/* ---- websocket_receive.c */
/* Takes over a raw message. */
void q5py_websocket_push(q5py_websocket *self, PyObject *message);
/* For another one. */
static inline bool q5py_websocket_has_room(const q5py_websocket *self) {
    return self->queue_count < Q5PY_WEBSOCKET_QUEUE_MAX &&
           self->queue_bytes < Q5PY_WEBSOCKET_QUEUE_BYTES_MAX;
}
void q5py_websocket_clear_queue(q5py_websocket *self);
PyObject *q5py_websocket_receive(PyObject *self, PyObject *unused);
PyObject *q5py_websocket_next(PyObject *self);
int q5py_init_websocket_receive(PyObject *module, q5py_state *state);

/* ---- websocket_send.c */
PyObject *q5py_websocket_send(PyObject *self, PyObject *message);
/* An awaitable that is over. */
PyObject *q5py_websocket_done(q5py_state *state);
/* There is room again, or the client has left. */
void q5py_websocket_drained(q5py_websocket *self);
/* websocket_broadcast(sockets, message) */
PyObject *q5py_websocket_broadcast(PyObject *module, PyObject *args);
int q5py_init_websocket_send(PyObject *module, q5py_state *state);

#endif
