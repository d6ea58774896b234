#include "sql/rowtest.h"

/* Of children: {"n":column `first`} */
static int make_child(const q5_alloc *alloc, uint32_t first, q5_row_plan **ret) {
    q5_row_plan *plan = q5_row_plan_create(alloc);
    if (!plan) return Q5_ENOMEM;
    int status = q5_row_plan_open(plan, Q5_LIT(""), '{', Q5_ROW_NO_COLUMN);
    if (!status) status = q5_row_plan_cell(plan, Q5_LIT("n"), first, &lite_int);
    if (!status) status = q5_row_plan_close(plan);
    if (!status) status = q5_row_plan_finish(plan);
    if (status)
        q5_row_plan_destroy(plan);
    else
        *ret = plan;
    return status;
}

static void check_append(const q5_children *children, const q5_cell *key, const char *json) {
    q5_buf out;
    q5_buf_init(&out, NULL);
    assert_status(q5_children_append(children, key, &out), Q5_OK);
    assert_slice(q5_buf_slice(&out), json);
    q5_buf_deinit(&out);
}

static void test_groups(void **state) {
    (void)state;
    static const q5_cell cells[] = {
        INT64(1),   INT64(10), INT64(2), INT64(20), INT64(1),    INT64(11), INT64(1),
        INT64(12),  NUL_CELL,  INT64(9), INT64(2),  INT64(21),   TEXT("1"), INT64(30),
        BYTES("1"), INT64(31), TEXT(""), INT64(32), DOUBLE(1.0), INT64(33),
    };
    q5_row_plan *plan = NULL;
    assert_status(make_child(NULL, 1, &plan), Q5_OK);
    q5_children_config config = {.plan = plan, .source = Q5_SOURCE_SQLITE, .key_columns = 1};
    q5_children *children = q5_children_create(&config, NULL);
    table t = TABLE(cells, 2);
    q5_row_source source = {&t, table_next};
    q5_cell keys[] = {INT64(1), INT64(2),    TEXT("1"), BYTES("1"),
                      TEXT(""), DOUBLE(1.0), INT64(3),  NUL_CELL};
    static const char *const json[] = {"[{\"n\":10},{\"n\":11},{\"n\":12}]",
                                       "[{\"n\":20},{\"n\":21}]",
                                       "[{\"n\":30}]",
                                       "[{\"n\":31}]",
                                       "[{\"n\":32}]",
                                       "[{\"n\":33}]",
                                       "[]",
                                       "[]"};
    check_append(children, &keys[0], "[]");
    assert_status(q5_children_read(children, &source, NULL), Q5_OK);
    assert_int_equal(q5_children_count(children), 9);
    for (size_t i = 0; i < Q5_ARRAY_LEN(keys); i++)
        check_append(children, &keys[i], json[i]);
    q5_children_destroy(children);
    q5_children_destroy(NULL);
    q5_row_plan_destroy(plan);
}

/* A foreign key of 8 bytes finds a key of 4. */
static void test_widths(void **state) {
    (void)state;
    q5_row_plan *plan = NULL;
    assert_status(make_child(NULL, 1, &plan), Q5_OK);
    q5_children_config config = {.plan = plan, .source = Q5_SOURCE_POSTGRESQL, .key_columns = 1};
    q5_children *children = q5_children_create(&config, NULL);
    q5_cell cells[] = {BYTES("\377\377\377\377\377\377\377\376"), INT64(1)};
    assert_status(q5_children_add(children, cells, NULL), Q5_OK);
    q5_cell narrow = BYTES("\377\377\377\376"), narrower = BYTES("\377\376"), other = BYTES("\376");
    check_append(children, &narrow, "[{\"n\":1}]");
    check_append(children, &narrower, "[{\"n\":1}]");
    check_append(children, &other, "[]");
    q5_children_destroy(children);
    q5_row_plan_destroy(plan);
}

