#include "decode.h"
#include "q5test.h"

#define ROOM (1u << 21)
#define CODINGS_FIRST Q5_CODING_GZIP

static char plain[ROOM], decoded[ROOM];

/* Text that is neither constant nor noise, and noise. */
static void fill(char *out, size_t len, bool is_noise) {
    uint32_t x = 12345;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525u + 1013904223u;
        out[i] = is_noise ? (char)(x >> 24) : "{\"id\": 0123456789, \"name\"}"[(x >> 27) % 26];
    }
}

typedef struct shape {
    const char *why;
    size_t len, piece;
    bool is_noise, is_flushed, is_size_known;
} shape;

static const shape shapes[] = {
    {"nothing", 0, 1, false, false, true},
    {"nothing, of unknown length", 0, 1, false, false, false},
    {"one byte", 1, 1, false, false, true},
    {"a small body at once", 10240, 10240, false, false, true},
    {"a small body in small pieces", 10240, 7, false, false, true},
    {"each piece flushed", 10240, 100, false, true, false},
    {"more than the window", 700000, 65536, false, false, false},
    {"more than the window, known, at once", 700000, 700000, false, false, true},
    {"what cannot be made smaller", 100000, 1000, true, true, false},
};

static int run(q5_compressor *c, const shape *s, size_t pad, q5_buf *out) {
    int status = q5_compressor_begin(c, s->is_size_known ? s->len : Q5_COMPRESS_UNKNOWN, pad);
    size_t at = 0;
    while (status == Q5_OK && s->len - at > s->piece) {
        q5_slice piece = q5_slice_make(plain + at, s->piece);
        status =
            s->is_flushed ? q5_compressor_flush(c, piece, out) : q5_compressor_feed(c, piece, out);
        at += s->piece;
    }
    if (status) return status;
    return q5_compressor_finish(c, q5_slice_make(plain + at, s->len - at), out);
}

/* One compressor for all shapes in turn: nothing of a stream is left in the next one. */
static void test_round_trip(void **state) {
    (void)state;
    for (int coding = CODINGS_FIRST; coding < Q5_CODING_COUNT; coding++) {
        q5_compressor c;
        assert_status(q5_compressor_init(&c, NULL, (q5_coding)coding, 0), Q5_OK);
        for (size_t i = 0; i < Q5_ARRAY_LEN(shapes); i++) {
            const shape *s = &shapes[i];
            fill(plain, s->len, s->is_noise);
            q5_buf out;
            q5_buf_init(&out, NULL);
            assert_status(run(&c, s, 0, &out), Q5_OK);
            size_t len;
            if (!decode((q5_coding)coding, q5_buf_slice(&out), decoded, ROOM, &len, false))
                fail_msg("%s, %s: not one stream", q5_coding_name((q5_coding)coding), s->why);
            assert_int_equal(len, s->len);
            assert_memory_equal(decoded, plain, len);
            if (s->len == 10240 && !s->is_flushed) assert_true(out.len < 8192);
            q5_buf_deinit(&out);
        }
        q5_compressor_deinit(&c);
    }
}

/* Server-sent events and JSON lines: the client has each piece before the next one comes. */
static void test_flush_is_prompt(void **state) {
    (void)state;
    for (int coding = CODINGS_FIRST; coding < Q5_CODING_COUNT; coding++) {
        q5_compressor c;
        assert_status(q5_compressor_init(&c, NULL, (q5_coding)coding, 0), Q5_OK);
        assert_status(q5_compressor_begin(&c, Q5_COMPRESS_UNKNOWN, 9), Q5_OK);
        q5_buf out;
        q5_buf_init(&out, NULL);
        for (size_t n = 1; n <= 50; n++) {
            assert_status(q5_compressor_flush(&c, Q5_LIT("data: tick\n\n"), &out), Q5_OK);
            size_t len = 0;
            assert_true(decode((q5_coding)coding, q5_buf_slice(&out), decoded, ROOM, &len, true));
            assert_int_equal(len, n * 12);
        }
        /* Nothing new: nothing, or next to nothing, goes out. */
        size_t before = out.len;
        assert_status(q5_compressor_flush(&c, Q5_LIT(""), &out), Q5_OK);
        assert_true(out.len - before <= 8);
        assert_status(q5_compressor_finish(&c, Q5_LIT(""), &out), Q5_OK);
        q5_buf_deinit(&out);
        q5_compressor_deinit(&c);
    }
}

