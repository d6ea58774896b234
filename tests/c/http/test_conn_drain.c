/* What a drain does to connections in each of their states. */
#include "http/conn_script.h"

static void test_used_connection_is_closed(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, GET("/"));
    assert_false(q5_conn_finished(r.conn));
    q5_conn_drain(r.conn);
    assert_true(q5_conn_finished(r.conn));
    rig_deinit(&r);
}

static void test_new_connection_gets_its_first_request(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    q5_conn_drain(r.conn);
    assert_false(q5_conn_finished(r.conn));
    r.now += 900;
    rig_say(&r, GET("/") GET("/second"));
    char *got = rig_output(&r);
    assert_string_equal(got, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    assert_int_equal(r.requests, 1);
    assert_true(q5_conn_finished(r.conn));
    rig_deinit(&r);
}

static void test_new_connection_has_a_second(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    q5_msec begin = r.now;
    q5_conn_drain(r.conn);
    assert_int_equal(q5_conn_deadline(r.conn), begin + 1000);
    q5_conn_expire(r.conn, begin + 999);
    assert_false(q5_conn_finished(r.conn));
    q5_conn_expire(r.conn, begin + 1000);
    assert_true(q5_conn_finished(r.conn));
    rig_deinit(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_used_connection_is_closed),
        cmocka_unit_test(test_new_connection_gets_its_first_request),
        cmocka_unit_test(test_new_connection_has_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
