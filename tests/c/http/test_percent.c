#include "q5/percent.h"

#include "q5test.h"

#define PLUS Q5_PERCENT_PLUS
#define LENIENT Q5_PERCENT_LENIENT
#define UTF8 Q5_PERCENT_UTF8

static const struct row {
    const char *why;
    q5_slice in;
    unsigned flags;
    int status;
    q5_slice out;
} rows[] = {
    {"nothing to decode", Q5_LIT("abc"), 0, Q5_OK, Q5_LIT("abc")},
    {"empty", Q5_LIT(""), 0, Q5_OK, Q5_LIT("")},
    {"RFC 3986, 2.1: %20 is a space", Q5_LIT("a%20b"), 0, Q5_OK, Q5_LIT("a b")},
    {"RFC 3986, 2.1: 'a' through 'f' are equivalent to 'A' through 'F'", Q5_LIT("%c3%A9%C3%a9"),
     UTF8, Q5_OK, Q5_LIT("\xc3\xa9\xc3\xa9")},
    {"RFC 3986, 2.4: must not decode the same string more than once", Q5_LIT("%2541"), 0, Q5_OK,
     Q5_LIT("%41")},
    {"'+' is itself outside forms", Q5_LIT("a+b"), 0, Q5_OK, Q5_LIT("a+b")},
    {"'+' is a space in forms", Q5_LIT("+a+%2B+"), PLUS, Q5_OK, Q5_LIT(" a + ")},
    {"'+' behind an escape", Q5_LIT("%41+"), PLUS, Q5_OK, Q5_LIT("A ")},
    {"NUL comes through", Q5_LIT("%00"), 0, Q5_OK, Q5_LIT("\0")},
    {"cut off at the end", Q5_LIT("a%"), 0, Q5_EENCODING, Q5_LIT("")},
    {"cut off after a digit", Q5_LIT("a%4"), 0, Q5_EENCODING, Q5_LIT("")},
    {"first digit bad", Q5_LIT("%g1"), 0, Q5_EENCODING, Q5_LIT("")},
    {"second digit bad", Q5_LIT("%1g"), 0, Q5_EENCODING, Q5_LIT("")},
    {"'@', '`' and ':' are next to digits in ASCII", Q5_LIT("%@0"), 0, Q5_EENCODING, Q5_LIT("")},
    {"the same", Q5_LIT("%0`"), 0, Q5_EENCODING, Q5_LIT("")},
    {"the same", Q5_LIT("%:0"), 0, Q5_EENCODING, Q5_LIT("")},
    {"unquote('%zz%4%') == '%zz%4%'", Q5_LIT("%zz%4%"), LENIENT, Q5_OK, Q5_LIT("%zz%4%")},
    {"unquote('%%41') == '%A'", Q5_LIT("%%41"), LENIENT, Q5_OK, Q5_LIT("%A")},
    {"unquote('%4%41') == '%4A'", Q5_LIT("%4%41"), LENIENT, Q5_OK, Q5_LIT("%4A")},
    {"raw UTF-8 passes", Q5_LIT("\xe2\x82\xac%20"), UTF8, Q5_OK, Q5_LIT("\xe2\x82\xac ")},
    {"decoded bytes are judged", Q5_LIT("%ff"), UTF8, Q5_EENCODING, Q5_LIT("")},
    {"bytes that needed no decoding are judged", Q5_LIT("\xff"), UTF8, Q5_EENCODING, Q5_LIT("")},
    {"RFC 3629, 10: C0 80 must not stand for NUL", Q5_LIT("%c0%80"), UTF8, Q5_EENCODING,
     Q5_LIT("")},
    {"not judged unless asked for", Q5_LIT("%ff"), 0, Q5_OK, Q5_LIT("\xff")},
};

static void check(const struct row *row, int status, q5_slice out) {
    if (status != row->status || (status == Q5_OK && !q5_slice_eq(out, row->out)))
        fail_msg("%s: %s, %zu bytes", row->why, q5_status_name(status), out.len);
}

