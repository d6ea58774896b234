/* A connection that has left HTTP: what comes goes to the tunnel, what it sends is the body of a
 * response that ends with the connection. */
#include "http/conn_internal.h"

static void put(q5_exchange *x, q5_slice text) {
    memcpy(x->out.base + x->out.len, text.base, text.len);
    x->out.len += text.len;
}

static void release_exchange(void *ctx) {
    q5_exchange_unref(ctx);
}

int q5_response_upgrade(q5_exchange *x, const q5_tunnel_ops *ops, void *ctx) {
    static const q5_slice end = {"Connection: Upgrade\r\n\r\n", 23};
    q5_conn *conn = x->conn;
    if (!conn || conn->state == Q5_CONN_END) return Q5_ECLOSED;
    if (x->response_state != Q5_RESPONSE_HEAD || x->status != 101 ||
        conn->state != Q5_CONN_HANDLING || conn->drain)
        return Q5_ESTATE;
    if (conn->ahead.len) return Q5_EINVAL;
    if (q5_buf_reserve(&x->out, end.len)) return Q5_ENOMEM;
    put(x, end);
    x->response_state = Q5_RESPONSE_UNTIL_CLOSE;
    x->response_close = true;
    conn->lingers = true; /* when we end it, the client may be sending */
    conn->state = Q5_CONN_TUNNEL;
    conn->tunnel = ops;
    conn->tunnel_ctx = ctx;
    q5_segment segment = {.base = x->out.base,
                          .len = x->out.len,
                          .fd = -1,
                          .release = release_exchange,
                          .ctx = q5_exchange_ref(x)};
    int status = q5__conn_queue(conn, &segment);
    if (status)
        q5_response_abort(x);
    else
        q5__conn_wake(conn);
    return status;
}

void q5_tunnel_has_room(q5_exchange *x) {
    if (x->conn) q5__conn_wake(x->conn);
}

int q5__tunnel_space(q5_conn *conn, char **ret_base, size_t *ret_len) {
    if (q5__conn_backlogged(conn)) return Q5_AGAIN;
    return conn->tunnel->space(conn->tunnel_ctx, ret_base, ret_len);
}

void q5__tunnel_received(q5_conn *conn, size_t n, q5_msec now) {
    q5_exchange *x = conn->x;
    conn->tunnel->received(conn->tunnel_ctx, n, now);
    q5__conn_answered(conn, x);
}

void q5__tunnel_eof(q5_conn *conn, q5_msec now) {
    q5_exchange *x = conn->x;
    conn->tunnel->eof(conn->tunnel_ctx, now);
    q5__conn_answered(conn, x);
}

void q5__tunnel_expire(q5_conn *conn, q5_msec now) {
    q5_exchange *x = conn->x;
    conn->tunnel->expire(conn->tunnel_ctx, now);
    q5__conn_answered(conn, x);
}

void q5__tunnel_drain(q5_conn *conn) {
    q5_exchange *x = conn->x;
    conn->busy = true;
    conn->tunnel->drain(conn->tunnel_ctx);
    q5__conn_answered(conn, x);
    conn->busy = false;
}