/* Where one column of a key ends belongs to it. */
static void test_keys_of_two_columns(void **state) {
    (void)state;
    static const q5_cell cells[] = {TEXT("ab"), TEXT("c"),  INT64(1), TEXT("a"), TEXT("bc"),
                                    INT64(2),   TEXT("ab"), NUL_CELL, INT64(3)};
    q5_row_plan *plan = NULL;
    assert_status(make_child(NULL, 2, &plan), Q5_OK);
    q5_children_config config = {.plan = plan, .source = Q5_SOURCE_SQLITE, .key_columns = 2};
    q5_children *children = q5_children_create(&config, NULL);
    table t = TABLE(cells, 3);
    q5_row_source source = {&t, table_next};
    assert_status(q5_children_read(children, &source, NULL), Q5_OK);
    check_append(children, &cells[0], "[{\"n\":1}]");
    check_append(children, &cells[3], "[{\"n\":2}]");
    check_append(children, &cells[6], "[]");
    q5_children_destroy(children);
    q5_row_plan_destroy(plan);
}

/* Many keys, each in turn three times: the table grows, spans are chained. */
static void test_many_keys(void **state) {
    (void)state;
    enum { KEYS = 5000 };
    q5_row_plan *plan = NULL;
    assert_status(make_child(NULL, 1, &plan), Q5_OK);
    q5_children_config config = {
        .plan = plan, .source = Q5_SOURCE_SQLITE, .key_columns = 1, .seed = 42};
    q5_children *children = q5_children_create(&config, NULL);
    for (int64_t round = 0; round < 3; round++) {
        for (int64_t key = 0; key < KEYS; key++) {
            q5_cell cells[] = {q5_cell_int64(key << 32), q5_cell_int64(key * 10 + round)};
            assert_status(q5_children_add(children, cells, NULL), Q5_OK);
        }
    }
    for (int64_t key = 0; key < KEYS; key++) {
        char json[100];
        snprintf(json, sizeof(json), "[{\"n\":%d},{\"n\":%d},{\"n\":%d}]", (int)key * 10,
                 (int)key * 10 + 1, (int)key * 10 + 2);
        q5_cell cell = q5_cell_int64(key << 32);
        check_append(children, &cell, json);
    }
    q5_children_destroy(children);
    q5_row_plan_destroy(plan);
}

static void test_bounds(void **state) {
    (void)state;
    q5_row_plan *plan = NULL;
    assert_status(make_child(NULL, 1, &plan), Q5_OK);
    q5_children_config config = {.plan = plan, .source = Q5_SOURCE_SQLITE, .key_columns = 1};
    static const uint32_t bad[] = {0, Q5_CHILDREN_KEY_MAX + 1};
    for (size_t i = 0; i < Q5_ARRAY_LEN(bad); i++) {
        config.key_columns = bad[i];
        assert_null(q5_children_create(&config, NULL));
    }
    config.key_columns = 1;
    for (int by_rows = 0; by_rows < 2; by_rows++) {
        config.rows_max = by_rows ? 2 : 0;
        config.bytes_max = by_rows ? 0 : 16; /* two rows and their comma have 15 */
        q5_children *children = q5_children_create(&config, NULL);
        q5_cell cells[] = {INT64(1), INT64(5)};
        assert_status(q5_children_add(children, cells, NULL), Q5_OK);
        assert_status(q5_children_add(children, cells, NULL), Q5_OK);
        assert_status(q5_children_add(children, cells, NULL), Q5_ETOO_MANY);
        check_append(children, cells, "[{\"n\":5},{\"n\":5}]");
        q5_children_destroy(children);
    }
    q5_row_plan_destroy(plan);
}

/* A bad row between others leaves them whole. */
static void test_a_bad_row(void **state) {
    (void)state;
    q5_row_plan *plan = NULL;
    assert_status(make_pair(NULL, &plan), Q5_OK);
    q5_children_config config = {.plan = plan, .source = Q5_SOURCE_SQLITE, .key_columns = 1};
    q5_children *children = q5_children_create(&config, NULL);
    q5_cell good[] = {INT64(1), TEXT("a")}, bad[] = {INT64(1), TEXT("\xff")};
    q5_cell other[] = {INT64(2), TEXT("\xff")};
    assert_status(q5_children_add(children, good, NULL), Q5_OK);
    assert_status(q5_children_add(children, bad, NULL), Q5_ECELL);
    assert_status(q5_children_add(children, other, NULL), Q5_ECELL);
    assert_status(q5_children_add(children, good, NULL), Q5_OK);
    check_append(children, good, "[{\"id\":1,\"name\":\"a\"},{\"id\":1,\"name\":\"a\"}]");
    check_append(children, other, "[]");
    assert_int_equal(q5_children_count(children), 2);
    q5_children_destroy(children);
    q5_row_plan_destroy(plan);
}

