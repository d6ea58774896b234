#include "q5/limit.h"

#include <assert.h>
#include <stdatomic.h>

#define WAYS 8
#define TRIES_MAX 100
#define CENTURY_NSEC (UINT64_C(100) * 366 * 86400 * 1000000000)

struct q5_limit_slot {
    _Atomic uint64_t key;     /* 0: empty */
    _Atomic uint64_t arrival; /* nanoseconds */
};

static_assert(sizeof(q5_limit_slot) == 16, "documented, and four to a cache line");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock would not be shared by processes");

/* ---- the algorithm --------------------------------------------------------------------------- */

int q5_limit_rate_make(uint64_t count, q5_nsec period_nsec, uint32_t burst,
                       q5_limit_rate *ret_rate) {
    if (!count || !period_nsec || !burst || burst > Q5_LIMIT_BURST_MAX) return Q5_EINVAL;
    /* Rounded up: never more than was asked for. */
    q5_nsec interval = period_nsec / count + (period_nsec % count != 0);
    if (interval > CENTURY_NSEC / burst) return Q5_EINVAL;
    *ret_rate = (q5_limit_rate){.interval_nsec = interval, .burst = burst};
    return Q5_OK;
}

q5_limit_verdict q5_limit_judge(const q5_limit_rate *rate, q5_nsec arrival, q5_nsec now,
                                q5_nsec *ret_next) {
    q5_nsec whole = rate->interval_nsec * rate->burst;
    q5_nsec from = arrival > now ? arrival : now;
    q5_nsec next = from + rate->interval_nsec;
    bool allowed = next - now <= whole;
    *ret_next = allowed ? next : from;
    q5_nsec used = *ret_next - now;
    q5_nsec needed = used + rate->interval_nsec; /* by the request after this one */
    return (q5_limit_verdict){
        .allowed = allowed,
        .remaining = used < whole ? (uint32_t)((whole - used) / rate->interval_nsec) : 0,
        .reset_nsec = used,
        .retry_nsec = needed > whole ? needed - whole : 0,
    };
}

/* ---- the table ------------------------------------------------------------------------------- */

static uint64_t slots_for(uint32_t keys) {
    uint64_t slots = WAYS;
    while (slots < keys && slots < Q5_LIMIT_KEYS_MAX)
        slots *= 2;
    return slots;
}

size_t q5_limit_table_size(uint32_t keys) {
    return (size_t)slots_for(keys) * sizeof(q5_limit_slot);
}

q5_limit_table q5_limit_table_make(void *memory, uint32_t keys) {
    return (q5_limit_table){.slots = memory, .bucket_mask = slots_for(keys) / WAYS - 1};
}

static q5_limit_slot *find(q5_limit_slot *bucket, uint64_t key) {
    for (int i = 0; i < WAYS; i++)
        if (atomic_load_explicit(&bucket[i].key, memory_order_acquire) == key) return &bucket[i];
    return NULL;
}

/* Makes a slot the key's; *ret_arrival is the time that is still in it. NULL: somebody else was
 * faster. */
static q5_limit_slot *claim(q5_limit_slot *bucket, uint64_t key, uint64_t *ret_arrival) {
    q5_limit_slot *first = bucket;
    uint64_t earliest = UINT64_MAX;
    for (int i = 0; i < WAYS && earliest; i++) {
        uint64_t arrival = atomic_load_explicit(&bucket[i].arrival, memory_order_relaxed);
        if (arrival >= earliest) continue;
        earliest = arrival;
        first = &bucket[i];
    }
    uint64_t old = atomic_load_explicit(&first->key, memory_order_relaxed);
    if (!atomic_compare_exchange_strong(&first->key, &old, key)) return NULL;
    *ret_arrival = earliest;
    return first;
}

/* Between claiming a slot and setting its time a process may find the time of the key before, the
 * earliest of the bucket, and another may set it: both are counted once, in the slot's new name. */
q5_limit_verdict q5_limit_take(const q5_limit_table *table, const q5_limit_rate *rate, uint64_t key,
                               q5_nsec now) {
    if (key == 0) key = 1;
    q5_limit_slot *bucket = table->slots + (key & table->bucket_mask) * WAYS;
    q5_limit_verdict verdict = {0};
    /* Each failure is a success of somebody else's. Past the bound the last verdict stands. */
    for (int i = 0; i < TRIES_MAX; i++) {
        uint64_t held = 0, arrival = 0, next;
        q5_limit_slot *slot = find(bucket, key);
        if (slot)
            held = arrival = atomic_load_explicit(&slot->arrival, memory_order_relaxed);
        else
            slot = claim(bucket, key, &held);
        verdict = q5_limit_judge(rate, arrival, now, &next);
        if (!slot) continue;
        if (!verdict.allowed) break;
        if (atomic_compare_exchange_strong(&slot->arrival, &held, next)) break;
    }
    return verdict;
}
