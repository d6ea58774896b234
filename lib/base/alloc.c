#include "q5/alloc.h"

#include <stdlib.h>

static void *default_malloc(void *ctx, size_t size) {
    (void)ctx;
    return malloc(size);
}

static void *default_realloc(void *ctx, void *ptr, size_t size) {
    (void)ctx;
    return realloc(ptr, size);
}

static void default_free(void *ctx, void *ptr) {
    (void)ctx;
    free(ptr);
}

const q5_alloc *q5_alloc_default(void) {
    static const q5_alloc alloc = {NULL, default_malloc, default_realloc, default_free};
    return &alloc;
}

void *q5_calloc(const q5_alloc *a, size_t size) {
    void *ptr = q5_malloc(a, size);
    if (ptr) memset(ptr, 0, size);
    return ptr;
}