/* An event stream that is kept alive: nothing is added to what the client reads, neither to what
 * later data refer to nor to the checksum. */
static void test_nothing(void **state) {
    (void)state;
    for (int coding = CODINGS_FIRST; coding < Q5_CODING_COUNT; coding++) {
        q5_slice nothing = q5_compress_nothing((q5_coding)coding);
        q5_compressor c;
        q5_buf out;
        q5_buf_init(&out, NULL);
        assert_true(nothing.len > 0);
        assert_status(q5_compressor_init(&c, NULL, (q5_coding)coding, 0), Q5_OK);
        assert_status(q5_compressor_begin(&c, Q5_COMPRESS_UNKNOWN, 5), Q5_OK);
        for (size_t n = 0; n < 20; n++) {
            assert_status(q5_compressor_flush(&c, Q5_LIT("data: tick\n\n"), &out), Q5_OK);
            for (size_t k = 0; k < n % 3; k++)
                assert_status(q5_buf_append(&out, nothing.base, nothing.len), Q5_OK);
            size_t len = 0;
            assert_true(decode((q5_coding)coding, q5_buf_slice(&out), decoded, ROOM, &len, true));
            assert_int_equal(len, (n + 1) * 12);
        }
        assert_status(q5_compressor_finish(&c, Q5_LIT(""), &out), Q5_OK);
        size_t len;
        assert_true(decode((q5_coding)coding, q5_buf_slice(&out), decoded, ROOM, &len, false));
        assert_int_equal(len, 20 * 12);
        assert_memory_equal(decoded + 19 * 12, "data: tick\n\n", 12);
        q5_buf_deinit(&out);
        q5_compressor_deinit(&c);
    }
    assert_int_equal(q5_compress_nothing(Q5_CODING_IDENTITY).len, 0);
}

/* A stream that was given up leaves nothing to the next. */
static void test_begin_again(void **state) {
    (void)state;
    for (int coding = CODINGS_FIRST; coding < Q5_CODING_COUNT; coding++) {
        q5_compressor c;
        q5_buf out;
        q5_buf_init(&out, NULL);
        assert_status(q5_compressor_init(&c, NULL, (q5_coding)coding, 1), Q5_OK);
        assert_status(q5_compressor_begin(&c, 1000, 50), Q5_OK);
        assert_status(q5_compressor_feed(&c, Q5_LIT("somebody else's"), &out), Q5_OK);
        out.len = 0;
        assert_status(q5_compressor_begin(&c, 5, 0), Q5_OK);
        assert_status(q5_compressor_finish(&c, Q5_LIT("mine!"), &out), Q5_OK);
        size_t len;
        assert_true(decode((q5_coding)coding, q5_buf_slice(&out), decoded, ROOM, &len, false));
        assert_slice(q5_slice_make(decoded, len), "mine!");
        q5_buf_deinit(&out);
        q5_compressor_deinit(&c);
    }
}

/* BREACH (CVE-2013-3587): the length of the padding is the caller's to choose, and shows. */
static void test_padding(void **state) {
    (void)state;
    static const size_t pads[] = {1, 2, 50, Q5_COMPRESS_PAD_MAX, SIZE_MAX};
    static const shape body = {"", 2000, 2000, false, false, true};
    fill(plain, body.len, false);
    for (int coding = CODINGS_FIRST; coding < Q5_CODING_COUNT; coding++) {
        if (!q5_compress_padded((q5_coding)coding)) continue;
        q5_compressor c;
        q5_buf out;
        q5_buf_init(&out, NULL);
        assert_status(q5_compressor_init(&c, NULL, (q5_coding)coding, 0), Q5_OK);
        assert_status(run(&c, &body, 0, &out), Q5_OK);
        size_t bare = out.len;
        for (size_t i = 0; i < Q5_ARRAY_LEN(pads); i++) {
            size_t pad = pads[i] > Q5_COMPRESS_PAD_MAX ? Q5_COMPRESS_PAD_MAX : pads[i], len;
            out.len = 0;
            assert_status(run(&c, &body, pads[i], &out), Q5_OK);
            size_t head_max = coding == Q5_CODING_GZIP ? 0 : 6;
            assert_true(out.len >= bare + pad && out.len <= bare + pad + head_max);
            assert_true(decode((q5_coding)coding, q5_buf_slice(&out), decoded, ROOM, &len, false));
            assert_int_equal(len, body.len);
        }
        q5_buf_deinit(&out);
        q5_compressor_deinit(&c);
    }
    assert_true(q5_compress_padded(Q5_CODING_GZIP) && q5_compress_padded(Q5_CODING_BR));
    assert_false(q5_compress_padded(Q5_CODING_ZSTD) || q5_compress_padded(Q5_CODING_IDENTITY));
}

