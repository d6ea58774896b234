#include "sql/rowtest.h"

/* {"id":0,"pl\"ace":{"x":2,"in":{"y":3}} or null by 1,"both":[0,[]],"last":2} */
static q5_row_plan *make_nested(void) {
    q5_row_plan *plan = q5_row_plan_create(NULL);
    assert_non_null(plan);
    assert_status(q5_row_plan_open(plan, Q5_LIT("ignored"), '{', Q5_ROW_NO_COLUMN), Q5_OK);
    assert_status(q5_row_plan_cell(plan, Q5_LIT("id"), 0, &lite_int), Q5_OK);
    assert_status(q5_row_plan_open(plan, Q5_LIT("pl\"ace"), '{', 1), Q5_OK);
    assert_status(q5_row_plan_cell(plan, Q5_LIT("x"), 2, &lite_text), Q5_OK);
    assert_status(q5_row_plan_open(plan, Q5_LIT("in"), '{', 3), Q5_OK);
    assert_status(q5_row_plan_cell(plan, Q5_LIT("y"), 3, &lite_int), Q5_OK);
    assert_status(q5_row_plan_close(plan), Q5_OK);
    assert_status(q5_row_plan_close(plan), Q5_OK);
    assert_status(q5_row_plan_open(plan, Q5_LIT("both"), '[', Q5_ROW_NO_COLUMN), Q5_OK);
    assert_status(q5_row_plan_cell(plan, Q5_LIT("ignored"), 0, &lite_int), Q5_OK);
    assert_status(q5_row_plan_open(plan, Q5_LIT(""), '[', Q5_ROW_NO_COLUMN), Q5_OK);
    assert_status(q5_row_plan_close(plan), Q5_OK);
    assert_status(q5_row_plan_close(plan), Q5_OK);
    assert_status(q5_row_plan_cell(plan, Q5_LIT("last"), 2, &lite_text), Q5_OK);
    assert_status(q5_row_plan_close(plan), Q5_OK);
    assert_status(q5_row_plan_finish(plan), Q5_OK);
    return plan;
}

static void test_nested(void **state) {
    (void)state;
    q5_row_plan *plan = make_nested();
    assert_int_equal(q5_row_plan_columns(plan), 4);
    assert_int_equal(q5_row_plan_slots(plan), 0);
    static const struct {
        q5_cell cells[4];
        const char *json;
    } rows[] = {
        {{INT64(1), INT64(5), TEXT("a"), INT64(7)},
         "{\"id\":1,\"pl\\\"ace\":{\"x\":\"a\",\"in\":{\"y\":7}},\"both\":[1,[]],\"last\":\"a\"}"},
        {{INT64(1), INT64(5), NUL_CELL, NUL_CELL},
         "{\"id\":1,\"pl\\\"ace\":{\"x\":null,\"in\":null},\"both\":[1,[]],\"last\":null}"},
        {{NUL_CELL, NUL_CELL, TEXT(""), INT64(7)},
         "{\"id\":null,\"pl\\\"ace\":null,\"both\":[null,[]],\"last\":\"\"}"},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_buf out;
        q5_buf_init(&out, NULL);
        assert_status(q5_row_encode(plan, rows[i].cells, NULL, &out), Q5_OK);
        assert_slice(q5_buf_slice(&out), rows[i].json);
        q5_buf_deinit(&out);
    }
    q5_row_plan_destroy(plan);
}

/* Those who make objects of rows go by the same steps. */
static void test_steps(void **state) {
    (void)state;
    q5_row_plan *plan = make_nested();
    size_t count;
    const q5_row_step *steps = q5_row_plan_steps(plan, &count);
    static const struct {
        q5_row_step_kind kind;
        const char *name;
        uint32_t column, next;
    } want[] = {
        {Q5_ROW_OPEN, "ignored", Q5_ROW_NO_COLUMN, 15},
        {Q5_ROW_CELL, "id", 0, 0},
        {Q5_ROW_OPEN, "pl\"ace", 1, 8},
        {Q5_ROW_CELL, "x", 2, 0},
        {Q5_ROW_OPEN, "in", 3, 7},
        {Q5_ROW_CELL, "y", 3, 0},
        {Q5_ROW_CLOSE, "", 0, 0},
        {Q5_ROW_CLOSE, "", 0, 0},
        {Q5_ROW_OPEN, "both", Q5_ROW_NO_COLUMN, 13},
    };
    assert_int_equal(count, 15);
    for (size_t i = 0; i < Q5_ARRAY_LEN(want); i++) {
        assert_int_equal(steps[i].kind, want[i].kind);
        assert_int_equal(steps[i].column, want[i].column);
        assert_slice(steps[i].name, want[i].name);
        assert_int_equal(steps[i].next, want[i].next);
    }
    q5_row_plan_destroy(plan);
}

