/* The queue of output segments of a connection: a ring that starts inline and grows. Its bound is
 * back-pressure: producers stop at out_high. */
#include "http/conn_internal.h"

static q5_segment *at(const q5_conn *conn, uint32_t index) {
    return &conn->segments[conn->segment_first + index];
}

static void release(const q5_segment *segment) {
    if (segment->release) segment->release(segment->ctx);
}

/* Room for one more behind the last: by moving to the front, or to a larger array. Each segment is
 * moved a bounded number of times: there is as much room behind those that were as they take. */
static int make_room(q5_conn *conn) {
    if (conn->segment_count <= conn->segment_cap / 2) {
        memmove(conn->segments, at(conn, 0), conn->segment_count * sizeof(q5_segment));
        conn->segment_first = 0;
        return Q5_OK;
    }
    uint32_t cap = conn->segment_cap * 2;
    q5_segment *segments = q5_malloc(conn->config->alloc, cap * sizeof(q5_segment));
    if (!segments) return Q5_ENOMEM;
    memcpy(segments, at(conn, 0), conn->segment_count * sizeof(q5_segment));
    if (conn->segments != conn->inline_segments) q5_free(conn->config->alloc, conn->segments);
    conn->segments = segments;
    conn->segment_first = 0;
    conn->segment_cap = cap;
    return Q5_OK;
}

int q5__conn_queue(q5_conn *conn, const q5_segment *segment) {
    if (segment->len == 0) {
        release(segment);
        return Q5_OK;
    }
    if (conn->segment_first + conn->segment_count == conn->segment_cap && make_room(conn)) {
        release(segment);
        return Q5_ENOMEM;
    }
    *at(conn, conn->segment_count++) = *segment;
    conn->out_len += segment->len;
    if (conn->out_len >= conn->config->out_high || conn->segment_count >= Q5__SEGMENTS_HIGH)
        conn->full = true;
    return Q5_OK;
}

const q5_segment *q5_conn_output(const q5_conn *conn, size_t *ret_count) {
    *ret_count = conn->segment_count;
    return at(conn, 0);
}

bool q5_conn_has_output(const q5_conn *conn) {
    return conn->segment_count != 0;
}

static void pop(q5_conn *conn) {
    q5_segment segment = *at(conn, 0);
    conn->segment_first = --conn->segment_count ? conn->segment_first + 1 : 0;
    release(&segment);
}

void q5__conn_drop_output(q5_conn *conn) {
    while (conn->segment_count)
        pop(conn);
    conn->out_len = 0;
    conn->full = false;
}

/* A connection that is idle again must not keep what a burst of small pieces needed. */
static void shrink(q5_conn *conn) {
    q5_free(conn->config->alloc, conn->segments);
    conn->segments = conn->inline_segments;
    conn->segment_cap = Q5__SEGMENTS_INLINE;
}

/* What the client must take within write_idle_msec. */
static uint64_t quota(const q5_conn_config *config) {
    uint64_t bytes = config->write_floor_per_s * (uint64_t)config->write_idle_msec / 1000;
    return bytes ? bytes : 1;
}

void q5_conn_blocked(q5_conn *conn, uint64_t held, q5_msec now) {
    if (conn->segment_count == 0) return;
    uint64_t taken = held < conn->left_len ? conn->left_len - held : 0;
    if (conn->stalled && taken < conn->taken_mark + quota(conn->config)) return;
    conn->stalled = now;
    conn->taken_mark = taken;
}

static bool has_drained(const q5_conn *conn) {
    return conn->out_len <= conn->config->out_low && conn->segment_count <= Q5__SEGMENTS_LOW;
}

void q5_conn_sent(q5_conn *conn, uint64_t n) {
    conn->out_len -= n;
    conn->left_len += n;
    while (n) {
        q5_segment *segment = at(conn, 0);
        if (n < segment->len) {
            if (segment->fd < 0) segment->base += n;
            segment->offset += n;
            segment->len -= n;
            break;
        }
        n -= segment->len;
        pop(conn);
    }
    if (conn->segment_count == 0) {
        conn->stalled = 0;
        if (conn->segment_cap > Q5__SEGMENTS_KEPT) shrink(conn);
    }
    q5_exchange *x = conn->x;
    if (!conn->full || !has_drained(conn)) return;
    conn->full = false;
    if (!x || (conn->state != Q5_CONN_HANDLING && conn->state != Q5_CONN_TUNNEL)) return;
    conn->busy = true;
    conn->app->on_drain(conn->app->ctx, x);
    q5__conn_answered(conn, x);
    conn->busy = false;
}
