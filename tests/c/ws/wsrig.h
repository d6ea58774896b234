/* A q5_ws, what it tells, and a client's frames for it. */
#ifndef Q5_TEST_WSRIG_H
#define Q5_TEST_WSRIG_H

#include <stdlib.h>

#include "q5/ws.h"

#include "q5test.h"

#define WSRIG_TRACE_MAX 65536

typedef struct wsrig {
    q5_ws ws;
    q5_ws_config config;
    q5_msec now;
    char trace[WSRIG_TRACE_MAX]; /* "text:abc close:1000:bye end" */
    size_t trace_len;
    int messages;
    int room;          /* messages that on_message still takes; -1: any number */
    bool close_within; /* on_message closes with 1000 */
} wsrig;

static inline void wsrig_tell(wsrig *r, const char *what, q5_slice detail) {
    size_t left = WSRIG_TRACE_MAX - r->trace_len;
    size_t shown = detail.len < 200 ? detail.len : 200;
    int n = snprintf(r->trace + r->trace_len, left, "%s%s", r->trace_len ? " " : "", what);
    r->trace_len += (size_t)n;
    assert_true(r->trace_len + shown < WSRIG_TRACE_MAX);
    if (shown) memcpy(r->trace + r->trace_len, detail.base, shown);
    r->trace_len += shown;
    r->trace[r->trace_len] = '\0';
}

static inline bool wsrig_on_message(void *ctx, bool is_text, q5_slice data) {
    wsrig *r = ctx;
    r->messages++;
    wsrig_tell(r, is_text ? "text:" : "binary:", data);
    if (r->close_within) q5_ws_close(&r->ws, Q5_WS_NORMAL, Q5_LIT(""), r->now);
    return r->room < 0 || --r->room > 0;
}

/* Our frames, by name; the code of a Close in digits. */
static inline void wsrig_on_control(void *ctx, q5_slice frame) {
    wsrig *r = ctx;
    uint8_t first = (uint8_t)frame.base[0], len = (uint8_t)frame.base[1];
    assert_int_equal(frame.len, 2u + len);
    q5_slice payload = q5_slice_make(frame.base + 2, len);
    if (first == 0x89) wsrig_tell(r, "<ping:", payload);
    if (first == 0x8a) wsrig_tell(r, "<pong:", payload);
    if (first != 0x88) return;
    char text[200] = "";
    if (len) {
        const uint8_t *at = (const uint8_t *)payload.base;
        snprintf(text, sizeof(text), "%u:%.*s", at[0] << 8 | at[1], len - 2, payload.base + 2);
    }
    wsrig_tell(r, "<close:", q5_slice_make(text, strlen(text)));
}

static inline void wsrig_on_close(void *ctx, q5_ws_code code, q5_slice reason) {
    char text[200];
    snprintf(text, sizeof(text), "%d:%.*s", (int)code, (int)reason.len, reason.base);
    wsrig_tell(ctx, "close:", q5_slice_make(text, strlen(text)));
}

static inline void wsrig_on_end(void *ctx) {
    wsrig_tell(ctx, "end", q5_slice_make(NULL, 0));
}

static inline void wsrig_open(wsrig *r, const q5_alloc *alloc, const q5_ws_inflate *inflate) {
    q5_ws_events events = {.ctx = r,
                           .on_message = wsrig_on_message,
                           .on_control = wsrig_on_control,
                           .on_close = wsrig_on_close,
                           .on_end = wsrig_on_end};
    if (!r->config.message_max) r->config = q5_ws_config_default();
    if (alloc) r->config.alloc = alloc;
    r->now = 1000;
    r->room = -1;
    q5_ws_init(&r->ws, &r->config, &events, inflate, r->now);
}

static inline wsrig *wsrig_new(void) {
    wsrig *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    wsrig_open(r, NULL, NULL);
    return r;
}

static inline void wsrig_free(wsrig *r) {
    q5_ws_deinit(&r->ws);
    free(r);
}

/* Feeds bytes, `step` at a time (0: all there is room for). A status that is not Q5_OK ends it. */
static inline int wsrig_feed(wsrig *r, const char *base, size_t len, size_t step) {
    while (len) {
        char *room;
        size_t n;
        int status = q5_ws_space(&r->ws, &room, &n);
        if (status) return status;
        if (n > len) n = len;
        if (step && n > step) n = step;
        memcpy(room, base, n);
        q5_ws_received(&r->ws, n, r->now);
        base += n;
        len -= n;
    }
    return Q5_OK;
}

/* A client's frame behind *len in out: first byte, payload, mask. */
static inline void wsrig_frame(char *out, size_t *len, unsigned first, q5_slice payload) {
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    char *to = out + *len;
    size_t head = q5_ws_head_write(to, Q5_WS_TEXT, false, payload.len);
    to[0] = (char)first;
    to[1] = (char)((uint8_t)to[1] | 0x80);
    memcpy(to + head, mask, 4);
    if (payload.len) memcpy(to + head + 4, payload.base, payload.len);
    q5_ws_unmask(to + head + 4, payload.len, mask, 0);
    *len += head + 4 + payload.len;
}

static inline void wsrig_send(wsrig *r, unsigned first, q5_slice payload) {
    char *out = malloc(payload.len + 14);
    size_t len = 0;
    wsrig_frame(out, &len, first, payload);
    wsrig_feed(r, out, len, 0);
    free(out);
}

#endif