static void test_what_a_plan_refuses(void **state) {
    (void)state;
    q5_row_plan *plan = q5_row_plan_create(NULL);
    static const q5_type none = {
        .source = Q5_SOURCE_POSTGRESQL, .value = Q5_VALUE_INT, .oid = Q5_PG_TEXT};
    q5_cell cell = INT64(5);
    q5_buf out;
    q5_buf_init(&out, NULL);
    assert_status(q5_row_plan_finish(plan), Q5_ESTATE);
    assert_status(q5_row_plan_close(plan), Q5_ESTATE);
    assert_status(q5_row_plan_cell(plan, Q5_LIT(""), 0, &none), Q5_NOT_FOUND);
    assert_status(q5_row_plan_cell(plan, Q5_LIT(""), Q5_ROW_COLUMNS_MAX, &lite_int), Q5_EINVAL);
    assert_status(q5_row_plan_open(plan, Q5_LIT(""), '(', Q5_ROW_NO_COLUMN), Q5_EINVAL);
    assert_status(q5_row_plan_many(plan, Q5_LIT(""), 0, 0, 0), Q5_EINVAL);
    assert_status(q5_row_plan_many(plan, Q5_LIT(""), 0, Q5_ROW_COLUMNS_MAX - 1, 2), Q5_EINVAL);
    assert_status(q5_row_encode(plan, &cell, NULL, &out), Q5_ESTATE);
    for (int i = 0; i < Q5_ROW_DEPTH_MAX; i++)
        assert_status(q5_row_plan_open(plan, Q5_LIT("a"), '{', Q5_ROW_NO_COLUMN), Q5_OK);
    assert_status(q5_row_plan_open(plan, Q5_LIT("a"), '{', Q5_ROW_NO_COLUMN), Q5_ETOO_MANY);
    assert_status(q5_row_plan_cell(plan, Q5_LIT("\xff"), 0, &lite_int), Q5_EINVAL);
    assert_status(q5_row_plan_finish(plan), Q5_ESTATE);
    for (int i = 0; i < Q5_ROW_DEPTH_MAX; i++)
        assert_status(q5_row_plan_close(plan), Q5_OK);
    assert_status(q5_row_plan_cell(plan, Q5_LIT(""), 0, &lite_int), Q5_ESTATE);
    assert_status(q5_row_plan_finish(plan), Q5_OK);
    assert_status(q5_row_plan_finish(plan), Q5_ESTATE);
    assert_status(q5_row_encode(plan, &cell, NULL, &out), Q5_OK);
    q5_row_plan_destroy(plan);
    q5_row_plan_destroy(NULL);
    q5_buf_deinit(&out);
}

static const q5_cell people[] = {INT64(1), TEXT("Ann"), INT64(2), NUL_CELL, INT64(3), TEXT("\"")};

static void test_modes(void **state) {
    (void)state;
    static const struct {
        q5_rows_mode mode;
        size_t rows;
        int status;
        const char *text;
    } rows[] = {
        {Q5_ROWS_ARRAY, 0, Q5_DONE, "[]"},
        {Q5_ROWS_ARRAY, 1, Q5_DONE, "[{\"id\":1,\"name\":\"Ann\"}]"},
        {Q5_ROWS_ARRAY, 3, Q5_DONE,
         "[{\"id\":1,\"name\":\"Ann\"},{\"id\":2,\"name\":null},{\"id\":3,\"name\":\"\\\"\"}]"},
        {Q5_ROWS_LINES, 0, Q5_DONE, ""},
        {Q5_ROWS_LINES, 2, Q5_DONE, "{\"id\":1,\"name\":\"Ann\"}\n{\"id\":2,\"name\":null}\n"},
        {Q5_ROWS_ONE, 0, Q5_DONE, "null"},
        {Q5_ROWS_ONE, 1, Q5_DONE, "{\"id\":1,\"name\":\"Ann\"}"},
        {Q5_ROWS_ONE, 2, Q5_ETOO_MANY, "{\"id\":1,\"name\":\"Ann\"}"},
    };
    q5_row_plan *plan = NULL;
    assert_status(make_pair(NULL, &plan), Q5_OK);
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        table t = {people, 2, rows[i].rows, 0};
        q5_row_source source = {&t, table_next};
        q5_row_writer writer = q5_row_writer_make(plan, rows[i].mode, NULL);
        q5_buf out;
        q5_buf_init(&out, NULL);
        assert_status(q5_row_writer_run(&writer, &source, 0, &out), rows[i].status);
        assert_slice(q5_buf_slice(&out), rows[i].text);
        q5_buf_deinit(&out);
    }
    q5_row_plan_destroy(plan);
}

