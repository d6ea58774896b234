/* Rates that requests are held to: the generic cell rate algorithm (ITU-T I.371, annex A) over a
 * table of bounded size.
 *
 * Of each key one number is kept: its theoretical arrival time, when all that it has used will have
 * been given back. A key whose time has passed is as good as one never seen, so there is nothing to
 * expire. A request moves the time by one interval, and is refused where that would take it further
 * than `burst` intervals ahead.
 *
 * The table is made of buckets of eight slots; the key says which. A new key takes the place of the
 * one whose time comes first: of the one that has used least. Many new keys, with a request each,
 * push one another out and not the key that is at its limit. To push that out takes as many
 * requests for each of seven other keys of its bucket, and since keys are to be hashes with a
 * secret (q5/siphash.h), nobody can tell which those are.
 *
 * Memory may be shared by processes: there are no locks, so one that dies leaves none behind. */
#ifndef Q5_LIMIT_H
#define Q5_LIMIT_H

#include "q5/status.h"

#define Q5_LIMIT_BURST_MAX 1000000000u
#define Q5_LIMIT_KEYS_MAX (1u << 24)

/* Nanoseconds of a monotonic clock, of the system and not of the process where memory is shared. */
typedef uint64_t q5_nsec;

typedef struct q5_limit_rate {
    q5_nsec interval_nsec; /* one request is given back in each */
    uint32_t burst;        /* that may come at once; at least 1 */
} q5_limit_rate;

/* `count` requests in `period_nsec`, `burst` of them at once. Q5_EINVAL: one of them is 0, burst is
 * above Q5_LIMIT_BURST_MAX, or burst intervals are above 100 years; *ret_rate is untouched. */
Q5_EXTERN int q5_limit_rate_make(uint64_t count, q5_nsec period_nsec, uint32_t burst,
                                 q5_limit_rate *ret_rate);

typedef struct q5_limit_verdict {
    bool allowed;
    uint32_t remaining; /* further requests that may come now */
    q5_nsec reset_nsec; /* until the whole burst may come again */
    q5_nsec retry_nsec; /* until the next request is allowed; 0: it is now */
} q5_limit_verdict;

/* What the algorithm says of a key whose time is `arrival` (0: a new one). *ret_next is its new
 * time, which is the old one where the request is refused. */
Q5_EXTERN q5_limit_verdict q5_limit_judge(const q5_limit_rate *rate, q5_nsec arrival, q5_nsec now,
                                          q5_nsec *ret_next);

typedef struct q5_limit_slot q5_limit_slot;

typedef struct q5_limit_table {
    q5_limit_slot *slots;
    uint64_t bucket_mask;
} q5_limit_table;

/* The bytes of memory that a table of at least `keys` keys takes (16 for each, keys rounded up to
 * a power of two, at least 8 and at most Q5_LIMIT_KEYS_MAX). */
Q5_EXTERN size_t q5_limit_table_size(uint32_t keys);
/* memory: q5_limit_table_size(keys) zeroed bytes, aligned to 64, which outlive the table and stay
 * the caller's. Each process that shares it has a q5_limit_table of its own. */
Q5_EXTERN q5_limit_table q5_limit_table_make(void *memory, uint32_t keys);

/* A request of `key`, a keyed hash. Any number of threads and processes at a time; all requests of
 * one table are to be held to rates of like periods, for what is pushed out is judged by times. */
Q5_EXTERN q5_limit_verdict q5_limit_take(const q5_limit_table *table, const q5_limit_rate *rate,
                                         uint64_t key, q5_nsec now);

#endif
