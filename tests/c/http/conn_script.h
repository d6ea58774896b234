/* A connection without a network, and an application that does what the request's path says. What
 * happens is written down: `out` has what the client would have read, without the Date lines;
 * `trace` the callbacks. */
#ifndef Q5_TESTS_CONN_SCRIPT_H
#define Q5_TESTS_CONN_SCRIPT_H

#include <stdlib.h>
#include <unistd.h>

#include "q5/conn.h"

#include "q5test.h"

#define RIG_OUT_MAX (4u << 20)
#define RIG_LATER_MAX 64

typedef struct rig {
    q5_conn_config config;
    q5_app app;
    q5_exchange_pool pool;
    q5_conn *conn; /* NULL once rig_destroy_conn was called */
    q5_msec now;
    size_t cut;      /* bytes received at a time; 0: what there is room for */
    size_t send_max; /* bytes that the client's connection still takes; SIZE_MAX: all */
    size_t held;     /* of those that it took, how many the client has not read */
    bool eof_gives_up;
    int fd; /* of /file */
    q5_exchange *later[RIG_LATER_MAX];
    int later_count;
    int heads, requests, drains, gones, dones, faults, wakes, taken, released;
    int fault_status, write_status;
    size_t pieces; /* that /pump has yet to write */
    char trace[65536];
    size_t trace_len;
    char *out;
    size_t out_len;
} rig;

static inline void rig_trace(rig *r, const char *what, q5_slice detail) {
    r->trace_len +=
        (size_t)snprintf(r->trace + r->trace_len, sizeof(r->trace) - r->trace_len, "%s%s%.*s",
                         r->trace_len ? " " : "", what, (int)detail.len, detail.base);
    assert_true(r->trace_len < sizeof(r->trace));
}

static inline void rig_release(void *ctx) {
    ((rig *)ctx)->released++;
}

static inline q5_slice rig_big(void) {
    static char big[100000];
    if (!big[0]) memset(big, 'x', sizeof(big));
    return q5_slice_make(big, sizeof(big));
}

static inline int rig_text(q5_exchange *x, int status, const char *text) {
    int rc = q5_response_start(x, status);
    return rc ? rc : q5_response_send(x, q5_slice_make(text, strlen(text)), NULL, NULL);
}

/* Pieces of 20,000 bytes until the connection asks for a break. */
static inline void rig_pump_pieces(rig *r, q5_exchange *x) {
    while (r->pieces) {
        r->pieces--;
        r->taken++;
        int rc = q5_response_write(x, q5_slice_make(rig_big().base, 20000), rig_release, r);
        if (rc == Q5_AGAIN && r->pieces) return;
        if (rc && rc != Q5_AGAIN) return;
    }
    q5_response_end(x);
}

static inline void rig_stream(rig *r, q5_exchange *x, int64_t length, const char *const *pieces) {
    if (q5_response_start(x, 200) || q5_response_stream(x, length)) return;
    r->write_status = Q5_OK;
    for (; *pieces && r->write_status == Q5_OK; pieces++)
        r->write_status = q5_response_write(x, q5_slice_make(*pieces, strlen(*pieces)), NULL, NULL);
}

static inline void rig_send_taken(rig *r, q5_exchange *x, size_t len) {
    r->taken++;
    if (q5_response_start(x, 200))
        rig_release(r);
    else
        q5_response_send(x, q5_slice_make(rig_big().base, len), rig_release, r);
}

static inline bool rig_path(const q5_exchange *x, const char *path) {
    return q5_slice_eq(x->head.path, q5_slice_make(path, strlen(path)));
}

static inline void rig_echo(q5_exchange *x) {
    char length[32];
    if (q5_response_start(x, 200)) return;
    int len = snprintf(length, sizeof(length), "%s%llu", x->spool ? "spooled " : "",
                       (unsigned long long)x->body_len);
    q5_response_field(x, Q5_LIT("X-Body"), q5_slice_make(length, (size_t)len));
    q5_response_send(x, x->body, NULL, NULL);
}

