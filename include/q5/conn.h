/* One HTTP/1.1 connection and the exchanges (request and response) on it, without I/O: bytes and
 * timestamps go in, callbacks and output segments come out. One thread at a time per connection.
 *
 * Lifetime rules
 * 1. The transport owns the q5_conn and calls q5_conn_destroy once, when it is closed.
 * 2. An exchange is reference counted. The connection holds one reference from the head's first
 *    byte until the response has left or the client has; q5_exchange_ref takes another, so that the
 *    request's memory (head, body, arena) may outlive the connection.
 * 3. Slices in x->head point into x->in and live as long as the exchange.
 * 4. After on_gone or on_done x->conn is NULL: the q5_response_ functions then answer Q5_ECLOSED.
 * 5. A segment's release callback is called exactly once, from the thread of the connection, when
 *    its bytes are sent or dropped, also if the call that passed it failed. */
#ifndef Q5_CONN_H
#define Q5_CONN_H

#include "q5/arena.h"
#include "q5/buf.h"
#include "q5/chunked.h"
#include "q5/h1.h"
#include "q5/head.h"
#include "q5/router.h"

typedef struct q5_conn q5_conn;
typedef struct q5_exchange q5_exchange;

/* Where a body goes that is too large for memory. */
typedef struct q5_spool_ops {
    /* Returns NULL on failure. */
    void *(*open)(void *ctx);
    int (*write)(void *spool, q5_slice data);
    void (*close)(void *ctx, void *spool);
    void *ctx;
} q5_spool_ops;

typedef struct q5_conn_config {
    const q5_alloc *alloc;
    q5_h1_limits head_limits;
    uint64_t body_max;          /* bytes, unless on_head sets x->body_max */
    size_t body_window;         /* of a body that is streamed: bytes that wait to be taken */
    uint64_t spool_min;         /* bodies above it go to the spool */
    q5_msec head_timeout_msec;  /* from a head's first byte to its last */
    q5_msec body_idle_msec;     /* without a byte of the body */
    uint32_t body_floor_per_s;  /* bytes per second on average, after body_idle_msec's third */
    q5_msec keep_alive_msec;    /* idle between requests */
    q5_msec write_idle_msec;    /* output that the client does not take */
    uint32_t write_floor_per_s; /* bytes per second that it must take while output waits, on average
                                   over write_idle_msec; 0: one byte in that time will do */
    uint32_t requests_max;      /* per connection */
    size_t out_high;            /* bytes queued: q5_response_write then answers Q5_AGAIN */
    size_t out_low;             /* on_drain is called when the queue falls to it */
    const char *date;           /* 29 bytes, IMF-fixdate; the owner rewrites it each second */
    q5_spool_ops spool;         /* open == NULL: never spool */
} q5_conn_config;

/* DESIGN defaults: 10 MiB, 2.5 MB, 10 s, 30 s, 240 B/s, 15 s, 30 s, 240 B/s, 1,000, 256 KiB, 64
 * KiB.
 */
Q5_EXTERN q5_conn_config q5_conn_config_default(void);

/* Why on_gone was called. */
typedef enum q5_gone {
    Q5_GONE_PEER,    /* the client closed or reset the connection */
    Q5_GONE_TIMEOUT, /* a deadline passed */
    Q5_GONE_SHUTDOWN /* the server stops */
} q5_gone;

