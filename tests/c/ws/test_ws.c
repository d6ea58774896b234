/* A WebSocket from frames to messages and back. Rows are what a client sends, whole and byte by
 * byte, and what must be told; clauses are those of RFC 6455. */
#include "ws/wsrig.h"

#define FIN 0x80

typedef struct frame {
    unsigned first; /* 0: no more */
    const char *payload;
    size_t len; /* 0: strlen(payload) */
} frame;

#define FRAMES_MAX 6

static const struct {
    const char *what;
    frame frames[FRAMES_MAX];
    const char *trace;
} rows[] = {
    {"5.7: a message", {{FIN | 1, "Hello", 0}}, "text:Hello"},
    {"5.7: in fragments", {{1, "Hel", 0}, {FIN, "lo", 0}}, "text:Hello"},
    {"5.4: a Ping amidst fragments",
     {{1, "Hel", 0}, {FIN | 9, "!", 0}, {FIN, "lo", 0}},
     "<pong:! text:Hello"},
    {"5.6: empty messages", {{FIN | 1, "", 0}, {FIN | 2, "", 0}}, "text: binary:"},
    {"empty fragments", {{2, "", 0}, {0x00, "", 0}, {FIN, "x", 0}}, "binary:x"},
    {"5.5.2: a Pong has the Ping's data", {{FIN | 9, "abc", 0}}, "<pong:abc"},
    {"5.5.3: a Pong nobody asked for", {{FIN | 10, "abc", 0}, {FIN | 1, "a", 0}}, "text:a"},
    {"5.5.1: Close", {{FIN | 8, "\x03\xe8", 2}}, "<close:1000: close:1000: end"},
    {"5.5.1: with a reason", {{FIN | 8, "\x0f\xa0why", 5}}, "<close:4000: close:4000:why end"},
    {"7.1.5: without a code", {{FIN | 8, "", 0}}, "<close: close:1005: end"},
    {"5.5.1: nothing behind a Close",
     {{FIN | 8, "\x03\xe8", 2}, {FIN | 1, "late", 0}},
     "<close:1000: close:1000: end"},
    {"7.4: half a code",
     {{FIN | 8, "\x03", 1}},
     "<close:1002:malformed WebSocket Close frame close:1002:malformed WebSocket Close frame end"},
    {"7.4.1: 1005 must not be sent",
     {{FIN | 8, "\x03\xed", 2}},
     "<close:1002:malformed WebSocket Close frame close:1002:malformed WebSocket Close frame end"},
    {"5.5.1: a reason that is no UTF-8",
     {{FIN | 8, "\x03\xe8\xff", 3}},
     "<close:1007:a WebSocket text message that is no UTF-8 "
     "close:1007:a WebSocket text message that is no UTF-8 end"},
    {"8.1: no UTF-8",
     {{FIN | 1, "a\xff", 0}},
     "<close:1007:a WebSocket text message that is no UTF-8 "
     "close:1007:a WebSocket text message that is no UTF-8 end"},
    {"8.1: a character cut by the end",
     {{FIN | 1, "\xe2\x82", 0}},
     "<close:1007:a WebSocket text message that is no UTF-8 "
     "close:1007:a WebSocket text message that is no UTF-8 end"},
    {"8.1: a character over two fragments",
     {{1, "\xe2\x82", 0}, {FIN, "\xac", 0}},
     "text:\xe2\x82\xac"},
    {"8.1: refused before the message's end",
     {{1, "\xe2", 0}, {0x00, "\x28", 0}},
     "<close:1007:a WebSocket text message that is no UTF-8 "
     "close:1007:a WebSocket text message that is no UTF-8 end"},
    {"binary need not be UTF-8", {{FIN | 2, "\xff\xfe", 0}}, "binary:\xff\xfe"},
    {"5.4: a continuation of nothing",
     {{FIN, "x", 0}},
     "<close:1002:a WebSocket frame where none of its kind may be "
     "close:1002:a WebSocket frame where none of its kind may be end"},
    {"5.4: a message within another",
     {{1, "x", 0}, {FIN | 1, "y", 0}},
     "<close:1002:a WebSocket frame where none of its kind may be "
     "close:1002:a WebSocket frame where none of its kind may be end"},
    {"5.2: RSV1 without an extension",
     {{FIN | 0x40 | 1, "x", 0}},
     "<close:1002:malformed WebSocket frame close:1002:malformed WebSocket frame end"},
};

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        char bytes[1024];
        size_t len = 0;
        for (const frame *f = rows[i].frames; f < rows[i].frames + FRAMES_MAX && f->payload; f++)
            wsrig_frame(bytes, &len, f->first,
                        q5_slice_make(f->payload, f->len ? f->len : strlen(f->payload)));
        for (size_t step = 0; step < 8; step++) {
            wsrig *r = wsrig_new();
            wsrig_feed(r, bytes, len, step);
            if (strcmp(r->trace, rows[i].trace) != 0) print_error("%s, %zu\n", rows[i].what, step);
            assert_string_equal(r->trace, rows[i].trace);
            wsrig_free(r);
        }
    }
}

