#include "sql/celltest.h"

static const cell_row rows[] = {
#include "sql/cell_table.inc"
};

static void test_table(void **state) {
    (void)state;
    check_cells(rows, Q5_ARRAY_LEN(rows));
}

static bool has_fixed_length(const q5_type *type) {
    return type->source == Q5_SOURCE_POSTGRESQL && type->value != Q5_VALUE_TEXT &&
           type->value != Q5_VALUE_BYTES && type->value != Q5_VALUE_JSON;
}

/* What is cut or has a byte too many is refused wherever the format says how long it is; everywhere
 * else it must not be read past its end, which a sanitizer sees. */
static void test_wrong_lengths(void **state) {
    (void)state;
    q5_buf out;
    q5_buf_init(&out, NULL);
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_cell cell = rows[i].cell;
        if (cell.kind != Q5_CELL_TEXT && cell.kind != Q5_CELL_BYTES) continue;
        bool fixed = has_fixed_length(&rows[i].type);
        for (size_t len = 0; len < rows[i].cell.bytes.len; len++) {
            cell.bytes.len = len;
            int status = encode_cell(&rows[i].type, &cell, &out);
            if (fixed && status != Q5_ECELL) fail_msg("row %zu cut at %zu", i, len);
        }
        cell.bytes.len = rows[i].cell.bytes.len + 1; /* the literal's NUL */
        int status = encode_cell(&rows[i].type, &cell, &out);
        if (fixed && status != Q5_ECELL) fail_msg("row %zu with a byte more", i);
        out.len = 0;
    }
    q5_buf_deinit(&out);
}

static void test_null(void **state) {
    (void)state;
    q5_buf out;
    q5_buf_init(&out, NULL);
    q5_cell null = q5_cell_null();
    assert_status(encode_cell(&rows[0].type, &null, &out), Q5_OK);
    assert_slice(q5_buf_slice(&out), "null");
    q5_buf_deinit(&out);
}

