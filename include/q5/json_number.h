/* Numbers in JSON exactly as msgspec writes them, into memory of the caller's. */
#ifndef Q5_JSON_NUMBER_H
#define Q5_JSON_NUMBER_H

#include "q5/base.h"

#define Q5_JSON_INT_MAX 20    /* "-9223372036854775808", "18446744073709551615" */
#define Q5_JSON_DOUBLE_MAX 24 /* "-2.2250738585072014e-308" */

/* Writes at most Q5_JSON_INT_MAX bytes, without a NUL; the place behind the last. */
Q5_EXTERN char *q5_json_int(char *at, int64_t number);
Q5_EXTERN char *q5_json_uint(char *at, uint64_t number);

/* The shortest decimal that reads as this very double and, of those, the closest one; at most
 * Q5_JSON_DOUBLE_MAX bytes, without a NUL. From 1e-5 up to below 1e16 without exponent ("0.00001",
 * "1000000000000000.0"), else with one ("1e16", "1.5e-7"). NaN and infinities: "null". */
Q5_EXTERN char *q5_json_double(char *at, double number);

/* The shortest decimal that reads as this float, and lies strictly between the two that are halfway
 * to its neighbours (as PostgreSQL's float4out has it), in the same form. */
Q5_EXTERN char *q5_json_float(char *at, float number);

/* A double's shortest decimal as digits and a power of ten: number == digits * 10^exponent. number
 * must be finite and > 0. */
typedef struct q5_decimal64 {
    uint64_t digits; /* at most 17 of them; may end in zeros */
    int exponent;
} q5_decimal64;
Q5_EXTERN q5_decimal64 q5_double_shortest(double number);

#endif
