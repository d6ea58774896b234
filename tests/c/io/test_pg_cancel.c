/* Deadlines and owners that leave while a statement runs; slow statements and short ones. */
#include "io/pg_rig.h"

#define SLEEP "SELECT pg_sleep(60)"

static long running(long pid, const char *text) {
    char sql[256];
    snprintf(sql, sizeof(sql),
             "SELECT count(*) FROM pg_stat_activity WHERE pid = %ld AND state = 'active' "
             "AND wait_event = 'PgSleep' AND query = '%s'",
             pid, text);
    return rig_admin(sql);
}

/* The running statement is cancelled; what stands behind it is not. */
static void test_deadline(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    rig_init(&r, &config);
    long pid = rig_pid(&r);
    call late, behind[3];
    call_sql(&late, 0, SLEEP);
    late.batch.timeout_msec = 1000;
    call_submit(&r, &late);
    rig_until(&r, running(pid, SLEEP)); /* the server forgets requests that come before it */
    for (int i = 0; i < 3; i++) {
        call_sql(&behind[i], i ? Q5_PG_READ_ONLY : 0, "SELECT 4");
        call_submit(&r, &behind[i]);
    }
    rig_until(&r, behind[2].done);
    assert_status(late.status, Q5_ETIMEOUT);
    assert_slice(late.batch.error.message, "");
    assert_non_null(late.batch.error.message.base);
    for (int i = 0; i < 3; i++) {
        assert_status(behind[i].status, Q5_OK);
        assert_int_equal(behind[i].value, 4);
        call_deinit(&behind[i]);
    }
    assert_int_equal(rig_pid(&r), pid);
    assert_int_equal(r.stats->cancels, 1);
    assert_int_equal(r.stats->timeouts, 1);
    call_deinit(&late);
    rig_deinit(&r);
}

/* Its time is up before its turn: it is cancelled when that comes. */
static void test_deadline_behind_another(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    rig_init(&r, &config);
    long pid = rig_pid(&r);
    call first, late, behind;
    call_sql(&first, 0, "SELECT pg_sleep(1)"); /* far behind the deadline of the next */
    call_sql(&late, 0, SLEEP);
    call_sql(&behind, 0, "SELECT 4");
    late.batch.timeout_msec = 50;
    call_submit(&r, &first);
    call_submit(&r, &late);
    call_submit(&r, &behind);
    rig_until(&r, behind.done);
    assert_status(first.status, Q5_OK);
    assert_status(late.status, Q5_ETIMEOUT);
    assert_true(late.order < first.order);
    assert_status(behind.status, Q5_OK);
    /* Again, where the first came before the server had begun with it. */
    assert_in_range(r.stats->cancels, 1, 2);
    assert_int_equal(rig_pid(&r), pid);
    rig_deinit(&r);
    call_deinit(&first);
    call_deinit(&late);
    call_deinit(&behind);
}

static void test_deadline_in_the_queue(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    config.in_flight_max = 1;
    rig_init(&r, &config);
    rig_pid(&r);
    uint64_t sent = r.stats->queries;
    call first, late;
    call_sql(&first, 0, "SELECT pg_sleep(1)"); /* far behind the deadline of the next */
    call_sql(&late, 0, "SELECT 1");
    late.batch.timeout_msec = 50;
    call_submit(&r, &first);
    call_submit(&r, &late);
    rig_until(&r, first.done);
    assert_status(late.status, Q5_ETIMEOUT);
    assert_true(late.order < first.order);
    assert_status(first.status, Q5_OK);
    assert_int_equal(r.stats->queries, sent + 1);
    assert_int_equal(r.stats->cancels, 0);
    rig_deinit(&r);
    call_deinit(&first);
    call_deinit(&late);
}

static void test_owner_leaves(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    config.grace_msec = 50;
    rig_init(&r, &config);
    long pid = rig_pid(&r);
    call gone;
    call_sql(&gone, 0, SLEEP);
    call_submit(&r, &gone);
    rig_until(&r, running(pid, SLEEP));
    q5_pg_cancel(&gone.batch);
    memset(&gone.batch, 0xAA, sizeof(gone.batch)); /* it is the owner's memory again */
    assert_int_equal(rig_pid(&r), pid);
    assert_int_equal(r.stats->cancels, 1);
    rig_deinit(&r);
}

/* A request that meets another batch: that one runs again, once more even where it is the first
 * query of one that changes something. A cancel that is nobody's of ours is an error. */
