/* Counters of several processes over memory that they share: each writes into a slot of its own,
 * whoever is asked adds them up. Requests are counted by route and method, so the number of series
 * is bounded by what the project declares, never by what clients send.
 *
 * No system calls: the memory, its processes' numbers and the time come from above. Counting needs
 * no lock; a slot's successor goes on where it ended. */
#ifndef Q5_METRICS_H
#define Q5_METRICS_H

#include "q5/buf.h"
#include "q5/head.h"

#define Q5_METRICS_ROUTES_MAX 4096
#define Q5_METRICS_SLOTS_MAX 2050
#define Q5_METRICS_BUCKETS 17 /* of durations; those above the last one are counted with all */
#define Q5_METRICS_CLASSES 6  /* of statuses: 1xx to 5xx, and [0]: the client left before one */

/* Upper bounds in microseconds: 0.5 ms to 10 s. */
Q5_EXTERN extern const uint32_t q5_metrics_bounds_usec[Q5_METRICS_BUCKETS];

/* What a process has right now. Written by it alone. */
typedef struct q5_metrics_gauges {
    uint64_t active_requests, connections, threads, threads_busy, jobs_queued;
} q5_metrics_gauges;

/* What has happened since the slot's first process began. */
typedef struct q5_metrics_events {
    uint64_t accepted, faults, timeouts, shed;
    uint64_t held, held_msec; /* times and how long something held the event loop */
} q5_metrics_events;

/* One route and method. */
typedef struct q5_metrics_row {
    uint64_t classes[Q5_METRICS_CLASSES];
    uint64_t buckets[Q5_METRICS_BUCKETS + 1]; /* each without the ones below it */
    uint64_t duration_usec;
    uint64_t received, sent; /* bytes of bodies */
} q5_metrics_row;

typedef struct q5_metrics {
    const q5_slice *routes; /* templates: what stands for the route in a label */
    uint32_t route_count, slot_count;
    struct q5_metrics_memory *memory;
} q5_metrics;

/* Bytes that so many routes and processes need; 0: more than the bounds above. */
Q5_EXTERN size_t q5_metrics_size(uint32_t route_count, uint32_t slot_count);
/* Over memory of that size, aligned for 8 bytes, all zeroes or used before with the same numbers.
 * routes and memory outlive *metrics. */
Q5_EXTERN void q5_metrics_init(q5_metrics *metrics, void *memory, const q5_slice *routes,
                               uint32_t route_count, uint32_t slot_count);

/* A slot for process `pid` (not 0), which began at `unix_msec`. Q5_EBUSY: all are taken. */
Q5_EXTERN int q5_metrics_claim(q5_metrics *metrics, uint64_t pid, int64_t unix_msec,
                               uint32_t *ret_slot);
/* The process has ended: its gauges are gone, what it counted stays. */
Q5_EXTERN void q5_metrics_release(q5_metrics *metrics, uint64_t pid);

typedef struct q5_metrics_request {
    uint32_t route; /* an index of `routes` */
    uint8_t method; /* q5_method */
    int status;     /* 0: the client left */
    uint64_t duration_usec, received, sent;
} q5_metrics_request;

Q5_EXTERN void q5_metrics_count(q5_metrics *metrics, uint32_t slot,
                                const q5_metrics_request *request);
Q5_EXTERN void q5_metrics_set(q5_metrics *metrics, uint32_t slot, const q5_metrics_gauges *gauges);
Q5_EXTERN void q5_metrics_add(q5_metrics *metrics, uint32_t slot, const q5_metrics_events *events);

/* ---- reading --------------------------------------------------------------------------------- */

#define Q5_METRICS_ALL UINT32_MAX

/* One slot's numbers, or the sums over all. False: that route and method were never counted. */
Q5_EXTERN bool q5_metrics_read(const q5_metrics *metrics, uint32_t slot, uint32_t route,
                               uint8_t method, q5_metrics_row *ret_row);

typedef enum q5_metrics_format {
    Q5_METRICS_TEXT,       /* Prometheus text format 0.0.4 */
    Q5_METRICS_OPENMETRICS /* OpenMetrics 1.0.0 */
} q5_metrics_format;

Q5_EXTERN const char *q5_metrics_content_type(q5_metrics_format format);
/* Whether an Accept field's value names OpenMetrics. */
Q5_EXTERN q5_metrics_format q5_metrics_accepted(q5_slice accept);
/* Appends everything. Q5_OK or Q5_ENOMEM. */
Q5_EXTERN int q5_metrics_write(const q5_metrics *metrics, q5_metrics_format format, q5_buf *buf);

#endif
