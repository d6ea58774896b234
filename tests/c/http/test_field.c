/* Field names and methods: every known one in every case, and their near misses. */
#include "q5/head.h"

#include "q5test.h"

static const struct {
    q5_field_id id;
    const char *name;
} known[] = {
#define XX(id, name) {Q5_FIELD_##id, name},
    Q5_FIELD_MAP(XX)
#undef XX
};

static q5_slice slice_of(const char *text) {
    return q5_slice_make(text, strlen(text));
}

static void test_fields_known(void **state) {
    (void)state;
    assert_int_equal(Q5_ARRAY_LEN(known), Q5_FIELD_COUNT - 1);
    for (size_t i = 0; i < Q5_ARRAY_LEN(known); i++) {
        char name[64];
        size_t len = strlen(known[i].name);
        /* lower, UPPER, and each byte alone in the other case */
        for (size_t upper = 0; upper <= len + 1; upper++) {
            for (size_t at = 0; at < len; at++) {
                char c = known[i].name[at];
                bool up = (upper == len || upper == at) && c >= 'a' && c <= 'z';
                name[at] = up ? (char)(c - 32) : c;
            }
            assert_int_equal(q5_field_find(q5_slice_make(name, len)), known[i].id);
        }
    }
}

/* Each byte of each known name replaced by each other byte, cut off, or followed by one more. */
static void test_fields_near(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(known); i++) {
        char name[64];
        size_t len = strlen(known[i].name);
        memcpy(name, known[i].name, len);
        for (size_t at = 0; at < len; at++) {
            for (int byte = 0; byte < 256; byte++) {
                if (q5_lower((char)byte) == known[i].name[at]) continue;
                name[at] = (char)byte;
                assert_int_equal(q5_field_find(q5_slice_make(name, len)), Q5_FIELD_OTHER);
            }
            name[at] = known[i].name[at];
        }
        assert_int_equal(q5_field_find(q5_slice_make(name, len - 1)), Q5_FIELD_OTHER);
        assert_int_equal(q5_field_find(q5_slice_make(name + 1, len - 1)), Q5_FIELD_OTHER);
        name[len] = 's';
        assert_int_equal(q5_field_find(q5_slice_make(name, len + 1)), Q5_FIELD_OTHER);
    }
    static const char *const others[] = {
        "",
        "a",
        "dnt",
        "date",
        "sec-fetch-mode",
        "accept-language",
        "cache-control",
        "pragma",
        "sec-fetch-site",
        "upgrade-insecure-requests",
        "x-forwarded-for",
        "if-unmodified-sincere",
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(others); i++)
        assert_int_equal(q5_field_find(slice_of(others[i])), Q5_FIELD_OTHER);
}

static void test_methods(void **state) {
    (void)state;
    static const struct {
        q5_method method;
        const char *name;
    } rows[] = {
        {Q5_METHOD_GET, "GET"},         {Q5_METHOD_HEAD, "HEAD"},   {Q5_METHOD_POST, "POST"},
        {Q5_METHOD_PUT, "PUT"},         {Q5_METHOD_PATCH, "PATCH"}, {Q5_METHOD_DELETE, "DELETE"},
        {Q5_METHOD_OPTIONS, "OPTIONS"}, {Q5_METHOD_TRACE, "TRACE"}, {Q5_METHOD_CONNECT, "CONNECT"},
        {Q5_METHOD_QUERY, "QUERY"},
    };
    assert_int_equal(Q5_ARRAY_LEN(rows), Q5_METHOD_COUNT - 1);
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        char name[16];
        size_t len = strlen(rows[i].name);
        assert_int_equal(q5_method_find(slice_of(rows[i].name)), rows[i].method);
        assert_string_equal(q5_method_name(rows[i].method), rows[i].name);
        assert_int_equal(q5_method_find(q5_slice_make(rows[i].name, len - 1)), Q5_METHOD_OTHER);
        for (size_t at = 0; at < len; at++) {
            memcpy(name, rows[i].name, len);
            name[at] = (char)(name[at] | 0x20); /* RFC 9110, 9.1: case-sensitive */
            assert_int_equal(q5_method_find(q5_slice_make(name, len)), Q5_METHOD_OTHER);
        }
    }
    assert_int_equal(q5_method_find(Q5_LIT("")), Q5_METHOD_OTHER);
    assert_int_equal(q5_method_find(Q5_LIT("PROPFIND")), Q5_METHOD_OTHER);
    assert_string_equal(q5_method_name(Q5_METHOD_OTHER), "");
    assert_string_equal(q5_method_name(Q5_METHOD_COUNT), "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_known),
        cmocka_unit_test(test_fields_near),
        cmocka_unit_test(test_methods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
