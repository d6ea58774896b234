/* Rows in chunks: constant memory, back-pressure, and what else goes on meanwhile. */
#include "io/pg_rig.h"

#define MANY_ROWS 1000000
#define MANY "SELECT generate_series(1, 1000000), repeat('x', 100)"
/* More than the kernel's buffers of a connection hold. */
#define SOME_ROWS 200000
#define SOME "SELECT generate_series(1, 200000), repeat('x', 100)"

typedef struct stream {
    call call;
    long long sum;
    long chunks, most; /* most rows in a chunk */
    long pause_at;     /* chunk after which to pause; 0: none */
} stream;

static q5_pg_take on_chunk(q5_pg_batch *batch, unsigned index, struct pg_result *result,
                           bool more) {
    stream *s = Q5_CONTAINER_OF(batch, stream, call.batch);
    int count = rig_libpq.library.ntuples(result);
    for (int i = 0; i < count; i++)
        s->sum += rig_integer(result, i, 0);
    if (count > s->most) s->most = count;
    if (++s->chunks == s->pause_at) q5_pg_pause(batch);
    return call_result(batch, index, result, more);
}

static void stream_init(stream *s, unsigned flags, const char *sql) {
    memset(s, 0, sizeof(*s));
    call_sql(&s->call, flags, sql);
    s->call.batch.on_result = on_chunk;
    s->call.queries[0].flags = Q5_PG_STREAM;
}

/* KiB, or 0 where a sanitizer keeps freed memory. */
static long resident(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return 0;
#else
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file) return 0;
    if (fscanf(file, "%*u %ld", &pages) != 1) pages = 0;
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
#endif
}

static void test_a_million_rows(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    rig_init(&r, &config);
    rig_value(&r, "SELECT 1");
    long before = resident(), most = 0;
    stream s;
    stream_init(&s, Q5_PG_READ_ONLY, MANY);
    call_submit(&r, &s.call);
    while (!s.call.done) {
        rig_turn(&r);
        if (resident() > most) most = resident();
    }
    assert_status(s.call.status, Q5_OK);
    assert_int_equal(s.call.rows, MANY_ROWS);
    assert_int_equal(s.sum, (long long)MANY_ROWS * (MANY_ROWS + 1) / 2);
    assert_int_equal(s.call.results, 1);
    assert_true(s.most <= (long)config.chunk_rows);
    if (rig_libpq.library.setChunkedRowsMode)
        assert_true(s.chunks <= MANY_ROWS / (long)config.chunk_rows + 2);
    assert_true(most - before < 4096); /* the rows are 120 MB */
    call_deinit(&s.call);
    rig_deinit(&r);
}

/* Held back, the server waits for us, and nothing is lost. */
static void test_back_pressure(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    rig_init(&r, &config);
    long pid = rig_pid(&r);
    char sql[160];
    snprintf(sql, sizeof(sql),
             "SELECT count(*) FROM pg_stat_activity WHERE pid = %ld AND wait_event = 'ClientWrite'",
             pid);
    stream s;
    stream_init(&s, Q5_PG_READ_ONLY, SOME);
    s.pause_at = 3;
    call_submit(&r, &s.call);
    rig_until(&r, s.chunks == 3);
    rig_until(&r, rig_admin(sql) == 1);
    assert_int_equal(s.chunks, 3);
    q5_pg_pause(&s.call.batch);
    q5_pg_resume(&s.call.batch);
    q5_pg_resume(&s.call.batch);
    rig_until(&r, s.call.done);
    assert_status(s.call.status, Q5_OK);
    assert_int_equal(s.sum, (long long)SOME_ROWS * (SOME_ROWS + 1) / 2);
    assert_int_equal(rig_pid(&r), pid);
    call_deinit(&s.call);
    rig_deinit(&r);
}

static void test_owner_leaves(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    config.grace_msec = 2 * RIG_WAIT_MSEC; /* a stream is given none */
    rig_init(&r, &config);
    long pid = rig_pid(&r);
    for (int paused = 0; paused < 2; paused++) {
        stream s;
        stream_init(&s, Q5_PG_READ_ONLY, "SELECT generate_series(1, 1000000000)");
        s.pause_at = paused ? 2 : 0;
        call_submit(&r, &s.call);
        rig_until(&r, s.chunks >= 2);
        q5_pg_cancel(&s.call.batch);
        long chunks = s.chunks;
        assert_int_equal(rig_pid(&r), pid);
        assert_int_equal(s.chunks, chunks);
        assert_int_equal(r.stats->cancels, paused + 1);
        call_deinit(&s.call);
    }
    rig_deinit(&r);
}

