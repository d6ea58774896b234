/* What was found out about verified tokens, for as long as it holds: by the SHA-256 of the whole
 * token, so that no token is kept. A table of fixed size, four places per digest; the least used
 * of four makes room. */
#ifndef Q5_TOKEN_CACHE_H
#define Q5_TOKEN_CACHE_H

#include "q5/alloc.h"

#define Q5_TOKEN_DIGEST_SIZE 32
#define Q5_TOKEN_CACHE_ENTRIES_MAX (1u << 20)

typedef struct q5_token_cache q5_token_cache;

/* entries_max is rounded up to a power of two, at least four and at most
 * Q5_TOKEN_CACHE_ENTRIES_MAX. drop() is told of each value that leaves the cache, once, when it has
 * left. NULL: out of memory. */
Q5_EXTERN q5_token_cache *q5_token_cache_create(const q5_alloc *alloc, size_t entries_max,
                                                void (*drop)(void *value));
/* NULL is fine. */
Q5_EXTERN void q5_token_cache_destroy(q5_token_cache *cache);

/* The value, still the cache's; or NULL. now_s >= expires_s: it has left. */
Q5_EXTERN void *q5_token_cache_find(q5_token_cache *cache,
                                    const uint8_t digest[Q5_TOKEN_DIGEST_SIZE], int64_t now_s);
/* Takes the value over, in place of the digest's former one. */
Q5_EXTERN void q5_token_cache_put(q5_token_cache *cache, const uint8_t digest[Q5_TOKEN_DIGEST_SIZE],
                                  int64_t now_s, int64_t expires_s, void *value);
/* Removes those that match() says true to. How many. */
Q5_EXTERN size_t q5_token_cache_remove(q5_token_cache *cache, bool (*match)(void *value, void *arg),
                                       void *arg);
/* Removes all. */
Q5_EXTERN void q5_token_cache_clear(q5_token_cache *cache);

#endif
