/* permessage-deflate: the examples of RFC 7692, 7.2.3, round trips, and its bounds. */
#include "q5/ws_deflate.h"

#include "ws/wsrig.h"

static const q5_ws_deflate_terms stateless = {.server_bits = 12, .client_bits = 15};
static const q5_ws_deflate_terms keeping = {
    .server_bits = 12, .client_bits = 15, .server_context = true, .client_context = true};

static wsrig *deflate_rig(const q5_ws_deflate_terms *terms, q5_ws_inflater **ret_inflater) {
    wsrig *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    *ret_inflater = q5_ws_inflater_create(q5_alloc_default(), terms);
    q5_ws_inflate inflate = {q5_ws_inflater_piece, *ret_inflater};
    wsrig_open(r, NULL, &inflate);
    return r;
}

static void end_rig(wsrig *r, q5_ws_inflater *inflater) {
    wsrig_free(r);
    q5_ws_inflater_destroy(inflater);
}

static const struct {
    const char *what, *bytes;
    size_t len;
} hellos[] = {
    {"7.2.3.1", "\xf2\x48\xcd\xc9\xc9\x07\x00", 7},
    {"7.2.3.3: no compression", "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11},
    {"7.2.3.4: a final block", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8},
    {"7.2.3.5: two blocks", "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13},
};

static void test_examples(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(hellos); i++) {
        q5_ws_inflater *inflater;
        wsrig *r = deflate_rig(&keeping, &inflater);
        wsrig_send(r, 0xc1, q5_slice_make(hellos[i].bytes, hellos[i].len));
        /* 7.2.3.1: the same in two fragments, the second without RSV1 */
        wsrig_send(r, 0x41, q5_slice_make(hellos[i].bytes, 3));
        wsrig_send(r, 0x80, q5_slice_make(hellos[i].bytes + 3, hellos[i].len - 3));
        assert_string_equal(r->trace, "text:Hello text:Hello");
        end_rig(r, inflater);
    }
}

static void test_context(void **state) {
    (void)state;
    q5_ws_inflater *inflater;
    wsrig *r = deflate_rig(&keeping, &inflater);
    wsrig_send(r, 0xc1, q5_slice_make(hellos[0].bytes, hellos[0].len));
    wsrig_send(r, 0xc1, q5_slice_make("\xf2\x00\x11\x00\x00", 5)); /* 7.2.3.2 */
    assert_string_equal(r->trace, "text:Hello text:Hello");
    end_rig(r, inflater);
    /* A client that has agreed to keep none must not refer to it. */
    r = deflate_rig(&stateless, &inflater);
    wsrig_send(r, 0xc1, q5_slice_make(hellos[0].bytes, hellos[0].len));
    wsrig_send(r, 0xc1, q5_slice_make("\xf2\x00\x11\x00\x00", 5));
    assert_non_null(strstr(r->trace, "text:Hello <close:1007:"));
    end_rig(r, inflater);
}

static void test_empty_and_plain(void **state) {
    (void)state;
    q5_ws_inflater *inflater;
    wsrig *r = deflate_rig(&stateless, &inflater);
    wsrig_send(r, 0xc1, q5_slice_make("\x00", 1)); /* 7.2.3.6 */
    wsrig_send(r, 0x81, Q5_LIT("plain"));
    assert_string_equal(r->trace, "text: text:plain");
    end_rig(r, inflater);
}

static void test_bad_data(void **state) {
    (void)state;
    static const struct {
        unsigned first;
        const char *bytes;
        const char *told;
    } rows[] = {
        {0xc1, "\xff\xff\xff", "close:1007:WebSocket message that cannot be inflated end"},
        {0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x99\x99", "close:1007:"},
        {0x80, "x", "close:1002:"},
        {0xc0, "x", "close:1002:"},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_ws_inflater *inflater;
        wsrig *r = deflate_rig(&stateless, &inflater);
        wsrig_send(r, rows[i].first, q5_slice_make(rows[i].bytes, strlen(rows[i].bytes)));
        assert_non_null(strstr(r->trace, rows[i].told));
        assert_int_equal(r->messages, 0);
        end_rig(r, inflater);
    }
    q5_ws_inflater *inflater;
    wsrig *r = deflate_rig(&stateless, &inflater);
    wsrig_send(r, 0x41, q5_slice_make(hellos[0].bytes, 3));
    wsrig_send(r, 0xc0, q5_slice_make(hellos[0].bytes + 3, 4)); /* 6.1: RSV1 on a continuation */
    assert_non_null(strstr(r->trace, "close:1002:"));
    end_rig(r, inflater);
}

/* What compresses well inflates to much: by length, and by what came for it. */
static void test_bombs(void **state) {
    (void)state;
    static const struct {
        size_t len, message_max;
        const char *told; /* NULL: it is taken */
    } rows[] = {
        {60000, 1u << 20, NULL},
        {500000, 1u << 20, "close:1009:WebSocket message inflates too much end"},
        {500000, 50000, "close:1009:WebSocket message too long end"},
        {50000, 50000, NULL},
        {50001, 50000, "close:1009:WebSocket message too long end"},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_ws_inflater *inflater;
        wsrig *r = deflate_rig(&stateless, &inflater);
        r->config.message_max = rows[i].message_max;
        char *zeros = calloc(1, rows[i].len);
        q5_ws_deflater *deflater = q5_ws_deflater_create(q5_alloc_default(), 15, false);
        q5_buf out;
        q5_buf_init(&out, NULL);
        assert_status(q5_ws_deflater_message(deflater, q5_slice_make(zeros, rows[i].len), &out),
                      Q5_OK);
        wsrig_send(r, 0xc2, q5_buf_slice(&out));
        if (rows[i].told)
            assert_non_null(strstr(r->trace, rows[i].told));
        else
            assert_int_equal(r->messages, 1);
        q5_buf_deinit(&out);
        q5_ws_deflater_destroy(deflater);
        free(zeros);
        end_rig(r, inflater);
    }
}

static void test_round_trips(void **state) {
    (void)state;
    static const size_t lens[] = {0, 1, 5, 125, 126, 1000, 4096, 70000, 300000};
    for (int context = 0; context < 2; context++) {
        for (size_t i = 0; i < Q5_ARRAY_LEN(lens); i++) {
            q5_ws_inflater *inflater =
                q5_ws_inflater_create(q5_alloc_default(), context ? &keeping : &stateless);
            q5_ws_deflater *deflater = q5_ws_deflater_create(q5_alloc_default(), 12, context);
            char *data = malloc(lens[i] + 1);
            uint32_t seed = 1;
            for (size_t j = 0; j < lens[i]; j++) {
                seed = seed * 1664525 + 1013904223;
                data[j] = (char)(j % 100 < 50 ? seed >> 24 : 'x');
            }
            for (int round = 0; round < 3; round++) {
                q5_buf out, back;
                q5_buf_init(&out, NULL);
                q5_buf_init(&back, NULL);
                assert_status(q5_ws_deflater_message(deflater, q5_slice_make(data, lens[i]), &out),
                              Q5_OK);
                assert_status(
                    q5_ws_inflater_piece(inflater, q5_buf_slice(&out), true, &back, lens[i]),
                    Q5_OK);
                assert_int_equal(back.len, lens[i]);
                if (lens[i]) assert_memory_equal(back.base, data, lens[i]);
                q5_buf_deinit(&out);
                q5_buf_deinit(&back);
            }
            free(data);
            q5_ws_deflater_destroy(deflater);
            q5_ws_inflater_destroy(inflater);
        }
    }
}

static int scenario(const q5_alloc *alloc, void *ctx) {
    (void)ctx;
    q5_buf out, back;
    q5_buf_init(&out, alloc);
    q5_buf_init(&back, alloc);
    q5_ws_inflater *inflater = q5_ws_inflater_create(alloc, &stateless);
    q5_ws_deflater *deflater = q5_ws_deflater_create(alloc, 12, false);
    int status = inflater && deflater ? Q5_OK : Q5_ENOMEM;
    if (!status) status = q5_ws_deflater_message(deflater, Q5_LIT("Hello, Hello, Hello"), &out);
    if (!status) status = q5_ws_inflater_piece(inflater, q5_buf_slice(&out), true, &back, 1000);
    q5_ws_inflater_destroy(inflater);
    q5_ws_deflater_destroy(deflater);
    q5_buf_deinit(&out);
    q5_buf_deinit(&back);
    return status;
}

static void test_out_of_memory(void **state) {
    (void)state;
    failmalloc_sweep(scenario, NULL);
}

int main(void) {
    if (!q5_ws_deflate_available()) return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),        cmocka_unit_test(test_context),
        cmocka_unit_test(test_empty_and_plain), cmocka_unit_test(test_bad_data),
        cmocka_unit_test(test_bombs),           cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_out_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
