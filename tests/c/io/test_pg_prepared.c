/* Which statements a connection has prepared: the table against a model; eviction, statements that
 * are gone or outdated, on a server. */
#include "io/pg_internal.h"
#include "io/pg_rig.h"

#define COUNT "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'q5%'"

/* ---- the table ------------------------------------------------------------------------------- */

enum { TABLE_MAX = 7, IDS = 20 };

/* A list in order of use, the newest first. */
typedef struct model {
    uint64_t ids[TABLE_MAX];
    int count;
} model;

static int model_find(const model *m, uint64_t id) {
    for (int i = 0; i < m->count; i++)
        if (m->ids[i] == id) return i;
    return -1;
}

static void model_remove(model *m, int index) {
    m->count--;
    memmove(&m->ids[index], &m->ids[index + 1], (size_t)(m->count - index) * sizeof(m->ids[0]));
}

static void model_push(model *m, uint64_t id) {
    if (m->count == TABLE_MAX) m->count--;
    memmove(&m->ids[1], &m->ids[0], (size_t)m->count * sizeof(m->ids[0]));
    m->ids[0] = id;
    m->count++;
}

static void test_table_against_a_model(void **state) {
    (void)state;
    q5__pg_cache cache;
    model m = {.count = 0};
    unsigned seed = 1;
    assert_status(q5__pg_cache_init(&cache, q5_alloc_default(), TABLE_MAX, 1), Q5_OK);
    for (int step = 0; step < 20000; step++) {
        seed = seed * 1103515245 + 12345;
        q5_pg_statement statement = {.id = (seed >> 16) % IDS * 64};
        int at = model_find(&m, statement.id);
        q5__pg_prepared *entry = q5__pg_cache_find(&cache, &statement);
        assert_int_equal(entry != NULL, at >= 0);
        if (at >= 0) {
            model_remove(&m, at);
            if (seed >> 8 & 1) {
                uint32_t index = (uint32_t)(entry - cache.entries), serial = entry->serial;
                assert_ptr_equal(q5__pg_cache_get(&cache, index, serial), entry);
                q5__pg_cache_remove(&cache, entry, false);
                assert_null(q5__pg_cache_get(&cache, index, serial));
            } else {
                model_push(&m, statement.id);
            }
        } else {
            bool evicted, full = m.count == TABLE_MAX;
            uint32_t oldest = full ? cache.entries[cache.oldest].serial : 0;
            entry = q5__pg_cache_insert(&cache, &statement, &evicted);
            assert_int_equal(evicted, full);
            assert_int_equal(cache.doomed_count, full);
            if (full) assert_int_equal(cache.doomed[0], oldest);
            cache.doomed_count = 0;
            model_push(&m, statement.id);
        }
        assert_int_equal(cache.count, m.count);
    }
    q5__pg_cache_deinit(&cache, q5_alloc_default());
}

static void test_generations_differ(void **state) {
    (void)state;
    q5__pg_cache cache;
    bool evicted;
    assert_status(q5__pg_cache_init(&cache, q5_alloc_default(), 4, 4), Q5_OK);
    q5_pg_statement old = {.id = 9, .generation = 1}, new = {.id = 9, .generation = 2};
    q5__pg_cache_insert(&cache, &old, &evicted);
    assert_null(q5__pg_cache_find(&cache, &new));
    q5__pg_prepared *entry = q5__pg_cache_insert(&cache, &new, &evicted);
    assert_ptr_equal(q5__pg_cache_find(&cache, &new), entry);
    assert_true(q5__pg_cache_find(&cache, &old) != entry);
    q5__pg_cache_deinit(&cache, q5_alloc_default());
}

/* ---- on a server ----------------------------------------------------------------------------- */

static long long value_unprepared(rig *r, const char *sql) {
    call c;
    call_sql(&c, 0, sql);
    c.queries[0].flags = Q5_PG_UNPREPARED;
    call_run(r, &c);
    assert_status(c.status, Q5_OK);
    call_deinit(&c);
    return c.value;
}

static void test_eviction(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    config.queries_max = 2;
    config.prepared_max = 4;
    rig_init(&r, &config);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 10; i++) {
            char sql[40];
            snprintf(sql, sizeof(sql), "SELECT %d", i);
            assert_int_equal(rig_value(&r, "SELECT 100"), 100); /* used most, never evicted */
            assert_int_equal(rig_value(&r, sql), i);
        }
    assert_int_equal(value_unprepared(&r, COUNT), 4);
    assert_int_equal(r.stats->prepares, 31);
    assert_int_equal(r.stats->evictions, 27);
    assert_int_equal(r.stats->errors, 0);
    rig_deinit(&r);
}

/* One statement, many batches in a turn; and the same one twice in a batch. */
static void test_prepared_once(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    rig_init(&r, &config);
    call calls[20];
    for (int i = 0; i < 20; i++) {
        call_sql(&calls[i], Q5_PG_READ_ONLY, "SELECT 1", "SELECT 1");
        call_submit(&r, &calls[i]);
    }
    rig_until(&r, calls[19].done);
    for (int i = 0; i < 20; i++) {
        assert_status(calls[i].status, Q5_OK);
        assert_int_equal(calls[i].results, 2);
        call_deinit(&calls[i]);
    }
    assert_int_equal(r.stats->prepares, 1);
    rig_deinit(&r);
}

