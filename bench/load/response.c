#include "response.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void response_start(response *r) {
    r->state = RESPONSE_HEAD;
    r->head_len = 0;
    r->left = 0;
    r->status = 0;
    r->chunked = false;
    r->close = false;
}

/* A header field's value in the head, or NULL. `name` with its colon. */
static const char *field(const response *r, const char *name) {
    size_t len = strlen(name);
    for (const char *line = strstr(r->head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, len) == 0) return line + len + strspn(line + len, " \t");
    }
    return NULL;
}

static int read_head(response *r) {
    if (strncmp(r->head, "HTTP/1.", 7) != 0) return -1;
    r->status = atoi(r->head + 9);
    const char *connection = field(r, "connection:");
    r->close = connection && strncasecmp(connection, "close", 5) == 0;
    const char *coding = field(r, "transfer-encoding:");
    const char *length = field(r, "content-length:");
    r->head_len = 0;
    if (r->status == 101 ||
        r->status == 204) { /* RFC 9112, 6.3: no body, whatever the fields say */
        r->state = RESPONSE_DONE;
        return 0;
    }
    if (coding && strncasecmp(coding, "chunked", 7) == 0) {
        r->chunked = true;
        r->state = RESPONSE_CHUNK_SIZE;
        return 0;
    }
    if (!length && !r->on_body) return -1;
    r->left = length ? strtoull(length, NULL, 10) : UINT64_MAX;
    r->state = r->left ? RESPONSE_BODY : RESPONSE_DONE;
    return 0;
}

/* Collects bytes up to and with `end`. Returns how many it took, -1 if there is no room. */
static long collect(response *r, const char *bytes, size_t len, const char *end, bool *ret_whole) {
    size_t end_len = strlen(end);
    *ret_whole = false;
    for (size_t i = 0; i < len; i++) {
        if (r->head_len == RESPONSE_HEAD_MAX) return -1;
        r->head[r->head_len++] = bytes[i];
        if (r->head_len >= end_len && memcmp(r->head + r->head_len - end_len, end, end_len) == 0) {
            r->head[r->head_len] = '\0';
            *ret_whole = true;
            return (long)i + 1;
        }
    }
    return (long)len;
}

static long take_head(response *r, const char *bytes, size_t len) {
    bool whole;
    long took = collect(r, bytes, len, "\r\n\r\n", &whole);
    return whole && read_head(r) != 0 ? -1 : took;
}

static long take_chunk_size(response *r, const char *bytes, size_t len) {
    bool whole;
    long took = collect(r, bytes, len, "\r\n", &whole);
    if (!whole) return took;
    uint64_t size = strtoull(r->head, NULL, 16);
    r->head_len = 0;
    r->left = size + 2;
    r->state = size ? RESPONSE_BODY : RESPONSE_LAST_LINE;
    return took;
}

static long take_last_line(response *r, const char *bytes, size_t len) {
    bool whole;
    long took = collect(r, bytes, len, "\r\n", &whole);
    if (whole) r->state = RESPONSE_DONE;
    return took;
}

static long take_body(response *r, const char *bytes, size_t len) {
    size_t took = len < r->left ? len : (size_t)r->left;
    uint64_t content = r->left - (r->chunked ? (r->left < 2 ? r->left : 2) : 0);
    if (r->on_body && content) r->on_body(r->owner, bytes, took < content ? took : (size_t)content);
    r->left -= took;
    if (r->left == 0) r->state = r->chunked ? RESPONSE_CHUNK_SIZE : RESPONSE_DONE;
    return (long)took;
}

static long step(response *r, const char *bytes, size_t len) {
    switch (r->state) {
    case RESPONSE_HEAD:
        return take_head(r, bytes, len);
    case RESPONSE_CHUNK_SIZE:
        return take_chunk_size(r, bytes, len);
    case RESPONSE_LAST_LINE:
        return take_last_line(r, bytes, len);
    case RESPONSE_BODY:
        return take_body(r, bytes, len);
    case RESPONSE_DONE:
        break;
    }
    return 0;
}

long response_take(response *r, const char *bytes, size_t len) {
    size_t taken = 0;
    while (taken < len && r->state != RESPONSE_DONE) {
        long took = step(r, bytes + taken, len - taken);
        if (took < 0) return -1;
        taken += (size_t)took;
    }
    return (long)taken;
}
