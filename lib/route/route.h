/* What the files of the router share: the tree, patterns taken apart, converters. */
#ifndef Q5_ROUTE_ROUTE_H
#define Q5_ROUTE_ROUTE_H

#include "q5/router.h"

/* Text and parameters alternate, text first. */
#define Q5__PARTS_MAX (2 * Q5_ROUTE_PARAMS_MAX + 1)

/* ---- converters (convert.c) ---- */

/* The byte at a place of a path whose escapes are valid. */
static inline uint8_t q5__hex(char c) {
    return (uint8_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

static inline uint8_t q5__path_byte(const char *base) {
    if (Q5_LIKELY(*base != '%')) return (uint8_t)*base;
    return (uint8_t)(q5__hex(base[1]) << 4 | q5__hex(base[2]));
}

static inline size_t q5__path_step(const char *base) {
    return *base == '%' ? 3 : 1;
}

/* Every '%' begins an escape, and none is %00. */
bool q5__path_valid(q5_slice path);
/* The byte may be in a value of the converter, wherever in it. False for UUID, whose values end
 * after their 36th byte whatever follows. `escaped`: it was sent as an escape. */
bool q5__convert_takes(q5_convert convert, uint8_t byte, bool escaped);
/* Where the longest run of such bytes from `start` ends, or `limit` if that comes first. */
size_t q5__convert_run(q5_convert convert, q5_slice path, size_t start, size_t limit);
/* False if it has more than 19 digits or does not fit; `value` is a run of digits. */
bool q5__convert_int(q5_slice value, int64_t *ret_number);

/* ---- patterns (pattern.c) ---- */

typedef struct q5__custom {
    char *name;
    size_t name_len;
    q5_convert_accepts accepts;
    void *ctx;
} q5__custom;

typedef struct q5__part {
    bool is_param;
    q5_convert convert; /* the rest: of a parameter */
    uint16_t custom;    /* index, of CUSTOM */
    bool open;          /* its converter would take what follows: its end is not fixed */
    bool nested;        /* an open parameter stands before it */
    q5_slice text;      /* static text, or the name */
} q5__part;

typedef struct q5__pattern {
    size_t count;
    q5__part parts[Q5__PARTS_MAX];
} q5__pattern;

/* Q5_OK or Q5_EROUTE with the offset; slices point into `text`. */
int q5__pattern_parse(const q5_router *router, q5_slice text, q5__pattern *ret_pattern,
                      size_t *ret_error);
/* CUSTOM's index goes to *ret_custom. False: nobody has that name. */
bool q5__converter_find(const q5_router *router, q5_slice name, q5_convert *ret_convert,
                        uint16_t *ret_custom);

/* ---- the tree (router.c builds it, match.c reads it) ---- */

typedef struct q5__endpoint {
    uint32_t allow;                /* a bit per method, HEAD with GET */
    void *routes[Q5_METHOD_COUNT]; /* that of OTHER: any method */
} q5__endpoint;

typedef struct q5__node q5__node;

struct q5__node {
    q5__node *parent;
    q5__endpoint *end;  /* of patterns that end here, or NULL */
    q5__node **statics; /* no two begin with the same byte */
    uint8_t *firsts;    /* that byte of each; lies behind `statics` in one allocation */
    q5__node *params;   /* parameters that follow, narrowest first */
    q5__node *sibling;  /* of a parameter: the next wider one */
    uint16_t static_count;
    uint16_t static_cap;
    uint16_t custom;
    uint16_t mark;   /* of a nested parameter: 1 + its index among them; else 0 */
    uint8_t convert; /* q5_convert, of a parameter */
    bool is_param;
    bool open;         /* of a parameter: the end is not fixed for some child */
    uint16_t text_len; /* 0 of a parameter and of the root */
    char text[];
};

typedef struct q5__entry {
    q5_method method;
    char *pattern;
    size_t pattern_len;
    void *route;
} q5__entry;

struct q5_router {
    const q5_alloc *alloc;
    q5__node *root;
    q5__custom *customs;
    size_t custom_count, custom_cap;
    q5__entry *entries;
    size_t entry_count, entry_cap;
    uint16_t mark_count;
};

static inline q5__node *q5__static_child(const q5__node *node, uint8_t byte) {
    if (node->static_count <= 8) {
        for (unsigned i = 0; i < node->static_count; i++)
            if (node->firsts[i] == byte) return node->statics[i];
        return NULL;
    }
    const uint8_t *at = memchr(node->firsts, byte, node->static_count);
    return at ? node->statics[at - node->firsts] : NULL;
}

#endif
