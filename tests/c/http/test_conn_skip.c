/* Requests that are answered at their head: a short body that nobody wants is skipped, so that the
 * connection can go on; whatever else is left of the request ends it. */
#include "http/conn_script.h"

#define POST(path, fields) "POST " path " HTTP/1.1\r\n" HOST fields "\r\n"
#define LENGTH(n) "Content-Length: " #n "\r\n"
#define NO_ "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
#define NO_CLOSE "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"

typedef struct row {
    const char *why, *input, *output, *trace;
} row;

static const row rows[] = {
    {"the body came along", POST("/refuse", LENGTH(5)) "hello" GET("/"), NO_ OK_,
     "H/refuse D403 H/ R/ D200"},
    {"RFC 9112, 9.3: the body is no request", POST("/refuse", LENGTH(27)) GET("/evil") GET("/"),
     NO_ OK_, "H/refuse D403 H/ R/ D200"},
    {"two of them", POST("/refuse", LENGTH(1)) "a" POST("/early", LENGTH(1)) "b" GET("/"),
     NO_ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly" OK_,
     "H/refuse D403 H/early D200 H/ R/ D200"},
    {"HTTP/1.0 that asks for it",
     "POST /refuse HTTP/1.0\r\nConnection: keep-alive\r\n" LENGTH(2) "\r\nhi" GET("/"),
     "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nno" OK_,
     "H/refuse D403 H/ R/ D200"},
};

/* However the input is cut, the connection is idle behind it. */
static void test_skipped(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        for (size_t at = 0; at <= strlen(rows[i].input); at++) {
            rig r;
            rig_init(&r);
            rig_feed(&r, rows[i].input, at);
            rig_say(&r, rows[i].input + at);
            char *got = rig_output(&r);
            if (strcmp(got, rows[i].output) != 0 || strcmp(r.trace, rows[i].trace) != 0)
                fail_msg("%s (split at %zu): \"%s\" [%s]", rows[i].why, at, got, r.trace);
            assert_true(q5_conn_idle(r.conn));
            assert_int_equal(q5_conn_deadline(r.conn), r.now + r.config.keep_alive_msec);
            rig_deinit(&r);
        }
    }
}

/* The answer does not wait for the body, which may be as long as 64 KiB. */
static void test_longest(void **state) {
    (void)state;
    static const size_t cuts[] = {0, 1, 999};
    for (size_t i = 0; i < Q5_ARRAY_LEN(cuts); i++) {
        rig r;
        rig_init(&r);
        rig_say(&r, POST("/refuse", LENGTH(65536)));
        assert_output(&r, NO_);
        r.cut = cuts[i];
        assert_int_equal(rig_feed(&r, rig_big().base, 65535), 65535);
        assert_false(q5_conn_idle(r.conn));
        rig_say(&r, "x" GET("/"));
        assert_output(&r, OK_);
        rig_deinit(&r);
    }
}

typedef struct close_row {
    const char *why, *input;
} close_row;

static const close_row close_rows[] = {
    {"longer", POST("/refuse", LENGTH(65537))},
    {"of unknown length", POST("/refuse", "Transfer-Encoding: chunked\r\n") "0\r\n\r\n"},
    {"RFC 9110, 10.1.1: a client that waits may leave the body out",
     POST("/refuse", LENGTH(5) "Expect: 100-continue\r\n")},
    {"the client wants it", POST("/refuse", LENGTH(5) "Connection: close\r\n") "hello"},
    {"HTTP/1.0", "POST /refuse HTTP/1.0\r\n" LENGTH(5) "\r\nhello"},
};

static void test_not_skipped(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(close_rows); i++) {
        rig r;
        rig_init(&r);
        rig_say(&r, close_rows[i].input);
        if (strcmp(rig_output(&r), NO_CLOSE) != 0) fail_msg("%s: %s", close_rows[i].why, r.out);
        assert_true(q5_conn_finished(r.conn));
        assert_true(q5_conn_lingers(r.conn));
        rig_deinit(&r);
    }
}

/* The body has the time of a head; bytes of it do not prolong that. */
static void test_deadline(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, POST("/refuse", LENGTH(50)));
    assert_output(&r, NO_);
    assert_int_equal(q5_conn_deadline(r.conn), r.now + 10000);
    for (int i = 0; i < 9; i++) {
        rig_wait(&r, 1000);
        rig_say(&r, "x");
    }
    rig_wait(&r, 999);
    assert_false(q5_conn_finished(r.conn));
    rig_wait(&r, 1);
    assert_true(q5_conn_finished(r.conn));
    assert_true(q5_conn_lingers(r.conn));
    assert_output(&r, "");
    assert_trace(&r, "H/refuse D403");
    rig_deinit(&r);
}

static void test_client_leaves(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, POST("/refuse", LENGTH(50)) "x");
    rig_eof(&r);
    assert_output(&r, NO_);
    assert_true(q5_conn_finished(r.conn));
    assert_false(q5_conn_lingers(r.conn));
    rig_deinit(&r);
}

static void test_drain(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, POST("/refuse", LENGTH(50)) "x");
    q5_conn_drain(r.conn);
    assert_true(q5_conn_finished(r.conn));
    assert_true(q5_conn_lingers(r.conn));
    rig_deinit(&r);
}

/* A client that reads none of its answers is not read from either, once there are enough. */
static void test_backlog(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    r.send_max = 0;
    int taken = 0;
    const char *text = POST("/refuse", LENGTH(5)) "hello";
    while (taken < 1000 && rig_say(&r, text) == strlen(text))
        taken++;
    assert_in_range(taken, 32, 128);
    r.send_max = SIZE_MAX;
    rig_flush(&r);
    rig_deinit(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_skipped),       cmocka_unit_test(test_longest),
        cmocka_unit_test(test_not_skipped),   cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_client_leaves), cmocka_unit_test(test_drain),
        cmocka_unit_test(test_backlog),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
