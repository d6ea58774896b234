/* The chunked coding, each row whole, byte by byte, and split in two at every position. */
#include "q5/chunked.h"

#include <stdlib.h>

#include "q5test.h"

typedef struct result {
    int status;
    size_t at; /* bytes taken in all, or offset of the fault */
    size_t len;
    char data[256];
} result;

/* The first input holds `first` bytes, each further one `step`. */
static result feed(const char *text, size_t len, size_t first, size_t step) {
    result got = {.status = Q5_OK};
    q5_chunked_decoder decoder;
    q5_chunked_init(&decoder);
    size_t end = first;
    while (got.status == Q5_OK) {
        if (end > len) end = len;
        size_t part = end - got.at;
        char *buf = malloc(part ? part : 1);
        memcpy(buf, text + got.at, part);
        size_t used = SIZE_MAX;
        q5_slice data;
        got.status = q5_chunked_decode(&decoder, buf, part, &used, &data);
        assert_true(used <= part);
        assert_true(data.base >= buf && data.base + data.len <= buf + used);
        if (got.status != Q5_OK) assert_int_equal(data.len, 0);
        assert_true(got.len + data.len <= sizeof(got.data));
        memcpy(got.data + got.len, data.base, data.len);
        got.len += data.len;
        got.at += used;
        free(buf);
        if (got.status == Q5_OK && used == part) {
            if (end == len) break;
            end += step;
        }
    }
    if (got.status == Q5_DONE) {
        size_t used;
        q5_slice data;
        assert_status(q5_chunked_decode(&decoder, "0", 1, &used, &data), Q5_ESTATE);
        assert_int_equal(used, 0);
    }
    return got;
}

static void expect(const char *why, const char *way, result got, const result *want) {
    if (got.status == want->status && got.at == want->at && got.len == want->len &&
        memcmp(got.data, want->data, got.len) == 0)
        return;
    fail_msg("%s (%s): got %s at %zu with %zu bytes, want %s at %zu with %zu bytes", why, way,
             q5_status_name(got.status), got.at, got.len, q5_status_name(want->status), want->at,
             want->len);
}

static void check(const char *why, const char *text, size_t len, const result *want) {
    expect(why, "whole", feed(text, len, len, 1), want);
    expect(why, "bytes", feed(text, len, 0, 1), want);
    for (size_t at = 0; at < len; at++)
        expect(why, "split", feed(text, len, at, len - at), want);
}

static const struct {
    const char *why;
    const char *text;
    const char *data;
    size_t behind; /* bytes that belong to the next request */
} good[] = {
    {"9112-7.1 nothing", "0\r\n\r\n", "", 0},
    {"9112-7.1 one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello", 0},
    {"9112-7.1 two chunks", "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", "hello", 0},
    {"9112-7.1 lower-case digits", "a\r\n0123456789\r\n0\r\n\r\n", "0123456789", 0},
    {"9112-7.1 upper-case digits", "A\r\n0123456789\r\n0\r\n\r\n", "0123456789", 0},
    {"9112-7.1 leading zeros, 16 digits", "0000000000000001\r\nx\r\n0\r\n\r\n", "x", 0},
    {"9112-7.1 a last chunk of 16 zeros", "0000000000000000\r\n\r\n", "", 0},
    {"9112-7.1 line ends in the data", "6\r\n\r\n0\r\n\r\r\n0\r\n\r\n", "\r\n0\r\n\r", 0},
    {"the next request follows", "1\r\nx\r\n0\r\n\r\nGET /", "x", 5},
    {"9112-7.1.1 extension", "1;a\r\nx\r\n0\r\n\r\n", "x", 0},
    {"9112-7.1.1 extension with a value", "1;a=b\r\nx\r\n0;c\r\n\r\n", "x", 0},
    {"9112-7.1.1 quoted value", "1;a=\"b;c\"\r\nx\r\n0\r\n\r\n", "x", 0},
    {"9112-7.1.1 two extensions", "1;a;b=c\r\nx\r\n0\r\n\r\n", "x", 0},
    {"9112-7.1.1 white space behind the semicolon", "1; a\r\nx\r\n0\r\n\r\n", "x", 0},
    {"9112-7.1.1 obs-text in an extension", "1;a=\"\xc3\xa9\"\r\nx\r\n0\r\n\r\n", "x", 0},
    {"9112-7.1.2 trailer", "1\r\nx\r\n0\r\nX: y\r\n\r\n", "x", 0},
    {"9112-7.1.2 two trailers", "0\r\nX: y\r\nServer-Timing:\ta \r\n\r\n", "", 0},
    {"9110-6.5 empty trailer value", "0\r\nX:\r\n\r\n", "", 0},
    {"9110-6.5 a long trailer name", "0\r\nX-0123456789-0123456789-0123456789: y\r\n\r\n", "", 0},
    {"9110-6.5.1 a name that only begins like Host", "0\r\nHost-Id: y\r\n\r\n", "", 0},
};

