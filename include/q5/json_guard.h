/* One pass over a JSON text before anybody builds objects from it: depth, number of keys, size of
 * integers. It is no validator of everything: what it lets through the decoder still judges. */
#ifndef Q5_JSON_GUARD_H
#define Q5_JSON_GUARD_H

#include "q5/status.h"

typedef struct q5_json_limits {
    uint32_t depth_max; /* nested arrays and objects */
    uint32_t keys_max;  /* object members in the whole text */
    bool allow_big_int; /* integers outside int64 and uint64 */
} q5_json_limits;

/* 128, 100,000, no. */
Q5_EXTERN q5_json_limits q5_json_limits_default(void);

/* Q5_OK, Q5_EJSON_DEPTH, Q5_EJSON_KEYS or Q5_EJSON_INT, with the offset of the byte at fault in
 * *ret_error; Q5_EJSON for an unterminated string or unbalanced brackets. Linear time, constant
 * memory (the kind of each open bracket is kept in a bit set, so depth_max <= 1024). */
Q5_EXTERN int q5_json_guard(const char *text, size_t len, const q5_json_limits *limits,
                            size_t *ret_error);

#endif