/* ---- three levels: countries, their cities, their airports ----------------------------------- */

/* {"id":column id,"many":[children of slot 0 by column id]} */
static int make_parent(const q5_alloc *alloc, uint32_t id, q5_row_plan **ret) {
    q5_row_plan *plan = q5_row_plan_create(alloc);
    if (!plan) return Q5_ENOMEM;
    int status = q5_row_plan_open(plan, Q5_LIT(""), '{', Q5_ROW_NO_COLUMN);
    if (!status) status = q5_row_plan_cell(plan, Q5_LIT("id"), id, &lite_int);
    if (!status) status = q5_row_plan_many(plan, Q5_LIT("many"), 0, id, 1);
    if (!status) status = q5_row_plan_close(plan);
    if (!status) status = q5_row_plan_finish(plan);
    if (status)
        q5_row_plan_destroy(plan);
    else
        *ret = plan;
    return status;
}

static int read_level(const q5_row_plan *plan, const q5_cell *cells, size_t rows,
                      const q5_children *const *below, const q5_alloc *alloc, q5_children **ret) {
    q5_children_config config = {.plan = plan, .source = Q5_SOURCE_SQLITE, .key_columns = 1};
    *ret = q5_children_create(&config, alloc);
    if (!*ret) return Q5_ENOMEM;
    table t = {cells, 2, rows, 0};
    q5_row_source source = {&t, table_next};
    return q5_children_read(*ret, &source, below);
}

static int three_levels(const q5_alloc *alloc, void *ctx) {
    (void)ctx;
    static const q5_cell airports[] = {INT64(10),  INT64(100), INT64(11),
                                       INT64(101), INT64(10),  INT64(102)};
    static const q5_cell cities[] = {INT64(1), INT64(10), INT64(2), INT64(12), INT64(1), INT64(11)};
    static const q5_cell countries[] = {INT64(1), INT64(2), INT64(3)};
    q5_row_plan *country = NULL, *city = NULL, *airport = NULL;
    q5_children *low = NULL, *middle = NULL;
    q5_buf out;
    q5_buf_init(&out, alloc);
    int status = make_parent(alloc, 0, &country);
    if (!status) status = make_parent(alloc, 1, &city);
    if (!status) status = make_child(alloc, 1, &airport);
    if (!status) status = read_level(airport, airports, 3, NULL, alloc, &low);
    const q5_children *below[] = {low};
    if (!status) status = read_level(city, cities, 3, below, alloc, &middle);
    if (!status) {
        const q5_children *children[] = {middle};
        table t = TABLE(countries, 1);
        q5_row_source source = {&t, table_next};
        q5_row_writer writer = q5_row_writer_make(country, Q5_ROWS_ARRAY, children);
        status = q5_row_writer_run(&writer, &source, 0, &out);
        if (status == Q5_DONE) {
            status = Q5_OK;
            assert_slice(q5_buf_slice(&out),
                         "[{\"id\":1,\"many\":[{\"id\":10,\"many\":[{\"n\":100},{\"n\":102}]},"
                         "{\"id\":11,\"many\":[{\"n\":101}]}]},"
                         "{\"id\":2,\"many\":[{\"id\":12,\"many\":[]}]},{\"id\":3,\"many\":[]}]");
        }
    }
    q5_buf_deinit(&out);
    q5_children_destroy(low);
    q5_children_destroy(middle);
    q5_row_plan_destroy(country);
    q5_row_plan_destroy(city);
    q5_row_plan_destroy(airport);
    return status;
}

static void test_three_levels(void **state) {
    (void)state;
    assert_status(three_levels(q5_alloc_default(), NULL), Q5_OK);
}

static void test_failing_allocations(void **state) {
    (void)state;
    failmalloc_sweep(three_levels, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_widths),
        cmocka_unit_test(test_keys_of_two_columns),
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_a_bad_row),
        cmocka_unit_test(test_three_levels),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