static void test_good(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(good); i++) {
        size_t len = strlen(good[i].text);
        result want = {.status = Q5_DONE, .at = len - good[i].behind};
        want.len = strlen(good[i].data);
        memcpy(want.data, good[i].data, want.len);
        check(good[i].why, good[i].text, len, &want);
        for (size_t part = 0; part < want.at; part++) { /* cut short, it is not over */
            result got = feed(good[i].text, part, part, 1);
            assert_status(got.status, Q5_OK);
            assert_int_equal(got.at, part);
        }
    }
}

typedef struct bad_row {
    const char *why;
    int status;
    const char *good; /* the bytes before the one at fault */
    size_t good_len;
    const char *bad; /* those from it on */
    size_t bad_len;
    const char *data;
} bad_row;

#define ROW(why, status, good, bad, data) \
    { why, Q5_##status, good, sizeof(good) - 1, bad, sizeof(bad) - 1, data }

static const bad_row bad[] = {
    ROW("9112-7.1 no size", ECHUNK_SIZE, "", "\r\n", ""),
    ROW("9112-7.1 no digit", ECHUNK_SIZE, "", "g\r\n", ""),
    ROW("9112-7.1 extension without a size", ECHUNK_SIZE, "", ";a\r\n", ""),
    ROW("9112-7.1 sign", ECHUNK_SIZE, "", "+1\r\nx\r\n", ""),
    ROW("9112-7.1 minus", ECHUNK_SIZE, "", "-1\r\nx\r\n", ""),
    ROW("9112-7.1 0x", ECHUNK_SIZE, "0", "x1\r\nx\r\n", ""),
    ROW("9112-7.1 underscore", ECHUNK_SIZE, "1", "_0\r\n", ""),
    ROW("9112-7.1 space before", ECHUNK_SIZE, "", " 1\r\nx\r\n", ""),
    ROW("9112-7.1 space behind", ECHUNK_SIZE, "1", " \r\nx\r\n", ""),
    ROW("9112-7.1 HTAB behind", ECHUNK_SIZE, "1", "\t\r\nx\r\n", ""),
    ROW("9112-7.1.1 space before the semicolon", ECHUNK_SIZE, "1", " ;a\r\nx\r\n", ""),
    ROW("9112-7.1 NUL", ECHUNK_SIZE, "1", "\0\r\nx\r\n", ""),
    ROW("9112-7.1 comma", ECHUNK_SIZE, "1", ",1\r\nx\r\n", ""),
    ROW("9112-7.1 letter behind", ECHUNK_SIZE, "f", "g\r\n", ""),
    ROW("9112-7.1 17 digits", ECHUNK_SIZE, "0000000000000000", "1\r\nx\r\n", ""),
    ROW("9112-7.1 over 64 bits", ECHUNK_SIZE, "ffffffffffffffff", "0\r\n", ""),
    ROW("9112-7.1 full-width digit", ECHUNK_SIZE, "", "\xef\xbc\x91\r\n", ""),
    ROW("9112-7.1 a digit with bit 5 unset", ECHUNK_SIZE, "", "\x11\r\nx\r\n", ""),
    ROW("9112-2.2 bare LF behind the size", EBARE_LF, "1", "\nx\r\n", ""),
    ROW("9112-2.2 bare LF for a size", EBARE_LF, "", "\n", ""),
    ROW("9112-2.2 bare CR behind the size", EBARE_CR, "1\r", "x", ""),
    ROW("9112-2.2 two CRs behind the size", EBARE_CR, "1\r", "\r\nx\r\n", ""),
    /* RFC 9112, 7.1.1 and the TERM.EXT family */
    ROW("bare LF in an extension", EBARE_LF, "1;a", "\nx\r\n", ""),
    ROW("bare CR in an extension", EBARE_CR, "1;a\r", "b\r\nx\r\n", ""),
    ROW("CRLF cannot be quoted", ECHUNK_SIZE,
        "1;a=\"\r\n"
        "x\r\n",
        "\"\r\n", "x"),
    ROW("empty extension", ECHUNK_EXT, "1;", "\r\nx\r\n", ""),
    ROW("blank extension", ECHUNK_EXT, "1; ", "\r\nx\r\n", ""),
    ROW("bare LF behind the semicolon", EBARE_LF, "1;", "\nx\r\n", ""),
    ROW("NUL in an extension", ECHUNK_EXT, "1;a", "\0\r\nx\r\n", ""),
    ROW("DEL in an extension", ECHUNK_EXT, "1;a", "\x7f\r\nx\r\n", ""),
    /* h11 CVE-2025-43859: any two bytes were taken for the end of a chunk */
    ROW("two other bytes behind a chunk", ECHUNK_END, "1\r\nx", "yz0\r\n\r\n", "x"),
    ROW("data longer than its size", ECHUNK_END, "1\r\nx", "y\r\n0\r\n\r\n", "x"),
    ROW("LF behind a chunk", ECHUNK_END, "1\r\nx", "\n0\r\n\r\n", "x"),
    ROW("CR and a letter behind a chunk", ECHUNK_END, "1\r\nx\r", "y0\r\n\r\n", "x"),
    ROW("two CRs behind a chunk", ECHUNK_END, "1\r\nx\r", "\r\n0\r\n\r\n", "x"),
    ROW("LF CR behind a chunk", ECHUNK_END, "1\r\nx", "\n\r0\r\n\r\n", "x"),
    ROW("nothing behind a chunk", ECHUNK_END, "1\r\nx", "0\r\n\r\n", "x"),
    ROW("an empty line more", ECHUNK_SIZE, "1\r\nx\r\n", "\r\n0\r\n\r\n", "x"),
    /* trailers */
    ROW("9112-7.1.2 bare LF ends the body", EBARE_LF, "0\r\n", "\n", ""),
    ROW("9112-7.1.2 bare CR ends the body", EBARE_CR, "0\r\n\r", "x", ""),
    ROW("9112-7.1.2 two CRs end the body", EBARE_CR, "0\r\n\r", "\r\n", ""),
    ROW("a request instead of an empty line", ETRAILER, "0\r\nGET", " / HTTP/1.1\r\n", ""),
    ROW("9112-5.2 folded trailer", ETRAILER, "0\r\nX: y\r\n", " z\r\n\r\n", ""),
    ROW("9112-5.2 space first", ETRAILER, "0\r\n", " X: y\r\n\r\n", ""),
    ROW("9112-5.1 space before the colon", ETRAILER, "0\r\nX", " : y\r\n\r\n", ""),
    ROW("9110-5.1 empty name", ETRAILER, "0\r\n", ": y\r\n\r\n", ""),
    ROW("9112-5 no colon", ETRAILER, "0\r\nX", "\r\n\r\n", ""),
    ROW("9110-5.6.2 separator in a name", ETRAILER, "0\r\nX", "@: y\r\n", ""),
    ROW("9110-5.5 NUL in a value", ETRAILER, "0\r\nX: ", "\0\r\n", ""),
    ROW("9110-5.5 DEL in a value", ETRAILER, "0\r\nX: ", "\x7f\r\n", ""),
    ROW("9112-2.2 bare LF behind a value", EBARE_LF, "0\r\nX: y", "\n\r\n", ""),
    ROW("9112-2.2 bare LF in a name", EBARE_LF, "0\r\nX", "\n\r\n", ""),
    ROW("9112-2.2 bare CR in a value", EBARE_CR, "0\r\nX: y\r", "z\r\n", ""),
    ROW("9110-6.5.1 framing", ETRAILER, "0\r\nContent-Length", ": 5\r\n\r\n", ""),
    ROW("9110-6.5.1 framing", ETRAILER, "0\r\nTRANSFER-ENCODING", ": chunked\r\n\r\n", ""),
    ROW("9110-6.5.1 routing", ETRAILER, "0\r\nhost", ": a\r\n\r\n", ""),
    ROW("9110-6.5.1 authentication", ETRAILER, "0\r\nAuthorization", ": a\r\n\r\n", ""),
    ROW("9110-6.5.1 content", ETRAILER, "0\r\nX: y\r\nContent-Type", ": a\r\n\r\n", ""),
};

static void test_bad(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(bad); i++) {
        char text[256];
        memcpy(text, bad[i].good, bad[i].good_len);
        memcpy(text + bad[i].good_len, bad[i].bad, bad[i].bad_len);
        result want = {.status = bad[i].status, .at = bad[i].good_len};
        want.len = strlen(bad[i].data);
        memcpy(want.data, bad[i].data, want.len);
        check(bad[i].why, text, bad[i].good_len + bad[i].bad_len, &want);
        /* no byte beyond the one at fault is waited for */
        expect(bad[i].why, "cut", feed(text, bad[i].good_len + 1, 0, 1), &want);
    }
}

