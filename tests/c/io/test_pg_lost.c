/* Servers that refuse, are silent or end sessions. */
#include <netinet/in.h>
#include <sys/socket.h>

#include "io/pg_rig.h"

static void terminate(long pid) {
    char sql[80];
    snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%ld)::int", pid);
    assert_int_equal(rig_admin(sql), 1);
}

static bool is_active(long pid) {
    char sql[120];
    snprintf(sql, sizeof(sql),
             "SELECT count(*) FROM pg_stat_activity WHERE pid = %ld AND wait_event = 'PgSleep'",
             pid);
    return rig_admin(sql) == 1;
}

static void test_ended_while_idle(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    rig_init(&r, &config);
    long pid = rig_pid(&r);
    assert_int_equal(r.stats->connections, 1);
    terminate(pid);
    rig_until(&r, r.stats->connections == 0);
    assert_true(rig_pid(&r) != pid);
    assert_int_equal(r.stats->retries, 0);
    rig_deinit(&r);
}

/* What was in flight, first or behind: reads run again, the others' outcome is unknown. */
static void test_ended_while_running(void **state) {
    (void)state;
    static const struct {
        unsigned first_flags, second_flags;
        int first, second;
    } rows[] = {
        {Q5_PG_READ_ONLY, Q5_PG_READ_ONLY, Q5_OK, Q5_OK}, {0, Q5_PG_READ_ONLY, Q5_EPG_LOST, Q5_OK},
        {Q5_PG_READ_ONLY, 0, Q5_OK, Q5_EPG_LOST},         {0, 0, Q5_EPG_LOST, Q5_EPG_LOST},
        {Q5_PG_SNAPSHOT, Q5_PG_SNAPSHOT, Q5_OK, Q5_OK},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        rig r;
        q5_pg_config config = rig_config();
        rig_init(&r, &config);
        long pid = rig_pid(&r);
        call first, second;
        call_sql(&first, rows[i].first_flags, "SELECT 1", "SELECT pg_sleep(0.3)", "SELECT 3");
        call_sql(&second, rows[i].second_flags, "SELECT 4", "SELECT 5");
        call_submit(&r, &first);
        call_submit(&r, &second);
        rig_until(&r, is_active(pid));
        terminate(pid);
        rig_until(&r, first.done && second.done);
        assert_status(first.status, rows[i].first);
        assert_status(second.status, rows[i].second);
        if (first.status) assert_string_equal(first.batch.error.sqlstate, "57P01");
        if (!first.status) assert_int_equal(first.results, 3); /* each result once */
        if (!second.status) assert_int_equal(second.results, 2);
        if (second.status) assert_true(second.batch.error.message.len > 0);
        assert_true(first.done == 1 && second.done == 1);
        assert_true(rig_pid(&r) != pid);
        assert_int_equal(r.stats->connects, 2);
        call_deinit(&first);
        call_deinit(&second);
        rig_deinit(&r);
    }
}

/* It is told at its second loss; its neighbours are not. */
static void test_ends_its_own_session(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    rig_init(&r, &config);
    call bad[2], good[2];
    for (int i = 0; i < 2; i++) {
        call_sql(&bad[i], Q5_PG_READ_ONLY, "SELECT pg_terminate_backend(pg_backend_pid())");
        call_sql(&good[i], Q5_PG_READ_ONLY, "SELECT 8");
        call_submit(&r, &bad[i]);
        call_submit(&r, &good[i]);
    }
    rig_until(&r, good[0].done && good[1].done);
    for (int i = 0; i < 2; i++) {
        assert_status(bad[i].status, Q5_EPG_LOST);
        assert_status(good[i].status, Q5_OK);
        assert_int_equal(good[i].value, 8);
        call_deinit(&bad[i]);
        call_deinit(&good[i]);
    }
    assert_int_equal(r.stats->lost, 4);
    rig_deinit(&r);
}

static const char *const other_keywords[] = {"dbname", "dbname", NULL};

