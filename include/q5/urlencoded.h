/* Name-value pairs of a query string or an application/x-www-form-urlencoded body, as
 * urllib.parse.parse_qsl(keep_blank_values=True) splits them: '&' is the only separator, empty
 * pairs are skipped, a pair without '=' has an empty value. */
#ifndef Q5_URLENCODED_H
#define Q5_URLENCODED_H

#include "q5/percent.h"

#define Q5_URLENCODED_FIELDS_MAX 1000

typedef struct q5_urlencoded {
    const char *next;
    const char *end;
    size_t fields_left;
} q5_urlencoded;

/* The iterator reads from text, which the caller keeps. fields_max bounds the number of pairs; as
 * in parse_qsl(max_num_fields=...) empty ones count too, but for one behind a final '&'. 0 stands
 * for Q5_URLENCODED_FIELDS_MAX. */
Q5_EXTERN void q5_urlencoded_init(q5_urlencoded *it, q5_slice text, size_t fields_max);

/* Q5_OK: *ret_name and *ret_value are the next pair, still encoded, pointing into the text.
 * Q5_DONE: there are no more. Q5_ETOO_MANY: more pairs than allowed. The outputs are untouched
 * unless Q5_OK. */
Q5_EXTERN int q5_urlencoded_next(q5_urlencoded *it, q5_slice *ret_name, q5_slice *ret_value);

/* The next pair decoded: '+' and escapes, bad escapes kept as sent (as parse_qsl does); what needs
 * no decoding still points into the text, the rest lives in the arena. Bytes that are no valid
 * UTF-8 are passed through (parse_qsl would put U+FFFD there: the caller decides).
 * Statuses as above, or Q5_ENOMEM. */
Q5_EXTERN int q5_urlencoded_next_decoded(q5_urlencoded *it, q5_arena *arena, q5_slice *ret_name,
                                         q5_slice *ret_value);

#endif
