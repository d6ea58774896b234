/* Percent-encoding (RFC 3986, 2.1), application/x-www-form-urlencoded's "+", and UTF-8 validity. */
#ifndef Q5_PERCENT_H
#define Q5_PERCENT_H

#include "q5/arena.h"
#include "q5/status.h"

typedef enum q5_percent_flags {
    Q5_PERCENT_STRICT = 0,
    Q5_PERCENT_PLUS = 1,    /* '+' stands for a space */
    Q5_PERCENT_LENIENT = 2, /* a '%' without two hex digits stays as sent (urllib.parse.unquote) */
    Q5_PERCENT_UTF8 = 4     /* what comes out must be valid UTF-8 */
} q5_percent_flags;

/* Decodes `in` into out, which has room for in.len bytes and is in.base itself or does not overlap
 * it; the result is never longer than the input and may contain any byte, NUL included.
 *
 * Q5_OK: *ret_len bytes were written.
 * Q5_EENCODING: a bad escape (not with Q5_PERCENT_LENIENT) or invalid UTF-8 (only with
 * Q5_PERCENT_UTF8); *ret_len is untouched, out holds garbage. */
Q5_EXTERN int q5_percent_decode(q5_slice in, unsigned flags, char *out, size_t *ret_len);

/* The same, into the arena. *ret_out is `in` itself when nothing has to be decoded (no copy), else
 * it lives as long as the arena. Q5_OK, Q5_EENCODING or Q5_ENOMEM; *ret_out is untouched unless
 * Q5_OK. */
Q5_EXTERN int q5_percent_decode_arena(q5_slice in, unsigned flags, q5_arena *arena,
                                      q5_slice *ret_out);

/* Well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
Q5_EXTERN bool q5_utf8_valid(q5_slice text);

#endif
