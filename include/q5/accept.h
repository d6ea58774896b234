/* The Accept-Encoding field (RFC 9110, 12.5.3): which codings a client takes, in which order. */
#ifndef Q5_ACCEPT_H
#define Q5_ACCEPT_H

#include "q5/head.h"

typedef enum q5_coding {
    Q5_CODING_IDENTITY,
    Q5_CODING_GZIP,
    Q5_CODING_BR,
    Q5_CODING_ZSTD,
    Q5_CODING_COUNT
} q5_coding;

/* "gzip" and so on: what Content-Encoding calls it. Static storage. */
Q5_EXTERN const char *q5_coding_name(q5_coding coding);

/* Weights in thousandths; 0: not acceptable. */
typedef struct q5_accept_encoding {
    uint16_t weight[Q5_CODING_COUNT];
} q5_accept_encoding;

/* What all Accept-Encoding fields of the head say together. Codings that are not named get "*"'s
 * weight, or 0. identity is acceptable unless it is excluded ("identity;q=0", or "*;q=0" where it
 * is not named), yet the least liked unless it is named. Without the field nothing but identity is
 * taken: the RFC would allow any coding, but such clients decode none. A member with a malformed
 * weight is skipped. */
Q5_EXTERN void q5_accept_encoding_read(const q5_head *head, q5_accept_encoding *ret_accept);

/* The same for one field's value. */
Q5_EXTERN void q5_accept_encoding_parse(q5_slice value, q5_accept_encoding *ret_accept);

/* Those of offered[0..count) that the client takes, the best-liked first, those that it likes alike
 * in the order of the offer; returns how many (0: answer 406, or in identity all the same). */
Q5_EXTERN size_t q5_accept_encoding_order(const q5_accept_encoding *accept,
                                          const q5_coding *offered, size_t count,
                                          q5_coding ret_order[Q5_CODING_COUNT]);

#endif
