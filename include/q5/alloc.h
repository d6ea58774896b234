/* The allocator that every object of the library is given, so that a test can make the Nth
 * allocation fail and a host can count. NULL stands for the process's malloc. */
#ifndef Q5_ALLOC_H
#define Q5_ALLOC_H

#include "q5/base.h"

typedef struct q5_alloc {
    void *ctx;
    /* malloc, realloc, free of C17, with the context first. free(ctx, NULL) does nothing. */
    void *(*malloc)(void *ctx, size_t size);
    void *(*realloc)(void *ctx, void *ptr, size_t size);
    void (*free)(void *ctx, void *ptr);
} q5_alloc;

/* The process's malloc. Never NULL. */
Q5_EXTERN const q5_alloc *q5_alloc_default(void);

static inline void *q5_malloc(const q5_alloc *a, size_t size) {
    return a->malloc(a->ctx, size);
}

static inline void *q5_realloc(const q5_alloc *a, void *ptr, size_t size) {
    return a->realloc(a->ctx, ptr, size);
}

static inline void q5_free(const q5_alloc *a, void *ptr) {
    a->free(a->ctx, ptr);
}

/* Zeroed memory, or NULL. */
Q5_EXTERN void *q5_calloc(const q5_alloc *a, size_t size);

#endif