static void test_unmasked_frames_are_refused(void **state) {
    (void)state;
    wsrig *r = wsrig_new();
    wsrig_feed(r, "\x81\x05Hello", 7, 0);
    assert_non_null(strstr(r->trace, "<close:1002:a WebSocket frame of a client that is not"));
    assert_int_equal(r->messages, 0);
    wsrig_free(r);
}

/* daphne, CVE-2026-44545: frames without a bound. Told by the head alone. */
static void test_long_messages(void **state) {
    (void)state;
    wsrig *r = wsrig_new();
    r->config.message_max = 100;
    wsrig_send(r, 2, q5_slice_make(r->trace + 500, 60));
    wsrig_send(r, 0, q5_slice_make(r->trace + 500, 40));
    wsrig_feed(r, "\x80\x81", 2, 0);
    assert_string_equal(r->trace, "");
    wsrig_feed(r, "\1\2\3\4", 4, 0);
    assert_non_null(strstr(r->trace, "close:1009:WebSocket message too long end"));
    assert_int_equal(r->ws.message.cap, 0);
    wsrig_free(r);
}

static void test_a_long_head_buys_no_memory(void **state) {
    (void)state;
    wsrig *r = wsrig_new();
    r->config.message_max = 1u << 30;
    wsrig_feed(r, "\x82\xff\0\0\0\0\x20\0\0\0\1\2\3\4abc", 17, 0);
    assert_string_equal(r->trace, "");
    assert_true(r->ws.message.cap + r->ws.in.cap < 70000);
    wsrig_free(r);
}

/* ws, CVE-2026-48779: a flood of tiny fragments. */
static void test_fragments(void **state) {
    (void)state;
    wsrig *r = wsrig_new();
    wsrig_send(r, 2, Q5_LIT(""));
    for (int i = 1; i < 1024; i++)
        wsrig_send(r, 0, Q5_LIT(""));
    assert_string_equal(r->trace, "");
    wsrig_send(r, 0, Q5_LIT(""));
    assert_non_null(strstr(r->trace, "close:1008:WebSocket message in too many fragments end"));
    wsrig_free(r);
}

static void test_large_messages_arrive_whole(void **state) {
    (void)state;
    static const size_t lens[] = {2000, 2048, 2049, 5000, 65535, 65536, 300000};
    for (size_t i = 0; i < Q5_ARRAY_LEN(lens); i++) {
        char *payload = malloc(lens[i]), *bytes = malloc(lens[i] + 14);
        for (size_t j = 0; j < lens[i]; j++)
            payload[j] = (char)('a' + j % 23);
        size_t len = 0;
        wsrig_frame(bytes, &len, FIN | 1, q5_slice_make(payload, lens[i]));
        wsrig *r = wsrig_new();
        assert_int_equal(wsrig_feed(r, bytes, len, 0), Q5_OK);
        assert_int_equal(r->messages, 1);
        assert_memory_equal(r->trace, "text:abcdefgh", 13);
        assert_int_equal(r->ws.valid_len, r->ws.received);
        assert_int_equal(r->ws.message.len, 0);
        assert_true(r->ws.in.cap <= 131072);
        wsrig_free(r);
        free(payload);
        free(bytes);
    }
}

