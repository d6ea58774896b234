/* Bodies that are taken while they come: x->stream_body. */
#include "http/conn_script.h"

#define POST(fields) "POST /feed HTTP/1.1\r\n" HOST fields "\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"

/* All that can be taken, as text. */
static const char *take(q5_exchange *x) {
    static char text[256];
    q5_slice data = q5_body_peek(x);
    assert_true(data.len < sizeof(text));
    if (data.len) memcpy(text, data.base, data.len);
    text[data.len] = '\0';
    q5_body_consume(x, data.len);
    return text;
}

static void test_it_is_taken_as_it_comes(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, POST("Content-Length: 9\r\n") "abc");
    assert_trace(&r, "H/feed R/feed");
    q5_exchange *x = r.later[0];
    assert_string_equal(take(x), "abc");
    assert_string_equal(take(x), "");
    assert_false(q5_body_complete(x));
    rig_say(&r, "def");
    assert_string_equal(take(x), "def");
    rig_say(&r, "ghi" GET("/next"));
    assert_trace(&r, "H/feed R/feed Bsome Ball");
    assert_true(q5_body_complete(x));
    assert_string_equal(take(x), "ghi");
    assert_int_equal(x->body_len, 9);
    rig_answer_later(&r, "done");
    assert_output(&r, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    rig_say(&r, GET("/next"));
    assert_output(&r, OK_);
    rig_deinit(&r);
}