/* Called back by the connection. None may destroy the connection. */
typedef struct q5_app {
    void *ctx;
    /* The head is complete. May set x->body_max, x->stream_body, x->route, x->user, or answer at
     * once with a q5_response_ call: then on_request is not called, and the body is skipped if it
     * is announced as short, else not read. */
    void (*on_head)(void *ctx, q5_exchange *x);
    /* Head and body are complete. Answer now or later. */
    void (*on_request)(void *ctx, q5_exchange *x);
    /* With x->stream_body: more of the body can be taken, it is complete, or x->body_error is set.
     * Not called for what is there before on_request. */
    void (*on_body)(void *ctx, q5_exchange *x);
    /* The client will send no more (it has left, or closed its sending half) while the request is
     * being handled. True: give the request up (on_gone follows); false: answer it all the same.
     * NULL stands for false. */
    bool (*on_eof)(void *ctx, q5_exchange *x);
    /* A streamed response may be continued. */
    void (*on_drain)(void *ctx, q5_exchange *x);
    /* The client left, or a deadline passed, before the response was complete. */
    void (*on_gone)(void *ctx, q5_exchange *x, q5_gone why);
    /* Last call for an exchange whose head was complete: the whole response was handed to the
     * transport, or on_gone was called before. For logs and metrics; x->conn is still set. */
    void (*on_done)(void *ctx, q5_exchange *x);
    /* A malformed request was answered without an exchange's on_head; status is the q5_status. */
    void (*on_fault)(void *ctx, q5_conn *conn, int status, size_t offset);
} q5_app;

typedef enum q5_response_state {
    Q5_RESPONSE_NONE,  /* nothing yet */
    Q5_RESPONSE_HEAD,  /* started; fields may be added */
    Q5_RESPONSE_FIXED, /* body of known length */
    Q5_RESPONSE_CHUNKED,
    Q5_RESPONSE_UNTIL_CLOSE, /* HTTP/1.0 stream of unknown length */
    Q5_RESPONSE_END
} q5_response_state;

struct q5_exchange {
    /* For the application. */
    q5_conn *conn;        /* NULL once the client has gone or the response is out */
    q5_head head;         /* valid from on_head on */
    q5_slice body;        /* the whole body, from on_request on, unless it was spooled */
    void *spool;          /* the spooled body, or NULL */
    uint64_t body_len;    /* received so far; the length of the whole body from on_request on */
    uint64_t body_max;    /* on_head may change it */
    q5_arena arena;       /* lives as long as the exchange */
    q5_route_match match; /* the application's room */
    void *user;           /* the application's */
    /* The application's: whom a proxy forwards for; NULL: the peer asks for itself. */
    const struct q5_client *client;
    q5_msec begin_msec;  /* when the head was complete */
    uint64_t begin_usec; /* the application's, for its log */
    void *note;          /* the application's, for what it does in on_done */
    /* What on_head may set, of memory that lives as long as the exchange. */
    q5_slice request_id; /* safe in JSON; in problem documents of 5xx */
    q5_slice own_line;   /* one complete line for the head of any response; a field of that name
                            that is added later takes its place */
    /* on_head may set it: on_request is called at once, and the body is for q5_body_peek. */
    bool stream_body;
    int body_error; /* then: why no more of it will come (EBODY_LONG, ETIMEOUT, ...), or Q5_OK */
    /* Response so far; for logs. */
    int status;        /* HTTP status, 0 before q5_response_start */
    uint64_t sent_len; /* body bytes handed over */
    uint8_t response_state;
    /* The connection's. */
    uint8_t body_state;
    bool response_close; /* the connection ends with this response */
    bool has_date, is_detached;
    bool body_waits;     /* nothing is read: the client's time does not run */
    bool body_continued; /* 100 Continue was sent */
    bool bodiless;       /* HEAD, 204, 304: body bytes are dropped */
    uint32_t refs;
    int64_t length;          /* declared Content-Length of the response, -1 unknown */
    q5_slice keep_alive;     /* what is sent when the response has been silent */
    q5_msec keep_alive_msec; /* for so long; 0: nothing is */
    size_t head_len;
    q5_h1_parser parser;
    q5_chunked_decoder chunked;
    q5_msec body_begin_msec, body_last_msec;
    q5_buf in; /* the head, and the body where it fits behind it */
    q5_buf body_buf;
    q5_buf out; /* the response's head */
    const q5_alloc *alloc;
    const q5_spool_ops *spool_ops; /* of `spool` */
    q5_exchange *next_free;
    struct q5_exchange_pool *pool;
};

