/* Memory that lives as long as one request. Allocations are never freed singly; reset gives all
 * but the first chunk back. */
#ifndef Q5_ARENA_H
#define Q5_ARENA_H

#include "q5/alloc.h"

#define Q5_ARENA_CHUNK_SIZE 4096

typedef struct q5_arena_chunk q5_arena_chunk;

typedef struct q5_arena {
    const q5_alloc *alloc;
    q5_arena_chunk *chunk; /* the newest; each links to the one before */
    char *next;
    char *end;
    size_t size;     /* bytes held from the allocator */
    size_t size_max; /* an allocation that would pass it fails */
} q5_arena;

/* Holds no memory until the first allocation. size_max bounds what it may ever hold. */
Q5_EXTERN void q5_arena_init(q5_arena *arena, const q5_alloc *alloc, size_t size_max);
/* Everything goes back to the allocator; the arena may be used again. */
Q5_EXTERN void q5_arena_deinit(q5_arena *arena);
/* Everything handed out becomes invalid; one standard chunk is kept for the next request. */
Q5_EXTERN void q5_arena_reset(q5_arena *arena);
/* Aligned for any type; NULL when the bound or the memory is exhausted. */
Q5_EXTERN void *q5_arena_alloc(q5_arena *arena, size_t size);
/* A copy of len bytes with a NUL behind them (not counted), or NULL. */
Q5_EXTERN char *q5_arena_dup(q5_arena *arena, const char *base, size_t len);

#endif