/* Feeds the same text again and again until a status other than Q5_OK comes. */
static size_t count_until(q5_chunked_decoder *decoder, const char *text, int *ret_status) {
    size_t total = 0;
    for (;;) {
        size_t left = strlen(text);
        const char *pos = text;
        while (left) {
            size_t used;
            q5_slice data;
            *ret_status = q5_chunked_decode(decoder, pos, left, &used, &data);
            total += used;
            if (*ret_status != Q5_OK) return total;
            pos += used;
            left -= used;
        }
    }
}

static void test_bounds(void **state) {
    (void)state;
    q5_chunked_decoder decoder;
    size_t used;
    q5_slice data;
    int status;

    q5_chunked_init(&decoder);
    assert_status(q5_chunked_decode(&decoder, "1;", 2, &used, &data), Q5_OK);
    assert_int_equal(count_until(&decoder, "e", &status), Q5_CHUNK_EXT_MAX);
    assert_status(status, Q5_ECHUNK_EXT);

    /* 16,384 bytes of extensions in chunks of one byte, each far below its own bound */
    q5_chunked_init(&decoder);
    size_t taken = count_until(&decoder, "1;0123456789abcdef\r\nx\r\n", &status);
    assert_status(status, Q5_ECHUNK_EXT);
    assert_int_equal(taken, Q5_CHUNK_EXT_TOTAL_MAX / 16 * 23 + 2);

    q5_chunked_init(&decoder);
    assert_status(q5_chunked_decode(&decoder, "0\r\n", 3, &used, &data), Q5_OK);
    assert_int_equal(count_until(&decoder, "X: 345\r\n", &status), Q5_TRAILER_MAX / 7 * 8 + 2);
    assert_status(status, Q5_ETRAILER);

    q5_chunked_init(&decoder);
    assert_status(q5_chunked_decode(&decoder, "0\r\n", 3, &used, &data), Q5_OK);
    assert_int_equal(count_until(&decoder, "n", &status), Q5_TRAILER_MAX);
    assert_status(status, Q5_ETRAILER);
}

