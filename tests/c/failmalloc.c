#include "failmalloc.h"

#include <stdlib.h>

#include "q5test.h"

static bool must_fail(failmalloc *fm) {
    return fm->count++ >= fm->fail_at;
}

static void *fm_malloc(void *ctx, size_t size) {
    failmalloc *fm = ctx;
    if (must_fail(fm)) return NULL;
    void *ptr = malloc(size);
    if (ptr) fm->live++;
    return ptr;
}

static void *fm_realloc(void *ctx, void *ptr, size_t size) {
    failmalloc *fm = ctx;
    if (!ptr) return fm_malloc(ctx, size);
    if (must_fail(fm)) return NULL;
    return realloc(ptr, size);
}

static void fm_free(void *ctx, void *ptr) {
    failmalloc *fm = ctx;
    if (ptr) fm->live--;
    free(ptr);
}

void failmalloc_init(failmalloc *fm, size_t fail_at) {
    *fm = (failmalloc){.alloc = {fm, fm_malloc, fm_realloc, fm_free}, .fail_at = fail_at};
}

void failmalloc_sweep(int (*scenario)(const q5_alloc *alloc, void *ctx), void *ctx) {
    for (size_t n = 0; n < 100000; n++) {
        failmalloc fm;
        failmalloc_init(&fm, n);
        int status = scenario(&fm.alloc, ctx);
        assert_int_equal(fm.live, 0);
        if (fm.count <= n) {
            assert_status(status, Q5_OK);
            return;
        }
        if (status != Q5_OK) assert_status(status, Q5_ENOMEM);
    }
    fail_msg("the scenario allocates without end");
}