/* A consumer that never comes back: the deadline frees the connection. */
static void test_deadline_while_paused(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    rig_init(&r, &config);
    stream s;
    stream_init(&s, Q5_PG_READ_ONLY, SOME);
    s.pause_at = 1;
    s.call.batch.timeout_msec = 300;
    call_run(&r, &s.call);
    assert_status(s.call.status, Q5_ETIMEOUT);
    assert_int_equal(rig_value(&r, "SELECT 3"), 3);
    assert_int_equal(r.stats->connects, 1);
    call_deinit(&s.call);
    rig_deinit(&r);
}

static void test_ends_early(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    config.chunk_rows = 10;
    rig_init(&r, &config);
    long pid = rig_pid(&r);
    stream s;
    stream_init(&s, Q5_PG_READ_ONLY, "SELECT 1/(500 - g) FROM generate_series(1, 1000) g");
    call_run(&r, &s.call);
    assert_status(s.call.status, Q5_ESQL);
    assert_string_equal(s.call.batch.error.sqlstate, "22012");
    assert_int_equal(s.call.results, 0);
    assert_true(s.call.rows <= 499);
    call_deinit(&s.call);
    /* Rows were handed out: it cannot run again, though it only reads. */
    stream_init(&s, Q5_PG_READ_ONLY, SOME);
    s.pause_at = 1;
    call_submit(&r, &s.call);
    rig_until(&r, s.chunks == 1);
    char sql[80];
    snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%ld)", pid);
    rig_admin(sql);
    q5_pg_resume(&s.call.batch);
    rig_until(&r, s.call.done);
    assert_status(s.call.status, Q5_EPG_LOST);
    assert_int_equal(r.stats->retries, 0);
    call_deinit(&s.call);
    rig_deinit(&r);
}

/* One connection is kept for what does not stream; a stream that waits for its turn is passed. */
static void test_streams_leave_room(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    config.connections_max = 2;
    rig_init(&r, &config);
    stream first, second;
    stream_init(&first, Q5_PG_READ_ONLY, SOME);
    stream_init(&second, Q5_PG_READ_ONLY, "SELECT 5");
    first.pause_at = 1;
    call_submit(&r, &first.call);
    rig_until(&r, first.chunks == 1);
    call_submit(&r, &second.call);
    for (int i = 0; i < 10; i++)
        assert_int_equal(rig_value(&r, "SELECT 2"), 2);
    assert_int_equal(second.call.done, 0);
    q5_pg_resume(&first.call.batch);
    rig_until(&r, first.call.done && second.call.done);
    assert_status(second.call.status, Q5_OK);
    assert_int_equal(second.sum, 5);
    assert_int_equal(r.stats->connects, 2);
    call_deinit(&first.call);
    call_deinit(&second.call);
    rig_deinit(&r);
}

/* Of several queries, some stream; each is told apart, in a snapshot too. */
static void test_mixed_batch(void **state) {
    (void)state;
    static const unsigned flags[] = {0, Q5_PG_SNAPSHOT};
    rig r;
    q5_pg_config config = rig_config();
    config.chunk_rows = 100;
    rig_init(&r, &config);
    for (size_t i = 0; i < Q5_ARRAY_LEN(flags); i++) {
        call c;
        call_sql(&c, flags[i], "SELECT 1", "SELECT generate_series(1, 1000)",
                 "SELECT 1 WHERE false", "SELECT 3");
        c.queries[1].flags = c.queries[2].flags = Q5_PG_STREAM;
        call_run(&r, &c);
        assert_status(c.status, Q5_OK);
        assert_int_equal(c.results, 4);
        assert_int_equal(c.rows, 1002);
        assert_int_equal(c.value, 3);
        call_deinit(&c);
    }
    rig_deinit(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_million_rows), cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_owner_leaves),   cmocka_unit_test(test_deadline_while_paused),
        cmocka_unit_test(test_ends_early),     cmocka_unit_test(test_streams_leave_room),
        cmocka_unit_test(test_mixed_batch),
    };
    int skipped = rig_begin();
    return skipped ? skipped : rig_end(cmocka_run_group_tests(tests, NULL, NULL));
}
