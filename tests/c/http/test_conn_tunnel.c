/* Connections that leave HTTP (RFC 9110, 7.8): a tunnel that sends back what comes, in capitals. */
#include "q5/conn.h"

#include "q5test.h"

typedef struct tunnel {
    q5_conn_config config;
    q5_app app;
    q5_exchange_pool pool;
    q5_conn *conn;
    q5_exchange *x; /* one reference */
    char in[64];
    char trace[1024];
    q5_msec deadline;
    bool paused;
    int status; /* of q5_response_upgrade */
} tunnel;

static void tell(tunnel *t, const char *what) {
    size_t len = strlen(t->trace);
    snprintf(t->trace + len, sizeof(t->trace) - len, "%s%s", len ? " " : "", what);
}

static int space(void *ctx, char **ret_base, size_t *ret_len) {
    tunnel *t = ctx;
    *ret_base = t->in;
    *ret_len = sizeof(t->in);
    return t->paused ? Q5_AGAIN : Q5_OK;
}

static void received(void *ctx, size_t n, q5_msec now) {
    tunnel *t = ctx;
    (void)now;
    for (size_t i = 0; i < n; i++)
        if (t->in[i] >= 'a' && t->in[i] <= 'z') t->in[i] = (char)(t->in[i] - 32);
    q5_response_write(t->x, q5_slice_make(t->in, n), NULL, NULL);
    if (memchr(t->in, '.', n)) q5_response_end(t->x);
}

static void eof(void *ctx, q5_msec now) {
    tunnel *t = ctx;
    (void)now;
    tell(t, "eof");
    q5_response_end(t->x);
}

static q5_msec deadline(void *ctx) {
    return ((tunnel *)ctx)->deadline;
}

static void expire(void *ctx, q5_msec now) {
    tunnel *t = ctx;
    tell(t, "expire");
    t->deadline = now + 1000;
}

static void drain(void *ctx) {
    tunnel *t = ctx;
    tell(t, "drain");
    q5_response_write(t->x, Q5_LIT("bye"), NULL, NULL);
    q5_response_end(t->x);
}

static const q5_tunnel_ops ops = {space, received, eof, deadline, expire, drain};

static void on_head(void *ctx, q5_exchange *x) {
    (void)ctx;
    (void)x;
}

static void on_request(void *ctx, q5_exchange *x) {
    tunnel *t = ctx;
    int status = q5_response_start(x, 101);
    if (status) {
        t->status = status;
        q5_response_problem(x, 426, q5_slice_make(NULL, 0));
        return;
    }
    /* 101 is no answer of its own. */
    assert_status(q5_response_send(x, q5_slice_make(NULL, 0), NULL, NULL), Q5_ESTATE);
    assert_status(q5_response_stream(x, -1), Q5_ESTATE);
    q5_response_lines(x, Q5_LIT("Upgrade: caps\r\n"));
    t->x = q5_exchange_ref(x);
    t->status = q5_response_upgrade(x, &ops, t);
    if (!t->status) return;
    q5_response_reset(x);
    q5_response_problem(x, 400, q5_slice_make(NULL, 0));
}

static void on_drain(void *ctx, q5_exchange *x) {
    (void)x;
    tell(ctx, "room");
}

static void on_gone(void *ctx, q5_exchange *x, q5_gone why) {
    (void)x;
    tell(ctx, why == Q5_GONE_TIMEOUT ? "timeout" : "gone");
}

static void on_done(void *ctx, q5_exchange *x) {
    char text[32];
    snprintf(text, sizeof(text), "done:%d:%d", x->status, (int)x->sent_len);
    tell(ctx, text);
}

