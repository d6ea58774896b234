/* Receiving a request body: in place behind the head when it fits, else into a buffer that grows
 * with what really came, else into the spool. No byte is copied but those that arrived together
 * with the head, and chunked data by the width of its framing. */
#include "http/conn_internal.h"

#define SPACE_MIN 4096
#define SPACE_MAX 65536

static int spool_out(q5_conn *conn, q5_exchange *x) {
    const q5_spool_ops *ops = &conn->config->spool;
    if (!x->spool) {
        if (!(x->spool = ops->open(ops->ctx))) return Q5_EIO;
        x->spool_ops = ops;
    }
    int status = ops->write(x->spool, q5_buf_slice(&x->body_buf));
    x->body_buf.len = 0;
    return status;
}

/* Bytes were added to body_buf; moves them out when they are too many for memory. */
static int overflow(q5_conn *conn, q5_exchange *x) {
    if (!conn->config->spool.open || x->stream_body) return Q5_OK;
    bool spooling = x->spool ? x->body_buf.len >= SPACE_MAX : x->body_len > conn->config->spool_min;
    return spooling ? spool_out(conn, x) : Q5_OK;
}

static int complete(q5_conn *conn, q5_exchange *x) {
    if (x->stream_body) {
        x->body_state = Q5_BODY_COMPLETE;
        return Q5_DONE;
    }
    if (x->spool) {
        int status = x->body_buf.len ? spool_out(conn, x) : Q5_OK;
        if (status) return status;
        q5_buf_deinit(&x->body_buf);
    } else if (x->body_state == Q5_BODY_IN_PLACE) {
        x->body = q5_slice_make(x->in.base + x->head_len, x->body_len);
    } else {
        x->body = q5_buf_slice(&x->body_buf);
    }
    x->body_state = Q5_BODY_COMPLETE;
    return Q5_DONE;
}

/* n undecoded bytes lie behind body_buf.len. Decodes in place: data only ever moves down. */
static int decode(q5_conn *conn, q5_exchange *x, size_t n) {
    char *from = x->body_buf.base + x->body_buf.len;
    char *end = from + n;
    for (;;) {
        size_t used;
        q5_slice data;
        int status = q5_chunked_decode(&x->chunked, from, (size_t)(end - from), &used, &data);
        if (status != Q5_OK && status != Q5_DONE) return status;
        if (data.len) {
            if (data.len > x->body_max - x->body_len) return Q5_EBODY_LONG;
            memmove(x->body_buf.base + x->body_buf.len, data.base, data.len);
            x->body_buf.len += data.len;
            x->body_len += data.len;
        }
        from += used;
        if (status == Q5_DONE) {
            status = q5_buf_append(&conn->ahead, from, (size_t)(end - from));
            if (!status) status = overflow(conn, x);
            return status ? status : complete(conn, x);
        }
        if (from == end) return overflow(conn, x);
    }
}

static int begin_chunked(q5_conn *conn, q5_exchange *x, size_t have) {
    x->body_state = Q5_BODY_CHUNKED;
    q5_chunked_init(&x->chunked);
    int status = q5_buf_reserve(&x->body_buf, have > SPACE_MIN ? have : SPACE_MIN);
    if (status) return status;
    memcpy(x->body_buf.base, x->in.base + x->head_len, have);
    x->in.len = x->head_len;
    return decode(conn, x, have);
}

static int begin_length(q5_conn *conn, q5_exchange *x, size_t have) {
    uint64_t length = x->head.content_length;
    if (length > x->body_max) return Q5_EBODY_LONG;
    if (have > length) {
        int status = q5_buf_append(&conn->ahead, x->in.base + x->head_len + length, have - length);
        if (status) return status;
        have = length;
        x->in.len = x->head_len + length;
    }
    x->body_len = have;
    if (length <= x->in.cap - x->head_len && !x->stream_body) {
        x->body_state = Q5_BODY_IN_PLACE;
    } else {
        x->body_state = Q5_BODY_LENGTH;
        int status = q5_buf_append(&x->body_buf, x->in.base + x->head_len, have);
        if (status) return status;
        x->in.len = x->head_len;
    }
    return have == length ? complete(conn, x) : Q5_OK;
}

