#include "json/json_internal.h"

#include <stdlib.h>

#include "q5test.h"

#define AT_END SIZE_MAX

typedef struct guard_row {
    const char *text;
    int status;
    size_t error;
} guard_row;

/* The text stands at the end of its own allocation, so that a sanitizer sees a read behind it. */
static int guard(const char *text, size_t len, const q5_json_limits *limits, size_t *ret_error) {
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    int status = q5_json_guard(copy, len, limits, ret_error);
    free(copy);
    return status;
}

static void check_rows(const guard_row *rows, size_t count, const q5_json_limits *limits) {
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(rows[i].text), error = 12345;
        int status = guard(rows[i].text, len, limits, &error);
        size_t want = rows[i].status == Q5_OK   ? 12345
                      : rows[i].error == AT_END ? len
                                                : rows[i].error;
        if (status != rows[i].status || error != want)
            fail_msg("%s: %s at %zu\n%*s", rows[i].text, q5_status_name(status), error,
                     (int)error + 1, "^");
    }
}

static void test_structure(void **state) {
    (void)state;
    static const guard_row rows[] = {
        {"", Q5_OK, 0}, /* the decoder's business */
        {"null", Q5_OK, 0},
        {"{}", Q5_OK, 0},
        {" [ { } , [ ] ] ", Q5_OK, 0},
        {"{\"a\":[1,{\"b\":null}],\"c\":\"}]\"}", Q5_OK, 0},
        {"[", Q5_EJSON, AT_END},
        {"{\"a\":[1,2}", Q5_EJSON, 9},
        {"[}", Q5_EJSON, 1},
        {"{]", Q5_EJSON, 1},
        {"]", Q5_EJSON, 0},
        {"[]]", Q5_EJSON, 2},
        {"{}{", Q5_EJSON, AT_END},
        /* RFC 8259, 7: strings end at a quote that is not escaped. */
        {"\"\"", Q5_OK, 0},
        {"\"", Q5_EJSON, 0},
        {"[\"abc]", Q5_EJSON, 1},
        {"\"\\\"", Q5_EJSON, 0},
        {"\"\\\\\"", Q5_OK, 0},
        {"\"\\", Q5_EJSON, 0},
        {"\"\\\\\\\"\"", Q5_OK, 0},
        {"\"1234567\"[", Q5_EJSON, AT_END},
        {"\"12345678[[[\\\"[[[[[[[[[[[[\\\\\"", Q5_OK, 0},
        {"\"[[[[[[[[[[[[[[[[[[[[[[[[[[[", Q5_EJSON, 0},
        {"\"caf\xc3\xa9\xff\"", Q5_OK, 0},
    };
    check_rows(rows, Q5_ARRAY_LEN(rows), NULL);
}

static void test_integers(void **state) {
    (void)state;
    static const guard_row rows[] = {
        {"18446744073709551615", Q5_OK, 0},
        {"18446744073709551616", Q5_EJSON_INT, 0},
        {"20000000000000000000", Q5_EJSON_INT, 0},
        {"-9223372036854775808", Q5_OK, 0},
        {"-9223372036854775809", Q5_EJSON_INT, 0},
        {"[0,-18446744073709551615]", Q5_EJSON_INT, 3},
        {"{\"a\": 99999999999999999999999999}", Q5_EJSON_INT, 6},
        {"\"99999999999999999999999999\"", Q5_OK, 0},
        {"99999999999999999999999999.5", Q5_OK,
         0}, /* RFC 8259, 6: fraction, exponent: no integer */
        {"99999999999999999999999999e-3", Q5_OK, 0},
        {"99999999999999999999999999E+3", Q5_OK, 0},
        {"1.99999999999999999999999999", Q5_OK, 0},
        {"[1e5,18446744073709551616]", Q5_EJSON_INT, 5},
        {"[1.5e+99999999999999999999999,1]", Q5_OK, 0},
        {"-", Q5_OK, 0},
        {"-0", Q5_OK, 0},
        {"000000000000000000000000000001", Q5_OK, 0}, /* malformed, but not too big */
    };
    check_rows(rows, Q5_ARRAY_LEN(rows), NULL);
    q5_json_limits big = q5_json_limits_default();
    big.allow_big_int = true;
    size_t error;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++)
        assert_status(guard(rows[i].text, strlen(rows[i].text), &big, &error), Q5_OK);
}

static void test_limits(void **state) {
    (void)state;
    static const q5_json_limits limits = {.depth_max = 3, .keys_max = 4};
    static const guard_row rows[] = {
        {"[[[]]]", Q5_OK, 0},
        {"[[[[]]]]", Q5_EJSON_DEPTH, 3},
        {"[[[],[],[{}]]]", Q5_EJSON_DEPTH, 9},
        {"[[[]],{\"a\":{}}]", Q5_OK, 0},
        {"{\"a\":0,\"b\":0,\"c\":0,\"d\":0}", Q5_OK, 0},
        {"{\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0}", Q5_EJSON_KEYS, 28},
        {"[{\"a\":{\"b\":0}},{\"c\":0},{\"d\":0},{\"::::\":0}]", Q5_EJSON_KEYS, 38},
        {"[\"a:b:c:d:e:f\"]", Q5_OK, 0},
    };
    check_rows(rows, Q5_ARRAY_LEN(rows), &limits);
}

