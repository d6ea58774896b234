#include "samples.h"

#include <stdlib.h>

int samples_init(samples *s, size_t max) {
    *s = (samples){.us = malloc(max * sizeof(uint32_t)), .max = max};
    return s->us ? 0 : -1;
}

void samples_add(samples *s, uint64_t took_ns) {
    uint64_t us = took_ns / 1000;
    if (s->count < s->max) s->us[s->count] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
    s->count++;
}

static size_t kept(const samples *s) {
    return s->count < s->max ? s->count : s->max;
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void samples_sort(samples *s) {
    qsort(s->us, kept(s), sizeof(uint32_t), by_value);
}

double samples_at_ms(const samples *s, double share) {
    if (s->count == 0) return 0;
    size_t place = (size_t)((double)(kept(s) - 1) * share);
    return (double)s->us[place] / 1000;
}
