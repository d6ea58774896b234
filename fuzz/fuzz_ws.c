/* A WebSocket fed with a client's bytes: whole, byte by byte and in odd pieces, with one outcome.
 * Demanded: what is told does not depend on how the input was cut; messages are within their
 * bounds, text is UTF-8; on_close comes at most once, on_end once and last; nothing leaks. The
 * first byte: bit 0 agrees on compression, bits 1 to 3 say when messages are not taken at once, the
 * rest how the input is cut. */
#include <stdlib.h>

#include "q5/percent.h"
#include "q5/ws_deflate.h"

#define REQUIRE(condition)         \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

#define MESSAGE_MAX 3000
#define SEEN_MAX 65536

typedef struct outcome {
    char *seen; /* each event: a byte, its data */
    size_t len;
    unsigned closes, ends, messages;
} outcome;

typedef struct host {
    q5_ws ws;
    outcome result;
    unsigned pause; /* each so many messages one is too many; 0: none is */
    bool inflates;  /* which of two faults is found first may depend on the cut */
} host;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void see(host *h, char what, q5_slice data) {
    outcome *o = &h->result;
    REQUIRE(o->ends == 0);
    if (o->len + data.len + 1 > SEEN_MAX) return;
    o->seen[o->len++] = what;
    if (data.len) memcpy(o->seen + o->len, data.base, data.len);
    o->len += data.len;
}

static bool on_message(void *ctx, bool is_text, q5_slice data) {
    host *h = ctx;
    REQUIRE(data.len <= MESSAGE_MAX && h->result.closes == 0);
    REQUIRE(!is_text || q5_utf8_valid(data));
    see(h, is_text ? 't' : 'b', data);
    h->result.messages++;
    return !h->pause || h->result.messages % h->pause;
}

static void on_control(void *ctx, q5_slice frame) {
    REQUIRE(frame.len >= 2 && (size_t)frame.base[1] == frame.len - 2);
    host *h = ctx;
    if (!h->inflates || frame.base[0] != (char)0x88) see(h, 'c', frame);
}

static void on_close(void *ctx, q5_ws_code code, q5_slice reason) {
    host *h = ctx;
    char number[2] = {(char)(code >> 8), (char)code};
    REQUIRE(h->result.closes == 0 && q5_utf8_valid(reason));
    see(h, 'x', q5_slice_make(number, h->inflates ? 0 : 2));
    h->result.closes++;
}

static void on_end(void *ctx) {
    host *h = ctx;
    see(h, 'e', q5_slice_make(NULL, 0));
    h->result.ends++;
}

static void feed(host *h, const char *base, size_t len, size_t step) {
    while (len) {
        char *room;
        size_t n;
        int status = q5_ws_space(&h->ws, &room, &n);
        if (status == Q5_AGAIN) {
            q5_ws_resume(&h->ws, 1000);
            continue;
        }
        if (status == Q5_DONE) return;
        REQUIRE(status == Q5_OK && n > 0);
        if (n > len) n = len;
        if (n > step) n = step;
        memcpy(room, base, n);
        q5_ws_received(&h->ws, n, 1000);
        base += n;
        len -= n;
    }
    while (h->ws.paused)
        q5_ws_resume(&h->ws, 1000);
}

static outcome run(const uint8_t *data, size_t size, size_t step) {
    static const q5_ws_deflate_terms terms = {.client_bits = 15, .client_context = true};
    q5_ws_config config = q5_ws_config_default();
    config.message_max = MESSAGE_MAX;
    config.fragments_max = 20;
    host h = {
        .result = {.seen = malloc(SEEN_MAX)}, .pause = data[0] >> 1 & 7, .inflates = data[0] & 1};
    REQUIRE(h.result.seen);
    q5_ws_inflater *inflater = q5_ws_inflater_create(q5_alloc_default(), &terms);
    q5_ws_inflate inflate = {q5_ws_inflater_piece, inflater};
    q5_ws_events events = {.ctx = &h,
                           .on_message = on_message,
                           .on_control = on_control,
                           .on_close = on_close,
                           .on_end = on_end};
    q5_ws_init(&h.ws, &config, &events, inflater && data[0] & 1 ? &inflate : NULL, 1000);
    feed(&h, (const char *)data + 1, size - 1, step);
    q5_ws_eof(&h.ws);
    REQUIRE(h.result.ends == 1 && h.result.closes == 1);
    q5_ws_deinit(&h.ws);
    q5_ws_inflater_destroy(inflater);
    return h.result;
}

static void require_same(const outcome *want, outcome got) {
    REQUIRE(want->len == got.len && memcmp(want->seen, got.seen, got.len) == 0);
    free(got.seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1 || size > 20000) return 0;
    outcome want = run(data, size, SIZE_MAX);
    require_same(&want, run(data, size, 1));
    require_same(&want, run(data, size, (data[0] >> 4) + 2u));
    free(want.seen);
    return 0;
}