/* A hundred thousand rows pass through a buffer that never holds more than its bound and a row. */
static int count_next(void *ctx, q5_cell *cells, uint32_t columns) {
    int64_t *left = ctx;
    assert_int_equal(columns, 2);
    if (*left == 0) return Q5_DONE;
    cells[0] = q5_cell_int64(--*left);
    cells[1] = q5_cell_text("0123456789", 10);
    return Q5_OK;
}

static void test_streaming(void **state) {
    (void)state;
    enum { ROWS = 100000, HIGH = 4096, ROW_MAX = 64 };
    q5_row_plan *plan = NULL;
    assert_status(make_pair(NULL, &plan), Q5_OK);
    int64_t left = ROWS;
    q5_row_source source = {&left, count_next};
    q5_row_writer writer = q5_row_writer_make(plan, Q5_ROWS_LINES, NULL);
    q5_buf out;
    q5_buf_init(&out, NULL);
    int status;
    size_t lines = 0;
    do {
        status = q5_row_writer_run(&writer, &source, HIGH, &out);
        assert_true(out.len < HIGH + ROW_MAX && out.cap <= 4 * HIGH);
        assert_true(out.len == 0 || out.base[out.len - 1] == '\n');
        for (size_t i = 0; i < out.len; i++)
            lines += out.base[i] == '\n';
        q5_buf_consume(&out, out.len);
    } while (status == Q5_AGAIN);
    assert_status(status, Q5_DONE);
    assert_int_equal(lines, ROWS);
    assert_int_equal(writer.rows, ROWS);
    q5_buf_deinit(&out);
    q5_row_plan_destroy(plan);
}

/* A row that cannot be written leaves those before it whole. */
static void test_a_bad_row(void **state) {
    (void)state;
    static const q5_cell cells[] = {INT64(1), TEXT("a"), INT64(2), TEXT("\xff")};
    static const q5_rows_mode modes[] = {Q5_ROWS_ARRAY, Q5_ROWS_LINES};
    static const char *const texts[] = {"[{\"id\":1,\"name\":\"a\"}",
                                        "{\"id\":1,\"name\":\"a\"}\n"};
    q5_row_plan *plan = NULL;
    assert_status(make_pair(NULL, &plan), Q5_OK);
    for (size_t i = 0; i < Q5_ARRAY_LEN(modes); i++) {
        table t = TABLE(cells, 2);
        q5_row_source source = {&t, table_next};
        q5_row_writer writer = q5_row_writer_make(plan, modes[i], NULL);
        q5_buf out;
        q5_buf_init(&out, NULL);
        assert_status(q5_row_writer_run(&writer, &source, 0, &out), Q5_ECELL);
        assert_slice(q5_buf_slice(&out), texts[i]);
        q5_buf_deinit(&out);
    }
    q5_row_plan_destroy(plan);
}

static int scenario(const q5_alloc *alloc, void *ctx) {
    (void)ctx;
    q5_row_plan *plan = NULL;
    int status = make_pair(alloc, &plan);
    if (status) return status;
    q5_buf out;
    q5_buf_init(&out, alloc);
    table t = TABLE(people, 2);
    q5_row_source source = {&t, table_next};
    q5_row_writer writer = q5_row_writer_make(plan, Q5_ROWS_ARRAY, NULL);
    status = q5_row_writer_run(&writer, &source, 0, &out);
    q5_buf_deinit(&out);
    q5_row_plan_destroy(plan);
    return status == Q5_DONE ? Q5_OK : status;
}

static void test_failing_allocations(void **state) {
    (void)state;
    failmalloc_sweep(scenario, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nested),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_what_a_plan_refuses),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_streaming),
        cmocka_unit_test(test_a_bad_row),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
