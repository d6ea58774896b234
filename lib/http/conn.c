/* The connection's state machine: heads, bodies, hand-over to the application, keep-alive.
 * Deadlines are in conn_time.c, output in output.c, responses in response.c. */
#include "http/conn_internal.h"

#include "q5/problem.h"

#define IN_SIZE 4096
#define IN_SPACE_MIN 1024
#define SKIP_MAX 65536 /* of a body that nobody wants: more of it costs more than a connection */
#define SKIP_SPACE 4096

q5_conn_config q5_conn_config_default(void) {
    return (q5_conn_config){
        .alloc = q5_alloc_default(),
        .head_limits = q5_h1_limits_default(),
        .body_max = 10u << 20,
        .body_window = 64u << 10,
        .spool_min = 2500000,
        .head_timeout_msec = 10000,
        .body_idle_msec = 30000,
        .body_floor_per_s = 240,
        .keep_alive_msec = 15000,
        .write_idle_msec = 30000,
        .write_floor_per_s = 240,
        .requests_max = 1000,
        .out_high = 256u << 10,
        .out_low = 64u << 10,
        .date = "Thu, 01 Jan 1970 00:00:00 GMT",
    };
}

q5_conn *q5_conn_create(const q5_conn_config *config, const q5_app *app, q5_exchange_pool *pool,
                        q5_msec now) {
    q5_conn *conn = q5_calloc(config->alloc, sizeof(*conn));
    if (!conn) return NULL;
    conn->config = config;
    conn->app = app;
    conn->pool = pool;
    conn->since = now;
    conn->segments = conn->inline_segments;
    conn->segment_cap = Q5__SEGMENTS_INLINE;
    q5_buf_init(&conn->ahead, config->alloc);
    return conn;
}

void q5_conn_destroy(q5_conn *conn, q5_gone why) {
    conn->busy = true;
    q5__conn_abandon(conn, why);
    q5__conn_drop_output(conn);
    q5_buf_deinit(&conn->ahead);
    if (conn->segments != conn->inline_segments) q5_free(conn->config->alloc, conn->segments);
    q5_free(conn->config->alloc, conn);
}

void q5_conn_set_transport(q5_conn *conn, void *transport) {
    conn->transport = transport;
}

void *q5_conn_transport(const q5_conn *conn) {
    return conn->transport;
}

void q5_conn_set_wake(q5_conn *conn, void (*wake)(q5_conn *conn, void *ctx), void *ctx) {
    conn->wake = wake;
    conn->wake_ctx = ctx;
}

void q5__conn_wake(q5_conn *conn) {
    if (!conn->busy && conn->wake) conn->wake(conn, conn->wake_ctx);
}

void q5__conn_set_state(q5_conn *conn, q5__conn_state state, q5_msec now) {
    conn->state = state;
    conn->since = now;
    conn->since_is_stale = false;
}

/* ---- the end of an exchange ------------------------------------------------------------------ */

static void detach(q5_conn *conn, q5_exchange *x) {
    if (x->body_state != Q5_BODY_COMPLETE) conn->lingers = true;
    if (x->body_state != Q5_BODY_NONE) conn->app->on_done(conn->app->ctx, x);
    x->conn = NULL;
    conn->x = NULL;
    q5_exchange_unref(x);
}

void q5__conn_abandon(q5_conn *conn, q5_gone why) {
    q5_exchange *x = conn->x;
    conn->state = Q5_CONN_END;
    if (!x) return;
    bool known = x->body_state != Q5_BODY_NONE && x->response_state != Q5_RESPONSE_END;
    q5_exchange_ref(x);
    if (known) conn->app->on_gone(conn->app->ctx, x, why);
    if (conn->x == x) detach(conn, x);
    q5_exchange_unref(x);
}

/* After the client's end of file what it sent before is still answered. */
static bool keeps_alive(const q5_conn *conn, const q5_exchange *x) {
    return !x->response_close && !conn->drain && (!conn->eof || conn->ahead.len);
}

bool q5__body_skippable(const q5_conn *conn, const q5_exchange *x) {
    return conn->state == Q5_CONN_HANDLING && !x->head.chunked && !x->head.expect_continue &&
           x->head.content_length <= SKIP_MAX;
}

