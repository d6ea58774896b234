/* A bounded table of what was computed, the least recently used leaving first, and the clock of
 * tags by which it is told that something is out of date. What is kept, and for how long, is the
 * owner's: entries embed a q5_cache_node. One thread at a time for a table; the clock is free of
 * locks and may lie in memory that processes share. */
#ifndef Q5_CACHE_H
#define Q5_CACHE_H

#include <stdatomic.h>

#include "q5/alloc.h"
#include "q5/status.h"

/* ---- the table ------------------------------------------------------------------------------- */

/* A keyed hash (q5/siphash.h): the table compares nothing else. */
#define Q5_CACHE_KEY_LEN 16

/* The first member of what is kept. The table's own while it is in there. */
typedef struct q5_cache_node {
    struct q5_cache_node *chain;
    struct q5_cache_node *prev, *next;
    uint8_t key[Q5_CACHE_KEY_LEN];
    size_t cost; /* bytes */
} q5_cache_node;

typedef struct q5_cache {
    const q5_alloc *alloc;
    q5_cache_node **buckets; /* owned; bucket_mask + 1 */
    size_t bucket_mask;
    q5_cache_node recent; /* head of a ring: next is the most recently used */
    size_t count, count_max;
    size_t cost, cost_max;
    void (*release)(q5_cache_node *node);
} q5_cache;

/* For at most `count_max` entries (1 to 2^24) that cost `cost_max` bytes in all. release(node) is
 * called for each entry that leaves, once it is out of the table; it must not use the table.
 * Q5_EINVAL, Q5_ENOMEM. */
Q5_EXTERN int q5_cache_init(q5_cache *cache, const q5_alloc *alloc, size_t count_max,
                            size_t cost_max, void (*release)(q5_cache_node *node));
/* Releases all entries. */
Q5_EXTERN void q5_cache_deinit(q5_cache *cache);
/* The entry of that key, now the most recently used; or NULL. */
Q5_EXTERN q5_cache_node *q5_cache_find(q5_cache *cache, const uint8_t key[Q5_CACHE_KEY_LEN]);
/* Takes the entry (key and cost are set), in place of another of that key; the least recently used
 * leave until there is room. Q5_EINVAL: it costs more than an eighth of all room, and is not taken
 * (nor is the other one left). */
Q5_EXTERN int q5_cache_put(q5_cache *cache, q5_cache_node *node);
/* Releases an entry that is in the table. */
Q5_EXTERN void q5_cache_remove(q5_cache *cache, q5_cache_node *node);
/* Releases all entries; the table may be used again. */
Q5_EXTERN void q5_cache_clear(q5_cache *cache);

/* ---- the clock of tags ----------------------------------------------------------------------- */

/* When each tag was last invalidated, as a count of invalidations. Tags share this many slots by
 * their hash: of two that share one, the invalidation of one is taken for the other's too, so what
 * is out of date never passes for current, whatever the number of tags. */
#define Q5_TAG_SLOTS 65536

/* Zeroed memory is a clock at its beginning. */
typedef struct q5_tag_clock {
    _Atomic uint64_t now;
    _Atomic uint64_t slots[Q5_TAG_SLOTS];
} q5_tag_clock;

/* To be taken before anything is read of what the tags stand for. */
Q5_EXTERN uint64_t q5_tag_clock_now(const q5_tag_clock *clock);
/* What was begun up to here, and has the tag, is out of date. `tag` is any good hash of it. */
Q5_EXTERN void q5_tag_clock_invalidate(q5_tag_clock *clock, uint64_t tag);
/* Whether none of the tags was invalidated since `begun`. */
Q5_EXTERN bool q5_tag_clock_is_current(const q5_tag_clock *clock, uint64_t begun,
                                       const uint64_t *tags, size_t count);

#endif
