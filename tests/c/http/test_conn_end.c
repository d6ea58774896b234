/* How connections end: clients that leave at any stage, deadlines on a clock of our own, draining.
 * rig_deinit sees to it that each exchange is told its end once and every release is called. */
#include "http/conn_script.h"

#define POST5 "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n"
#define POST_CHUNKED "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"

/* ---- the client leaves ----------------------------------------------------------------------- */

typedef struct row {
    const char *why, *input;
    const char *eof;      /* the trace when it half-closes */
    const char *given_up; /* .. and the application gives such requests up */
    const char *reset;    /* the trace when the transport destroys the connection */
} row;

static const row rows[] = {
    {"before a byte", "", "", "", ""},
    {"in the head", "GET / HTT", "", "", ""},
    {"between requests", GET("/"), "H/ R/ D200", "H/ R/ D200", "H/ R/ D200"},
    {"in the next head", GET("/") "GE", "H/ R/ D200", "H/ R/ D200", "H/ R/ D200"},
    {"behind the head", POST5, "H/echo GPEER D0", "H/echo GPEER D0", "H/echo GPEER D0"},
    {"in the body", POST5 "hell", "H/echo GPEER D0", "H/echo GPEER D0", "H/echo GPEER D0"},
    {"in a chunk", POST_CHUNKED "5\r\nhel", "H/echo GPEER D0", "H/echo GPEER D0",
     "H/echo GPEER D0"},
    {"while handled", GET("/later"), "H/later R/later E/later", "H/later R/later E/later GPEER D0",
     "H/later R/later GPEER D0"},
    {"while a stream is open", GET("/open"), "H/open R/open E/open",
     "H/open R/open E/open GPEER D200", "H/open R/open GPEER D200"},
    {"before it could read", GET("/big"), "H/big R/big D200", "H/big R/big D200",
     "H/big R/big D200"},
};

static void test_client_leaves(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows) * 3; i++) {
        const row *want = &rows[i / 3];
        const char *trace = i % 3 == 0 ? want->eof : i % 3 == 1 ? want->given_up : want->reset;
        rig r;
        rig_init(&r);
        r.eof_gives_up = i % 3 == 1;
        if (strstr(want->input, "/big")) r.send_max = 1000;
        rig_say(&r, want->input);
        if (i % 3 == 2)
            rig_destroy_conn(&r, Q5_GONE_PEER);
        else
            rig_eof(&r);
        if (strcmp(r.trace, trace) != 0) fail_msg("%s (%zu): [%s]", want->why, i % 3, r.trace);
        rig_deinit(&r);
    }
}

/* RFC 9112, 9.6: a client may half-close and yet wait for its answer; then the connection ends. */
static void test_half_close_is_answered(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, GET("/later"));
    rig_eof(&r);
    assert_false(q5_conn_finished(r.conn));
    assert_status(rig_answer_later(&r, "ok"), Q5_OK);
    assert_output(&r, OK_);
    assert_true(q5_conn_finished(r.conn));
    assert_false(q5_conn_lingers(r.conn));
    rig_deinit(&r);
}

/* What is queued already still goes out when the rest is given up. */
static void test_queued_output_survives_eof(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    r.eof_gives_up = true;
    r.send_max = 0;
    rig_say(&r, GET("/") GET("/open"));
    rig_eof(&r);
    assert_false(q5_conn_finished(r.conn));
    r.send_max = SIZE_MAX;
    rig_flush(&r);
    assert_true(q5_conn_finished(r.conn));
    assert_output(&r, OK_ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "3\r\nabc\r\n4\r\ndefg\r\n");
    rig_deinit(&r);
}

/* ---- deadlines ------------------------------------------------------------------------------- */

typedef struct deadline_row {
    const char *why, *input;
    q5_msec last;     /* the last moment, after the input, at which nothing happens */
    const char *line; /* of the answer at the next millisecond; NULL: none, just the end */
    const char *trace;
} deadline_row;