/* Keeps of what was received what lies behind the body. */
static int skip_body(q5_conn *conn, q5_exchange *x) {
    size_t have = x->in.len - x->head_len, length = x->head.content_length;
    bool streamed = q5__body_streams(x);
    x->body_state = Q5_BODY_COMPLETE;
    if (streamed) { /* what came with the head was taken apart then */
        conn->skip_len = (uint32_t)(length - x->body_len);
        return Q5_OK;
    }
    if (have >= length)
        return q5_buf_append(&conn->ahead, x->in.base + x->head_len + length, have - length);
    conn->skip_len = (uint32_t)(length - have);
    return Q5_OK;
}

static void finish_exchange(q5_conn *conn) {
    q5_exchange *x = conn->x;
    if (!x->response_close && x->body_state != Q5_BODY_COMPLETE && skip_body(conn, x))
        x->response_close = true;
    bool keep = keeps_alive(conn, x);
    detach(conn, x);
    /* The time is set by the next call that knows it: `since` is the head's until then. */
    conn->state = !keep ? Q5_CONN_END : conn->skip_len ? Q5_CONN_SKIP : Q5_CONN_IDLE;
    conn->since_is_stale = true;
}

void q5__conn_response_ended(q5_conn *conn) {
    if (conn->busy) return;
    finish_exchange(conn);
    q5__conn_wake(conn);
}

void q5__conn_fault(q5_conn *conn, int status, size_t offset) {
    q5_exchange *x = conn->x;
    if (conn->app->on_fault) conn->app->on_fault(conn->app->ctx, conn, status, offset);
    x->response_close = true;
    if (x->response_state == Q5_RESPONSE_NONE) {
        int http = q5_status_http(status);
        const char *text = http ? q5_status_text(status) : "";
        q5_response_problem(x, http ? http : 500, q5_slice_make(text, strlen(text)));
    }
    q5__conn_abandon(conn, status == Q5_ETIMEOUT ? Q5_GONE_TIMEOUT : Q5_GONE_PEER);
}

/* ---- receiving ------------------------------------------------------------------------------- */

static q5_exchange *begin_exchange(q5_conn *conn) {
    q5_exchange *x = q5__exchange_acquire(conn->pool, conn->config);
    if (!x) return NULL;
    if (q5_buf_reserve(&x->in, conn->ahead.len > IN_SIZE ? conn->ahead.len : IN_SIZE)) {
        q5_exchange_unref(x);
        return NULL;
    }
    x->conn = conn;
    conn->x = x;
    return x;
}

void q5__conn_continue(q5_conn *conn) {
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    q5_segment segment = {.base = text, .len = sizeof(text) - 1, .fd = -1};
    q5__conn_queue(conn, &segment);
}

bool q5__conn_answered(q5_conn *conn, q5_exchange *x) {
    if (conn->x != x) return true;
    if (x->response_state != Q5_RESPONSE_END) return false;
    finish_exchange(conn);
    return true;
}

static void handle_body_status(q5_conn *conn, q5_exchange *x, int status, q5_msec now) {
    if (status == Q5_OK && !x->stream_body) {
        q5__conn_set_state(conn, Q5_CONN_BODY, now);
        return;
    }
    if (status != Q5_DONE && status != Q5_OK) {
        q5__conn_fault(conn, status, 0);
        return;
    }
    q5__conn_set_state(conn, Q5_CONN_HANDLING, now);
    conn->app->on_request(conn->app->ctx, x);
    q5__conn_answered(conn, x);
}

void q5__conn_body_status(q5_conn *conn, q5_exchange *x, int status) {
    if (status != Q5_OK && status != Q5_DONE) {
        x->body_error = status;
        x->response_close = true;
    }
    if (conn->app->on_body) conn->app->on_body(conn->app->ctx, x);
    q5__conn_answered(conn, x);
}