/* Somebody has made the server forget. */
static void test_gone_statements(void **state) {
    (void)state;
    static const struct {
        unsigned flags;
        const char *first;
        int status, results;
    } rows[] = {
        {Q5_PG_READ_ONLY, "SELECT 1", Q5_OK, 2},
        {Q5_PG_SNAPSHOT, "SELECT 1", Q5_OK, 2},
        {0, "SELECT 1", Q5_OK, 2}, /* the first query failed: nothing has happened */
        {Q5_PG_READ_ONLY, "SELECT 3", Q5_OK, 2},
        {0, "SELECT 3", Q5_ESQL, 1}, /* the second one did */
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        rig r;
        q5_pg_config config = rig_config();
        rig_init(&r, &config);
        rig_value(&r, "SELECT 1");
        rig_value(&r, "SELECT 2");
        call forget, c;
        call_sql(&forget, 0, "DEALLOCATE ALL");
        forget.queries[0].flags = Q5_PG_UNPREPARED;
        call_run(&r, &forget);
        call_sql(&c, rows[i].flags, rows[i].first, "SELECT 2");
        call_run(&r, &c);
        assert_status(c.status, rows[i].status);
        assert_int_equal(c.results, rows[i].results);
        if (c.status) assert_string_equal(c.batch.error.sqlstate, "26000");
        if (!c.status) assert_int_equal(r.stats->retries, 1);
        assert_int_equal(rig_value(&r, "SELECT 1") + rig_value(&r, "SELECT 2"), 3);
        assert_int_equal(r.stats->connects, 1);
        call_deinit(&c);
        call_deinit(&forget);
        rig_deinit(&r);
    }
}

/* "cached plan must not change result type" */
static void test_outdated_statements(void **state) {
    (void)state;
    static const unsigned flags[] = {Q5_PG_READ_ONLY, Q5_PG_SNAPSHOT};
    char create[80], add[80], drop[80], star[80], where[80];
    snprintf(create, sizeof(create), "CREATE TABLE q5_pg_%d (a int)", (int)getpid());
    snprintf(add, sizeof(add), "ALTER TABLE q5_pg_%d ADD COLUMN b int", (int)getpid());
    snprintf(drop, sizeof(drop), "DROP TABLE q5_pg_%d", (int)getpid());
    snprintf(star, sizeof(star), "SELECT * FROM q5_pg_%d", (int)getpid());
    snprintf(where, sizeof(where), "SELECT * FROM q5_pg_%d WHERE a = 1", (int)getpid());
    for (size_t i = 0; i < Q5_ARRAY_LEN(flags); i++) {
        rig r;
        q5_pg_config config = rig_config();
        rig_init(&r, &config);
        rig_admin(create);
        call before, after;
        call_sql(&before, flags[i], star, where);
        call_run(&r, &before);
        assert_status(before.status, Q5_OK);
        rig_admin(add);
        call_sql(&after, flags[i], star, where);
        call_run(&r, &after);
        rig_admin(drop);
        assert_status(after.status, Q5_OK);
        assert_int_equal(after.results, 2);
        assert_int_equal(r.stats->retries, 1);
        assert_int_equal(r.stats->prepares, 4);
        assert_int_equal(value_unprepared(&r, COUNT), 2); /* the old ones were closed */
        call_deinit(&before);
        call_deinit(&after);
        rig_deinit(&r);
    }
}

/* A Parse that the server skipped, for an error before it, while others rely on it already. */
static void test_skipped_parse(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    rig_init(&r, &config);
    call bad, reads, writes;
    call_sql(&bad, 0, "SELECT nonsense", "SELECT 11");
    call_sql(&reads, Q5_PG_READ_ONLY, "SELECT 11");
    call_sql(&writes, 0, "SELECT 12", "SELECT 11");
    call_submit(&r, &bad);
    call_submit(&r, &reads);
    call_submit(&r, &writes);
    rig_until(&r, bad.done && reads.done && writes.done);
    assert_status(bad.status, Q5_ESQL);
    assert_string_equal(bad.batch.error.sqlstate, "42703");
    assert_status(reads.status, Q5_OK);
    assert_status(writes.status, Q5_OK);
    assert_int_equal(reads.value, 11);
    assert_int_equal(writes.value, 11);
    assert_int_equal(r.stats->retries, 1);
    call_deinit(&bad);
    call_sql(&bad, 0, "SELECT nonsense", "SELECT 13");
    call_run(&r, &bad);
    uint64_t prepares = r.stats->prepares;
    assert_int_equal(rig_value(&r, "SELECT 13"), 13);
    assert_int_equal(r.stats->prepares, prepares + 1);
    assert_int_equal(r.stats->retries, 1);
    call_deinit(&bad);
    call_deinit(&reads);
    call_deinit(&writes);
    rig_deinit(&r);
}

int main(void) {
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(test_table_against_a_model),
        cmocka_unit_test(test_generations_differ),
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eviction),        cmocka_unit_test(test_prepared_once),
        cmocka_unit_test(test_gone_statements), cmocka_unit_test(test_outdated_statements),
        cmocka_unit_test(test_skipped_parse),
    };
    int failures = cmocka_run_group_tests(alone, NULL, NULL);
    if (failures) return failures;
    int skipped = rig_begin();
    return skipped ? skipped : rig_end(cmocka_run_group_tests(tests, NULL, NULL));
}
