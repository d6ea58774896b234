/* SHA-256 by OpenSSL's libcrypto (library q5_crypto), made ready once. */
#ifndef Q5_SHA256_H
#define Q5_SHA256_H

#include "q5/alloc.h"

#define Q5_SHA256_SIZE 32

typedef struct q5_sha256 q5_sha256;

/* NULL: out of memory. One thread at a time uses it. */
Q5_EXTERN q5_sha256 *q5_sha256_create(const q5_alloc *alloc);
Q5_EXTERN void q5_sha256_destroy(q5_sha256 *sha);
/* Q5_OK or Q5_ENOMEM. */
Q5_EXTERN int q5_sha256_digest(q5_sha256 *sha, q5_slice bytes, uint8_t out[Q5_SHA256_SIZE]);

#endif
