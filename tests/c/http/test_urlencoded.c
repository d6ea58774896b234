#include "q5/urlencoded.h"

#include "q5test.h"

/* What parse_qsl(in, keep_blank_values=True) gives, written as "name|value;" for each pair. */
static const struct row {
    const char *in;
    const char *pairs;
} rows[] = {
    {"", ""},
    {"&", ""},
    {"&&", ""},
    {"=", "|;"},
    {"=&=", "|;|;"},
    {"a", "a|;"},
    {"a=", "a|;"},
    {"=a", "|a;"},
    {"&a=b", "a|b;"},
    {"a=a+b&b=b+c", "a|a b;b|b c;"},
    {"a=1&a=2", "a|1;a|2;"},
    {"a==b=c", "a|=b=c;"},
    {"a;b=c", "a;b|c;"}, /* bpo-42967: ';' separates no more */
    {"a+b%3Dc=d%26e&f", "a b=c|d&e;f|;"},
    {"a=%zz&b=%4&c=%", "a|%zz;b|%4;c|%;"},
    {"a=%C3%A9&%E2%82%AC=1", "a|\xc3\xa9;\xe2\x82\xac|1;"},
    {"a=b&", "a|b;"},
    {"a%00=b", "a@|b;"}, /* '@' stands for NUL in this table */
};

static void test_pairs(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        char got[256];
        size_t len = 0;
        q5_arena arena;
        q5_arena_init(&arena, NULL, 1 << 16);
        q5_urlencoded it;
        q5_urlencoded_init(&it, q5_slice_make(rows[i].in, strlen(rows[i].in)), 0);
        q5_slice name, value;
        int status;
        while ((status = q5_urlencoded_next_decoded(&it, &arena, &name, &value)) == Q5_OK) {
            for (size_t k = 0; k < name.len; k++)
                got[len++] = name.base[k] ? name.base[k] : '@';
            got[len++] = '|';
            memcpy(got + len, value.base, value.len);
            len += value.len;
            got[len++] = ';';
        }
        assert_status(status, Q5_DONE);
        got[len] = '\0';
        assert_string_equal(got, rows[i].pairs);
        q5_arena_deinit(&arena);
    }
}

static void test_raw_points_into_the_text(void **state) {
    (void)state;
    const char *text = "a%20=b+&c";
    q5_urlencoded it;
    q5_urlencoded_init(&it, q5_slice_make(text, strlen(text)), 0);
    q5_slice name, value;
    assert_status(q5_urlencoded_next(&it, &name, &value), Q5_OK);
    assert_slice(name, "a%20");
    assert_ptr_equal(name.base, text);
    assert_slice(value, "b+");
    assert_ptr_equal(value.base, text + 5);
    assert_status(q5_urlencoded_next(&it, &name, &value), Q5_OK);
    assert_slice(name, "c");
    assert_slice(value, "");
    assert_status(q5_urlencoded_next(&it, &name, &value), Q5_DONE);
    assert_status(q5_urlencoded_next(&it, &name, &value), Q5_DONE);
    assert_slice(name, "c");
}

/* CWE-770: a body of "&&&&" must not cost more than the bound either. */
static void test_bound(void **state) {
    (void)state;
    static const struct {
        const char *in;
        size_t max;
        size_t pairs;
        int status;
    } bounds[] = {
        {"a&b&c", 3, 3, Q5_DONE},     {"a&b&c", 2, 2, Q5_ETOO_MANY}, {"a&&b", 2, 1, Q5_ETOO_MANY},
        {"&&&&", 3, 0, Q5_ETOO_MANY}, {"a&", 1, 1, Q5_DONE},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(bounds); i++) {
        q5_urlencoded it;
        q5_urlencoded_init(&it, q5_slice_make(bounds[i].in, strlen(bounds[i].in)), bounds[i].max);
        q5_slice name, value;
        size_t pairs = 0;
        int status;
        while ((status = q5_urlencoded_next(&it, &name, &value)) == Q5_OK)
            pairs++;
        assert_int_equal(pairs, bounds[i].pairs);
        assert_status(status, bounds[i].status);
    }
    char many[2 * (Q5_URLENCODED_FIELDS_MAX + 1)];
    for (size_t i = 0; i < sizeof(many); i++)
        many[i] = i % 2 ? '&' : 'a';
    q5_urlencoded it;
    q5_urlencoded_init(&it, q5_slice_make(many, sizeof(many)), 0);
    q5_slice name, value;
    for (size_t i = 0; i < Q5_URLENCODED_FIELDS_MAX; i++)
        assert_status(q5_urlencoded_next(&it, &name, &value), Q5_OK);
    assert_status(q5_urlencoded_next(&it, &name, &value), Q5_ETOO_MANY);
}

static int scenario(const q5_alloc *alloc, void *ctx) {
    (void)ctx;
    q5_arena arena;
    q5_arena_init(&arena, alloc, 1 << 16);
    char text[8192];
    memset(text, '+', sizeof(text));
    text[4] = '&';
    text[5000] = '=';
    q5_urlencoded it;
    q5_urlencoded_init(&it, q5_slice_make(text, sizeof(text)), 0);
    q5_slice name, value;
    int status;
    while ((status = q5_urlencoded_next_decoded(&it, &arena, &name, &value)) == Q5_OK) {
    }
    q5_arena_deinit(&arena);
    return status == Q5_DONE ? Q5_OK : status;
}

static void test_failing_allocations(void **state) {
    (void)state;
    failmalloc_sweep(scenario, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_raw_points_into_the_text),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
