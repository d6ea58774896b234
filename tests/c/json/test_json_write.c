#include "q5/json_write.h"

#include "q5test.h"

#define FFFD "\xef\xbf\xbd"

static void test_strings(void **state) {
    (void)state;
    static const struct {
        q5_slice text;
        const char *json;
    } rows[] = {
        {{"", 0}, "\"\""},
        {{NULL, 0}, "\"\""},
        {{"plain text", 10}, "\"plain text\""},
        /* RFC 8259, 7 */
        {{"\"\\/", 3}, "\"\\\"\\\\/\""},
        {{"\b\f\n\r\t\v", 6}, "\"\\b\\f\\n\\r\\t\\u000b\""},
        {{"\0\x1f\x7f", 3}, "\"\\u0000\\u001f\x7f\""},
        {{"a\nb", 3}, "\"a\\nb\""},
        /* RFC 3629, 3: the ends of each range */
        {{"\xc2\x80\xdf\xbf", 4}, "\"\xc2\x80\xdf\xbf\""},
        {{"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80", 9}, "\"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\""},
        {{"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8}, "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""},
        {{"\x80", 1}, "\"" FFFD "\""},
        {{"\xc0\xaf", 2}, "\"" FFFD FFFD "\""},
        {{"\xed\xa0\x80", 3}, "\"" FFFD FFFD FFFD "\""}, /* a surrogate */
        {{"\xf4\x90\x80\x80", 4}, "\"" FFFD FFFD FFFD FFFD "\""},
        {{"\xe2\x82", 2}, "\"" FFFD "\""},
        {{"\xe2\x82x", 3}, "\"" FFFD "x\""},
        {{"\xff\"", 2}, "\"" FFFD "\\\"\""},
        /* Unicode 15, 3.9, table 3-11 */
        {{"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", 9}, "\"" FFFD FFFD FFFD FFFD "A\""},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_buf buf;
        q5_buf_init(&buf, NULL);
        assert_status(q5_json_write_string(&buf, rows[i].text), Q5_OK);
        assert_slice(q5_buf_slice(&buf), rows[i].json);
        q5_buf_deinit(&buf);
    }
}

static void test_numbers(void **state) {
    (void)state;
    static const struct {
        int64_t number;
        const char *json;
    } rows[] = {
        {0, "0"},
        {-1, "-1"},
        {10, "10"},
        {1234567890, "1234567890"},
        {INT64_MAX, "9223372036854775807"},
        {INT64_MIN, "-9223372036854775808"},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_buf buf;
        q5_buf_init(&buf, NULL);
        assert_status(q5_json_write_int(&buf, rows[i].number), Q5_OK);
        assert_slice(q5_buf_slice(&buf), rows[i].json);
        q5_buf_deinit(&buf);
    }
}

static void test_booleans(void **state) {
    (void)state;
    q5_buf buf;
    q5_buf_init(&buf, NULL);
    assert_status(q5_json_write_bool(&buf, true), Q5_OK);
    assert_status(q5_json_write_bool(&buf, false), Q5_OK);
    assert_slice(q5_buf_slice(&buf), "truefalse");
    q5_buf_deinit(&buf);
}

static int scenario(const q5_alloc *alloc, void *ctx) {
    (void)ctx;
    static char text[5000];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 7);
    q5_buf buf;
    q5_buf_init(&buf, alloc);
    int status = Q5_OK;
    for (int i = 0; i < 10 && status == Q5_OK; i++) {
        size_t before = buf.len;
        status = q5_json_write_string(&buf, q5_slice_make(text, sizeof(text)));
        if (status) assert_int_equal(buf.len, before);
    }
    q5_buf_deinit(&buf);
    return status;
}

static void test_failing_allocations(void **state) {
    (void)state;
    failmalloc_sweep(scenario, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_booleans),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
