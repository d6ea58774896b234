#include "q5/status.h"

#include "q5test.h"

static const int statuses[] = {
#define XX(name, value, http, text) Q5_##name,
    Q5_STATUS_MAP(XX)
#undef XX
};

static void test_each_has_its_own_number_and_name(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(statuses); i++) {
        assert_true(statuses[i] <= 0);
        assert_string_not_equal(q5_status_name(statuses[i]), "UNKNOWN");
        assert_true(strlen(q5_status_text(statuses[i])) > 0);
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(statuses[i], statuses[j]);
            assert_string_not_equal(q5_status_name(statuses[i]), q5_status_name(statuses[j]));
            assert_string_not_equal(q5_status_text(statuses[i]), q5_status_text(statuses[j]));
        }
    }
    assert_string_equal(q5_status_name(Q5_EMETHOD), "EMETHOD");
}

static void test_unknown_numbers(void **state) {
    (void)state;
    static const int numbers[] = {1, -899, -901, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < Q5_ARRAY_LEN(numbers); i++) {
        assert_string_equal(q5_status_name(numbers[i]), "UNKNOWN");
        assert_string_equal(q5_status_text(numbers[i]), "unknown status");
        assert_int_equal(q5_status_http(numbers[i]), 0);
    }
}

static void test_http(void **state) {
    (void)state;
    static const struct {
        int status, http;
    } rows[] = {
        {Q5_OK, 0},
        {Q5_AGAIN, 0},
        {Q5_NOT_FOUND, 404},
        {Q5_ELINE_LONG, 414},  /* RFC 9112, 3 */
        {Q5_EHEAD_LONG, 431},  /* RFC 6585, 5 */
        {Q5_EBODY_LONG, 413},  /* RFC 9110, 15.5.14 */
        {Q5_ETIMEOUT, 408},    /* RFC 9110, 15.5.9 */
        {Q5_EEXPECT, 417},     /* RFC 9110, 10.1.1 */
        {Q5_ECODING, 501},     /* RFC 9112, 6.1 */
        {Q5_EVERSION, 505},    /* RFC 9110, 15.6.6 */
        {Q5_EJSON_DEPTH, 422}, /* RFC 9110, 15.5.21 */
        {Q5_ENOMEM, 503},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++)
        assert_int_equal(q5_status_http(rows[i].status), rows[i].http);
    for (size_t i = 0; i < Q5_ARRAY_LEN(statuses); i++) {
        int http = q5_status_http(statuses[i]);
        assert_true(http == 0 || (http >= 400 && http < 600));
    }
}

static void test_only_the_fatal_are_fatal(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(statuses); i++)
        assert_int_equal(q5_status_fatal(statuses[i]), statuses[i] == Q5_ENOMEM);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_has_its_own_number_and_name),
        cmocka_unit_test(test_unknown_numbers),
        cmocka_unit_test(test_http),
        cmocka_unit_test(test_only_the_fatal_are_fatal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
