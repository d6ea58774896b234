/* Requests on a connection: keep-alive, pipelining, versions, methods, early answers. */
#include "http/conn_script.h"

#include "http/conn_internal.h"

static const char OK_OLD[] =
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok";

typedef enum end { OPEN, CLOSED } end;

typedef struct row {
    const char *why;
    const char *input;
    const char *output;
    const char *trace;
    end end;
} row;

static const row rows[] = {
    {"a request", GET("/"), OK_, "H/ R/ D200", OPEN},
    {"RFC 9112, 9.3: 1.1 persists", GET("/1") GET("/2"), OK_ OK_, "H/1 R/1 D200 H/2 R/2 D200",
     OPEN},
    {"RFC 9112, 9.6: close ends it", "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
     OK_CLOSE, "H/ R/ D200", CLOSED},
    {"what follows a close is not read",
     "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n" GET("/late"), OK_CLOSE, "H/ R/ D200",
     CLOSED},
    {"RFC 9112, 9.3: 1.0 closes", "GET / HTTP/1.0\r\n\r\n", OK_CLOSE, "H/ R/ D200", CLOSED},
    {"RFC 9112, 9.3: 1.0 with keep-alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", "H/ R/ D200",
     OPEN},
    {"the application closes", GET("/close"),
     "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbye", "H/close R/close D200",
     CLOSED},
    {"RFC 9110, 9.3.2: HEAD has no body", "HEAD / HTTP/1.1\r\n" HOST "\r\n" GET("/"),
     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" OK_, "H/ R/ D200 H/ R/ D200", OPEN},
    {"RFC 9110, 9.3.2: HEAD of a stream", "HEAD /chunked HTTP/1.1\r\n" HOST "\r\n" GET("/"),
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" OK_,
     "H/chunked R/chunked D200 H/ R/ D200", OPEN},
    {"RFC 9110, 15.3.5: 204 has no body and no length", GET("/204") GET("/"),
     "HTTP/1.1 204 No Content\r\n\r\n" OK_, "H/204 R/204 D204 H/ R/ D200", OPEN},
    {"RFC 9110, 15.3.6: 205 has no body and says so", GET("/205") GET("/"),
     "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n" OK_, "H/205 R/205 D205 H/ R/ D200",
     OPEN},
    {"RFC 9110, 15.4.5: 304 has no body", GET("/304") GET("/"),
     "HTTP/1.1 304 Not Modified\r\n\r\n" OK_, "H/304 R/304 D304 H/ R/ D200", OPEN},
    {"answered by the head", GET("/early") GET("/"),
     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly" OK_, "H/early D200 H/ R/ D200", OPEN},
    {"given up without a word", GET("/abort"), "", "H/abort R/abort D0", CLOSED},
    {"an empty line before a request (RFC 9112, 2.2)", GET("/") "\r\n" GET("/"), OK_ OK_,
     "H/ R/ D200 H/ R/ D200", OPEN},
    {"half a head", "GET / HTTP/1.1\r\nHo", "", "", OPEN},
};

static void check(const row *want, size_t cut) {
    rig r;
    rig_init(&r);
    r.cut = cut;
    rig_say(&r, want->input);
    char *got = rig_output(&r);
    if (strcmp(got, want->output) != 0 || strcmp(r.trace, want->trace) != 0)
        fail_msg("%s (cut %zu): got \"%s\" [%s]", want->why, cut, got, r.trace);
    if (q5_conn_finished(r.conn) != (want->end == CLOSED)) fail_msg("%s: open or not", want->why);
    rig_deinit(&r);
}

static void test_requests(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        check(&rows[i], 0);
        for (size_t cut = 1; cut < 40; cut += cut < 5 ? 1 : 9)
            check(&rows[i], cut);
    }
}

static void test_old_keep_alive_twice(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    for (int i = 0; i < 2; i++) {
        rig_say(&r, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_output(&r, OK_OLD);
    }
    rig_say(&r, "GET /chunked HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    /* A stream of unknown length ends with the connection (RFC 9112, 6.3). */
    assert_output(&r, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcdefg");
    assert_true(q5_conn_finished(r.conn));
    rig_deinit(&r);
}

static void test_requests_max(void **state) {
    (void)state;
    rig r;
    rig_prepare(&r, NULL);
    r.config.requests_max = 3;
    rig_connect(&r);
    rig_say(&r, GET("/1") GET("/2") GET("/3") GET("/4"));
    assert_output(&r, OK_ OK_ OK_CLOSE);
    assert_int_equal(r.requests, 3);
    assert_true(q5_conn_finished(r.conn));
    /* The fourth was received, but nobody will read on: the transport must not reset. */
    assert_true(q5_conn_lingers(r.conn));
    rig_deinit(&r);
}

/* Many requests in few buffers, answered in order however long the first takes. */
static void test_pipelining(void **state) {
    (void)state;
    static const size_t cuts[] = {0, 1, 17, 1000};
    for (size_t c = 0; c < Q5_ARRAY_LEN(cuts); c++) {
        rig r;
        char input[8192] = "", want[8192] = "";
        rig_init(&r);
        r.cut = cuts[c];
        strcat(input, GET("/later"));
        strcat(want, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst");
        for (int i = 0; i < 50; i++) {
            strcat(input, i % 2 ? GET("/")
                                : "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc");
            strcat(want, i % 2 ? OK_
                               : "HTTP/1.1 200 OK\r\nX-Body: 3\r\n"
                                 "Content-Length: 3\r\n\r\nabc");
        }
        size_t used = rig_say(&r, input);
        /* Nothing is received while a request is handled. */
        if (cuts[c] == 1) assert_int_equal(used, strlen(GET("/later")));
        assert_output(&r, "");
        assert_int_equal(r.heads, 1);
        assert_status(rig_answer_later(&r, "first"), Q5_OK);
        assert_int_equal(r.wakes, 1);
        char *got = malloc(sizeof(want));
        assert_non_null(got);
        strcpy(got, rig_output(&r));
        used += rig_say(&r, input + used);
        assert_int_equal(used, strlen(input));
        strcat(got, rig_output(&r));
        assert_string_equal(got, want);
        free(got);
        assert_true(q5_conn_idle(r.conn));
        assert_int_equal(r.requests, 51);
        rig_deinit(&r);
    }
}

/* Each of several requests is put off; the next one begins when the one before is answered. */
static void test_deferred_in_order(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, GET("/later") GET("/later") GET("/later"));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(r.requests, i + 1);
        assert_int_equal(r.later_count, 1);
        char text[2] = {(char)('0' + i), 0};
        assert_status(rig_answer_later(&r, text), Q5_OK);
    }
    assert_output(&r, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0"
                      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"
                      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2");
    rig_deinit(&r);
}

/* A client that sends requests and reads nothing gets no further than the backlog. */
static void test_pipelining_without_reading(void **state) {
    (void)state;
    static const struct {
        const char *request;
        int most;
    } cases[] = {{GET("/"), Q5__SEGMENTS_BACKLOG}, {GET("/big"), 4}};
    for (size_t c = 0; c < Q5_ARRAY_LEN(cases); c++) {
        rig r;
        rig_init(&r);
        r.send_max = 0;
        size_t len = strlen(cases[c].request), used = 0;
        for (int i = 0; i < 500 && used == (size_t)i * len; i++)
            used += rig_say(&r, cases[c].request);
        assert_true(used < 500 * len);
        assert_in_range(r.requests, 1, cases[c].most);
        int before = r.requests;
        /* Reading, it gets all that it asked for, in spite of its end of file. */
        rig_eof(&r);
        assert_int_equal(r.requests, before);
        r.send_max = SIZE_MAX;
        rig_flush(&r);
        assert_true(q5_conn_finished(r.conn));
        assert_int_equal(r.gones, 0);
        rig_deinit(&r);
    }
}

/* The client half-closes behind what it asked for (RFC 9112, 9.6 leaves it its answers). */
static void test_eof_behind_pipelined(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, GET("/later") GET("/2") "GET /3 HTTP/1.1\r\nHo");
    rig_eof(&r);
    assert_status(rig_answer_later(&r, "ok"), Q5_OK);
    assert_output(&r, OK_ OK_);
    assert_trace(&r, "H/later R/later E/later D200 H/2 R/2 D200");
    assert_true(q5_conn_finished(r.conn));
    rig_deinit(&r);
}

/* An early answer to a request whose body cannot be skipped ends the connection, and lingers. The
 * others are in test_conn_skip.c. */
static void test_early_answer_with_body(void **state) {
    (void)state;
    static const char *const inputs[] = {
        "POST /refuse HTTP/1.1\r\n" HOST "Content-Length: 65537\r\n\r\n",
        "POST /refuse HTTP/1.1\r\n" HOST "Content-Length: 65537\r\n\r\nhello",
        "POST /refuse HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
        "POST /refuse HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(inputs); i++) {
        rig r;
        rig_init(&r);
        rig_say(&r, inputs[i]);
        assert_output(&r, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n"
                          "Connection: close\r\n\r\nno");
        assert_trace(&r, "H/refuse D403");
        assert_true(q5_conn_finished(r.conn));
        assert_true(q5_conn_lingers(r.conn));
        rig_deinit(&r);
    }
}

static void test_no_lingering_without_need(void **state) {
    (void)state;
    static const char *const inputs[] = {"GET / HTTP/1.0\r\n\r\n",
                                         "POST /echo HTTP/1.1\r\n" HOST
                                         "Connection: close\r\nContent-Length: 2\r\n\r\nhi"};
    for (size_t i = 0; i < Q5_ARRAY_LEN(inputs); i++) {
        rig r;
        rig_init(&r);
        rig_say(&r, inputs[i]);
        assert_true(q5_conn_finished(r.conn));
        assert_false(q5_conn_lingers(r.conn));
        rig_deinit(&r);
    }
}

/* Between requests a connection holds no exchange; in the pool each stays for the next one. */
static void test_idle_memory(void **state) {
    (void)state;
    rig r;
    failmalloc fm;
    failmalloc_init(&fm, SIZE_MAX);
    rig_prepare(&r, &fm.alloc);
    assert_status(rig_connect(&r), Q5_OK);
    size_t base = fm.live;
    assert_int_equal(base, 1);
    char *space;
    size_t room;
    assert_status(q5_conn_recv_space(r.conn, &space, &room), Q5_OK);
    assert_int_equal(r.pool.live_count, 1);
    q5_conn_release_idle(r.conn, r.now);
    assert_int_equal(r.pool.live_count, 0);
    assert_true(q5_conn_idle(r.conn));
    for (int i = 0; i < 20; i++) {
        rig_say(&r, i % 2 ? GET("/") GET("/") : GET("/chunked"));
        assert_true(q5_conn_idle(r.conn));
        assert_int_equal(r.pool.live_count, 0);
        assert_null(r.conn->ahead.base);
    }
    size_t count = fm.count;
    rig_say(&r, GET("/"));
    assert_int_equal(fm.count, count); /* a request on a warm connection allocates nothing */
    q5_exchange_pool_deinit(&r.pool);
    assert_int_equal(fm.live, base);
    rig_deinit(&r);
    assert_int_equal(fm.live, 0);
}

/* Bytes wait in the exchange: releasing must leave them alone. */
static void test_release_idle_keeps_bytes(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, "GET / HT");
    q5_conn_release_idle(r.conn, r.now);
    assert_false(q5_conn_idle(r.conn));
    rig_say(&r, "TP/1.1\r\n" HOST "\r\n");
    assert_output(&r, OK_);
    rig_deinit(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_old_keep_alive_twice),
        cmocka_unit_test(test_requests_max),
        cmocka_unit_test(test_pipelining),
        cmocka_unit_test(test_deferred_in_order),
        cmocka_unit_test(test_pipelining_without_reading),
        cmocka_unit_test(test_eof_behind_pipelined),
        cmocka_unit_test(test_early_answer_with_body),
        cmocka_unit_test(test_no_lingering_without_need),
        cmocka_unit_test(test_idle_memory),
        cmocka_unit_test(test_release_idle_keeps_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
