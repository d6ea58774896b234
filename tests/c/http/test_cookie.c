#include "q5/cookie.h"

#include "q5test.h"

/* What django.http.cookie.parse_cookie sees, written as "name|value;" for each pair, unquoted. */
static const struct row {
    const char *why;
    const char *in;
    const char *pairs;
} rows[] = {
    {"RFC 6265, 4.2.1", "SID=31d4d96e407aad42; lang=en-US", "SID|31d4d96e407aad42;lang|en-US;"},
    {"nothing", "", ""},
    {"only separators", "; ;;", ""},
    {"no space behind the semicolon", "a=b;c=d", "a|b;c|d;"},
    {"'=' belongs to the value", "a=b=c; d==", "a|b=c;d|=;"},
    {"bugzilla 169091: no '=' is a value without a name", "a; b=c", "|a;b|c;"},
    {"an empty value", "a=; b", "a|;|b;"},
    {"an empty name", "=v", "|v;"},
    {"white space around both", "\ta = b c \x1f; d", "a|b c;|d;"},
    {"repeated names are all given", "a=1; a=2", "a|1;a|2;"},
    {"a comma separates nothing", "a=1,b=2", "a|1,b=2;"},
    {"quotes come off", "a=\"b\"", "a|b;"},
    {"a semicolon inside quotes separates all the same", "a=\"b;c\"", "a|\"b;|c\";"},
    {"a single quote", "a=\"", "a|\";"},
    {"empty quotes", "a=\"\"", "a|;"},
    {"escaped quote and backslash", "a=\"\\\"x\\\\\"", "a|\"x\\;"},
    {"an octal escape", "a=\"\\073\\054\"", "a|;,;"},
    {"an octal escape above ASCII is a code point", "a=\"\\351\"", "a|\xc3\xa9;"},
    {"\\400 is no octal escape", "a=\"\\400\"", "a|400;"},
    {"\\08 is none", "a=\"\\08\"", "a|08;"},
    {"a last backslash stays", "a=\"x\\\"", "a|x\\;"},
    {"a backslash without quotes stays", "a=\\073", "a|\\073;"},
    {"bytes above ASCII pass", "a=\xc3\xa9", "a|\xc3\xa9;"},
};

static void test_pairs(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        char got[256];
        size_t len = 0;
        q5_arena arena;
        q5_arena_init(&arena, NULL, 1 << 16);
        q5_cookies it;
        q5_cookies_init(&it, q5_slice_make(rows[i].in, strlen(rows[i].in)), 0);
        q5_slice name, value;
        int status;
        while ((status = q5_cookies_next(&it, &name, &value)) == Q5_OK) {
            assert_status(q5_cookie_unquote(value, &arena, &value), Q5_OK);
            len += (size_t)snprintf(got + len, sizeof(got) - len, "%.*s|%.*s;", (int)name.len,
                                    name.base, (int)value.len, value.base);
        }
        assert_status(status, Q5_DONE);
        got[len] = '\0';
        if (strcmp(got, rows[i].pairs) != 0) fail_msg("%s: %s", rows[i].why, got);
        q5_arena_deinit(&arena);
    }
}

static void test_bound(void **state) {
    (void)state;
    q5_cookies it;
    q5_slice name, value;
    q5_cookies_init(&it, Q5_LIT("a=1;b=2;c=3"), 2);
    assert_status(q5_cookies_next(&it, &name, &value), Q5_OK);
    assert_status(q5_cookies_next(&it, &name, &value), Q5_OK);
    assert_status(q5_cookies_next(&it, &name, &value), Q5_ETOO_MANY);
    assert_slice(name, "b");
    q5_cookies_init(&it, Q5_LIT(";;;;"), 3);
    assert_status(q5_cookies_next(&it, &name, &value), Q5_ETOO_MANY);
}

static void test_no_copy(void **state) {
    (void)state;
    q5_arena arena;
    q5_arena_init(&arena, NULL, 0);
    q5_slice in = Q5_LIT("\"plain\""), out;
    assert_status(q5_cookie_unquote(in, &arena, &out), Q5_OK);
    assert_ptr_equal(out.base, in.base + 1);
    assert_status(q5_cookie_unquote(Q5_LIT("\"\\073\""), &arena, &out), Q5_ENOMEM);
    assert_slice(out, "plain");
    q5_arena_deinit(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_no_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
