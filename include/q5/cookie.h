/* The pairs of a Cookie field (RFC 6265, 5.4), split as django.http.cookie.parse_cookie does. */
#ifndef Q5_COOKIE_H
#define Q5_COOKIE_H

#include "q5/arena.h"
#include "q5/status.h"

#define Q5_COOKIES_MAX 1000

typedef struct q5_cookies {
    const char *next;
    const char *end;
    size_t left;
} q5_cookies;

/* The iterator reads from value, which the caller keeps. cookies_max bounds the number of chunks
 * between semicolons; 0 stands for Q5_COOKIES_MAX. */
Q5_EXTERN void q5_cookies_init(q5_cookies *it, q5_slice value, size_t cookies_max);

/* Q5_OK: the next pair, white space around both stripped, pointing into the field's value; quotes
 * around *ret_value are kept (q5_cookie_unquote takes them off). A chunk without '=' is a value
 * with an empty name; chunks that are empty altogether are skipped. Repeated names are all given:
 * in Django the last one wins. Q5_DONE: no more. Q5_ETOO_MANY: more chunks than allowed. The
 * outputs are untouched unless Q5_OK.
 *
 * White space is what str.strip() takes for it in ASCII; Django strips U+0085, U+00A0 and the rest
 * of Unicode's too, which no client puts there. */
Q5_EXTERN int q5_cookies_next(q5_cookies *it, q5_slice *ret_name, q5_slice *ret_value);

/* http.cookies._unquote: a value between double quotes loses them, \ooo (octal, up to \377)
 * becomes that code point in UTF-8 and \x becomes x; any other value is *ret_out as it is, without
 * a copy. Q5_OK or Q5_ENOMEM (*ret_out untouched). */
Q5_EXTERN int q5_cookie_unquote(q5_slice value, q5_arena *arena, q5_slice *ret_out);

#endif
