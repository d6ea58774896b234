#include "q5/param.h"

#include "sql/celltest.h"

/* A parameter, and what its bytes read as: by way of an encoder of cells, which has tests of its
 * own against what PostgreSQL sends. */
typedef struct param_row {
    q5_param param;
    uint32_t oid;
    q5_value value;
    const char *json;
} param_row;

#define INT(what, number) \
    { .kind = Q5_PARAM_##what, .int64 = (number) }
#define STR(what, text)                                               \
    {                                                                 \
        .kind = Q5_PARAM_##what, .bytes = {(text), sizeof(text) - 1 } \
    }
#define REAL(number) \
    { .kind = Q5_PARAM_DOUBLE, .real = (number) }

static void check_binary(const param_row *row, bool array) {
    q5_buf wire, out;
    q5_buf_init(&wire, NULL);
    q5_buf_init(&out, NULL);
    q5_param_format format = Q5_PARAM_AS_TEXT;
    uint32_t oid = array ? q5_pg_array_type(row->oid) : row->oid;
    assert_status(q5_param_pg_encode(&row->param, oid, &wire, &format), Q5_OK);
    assert_int_equal(format, Q5_PARAM_AS_BINARY);
    q5_type type = {.source = Q5_SOURCE_POSTGRESQL,
                    .value = row->value,
                    .oid = row->oid,
                    .array = array,
                    .utc = row->oid == Q5_PG_TIMESTAMPTZ};
    q5_cell cell = q5_cell_bytes(wire.base, wire.len);
    assert_status(encode_cell(&type, &cell, &out), Q5_OK);
    assert_slice(q5_buf_slice(&out), row->json);
    q5_buf_deinit(&wire);
    q5_buf_deinit(&out);
}

static void test_binary(void **state) {
    (void)state;
    static const param_row rows[] = {
        {INT(BOOL, 1), Q5_PG_BOOL, Q5_VALUE_BOOL, "true"},
        {INT(BOOL, 0), Q5_PG_BOOL, Q5_VALUE_BOOL, "false"},
        {INT(INT64, -32768), Q5_PG_INT2, Q5_VALUE_INT, "-32768"},
        {INT(INT64, INT32_MAX), Q5_PG_INT4, Q5_VALUE_INT, "2147483647"},
        {INT(INT64, INT64_MIN), Q5_PG_INT8, Q5_VALUE_INT, "-9223372036854775808"},
        {INT(INT64, UINT32_MAX), Q5_PG_OID, Q5_VALUE_INT, "4294967295"},
        {INT(INT64, -5), Q5_PG_FLOAT8, Q5_VALUE_FLOAT, "-5.0"},
        {INT(INT64, -1234500000), Q5_PG_NUMERIC, Q5_VALUE_DECIMAL, "\"-1234500000\""},
        {REAL(1.5e-7), Q5_PG_FLOAT8, Q5_VALUE_FLOAT, "1.5e-7"},
        {STR(TEXT, ""), Q5_PG_TEXT, Q5_VALUE_TEXT, "\"\""},
        {STR(TEXT, "a\"b"), Q5_PG_VARCHAR, Q5_VALUE_TEXT, "\"a\\\"b\""},
        {STR(BYTES, "\0\377"), Q5_PG_BYTEA, Q5_VALUE_BYTES, "\"AP8=\""},
        {INT(DATE, 0), Q5_PG_DATE, Q5_VALUE_DATE, "\"1970-01-01\""},
        {INT(DATE, -719162), Q5_PG_DATE, Q5_VALUE_DATE, "\"0001-01-01\""},
        {INT(DATE, 2932896), Q5_PG_DATE, Q5_VALUE_DATE, "\"9999-12-31\""},
        {INT(TIME, 1), Q5_PG_TIME, Q5_VALUE_TIME, "\"00:00:00.000001\""},
        {INT(TIMESTAMP, -1), Q5_PG_TIMESTAMP, Q5_VALUE_DATETIME, "\"1969-12-31T23:59:59.999999\""},
        {INT(TIMESTAMPTZ, 0), Q5_PG_TIMESTAMPTZ, Q5_VALUE_DATETIME, "\"1970-01-01T00:00:00Z\""},
        {INT(INTERVAL, -1), Q5_PG_INTERVAL, Q5_VALUE_DURATION, "\"-PT0.000001S\""},
        {INT(INTERVAL, INT64_C(90000000000)), Q5_PG_INTERVAL, Q5_VALUE_DURATION, "\"P1DT3600S\""},
        {STR(UUID, "\1#Eg\211\253\315\357\1#Eg\211\253\315\357"), Q5_PG_UUID, Q5_VALUE_UUID,
         "\"01234567-89ab-cdef-0123-456789abcdef\""},
        {STR(JSON, "{\"a\": 1}"), Q5_PG_JSONB, Q5_VALUE_JSON, "{\"a\":1}"},
        {STR(JSON, "[1, 2]"), Q5_PG_JSON, Q5_VALUE_JSON, "[1,2]"},
        {STR(DECIMAL, "0"), Q5_PG_NUMERIC, Q5_VALUE_DECIMAL, "\"0\""},
        {STR(DECIMAL, "-0.00"), Q5_PG_NUMERIC, Q5_VALUE_DECIMAL, "\"0.00\""},
        {STR(DECIMAL, "-12.50"), Q5_PG_NUMERIC, Q5_VALUE_DECIMAL, "\"-12.50\""},
        {STR(DECIMAL, "0.0001"), Q5_PG_NUMERIC, Q5_VALUE_DECIMAL, "\"0.0001\""},
        {STR(DECIMAL, "0.00001"), Q5_PG_NUMERIC, Q5_VALUE_DECIMAL, "\"0.00001\""},
        {STR(DECIMAL, "10000.0001"), Q5_PG_NUMERIC, Q5_VALUE_DECIMAL, "\"10000.0001\""},
        {STR(DECIMAL, "1E+3"), Q5_PG_NUMERIC, Q5_VALUE_DECIMAL, "\"1000\""},
        {STR(DECIMAL, "1.5E-10"), Q5_PG_NUMERIC, Q5_VALUE_DECIMAL, "\"1.5E-10\""},
        {STR(DECIMAL, "0012.30"), Q5_PG_NUMERIC, Q5_VALUE_DECIMAL, "\"12.30\""},
        {STR(DECIMAL, "NaN"), Q5_PG_NUMERIC, Q5_VALUE_DECIMAL, "\"NaN\""},
        {STR(DECIMAL, "-Infinity"), Q5_PG_NUMERIC, Q5_VALUE_DECIMAL, "\"-Infinity\""},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++)
        check_binary(&rows[i], false);
}

/* Pairs without a binary form: with the NUL that libpq wants. */
static void test_text(void **state) {
    (void)state;
    static const struct {
        q5_param param;
        uint32_t oid;
        const char *text;
    } rows[] = {
        {INT(BOOL, 1), Q5_PG_TEXT, "t"},
        {INT(INT64, -5), Q5_PG_TEXT, "-5"},
        {REAL(0.5), Q5_PG_NUMERIC, "0.5"},
        {REAL(__builtin_nan("")), 0, "NaN"},
        {REAL(-__builtin_inf()), 0, "-Infinity"},
        {STR(TEXT, "5"), Q5_PG_INT4, "5"},
        {STR(TEXT, ""), 0, ""},
        {STR(BYTES, "\1\377"), 0, "\\x01ff"},
        {STR(DECIMAL, "1.5"), Q5_PG_FLOAT8, "1.5"},
        {STR(JSON, "[1]"), 0, "[1]"},
        {INT(DATE, 0), 0, "1970-01-01"},
        {INT(TIME, 0), 0, "00:00:00"},
        {INT(TIMESTAMP, 1), 0, "1970-01-01T00:00:00.000001"},
        {INT(TIMESTAMPTZ, 0), Q5_PG_TEXT, "1970-01-01T00:00:00Z"},
        {INT(INTERVAL, -7), 0, "-7 microseconds"},
        {STR(UUID, "\1#Eg\211\253\315\357\1#Eg\211\253\315\357"), Q5_PG_TEXT,
         "01234567-89ab-cdef-0123-456789abcdef"},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_buf out;
        q5_buf_init(&out, NULL);
        assert_status(q5_buf_append(&out, "x", 1), Q5_OK);
        q5_param_format format = Q5_PARAM_AS_BINARY;
        assert_status(q5_param_pg_encode(&rows[i].param, rows[i].oid, &out, &format), Q5_OK);
        assert_int_equal(format, Q5_PARAM_AS_TEXT);
        assert_int_equal(out.base[out.len - 1], 0);
        assert_slice(q5_slice_make(out.base + 1, out.len - 2), rows[i].text);
        q5_buf_deinit(&out);
    }
}

static const q5_param integers[] = {INT(INT64, 1), {.kind = Q5_PARAM_NULL}, INT(INT64, -3)};
static const q5_param texts[] = {STR(TEXT, "a"), STR(TEXT, "\"")};
static const q5_param uuids[] = {STR(UUID, "\1#Eg\211\253\315\357\1#Eg\211\253\315\357")};
static const q5_param nested[] = {{.kind = Q5_PARAM_ARRAY, .array = {integers, 3}}};

#define ARRAY(items, count)                                  \
    {                                                        \
        .kind = Q5_PARAM_ARRAY, .array = {(items), (count) } \
    }

static void test_arrays(void **state) {
    (void)state;
    static const param_row rows[] = {
        {ARRAY(integers, 3), Q5_PG_INT8, Q5_VALUE_INT, "[1,null,-3]"},
        {ARRAY(integers, 3), Q5_PG_INT4, Q5_VALUE_INT, "[1,null,-3]"},
        {ARRAY(integers, 0), Q5_PG_INT8, Q5_VALUE_INT, "[]"},
        {ARRAY(texts, 2), Q5_PG_TEXT, Q5_VALUE_TEXT, "[\"a\",\"\\\"\"]"},
        {ARRAY(uuids, 1), Q5_PG_UUID, Q5_VALUE_UUID, "[\"01234567-89ab-cdef-0123-456789abcdef\"]"},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++)
        check_binary(&rows[i], true);
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        q5_param param;
        uint32_t oid;
        int status;
    } rows[] = {
        {INT(INT64, 32768), Q5_PG_INT2, Q5_ECELL_RANGE},
        {INT(INT64, INT64_C(1) << 31), Q5_PG_INT4, Q5_ECELL_RANGE},
        {INT(INT64, -1), Q5_PG_OID, Q5_ECELL_RANGE},
        {INT(DATE, INT64_MAX), Q5_PG_DATE, Q5_ECELL_RANGE},
        {INT(DATE, -2440589), Q5_PG_DATE, Q5_ECELL_RANGE},
        {INT(DATE, INT32_MAX), Q5_PG_TEXT, Q5_ECELL_RANGE},
        {INT(TIME, -1), Q5_PG_TIME, Q5_ECELL_RANGE},
        {INT(TIMESTAMP, INT64_MIN), Q5_PG_TIMESTAMP, Q5_ECELL_RANGE},
        {STR(TEXT, "a\0b"), Q5_PG_TEXT, Q5_EINVAL},
        {STR(TEXT, "a\0b"), 0, Q5_EINVAL},
        {STR(UUID, "short"), Q5_PG_UUID, Q5_EINVAL},
        {STR(UUID, "short"), 0, Q5_EINVAL},
        {STR(DECIMAL, ""), Q5_PG_NUMERIC, Q5_EINVAL},
        {STR(DECIMAL, "-"), Q5_PG_NUMERIC, Q5_EINVAL},
        {STR(DECIMAL, "."), Q5_PG_NUMERIC, Q5_EINVAL},
        {STR(DECIMAL, "1.2.3"), Q5_PG_NUMERIC, Q5_EINVAL},
        {STR(DECIMAL, "1e"), Q5_PG_NUMERIC, Q5_EINVAL},
        {STR(DECIMAL, "1e+x"), Q5_PG_NUMERIC, Q5_EINVAL},
        {STR(DECIMAL, "sNaN"), Q5_PG_NUMERIC, Q5_EINVAL},
        {STR(DECIMAL, "1E+131072"), Q5_PG_NUMERIC, Q5_ECELL_RANGE},
        {STR(DECIMAL, "1E-16384"), Q5_PG_NUMERIC, Q5_ECELL_RANGE},
        {STR(DECIMAL, "1E+99999999999999999999"), Q5_PG_NUMERIC, Q5_ECELL_RANGE},
        {ARRAY(integers, 3), Q5_PG_INT8, Q5_EINVAL}, /* not an array's type */
        {ARRAY(integers, 3), 1009, Q5_EINVAL},       /* text[] */
        {ARRAY(nested, 1), 1016, Q5_EINVAL},
        {ARRAY(integers, Q5_PARAM_ITEMS_MAX + 1), 1016, Q5_EINVAL},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_buf out;
        q5_buf_init(&out, NULL);
        assert_status(q5_buf_append(&out, "x", 1), Q5_OK);
        q5_param_format format = (q5_param_format)7;
        int status = q5_param_pg_encode(&rows[i].param, rows[i].oid, &out, &format);
        if (status != rows[i].status) fail_msg("row %zu: %s", i, q5_status_name(status));
        assert_int_equal(out.len, 1);
        assert_int_equal(format, 7);
        q5_buf_deinit(&out);
    }
}

