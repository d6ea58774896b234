/* One pass over a JSON text before anybody builds objects from it: depth, number of keys, size of
 * integers. It is no validator of everything: what it lets through the decoder still judges. */
#ifndef Q5_JSON_GUARD_H
#define Q5_JSON_GUARD_H

#include "q5/status.h"

#define Q5_JSON_DEPTH_MAX 1024

typedef struct q5_json_limits {
    uint32_t depth_max; /* nested arrays and objects; more than Q5_JSON_DEPTH_MAX counts as that */
    uint32_t keys_max;  /* object members in the whole text */
    bool allow_big_int; /* integers outside int64 and uint64 */
} q5_json_limits;

/* 128, 100,000, no. */
Q5_EXTERN q5_json_limits q5_json_limits_default(void);

/* `limits` may be NULL: the default ones. Linear time, constant memory (a bit per open bracket),
 * nothing is allocated. Tells the first that it finds, and its offset in *ret_error (untouched
 * with Q5_OK):
 *
 * Q5_EJSON_DEPTH: the bracket that is one too many. Q5_EJSON_KEYS: the colon behind the key that is
 * one too many. Q5_EJSON_INT: the first byte of a number without fraction and exponent that is less
 * than -2^63 or greater than 2^64 - 1. Q5_EJSON: the opening quote of a string that does not end,
 * a closing bracket that closes nothing or another kind, or `len` when a bracket is left open. */
Q5_EXTERN int q5_json_guard(const char *text, size_t len, const q5_json_limits *limits,
                            size_t *ret_error);

#endif
