/* Batches on one connection: order, parameters, errors, transactions. */
#include "io/pg_rig.h"

static void test_version(void **state) {
    (void)state;
    q5_pg_library library;
    assert_status(q5_pg_library_load(&library, rig_libpq.handle), Q5_OK);
    assert_true(library.libVersion() >= Q5_PG_VERSION_MIN);
    void *other = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL);
    assert_non_null(other);
    assert_status(q5_pg_library_load(&library, other), Q5_ELIBRARY);
    dlclose(other);
}

/* Submitted in one turn, answered in that order, on one connection, prepared once. */
static void test_order(void **state) {
    (void)state;
    enum { CALLS = 200 };
    static call calls[CALLS];
    static char wire[CALLS][4];
    static const char *values[CALLS][1];
    static const int lengths[] = {4}, formats[] = {1};
    rig r;
    q5_pg_config config = rig_config();
    rig_init(&r, &config);
    for (int i = 0; i < CALLS; i++) {
        call *c = &calls[i];
        call_sql(c, 0, "SELECT $1::int4 * 2");
        wire[i][2] = (char)(i >> 8);
        wire[i][3] = (char)i;
        values[i][0] = wire[i];
        c->statements[0].param_count = 1;
        c->queries[0].values = values[i];
        c->queries[0].lengths = lengths;
        c->queries[0].formats = formats;
        call_submit(&r, c);
    }
    int before = rig_order;
    rig_until(&r, calls[CALLS - 1].done);
    for (int i = 0; i < CALLS; i++) {
        assert_status(calls[i].status, Q5_OK);
        assert_int_equal(calls[i].value, i * 2);
        assert_int_equal(calls[i].order, before + i + 1);
        call_deinit(&calls[i]);
    }
    assert_int_equal(r.stats->connections, 1);
    assert_int_equal(r.stats->prepares, 1);
    assert_int_equal(r.stats->queries, CALLS);
    assert_int_equal(r.stats->bytes, 0);
    assert_int_equal(r.stats->in_flight + r.stats->waiting, 0);
    rig_deinit(&r);
}

/* PostgreSQL documentation, appendix A, "PostgreSQL Error Codes". */
static void test_errors_stay_with_their_batch(void **state) {
    (void)state;
    static const struct {
        const char *sql[3];
        const char *sqlstate; /* NULL: it succeeds */
        int query, position, results;
    } rows[] = {
        {{"SELECT 1"}, NULL, 0, 0, 1},
        {{"SELECT 1/0"}, "22012", 0, 0, 0},
        {{"SELECT 1", "SELECT 2"}, NULL, 0, 0, 2},
        {{"SELECT 1", "SELECT 1/0", "SELECT 3"}, "22012", 1, 0, 1},
        {{"SELEC 1"}, "42601", 0, 1, 0},
        {{"SELECT 1", "SELECT 2", "SELECT nowhere"}, "42703", 2, 8, 0},
        {{"SELECT 1", "SELECT 2"}, NULL, 0, 0, 2},
        {{"COPY pg_class TO STDOUT", "SELECT 1"}, "", -1, 0, 0}, /* a pipeline cannot */
        {{"SELECT 3"}, NULL, 0, 0, 1},
    };
    call calls[Q5_ARRAY_LEN(rows)];
    rig r;
    q5_pg_config config = rig_config();
    rig_init(&r, &config);
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        const char *sql[4] = {rows[i].sql[0], rows[i].sql[1], rows[i].sql[2], NULL};
        call_init(&calls[i], Q5_PG_READ_ONLY, sql);
        call_submit(&r, &calls[i]);
    }
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        call *c = &calls[i];
        rig_until(&r, c->done);
        const q5_pg_error *error = &c->batch.error;
        if (!rows[i].sqlstate) {
            assert_status(c->status, Q5_OK);
        } else {
            assert_status(c->status, rows[i].sqlstate[0] ? Q5_ESQL : Q5_EPG_LOST);
            assert_string_equal(error->sqlstate, rows[i].sqlstate);
            assert_int_equal(error->query, rows[i].query);
            assert_int_equal(error->position, rows[i].position);
            if (rows[i].sqlstate[0]) assert_true(error->message.len > 0);
        }
        assert_int_equal(c->results, rows[i].results);
        call_deinit(c);
    }
    rig_deinit(&r);
}

