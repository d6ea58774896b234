/* PostgreSQL's wire: numbers are big-endian. And room in a buffer to write to. */
#ifndef Q5_SQL_WIRE_H
#define Q5_SQL_WIRE_H

#include "q5/buf.h"

static inline uint16_t q5__get16(const char *at) {
    const uint8_t *b = (const uint8_t *)at;
    return (uint16_t)(b[0] << 8 | b[1]);
}
static inline uint32_t q5__get32(const char *at) {
    return (uint32_t)q5__get16(at) << 16 | q5__get16(at + 2);
}
static inline uint64_t q5__get64(const char *at) {
    return (uint64_t)q5__get32(at) << 32 | q5__get32(at + 4);
}
static inline double q5__get_double(const char *at) {
    uint64_t bits = q5__get64(at);
    double number;
    memcpy(&number, &bits, sizeof(number));
    return number;
}

/* The place behind what was written. */
static inline char *q5__set16(char *at, uint16_t number) {
    at[0] = (char)(number >> 8);
    at[1] = (char)number;
    return at + 2;
}
static inline char *q5__set32(char *at, uint32_t number) {
    return q5__set16(q5__set16(at, (uint16_t)(number >> 16)), (uint16_t)number);
}
static inline char *q5__set64(char *at, uint64_t number) {
    return q5__set32(q5__set32(at, (uint32_t)(number >> 32)), (uint32_t)number);
}

/* The place behind what *out has, with room for `size` bytes; NULL: no memory. */
static inline char *q5__room(q5_buf *out, size_t size) {
    if (Q5_UNLIKELY(size > out->cap - out->len) && q5_buf_reserve(out, size)) return NULL;
    return out->base + out->len;
}

/* What was written up to `end` counts. */
static inline int q5__wrote(q5_buf *out, const char *end) {
    out->len = (size_t)(end - out->base);
    return Q5_OK;
}

#endif