/* Nothing is read while nobody takes messages, and nothing is lost. */
static void test_pause(void **state) {
    (void)state;
    wsrig *r = wsrig_new();
    char bytes[200];
    size_t len = 0;
    char *base;
    wsrig_frame(bytes, &len, FIN | 1, Q5_LIT("a"));
    wsrig_frame(bytes, &len, FIN | 1, Q5_LIT("b"));
    wsrig_frame(bytes, &len, FIN | 1, Q5_LIT("c"));
    wsrig_frame(bytes, &len, FIN | 8, Q5_LIT(""));
    r->room = 1;
    wsrig_feed(r, bytes, len, 0);
    assert_string_equal(r->trace, "text:a");
    assert_status(q5_ws_space(&r->ws, &base, &len), Q5_AGAIN);
    assert_int_equal(q5_ws_deadline(&r->ws), 0);
    r->room = 1;
    q5_ws_resume(&r->ws, r->now);
    assert_string_equal(r->trace, "text:a text:b");
    r->room = 5;
    q5_ws_resume(&r->ws, r->now);
    assert_string_equal(r->trace, "text:a text:b text:c <close: close:1005: end");
    assert_status(q5_ws_space(&r->ws, &base, &len), Q5_DONE);
    wsrig_free(r);
}

static void test_eof(void **state) {
    (void)state;
    wsrig *r = wsrig_new();
    wsrig_send(r, 1, Q5_LIT("half"));
    q5_ws_eof(&r->ws);
    assert_string_equal(r->trace, "close:1006: end");
    q5_ws_eof(&r->ws);
    assert_string_equal(r->trace, "close:1006: end");
    wsrig_free(r);
}

static void test_eof_gives_what_came_before(void **state) {
    (void)state;
    wsrig *r = wsrig_new();
    char bytes[200];
    size_t len = 0;
    wsrig_frame(bytes, &len, FIN | 1, Q5_LIT("a"));
    wsrig_frame(bytes, &len, FIN | 1, Q5_LIT("b"));
    wsrig_frame(bytes, &len, FIN | 1, Q5_LIT("c"));
    r->room = 1;
    wsrig_feed(r, bytes, len, 0);
    q5_ws_eof(&r->ws);
    assert_string_equal(r->trace, "text:a text:b text:c close:1006: end");
    wsrig_free(r);
}

/* ---- closing by us --------------------------------------------------------------------------- */

static void test_close(void **state) {
    (void)state;
    wsrig *r = wsrig_new();
    assert_status(q5_ws_close(&r->ws, 1005, Q5_LIT(""), r->now), Q5_EINVAL);
    assert_status(q5_ws_close(&r->ws, 4000, Q5_LIT("bye"), r->now), Q5_OK);
    assert_status(q5_ws_close(&r->ws, 4000, Q5_LIT("bye"), r->now), Q5_ESTATE);
    wsrig_send(r, FIN | 1, Q5_LIT("dropped"));
    wsrig_send(r, FIN | 9, Q5_LIT("unanswered"));
    wsrig_send(r, FIN | 8, Q5_LIT("\x0f\xa0"));
    assert_string_equal(r->trace, "<close:4000:bye end");
    wsrig_free(r);
}

static void test_close_timeout(void **state) {
    (void)state;
    wsrig *r = wsrig_new();
    q5_ws_close(&r->ws, 1001, Q5_LIT(""), r->now);
    assert_int_equal(q5_ws_deadline(&r->ws), r->now + r->config.close_msec);
    q5_ws_expire(&r->ws, r->now + r->config.close_msec - 1);
    assert_string_equal(r->trace, "<close:1001:");
    q5_ws_expire(&r->ws, r->now + r->config.close_msec);
    assert_string_equal(r->trace, "<close:1001: end");
    assert_int_equal(q5_ws_deadline(&r->ws), 0);
    wsrig_free(r);
}

static void test_close_while_paused_finds_the_clients_close(void **state) {
    (void)state;
    wsrig *r = wsrig_new();
    char bytes[200];
    size_t len = 0;
    wsrig_frame(bytes, &len, FIN | 1, Q5_LIT("a"));
    wsrig_frame(bytes, &len, FIN | 1, Q5_LIT("b"));
    wsrig_frame(bytes, &len, FIN | 8, Q5_LIT(""));
    r->room = 1;
    wsrig_feed(r, bytes, len, 0);
    q5_ws_close(&r->ws, 1000, Q5_LIT(""), r->now);
    assert_string_equal(r->trace, "text:a <close:1000: end");
    wsrig_free(r);
}

