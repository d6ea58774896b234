/* How the shared memory is laid out: a mark per series, then the slots, each with its rows.
 *
 *   OFFSET                       SIZE
 *   0                            series, rounded up to 64       1: somebody has counted there
 *   slot * slot_size behind it   sizeof(q5_metrics_slot)        one process
 *   behind each                  series * sizeof(row)           route by route, method by method
 *
 * Every number is 64 bits wide and read and written atomically, without an order: sums may be a
 * request behind. */
#ifndef Q5_METRICS_MEMORY_H
#define Q5_METRICS_MEMORY_H

#include "q5/metrics.h"

typedef struct q5_metrics_slot {
    uint64_t pid; /* 0: free */
    uint64_t start_unix_msec;
    q5_metrics_gauges gauges;
    q5_metrics_events events;
} q5_metrics_slot;

static inline size_t q5__metrics_series(uint32_t route_count) {
    return (size_t)route_count * Q5_METHOD_COUNT;
}

static inline size_t q5__metrics_marks(uint32_t route_count) {
    return (q5__metrics_series(route_count) + 63) & ~(size_t)63;
}

static inline size_t q5__metrics_slot_size(uint32_t route_count) {
    return sizeof(q5_metrics_slot) + q5__metrics_series(route_count) * sizeof(q5_metrics_row);
}

static inline uint8_t *q5__metrics_mark(const q5_metrics *m, uint32_t route, uint8_t method) {
    return (uint8_t *)m->memory + (size_t)route * Q5_METHOD_COUNT + method;
}

static inline q5_metrics_slot *q5__metrics_slot(const q5_metrics *m, uint32_t slot) {
    char *slots = (char *)m->memory + q5__metrics_marks(m->route_count);
    return (q5_metrics_slot *)(void *)(slots + slot * q5__metrics_slot_size(m->route_count));
}

static inline q5_metrics_row *q5__metrics_row(const q5_metrics *m, uint32_t slot, uint32_t route,
                                              uint8_t method) {
    q5_metrics_row *rows = (q5_metrics_row *)(void *)(q5__metrics_slot(m, slot) + 1);
    return &rows[(size_t)route * Q5_METHOD_COUNT + method];
}

static inline uint64_t q5__metrics_load(const uint64_t *at) {
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

#endif
