/* Latencies of a round, and their percentiles. */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t *us; /* the first `max` of them */
    size_t count; /* of all that were added */
    size_t max;
} samples;

/* Room for `max`: those beyond are counted, and no percentile knows of them. Returns 0 or -1. */
int samples_init(samples *s, size_t max);

void samples_add(samples *s, uint64_t took_ns);

/* Before the first call of samples_at_ms(). */
void samples_sort(samples *s);

/* The latency that a share of all (0 to 1) did not exceed; 0 without any. */
double samples_at_ms(const samples *s, double share);

#endif
