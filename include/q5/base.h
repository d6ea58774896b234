/* Words that every module shares: export marks, slices, branch hints. */
#ifndef Q5_BASE_H
#define Q5_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define Q5_EXTERN __attribute__((visibility("default")))
#define Q5_LIKELY(x) __builtin_expect(!!(x), 1)
#define Q5_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define Q5_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define Q5_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Bytes that somebody else owns. Never ends in a NUL that may be relied on. */
typedef struct q5_slice {
    const char *base;
    size_t len;
} q5_slice;

/* A slice over a string literal, without its NUL. */
#define Q5_LIT(s) ((q5_slice){(s), sizeof(s) - 1})

static inline q5_slice q5_slice_make(const char *base, size_t len) {
    return (q5_slice){base, len};
}

static inline bool q5_slice_eq(q5_slice a, q5_slice b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.base, b.base, a.len) == 0);
}

/* ASCII lower case of one byte; other bytes pass through. */
static inline char q5_lower(char c) {
    return (c >= 'A' && c <= 'Z') ? (char)(c | 0x20) : c;
}

/* ASCII case-insensitive equality (RFC 9110 field names and tokens). */
static inline bool q5_slice_ieq(q5_slice a, q5_slice b) {
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++)
        if (q5_lower(a.base[i]) != q5_lower(b.base[i])) return false;
    return true;
}

/* Milliseconds of a monotonic clock. The library never reads a clock outside lib/io: callers pass
 * it. */
typedef uint64_t q5_msec;

#endif
