#include "q5/reason.h"

#include "q5test.h"

static void test_phrases(void **state) {
    (void)state;
    assert_slice(q5_reason_phrase(100), "Continue");
    assert_slice(q5_reason_phrase(200), "OK");
    assert_slice(q5_reason_phrase(404), "Not Found");
    assert_slice(q5_reason_phrase(413), "Content Too Large");     /* RFC 9110, 15.5.14 */
    assert_slice(q5_reason_phrase(422), "Unprocessable Content"); /* RFC 9110, 15.5.21 */
    assert_slice(q5_reason_phrase(511), "Network Authentication Required");
    static const int unknown[] = {0, -1, 99, 199, 306, 418, 499, 509, 600, 1000};
    for (size_t i = 0; i < Q5_ARRAY_LEN(unknown); i++)
        assert_slice(q5_reason_phrase(unknown[i]), "Unknown");
}

/* RFC 9112, 4: a phrase goes into a status line as it is. */
static void test_bytes(void **state) {
    (void)state;
    size_t known = 0;
    for (int status = 100; status < 600; status++) {
        q5_slice phrase = q5_reason_phrase(status);
        assert_true(phrase.len > 0);
        for (size_t i = 0; i < phrase.len; i++)
            assert_in_range(phrase.base[i], ' ', 'z');
        known += !q5_slice_eq(phrase, Q5_LIT("Unknown"));
    }
    assert_int_equal(known, 62);
}

/* Every status that the library itself answers with has a phrase. */
static void test_own_statuses(void **state) {
    (void)state;
#define XX(name, value, http, text) \
    assert_true((http) == 0 || !q5_slice_eq(q5_reason_phrase(http), Q5_LIT("Unknown")));
    Q5_STATUS_MAP(XX)
#undef XX
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_phrases),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_own_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
