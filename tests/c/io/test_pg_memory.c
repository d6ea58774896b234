/* Each allocation fails in turn. */
#include "io/pg_rig.h"
#include "q5/pg_rows.h"

static int scenario(const q5_alloc *alloc, void *ctx) {
    (void)ctx;
    rig r;
    int status = Q5_ENOMEM;
    q5_pg_config config = rig_config();
    config.alloc = alloc;
    config.startup_sql = "SET search_path = public";
    r.poller = q5_poller_create(NULL);
    r.pool = q5_pg_create(&rig_libpq.library, r.poller, &config);
    if (r.pool) {
        call c;
        call_sql(&c, Q5_PG_SNAPSHOT, "SELECT 1", "SELECT 2");
        status = q5_pg_submit(r.pool, &c.batch);
        if (status == Q5_OK) {
            rig_until(&r, c.done);
            status = c.status;
            assert_int_equal(c.value, 2);
        }
        call_deinit(&c);
        q5_pg_destroy(r.pool);
    }
    q5_poller_destroy(r.poller);
    return status;
}

static void test_each_allocation_fails(void **state) {
    (void)state;
    failmalloc_sweep(scenario, NULL);
}

/* The texts of an error are missed rather than the error. */
static void test_no_room_for_the_error(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    rig_init(&r, &config);
    call c;
    call_sql(&c, 0, "SELECT 1/0");
    c.arena.size_max = 0;
    call_run(&r, &c);
    assert_status(c.status, Q5_ESQL);
    assert_string_equal(c.batch.error.sqlstate, "22012");
    assert_int_equal(c.batch.error.message.len, 0);
    assert_int_equal(c.arena.size, 0);
    call_deinit(&c);
    rig_deinit(&r);
}

static q5_pg_take read_cells(q5_pg_batch *batch, unsigned index, struct pg_result *result,
                             bool more) {
    q5_pg_rows rows = q5_pg_rows_make(&rig_libpq.library, result);
    q5_row_source source = q5_pg_rows_source(&rows);
    q5_cell cells[3];
    assert_status(source.next(source.ctx, cells, 3), Q5_EINVAL);
    for (int i = 1; i <= 3; i++) {
        assert_status(source.next(source.ctx, cells, 2), Q5_OK);
        assert_int_equal(cells[0].kind, Q5_CELL_BYTES);
        assert_int_equal(cells[0].bytes.len, 4);
        assert_int_equal(cells[0].bytes.base[3], i);
        assert_int_equal(cells[1].kind, i == 2 ? Q5_CELL_NULL : Q5_CELL_BYTES);
    }
    assert_status(source.next(source.ctx, cells, 2), Q5_DONE);
    return call_result(batch, index, result, more);
}

static void test_rows_as_cells(void **state) {
    (void)state;
    rig r;
    q5_pg_config config = rig_config();
    rig_init(&r, &config);
    call c;
    call_sql(&c, 0, "SELECT g, CASE WHEN g <> 2 THEN '' END FROM generate_series(1, 3) g");
    c.batch.on_result = read_cells;
    call_run(&r, &c);
    assert_status(c.status, Q5_OK);
    assert_int_equal(c.results, 1);
    call_deinit(&c);
    rig_deinit(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_allocation_fails),
        cmocka_unit_test(test_no_room_for_the_error),
        cmocka_unit_test(test_rows_as_cells),
    };
    int skipped = rig_begin();
    return skipped ? skipped : rig_end(cmocka_run_group_tests(tests, NULL, NULL));
}
