/* Streams that fall silent: q5_response_keep_alive. */
#include "http/conn_script.h"

#define BEGUN "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n"
#define BEAT "3\r\n:\n\n\r\n"

static q5_exchange *open_stream(rig *r) {
    rig_init(r);
    rig_say(r, GET("/open"));
    q5_exchange *x = r->later[0];
    assert_int_equal(q5_conn_deadline(r->conn), 0);
    assert_status(q5_response_keep_alive(x, Q5_LIT(":\n\n"), 15000), Q5_OK);
    rig_flush(r);
    assert_output(r, BEGUN);
    return x;
}

static void test_silence_is_broken_each_time(void **state) {
    (void)state;
    rig r;
    open_stream(&r);
    assert_int_equal(q5_conn_deadline(r.conn), r.now + 15000);
    rig_wait(&r, 14999);
    assert_output(&r, "");
    rig_wait(&r, 1);
    assert_output(&r, BEAT);
    rig_wait(&r, 15000);
    assert_output(&r, BEAT);
    assert_int_equal(r.gones, 0);
    rig_deinit(&r);
}

static void test_a_write_is_no_silence(void **state) {
    (void)state;
    rig r;
    q5_exchange *x = open_stream(&r);
    rig_wait(&r, 10000);
    assert_status(q5_response_write(x, Q5_LIT("x"), NULL, NULL), Q5_OK);
    rig_flush(&r);
    rig_wait(&r, 14999);
    assert_output(&r, "1\r\nx\r\n");
    rig_wait(&r, 1);
    assert_output(&r, BEAT);
    rig_deinit(&r);
}

/* What a transport has sent without a q5_conn_resume, which would have told the time of it. */
static void test_a_write_at_an_unknown_time_is_no_silence(void **state) {
    (void)state;
    rig r;
    q5_exchange *x = open_stream(&r);
    assert_status(q5_response_write(x, Q5_LIT("x"), NULL, NULL), Q5_OK);
    size_t count;
    q5_conn_sent(r.conn, q5_conn_output(r.conn, &count)->len);
    assert_false(q5_conn_expire(r.conn, r.now + 15000));
    assert_false(q5_conn_has_output(r.conn));
    assert_int_equal(q5_conn_deadline(r.conn), r.now + 30000);
    rig_deinit(&r);
}

/* A client that takes nothing has its write deadline, and is sent nothing on top. */
static void test_output_that_waits_is_no_silence(void **state) {
    (void)state;
    rig r;
    q5_exchange *x = open_stream(&r);
    r.send_max = 0;
    assert_status(q5_response_write(x, Q5_LIT("x"), NULL, NULL), Q5_OK);
    rig_flush(&r);
    rig_wait(&r, 15000);
    size_t count;
    (void)q5_conn_output(r.conn, &count);
    assert_int_equal(count, 1);
    rig_wait(&r, 15000);
    assert_int_equal(r.gones, 1);
    rig_deinit(&r);
}

static void test_it_ends_with_the_response(void **state) {
    (void)state;
    rig r;
    q5_exchange *x = open_stream(&r);
    assert_status(q5_response_end(x), Q5_OK);
    rig_flush(&r);
    assert_output(&r, "0\r\n\r\n");
    assert_int_equal(q5_conn_deadline(r.conn), r.now + r.config.keep_alive_msec);
    rig_say(&r, GET("/later"));
    assert_int_equal(q5_conn_deadline(r.conn), 0);
    rig_deinit(&r);
}

static void test_where_it_cannot_be(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, GET("/later"));
    assert_status(q5_response_keep_alive(r.later[0], Q5_LIT(":"), 1), Q5_ESTATE);
    assert_status(q5_response_start(r.later[0], 200), Q5_OK);
    assert_status(q5_response_stream(r.later[0], 3), Q5_OK);
    assert_status(q5_response_keep_alive(r.later[0], Q5_LIT(":"), 1), Q5_ESTATE);
    rig_destroy_conn(&r, Q5_GONE_PEER);
    assert_status(q5_response_keep_alive(r.later[0], Q5_LIT(":"), 1), Q5_ECLOSED);
    rig_deinit(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silence_is_broken_each_time),
        cmocka_unit_test(test_a_write_is_no_silence),
        cmocka_unit_test(test_a_write_at_an_unknown_time_is_no_silence),
        cmocka_unit_test(test_output_that_waits_is_no_silence),
        cmocka_unit_test(test_it_ends_with_the_response),
        cmocka_unit_test(test_where_it_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
