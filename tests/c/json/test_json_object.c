#include "q5/json_object.h"

#include <stdlib.h>

#include "q5test.h"

#define MEMBERS_MAX 4

static const struct row {
    const char *why;
    const char *text;
    int status;
    size_t count;
} rows[] = {
    {"nothing in it", "{}", Q5_OK, 0},
    {"white space everywhere (RFC 8259, 2)", " { \"a\" :\t1 ,\r\n\"b\" : [ ] } ", Q5_OK, 2},
    {"every kind", "{\"a\":\"x\",\"b\":-1.5e+3,\"c\":{\"d\":[true,false]},\"e\":null}", Q5_OK, 4},
    {"one too many", "{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1}", Q5_EJSON_KEYS, 0},
    {"a name twice", "{\"alg\":\"HS256\",\"alg\":\"none\"}", Q5_EJSON, 0},
    {"a name twice, spelt differently", "{\"alg\":1,\"\\u0061lg\":2}", Q5_EJSON, 0},
    {"both with escapes", "{\"\\u00e9\":1,\"\xc3\xa9\":2}", Q5_EJSON, 0},
    {"a surrogate pair is one character", "{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}", Q5_EJSON,
     0},
    {"a prefix is another name", "{\"a\":1,\"a\\u0062\":2,\"\":3}", Q5_OK, 3},
    {"twice further down is the reader's affair", "{\"a\":{\"b\":1,\"b\":2}}", Q5_OK, 1},
    {"no object", "[]", Q5_EJSON, 0},
    {"nothing at all", "", Q5_EJSON, 0},
    {"something behind it", "{} {}", Q5_EJSON, 0},
    {"open", "{\"a\":1", Q5_EJSON, 0},
    {"a comma too many", "{\"a\":1,}", Q5_EJSON, 0},
    {"no colon", "{\"a\" 1}", Q5_EJSON, 0},
    {"no name", "{1:1}", Q5_EJSON, 0},
    {"single quotes", "{'a':1}", Q5_EJSON, 0},
    {"a comment", "{/**/}", Q5_EJSON, 0},
    {"a leading zero (RFC 8259, 6)", "{\"a\":01}", Q5_EJSON, 0},
    {"a plus", "{\"a\":+1}", Q5_EJSON, 0},
    {"no digit behind the point", "{\"a\":1.}", Q5_EJSON, 0},
    {"no digit in the exponent", "{\"a\":1e}", Q5_EJSON, 0},
    {"NaN", "{\"a\":NaN}", Q5_EJSON, 0},
    {"half a word", "{\"a\":tru}", Q5_EJSON, 0},
    {"a control character", "{\"a\":\"\n\"}", Q5_EJSON, 0},
    {"an unknown escape", "{\"a\":\"\\x\"}", Q5_EJSON, 0},
    {"half an escape", "{\"a\":\"\\u00", Q5_EJSON, 0},
    {"the first of a pair alone", "{\"a\":\"\\ud83d\"}", Q5_EJSON, 0},
    {"the second of a pair alone", "{\"a\":\"\\ude00\"}", Q5_EJSON, 0},
    {"two firsts", "{\"a\":\"\\ud83d\\ud83d\"}", Q5_EJSON, 0},
    {"overlong UTF-8", "{\"a\":\"\xc0\xaf\"}", Q5_EENCODING, 0},
    {"brackets that do not match", "{\"a\":[}]}", Q5_EJSON, 0},
    {"as deep as it may be", "{\"a\":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}", Q5_OK, 1},
    {"one deeper", "{\"a\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", Q5_EJSON_DEPTH, 0},
};

static void test_read(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_json_member members[MEMBERS_MAX];
        size_t count = 99;
        int status = q5_json_object_read(q5_slice_make(rows[i].text, strlen(rows[i].text)), members,
                                         MEMBERS_MAX, &count);
        if (status != rows[i].status) fail_msg("%s: %s", rows[i].why, q5_status_name(status));
        assert_int_equal(count, status == Q5_OK ? rows[i].count : 99);
    }
}

/* No part of a text that is an object is one, and nothing is read behind the part. */
static void test_cut_short(void **state) {
    (void)state;
    static const char text[] =
        "{\"a\":\"\\ud83d\\ude00\",\"b\":[1.5e3,{\"c\":null}],\"\xc3\xa9\":true}";
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        q5_json_member members[MEMBERS_MAX];
        size_t count;
        char *copy = malloc(len ? len : 1);
        memcpy(copy, text, len);
        assert_int_not_equal(
            q5_json_object_read(q5_slice_make(copy, len), members, MEMBERS_MAX, &count), Q5_OK);
        free(copy);
    }
}

static void test_values(void **state) {
    (void)state;
    static const char text[] =
        "{\"s\":\"a\\/b\",\"n\": 12 ,\"l\":[ \"x\" , {\"y\":1},3 ],\"e\":[]}";
    q5_json_member members[MEMBERS_MAX];
    size_t count;
    assert_status(q5_json_object_read(Q5_LIT(text), members, MEMBERS_MAX, &count), Q5_OK);
    const q5_json_value *value = q5_json_object_find(members, count, Q5_LIT("s"));
    assert_int_equal(value->kind, Q5_JSON_STRING);
    assert_slice(value->text, "a\\/b");
    assert_true(q5_json_string_eq(value->text, Q5_LIT("a/b")));
    assert_false(q5_json_string_eq(value->text, Q5_LIT("a/bc")));
    assert_false(q5_json_string_eq(value->text, Q5_LIT("a/")));
    assert_slice(q5_json_object_find(members, count, Q5_LIT("n"))->text, "12");
    assert_null(q5_json_object_find(members, count, Q5_LIT("x")));

    q5_json_value item;
    q5_slice rest = q5_json_object_find(members, count, Q5_LIT("l"))->text;
    static const char *const items[] = {"x", "{\"y\":1}", "3"};
    for (size_t i = 0; i < Q5_ARRAY_LEN(items); i++) {
        assert_true(q5_json_array_next(&rest, &item));
        assert_slice(item.text, items[i]);
    }
    assert_false(q5_json_array_next(&rest, &item));
    rest = q5_json_object_find(members, count, Q5_LIT("e"))->text;
    assert_false(q5_json_array_next(&rest, &item));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