static void head_complete(q5_conn *conn, q5_exchange *x, q5_msec now) {
    conn->requests++;
    x->begin_msec = now;
    x->body_max = conn->config->body_max;
    x->body_state = Q5_BODY_LENGTH;
    x->bodiless = x->head.method_id == Q5_METHOD_HEAD;
    x->response_close =
        !x->head.keep_alive || conn->drain || conn->requests >= conn->config->requests_max;
    q5__conn_set_state(conn, Q5_CONN_HANDLING, now);
    bool has_body = x->head.chunked || x->head.content_length > 0;
    int status = has_body ? Q5_OK : q5__body_begin(conn, x, now);
    conn->app->on_head(conn->app->ctx, x);
    if (q5__conn_answered(conn, x)) return;
    if (x->response_state != Q5_RESPONSE_NONE) return; /* a stream has begun; no body is read */
    if (has_body) status = q5__body_begin(conn, x, now);
    x->body_waits = x->stream_body && x->head.expect_continue;
    if (status == Q5_OK && x->head.expect_continue && x->body_len == 0 && !x->stream_body)
        q5__conn_continue(conn);
    handle_body_status(conn, x, status, now);
}

static void parse_head(q5_conn *conn, q5_msec now) {
    q5_exchange *x = conn->x;
    int status = q5_h1_parse(&x->parser, x->in.base, x->in.len, &x->head_len);
    if (status == Q5_AGAIN) return;
    if (status == Q5_OK) {
        head_complete(conn, x, now);
    } else {
        x->head.version_minor = 1;
        q5__conn_fault(conn, status, x->parser.error);
    }
}

bool q5__conn_backlogged(const q5_conn *conn) {
    return conn->full || conn->segment_count >= Q5__SEGMENTS_BACKLOG;
}

/* Never more than is to be skipped: what is behind it is a request. */
static int skip_space(q5_conn *conn, char **ret_base, size_t *ret_len) {
    if (q5_buf_reserve(&conn->ahead, SKIP_SPACE)) return Q5_ENOMEM;
    *ret_base = conn->ahead.base;
    *ret_len = conn->skip_len < SKIP_SPACE ? conn->skip_len : SKIP_SPACE;
    return Q5_OK;
}

static void skip_received(q5_conn *conn, size_t n, q5_msec now) {
    conn->skip_len -= (uint32_t)n;
    if (conn->skip_len) return;
    q5_buf_deinit(&conn->ahead);
    q5__conn_set_state(conn, Q5_CONN_IDLE, now);
}

int q5_conn_recv_space(q5_conn *conn, char **ret_base, size_t *ret_len) {
    switch (conn->state) {
    case Q5_CONN_IDLE:
        if (conn->drain && conn->requests) return Q5_DONE;
        if (q5__conn_backlogged(conn) || conn->ahead.len) return Q5_AGAIN;
        if (!begin_exchange(conn)) return Q5_ENOMEM;
        conn->state = Q5_CONN_HEAD;
        break;
    case Q5_CONN_HEAD:
        break;
    case Q5_CONN_BODY:
        return q5__body_space(conn->x, ret_base, ret_len);
    case Q5_CONN_HANDLING:
        return q5__body_has_room(conn, conn->x) ? q5__body_space(conn->x, ret_base, ret_len)
                                                : Q5_AGAIN;
    case Q5_CONN_SKIP:
        return skip_space(conn, ret_base, ret_len);
    case Q5_CONN_TUNNEL:
        return q5__tunnel_space(conn, ret_base, ret_len);
    default:
        return Q5_DONE;
    }
    q5_buf *in = &conn->x->in;
    if (in->cap - in->len < IN_SPACE_MIN && q5_buf_reserve(in, IN_SPACE_MIN)) return Q5_ENOMEM;
    *ret_base = in->base + in->len;
    *ret_len = in->cap - in->len;
    return Q5_OK;
}

void q5_conn_received(q5_conn *conn, size_t n, q5_msec now) {
    conn->busy = true;
    if (conn->state == Q5_CONN_HEAD) {
        q5_buf *in = &conn->x->in;
        if (in->len == 0 && n) conn->since = now;
        in->len += n;
        if (n) parse_head(conn, now);
    } else if (conn->state == Q5_CONN_BODY) {
        q5_exchange *x = conn->x;
        handle_body_status(conn, x, q5__body_received(conn, x, n, now), now);
    } else if (conn->state == Q5_CONN_HANDLING) {
        q5_exchange *x = conn->x;
        q5__conn_body_status(conn, x, q5__body_received(conn, x, n, now));
    } else if (conn->state == Q5_CONN_SKIP) {
        skip_received(conn, n, now);
    } else if (conn->state == Q5_CONN_TUNNEL) {
        q5__tunnel_received(conn, n, now);
    }
    conn->busy = false;
}

