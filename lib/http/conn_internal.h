/* What conn.c, body.c, exchange.c and response.c share. */
#ifndef Q5_CONN_INTERNAL_H
#define Q5_CONN_INTERNAL_H

#include "q5/conn.h"

typedef enum q5__body_state {
    Q5_BODY_NONE,     /* head not complete */
    Q5_BODY_IN_PLACE, /* of known length, behind the head in x->in */
    Q5_BODY_LENGTH,   /* of known length, in body_buf and spool */
    Q5_BODY_CHUNKED,
    Q5_BODY_COMPLETE
} q5__body_state;

typedef enum q5__conn_state {
    Q5_CONN_IDLE, /* between requests; no exchange */
    Q5_CONN_HEAD, /* some bytes of a head, or room for them */
    Q5_CONN_BODY,
    Q5_CONN_HANDLING, /* the application has the exchange */
    Q5_CONN_SKIP,     /* the request is answered; the rest of its body is dropped */
    Q5_CONN_TUNNEL,   /* HTTP is over: see q5_response_upgrade */
    Q5_CONN_END       /* nothing more is received; output may be left */
} q5__conn_state;

#define Q5__SEGMENTS_INLINE 4
#define Q5__SEGMENTS_BACKLOG 64 /* queued: no further request is taken */
#define Q5__SEGMENTS_KEPT 256   /* a larger array is given back when it is empty */
/* Pieces of a few bytes cost more memory than they count in out_len: so many are as much as
 * out_high, and so many as out_low. */
#define Q5__SEGMENTS_HIGH 1024
#define Q5__SEGMENTS_LOW 256

struct q5_conn {
    const q5_conn_config *config;
    const q5_app *app;
    q5_exchange_pool *pool;
    q5_exchange *x; /* one reference */
    void *transport;
    void (*wake)(q5_conn *conn, void *ctx);
    void *wake_ctx;
    const q5_tunnel_ops *tunnel; /* in Q5_CONN_TUNNEL */
    void *tunnel_ctx;
    /* Output: segments [first, first + count) of `segments`; which is inline_segments until more
     * are needed. Owned; each segment's release is due. */
    q5_segment *segments;
    uint32_t segment_first, segment_count, segment_cap;
    uint64_t out_len;
    uint64_t left_len;   /* bytes of output that have left, ever */
    uint64_t taken_mark; /* how many the client had taken when its present time began */
    q5_msec stalled;     /* when that was; 0: sending does not stand still */
    q5_buf ahead;        /* received behind the present request; room for what is skipped */
    q5_msec since;       /* when the present state began */
    uint32_t skip_len;   /* bytes of an answered request's body that are yet to come */
    uint32_t requests;   /* heads completed */
    uint8_t state;
    bool since_is_stale; /* the state began at a time that is not known yet */
    bool busy;           /* inside received/resume/expire: the caller flushes */
    bool eof;            /* the client will send no more */
    bool lingers;        /* a body was left unread */
    bool drain;          /* no further request */
    bool full;           /* output passed out_high; on_drain is due */
    q5_segment inline_segments[Q5__SEGMENTS_INLINE];
};

/* One reference; NULL when out of memory. */
q5_exchange *q5__exchange_acquire(q5_exchange_pool *pool, const q5_conn_config *config);

/* Queues one segment; on failure its release is called. Q5_OK or Q5_ENOMEM. */
int q5__conn_queue(q5_conn *conn, const q5_segment *segment);
/* The answer at its head leaves the connection fit for a next request: the body is announced as
 * short, and the client does not wait to be asked for it. */
bool q5__body_skippable(const q5_conn *conn, const q5_exchange *x);
/* The response is complete: end the exchange now, or when the running call returns. */
void q5__conn_response_ended(q5_conn *conn);
/* After a callback: true when the exchange was answered (and is ended here) or given up. */
bool q5__conn_answered(q5_conn *conn, q5_exchange *x);
/* Output was queued from outside: tell the transport. */
void q5__conn_wake(q5_conn *conn);
/* The state begins now. */
void q5__conn_set_state(q5_conn *conn, q5__conn_state state, q5_msec now);
/* Answers a fault of the client's (or of the spool's, 500) and ends the connection. An exchange
 * that cannot be answered any more, for its response has begun, is given up. */
void q5__conn_fault(q5_conn *conn, int status, size_t offset);
/* More of a body whose request is being handled (Q5_OK, Q5_DONE), or why there is none. */
void q5__conn_body_status(q5_conn *conn, q5_exchange *x, int status);
/* The rest of an answered request's body is left to be dropped with the connection. */
void q5__conn_stop_skipping(q5_conn *conn);
/* Queues 100 Continue. */
void q5__conn_continue(q5_conn *conn);
/* Gives the exchange up; q5_app.on_gone and on_done are called. Output that is queued stays. */
void q5__conn_abandon(q5_conn *conn, q5_gone why);
/* Drops all queued output. */
void q5__conn_drop_output(q5_conn *conn);

/* So much waits for a client that does not read it that nothing more is taken from it. */
bool q5__conn_backlogged(const q5_conn *conn);

/* tunnel.c: what a connection in Q5_CONN_TUNNEL is asked, as the functions of q5_conn are. */
int q5__tunnel_space(q5_conn *conn, char **ret_base, size_t *ret_len);
void q5__tunnel_received(q5_conn *conn, size_t n, q5_msec now);
void q5__tunnel_eof(q5_conn *conn, q5_msec now);
void q5__tunnel_expire(q5_conn *conn, q5_msec now);
void q5__tunnel_drain(q5_conn *conn);

/* body.c: decides where the body goes. `have` bytes of it lie behind the head in x->in. Q5_OK,
 * Q5_EBODY_LONG or Q5_ENOMEM. */
int q5__body_begin(q5_conn *conn, q5_exchange *x, q5_msec now);
/* Where to receive; as q5_conn_recv_space. */
int q5__body_space(q5_exchange *x, char **ret_base, size_t *ret_len);
/* n bytes came. Q5_DONE: complete; Q5_OK: more; else an error. */
int q5__body_received(q5_conn *conn, q5_exchange *x, size_t n, q5_msec now);
/* The request is being handled while its body is yet to come. */
static inline bool q5__body_streams(const q5_exchange *x) {
    return x->stream_body && x->body_state != Q5_BODY_COMPLETE;
}
/* More of such a body may be received. False also stops the client's time. */
bool q5__body_has_room(const q5_conn *conn, q5_exchange *x);
/* Its time runs again, should there be room again. */
void q5__body_resume(const q5_conn *conn, q5_exchange *x, q5_msec now);
/* When the body's next deadline is. */
q5_msec q5__body_deadline(const q5_conn_config *config, const q5_exchange *x);

#endif
