#include "q5/json_text.h"

#include <stdlib.h>

#include "json/escape.h"
#include "q5test.h"

static void test_strings(void **state) {
    (void)state;
    static const struct {
        q5_slice text;
        const char *json; /* NULL: Q5_EENCODING */
    } rows[] = {
        {{"", 0}, "\"\""},
        {{NULL, 0}, "\"\""},
        {{"plain text", 10}, "\"plain text\""},
        {{"\"\\/", 3}, "\"\\\"\\\\/\""},
        {{"\b\f\n\r\t\v", 6}, "\"\\b\\f\\n\\r\\t\\u000b\""},
        {{"\0\x1f\x7f", 3}, "\"\\u0000\\u001f\x7f\""},
        {{"0123456789abcde\"f", 17}, "\"0123456789abcde\\\"f\""},
        {{"0123456789abcdef\n", 17}, "\"0123456789abcdef\\n\""},
        /* RFC 3629, 3: the ends of each range, and what is beyond them */
        {{"\xc2\x80\xdf\xbf", 4}, "\"\xc2\x80\xdf\xbf\""},
        {{"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80", 9}, "\"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\""},
        {{"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8}, "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""},
        {{"\x80", 1}, NULL},
        {{"\xc0\xaf", 2}, NULL},
        {{"\xe0\x9f\xbf", 3}, NULL},
        {{"\xed\xa0\x80", 3}, NULL},
        {{"\xf0\x8f\xbf\xbf", 4}, NULL},
        {{"\xf4\x90\x80\x80", 4}, NULL},
        {{"\xe2\x82", 2}, NULL},
        {{"0123456789abcdef\xe2\x82", 18}, NULL},
        {{"\xe2\x82x", 3}, NULL},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_buf buf;
        q5_buf_init(&buf, NULL);
        assert_status(q5_buf_append(&buf, "x", 1), Q5_OK);
        int status = q5_json_text(&buf, rows[i].text.base, rows[i].text.len);
        assert_status(status, rows[i].json ? Q5_OK : Q5_EENCODING);
        assert_slice(q5_slice_make(buf.base + 1, buf.len - 1), rows[i].json ? rows[i].json : "");
        q5_buf_deinit(&buf);
    }
}

/* Each way copies the same, up to any stop at any place of a text of any length. */
static void test_the_two_ways(void **state) {
    (void)state;
    enum { LEN_MAX = 70 };
    static const char stops[] = {'"', '\\', 0, '\x1f', '\n'};
    for (size_t len = 1; len <= LEN_MAX; len++) {
        for (size_t at = 0; at <= len; at++) {
            char *text = malloc(len); /* exactly, for a sanitizer */
            assert_non_null(text);
            for (size_t i = 0; i < len; i++)
                text[i] = (char)(i % 3 ? 'a' + i % 26 : 0x20 + (i * 37) % 2);
            if (at < len) text[at] = stops[(len + at) % sizeof(stops)];
            char one[LEN_MAX + Q5__COPY_SLACK], other[LEN_MAX + Q5__COPY_SLACK];
            uint64_t high = 0, other_high = 0;
            assert_int_equal(q5__copy_plain(one, text, len, &high), at);
            assert_int_equal(q5__copy_plain_scalar(other, text, len, &other_high), at);
            assert_memory_equal(one, text, at);
            assert_memory_equal(other, text, at);
            assert_true(high == 0 && other_high == 0);
            if (at > 0) {
                text[at / 2] = (char)0xc3;
                q5__copy_plain(one, text, len, &high);
                q5__copy_plain_scalar(other, text, len, &other_high);
                assert_true(high && other_high);
            }
            free(text);
        }
    }
}

/* No byte of a word hides a stop in another, and no other byte is taken for one. */
static void test_every_pair_of_bytes(void **state) {
    (void)state;
    for (unsigned pair = 0; pair < 65536; pair++) {
        char text[8] = {'a', 'b', 'c', (char)(pair >> 8), (char)pair, 'd', 'e', 'f'}, to[24];
        uint64_t high = 0;
        size_t want = 0;
        while (want < 8 && (uint8_t)text[want] >= 0x20 && text[want] != '"' && text[want] != '\\')
            want++;
        assert_int_equal(q5__copy_plain_scalar(to, text, 8, &high), want);
    }
}

/* Past the chunks in which room is taken. */
static void test_long_texts(void **state) {
    (void)state;
    enum { LEN = 5000 };
    static char text[LEN];
    for (size_t len = 1000; len <= LEN; len += 997) {
        for (size_t i = 0; i < len; i++)
            text[i] = i % 7 ? '\1' : 'x';
        q5_buf buf;
        q5_buf_init(&buf, NULL);
        assert_status(q5_json_text(&buf, text, len), Q5_OK);
        size_t at = 1;
        for (size_t i = 0; i < len; i++) {
            assert_memory_equal(buf.base + at, i % 7 ? "\\u0001" : "x", i % 7 ? 6 : 1);
            at += i % 7 ? 6 : 1;
        }
        assert_int_equal(buf.len, at + 1);
        buf.len = 0;
        text[len - 1] = (char)0xff;
        assert_status(q5_json_text(&buf, text, len), Q5_EENCODING);
        assert_int_equal(buf.len, 0);
        q5_buf_deinit(&buf);
    }
}

static int scenario(const q5_alloc *alloc, void *ctx) {
    (void)ctx;
    static char text[5000];
    memset(text, '"', sizeof(text));
    q5_buf buf;
    q5_buf_init(&buf, alloc);
    int status = Q5_OK;
    for (int i = 0; i < 4 && status == Q5_OK; i++) {
        size_t before = buf.len;
        status = q5_json_text(&buf, text, sizeof(text));
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
        cmocka_unit_test(test_the_two_ways),
        cmocka_unit_test(test_every_pair_of_bytes),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
