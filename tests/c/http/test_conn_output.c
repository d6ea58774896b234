/* Output that waits: how fast a client must take it, and what many small pieces cost. */
#include "http/conn_script.h"

/* ---- the floor --------------------------------------------------------------------------------
 * 240 B/s over 30 s are 7,200 bytes. */

/* A client that takes so much each second, of an answer that is long enough for the time. */
static void test_floor(void **state) {
    (void)state;
    static const struct {
        size_t per_second;
        int seconds; /* until it is given up; 0: never */
    } cases[] = {{300, 0}, {250, 0}, {230, 60}, {1, 30}, {0, 30}};
    for (size_t c = 0; c < Q5_ARRAY_LEN(cases); c++) {
        rig r;
        rig_init(&r);
        r.send_max = 0;
        rig_say(&r, GET("/big"));
        int second = 0;
        while (second < 300 && !q5_conn_finished(r.conn)) {
            rig_wait(&r, 1000);
            second++;
            r.send_max = cases[c].per_second;
            rig_flush(&r);
        }
        if (cases[c].seconds)
            assert_in_range(second, 30, cases[c].seconds);
        else
            assert_int_equal(second, 300);
        rig_deinit(&r);
    }
}

/* What was taken fast buys no time for later. */
static void test_no_credit(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    r.send_max = 90000;
    rig_say(&r, GET("/big"));
    for (int second = 0; second < 29; second++) {
        rig_wait(&r, 1000);
        r.send_max = 1;
        rig_flush(&r);
    }
    assert_false(q5_conn_finished(r.conn));
    rig_wait(&r, 1000);
    assert_true(q5_conn_finished(r.conn));
    rig_deinit(&r);
}

/* The transport's own buffer is large, and takes more only now and then: the client goes on
 * reading from it all the same. */
static void test_held(void **state) {
    (void)state;
    for (int reads = 0; reads < 2; reads++) {
        rig r;
        rig_init(&r);
        r.send_max = r.held = 50000;
        rig_say(&r, GET("/big"));
        for (int i = 0; i < 5 && !q5_conn_finished(r.conn); i++) {
            if (reads) r.held -= 8000;
            rig_wait(&r, 30000);
        }
        assert_int_equal(q5_conn_finished(r.conn), !reads);
        rig_deinit(&r);
    }
}

/* What the transport takes at once is not the client's progress. */
static void test_hand_over_is_no_progress(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    r.send_max = 0;
    rig_say(&r, GET("/big"));
    q5_msec due = q5_conn_deadline(r.conn);
    r.now += 29000;
    r.send_max = r.held = 50000;
    rig_flush(&r);
    assert_int_equal(q5_conn_deadline(r.conn), due);
    rig_deinit(&r);
}

/* A stream with nothing to say has no deadline, however little it said before. */
static void test_slow_producer(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, GET("/open"));
    for (int i = 0; i < 100; i++) {
        assert_int_equal(q5_conn_deadline(r.conn), 0);
        rig_wait(&r, 29000);
        assert_status(q5_response_write(r.later[0], Q5_LIT("."), NULL, NULL), Q5_OK);
        rig_flush(&r);
    }
    assert_status(q5_response_end(r.later[0]), Q5_OK);
    rig_flush(&r);
    assert_true(q5_conn_idle(r.conn));
    rig_deinit(&r);
}

/* ---- many small pieces ----------------------------------------------------------------------- */

/* Each of them costs a segment: their number is bounded as their bytes are. */
static void test_small_pieces_are_held_back(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    r.send_max = 0;
    rig_say(&r, GET("/open"));
    int written = 0;
    while (q5_response_write(r.later[0], Q5_LIT("."), NULL, NULL) == Q5_OK)
        assert_true(++written < 2000);
    assert_int_equal(r.drains, 0);
    r.send_max = 700 * 6;
    rig_flush(&r);
    assert_int_equal(r.drains, 0);
    r.send_max = 100 * 6;
    rig_flush(&r);
    assert_int_equal(r.drains, 1);
    rig_deinit(&r);
}

/* Segments come and go while the queue stays long: all bytes arrive, in order. */
static void test_long_queue(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    r.send_max = 0;
    rig_say(&r, GET("/open"));
    char want[40000] =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n";
    size_t len = strlen(want);
    for (unsigned i = 0; i < 3000; i++) {
        char piece = (char)('a' + i % 26);
        q5_response_write(r.later[0], q5_slice_make(&piece, 1), NULL, NULL);
        len += (size_t)snprintf(want + len, sizeof(want) - len, "1\r\n%c\r\n", piece);
        r.send_max = i % 7 < 5 ? 6 : 9;
        if (i > 900) rig_flush(&r);
    }
    r.send_max = SIZE_MAX;
    rig_flush(&r);
    assert_output(&r, want);
    rig_deinit(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_floor),         cmocka_unit_test(test_no_credit),
        cmocka_unit_test(test_held),          cmocka_unit_test(test_hand_over_is_no_progress),
        cmocka_unit_test(test_slow_producer), cmocka_unit_test(test_small_pieces_are_held_back),
        cmocka_unit_test(test_long_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