void q5_conn_release_idle(q5_conn *conn, q5_msec now) {
    if (conn->state != Q5_CONN_HEAD || conn->x->in.len) return;
    q5_exchange *x = conn->x;
    conn->x = NULL;
    x->conn = NULL;
    q5_exchange_unref(x);
    q5__conn_set_state(conn, Q5_CONN_IDLE, now);
}

bool q5_conn_resume(q5_conn *conn, q5_msec now) {
    if (conn->since_is_stale) q5__conn_set_state(conn, conn->state, now);
    if (conn->state == Q5_CONN_HANDLING) q5__body_resume(conn, conn->x, now);
    if (conn->state != Q5_CONN_IDLE) return false;
    if (conn->ahead.len == 0 || q5__conn_backlogged(conn)) return false;
    conn->busy = true;
    q5_exchange *x = begin_exchange(conn);
    if (!x || q5_buf_append(&x->in, conn->ahead.base, conn->ahead.len)) {
        q5__conn_abandon(conn, Q5_GONE_SHUTDOWN);
    } else {
        conn->ahead.len = 0;
        q5__conn_set_state(conn, Q5_CONN_HEAD, now);
        parse_head(conn, now);
        if (conn->ahead.len == 0) q5_buf_deinit(&conn->ahead);
        /* What is missing will not come. */
        if (conn->eof && (conn->state == Q5_CONN_HEAD || conn->state == Q5_CONN_BODY))
            q5__conn_abandon(conn, Q5_GONE_PEER);
    }
    conn->busy = false;
    return q5_conn_pending(conn);
}

bool q5_conn_pending(const q5_conn *conn) {
    return conn->state == Q5_CONN_IDLE && conn->ahead.len != 0 && !q5__conn_backlogged(conn);
}

void q5_conn_eof(q5_conn *conn, q5_msec now) {
    conn->busy = true;
    conn->eof = true;
    const q5_app *app = conn->app;
    bool give_up = true;
    if (conn->state == Q5_CONN_HANDLING)
        give_up = q5__body_streams(conn->x) || (app->on_eof && app->on_eof(app->ctx, conn->x));
    else if (conn->state == Q5_CONN_IDLE)
        give_up = conn->ahead.len == 0;
    if (conn->state == Q5_CONN_TUNNEL)
        q5__tunnel_eof(conn, now);
    else if (give_up)
        q5__conn_abandon(conn, Q5_GONE_PEER);
    conn->busy = false;
}

bool q5_conn_lingers(const q5_conn *conn) {
    return (conn->lingers || conn->ahead.len) && !conn->eof;
}

/* ---- state that the transport asks for ------------------------------------------------------- */

bool q5_conn_idle(const q5_conn *conn) {
    return conn->state == Q5_CONN_IDLE || (conn->state == Q5_CONN_HEAD && conn->x->in.len == 0);
}

bool q5_conn_finished(const q5_conn *conn) {
    return conn->state == Q5_CONN_END && conn->segment_count == 0;
}

void q5__conn_stop_skipping(q5_conn *conn) {
    conn->lingers = true;
    conn->state = Q5_CONN_END;
}

void q5_conn_drain(q5_conn *conn) {
    conn->drain = true;
    if (conn->state == Q5_CONN_TUNNEL) {
        q5__tunnel_drain(conn);
        return;
    }
    /* The first request of a new connection may be under way; closing now would lose it, while a
     * client knows that a connection it has used may be closed. */
    if (conn->requests == 0) return;
    if (conn->state == Q5_CONN_IDLE) conn->state = Q5_CONN_END;
    if (conn->state == Q5_CONN_SKIP) q5__conn_stop_skipping(conn);
    if (conn->state == Q5_CONN_HEAD && conn->x->in.len == 0)
        q5__conn_abandon(conn, Q5_GONE_SHUTDOWN);
}