static void test_error_texts(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    rig_init(&r, &config);
    call c;
    call_sql(&c, 0,
             "DO $$ BEGIN RAISE EXCEPTION 'no' USING DETAIL = 'why', HINT = 'how', "
             "CONSTRAINT = 'c_check', ERRCODE = '23514'; END $$");
    call_run(&r, &c);
    assert_status(c.status, Q5_ESQL);
    assert_string_equal(c.batch.error.sqlstate, "23514");
    assert_slice(c.batch.error.message, "no");
    assert_slice(c.batch.error.detail, "why");
    assert_slice(c.batch.error.hint, "how");
    assert_slice(c.batch.error.constraint, "c_check");
    c.done = c.results = 0;
    c.batch.arena = NULL;
    call_run(&r, &c);
    assert_string_equal(c.batch.error.sqlstate, "23514");
    assert_int_equal(c.batch.error.message.len, 0);
    call_deinit(&c);
    rig_deinit(&r);
}

/* A batch is one transaction: what fails in it, or when it commits, undoes all of it. */
static void test_a_batch_is_a_transaction(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    config.startup_sql = "CREATE TEMP TABLE t (n int UNIQUE DEFERRABLE INITIALLY DEFERRED);"
                         "SET statement_timeout = '17s'";
    rig_init(&r, &config);
    call c;
    call_sql(&c, 0, "INSERT INTO t VALUES (1)", "SELECT 1/0");
    call_run(&r, &c);
    assert_status(c.status, Q5_ESQL);
    assert_int_equal(rig_value(&r, "SELECT count(*) FROM t"), 0);
    call_deinit(&c);
    call_sql(&c, 0, "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (1)");
    call_run(&r, &c);
    assert_status(c.status, Q5_ESQL);
    assert_int_equal(c.results, 2); /* the commit failed */
    assert_string_equal(c.batch.error.sqlstate, "23505");
    assert_int_equal(c.batch.error.query, -1);
    assert_int_equal(rig_value(&r, "SELECT count(*) FROM t"), 0);
    call_deinit(&c);
    call_sql(&c, 0, "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)");
    call_run(&r, &c);
    assert_status(c.status, Q5_OK);
    assert_int_equal(rig_value(&r, "SELECT count(*) FROM t"), 2);
    assert_int_equal(rig_value(&r, "SELECT setting::int8 FROM pg_settings "
                                   "WHERE name = 'statement_timeout'"),
                     17000);
    call_deinit(&c);
    rig_deinit(&r);
}

/* Nobody comes into a transaction that a statement has left open. */
static void test_transaction_left_open(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    rig_init(&r, &config);
    call first, second;
    call_sql(&first, 0, "BEGIN");
    call_sql(&second, Q5_PG_READ_ONLY, "SELECT 5");
    call_submit(&r, &first);
    call_submit(&r, &second);
    rig_until(&r, first.done && second.done);
    assert_status(first.status, Q5_OK);
    assert_status(second.status, Q5_OK);
    assert_int_equal(second.value, 5);
    assert_int_equal(r.stats->lost, 1);
    assert_int_equal(r.stats->connects, 2);
    assert_int_equal(r.stats->retries, 1);
    rig_deinit(&r);
    call_deinit(&first);
    call_deinit(&second);
}