/* Exchanges kept for reuse, shared by the connections of one thread. */
typedef struct q5_exchange_pool {
    const q5_alloc *alloc;
    q5_exchange *free;
    uint32_t free_count, free_max, live_count;
    void (*on_empty)(void *ctx); /* see q5_exchange_pool_retire */
    void *on_empty_ctx;
} q5_exchange_pool;

Q5_EXTERN void q5_exchange_pool_init(q5_exchange_pool *pool, const q5_alloc *alloc,
                                     uint32_t free_max);
/* Every exchange must have been given back. */
Q5_EXTERN void q5_exchange_pool_deinit(q5_exchange_pool *pool);
/* The same for an owner whose exchanges may be kept beyond it: none is acquired from here on, and
 * on_empty(ctx), which frees the pool, is called when the last one has been given back; at once if
 * none is in use. */
Q5_EXTERN void q5_exchange_pool_retire(q5_exchange_pool *pool, void (*on_empty)(void *ctx),
                                       void *ctx);

/* An exchange without a connection, for hosts that received a request by other means. The bytes of
 * head_text (a complete HTTP/1.1 head) and body are copied. The response functions work on it and
 * answer Q5_ECLOSED. Errors as q5_h1_parse and Q5_ENOMEM. *ret_x has one reference. */
Q5_EXTERN int q5_exchange_create_detached(q5_exchange_pool *pool, const q5_conn_config *config,
                                          q5_slice head_text, q5_slice body, q5_exchange **ret_x);
Q5_EXTERN q5_exchange *q5_exchange_ref(q5_exchange *x);
Q5_EXTERN void q5_exchange_unref(q5_exchange *x);

/* ---- connection: called by the transport ----------------------------------------------------- */

/* NULL when out of memory. config, app and pool outlive the connection. */
Q5_EXTERN q5_conn *q5_conn_create(const q5_conn_config *config, const q5_app *app,
                                  q5_exchange_pool *pool, q5_msec now);
/* Calls on_gone for an exchange in flight, drops output, frees. Not from a callback. */
Q5_EXTERN void q5_conn_destroy(q5_conn *conn, q5_gone why);
Q5_EXTERN void q5_conn_set_transport(q5_conn *conn, void *transport);
Q5_EXTERN void *q5_conn_transport(const q5_conn *conn);

/* Where the next bytes should be received: *ret_space, at least 1 byte. Q5_OK; Q5_AGAIN: do not
 * read now (a request is being handled, or responses wait to be sent); Q5_DONE: nothing more will
 * be read; Q5_ENOMEM. */
Q5_EXTERN int q5_conn_recv_space(q5_conn *conn, char **ret_base, size_t *ret_len);
/* n bytes were put there. Parses, calls back. */
Q5_EXTERN void q5_conn_received(q5_conn *conn, size_t n, q5_msec now);
/* Nothing could be received: gives back the memory of a connection that is between requests. */
Q5_EXTERN void q5_conn_release_idle(q5_conn *conn, q5_msec now);
/* The client will send no more, and all that it sent was received. */
Q5_EXTERN void q5_conn_eof(q5_conn *conn, q5_msec now);
/* Works off bytes that were received while another request was handled. Call it after each event,
 * until it answers false, and again once output has left. */
Q5_EXTERN bool q5_conn_resume(q5_conn *conn, q5_msec now);
/* There is something for q5_conn_resume to do. */
Q5_EXTERN bool q5_conn_pending(const q5_conn *conn);

typedef void (*q5_release)(void *ctx);

/* A run of output: memory, or a range of a file when fd >= 0. */
typedef struct q5_segment {
    const char *base;
    uint64_t len;    /* bytes left */
    uint64_t offset; /* in the file */
    int fd;
    q5_release release; /* may be NULL */
    void *ctx;
} q5_segment;

