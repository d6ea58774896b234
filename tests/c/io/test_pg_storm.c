/* Hundreds of batches at once on three connections, some wrong, late, given up or streamed, while
 * sessions are ended: each ends once, and with its own rows. One seed replays what we do (not what
 * the server does meanwhile). */
#include "io/pg_rig.h"

#include <unistd.h>

enum { SLOTS = 300, BATCHES = 6000, KILL_EVERY = 40 };

typedef enum kind { READS, SNAPSHOT, WRITES, FAILS, STREAMS, SLEEPS, KINDS } kind;

typedef struct slot {
    call call;
    kind kind;
    char wire[8];
    const char *values[1];
    bool used, busy, hurried; /* hurried: with a deadline that may pass */
} slot;

typedef struct storm {
    rig r;
    unsigned seed;
    int started, ended, wrong, lost, late;
    slot slots[SLOTS];
} storm;

static const int lengths[] = {8}, formats[] = {1};

static const char *const texts[KINDS][3] = {
    [READS] = {"SELECT $1::int8"},
    [SNAPSHOT] = {"SELECT $1::int8", "SELECT $1::int8 + 0"},
    [WRITES] = {"INSERT INTO q5_storm VALUES ($1::int8) RETURNING n"},
    [FAILS] = {"SELECT $1::int8", "SELECT 1 / ($1::int8 - $1::int8)"},
    [STREAMS] = {"SELECT $1::int8 FROM generate_series(1, 500)"},
    [SLEEPS] = {"SELECT $1::int8 FROM pg_sleep(0.02)"},
};

static unsigned chance(storm *s, unsigned below) {
    s->seed = s->seed * 1103515245 + 12345;
    return (s->seed >> 16) % below;
}

static q5_pg_take on_rows(q5_pg_batch *batch, unsigned index, struct pg_result *result, bool more) {
    slot *one = Q5_CONTAINER_OF(batch, slot, call.batch);
    assert_true(one->busy);
    for (int row = 0; row < rig_libpq.library.ntuples(result); row++)
        assert_memory_equal(rig_libpq.library.getvalue(result, row, 0), one->wire, 8);
    return call_result(batch, index, result, more);
}

static void on_end(q5_pg_batch *batch, int status) {
    slot *one = Q5_CONTAINER_OF(batch, slot, call.batch);
    assert_true(one->busy);
    one->busy = false;
    call_done(batch, status);
}

static void check(storm *s, slot *one) {
    int status = one->call.status;
    s->ended++;
    if (status == Q5_EPG_LOST) {
        s->lost++;
    } else if (status == Q5_ETIMEOUT || status == Q5_EPG_CONNECT) {
        s->late++;
        assert_true(one->hurried);
    } else if (one->kind == FAILS) {
        s->wrong++;
        assert_status(status, Q5_ESQL);
        assert_string_equal(one->call.batch.error.sqlstate, "22012");
    } else {
        assert_status(status, Q5_OK);
        assert_int_equal(one->call.results, one->kind == SNAPSHOT ? 2 : 1);
        assert_int_equal(one->call.rows, one->kind == STREAMS    ? 500
                                         : one->kind == SNAPSHOT ? 2
                                                                 : 1);
    }
    call_deinit(&one->call);
}

static void start(storm *s, slot *one) {
    static const unsigned flags[KINDS] = {[READS] = Q5_PG_READ_ONLY,
                                          [SNAPSHOT] = Q5_PG_SNAPSHOT,
                                          [STREAMS] = Q5_PG_READ_ONLY,
                                          [SLEEPS] = Q5_PG_READ_ONLY};
    uint64_t number = (uint64_t)++s->started;
    one->kind = (kind)chance(s, KINDS);
    call_init(&one->call, flags[one->kind], texts[one->kind]);
    for (int i = 0; i < 8; i++)
        one->wire[i] = (char)(number >> (56 - 8 * i));
    one->values[0] = one->wire;
    for (unsigned i = 0; i < one->call.batch.query_count; i++) {
        one->call.statements[i].param_count = 1;
        one->call.queries[i].values = one->values;
        one->call.queries[i].lengths = lengths;
        one->call.queries[i].formats = formats;
        if (one->kind == STREAMS) one->call.queries[i].flags = Q5_PG_STREAM;
    }
    one->call.batch.on_result = on_rows;
    one->call.batch.on_done = on_end;
    one->hurried = chance(s, 50) == 0;
    one->call.batch.timeout_msec = one->hurried ? 20 : 0;
    one->used = one->busy = true;
    call_submit(&s->r, &one->call);
}

/* One that ended is checked and replaced; now and then one is given up. */
static void look_after(storm *s, slot *one) {
    if (one->used && !one->busy) {
        check(s, one);
        one->used = false;
    }
    if (one->busy && chance(s, 2000) == 0) {
        q5_pg_cancel(&one->call.batch);
        call_deinit(&one->call);
        memset(one, 0, sizeof(*one));
        s->ended++;
    }
    if (!one->used && s->started < BATCHES) start(s, one);
}

static void test_storm(void **state) {
    (void)state;
    static storm s = {.seed = 7};
    q5_pg_config config = rig_config();
    config.connections_max = 3;
    config.in_flight_max = 20;
    config.open_at = 2;
    config.prepared_max = 8;
    config.queries_max = 4;
    config.grace_msec = 20;
    config.slow_msec = 10;
    config.backoff_min_msec = 1;
    config.backoff_max_msec = 10;
    char startup[128], one_ends[256]; /* of this process's sessions: others may run this test */
    snprintf(startup, sizeof(startup),
             "SET application_name = 'q5_storm_%d'; CREATE TEMP TABLE q5_storm (n int8)", getpid());
    snprintf(one_ends, sizeof(one_ends),
             "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity "
             "WHERE application_name = 'q5_storm_%d' ORDER BY random() LIMIT 1) one",
             getpid());
    config.startup_sql = startup;
    rig_init(&s.r, &config);
    for (int turn = 1; s.ended < BATCHES; turn++) {
        for (int i = 0; i < SLOTS; i++)
            look_after(&s, &s.slots[i]);
        rig_turn(&s.r);
        if (turn % KILL_EVERY == 0) rig_admin(one_ends);
        assert_true(turn < 200000);
    }
    printf("%d failed, %d late, %d lost; %d sessions lost, %d retries, %d cancels\n", s.wrong,
           s.late, s.lost, (int)s.r.stats->lost, (int)s.r.stats->retries, (int)s.r.stats->cancels);
    assert_true(s.wrong > 0);
    assert_true(s.r.stats->lost > 0);
    assert_true(s.r.stats->retries > 0);
    assert_int_equal(s.r.stats->waiting + s.r.stats->in_flight, 0);
    assert_int_equal(s.r.stats->bytes, 0);
    call last; /* the session may have been ended a moment ago: then it is sent again */
    call_sql(&last, Q5_PG_READ_ONLY, "SELECT 1");
    call_run(&s.r, &last);
    assert_status(last.status, Q5_OK);
    call_deinit(&last);
    rig_deinit(&s.r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_storm)};
    int skipped = rig_begin();
    return skipped ? skipped : rig_end(cmocka_run_group_tests(tests, NULL, NULL));
}