static void test_snapshot(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    rig_init(&r, &config);
    call c;
    call_sql(&c, Q5_PG_SNAPSHOT, "SELECT txid_current_snapshot()::text",
             "SELECT (current_setting('transaction_isolation') = 'repeatable read')::int",
             "SELECT (current_setting('transaction_read_only') = 'on')::int");
    call_run(&r, &c);
    assert_status(c.status, Q5_OK);
    assert_int_equal(c.results, 3);
    assert_int_equal(c.value, 1);
    call_deinit(&c);
    /* Its error ends its transaction too. */
    static const char *const wrong[] = {"CREATE TABLE q5_never (n int)", "SELECT 1/0", "nonsense"};
    static const char *const states[] = {"25006", "22012", "42601"};
    for (size_t i = 0; i < Q5_ARRAY_LEN(wrong); i++) {
        call after;
        call_sql(&c, Q5_PG_SNAPSHOT, "SELECT 1", wrong[i], "SELECT 2");
        call_sql(&after, 0, "SELECT 7");
        call_submit(&r, &c);
        call_submit(&r, &after);
        rig_until(&r, after.done);
        assert_status(c.status, Q5_ESQL);
        assert_string_equal(c.batch.error.sqlstate, states[i]);
        assert_int_equal(c.batch.error.query, 1);
        assert_int_equal(c.results, 0); /* held, and dropped */
        assert_status(after.status, Q5_OK);
        assert_int_equal(after.value, 7);
        call_deinit(&c);
        call_deinit(&after);
    }
    assert_int_equal(r.stats->connects, 1);
    rig_deinit(&r);
}

static PGresult *kept;

static q5_pg_take keep_result(q5_pg_batch *batch, unsigned index, struct pg_result *result,
                              bool more) {
    call_result(batch, index, result, more);
    kept = result;
    return Q5_PG_KEEP;
}

static void test_kept_result(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    rig_init(&r, &config);
    call c;
    call_sql(&c, 0, "SELECT NULL::int, ''::text, 'x'::text");
    c.batch.on_result = keep_result;
    call_run(&r, &c);
    rig_deinit(&r);
    assert_null(q5_pg_value(&rig_libpq.library, kept, 0, 0).base);
    q5_slice empty = q5_pg_value(&rig_libpq.library, kept, 0, 1);
    assert_non_null(empty.base);
    assert_int_equal(empty.len, 0);
    assert_slice(q5_pg_value(&rig_libpq.library, kept, 0, 2), "x");
    rig_libpq.library.clear(kept);
    call_deinit(&c);
}

static void test_bounds(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    config.waiting_max = 2;
    config.queries_max = 2;
    config.bytes_max = 10;
    rig_init(&r, &config);
    static const char *const values[] = {"0123456789", "-"};
    static const int lengths[] = {10, 1}, formats[] = {0, 0}, negative[] = {-1, 0};
    call calls[3], none, many, bad, large;
    call_sql(&none, 0, NULL);
    call_sql(&many, 0, "SELECT 1", "SELECT 2", "SELECT 3");
    call_sql(&bad, 0, "SELECT $1::text");
    call_sql(&large, 0, "SELECT $1::text, $2::text");
    bad.statements[0].param_count = large.statements[0].param_count = 2;
    assert_status(q5_pg_submit(r.pool, &none.batch), Q5_EINVAL);
    assert_status(q5_pg_submit(r.pool, &many.batch), Q5_EINVAL);
    assert_status(q5_pg_submit(r.pool, &bad.batch), Q5_EINVAL);
    bad.queries[0] = (q5_pg_query){&bad.statements[0], values, negative, formats, 0};
    assert_status(q5_pg_submit(r.pool, &bad.batch), Q5_EINVAL);
    large.queries[0] = (q5_pg_query){&large.statements[0], values, lengths, formats, 0};
    assert_status(q5_pg_submit(r.pool, &large.batch), Q5_EPG_BUSY);
    for (int i = 0; i < 3; i++) {
        call_sql(&calls[i], 0, "SELECT 1");
        assert_status(q5_pg_submit(r.pool, &calls[i].batch), i < 2 ? Q5_OK : Q5_EPG_BUSY);
    }
    assert_int_equal(r.stats->refused, 2);
    rig_until(&r, calls[1].done);
    call_run(&r, &calls[2]);
    assert_status(calls[2].status, Q5_OK);
    rig_deinit(&r);
    for (int i = 0; i < 3; i++)
        call_deinit(&calls[i]);
}

