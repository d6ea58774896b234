/* A connection's deadlines: when the next one is, and what it does. */
#include "http/conn_internal.h"

/* What a connection that has sent nothing yet gets in a drain. */
#define FIRST_REQUEST_MSEC 1000

static q5_msec idle_deadline(const q5_conn *conn) {
    q5_msec limit = conn->config->keep_alive_msec;
    return conn->since + (conn->drain && limit > FIRST_REQUEST_MSEC ? FIRST_REQUEST_MSEC : limit);
}

/* Of a body that is streamed, while it is the client that is waited for; else 0. */
static q5_msec stream_deadline(const q5_conn *conn) {
    const q5_exchange *x = conn->x;
    bool receives = q5__body_streams(x) && !x->body_waits && !x->body_error;
    return receives ? q5__body_deadline(conn->config, x) : 0;
}

/* The next piece of a streamed body, or of a streamed response: whichever is due first. */
static q5_msec handling_deadline(const q5_conn *conn) {
    const q5_exchange *x = conn->x;
    q5_msec body = stream_deadline(conn);
    q5_msec silence = x->keep_alive_msec ? conn->since + x->keep_alive_msec : 0;
    return body && (!silence || body < silence) ? body : silence;
}

q5_msec q5_conn_deadline(const q5_conn *conn) {
    const q5_conn_config *config = conn->config;
    if (conn->segment_count) return conn->stalled ? conn->stalled + config->write_idle_msec : 0;
    switch (conn->state) {
    case Q5_CONN_IDLE:
        return idle_deadline(conn);
    case Q5_CONN_HEAD:
        return conn->x->in.len ? conn->since + config->head_timeout_msec : idle_deadline(conn);
    case Q5_CONN_BODY:
        return q5__body_deadline(config, conn->x);
    case Q5_CONN_SKIP:
        return conn->since + config->head_timeout_msec;
    case Q5_CONN_HANDLING:
        return handling_deadline(conn);
    case Q5_CONN_TUNNEL:
        return conn->tunnel->deadline(conn->tunnel_ctx);
    default:
        return 0;
    }
}

static bool body_is_late(const q5_conn *conn, q5_msec now) {
    q5_msec due = stream_deadline(conn);
    return due && now >= due;
}

/* A write whose time is not known yet was one after `since`. */
static void break_silence(q5_conn *conn, q5_msec now) {
    bool silent = !conn->since_is_stale;
    if (silent) q5_response_write(conn->x, conn->x->keep_alive, NULL, NULL);
    q5__conn_set_state(conn, conn->state, now);
}

bool q5_conn_expire(q5_conn *conn, q5_msec now) {
    q5_msec deadline = q5_conn_deadline(conn);
    if (deadline == 0 || now < deadline) return false;
    conn->busy = true;
    bool handles = conn->segment_count == 0 && conn->state == Q5_CONN_HANDLING;
    bool is_silence = handles && !body_is_late(conn, now);
    if (is_silence) {
        break_silence(conn, now);
    } else if (handles) {
        q5__conn_body_status(conn, conn->x, Q5_ETIMEOUT);
    } else if (conn->segment_count) {
        q5__conn_abandon(conn, Q5_GONE_TIMEOUT);
        q5__conn_drop_output(conn);
    } else if (q5_conn_idle(conn)) {
        q5__conn_abandon(conn, Q5_GONE_TIMEOUT);
    } else if (conn->state == Q5_CONN_SKIP) {
        q5__conn_stop_skipping(conn);
    } else if (conn->state == Q5_CONN_TUNNEL) {
        is_silence = true;
        q5__tunnel_expire(conn, now);
    } else {
        q5__conn_fault(conn, Q5_ETIMEOUT, 0);
    }
    conn->busy = false;
    return !is_silence;
}