static inline void rig_file(rig *r, q5_exchange *x, int64_t length) {
    if (q5_response_start(x, 200) || q5_response_stream(x, length)) return;
    r->taken++;
    int rc = q5_response_file(x, r->fd, 3, 4, rig_release, r);
    if (rc == Q5_OK) q5_response_end(x);
}

/* What streams do, by path. True: it was one of these. */
static inline bool rig_answer_stream(rig *r, q5_exchange *x) {
    static const char *const two[] = {"abc", "defg", NULL};
    static const char *const none[] = {NULL};
    if (rig_path(x, "/chunked")) {
        rig_stream(r, x, -1, two);
        q5_response_end(x);
    } else if (rig_path(x, "/empty")) {
        rig_stream(r, x, -1, none);
        q5_response_end(x);
    } else if (rig_path(x, "/fixed")) {
        rig_stream(r, x, 7, two);
        q5_response_end(x);
    } else if (rig_path(x, "/more")) {
        rig_stream(r, x, 5, two);
        q5_response_end(x);
    } else if (rig_path(x, "/less")) {
        rig_stream(r, x, 9, two);
        q5_response_end(x);
    } else if (rig_path(x, "/cut")) {
        rig_stream(r, x, -1, two);
        q5_response_abort(x);
    } else if (rig_path(x, "/open")) {
        rig_stream(r, x, -1, two);
        r->later[r->later_count++] = q5_exchange_ref(x);
    } else if (rig_path(x, "/pump")) {
        if (q5_response_start(x, 200) || q5_response_stream(x, -1)) return true;
        rig_pump_pieces(r, x);
    } else if (rig_path(x, "/file")) {
        rig_file(r, x, 4);
    } else if (rig_path(x, "/file-chunked")) {
        rig_file(r, x, -1);
    } else {
        return false;
    }
    return true;
}

static inline void rig_answer(rig *r, q5_exchange *x) {
    if (rig_answer_stream(r, x)) return;
    if (rig_path(x, "/echo") || rig_path(x, "/small")) {
        rig_echo(x);
    } else if (rig_path(x, "/later") || rig_path(x, "/feed")) {
        assert_true(r->later_count < RIG_LATER_MAX);
        r->later[r->later_count++] = q5_exchange_ref(x);
    } else if (rig_path(x, "/204")) {
        rig_text(x, 204, "dropped");
    } else if (rig_path(x, "/205")) {
        rig_text(x, 205, "dropped");
    } else if (rig_path(x, "/304")) {
        rig_text(x, 304, "dropped");
    } else if (rig_path(x, "/close")) {
        if (q5_response_start(x, 200)) return;
        q5_response_field(x, Q5_LIT("Connection"), Q5_LIT("close"));
        q5_response_send(x, Q5_LIT("bye"), NULL, NULL);
    } else if (rig_path(x, "/abort")) {
        q5_response_abort(x);
    } else if (rig_path(x, "/taken")) {
        rig_send_taken(r, x, 5000);
    } else if (rig_path(x, "/big")) {
        rig_send_taken(r, x, 100000);
    } else {
        rig_text(x, 200, "ok");
    }
}

static inline void rig_on_head(void *ctx, q5_exchange *x) {
    rig *r = ctx;
    r->heads++;
    rig_trace(r, "H", x->head.path);
    if (rig_path(x, "/small")) x->body_max = 4;
    if (rig_path(x, "/feed")) x->stream_body = true;
    if (rig_path(x, "/refuse")) rig_text(x, 403, "no");
    if (rig_path(x, "/early")) rig_text(x, 200, "early");
}

static inline void rig_on_request(void *ctx, q5_exchange *x) {
    rig *r = ctx;
    r->requests++;
    rig_trace(r, "R", x->head.path);
    rig_answer(r, x);
}