#define PG_WITH(what, type, ...) \
    { .source = Q5_SOURCE_POSTGRESQL, .value = Q5_VALUE_##what, .oid = Q5_PG_##type, __VA_ARGS__ }
#define PG(what, type) PG_WITH(what, type, .array = false)
#define LITE_WITH(what, ...) \
    { .source = Q5_SOURCE_SQLITE, .value = Q5_VALUE_##what, __VA_ARGS__ }
#define LITE(what) LITE_WITH(what, .array = false)

/* What psycopg or Django would refuse, or what only Python can tell. */
static void test_beyond_python(void **state) {
    (void)state;
#define RANGE NULL, Q5_ECELL_RANGE
    static const cell_row bad[] = {
        {PG(DATE, DATE), BYTES("\177\377\377\377"), RANGE}, /* infinity */
        {PG(DATE, DATE), BYTES("\200\000\000\000"), RANGE},
        {PG(DATE, DATE), BYTES("\377\364\333\370"), RANGE}, /* 0001-12-31 BC */
        {PG(DATE, DATE), BYTES("\000\054\225\324"), RANGE}, /* 10000-01-01 */
        {PG(DATETIME, TIMESTAMP), BYTES("\177\377\377\377\377\377\377\377"), RANGE},
        {PG_WITH(DATETIME, TIMESTAMPTZ, .utc = true), BYTES("\200\0\0\0\0\0\0\0"), RANGE},
        {PG(TIME, TIME), BYTES("\0\0\0\024\035\327\140\0"), RANGE}, /* 24:00:00 */
        {PG(TIME, TIME), BYTES("\377\377\377\377\377\377\377\377"), RANGE},
        {PG(DURATION, INTERVAL), BYTES("\0\0\0\0\0\0\0\0\0\0\0\0\177\0\0\0"), RANGE},
        {PG(INT, NUMERIC), BYTES("\0\0\0\0\300\0\0\0"), RANGE},
        {PG(INT, FLOAT8), BYTES("\177\370\0\0\0\0\0\0"), RANGE},
        {PG(JSON, JSONB), BYTES("\1\"\\ud800\""), RANGE},
        {LITE(BOOL), INT64(2), RANGE},
        {LITE(DATE), INT64(2026), RANGE},
        {LITE(DATE), TEXT("2026-02-29"), RANGE},
        {LITE(DATE), TEXT("2026-2-09"), RANGE},
        {LITE(DATE), TEXT("0000-01-01"), RANGE},
        {LITE(TIME), TEXT("24:00:00"), RANGE},
        {LITE(TIME), TEXT("23:00:60"), RANGE},
        {LITE(TIME), TEXT("23:00:00."), RANGE},
        {LITE(TIME), TEXT("23:00:00.1234567"), RANGE},
        {LITE_WITH(DATETIME, .utc = true), TEXT("2026-01-01 10:00:00+01:00"), RANGE},
        {LITE_WITH(DATETIME, .utc = true), TEXT("2026-01-01"), RANGE},
        {LITE(DURATION), DOUBLE(1.5), RANGE},
        {LITE(UUID), TEXT("12345678"), RANGE},
        {LITE(UUID), TEXT("g2345678123456781234567812345678"), RANGE},
        {LITE(UUID), TEXT("12345678-9abcxdef0-0123-456789abcdef"), RANGE},
        {LITE_WITH(DECIMAL, .expression = true), TEXT("one"), RANGE},
        {LITE_WITH(DECIMAL, .expression = true), TEXT("1e"), RANGE},
        {LITE_WITH(DECIMAL, .expression = true), TEXT("NaN"), RANGE},
        {LITE_WITH(DECIMAL, .expression = true), DOUBLE(__builtin_inf()), RANGE},
        {LITE_WITH(DECIMAL, .decimal_places = 2, .max_digits = 3), INT64(10), RANGE},
        {LITE(JSON), BYTES("{}"), RANGE},
    };
    check_cells(bad, Q5_ARRAY_LEN(bad));
}

static void test_malformed(void **state) {
    (void)state;
#define BAD NULL, Q5_ECELL
    static const cell_row bad[] = {
        {PG(TEXT, TEXT), BYTES("\377"), BAD},
        {PG(TEXT, TEXT), BYTES("0123456789abcdef\355\240\200"), BAD},
        {LITE(TEXT), TEXT("caf\303"), BAD},
        {PG(INT, INT4), INT64(5), BAD},
        {PG(DECIMAL, NUMERIC), BYTES("\0\1\0\0\0\0\0\0\47\20"), BAD}, /* digit 10000 */
        {PG(DECIMAL, NUMERIC), BYTES("\0\0\0\0\1\0\0\0"), BAD},       /* sign */
        {PG(DECIMAL, NUMERIC), BYTES("\0\0\0\0\0\0\100\0"), BAD},     /* dscale */
        {PG(TIME, TIMETZ), BYTES("\0\0\0\0\0\0\0\0\0\0\341\0"), BAD}, /* 16 hours */
        {PG(IP, INET), BYTES("\2\41\0\4abcd"), BAD},
        {PG(IP, INET), BYTES("\4\40\0\4abcd"), BAD},
        {PG(JSON, JSONB), BYTES("\2{}"), BAD},
        {PG(JSON, JSON), BYTES("{\"a\":1,}"), BAD},
        {PG(JSON, JSON), BYTES("[1 2]"), BAD},
        {PG(JSON, JSON), BYTES("[1,]"), BAD},
        {PG(JSON, JSON), BYTES("[}"), BAD},
        {PG(JSON, JSON), BYTES("{1:2}"), BAD},
        {PG(JSON, JSON), BYTES("01"), BAD},
        {PG(JSON, JSON), BYTES("1."), BAD},
        {PG(JSON, JSON), BYTES("NaN"), BAD},
        {PG(JSON, JSON), BYTES("1 1"), BAD},
        {PG(JSON, JSON), BYTES("\"\n\""), BAD},
        {PG(JSON, JSON), BYTES("\"\\x\""), BAD},
        {PG(JSON, JSON), BYTES("\"\377\""), BAD},
        /* arrays: of another type; 2 items announced; an item longer than what is left; 7
           dimensions */
        {PG_WITH(INT, INT4, .array = true),
         BYTES("\0\0\0\1\0\0\0\0\0\0\0\31\0\0\0\1\0\0\0\1\377\377\377\377"), BAD},
        {PG_WITH(INT, INT4, .array = true),
         BYTES("\0\0\0\1\0\0\0\0\0\0\0\27\0\0\0\2\0\0\0\1\377\377\377\377"), BAD},
        {PG_WITH(INT, INT4, .array = true),
         BYTES("\0\0\0\1\0\0\0\0\0\0\0\27\0\0\0\1\0\0\0\1\0\0\0\4\0\0\0"), BAD},
        {PG_WITH(INT, INT4, .array = true), BYTES("\0\0\0\7\0\0\0\0\0\0\0\27"), BAD},
        {PG_WITH(INT, INT4, .array = true),
         BYTES("\0\0\0\2\0\0\0\0\0\0\0\27\377\377\377\377\0\0\0\1\377\377\377\377\0\0\0\1"), BAD},
    };
    check_cells(bad, Q5_ARRAY_LEN(bad));
}

static void test_pairs_without_an_encoder(void **state) {
    (void)state;
    static const q5_type types[] = {
        PG(INT, TEXT),
        PG(TEXT, INT4),
        PG(BOOL, INT4),
        PG(DATE, TIMESTAMP),
        PG_WITH(DATETIME, TIMESTAMP, .utc = true),
        PG(UUID, TEXT),
        PG(JSON, TEXT),
        PG(IP, TEXT),
        PG(DECIMAL, FLOAT8),
        LITE_WITH(INT, .array = true),
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(types); i++) {
        q5_encoder encoder;
        assert_status(q5_encoder_choose(&types[i], &encoder), Q5_NOT_FOUND);
    }
    assert_int_equal(q5_pg_element_type(1007), Q5_PG_INT4);
    assert_int_equal(q5_pg_element_type(23), 0);
    assert_int_equal(q5_pg_element_type(0), 0);
    assert_int_equal(q5_pg_array_type(Q5_PG_UUID), 2951);
    assert_int_equal(q5_pg_array_type(1), 0);
}

static void test_deep_json(void **state) {
    (void)state;
    enum { DEPTH = 1024 };
    char text[2 * DEPTH + 2];
    memset(text, '[', DEPTH + 1);
    memset(text + DEPTH + 1, ']', DEPTH + 1);
    static const q5_type type = PG(JSON, JSON);
    q5_buf out;
    q5_buf_init(&out, NULL);
    q5_cell cell = q5_cell_bytes(text, sizeof(text));
    assert_status(encode_cell(&type, &cell, &out), Q5_ECELL_RANGE);
    cell = q5_cell_bytes(text + 1, sizeof(text) - 2);
    assert_status(encode_cell(&type, &cell, &out), Q5_OK);
    assert_int_equal(out.len, 2 * DEPTH);
    q5_buf_deinit(&out);
}

static int scenario(const q5_alloc *alloc, void *ctx) {
    (void)ctx;
    q5_buf out;
    q5_buf_init(&out, alloc);
    int status = Q5_OK;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows) && status == Q5_OK; i++) {
        if (rows[i].status) continue;
        size_t before = out.len;
        status = encode_cell(&rows[i].type, &rows[i].cell, &out);
        if (status) assert_int_equal(out.len, before);
    }
    q5_buf_deinit(&out);
    return status;
}

static void test_failing_allocations(void **state) {
    (void)state;
    failmalloc_sweep(scenario, NULL);
}

/* Each by itself, into a buffer that has no room. */
static void test_a_failing_first_allocation(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        if (rows[i].status) continue;
        failmalloc fm;
        failmalloc_init(&fm, 0);
        q5_buf out;
        q5_buf_init(&out, &fm.alloc);
        assert_status(encode_cell(&rows[i].type, &rows[i].cell, &out), Q5_ENOMEM);
        assert_int_equal(out.len, 0);
        q5_buf_deinit(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_wrong_lengths),
        cmocka_unit_test(test_null),
        cmocka_unit_test(test_beyond_python),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_pairs_without_an_encoder),
        cmocka_unit_test(test_deep_json),
        cmocka_unit_test(test_failing_allocations),
        cmocka_unit_test(test_a_failing_first_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
