/* Chunked bodies: whole, byte by byte and cut in two, with one outcome; and what was read, written
 * again, reads the same. The first byte says where to cut. */
#include <stdlib.h>

#include "q5/chunked.h"

#define REQUIRE(condition)         \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

typedef struct outcome {
    int status;
    size_t at;  /* bytes taken in all, or offset of the fault */
    size_t len; /* bytes of data */
    char *data;
} outcome;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static outcome feed(const char *text, size_t len, size_t first, size_t step) {
    outcome got = {.status = Q5_OK, .data = malloc(len + 1)};
    REQUIRE(got.data != NULL);
    q5_chunked_decoder decoder;
    q5_chunked_init(&decoder);
    size_t end = first < len ? first : len;
    for (;;) {
        size_t part = end - got.at;
        char *buf = malloc(part ? part : 1);
        REQUIRE(buf != NULL);
        if (part) memcpy(buf, text + got.at, part);
        size_t used = SIZE_MAX;
        q5_slice data;
        got.status = q5_chunked_decode(&decoder, buf, part, &used, &data);
        REQUIRE(used <= part);
        REQUIRE(data.base >= buf && data.base + data.len <= buf + used);
        REQUIRE(got.status == Q5_OK || data.len == 0);
        REQUIRE(got.status != Q5_OK || used > 0 || part == 0);
        memcpy(got.data + got.len, data.base, data.len);
        got.len += data.len;
        got.at += used;
        free(buf);
        if (got.status != Q5_OK) break;
        if (used < part) continue;
        if (end == len) break;
        end = len - end < step ? len : end + step;
    }
    REQUIRE(got.status == Q5_OK || got.status == Q5_DONE || q5_status_http(got.status) == 400);
    return got;
}

static void require_same(const outcome *want, outcome got) {
    REQUIRE(want->status == got.status && want->at == got.at && want->len == got.len);
    REQUIRE(memcmp(want->data, got.data, got.len) == 0);
    free(got.data);
}

static void round_trip(const char *body, size_t len) {
    size_t used = 0;
    char *text = malloc(len + Q5_CHUNK_HEAD_MAX + 7);
    REQUIRE(text != NULL);
    if (len > 0) {
        used = q5_chunk_head(text, len);
        memcpy(text + used, body, len);
        used += len;
        memcpy(text + used, "\r\n", 2);
        used += 2;
    }
    memcpy(text + used, "0\r\n\r\n", 5);
    used += 5;
    outcome got = feed(text, used, used, 1);
    REQUIRE(got.status == Q5_DONE && got.at == used && got.len == len);
    REQUIRE(memcmp(got.data, body, len) == 0);
    free(got.data);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    const char *text = (const char *)data + 1;
    size_t len = size - 1;
    outcome want = feed(text, len, len, 1);
    require_same(&want, feed(text, len, 0, 1));
    require_same(&want, feed(text, len, data[0], len));
    require_same(&want, feed(text, len, data[0], data[0] % 13 + 1));
    round_trip(want.data, want.len);
    free(want.data);
    return 0;
}