static void test_stray_cancel(void **state) {
    (void)state;
    char sql[80];
    rig r;
    q5_pg_config config = rig_config();
    rig_init(&r, &config);
    long pid = rig_pid(&r);
    snprintf(sql, sizeof(sql), "SELECT pg_cancel_backend(%ld)::int", pid);
    static const char *const texts[] = {"SELECT pg_sleep(1)", "SELECT pg_sleep(1.1)"};
    call late, met[2], error;
    call_sql(&late, 0, SLEEP);
    late.batch.timeout_msec = 50;
    call_submit(&r, &late);
    for (int i = 0; i < 2; i++) {
        call_sql(&met[i], i ? 0 : Q5_PG_READ_ONLY, texts[i]);
        call_submit(&r, &met[i]);
    }
    for (int i = 0; i < 2; i++) {
        rig_until(&r, running(pid, texts[i]));
        rig_admin(sql);
    }
    rig_until(&r, met[0].done && met[1].done);
    assert_status(met[0].status, Q5_OK);
    assert_status(met[1].status, Q5_OK);
    assert_int_equal(r.stats->retries, 2);
    call_sql(&error, Q5_PG_READ_ONLY, SLEEP);
    call_submit(&r, &error);
    rig_until(&r, running(pid, SLEEP));
    rig_admin(sql);
    rig_until(&r, error.done);
    assert_status(error.status, Q5_ESQL);
    assert_string_equal(error.batch.error.sqlstate, "57014");
    rig_deinit(&r);
    call_deinit(&late);
    call_deinit(&met[0]);
    call_deinit(&met[1]);
    call_deinit(&error);
}

/* A statement that goes on when it is cancelled costs its connection. */
static void test_disobedient(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    config.connect_timeout_msec = 1000;
    rig_init(&r, &config);
    long pid = rig_pid(&r);
    call late;
    call_sql(&late, 0,
             "DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(60); "
             "EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$");
    late.batch.timeout_msec = 50;
    call_run(&r, &late);
    assert_status(late.status, Q5_ETIMEOUT);
    assert_true(rig_pid(&r) != pid);
    assert_int_equal(r.stats->cancels, 2);
    assert_int_equal(r.stats->lost, 1);
    char sql[80];
    snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%ld)::int", pid);
    rig_admin(sql);
    rig_deinit(&r);
    call_deinit(&late);
}

/* Nothing short waits behind a slow one as long as a connection is or can be had. */
static void test_short_passes_slow(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    config.connections_max = 2;
    config.slow_msec = 20;
    rig_init(&r, &config);
    long pid = rig_pid(&r);
    call slow, quick[20];
    call_sql(&slow, 0, SLEEP);
    call_submit(&r, &slow);
    rig_until(&r, running(pid, SLEEP));
    q5_msec start = q5_clock_msec();
    rig_until(&r, q5_clock_msec() > start + 50);
    for (int i = 0; i < 20; i++) {
        call_sql(&quick[i], 0, "SELECT 2");
        call_submit(&r, &quick[i]);
    }
    rig_until(&r, quick[19].done);
    assert_int_equal(slow.done, 0);
    assert_int_equal(r.stats->connections, 2);
    q5_pg_cancel(&slow.batch);
    rig_deinit(&r);
    for (int i = 0; i < 20; i++)
        call_deinit(&quick[i]);
    call_deinit(&slow);
}

/* Connections come when the others' queues are long, up to the maximum, and share the load. */
static void test_opens_more(void **state) {
    (void)state;
    enum { CALLS = 60 };
    static call calls[CALLS];
    rig r;
    q5_pg_config config = rig_config();
    config.connections_max = 3;
    config.open_at = 4;
    config.in_flight_max = 10;
    rig_init(&r, &config);
    for (int i = 0; i < CALLS; i++) {
        call_sql(&calls[i], 0, "SELECT pg_sleep(0.01)");
        call_submit(&r, &calls[i]);
    }
    rig_until(&r, r.stats->batches == CALLS);
    assert_int_equal(r.stats->connects, 3);
    assert_int_equal(r.stats->connect_failures, 0);
    for (int i = 0; i < CALLS; i++) {
        assert_status(calls[i].status, Q5_OK);
        call_deinit(&calls[i]);
    }
    rig_deinit(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_deadline_behind_another),
        cmocka_unit_test(test_deadline_in_the_queue),
        cmocka_unit_test(test_owner_leaves),
        cmocka_unit_test(test_stray_cancel),
        cmocka_unit_test(test_disobedient),
        cmocka_unit_test(test_short_passes_slow),
        cmocka_unit_test(test_opens_more),
    };
    int skipped = rig_begin();
    return skipped ? skipped : rig_end(cmocka_run_group_tests(tests, NULL, NULL));
}