static void test_close_within_a_message(void **state) {
    (void)state;
    for (int fragmented = 0; fragmented < 2; fragmented++) {
        wsrig *r = wsrig_new();
        char bytes[200];
        size_t len = 0;
        if (fragmented) wsrig_frame(bytes, &len, 1, Q5_LIT("x"));
        wsrig_frame(bytes, &len, fragmented ? FIN : FIN | 1, Q5_LIT("a"));
        wsrig_frame(bytes, &len, FIN | 1, Q5_LIT("b"));
        r->close_within = true;
        wsrig_feed(r, bytes, len, 0);
        assert_string_equal(r->trace, fragmented ? "text:xa <close:1000:" : "text:a <close:1000:");
        wsrig_free(r);
    }
}

/* 5.5: 123 bytes at most; a character is not cut in two. */
static void test_long_reasons_are_cut(void **state) {
    (void)state;
    wsrig *r = wsrig_new();
    char reason[200];
    memset(reason, 'x', sizeof(reason));
    memcpy(reason + 122, "\xc3\xa4", 2);
    q5_ws_close(&r->ws, 1000, q5_slice_make(reason, sizeof(reason)), r->now);
    assert_int_equal(r->trace_len, strlen("<close:1000:") + 122);
    wsrig_free(r);
}

/* ---- time ------------------------------------------------------------------------------------ */

static void test_ping_and_pong(void **state) {
    (void)state;
    wsrig *r = wsrig_new();
    assert_int_equal(q5_ws_deadline(&r->ws), 1000 + 20000);
    r->now = 21000;
    q5_ws_expire(&r->ws, r->now);
    assert_string_equal(r->trace, "<ping:");
    assert_int_equal(r->ws.in.cap, 0);
    assert_int_equal(q5_ws_deadline(&r->ws), 21000 + 20000);
    r->now = 30000;
    wsrig_send(r, FIN | 10, Q5_LIT(""));
    assert_int_equal(q5_ws_deadline(&r->ws), 30000 + 20000);
    q5_ws_expire(&r->ws, 50000);
    q5_ws_expire(&r->ws, 70000);
    assert_string_equal(r->trace, "<ping: <ping: close:1006: end");
    wsrig_free(r);
}

/* A message must not be dribbled for ever, however alive its sender is. */
static void test_slow_messages(void **state) {
    (void)state;
    wsrig *r = wsrig_new();
    wsrig_send(r, 2, Q5_LIT("a"));
    while (r->now < 31000) {
        r->now += 5000;
        wsrig_send(r, FIN | 10, Q5_LIT(""));
    }
    assert_int_equal(q5_ws_deadline(&r->ws), 1000 + 30000 + 4); /* a byte buys 1/240 s */
    q5_ws_expire(&r->ws, 31004);
    assert_non_null(strstr(r->trace, "close:1008:WebSocket message comes too slowly end"));
    wsrig_free(r);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static int scenario(const q5_alloc *alloc, void *ctx) {
    (void)ctx;
    wsrig *r = calloc(1, sizeof(*r));
    char payload[5000], bytes[5020];
    size_t len = 0;
    assert_non_null(r);
    wsrig_open(r, alloc, NULL);
    memset(payload, 'x', sizeof(payload));
    wsrig_frame(bytes, &len, 1, q5_slice_make(payload, sizeof(payload)));
    int status = wsrig_feed(r, bytes, len, 0);
    len = 0;
    wsrig_frame(bytes, &len, FIN, q5_slice_make(payload, sizeof(payload)));
    if (!status) status = wsrig_feed(r, bytes, len, 0);
    if (strstr(r->trace, "close:1013:out of memory end")) status = Q5_ENOMEM;
    if (!status) assert_int_equal(r->messages, 1);
    wsrig_free(r);
    return status;
}

static void test_out_of_memory(void **state) {
    (void)state;
    failmalloc_sweep(scenario, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_unmasked_frames_are_refused),
        cmocka_unit_test(test_long_messages),
        cmocka_unit_test(test_a_long_head_buys_no_memory),
        cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_large_messages_arrive_whole),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_eof),
        cmocka_unit_test(test_eof_gives_what_came_before),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_close_timeout),
        cmocka_unit_test(test_close_while_paused_finds_the_clients_close),
        cmocka_unit_test(test_close_within_a_message),
        cmocka_unit_test(test_long_reasons_are_cut),
        cmocka_unit_test(test_ping_and_pong),
        cmocka_unit_test(test_slow_messages),
        cmocka_unit_test(test_out_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