static inline void rig_on_body(void *ctx, q5_exchange *x) {
    rig *r = ctx;
    const char *what = x->body_error         ? q5_status_name(x->body_error)
                       : q5_body_complete(x) ? "all"
                                             : "some";
    rig_trace(r, "B", q5_slice_make(what, strlen(what)));
}

static inline bool rig_on_eof(void *ctx, q5_exchange *x) {
    rig *r = ctx;
    rig_trace(r, "E", x->head.path);
    return r->eof_gives_up;
}

static inline void rig_on_drain(void *ctx, q5_exchange *x) {
    rig *r = ctx;
    r->drains++;
    if (rig_path(x, "/pump")) rig_pump_pieces(r, x);
}

static inline void rig_on_gone(void *ctx, q5_exchange *x, q5_gone why) {
    static const char *const names[] = {"PEER", "TIMEOUT", "SHUTDOWN"};
    rig *r = ctx;
    r->gones++;
    assert_non_null(x->conn);
    /* Whatever an application does now comes too late, and harms nobody. */
    assert_status(q5_response_start(x, 200), Q5_ECLOSED);
    rig_trace(r, "G", q5_slice_make(names[why], strlen(names[why])));
}

static inline void rig_on_done(void *ctx, q5_exchange *x) {
    rig *r = ctx;
    char text[16];
    r->dones++;
    assert_non_null(x->conn);
    int len = snprintf(text, sizeof(text), "%d", x->status);
    rig_trace(r, "D", q5_slice_make(text, (size_t)len));
}

static inline void rig_on_fault(void *ctx, q5_conn *conn, int status, size_t offset) {
    rig *r = ctx;
    (void)conn;
    (void)offset;
    r->faults++;
    r->fault_status = status;
    const char *name = q5_status_name(status);
    rig_trace(r, "F", q5_slice_make(name, strlen(name)));
}

static inline void rig_on_wake(q5_conn *conn, void *ctx) {
    rig *r = ctx;
    assert_ptr_equal(conn, r->conn);
    r->wakes++;
}

/* Q5_OK or Q5_ENOMEM. r->config may be changed between rig_prepare and rig_connect. */
static inline void rig_prepare(rig *r, const q5_alloc *alloc) {
    memset(r, 0, sizeof(*r));
    r->config = q5_conn_config_default();
    r->config.alloc = alloc ? alloc : q5_alloc_default();
    r->now = 100000;
    r->send_max = SIZE_MAX;
    r->fd = -1;
    r->out = malloc(RIG_OUT_MAX);
    assert_non_null(r->out);
    r->app = (q5_app){.ctx = r,
                      .on_head = rig_on_head,
                      .on_request = rig_on_request,
                      .on_body = rig_on_body,
                      .on_eof = rig_on_eof,
                      .on_drain = rig_on_drain,
                      .on_gone = rig_on_gone,
                      .on_done = rig_on_done,
                      .on_fault = rig_on_fault};
    q5_exchange_pool_init(&r->pool, r->config.alloc, 4);
}

static inline int rig_connect(rig *r) {
    r->conn = q5_conn_create(&r->config, &r->app, &r->pool, r->now);
    if (!r->conn) return Q5_ENOMEM;
    q5_conn_set_wake(r->conn, rig_on_wake, r);
    return Q5_OK;
}

static inline void rig_init(rig *r) {
    rig_prepare(r, NULL);
    assert_status(rig_connect(r), Q5_OK);
}

static inline void rig_take(rig *r, const q5_segment *segment, size_t len) {
    assert_true(r->out_len + len < RIG_OUT_MAX);
    if (segment->fd >= 0)
        assert_int_equal(pread(segment->fd, r->out + r->out_len, len, (off_t)segment->offset), len);
    else
        memcpy(r->out + r->out_len, segment->base, len);
    r->out_len += len;
}