/* In the queue, in flight, and from a callback: no word to the owner, and the others' results are
 * their own. */
static void test_cancelled_by_owner(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    rig_init(&r, &config);
    call calls[5];
    assert_int_equal(rig_value(&r, "SELECT 1"), 1);
    for (int i = 0; i < 5; i++) {
        call_sql(&calls[i], 0, i == 2 ? "SELECT 1/0" : i == 3 ? "SELECT 3" : "SELECT 4");
        call_submit(&r, &calls[i]);
    }
    q5_pg_cancel(&calls[0].batch);
    q5_pg_tick(r.pool);
    assert_int_equal(r.stats->in_flight, 4);
    q5_pg_cancel(&calls[2].batch);
    q5_pg_cancel(&calls[1].batch);
    q5_pg_cancel(&calls[1].batch);
    assert_int_equal(r.stats->in_flight, 2);
    rig_until(&r, calls[4].done);
    for (int i = 0; i < 3; i++)
        assert_int_equal(calls[i].done + calls[i].results, 0);
    assert_int_equal(calls[3].value, 3);
    assert_int_equal(calls[4].value, 4);
    assert_int_equal(r.stats->connects, 1);
    assert_int_equal(r.stats->cancels, 0);
    for (int i = 0; i < 5; i++)
        call_deinit(&calls[i]);
    rig_deinit(&r);
}

static q5_pg_take cancel_in_callback(q5_pg_batch *batch, unsigned index, struct pg_result *result,
                                     bool more) {
    call_result(batch, index, result, more);
    q5_pg_cancel(batch);
    return Q5_PG_CLEAR;
}

static void test_cancelled_in_its_callback(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    rig_init(&r, &config);
    static const unsigned flags[] = {0, Q5_PG_SNAPSHOT};
    for (size_t i = 0; i < Q5_ARRAY_LEN(flags); i++) {
        call c;
        call_sql(&c, flags[i], "SELECT 1", "SELECT 2");
        c.batch.on_result = cancel_in_callback;
        call_submit(&r, &c);
        assert_int_equal(rig_value(&r, "SELECT 9"), 9);
        assert_int_equal(c.results, 1);
        assert_int_equal(c.done, 0);
        call_deinit(&c);
    }
    rig_deinit(&r);
}

static void test_destroyed_with_batches(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    config.in_flight_max = 1;
    rig_init(&r, &config);
    assert_int_equal(rig_value(&r, "SELECT 1"), 1);
    call flying, waiting;
    call_sql(&flying, 0, "SELECT pg_sleep(30)");
    call_sql(&waiting, 0, "SELECT 1");
    call_submit(&r, &flying);
    call_submit(&r, &waiting);
    q5_pg_tick(r.pool);
    assert_int_equal(r.stats->in_flight, 1);
    assert_int_equal(r.stats->waiting, 1);
    rig_deinit(&r);
    assert_status(flying.status, Q5_ECLOSED);
    assert_status(waiting.status, Q5_ECLOSED);
    call_deinit(&flying);
    call_deinit(&waiting);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_errors_stay_with_their_batch),
        cmocka_unit_test(test_error_texts),
        cmocka_unit_test(test_a_batch_is_a_transaction),
        cmocka_unit_test(test_transaction_left_open),
        cmocka_unit_test(test_snapshot),
        cmocka_unit_test(test_kept_result),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_cancelled_by_owner),
        cmocka_unit_test(test_cancelled_in_its_callback),
        cmocka_unit_test(test_destroyed_with_batches),
    };
    int skipped = rig_begin();
    return skipped ? skipped : rig_end(cmocka_run_group_tests(tests, NULL, NULL));
}
