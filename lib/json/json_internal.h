/* What json_guard.c has of json_glance.c. */
#ifndef Q5_JSON_INTERNAL_H
#define Q5_JSON_INTERNAL_H

#include "q5/json_guard.h"

/* A look at 64 bytes at a time. True: q5_json_guard would find nothing. False: it may, or it may
 * not. depth_max is at most Q5_JSON_DEPTH_MAX. */
bool q5__json_glance(const char *text, size_t len, const q5_json_limits *limits);

/* Open brackets, a bit each: it is a '{'. */
typedef struct q5__json_stack {
    uint32_t depth;
    uint64_t objects[Q5_JSON_DEPTH_MAX / 64];
} q5__json_stack;

static inline void q5__json_open(q5__json_stack *stack, bool object) {
    uint64_t bit = UINT64_C(1) << (stack->depth % 64), *word = &stack->objects[stack->depth / 64];
    *word = object ? *word | bit : *word & ~bit;
    stack->depth++;
}

/* False: there is none, or it is of the other kind. */
static inline bool q5__json_close(q5__json_stack *stack, bool object) {
    if (stack->depth == 0) return false;
    stack->depth--;
    return (stack->objects[stack->depth / 64] >> (stack->depth % 64) & 1) == object;
}

#endif
