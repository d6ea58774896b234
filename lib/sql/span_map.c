#include "sql/span_map.h"

#define TABLE_MIN 64

void q5__span_map_init(q5__span_map *map, const q5_alloc *alloc, uint64_t seed) {
    *map = (q5__span_map){.alloc = alloc, .seed = seed};
    q5_buf_init(&map->groups, alloc);
    q5_buf_init(&map->spans, alloc);
    q5_buf_init(&map->keys, alloc);
}

void q5__span_map_deinit(q5__span_map *map) {
    q5_free(map->alloc, map->table);
    q5_buf_deinit(&map->groups);
    q5_buf_deinit(&map->spans);
    q5_buf_deinit(&map->keys);
}

static q5__span_group *group_at(const q5__span_map *map, size_t index) {
    return (q5__span_group *)(void *)map->groups.base + index;
}

static bool is_key(const q5__span_map *map, const q5__span_group *group, uint64_t hash,
                   const q5__row_key *key) {
    return group->hash == hash &&
           q5__row_key_is(key, q5_slice_make(map->keys.base + group->key_from, group->key_len));
}

/* The place of the key's group, or the free one where it belongs. The table is not empty, and never
 * full. */
static uint32_t *place_of(const q5__span_map *map, uint64_t hash, const q5__row_key *key) {
    for (size_t at = hash;; at++) {
        uint32_t *place = &map->table[at & (map->table_size - 1)];
        if (*place == 0 || is_key(map, group_at(map, *place - 1), hash, key)) return place;
    }
}

q5__span_group *q5__span_map_find(const q5__span_map *map, const q5__row_key *key) {
    if (map->table_size == 0) return NULL;
    const uint32_t *place = place_of(map, q5__row_key_hash(key, map->seed), key);
    return *place ? group_at(map, *place - 1) : NULL;
}

static int grow_table(q5__span_map *map) {
    size_t size = map->table_size ? 2 * map->table_size : TABLE_MIN;
    uint32_t *table = q5_calloc(map->alloc, size * sizeof(*table));
    if (!table) return Q5_ENOMEM;
    for (size_t i = 0; i < map->group_count; i++) {
        size_t at = group_at(map, i)->hash;
        while (table[at & (size - 1)])
            at++;
        table[at & (size - 1)] = (uint32_t)i + 1;
    }
    q5_free(map->alloc, map->table);
    map->table = table;
    map->table_size = size;
    return Q5_OK;
}

q5__span_group *q5__span_map_take(q5__span_map *map, const q5__row_key *key) {
    if (2 * (map->group_count + 1) >= map->table_size && grow_table(map)) return NULL;
    uint64_t hash = q5__row_key_hash(key, map->seed);
    uint32_t *place = place_of(map, hash, key);
    if (*place) return group_at(map, *place - 1);
    size_t key_len = q5__row_key_size(key);
    if (q5_buf_reserve(&map->keys, key_len)) return NULL;
    q5__span_group group = {.hash = hash,
                            .key_from = map->keys.len,
                            .key_len = key_len,
                            .first = Q5__NO_SPAN,
                            .last = Q5__NO_SPAN};
    if (q5_buf_append(&map->groups, (const char *)&group, sizeof(group))) return NULL;
    q5__row_key_put(key, map->keys.base + map->keys.len);
    map->keys.len += key_len;
    *place = (uint32_t)++map->group_count;
    return group_at(map, map->group_count - 1);
}

int q5__span_map_add(q5__span_map *map, q5__span_group *group, size_t from, size_t len) {
    if (map->span_count == Q5__SPANS_MAX) return Q5_ETOO_MANY;
    q5__span span = {.from = from, .len = len, .next = Q5__NO_SPAN};
    int status = q5_buf_append(&map->spans, (const char *)&span, sizeof(span));
    if (status) return status;
    uint32_t index = (uint32_t)map->span_count++;
    if (group->last == Q5__NO_SPAN)
        group->first = index;
    else
        q5__span_at(map, group->last)->next = index;
    group->last = index;
    group->bytes += len;
    group->count++;
    return Q5_OK;
}
