#include "metrics/metrics_memory.h"

/* The boundaries that OpenTelemetry's semantic conventions recommend, and finer ones below. */
const uint32_t q5_metrics_bounds_usec[Q5_METRICS_BUCKETS] = {
    500,    1000,   2500,   5000,    10000,   25000,   50000,   75000,    100000,
    250000, 500000, 750000, 1000000, 2500000, 5000000, 7500000, 10000000,
};

_Static_assert(sizeof(q5_metrics_row) % 8 == 0 && sizeof(q5_metrics_slot) % 8 == 0,
               "rows and slots are arrays of 64-bit numbers");

size_t q5_metrics_size(uint32_t route_count, uint32_t slot_count) {
    if (route_count == 0 || route_count > Q5_METRICS_ROUTES_MAX) return 0;
    if (slot_count == 0 || slot_count > Q5_METRICS_SLOTS_MAX) return 0;
    return q5__metrics_marks(route_count) + slot_count * q5__metrics_slot_size(route_count);
}

void q5_metrics_init(q5_metrics *metrics, void *memory, const q5_slice *routes,
                     uint32_t route_count, uint32_t slot_count) {
    *metrics = (q5_metrics){
        .routes = routes, .route_count = route_count, .slot_count = slot_count, .memory = memory};
}

/* ---- processes ------------------------------------------------------------------------------- */

int q5_metrics_claim(q5_metrics *metrics, uint64_t pid, int64_t unix_msec, uint32_t *ret_slot) {
    for (uint32_t i = 0; i < metrics->slot_count; i++) {
        q5_metrics_slot *slot = q5__metrics_slot(metrics, i);
        uint64_t nobody = 0;
        if (!__atomic_compare_exchange_n(&slot->pid, &nobody, pid, false, __ATOMIC_ACQ_REL,
                                         __ATOMIC_RELAXED))
            continue;
        __atomic_store_n(&slot->start_unix_msec, (uint64_t)unix_msec, __ATOMIC_RELAXED);
        *ret_slot = i;
        return Q5_OK;
    }
    return Q5_EBUSY;
}

void q5_metrics_release(q5_metrics *metrics, uint64_t pid) {
    static const q5_metrics_gauges none;
    for (uint32_t i = 0; i < metrics->slot_count; i++) {
        q5_metrics_slot *slot = q5__metrics_slot(metrics, i);
        if (q5__metrics_load(&slot->pid) != pid) continue;
        q5_metrics_set(metrics, i, &none);
        __atomic_store_n(&slot->pid, 0, __ATOMIC_RELEASE);
    }
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Of a slot's own process; another one may be reading. */
static void add(uint64_t *at, uint64_t n) {
    __atomic_store_n(at, q5__metrics_load(at) + n, __ATOMIC_RELAXED);
}

static size_t bucket_of(uint64_t usec) {
    size_t i = 0;
    while (i < Q5_METRICS_BUCKETS && usec > q5_metrics_bounds_usec[i])
        i++;
    return i;
}

void q5_metrics_count(q5_metrics *metrics, uint32_t slot, const q5_metrics_request *request) {
    uint32_t route = request->route < metrics->route_count ? request->route : 0;
    uint8_t method = request->method < Q5_METHOD_COUNT ? request->method : Q5_METHOD_OTHER;
    int class = request->status / 100;
    q5_metrics_row *row = q5__metrics_row(metrics, slot, route, method);
    add(&row->classes[class >= 1 && class < Q5_METRICS_CLASSES ? class : 0], 1);
    add(&row->buckets[bucket_of(request->duration_usec)], 1);
    add(&row->duration_usec, request->duration_usec);
    add(&row->received, request->received);
    add(&row->sent, request->sent);
    __atomic_store_n(q5__metrics_mark(metrics, route, method), 1, __ATOMIC_RELAXED);
}

void q5_metrics_set(q5_metrics *metrics, uint32_t slot, const q5_metrics_gauges *gauges) {
    q5_metrics_gauges *own = &q5__metrics_slot(metrics, slot)->gauges;
    __atomic_store_n(&own->active_requests, gauges->active_requests, __ATOMIC_RELAXED);
    __atomic_store_n(&own->connections, gauges->connections, __ATOMIC_RELAXED);
    __atomic_store_n(&own->threads, gauges->threads, __ATOMIC_RELAXED);
    __atomic_store_n(&own->threads_busy, gauges->threads_busy, __ATOMIC_RELAXED);
    __atomic_store_n(&own->jobs_queued, gauges->jobs_queued, __ATOMIC_RELAXED);
}

void q5_metrics_add(q5_metrics *metrics, uint32_t slot, const q5_metrics_events *events) {
    q5_metrics_events *own = &q5__metrics_slot(metrics, slot)->events;
    add(&own->accepted, events->accepted);
    add(&own->faults, events->faults);
    add(&own->timeouts, events->timeouts);
    add(&own->shed, events->shed);
    add(&own->held, events->held);
    add(&own->held_msec, events->held_msec);
}

/* ---- reading --------------------------------------------------------------------------------- */

bool q5_metrics_read(const q5_metrics *metrics, uint32_t only, uint32_t route, uint8_t method,
                     q5_metrics_row *ret_row) {
    if (route >= metrics->route_count || method >= Q5_METHOD_COUNT) return false;
    if (!__atomic_load_n(q5__metrics_mark(metrics, route, method), __ATOMIC_RELAXED)) return false;
    uint64_t sums[sizeof(q5_metrics_row) / sizeof(uint64_t)] = {0};
    for (uint32_t slot = 0; slot < metrics->slot_count; slot++) {
        const q5_metrics_slot *header = q5__metrics_slot(metrics, slot);
        if (only != Q5_METRICS_ALL && slot != only) continue;
        if (!q5__metrics_load(&header->start_unix_msec)) continue; /* never used: no pages yet */
        const uint64_t *row =
            (const uint64_t *)(const void *)q5__metrics_row(metrics, slot, route, method);
        for (size_t i = 0; i < Q5_ARRAY_LEN(sums); i++)
            sums[i] += q5__metrics_load(&row[i]);
    }
    memcpy(ret_row, sums, sizeof(sums));
    return true;
}