/* Sends what the client reads, one segment at a time, resuming as a transport does. */
static inline void rig_flush(rig *r) {
    for (;;) {
        while (q5_conn_resume(r->conn, r->now))
            continue;
        size_t count;
        const q5_segment *segment = q5_conn_output(r->conn, &count);
        assert_int_equal(count != 0, q5_conn_has_output(r->conn));
        if (!count && q5_conn_pending(r->conn)) continue;
        if (!count) return;
        size_t len = segment->len < r->send_max ? (size_t)segment->len : r->send_max;
        rig_take(r, segment, len);
        if (r->send_max != SIZE_MAX) r->send_max -= len;
        if (len == 0) {
            q5_conn_blocked(r->conn, r->held, r->now);
            return;
        }
        q5_conn_sent(r->conn, len);
    }
}

/* Gives the bytes to the connection as long as it takes them, and sends. Returns how many it took,
 * or SIZE_MAX when it ran out of memory. */
static inline size_t rig_feed(rig *r, const char *text, size_t len) {
    size_t used = 0;
    rig_flush(r);
    while (used < len) {
        char *base;
        size_t room;
        int status = q5_conn_recv_space(r->conn, &base, &room);
        if (status == Q5_ENOMEM) return SIZE_MAX;
        if (status) break;
        assert_true(room > 0);
        if (room > len - used) room = len - used;
        if (r->cut && room > r->cut) room = r->cut;
        memcpy(base, text + used, room);
        used += room;
        q5_conn_received(r->conn, room, r->now);
        rig_flush(r);
    }
    return used;
}

static inline size_t rig_say(rig *r, const char *text) {
    return rig_feed(r, text, strlen(text));
}

static inline void rig_eof(rig *r) {
    q5_conn_eof(r->conn, r->now);
    rig_flush(r);
}

/* The clock moves on, and the connection's deadline with it. */
static inline void rig_wait(rig *r, q5_msec msec) {
    r->now += msec;
    if (q5_conn_has_output(r->conn)) q5_conn_blocked(r->conn, r->held, r->now);
    q5_conn_expire(r->conn, r->now);
    rig_flush(r);
}

/* Gives the oldest request that was put off its response, and sends nothing. */
static inline int rig_give_later(rig *r, const char *text) {
    assert_true(r->later_count > 0);
    q5_exchange *x = r->later[0];
    memmove(r->later, r->later + 1, (size_t)--r->later_count * sizeof(r->later[0]));
    int rc = rig_text(x, 200, text);
    q5_exchange_unref(x);
    return rc;
}

/* Answers the oldest request that was put off. */
static inline int rig_answer_later(rig *r, const char *text) {
    int rc = rig_give_later(r, text);
    rig_flush(r);
    return rc;
}

static inline void rig_destroy_conn(rig *r, q5_gone why) {
    if (r->conn) q5_conn_destroy(r->conn, why);
    r->conn = NULL;
}

/* Ends it, and looks at what must hold at every end. */
static inline void rig_deinit(rig *r) {
    rig_destroy_conn(r, Q5_GONE_PEER);
    while (r->later_count)
        q5_exchange_unref(r->later[--r->later_count]);
    assert_int_equal(r->dones, r->heads);
    assert_true(r->gones <= r->dones);
    assert_int_equal(r->released, r->taken);
    assert_int_equal(r->pool.live_count, 0);
    q5_exchange_pool_deinit(&r->pool);
    free(r->out);
}

/* `out` without "Date: ..\r\n" lines, NUL-terminated; `out` starts anew. */
static inline char *rig_output(rig *r) {
    static const char date[] = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
    char *to = r->out;
    r->out[r->out_len] = '\0';
    for (const char *from = r->out; from < r->out + r->out_len;) {
        if (strncmp(from, date, sizeof(date) - 1) == 0)
            from += sizeof(date) - 1;
        else
            *to++ = *from++;
    }
    *to = '\0';
    r->out_len = 0;
    return r->out;
}

#define assert_output(r, text) assert_string_equal(rig_output(r), text)
#define assert_trace(r, text) assert_string_equal((r)->trace, text)

/* The responses that the tables expect. */
#define OK_ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define OK_CLOSE "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
#define HOST "Host: h\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"

#endif
