/* Spans of one buffer, grouped by key: a hash table with open addressing. Its size is bounded by
 * what is added; whoever adds counts. */
#ifndef Q5_SQL_SPAN_MAP_H
#define Q5_SQL_SPAN_MAP_H

#include "sql/row_key.h"

#define Q5__NO_SPAN UINT32_MAX
#define Q5__SPANS_MAX (UINT32_MAX / 2)

typedef struct q5__span {
    size_t from, len;
    uint32_t next; /* of the same group, or Q5__NO_SPAN */
} q5__span;

typedef struct q5__span_group {
    uint64_t hash;
    size_t key_from, key_len; /* in `keys` */
    size_t bytes;             /* of all its spans */
    uint32_t first, last, count;
} q5__span_group;

typedef struct q5__span_map {
    const q5_alloc *alloc;
    uint64_t seed;
    uint32_t *table;   /* owned: index of the group + 1; 0 is free */
    size_t table_size; /* a power of two, more than twice the groups */
    size_t group_count, span_count;
    q5_buf groups, spans, keys; /* arrays of q5__span_group and q5__span; bytes */
} q5__span_map;

/* Holds no memory until something is added. */
void q5__span_map_init(q5__span_map *map, const q5_alloc *alloc, uint64_t seed);
void q5__span_map_deinit(q5__span_map *map);

/* The group of the key, or NULL. It stays where it is until the next _take. */
q5__span_group *q5__span_map_find(const q5__span_map *map, const q5__row_key *key);
/* The same, made if there is none. NULL: no memory; the map is whole. */
q5__span_group *q5__span_map_take(q5__span_map *map, const q5__row_key *key);
/* Q5_OK, Q5_ENOMEM, or Q5_ETOO_MANY at Q5__SPANS_MAX. */
int q5__span_map_add(q5__span_map *map, q5__span_group *group, size_t from, size_t len);

static inline q5__span *q5__span_at(const q5__span_map *map, uint32_t index) {
    return (q5__span *)(void *)map->spans.base + index;
}

#endif
