#include "q5/cache.h"

_Static_assert((Q5_TAG_SLOTS & (Q5_TAG_SLOTS - 1)) == 0, "slots are found by a mask");
/* A lock would be one of the process alone, and the memory may be shared. */
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics must not need locks");

static size_t slot_of(uint64_t tag) {
    return (size_t)(tag & (Q5_TAG_SLOTS - 1));
}

uint64_t q5_tag_clock_now(const q5_tag_clock *clock) {
    return atomic_load(&clock->now);
}

void q5_tag_clock_invalidate(q5_tag_clock *clock, uint64_t tag) {
    uint64_t now = atomic_fetch_add(&clock->now, 1) + 1;
    _Atomic uint64_t *slot = &clock->slots[slot_of(tag)];
    uint64_t last = atomic_load(slot);
    /* Another may have been faster with a later time, which then stays: each turn it grows. */
    while (last < now && !atomic_compare_exchange_weak(slot, &last, now)) {
    }
}

bool q5_tag_clock_is_current(const q5_tag_clock *clock, uint64_t begun, const uint64_t *tags,
                             size_t count) {
    for (size_t i = 0; i < count; i++)
        if (atomic_load(&clock->slots[slot_of(tags[i])]) > begun) return false;
    return true;
}