static const deadline_row deadline_rows[] = {
    {"a connection that says nothing", "", 14999, NULL, ""},
    {"keep-alive", GET("/"), 14999, NULL, "H/ R/ D200"},
    {"slow head", "GET / HTTP/1.1\r\nX: ", 9999, "408 Request Timeout", "FETIMEOUT"},
    {"slow second head", GET("/") "G", 9999, "408 Request Timeout", "H/ R/ D200 FETIMEOUT"},
    {"a body that does not come", POST5, 9999, "408 Request Timeout", "H/echo FETIMEOUT D408"},
    {"chunks that do not come", POST_CHUNKED "1\r\na\r\n", 10003, "408 Request Timeout",
     "H/echo FETIMEOUT D408"},
};

static void test_deadlines(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(deadline_rows); i++) {
        const deadline_row *want = &deadline_rows[i];
        rig r;
        rig_init(&r);
        rig_say(&r, want->input);
        rig_output(&r);
        if (q5_conn_deadline(r.conn) != r.now + want->last + 1)
            fail_msg("%s: due %lld", want->why, (long long)(q5_conn_deadline(r.conn) - r.now));
        rig_wait(&r, want->last);
        assert_false(q5_conn_finished(r.conn));
        assert_output(&r, "");
        rig_wait(&r, 1);
        char line[64];
        snprintf(line, sizeof(line), "HTTP/1.1 %s\r\n", want->line ? want->line : "");
        const char *got = rig_output(&r);
        if (want->line ? strncmp(got, line, strlen(line)) != 0 : *got)
            fail_msg("%s: %s", want->why, got);
        if (strcmp(r.trace, want->trace) != 0) fail_msg("%s: [%s]", want->why, r.trace);
        assert_true(q5_conn_finished(r.conn));
        rig_deinit(&r);
    }
}

/* A byte now and then does not help: the head as a whole has its time (slowloris). */
static void test_head_bytes_do_not_move_its_deadline(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, "GET / HTTP/1.1\r\nX: ");
    q5_msec due = q5_conn_deadline(r.conn);
    for (int i = 0; i < 9; i++) {
        rig_wait(&r, 1000);
        rig_say(&r, "a");
        assert_int_equal(q5_conn_deadline(r.conn), due);
    }
    rig_wait(&r, 1000);
    assert_int_equal(r.fault_status, Q5_ETIMEOUT);
    rig_deinit(&r);
}

/* 300 B/s pass the floor of 240 B/s, 200 do not; a stop of body_idle_msec ends either. */
static void test_body_floor(void **state) {
    (void)state;
    static const struct {
        size_t per_second;
        int seconds; /* until 408; 0: never */
    } cases[] = {{300, 0}, {240, 0}, {200, 52}, {1, 11}};
    for (size_t c = 0; c < Q5_ARRAY_LEN(cases); c++) {
        rig r;
        rig_init(&r);
        rig_say(&r, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 90000\r\n\r\n");
        int second = 0;
        while (++second < 200 && !q5_conn_finished(r.conn)) {
            rig_wait(&r, 1000);
            if (q5_conn_finished(r.conn)) break;
            rig_feed(&r, rig_big().base, cases[c].per_second);
        }
        if (cases[c].seconds)
            assert_in_range(second, cases[c].seconds - 1, cases[c].seconds + 9);
        else
            assert_int_equal(second, 200);
        rig_deinit(&r);
    }
}

static void test_body_idle(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 90000\r\n\r\n");
    rig_feed(&r, rig_big().base, 50000); /* far above the floor */
    assert_int_equal(q5_conn_deadline(r.conn), r.now + 30000);
    rig_wait(&r, 29999);
    assert_false(q5_conn_finished(r.conn));
    rig_feed(&r, "x", 1);
    assert_int_equal(q5_conn_deadline(r.conn), r.now + 30000);
    rig_wait(&r, 30000);
    assert_int_equal(strncmp(rig_output(&r), "HTTP/1.1 408 ", 13), 0);
    rig_deinit(&r);
}

/* The application takes the time that it needs. */
static void test_no_deadline_while_handled(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, GET("/later"));
    assert_int_equal(q5_conn_deadline(r.conn), 0);
    rig_wait(&r, 3600000);
    rig_answer_later(&r, "ok");
    assert_output(&r, OK_);
    /* Keep-alive counts from the answer on, not from the request. */
    assert_int_equal(q5_conn_deadline(r.conn), r.now + 15000);
    rig_deinit(&r);
}