/* However it is cut, chunked or not; what is behind it is the next request. */
static void test_every_cut(void **state) {
    (void)state;
    static const char *const requests[] = {
        POST("Content-Length: 10\r\n") "0123456789" GET("/next"),
        POST(CHUNKED) "3\r\n012\r\n1;x=y\r\n3\r\n6\r\n456789\r\n0\r\nTrailer: x\r\n\r\n" GET(
            "/next"),
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(requests); i++) {
        for (size_t cut = 1; cut < strlen(requests[i]); cut++) {
            rig r;
            rig_init(&r);
            r.cut = cut;
            char got[32] = "";
            const char *at = requests[i], *end = at + strlen(at);
            while (at < end) {
                size_t n = (size_t)(end - at) < cut ? (size_t)(end - at) : cut;
                size_t used = rig_feed(&r, at, n);
                if (r.later_count) strcat(got, take(r.later[0]));
                at += used;
                if (r.later_count && q5_body_complete(r.later[0])) rig_answer_later(&r, "done");
            }
            rig_flush(&r);
            assert_string_equal(got, "0123456789");
            assert_output(&r, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone" OK_);
            rig_deinit(&r);
        }
    }
}

static void test_reading_stops_at_the_window(void **state) {
    (void)state;
    rig r;
    rig_prepare(&r, NULL);
    r.config.body_window = 8192;
    r.config.body_idle_msec = 30000;
    assert_status(rig_connect(&r), Q5_OK);
    rig_say(&r, POST("Content-Length: 90000\r\n"));
    q5_exchange *x = r.later[0];
    size_t given = rig_feed(&r, rig_big().base, 90000);
    assert_in_range(given, 8192, 16384);
    assert_int_equal(q5_body_peek(x).len, given);
    /* The application's time is not the client's. */
    assert_int_equal(q5_conn_deadline(r.conn), 0);
    rig_wait(&r, 1000000);
    assert_int_equal(x->body_error, Q5_OK);
    int wakes = r.wakes;
    q5_body_consume(x, given);
    assert_int_equal(r.wakes, wakes + 1);
    rig_flush(&r);
    assert_true(q5_conn_deadline(r.conn) > r.now);
    while (given < 90000) {
        size_t used = rig_feed(&r, rig_big().base, 90000 - given);
        assert_true(used > 0);
        given += used;
        q5_body_consume(x, q5_body_peek(x).len);
    }
    assert_true(q5_body_complete(x));
    rig_answer_later(&r, "done");
    rig_deinit(&r);
}

/* RFC 9110, 10.1.1: "100 Continue" invites the client to send, so it comes when somebody reads. */
static void test_continue_is_sent_by_the_first_look(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, POST("Content-Length: 3\r\nExpect: 100-continue\r\n"));
    assert_trace(&r, "H/feed R/feed");
    assert_output(&r, "");
    assert_int_equal(q5_conn_deadline(r.conn), 0);
    assert_string_equal(take(r.later[0]), "");
    rig_flush(&r);
    assert_output(&r, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_true(q5_conn_deadline(r.conn) > r.now);
    rig_say(&r, "abc");
    assert_string_equal(take(r.later[0]), "abc");
    rig_answer_later(&r, "done");
    assert_output(&r, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    rig_deinit(&r);
}

static void test_continue_is_not_sent_with_an_answer(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, POST("Content-Length: 3\r\nExpect: 100-continue\r\n"));
    rig_answer_later(&r, "no");
    assert_output(&r, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    rig_deinit(&r);
}

/* What cannot be received is the reader's to see; the connection ends with its answer. */
static void test_errors(void **state) {
    (void)state;
    static const struct {
        const char *begin, *more;
        q5_msec wait;
        const char *trace;
        int error;
    } rows[] = {
        {POST(CHUNKED), "x\r\n", 0, "H/feed R/feed BECHUNK_SIZE", Q5_ECHUNK_SIZE},
        {POST(CHUNKED) "1\r\na\r\n", "5\r\nabcde", 0, "H/feed R/feed BEBODY_LONG", Q5_EBODY_LONG},
        {POST("Content-Length: 4\r\n") "a", "", 30000, "H/feed R/feed BETIMEOUT", Q5_ETIMEOUT},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        rig r;
        rig_prepare(&r, NULL);
        r.config.body_max = 4;
        assert_status(rig_connect(&r), Q5_OK);
        rig_say(&r, rows[i].begin);
        rig_say(&r, rows[i].more);
        if (rows[i].wait) rig_wait(&r, rows[i].wait);
        assert_trace(&r, rows[i].trace);
        assert_status(r.later[0]->body_error, rows[i].error);
        assert_int_equal(rig_say(&r, "more"), 0);
        assert_int_equal(q5_conn_deadline(r.conn), 0);
        rig_answer_later(&r, "late");
        assert_output(&r, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlate");
        assert_true(q5_conn_finished(r.conn));
        rig_deinit(&r);
    }
}

static void test_too_long_is_refused_at_the_head(void **state) {
    (void)state;
    rig r;
    rig_prepare(&r, NULL);
    r.config.body_max = 4;
    assert_status(rig_connect(&r), Q5_OK);
    rig_say(&r, POST("Content-Length: 5\r\n"));
    assert_int_equal(r.fault_status, Q5_EBODY_LONG);
    assert_int_equal(r.requests, 0);
    rig_deinit(&r);
}

static void test_a_client_that_leaves(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, POST("Content-Length: 4\r\n") "a");
    rig_eof(&r);
    assert_trace(&r, "H/feed R/feed GPEER D0");
    assert_string_equal(take(r.later[0]), "a");
    rig_deinit(&r);
}

/* Short of a bound, what nobody has read does not cost the connection. */
static void test_an_early_answer_skips_what_is_short(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, POST("Content-Length: 6\r\n") "ab");
    rig_answer_later(&r, "done");
    assert_output(&r, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    rig_say(&r, "cdef" GET("/next"));
    assert_output(&r, OK_);
    rig_deinit(&r);

    rig_init(&r);
    rig_say(&r, POST("Content-Length: 100000\r\n") "ab");
    rig_answer_later(&r, "done");
    assert_output(&r, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone");
    assert_true(q5_conn_lingers(r.conn));
    rig_deinit(&r);
}

static int scenario(const q5_alloc *alloc, void *ctx) {
    (void)ctx;
    rig r;
    rig_prepare(&r, alloc);
    int status = rig_connect(&r);
    if (status == Q5_OK) {
        rig_say(&r, POST("Content-Length: 9000\r\n"));
        size_t used = rig_feed(&r, rig_big().base, 9000);
        q5_exchange *x = r.later_count ? r.later[0] : NULL;
        status = used == 9000 && x && q5_body_complete(x) ? Q5_OK : Q5_ENOMEM;
    }
    rig_deinit(&r);
    return status;
}

static void test_failing_allocations(void **state) {
    (void)state;
    failmalloc_sweep(scenario, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_taken_as_it_comes),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_reading_stops_at_the_window),
        cmocka_unit_test(test_continue_is_sent_by_the_first_look),
        cmocka_unit_test(test_continue_is_not_sent_with_an_answer),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_too_long_is_refused_at_the_head),
        cmocka_unit_test(test_a_client_that_leaves),
        cmocka_unit_test(test_an_early_answer_skips_what_is_short),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