static void test_default_and_greatest_limits(void **state) {
    (void)state;
    enum { N = 200 * 1024 };
    static char text[N];
    size_t error = 0;
    q5_json_limits limits = q5_json_limits_default();
    memset(text, '[', 128);
    memset(text + 128, ']', 128);
    assert_status(guard(text, 256, NULL, &error), Q5_OK);
    memset(text, '[', N);
    assert_status(guard(text, N, NULL, &error), Q5_EJSON_DEPTH);
    assert_int_equal(error, 128);
    limits.depth_max = UINT32_MAX;
    assert_status(guard(text, N, &limits, &error), Q5_EJSON_DEPTH);
    assert_int_equal(error, Q5_JSON_DEPTH_MAX);
    /* Alternating kinds, closed in order: each bit of the set is used. */
    for (size_t i = 0; i < Q5_JSON_DEPTH_MAX; i++) {
        bool object = i % 3 == 1;
        text[i] = object ? '{' : '[';
        text[2 * Q5_JSON_DEPTH_MAX - 1 - i] = object ? '}' : ']';
    }
    assert_status(guard(text, (size_t)2 * Q5_JSON_DEPTH_MAX, &limits, &error), Q5_OK);
    for (size_t i = Q5_JSON_DEPTH_MAX; i < (size_t)2 * Q5_JSON_DEPTH_MAX; i++) {
        text[i] ^= ']' ^ '}';
        assert_status(guard(text, (size_t)2 * Q5_JSON_DEPTH_MAX, &limits, &error), Q5_EJSON);
        assert_int_equal(error, i);
        text[i] ^= ']' ^ '}';
    }
    memset(text, ':', N);
    assert_status(guard(text, N, NULL, &error), Q5_EJSON_KEYS);
    assert_int_equal(error, 100000);
}

/* A quote at each place of a string, at each alignment. */
static void test_strings_of_every_length(void **state) {
    (void)state;
    char text[64];
    for (size_t from = 0; from < 8; from++)
        for (size_t len = 0; len < 40; len++)
            for (size_t escape = 0; escape < 40; escape++) {
                memset(text, ' ', from);
                memset(text + from, '[', sizeof(text) - from);
                text[from] = '"';
                text[from + 1 + len] = '"';
                bool escaped = escape < len;
                if (escaped) text[from + 1 + escape] = '\\';
                bool open = escaped && escape + 1 == len;
                size_t error = 0, size = from + len + 2;
                assert_status(guard(text, size, NULL, &error), open ? Q5_EJSON : Q5_OK);
                if (open) assert_int_equal(error, from);
            }
}

static bool glance(const char *text, size_t len) {
    q5_json_limits limits = q5_json_limits_default();
    return q5__json_glance(text, len, &limits);
}

/* The texts that APIs are sent do not take the slow way, wherever a block of 64 bytes ends. */
static void test_a_glance_is_enough(void **state) {
    (void)state;
    static const char text[] =
        "{\"id\": 4711, \"name\": \"a \\\"quoted\\\" \\\\\", \"tags\": [\"[\", \"}\", \":\"],"
        " \"price\": -12.50, \"at\": 123456789012345678, \"nested\": [[{}], {\"a\": [1, 2]}]}";
    char padded[sizeof(text) + 130];
    for (size_t spaces = 0; spaces < 130; spaces++) {
        memset(padded, ' ', spaces);
        memcpy(padded + spaces, text, sizeof(text) - 1);
        size_t len = spaces + sizeof(text) - 1;
        assert_true(glance(padded, len));
        assert_false(glance(padded, len - 1));
        padded[len++] = ']';
        assert_false(glance(padded, len));
    }
}

/* Each fault, wherever a block of 64 bytes ends, is seen by the glance and found at its place. */
static void test_faults_at_every_place(void **state) {
    (void)state;
    static const guard_row rows[] = {
        {"[1234567890123456789012]", Q5_EJSON_INT, 1},
        {"[-99999999999999999999]", Q5_EJSON_INT, 1},
        {"[18446744073709551616]", Q5_EJSON_INT, 1},
        {"[\"\\\"]", Q5_EJSON, 1},
        {"[\"\\\\\\\"]", Q5_EJSON, 1},
        {"[}", Q5_EJSON, 1},
        {"{\"a\":[}]", Q5_EJSON, 6},
        {"\\\"[", Q5_EJSON, 1},
    };
    char text[256];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t spaces = 0; spaces < 140; spaces++) {
            size_t len = strlen(rows[i].text), error = 0;
            memset(text, ' ', spaces);
            memcpy(text + spaces, rows[i].text, len);
            assert_false(glance(text, spaces + len));
            assert_status(guard(text, spaces + len, NULL, &error), rows[i].status);
            assert_int_equal(error, spaces + rows[i].error);
        }
}

static void test_runs_of_backslashes(void **state) {
    (void)state;
    char text[320];
    for (size_t spaces = 0; spaces < 70; spaces++)
        for (size_t count = 0; count < 140; count++) {
            size_t len = 0;
            memset(text, ' ', spaces);
            len += spaces;
            text[len++] = '"';
            memset(text + len, '\\', count);
            len += count;
            text[len++] = '"';
            assert_int_equal(glance(text, len), count % 2 == 0);
            text[len++] = '"';
            assert_int_equal(glance(text, len), count % 2 == 1);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_structure),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_default_and_greatest_limits),
        cmocka_unit_test(test_strings_of_every_length),
        cmocka_unit_test(test_a_glance_is_enough),
        cmocka_unit_test(test_faults_at_every_place),
        cmocka_unit_test(test_runs_of_backslashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
