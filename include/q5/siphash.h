/* SipHash-2-4 with a result of 128 bits (Aumasson and Bernstein, 2012): a keyed hash. Without the
 * key nobody can make two inputs of one hash, which makes it fit for tables and names of foreign
 * bytes; it is no message digest for whoever has the key. */
#ifndef Q5_SIPHASH_H
#define Q5_SIPHASH_H

#include "q5/base.h"

#define Q5_SIPHASH_KEY_LEN 16
#define Q5_SIPHASH_LEN 16

/* Set up by _init, fed any number of times, ended once. No memory, no failures. */
typedef struct q5_siphash {
    uint64_t v[4];
    uint64_t total;  /* bytes so far */
    uint8_t tail[8]; /* the last total % 8 of them */
} q5_siphash;

Q5_EXTERN void q5_siphash_init(q5_siphash *hash, const uint8_t key[Q5_SIPHASH_KEY_LEN]);
Q5_EXTERN void q5_siphash_feed(q5_siphash *hash, q5_slice data);
/* The data behind its length, so that two pieces cannot run into each other. */
Q5_EXTERN void q5_siphash_feed_counted(q5_siphash *hash, q5_slice data);
Q5_EXTERN void q5_siphash_end(q5_siphash *hash, uint8_t ret_hash[Q5_SIPHASH_LEN]);

#endif