static void test_levels(void **state) {
    (void)state;
    static const shape body = {"", 60000, 60000, false, false, true};
    fill(plain, body.len, false);
    for (int coding = CODINGS_FIRST; coding < Q5_CODING_COUNT; coding++) {
        for (int level = 0; level <= Q5_COMPRESS_LEVEL_MAX; level++) {
            q5_compressor c;
            q5_buf out;
            size_t len;
            q5_buf_init(&out, NULL);
            assert_status(q5_compressor_init(&c, NULL, (q5_coding)coding, level), Q5_OK);
            assert_status(run(&c, &body, 0, &out), Q5_OK);
            assert_true(decode((q5_coding)coding, q5_buf_slice(&out), decoded, ROOM, &len, false));
            assert_int_equal(len, body.len);
            q5_buf_deinit(&out);
            q5_compressor_deinit(&c);
        }
    }
}

static void test_refused(void **state) {
    (void)state;
    q5_compressor c;
    assert_false(q5_compress_supported(Q5_CODING_IDENTITY));
    assert_status(q5_compressor_init(&c, NULL, Q5_CODING_IDENTITY, 0), Q5_EINVAL);
    assert_status(q5_compressor_init(&c, NULL, Q5_CODING_GZIP, 10), Q5_EINVAL);
    assert_status(q5_compressor_init(&c, NULL, Q5_CODING_GZIP, -1), Q5_EINVAL);
    for (int coding = CODINGS_FIRST; coding < Q5_CODING_COUNT; coding++) {
        q5_buf out;
        q5_buf_init(&out, NULL);
        assert_status(q5_compressor_init(&c, NULL, (q5_coding)coding, 0), Q5_OK);
        assert_status(q5_compressor_feed(&c, Q5_LIT("x"), &out), Q5_ESTATE);
        assert_status(q5_compressor_begin(&c, 1, 0), Q5_OK);
        assert_status(q5_compressor_finish(&c, Q5_LIT("x"), &out), Q5_OK);
        assert_status(q5_compressor_finish(&c, Q5_LIT("x"), &out), Q5_ESTATE);
        q5_buf_deinit(&out);
        q5_compressor_deinit(&c);
    }
}

static int scenario(const q5_alloc *alloc, void *ctx) {
    static const shape body = {"", 20000, 4000, false, true, false};
    q5_compressor c;
    q5_buf out;
    int status = q5_compressor_init(&c, alloc, *(q5_coding *)ctx, 0);
    if (status) return status;
    q5_buf_init(&out, alloc);
    status = run(&c, &body, 20, &out);
    q5_buf_deinit(&out);
    q5_compressor_deinit(&c);
    return status;
}

static void test_out_of_memory(void **state) {
    (void)state;
    fill(plain, 20000, false);
    for (int coding = CODINGS_FIRST; coding < Q5_CODING_COUNT; coding++) {
        q5_coding one = (q5_coding)coding;
        failmalloc_sweep(scenario, &one);
    }
}

int main(void) {
    for (int coding = CODINGS_FIRST; coding < Q5_CODING_COUNT; coding++)
        if (!q5_compress_supported((q5_coding)coding)) {
            printf("skipped: built without %s\n", q5_coding_name((q5_coding)coding));
            return 77;
        }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_flush_is_prompt),
        cmocka_unit_test(test_nothing),    cmocka_unit_test(test_begin_again),
        cmocka_unit_test(test_padding),    cmocka_unit_test(test_levels),
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