/* Output that does not move ends the connection; without a floor every byte that moves gives it new
 * time. */
static void test_write_stall(void **state) {
    (void)state;
    rig r;
    rig_prepare(&r, NULL);
    r.config.write_floor_per_s = 0;
    assert_status(rig_connect(&r), Q5_OK);
    r.send_max = 100;
    rig_say(&r, GET("/big"));
    assert_int_equal(q5_conn_deadline(r.conn), r.now + 30000);
    rig_wait(&r, 29999);
    r.send_max = 1;
    rig_flush(&r);
    assert_int_equal(q5_conn_deadline(r.conn), r.now + 30000);
    rig_wait(&r, 29999);
    assert_false(q5_conn_finished(r.conn));
    assert_int_equal(r.released, 0);
    rig_wait(&r, 1);
    assert_true(q5_conn_finished(r.conn));
    assert_int_equal(r.released, 1);
    rig_deinit(&r);
}

static void test_write_stall_of_a_stream(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    r.send_max = 10;
    r.pieces = 100;
    rig_say(&r, GET("/pump"));
    rig_wait(&r, 30000);
    assert_trace(&r, "H/pump R/pump GTIMEOUT D200");
    assert_true(q5_conn_finished(r.conn));
    rig_deinit(&r);
}

/* ---- draining -------------------------------------------------------------------------------- */

typedef struct drain_row {
    const char *why, *before, *after, *output;
    bool ends_at_once;
} drain_row;

static const drain_row drain_rows[] = {
    {"nothing was received: the first request may be under way", "", GET("/"), OK_CLOSE, false},
    {"between requests", GET("/"), "", OK_, true},
    {"in a head", "GET / HT", "TP/1.1\r\n" HOST "\r\n", OK_CLOSE, false},
    {"in a body", POST5 "he", "llo",
     "HTTP/1.1 200 OK\r\nX-Body: 5\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", false},
};

static void test_drain(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(drain_rows); i++) {
        rig r;
        rig_init(&r);
        rig_say(&r, drain_rows[i].before);
        q5_conn_drain(r.conn);
        assert_int_equal(q5_conn_finished(r.conn), drain_rows[i].ends_at_once);
        rig_say(&r, drain_rows[i].after);
        if (strcmp(rig_output(&r), drain_rows[i].output) != 0)
            fail_msg("%s: %s", drain_rows[i].why, r.out);
        assert_true(q5_conn_finished(r.conn));
        char *base;
        size_t len;
        assert_status(q5_conn_recv_space(r.conn, &base, &len), Q5_DONE);
        rig_deinit(&r);
    }
}

/* What is being handled is answered, with Connection: close; what is behind it is not. */
static void test_drain_while_handled(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, GET("/later") GET("/next"));
    q5_conn_drain(r.conn);
    assert_false(q5_conn_finished(r.conn));
    rig_answer_later(&r, "ok");
    assert_output(&r, OK_CLOSE);
    assert_trace(&r, "H/later R/later D200");
    assert_true(q5_conn_finished(r.conn));
    rig_deinit(&r);
}

static void test_destroy_for_shutdown(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, GET("/later"));
    rig_destroy_conn(&r, Q5_GONE_SHUTDOWN);
    assert_trace(&r, "H/later R/later GSHUTDOWN D0");
    rig_deinit(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client_leaves),
        cmocka_unit_test(test_half_close_is_answered),
        cmocka_unit_test(test_queued_output_survives_eof),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_head_bytes_do_not_move_its_deadline),
        cmocka_unit_test(test_body_floor),
        cmocka_unit_test(test_body_idle),
        cmocka_unit_test(test_no_deadline_while_handled),
        cmocka_unit_test(test_write_stall),
        cmocka_unit_test(test_write_stall_of_a_stream),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_drain_while_handled),
        cmocka_unit_test(test_destroy_for_shutdown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
