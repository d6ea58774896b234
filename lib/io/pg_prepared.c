#include <stdio.h>

#include "io/pg_internal.h"

uint32_t q5__pg_power_of_two(uint32_t least) {
    uint32_t n = 1;
    while (n < least)
        n *= 2;
    return n;
}

int q5__pg_cache_init(q5__pg_cache *cache, const q5_alloc *alloc, uint32_t max,
                      uint32_t doomed_max) {
    uint32_t buckets = q5__pg_power_of_two(max * 2);
    *cache = (q5__pg_cache){.max = max, .mask = buckets - 1};
    cache->entries = q5_malloc(alloc, max * sizeof(*cache->entries));
    cache->buckets = q5_malloc(alloc, buckets * sizeof(*cache->buckets));
    cache->doomed = q5_malloc(alloc, doomed_max * sizeof(*cache->doomed));
    if (!cache->entries || !cache->buckets || !cache->doomed) return Q5_ENOMEM;
    q5__pg_cache_reset(cache);
    return Q5_OK;
}

void q5__pg_cache_deinit(q5__pg_cache *cache, const q5_alloc *alloc) {
    q5_free(alloc, cache->entries);
    q5_free(alloc, cache->buckets);
    q5_free(alloc, cache->doomed);
}

void q5__pg_cache_reset(q5__pg_cache *cache) {
    for (uint32_t i = 0; i <= cache->mask; i++)
        cache->buckets[i] = Q5__PG_NONE;
    for (uint32_t i = 0; i < cache->max; i++)
        cache->entries[i] = (q5__pg_prepared){.chain = i + 1 < cache->max ? i + 1 : Q5__PG_NONE};
    cache->free = 0;
    cache->newest = cache->oldest = Q5__PG_NONE;
    cache->count = cache->serial = cache->doomed_count = 0;
}

/* Ids are addresses or counters: the multiplier (2^64 by the golden ratio) spreads both. */
static uint32_t *bucket_of(q5__pg_cache *cache, uint64_t id, uint32_t generation) {
    uint64_t hash = (id + generation) * UINT64_C(0x9E3779B97F4A7C15);
    return &cache->buckets[(hash >> 32) & cache->mask];
}

static void unlink_use(q5__pg_cache *cache, q5__pg_prepared *entry) {
    if (entry->newer == Q5__PG_NONE)
        cache->newest = entry->older;
    else
        cache->entries[entry->newer].older = entry->older;
    if (entry->older == Q5__PG_NONE)
        cache->oldest = entry->newer;
    else
        cache->entries[entry->older].newer = entry->newer;
}

static void link_newest(q5__pg_cache *cache, q5__pg_prepared *entry) {
    uint32_t index = (uint32_t)(entry - cache->entries);
    entry->newer = Q5__PG_NONE;
    entry->older = cache->newest;
    if (cache->newest == Q5__PG_NONE)
        cache->oldest = index;
    else
        cache->entries[cache->newest].newer = index;
    cache->newest = index;
}

q5__pg_prepared *q5__pg_cache_find(q5__pg_cache *cache, const q5_pg_statement *statement) {
    uint32_t index = *bucket_of(cache, statement->id, statement->generation);
    while (index != Q5__PG_NONE) {
        q5__pg_prepared *entry = &cache->entries[index];
        if (entry->id == statement->id && entry->generation == statement->generation) {
            if (cache->newest != index) {
                unlink_use(cache, entry);
                link_newest(cache, entry);
            }
            return entry;
        }
        index = entry->chain;
    }
    return NULL;
}

void q5__pg_cache_remove(q5__pg_cache *cache, q5__pg_prepared *entry, bool doom) {
    uint32_t index = (uint32_t)(entry - cache->entries);
    uint32_t *link = bucket_of(cache, entry->id, entry->generation);
    while (*link != index)
        link = &cache->entries[*link].chain;
    *link = entry->chain;
    unlink_use(cache, entry);
    if (doom) cache->doomed[cache->doomed_count++] = entry->serial;
    entry->serial = 0;
    entry->chain = cache->free;
    cache->free = index;
    cache->count--;
}

void q5__pg_name(uint32_t serial, char name[16]) {
    snprintf(name, 16, "q5_%x", (unsigned)serial);
}

q5__pg_prepared *q5__pg_cache_insert(q5__pg_cache *cache, const q5_pg_statement *statement,
                                     bool *ret_evicted) {
    *ret_evicted = cache->free == Q5__PG_NONE;
    if (*ret_evicted) q5__pg_cache_remove(cache, &cache->entries[cache->oldest], true);
    uint32_t index = cache->free;
    q5__pg_prepared *entry = &cache->entries[index];
    cache->free = entry->chain;
    uint32_t *bucket = bucket_of(cache, statement->id, statement->generation);
    *entry = (q5__pg_prepared){.id = statement->id,
                               .generation = statement->generation,
                               .serial = ++cache->serial,
                               .chain = *bucket};
    *bucket = index;
    q5__pg_name(entry->serial, entry->name);
    link_newest(cache, entry);
    cache->count++;
    return entry;
}

q5__pg_prepared *q5__pg_cache_get(q5__pg_cache *cache, uint32_t index, uint32_t serial) {
    if (!serial || cache->entries[index].serial != serial) return NULL;
    return &cache->entries[index];
}