static void start(tunnel *t, const q5_alloc *alloc) {
    memset(t, 0, sizeof(*t));
    t->config = q5_conn_config_default();
    if (alloc) t->config.alloc = alloc;
    t->config.out_high = 400;
    t->config.out_low = 10;
    t->app = (q5_app){.ctx = t,
                      .on_head = on_head,
                      .on_request = on_request,
                      .on_drain = on_drain,
                      .on_gone = on_gone,
                      .on_done = on_done};
    q5_exchange_pool_init(&t->pool, alloc, 2);
    t->conn = q5_conn_create(&t->config, &t->app, &t->pool, 1000);
}

static void stop(tunnel *t) {
    if (t->conn) q5_conn_destroy(t->conn, Q5_GONE_PEER);
    if (t->x) q5_exchange_unref(t->x);
    assert_int_equal(t->pool.live_count, 0);
    q5_exchange_pool_deinit(&t->pool);
}

static int feed(tunnel *t, const char *text) {
    size_t left = strlen(text);
    while (left) {
        char *base;
        size_t len;
        int status = q5_conn_recv_space(t->conn, &base, &len);
        if (status) return status;
        if (len > left) len = left;
        memcpy(base, text, len);
        q5_conn_received(t->conn, len, 1000);
        text += len;
        left -= len;
    }
    return Q5_OK;
}

/* All that is queued, as a string. */
static const char *take(tunnel *t) {
    static char out[4096];
    size_t used = 0;
    while (q5_conn_has_output(t->conn)) {
        size_t count;
        const q5_segment *segment = q5_conn_output(t->conn, &count);
        size_t len = (size_t)segment->len;
        assert_true(used + len < sizeof(out));
        memcpy(out + used, segment->base, len);
        used += len;
        q5_conn_sent(t->conn, len);
    }
    out[used] = '\0';
    return out;
}

#define REQUEST "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: caps\r\n\r\n"

static void test_what_comes_is_the_tunnels(void **state) {
    (void)state;
    tunnel t;
    start(&t, NULL);
    assert_status(feed(&t, REQUEST), Q5_OK);
    const char *head = take(&t);
    assert_non_null(strstr(head, "HTTP/1.1 101 Switching Protocols\r\n"));
    assert_non_null(strstr(head, "Upgrade: caps\r\nConnection: Upgrade\r\n\r\n"));
    assert_null(strstr(head, "Content-Length"));
    assert_null(strstr(head, "Transfer-Encoding"));
    feed(&t, "hello");
    assert_string_equal(take(&t), "HELLO");
    assert_false(q5_conn_idle(t.conn));
    assert_false(q5_conn_finished(t.conn));
    feed(&t, "bye.");
    assert_string_equal(t.trace, "done:101:9");
    assert_false(q5_conn_finished(t.conn));
    assert_string_equal(take(&t), "BYE.");
    assert_true(q5_conn_finished(t.conn));
    assert_true(q5_conn_lingers(t.conn));
    stop(&t);
}

static void test_without_upgrade_101_is_refused(void **state) {
    (void)state;
    static const char *const requests[] = {
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: caps\r\n\r\n", /* not named in Connection */
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: caps\r\n\r\n",
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(requests); i++) {
        tunnel t;
        start(&t, NULL);
        feed(&t, requests[i]);
        assert_status(t.status, Q5_EINVAL);
        const char *answer = take(&t);
        assert_non_null(strstr(answer, " 426 "));
        assert_non_null(strstr(answer, "\r\nConnection: Upgrade\r\n"));
        stop(&t);
    }
}

/* What follows the head was sent before the client could know what it is. */
static void test_a_client_that_does_not_wait_is_refused(void **state) {
    (void)state;
    tunnel t;
    start(&t, NULL);
    feed(&t, REQUEST "GET /smuggled HTTP/1.1\r\n");
    assert_status(t.status, Q5_EINVAL);
    assert_non_null(strstr(take(&t), "HTTP/1.1 400 "));
    stop(&t);
}