int q5__body_begin(q5_conn *conn, q5_exchange *x, q5_msec now) {
    x->body_begin_msec = x->body_last_msec = now;
    size_t have = x->in.len - x->head_len;
    if (x->head.chunked) return begin_chunked(conn, x, have);
    return begin_length(conn, x, have);
}

int q5__body_space(q5_exchange *x, char **ret_base, size_t *ret_len) {
    uint64_t left = x->head.content_length - x->body_len;
    if (x->body_state == Q5_BODY_IN_PLACE) {
        *ret_base = x->in.base + x->in.len;
        *ret_len = left;
        return Q5_OK;
    }
    size_t want = SPACE_MAX;
    if (x->body_state == Q5_BODY_LENGTH && left < want) want = left;
    /* A length that was only announced buys no memory: grow with what came. */
    if (want > SPACE_MIN && want > x->body_len)
        want = x->body_len > SPACE_MIN ? x->body_len : SPACE_MIN;
    int status = q5_buf_reserve(&x->body_buf, want);
    if (status) return status;
    *ret_base = x->body_buf.base + x->body_buf.len;
    *ret_len = x->body_buf.cap - x->body_buf.len;
    if (*ret_len > SPACE_MAX) *ret_len = SPACE_MAX;
    if (x->body_state == Q5_BODY_LENGTH && *ret_len > left) *ret_len = left;
    return Q5_OK;
}

/* ---- streamed bodies ------------------------------------------------------------------------- */

bool q5__body_has_room(const q5_conn *conn, q5_exchange *x) {
    if (!q5__body_streams(x) || x->body_error) return false;
    if (x->body_buf.len < conn->config->body_window) return true;
    x->body_waits = true;
    return false;
}

/* What the application has taken its time for is not the client's delay. */
void q5__body_resume(const q5_conn *conn, q5_exchange *x, q5_msec now) {
    bool asked = !x->head.expect_continue || x->body_continued || x->body_len;
    if (!x->body_waits || !asked || x->body_buf.len >= conn->config->body_window) return;
    x->body_waits = false;
    x->body_begin_msec += now - x->body_last_msec;
    x->body_last_msec = now;
}

q5_slice q5_body_peek(q5_exchange *x) {
    bool waits_for_us = x->head.expect_continue && !x->body_continued && x->body_len == 0;
    if (x->conn && waits_for_us && q5__body_streams(x) && x->response_state == Q5_RESPONSE_NONE) {
        x->body_continued = true;
        q5__conn_continue(x->conn);
        q5__conn_wake(x->conn);
    }
    return q5_buf_slice(&x->body_buf);
}

void q5_body_consume(q5_exchange *x, size_t n) {
    q5_buf_consume(&x->body_buf, n);
    if (x->conn && q5__body_streams(x)) q5__conn_wake(x->conn);
}

bool q5_body_complete(const q5_exchange *x) {
    return x->body_state == Q5_BODY_COMPLETE;
}

int q5__body_received(q5_conn *conn, q5_exchange *x, size_t n, q5_msec now) {
    if (x->stream_body) q5__body_resume(conn, x, now);
    x->body_last_msec = now;
    if (x->body_state == Q5_BODY_CHUNKED) return decode(conn, x, n);
    x->body_len += n;
    if (x->body_state == Q5_BODY_IN_PLACE) {
        x->in.len += n;
    } else {
        x->body_buf.len += n;
        int status = overflow(conn, x);
        if (status) return status;
    }
    return x->body_len == x->head.content_length ? complete(conn, x) : Q5_OK;
}

q5_msec q5__body_deadline(const q5_conn_config *config, const q5_exchange *x) {
    q5_msec idle = x->body_last_msec + config->body_idle_msec;
    if (!config->body_floor_per_s) return idle;
    /* Slower than the floor from the beginning on, but for a grace of a third of the idle time. */
    q5_msec floor = x->body_begin_msec + config->body_idle_msec / 3 +
                    x->body_len * 1000 / config->body_floor_per_s;
    return floor < idle ? floor : idle;
}
