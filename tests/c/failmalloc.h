/* An allocator whose Nth allocation fails, for sweeps: run the scenario for N = 0, 1, 2, ... until
 * it passes without a failure having been asked for; after each run nothing may be left. */
#ifndef Q5_TEST_FAILMALLOC_H
#define Q5_TEST_FAILMALLOC_H

#include "q5/alloc.h"

typedef struct failmalloc {
    q5_alloc alloc;
    size_t fail_at; /* index of the allocation that fails, counted from 0; SIZE_MAX: none */
    size_t count;   /* allocations asked for so far */
    size_t live;    /* allocations not given back */
} failmalloc;

void failmalloc_init(failmalloc *fm, size_t fail_at);

/* Runs scenario(alloc, ctx) with each allocation failing in turn (once, and from then on) and
 * asserts that nothing leaks. The scenario returns a status; it must be Q5_ENOMEM or, where the
 * scenario can do without that allocation, Q5_OK. The last run, without failures, must be Q5_OK. */
void failmalloc_sweep(int (*scenario)(const q5_alloc *alloc, void *ctx), void *ctx);

#endif