/* The largest chunk: the count of what is left does not wrap. */
static void test_largest(void **state) {
    (void)state;
    q5_chunked_decoder decoder;
    q5_chunked_init(&decoder);
    size_t used;
    q5_slice data;
    const char text[] = "FFFFFFFFFFFFFFFF\r\nabc";
    assert_status(q5_chunked_decode(&decoder, text, 21, &used, &data), Q5_OK);
    assert_int_equal(used, 21);
    assert_slice(data, "abc");
    assert_true(decoder.left == UINT64_MAX - 3);
}

static void test_head(void **state) {
    (void)state;
    static const struct {
        size_t len;
        const char *line;
    } rows[] = {
        {1, "1\r\n"},
        {9, "9\r\n"},
        {10, "A\r\n"},
        {15, "F\r\n"},
        {16, "10\r\n"},
        {255, "FF\r\n"},
        {256, "100\r\n"},
        {4095, "FFF\r\n"},
        {65536, "10000\r\n"},
        {0xabcdef, "ABCDEF\r\n"},
        {SIZE_MAX, "FFFFFFFFFFFFFFFF\r\n"},
    };
    _Static_assert(sizeof(size_t) == 8, "the last row is the longest line");
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        char out[Q5_CHUNK_HEAD_MAX];
        assert_slice(q5_slice_make(out, q5_chunk_head(out, rows[i].len)), rows[i].line);
    }
}

/* What we write, we read. */
static void test_round_trip(void **state) {
    (void)state;
    for (size_t len = 1; len <= 200; len++) {
        char text[300], body[200];
        memset(body, (int)(len & 0xff), len);
        size_t used = q5_chunk_head(text, len);
        memcpy(text + used, body, len);
        memcpy(text + used + len, "\r\n0\r\n\r\n", 7);
        result want = {.status = Q5_DONE, .at = used + len + 7, .len = len};
        memcpy(want.data, body, len);
        check("round trip", text, want.at, &want);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),   cmocka_unit_test(test_bad),
        cmocka_unit_test(test_bounds), cmocka_unit_test(test_largest),
        cmocka_unit_test(test_head),   cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
