#include "q5/base64url.h"

#include <stdlib.h>

#include "q5test.h"

static const struct row {
    const char *why;
    const char *text;
    const char *bytes; /* NULL: refused */
} rows[] = {
    {"RFC 4648, 10", "", ""},
    {"RFC 4648, 10", "Zg", "f"},
    {"RFC 4648, 10", "Zm8", "fo"},
    {"RFC 4648, 10", "Zm9v", "foo"},
    {"RFC 4648, 10", "Zm9vYg", "foob"},
    {"RFC 4648, 10", "Zm9vYmE", "fooba"},
    {"RFC 4648, 10", "Zm9vYmFy", "foobar"},
    {"RFC 4648, 5: the other two characters", "-_-_", "\xfb\xff\xbf"},
    {"base64 is not base64url", "+/+/", NULL},
    {"padding (RFC 7515, 2)", "Zg==", NULL},
    {"padding", "Zm8=", NULL},
    {"a length that nothing has", "Z", NULL},
    {"a length that nothing has", "Zm9vY", NULL},
    {"RFC 4648, 3.5: bits behind the end", "Zh", NULL},
    {"RFC 4648, 3.5: bits behind the end", "Zm9", NULL},
    {"white space", "Zm 9", NULL},
    {"a line's end", "Zm9v\n", NULL},
    {"a dot", "Zm.9", NULL},
    {"beyond ASCII", "Zm9\xc3", NULL},
};

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_slice text = q5_slice_make(rows[i].text, strlen(rows[i].text));
        char out[16], back[16];
        size_t len = 99;
        int status = q5_base64url_decode(text, out, &len);
        if ((status == Q5_OK) != (rows[i].bytes != NULL))
            fail_msg("%s: %s", rows[i].why, text.base);
        if (status) {
            assert_int_equal(len, 99);
            continue;
        }
        assert_slice(q5_slice_make(out, len), rows[i].bytes);
        assert_true(len <= q5_base64url_decoded_max(text.len));
        assert_int_equal(q5_base64url_encoded_len(len), text.len);
        q5_base64url_encode(q5_slice_make(out, len), back);
        assert_memory_equal(back, text.base, text.len);
    }
}

/* Every character of every byte: 64 are good, and none of the others. */
static void test_alphabet(void **state) {
    (void)state;
    int good = 0;
    for (int c = 0; c < 256; c++) {
        char text[4] = {(char)c, 'A', 'A', 'A'}, out[8];
        size_t len;
        good += q5_base64url_decode(q5_slice_make(text, 4), out, &len) == Q5_OK;
    }
    assert_int_equal(good, 64);
}

static void test_in_place(void **state) {
    (void)state;
    char text[] = "Zm9vYmE";
    size_t len;
    assert_status(q5_base64url_decode(q5_slice_make(text, 7), text, &len), Q5_OK);
    assert_slice(q5_slice_make(text, len), "fooba");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_alphabet),
        cmocka_unit_test(test_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