/* Refused until the database is there. */
static void test_refused_and_back_again(void **state) {
    (void)state;
    char name[40], sql[100];
    snprintf(name, sizeof(name), "q5_pg_lost_%d", (int)getpid());
    const char *values[] = {rig_libpq.url, name, NULL};
    rig r;
    q5_pg_config config = rig_config();
    config.keywords = other_keywords;
    config.values = values;
    config.backoff_min_msec = 100;
    config.backoff_max_msec = 100;
    rig_init(&r, &config);
    call c;
    call_sql(&c, 0, "SELECT 1");
    c.batch.timeout_msec = 1500;
    call_run(&r, &c);
    assert_status(c.status, Q5_EPG_CONNECT);
    assert_true(c.batch.error.message.len > 0);
    assert_true(r.stats->connect_failures >= 2);
    assert_true(r.stats->connect_failures <= 31); /* 50 ms between two at least */
    snprintf(sql, sizeof(sql), "CREATE DATABASE %s", name);
    rig_admin(sql);
    assert_int_equal(rig_value(&r, "SELECT 6"), 6);
    rig_deinit(&r);
    snprintf(sql, sizeof(sql), "DROP DATABASE %s WITH (FORCE)", name);
    rig_admin(sql);
    call_deinit(&c);
}

/* Accepts, and says nothing. */
static void test_silent_server(void **state) {
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    char text[80];
    snprintf(text, sizeof(text), "hostaddr=127.0.0.1 port=%d user=x", ntohs(address.sin_port));
    const char *values[] = {text, NULL};
    rig r;
    q5_pg_config config = rig_config();
    config.values = values;
    config.connect_timeout_msec = 50;
    rig_init(&r, &config);
    call c;
    call_sql(&c, 0, "SELECT 1");
    c.batch.timeout_msec = 1500;
    call_run(&r, &c);
    assert_status(c.status, Q5_EPG_CONNECT);
    assert_true(r.stats->connect_failures >= 1);
    rig_deinit(&r);
    close(fd);
    call_deinit(&c);
}

static void test_startup_sql_fails(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    config.startup_sql = "SET search_path = public; SELECT nonsense";
    rig_init(&r, &config);
    call c;
    call_sql(&c, 0, "SELECT 1");
    c.batch.timeout_msec = 1500;
    call_run(&r, &c);
    assert_status(c.status, Q5_EPG_CONNECT);
    assert_non_null(strstr(c.batch.error.message.base, "nonsense"));
    rig_deinit(&r);
    call_deinit(&c);
}

static void test_idle_checked_and_closed(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    config.check_msec = 20;
    config.idle_msec = 1500;
    rig_init(&r, &config);
    long pid = rig_pid(&r);
    q5_msec start = q5_clock_msec();
    rig_until(&r, q5_clock_msec() > start + 150);
    assert_int_equal(rig_pid(&r), pid);
    rig_until(&r, r.stats->connections == 0);
    assert_true(q5_clock_msec() >= start + 1500);
    assert_int_equal(r.stats->lost, 0);
    rig_deinit(&r);
}

static void test_lifetime(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    config.lifetime_msec = 100;
    rig_init(&r, &config);
    long pid = rig_pid(&r);
    rig_value(&r, "SELECT pg_sleep(0.3)"); /* its time is up in the midst of a statement */
    assert_true(rig_pid(&r) != pid);
    pid = rig_pid(&r);
    rig_until(&r, rig_pid(&r) != pid); /* busy all the time, and still replaced */
    assert_int_equal(r.stats->retries, 0);
    rig_until(&r, r.stats->connections == 0);
    rig_deinit(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ended_while_idle),
        cmocka_unit_test(test_ended_while_running),
        cmocka_unit_test(test_ends_its_own_session),
        cmocka_unit_test(test_refused_and_back_again),
        cmocka_unit_test(test_silent_server),
        cmocka_unit_test(test_startup_sql_fails),
        cmocka_unit_test(test_idle_checked_and_closed),
        cmocka_unit_test(test_lifetime),
    };
    int skipped = rig_begin();
    return skipped ? skipped : rig_end(cmocka_run_group_tests(tests, NULL, NULL));
}