static void test_types(void **state) {
    (void)state;
    static const q5_param null = {.kind = Q5_PARAM_NULL}, number = INT(INT64, 1);
    static const q5_param some = ARRAY(integers + 1, 2), none = ARRAY(integers, 0);
    assert_int_equal(q5_param_pg_type(&null), 0);
    assert_int_equal(q5_param_pg_type(&number), Q5_PG_INT8);
    assert_int_equal(q5_param_pg_type(&some), 1016);
    assert_int_equal(q5_param_pg_type(&none), 0);
    q5_buf out;
    q5_buf_init(&out, NULL);
    q5_param_format format;
    assert_status(q5_param_pg_encode(&null, Q5_PG_INT8, &out, &format), Q5_OK);
    assert_int_equal(out.len, 0);
    q5_buf_deinit(&out);
}

static int scenario(const q5_alloc *alloc, void *ctx) {
    (void)ctx;
    static const q5_param params[] = {ARRAY(integers, 3), INT(TIMESTAMPTZ, 0), STR(DECIMAL, "1.5")};
    static const uint32_t oids[] = {1016, 0, Q5_PG_NUMERIC};
    int status = Q5_OK;
    for (size_t i = 0; i < Q5_ARRAY_LEN(params) && status == Q5_OK; i++) {
        q5_buf out;
        q5_buf_init(&out, alloc);
        q5_param_format format;
        status = q5_param_pg_encode(&params[i], oids[i], &out, &format);
        if (status) assert_int_equal(out.len, 0);
        q5_buf_deinit(&out);
    }
    return status;
}

static void test_failing_allocations(void **state) {
    (void)state;
    failmalloc_sweep(scenario, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binary), cmocka_unit_test(test_text),
        cmocka_unit_test(test_arrays), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_types),  cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