static void test_decode(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        char out[64], in_place[64];
        size_t len = 0;
        int status = q5_percent_decode(row->in, row->flags, out, &len);
        check(row, status, q5_slice_make(out, len));

        memcpy(in_place, row->in.base, row->in.len);
        len = 0;
        status =
            q5_percent_decode(q5_slice_make(in_place, row->in.len), row->flags, in_place, &len);
        check(row, status, q5_slice_make(in_place, len));

        q5_arena arena;
        q5_arena_init(&arena, NULL, 1 << 16);
        q5_slice slice = {0};
        status = q5_percent_decode_arena(row->in, row->flags, &arena, &slice);
        check(row, status, slice);
        q5_arena_deinit(&arena);
    }
}

static void test_no_copy(void **state) {
    (void)state;
    q5_arena arena;
    q5_arena_init(&arena, NULL, 0); /* an arena that can hold nothing */
    q5_slice in = Q5_LIT("plain"), out;
    assert_status(q5_percent_decode_arena(in, PLUS | UTF8, &arena, &out), Q5_OK);
    assert_ptr_equal(out.base, in.base);
    out = Q5_LIT("untouched");
    assert_status(q5_percent_decode_arena(Q5_LIT("a+b"), PLUS, &arena, &out), Q5_ENOMEM);
    assert_slice(out, "untouched");
    assert_status(q5_percent_decode_arena(Q5_LIT("%"), 0, &arena, &out), Q5_ENOMEM);
    q5_slice none = {NULL, 0};
    assert_status(q5_percent_decode_arena(none, PLUS | UTF8, &arena, &out), Q5_OK);
    assert_int_equal(out.len, 0);
    q5_arena_deinit(&arena);
}

/* RFC 3629, 4, written down independently: the code point is decoded and judged. */
static bool reference_valid(const unsigned char *s, size_t len) {
    for (size_t i = 0; i < len;) {
        size_t n = s[i] < 0x80       ? 1
                   : s[i] >> 5 == 6  ? 2
                   : s[i] >> 4 == 14 ? 3
                   : s[i] >> 3 == 30 ? 4
                                     : 0;
        if (n == 0 || n > len - i) return false;
        uint32_t code = n == 1 ? s[i] : s[i] & (0x7fU >> n);
        for (size_t k = 1; k < n; k++) {
            if (s[i + k] >> 6 != 2) return false;
            code = code << 6 | (s[i + k] & 0x3f);
        }
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return false;
        i += n;
    }
    return true;
}

/* Every sequence of up to four bytes from the borders of RFC 3629's ranges, at every alignment. */
static void test_utf8_borders(void **state) {
    (void)state;
    static const unsigned char edge[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                         0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed,
                                         0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
    const size_t n = sizeof(edge);
    for (size_t i = 0; i < n * n * n * n; i++) {
        unsigned char s[12] = {edge[i % n], edge[i / n % n], edge[i / n / n % n],
                               edge[i / n / n / n]};
        for (size_t len = 1; len <= 4; len++)
            if (q5_utf8_valid(q5_slice_make((char *)s, len)) != reference_valid(s, len))
                fail_msg("%02x %02x %02x %02x, %zu", s[0], s[1], s[2], s[3], len);
    }
    for (size_t pad = 0; pad < 20; pad++) {
        char text[32];
        memset(text, 'x', sizeof(text));
        memcpy(text + pad, "\xf0\x9f\x8e\xb8", 4);
        assert_true(q5_utf8_valid(q5_slice_make(text, sizeof(text))));
        assert_true(q5_utf8_valid(q5_slice_make(text, pad + 4)));
        assert_false(q5_utf8_valid(q5_slice_make(text, pad + 3)));
        text[pad + 3] = 'x';
        assert_false(q5_utf8_valid(q5_slice_make(text, sizeof(text))));
    }
    assert_true(q5_utf8_valid((q5_slice){NULL, 0}));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_no_copy),
        cmocka_unit_test(test_utf8_borders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