static void test_not_while_the_connection_drains(void **state) {
    (void)state;
    tunnel t;
    start(&t, NULL);
    q5_conn_drain(t.conn);
    feed(&t, REQUEST);
    assert_status(t.status, Q5_ESTATE);
    assert_non_null(strstr(take(&t), "HTTP/1.1 400 "));
    stop(&t);
}

static void test_ends(void **state) {
    (void)state;
    tunnel t;
    start(&t, NULL);
    feed(&t, REQUEST);
    q5_conn_eof(t.conn, 1000);
    assert_string_equal(t.trace, "eof done:101:0");
    take(&t);
    assert_true(q5_conn_finished(t.conn));
    stop(&t);

    start(&t, NULL);
    feed(&t, REQUEST);
    take(&t);
    q5_conn_drain(t.conn);
    assert_string_equal(t.trace, "drain done:101:3");
    assert_string_equal(take(&t), "bye");
    assert_true(q5_conn_finished(t.conn));
    stop(&t);

    start(&t, NULL);
    feed(&t, REQUEST);
    q5_conn_destroy(t.conn, Q5_GONE_PEER);
    t.conn = NULL;
    assert_string_equal(t.trace, "gone done:101:0");
    stop(&t);
}

static void test_pressure_both_ways(void **state) {
    (void)state;
    tunnel t;
    char *base;
    size_t len;
    start(&t, NULL);
    feed(&t, REQUEST);
    take(&t);
    t.paused = true;
    assert_status(q5_conn_recv_space(t.conn, &base, &len), Q5_AGAIN);
    t.paused = false;
    /* 400 bytes wait: nothing more is taken from a client that does not read. */
    for (int i = 0; i < 10; i++)
        assert_status(feed(&t, "abcdefghijabcdefghijabcdefghijabcdefghij"), Q5_OK);
    assert_status(q5_conn_recv_space(t.conn, &base, &len), Q5_AGAIN);
    assert_int_equal(strlen(take(&t)), 400);
    assert_string_equal(t.trace, "room");
    assert_status(q5_conn_recv_space(t.conn, &base, &len), Q5_OK);
    stop(&t);
}

static void test_time(void **state) {
    (void)state;
    tunnel t;
    start(&t, NULL);
    feed(&t, REQUEST);
    take(&t);
    assert_int_equal(q5_conn_deadline(t.conn), 0);
    t.deadline = 5000;
    assert_int_equal(q5_conn_deadline(t.conn), 5000);
    assert_false(q5_conn_expire(t.conn, 5000)); /* the tunnel's affair, no timeout of ours */
    assert_int_equal(q5_conn_deadline(t.conn), 6000);
    /* While output waits for the client its time counts. */
    feed(&t, "x");
    q5_conn_blocked(t.conn, 0, 5500);
    assert_int_equal(q5_conn_deadline(t.conn), 5500 + t.config.write_idle_msec);
    assert_true(q5_conn_expire(t.conn, 5500 + t.config.write_idle_msec));
    assert_string_equal(t.trace, "expire timeout done:101:1");
    assert_true(q5_conn_finished(t.conn));
    stop(&t);
}

static int scenario(const q5_alloc *alloc, void *ctx) {
    tunnel t;
    (void)ctx;
    start(&t, alloc);
    int status = t.conn ? feed(&t, REQUEST) : Q5_ENOMEM;
    if (!status) status = t.status;
    if (!status) status = feed(&t, "hello.");
    if (t.conn && strstr(take(&t), "HELLO.") == NULL) status = Q5_ENOMEM;
    stop(&t);
    return status == Q5_DONE ? Q5_ENOMEM : status;
}

static void test_out_of_memory(void **state) {
    (void)state;
    failmalloc_sweep(scenario, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_comes_is_the_tunnels),
        cmocka_unit_test(test_without_upgrade_101_is_refused),
        cmocka_unit_test(test_a_client_that_does_not_wait_is_refused),
        cmocka_unit_test(test_not_while_the_connection_drains),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_pressure_both_ways),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_out_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