/* The queued segments, oldest first; *ret_count may be 0. Valid until the next call. */
Q5_EXTERN const q5_segment *q5_conn_output(const q5_conn *conn, size_t *ret_count);
/* The first n bytes of the output have left. */
Q5_EXTERN void q5_conn_sent(q5_conn *conn, uint64_t n);
/* Output waits: the transport takes no more of it for now, and the client is yet to take `held`
 * bytes of what has left (0 where that is not known). Call it when sending stands still, which
 * starts the client's time, and before q5_conn_expire. */
Q5_EXTERN void q5_conn_blocked(q5_conn *conn, uint64_t held, q5_msec now);
Q5_EXTERN bool q5_conn_has_output(const q5_conn *conn);
/* The connection has nothing more to send or receive: flush is complete, close the socket. */
Q5_EXTERN bool q5_conn_finished(const q5_conn *conn);
/* The client may still be sending a body that nobody reads: a transport should close its sending
 * half first and read on for a while, lest a reset destroys the answer (RFC 9112, 9.6). */
Q5_EXTERN bool q5_conn_lingers(const q5_conn *conn);
/* Between two requests, with nothing received of the next one. */
Q5_EXTERN bool q5_conn_idle(const q5_conn *conn);
/* No further request after the present one; a connection without one so far gets a second for it.
 */
Q5_EXTERN void q5_conn_drain(q5_conn *conn);
/* When q5_conn_expire must be called; 0: never. */
Q5_EXTERN q5_msec q5_conn_deadline(const q5_conn *conn);
/* A deadline may have passed: answers 408 or ends the connection, and is true then. False: none
 * had, or it was that of q5_response_keep_alive. */
Q5_EXTERN bool q5_conn_expire(q5_conn *conn, q5_msec now);
/* Told to the transport whenever a response call has queued output outside of received/resume/
 * expire; the transport flushes at its convenience. */
Q5_EXTERN void q5_conn_set_wake(q5_conn *conn, void (*wake)(q5_conn *conn, void *ctx), void *ctx);

/* ---- body: called by the application, where x->stream_body was set --------------------------- */

/* What can be taken now; empty: nothing yet, or nothing more (q5_body_complete, x->body_error). A
 * client that waits for 100 Continue gets it. Valid until the connection is used again. */
Q5_EXTERN q5_slice q5_body_peek(q5_exchange *x);
/* The same, and the client is not asked for more. */
static inline q5_slice q5_body_pending(const q5_exchange *x) {
    return q5_buf_slice(&x->body_buf);
}
/* The first n bytes of it were taken; reading goes on where it had stopped. */
Q5_EXTERN void q5_body_consume(q5_exchange *x, size_t n);
/* All of it was received. */
Q5_EXTERN bool q5_body_complete(const q5_exchange *x);

/* ---- response: called by the application ----------------------------------------------------- */

/* Begins with a status of 200-599, or 101 where the client asks for an upgrade. Q5_ESTATE when one
 * was begun, Q5_ECLOSED, Q5_ENOMEM.
 * Date is added; Content-Length, Transfer-Encoding and Connection are the library's own. */
Q5_EXTERN int q5_response_start(q5_exchange *x, int status);
/* The same with a reason phrase of one's own, which may be empty (RFC 9112, 4). Q5_EHEADER_OUT when
 * it has CR, LF, NUL or another control byte than a tab: nothing is begun. */
Q5_EXTERN int q5_response_start_reason(q5_exchange *x, int status, q5_slice reason);
/* Adds a field. Q5_EHEADER_OUT when the name is no token or the value has CR, LF, NUL or another
 * control byte. Connection: close is obeyed; Content-Length becomes the declared length of a
 * stream; Transfer-Encoding, Keep-Alive and further Connection options are dropped. */
