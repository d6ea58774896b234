/* The scanners: each one against a definition of the sets written down a second time. */
#include <stdlib.h>

#include "http/h1_scan.h"
#include "q5/h1.h"

#include "q5test.h"

static const q5__byteset name_set = Q5__BYTESET(Q5__IS_NAME);
static const q5__byteset token_set = Q5__BYTESET(Q5__IS_TOKEN);
static const q5__byteset target_set = Q5__BYTESET(Q5__IS_TARGET);
static const q5__byteset reg_name_set = Q5__BYTESET(Q5__IS_REG_NAME);

static bool in_list(int byte, const char *list) {
    return byte != 0 && byte < 0x80 && strchr(list, byte) != NULL;
}

#define ALNUM "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* RFC 9110, 5.6.2 */
static bool is_token(int byte) {
    return in_list(byte, ALNUM "!#$%&'*+-.^_`|~");
}

static bool is_name(int byte) {
    return byte != '_' && is_token(byte);
}

static bool is_target(int byte) {
    return byte > ' ' && byte < 0x7f && !in_list(byte, "#?");
}

/* RFC 3986, 3.2.2: unreserved / sub-delims */
static bool is_reg_name(int byte) {
    return in_list(byte, ALNUM "-._~"
                               "!$&'()*+,;=");
}

/* RFC 9110, 5.5: field-vchar, SP, HTAB */
static bool is_text(int byte) {
    return byte == '\t' || byte == ' ' || (byte >= 0x21 && byte <= 0x7e) || byte >= 0x80;
}

static const struct {
    const char *name;
    const q5__byteset *set;
    bool (*want)(int byte);
} sets[] = {
    {"name", &name_set, is_name},
    {"token", &token_set, is_token},
    {"target", &target_set, is_target},
    {"reg-name", &reg_name_set, is_reg_name},
};

static void test_sets(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(sets); i++)
        for (int byte = 0; byte < 256; byte++)
            if (q5__byteset_has(sets[i].set, (char)byte) != sets[i].want(byte))
                fail_msg("%s, byte 0x%02x", sets[i].name, byte);
    for (int byte = 0; byte < 256; byte++)
        if (q5__is_text((uint8_t)byte) != is_text(byte)) fail_msg("text, byte 0x%02x", byte);
}

static const q5__h1_scanner *const all[] = {
    &q5__h1_scan_scalar,
#ifdef Q5__H1_SCAN_X86
    &q5__h1_scan_sse42,
    &q5__h1_scan_avx2,
#endif
#ifdef Q5__H1_SCAN_NEON
    &q5__h1_scan_neon,
#endif
};

/* One odd byte at every position of runs of every length, in memory of just that length. */
static void check_positions(const q5__h1_scanner *scanner, int byte) {
    for (size_t len = 1; len <= 70; len++) {
        char *run = malloc(len);
        memset(run, 'a', len);
        for (size_t at = 0; at < len; at++) {
            run[at] = (char)byte;
            for (size_t i = 0; i < Q5_ARRAY_LEN(sets); i++) {
                const char *want = sets[i].want(byte) ? run + len : run + at;
                assert_ptr_equal(scanner->set(sets[i].set, run, run + len), want);
            }
            assert_ptr_equal(scanner->text(run, run + len), is_text(byte) ? run + len : run + at);
            run[at] = 'a';
        }
        free(run);
    }
}

static void test_positions(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(all); i++) {
        if (!q5_h1_use_scanner(all[i]->name)) continue;
        for (int byte = 0; byte < 256; byte++)
            check_positions(all[i], byte);
        char none[1];
        assert_ptr_equal(all[i]->set(&name_set, none, none), none);
        assert_ptr_equal(all[i]->text(none, none), none);
    }
}

static void test_choice(void **state) {
    (void)state;
    assert_true(q5_h1_use_scanner("scalar"));
    assert_string_equal(q5_h1_scanner(), "scalar");
    assert_false(q5_h1_use_scanner("abacus"));
    assert_string_equal(q5_h1_scanner(), "scalar");
#ifdef Q5__H1_SCAN_X86
    assert_int_equal(q5_h1_use_scanner("avx2"), __builtin_cpu_supports("avx2") != 0);
    assert_int_equal(q5_h1_use_scanner("sse4.2"), __builtin_cpu_supports("sse4.2") != 0);
#endif
}

/* Must run first: nobody has chosen yet. */
static void test_first_use(void **state) {
    (void)state;
    const char *first = q5_h1_scanner();
    for (size_t i = 1; i < Q5_ARRAY_LEN(all); i++)
        if (q5_h1_use_scanner(all[i]->name)) assert_string_not_equal(first, "scalar");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_use),
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
