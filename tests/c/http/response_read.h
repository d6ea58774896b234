/* A client's strict reading of what a server has sent: one response at a time. For tests and fuzz
 * targets; plain C, no test framework. */
#ifndef Q5_TESTS_RESPONSE_READ_H
#define Q5_TESTS_RESPONSE_READ_H

#include <stdlib.h>

#include "q5/base.h"

typedef enum response_verdict {
    RESPONSE_WHOLE,
    RESPONSE_CUT, /* ends before it is complete */
    RESPONSE_BAD  /* not HTTP/1.1 */
} response_verdict;

typedef struct response {
    int status;
    bool is_close, is_chunked, has_length, until_close;
    uint64_t length; /* declared */
    size_t body_len; /* received; the bytes of chunks put together are not kept */
    const char *body;
    size_t used;
} response;

static inline bool response_line(const char *text, size_t len, size_t *ret_len) {
    for (size_t i = 0; i + 1 < len; i++) {
        if (text[i] == '\r' && text[i + 1] == '\n') {
            *ret_len = i;
            return true;
        }
        if (text[i] == '\r' || text[i] == '\n' || text[i] == '\0') return false;
    }
    return false;
}

static inline bool response_is(const char *line, size_t len, const char *text) {
    return len == strlen(text) && memcmp(line, text, len) == 0;
}

static inline bool response_field(response *r, const char *line, size_t len) {
    static const char length[] = "Content-Length: ";
    const char *colon = memchr(line, ':', len);
    if (!colon || colon == line || colon[1] != ' ') return false;
    if (response_is(line, len, "Connection: close")) r->is_close = true;
    if (response_is(line, len, "Transfer-Encoding: chunked")) {
        if (r->is_chunked) return false;
        r->is_chunked = true;
    }
    if (len >= sizeof(length) && memcmp(line, length, sizeof(length) - 1) == 0) {
        if (r->has_length) return false;
        r->has_length = true;
        r->length = strtoull(line + sizeof(length) - 1, NULL, 10);
    }
    return !(r->has_length && r->is_chunked);
}

static inline response_verdict response_chunks(response *r, const char *text, size_t len) {
    for (;;) {
        size_t line, at = r->used;
        if (!response_line(text + at, len - at, &line))
            return len - at < 20 ? RESPONSE_CUT : RESPONSE_BAD;
        char *end;
        unsigned long long size = strtoull(text + at, &end, 16);
        if (end == text + at || *end != '\r') return RESPONSE_BAD;
        at += line + 2;
        if (len - at < size + 2) return RESPONSE_CUT;
        if (memcmp(text + at + size, "\r\n", 2) != 0) return RESPONSE_BAD;
        if (size && !r->body) r->body = text + at;
        r->body_len += size;
        r->used = at + size + 2;
        if (size == 0) return RESPONSE_WHOLE;
    }
}

static inline response_verdict response_body(response *r, const char *text, size_t len,
                                             bool to_head) {
    bool none = to_head || r->status < 200 || r->status == 204 || r->status == 304;
    if (none) return RESPONSE_WHOLE;
    if (r->is_chunked) return response_chunks(r, text, len);
    r->until_close = !r->has_length;
    r->body = text + r->used;
    r->body_len = len - r->used;
    if (r->until_close) {
        r->used = len;
        return RESPONSE_WHOLE;
    }
    if (r->body_len < r->length) return RESPONSE_CUT;
    r->body_len = r->length;
    r->used += r->length;
    return RESPONSE_WHOLE;
}

/* Reads one response from text[0..len), len > 0, which must be followed by a NUL. */
static inline response_verdict response_read(const char *text, size_t len, bool to_head,
                                             response *r) {
    static const char version[] = "HTTP/1.1 ";
    size_t line;
    *r = (response){0};
    if (!response_line(text, len, &line)) return RESPONSE_CUT;
    if (line < 13 || memcmp(text, version, sizeof(version) - 1) != 0 || text[12] != ' ')
        return RESPONSE_BAD;
    r->status = atoi(text + 9);
    if (r->status < 100 || r->status > 599) return RESPONSE_BAD;
    for (r->used = line + 2;; r->used += line + 2) {
        if (!response_line(text + r->used, len - r->used, &line)) return RESPONSE_CUT;
        if (line == 0) break;
        if (!response_field(r, text + r->used, line)) return RESPONSE_BAD;
    }
    r->used += 2;
    return response_body(r, text, len, to_head);
}

#endif
