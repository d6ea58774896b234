#include "q5/arena.h"

#include <stdalign.h>

struct q5_arena_chunk {
    q5_arena_chunk *prev;
    size_t size; /* of the whole chunk, this header included */
};

#define ALIGN alignof(max_align_t)
#define HEADER_SIZE ((sizeof(q5_arena_chunk) + ALIGN - 1) & ~(ALIGN - 1))

void q5_arena_init(q5_arena *arena, const q5_alloc *alloc, size_t size_max) {
    *arena = (q5_arena){.alloc = alloc ? alloc : q5_alloc_default(), .size_max = size_max};
}

static void use_chunk(q5_arena *arena, q5_arena_chunk *chunk) {
    arena->chunk = chunk;
    arena->next = (char *)chunk + HEADER_SIZE;
    arena->end = (char *)chunk + chunk->size;
}

static void free_chunks(q5_arena *arena, q5_arena_chunk *keep) {
    q5_arena_chunk *chunk = arena->chunk;
    while (chunk) {
        q5_arena_chunk *prev = chunk->prev;
        if (chunk != keep) q5_free(arena->alloc, chunk);
        chunk = prev;
    }
}

void q5_arena_deinit(q5_arena *arena) {
    free_chunks(arena, NULL);
    q5_arena_init(arena, arena->alloc, arena->size_max);
}

void q5_arena_reset(q5_arena *arena) {
    q5_arena_chunk *first = arena->chunk;
    if (!first) return;
    while (first->prev)
        first = first->prev;
    if (first->size > Q5_ARENA_CHUNK_SIZE) {
        q5_arena_deinit(arena);
        return;
    }
    free_chunks(arena, first);
    arena->size = first->size;
    use_chunk(arena, first);
}

static bool add_chunk(q5_arena *arena, size_t payload) {
    size_t size = HEADER_SIZE + payload;
    if (size < Q5_ARENA_CHUNK_SIZE) size = Q5_ARENA_CHUNK_SIZE;
    if (payload > arena->size_max || size > arena->size_max - arena->size) return false;
    q5_arena_chunk *chunk = q5_malloc(arena->alloc, size);
    if (!chunk) return false;
    chunk->prev = arena->chunk;
    chunk->size = size;
    arena->size += size;
    use_chunk(arena, chunk);
    return true;
}

void *q5_arena_alloc(q5_arena *arena, size_t size) {
    if (size > SIZE_MAX - HEADER_SIZE - ALIGN) return NULL;
    size = (size + ALIGN - 1) & ~(ALIGN - 1);
    if (size > (size_t)(arena->end - arena->next) && !add_chunk(arena, size)) return NULL;
    void *ptr = arena->next;
    arena->next += size;
    return ptr;
}

char *q5_arena_dup(q5_arena *arena, const char *base, size_t len) {
    char *copy = q5_arena_alloc(arena, len + 1);
    if (!copy) return NULL;
    if (len) memcpy(copy, base, len);
    copy[len] = '\0';
    return copy;
}