Q5_EXTERN int q5_response_field(q5_exchange *x, q5_slice name, q5_slice value);
/* Adds complete lines, each with its CRLF, that were checked at start-up. */
Q5_EXTERN int q5_response_lines(q5_exchange *x, q5_slice lines);
/* Sends head and whole body. release(ctx) is called when the bytes are no longer needed; NULL:
 * they are copied. */
Q5_EXTERN int q5_response_send(q5_exchange *x, q5_slice body, q5_release release, void *ctx);
/* Sends the head; the body follows in pieces. length -1: unknown (or the declared field). */
Q5_EXTERN int q5_response_stream(q5_exchange *x, int64_t length);
/* Queues a piece of a streamed body. Q5_OK; Q5_AGAIN: queued, but wait for on_drain before the
 * next; Q5_EINVAL: longer than declared (dropped); Q5_ECLOSED. */
Q5_EXTERN int q5_response_write(q5_exchange *x, q5_slice data, q5_release release, void *ctx);
/* From here on `text` is sent whenever nothing was written for `after` milliseconds and nothing
 * waits to be sent, until the response ends. text outlives the exchange. For bodies of unknown
 * length that have begun; Q5_ESTATE, Q5_ECLOSED. */
Q5_EXTERN int q5_response_keep_alive(q5_exchange *x, q5_slice text, q5_msec after);
/* Queues a range of an open file. release, if given, closes it. */
Q5_EXTERN int q5_response_file(q5_exchange *x, int fd, uint64_t offset, uint64_t len,
                               q5_release release, void *ctx);
/* Ends a streamed body. When fewer bytes came than were declared the connection is cut. */
Q5_EXTERN int q5_response_end(q5_exchange *x);
/* The response cannot be completed: the connection is cut after what is queued. */
Q5_EXTERN void q5_response_abort(q5_exchange *x);
/* Takes back what was begun, as long as nothing of it was queued (state HEAD). */
Q5_EXTERN void q5_response_reset(q5_exchange *x);
/* What takes the connection over when it leaves HTTP (RFC 9110, 7.8). None may destroy the
 * connection; each may end the response. */
typedef struct q5_tunnel_ops {
    /* As q5_conn_recv_space, of what the client sends from here on. */
    int (*space)(void *ctx, char **ret_base, size_t *ret_len);
    void (*received)(void *ctx, size_t n, q5_msec now);
    /* The client will send no more. */
    void (*eof)(void *ctx, q5_msec now);
    /* When expire must be called while no output waits; 0: never. */
    q5_msec (*deadline)(void *ctx);
    void (*expire)(void *ctx, q5_msec now);
    /* The server is about to stop: it should come to an end. */
    void (*drain)(void *ctx);
} q5_tunnel_ops;

/* Sends the head of a response that was begun with 101, which only the answer to a request with an
 * Upgrade can be; Connection: Upgrade is added. From then on q5_response_write and _end are the
 * tunnel's, which is told of all that comes until the response has ended or on_gone was called.
 * Q5_EINVAL: the client has sent more without waiting for the answer; Q5_ESTATE, also while the
 * connection drains: in both cases q5_response_reset and another answer are still possible. */
Q5_EXTERN int q5_response_upgrade(q5_exchange *x, const q5_tunnel_ops *ops, void *ctx);
/* After `space` has answered Q5_AGAIN: there is room again. */
Q5_EXTERN void q5_tunnel_has_room(q5_exchange *x);
/* A whole RFC 9457 problem document in one call; detail may be empty. One of 5xx names the request
 * ("request_id"), where it has an id. */
Q5_EXTERN int q5_response_problem(q5_exchange *x, int status, q5_slice detail);
/* The same with an Allow field (405): `methods` has bit (1 << q5_method) for each; HEAD goes with
 * GET, and OPTIONS is always allowed. */
Q5_EXTERN int q5_response_not_allowed(q5_exchange *x, uint32_t methods);
/* Adds that Allow field to a head. */
Q5_EXTERN int q5_response_allow(q5_exchange *x, uint32_t methods);

#endif
