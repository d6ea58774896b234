#include "q5/json_number.h"

#include <stdlib.h>

#include "q5test.h"

/* What msgspec.json.encode gives. */
static void test_doubles(void **state) {
    (void)state;
    static const struct {
        double number;
        const char *json;
    } rows[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {1.0, "1.0"},
        {-1.5, "-1.5"},
        {0.1, "0.1"},
        {123.456, "123.456"},
        {0.30000000000000004, "0.30000000000000004"},
        {0.0001, "0.0001"},
        {0.00001234, "0.00001234"},
        {1e-5, "0.00001"},
        {1e-6, "1e-6"},
        {1.5e-7, "1.5e-7"},
        {1e15, "1000000000000000.0"},
        {9007199254740991.0, "9007199254740991.0"},
        {9007199254740992.0, "9007199254740992.0"},
        {9999999999999998.0, "9999999999999998.0"},
        {1e16, "1e16"},
        {1.5e16, "1.5e16"},
        {123456789012345680.0, "1.2345678901234568e17"},
        {1e22, "1e22"},
        {1e23, "1e23"},
        {9.5367431640625e-07, "9.5367431640625e-7"},
        /* the ends of the range, and of its subnormal part */
        {5e-324, "5e-324"},
        {-2.2250738585072009e-308, "-2.225073858507201e-308"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {-1.7976931348623157e308, "-1.7976931348623157e308"},
        /* powers of two, whose neighbour below is nearer */
        {0x1p-1022, "2.2250738585072014e-308"},
        {0x1p60, "1.152921504606847e18"},
        {0x1p-44, "5.684341886080802e-14"},
        {0x1p89, "6.189700196426902e26"},
        {__builtin_nan(""), "null"},
        {__builtin_inf(), "null"},
        {-__builtin_inf(), "null"},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        char text[Q5_JSON_DOUBLE_MAX];
        size_t len = (size_t)(q5_json_double(text, rows[i].number) - text);
        assert_slice(q5_slice_make(text, len), rows[i].json);
    }
}

/* What PostgreSQL's float4out gives, in msgspec's form. */
static void test_floats(void **state) {
    (void)state;
    static const struct {
        float number;
        const char *json;
    } rows[] = {
        {0.0F, "0.0"},
        {-0.0F, "-0.0"},
        {1.0F, "1.0"},
        {10.0F, "10.0"},
        {0.1F, "0.1"},
        {8692.4228515625F, "8692.423"},
        {82189184.0F, "82189184.0"}, /* 8218918e1 is an end of the interval */
        {3.4028235e38F, "3.4028235e38"},
        {1e-45F, "1e-45"},
        {16777216.0F, "16777216.0"},
        {__builtin_nanf(""), "null"},
        {-__builtin_inff(), "null"},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        char text[Q5_JSON_DOUBLE_MAX];
        size_t len = (size_t)(q5_json_float(text, rows[i].number) - text);
        assert_slice(q5_slice_make(text, len), rows[i].json);
    }
}

static uint64_t next(uint64_t *seed) { /* xorshift64 */
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    return *seed ^= *seed << 17;
}

static double read_back(const char *text, size_t len) {
    char copy[Q5_JSON_DOUBLE_MAX + 1];
    memcpy(copy, text, len);
    copy[len] = 0;
    return strtod(copy, NULL);
}

static size_t digits_of(const char *text, size_t len) {
    size_t count = 0, zeros = 0;
    for (size_t i = 0; i < len && text[i] != 'e'; i++) {
        if (text[i] < '0' || text[i] > '9' || (text[i] == '0' && count == 0)) continue;
        zeros = text[i] == '0' ? zeros + 1 : 0;
        count++;
    }
    return count - zeros;
}

/* It reads as the same double, and printf needs as many digits for that. */
static void test_shortest(void **state) {
    (void)state;
    uint64_t seed = 0x9e3779b97f4a7c15;
    for (int i = 0; i < 50000; i++) {
        uint64_t bits = next(&seed);
        double number;
        memcpy(&number, &bits, sizeof(number));
        if (i % 2) number = (double)(int64_t)(bits >> 40) / 1000;
        if (number != number || number - number != 0) continue;
        char text[Q5_JSON_DOUBLE_MAX], shorter[40];
        size_t len = (size_t)(q5_json_double(text, number) - text);
        assert_true(read_back(text, len) == number);
        int digits = (int)digits_of(text, len);
        if (digits < 2) continue;
        snprintf(shorter, sizeof(shorter), "%.*e", digits - 2, number);
        if (strtod(shorter, NULL) == number) fail_msg("%.*s: %s", (int)len, text, shorter);
    }
}

static void test_integers(void **state) {
    (void)state;
    char text[Q5_JSON_INT_MAX], want[32];
    uint64_t power = 1;
    for (int digits = 1; digits <= 20; digits++, power *= 10) {
        for (uint64_t number = power - 1; number != power + 2; number++) {
            size_t len = (size_t)(q5_json_uint(text, number) - text);
            snprintf(want, sizeof(want), "%llu", (unsigned long long)number);
            assert_slice(q5_slice_make(text, len), want);
            len = (size_t)(q5_json_int(text, (int64_t)number) - text);
            snprintf(want, sizeof(want), "%lld", (long long)number);
            assert_slice(q5_slice_make(text, len), want);
            len = (size_t)(q5_json_int(text, -(int64_t)(number >> 1)) - text);
            snprintf(want, sizeof(want), "%lld", -(long long)(number >> 1));
            assert_slice(q5_slice_make(text, len), want);
        }
    }
    assert_slice(q5_slice_make(text, (size_t)(q5_json_uint(text, UINT64_MAX) - text)),
                 "18446744073709551615");
    assert_slice(q5_slice_make(text, (size_t)(q5_json_int(text, INT64_MIN) - text)),
                 "-9223372036854775808");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_shortest),
        cmocka_unit_test(test_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
