#include "q5/cache.h"

#define COUNT_LIMIT ((size_t)1 << 24)
#define SHARE_MAX 8 /* no entry has more than this part of all room */

/* The key is a hash already. */
static q5_cache_node **bucket_of(const q5_cache *cache, const uint8_t *key) {
    uint64_t word;
    memcpy(&word, key, sizeof(word));
    return &cache->buckets[word & cache->bucket_mask];
}

int q5_cache_init(q5_cache *cache, const q5_alloc *alloc, size_t count_max, size_t cost_max,
                  void (*release)(q5_cache_node *node)) {
    if (count_max < 1 || count_max > COUNT_LIMIT) return Q5_EINVAL;
    if (!alloc) alloc = q5_alloc_default();
    size_t buckets = 1;
    while (buckets < count_max)
        buckets *= 2;
    q5_cache_node **table = q5_calloc(alloc, buckets * sizeof(*table));
    if (!table) return Q5_ENOMEM;
    *cache = (q5_cache){.alloc = alloc,
                        .buckets = table,
                        .bucket_mask = buckets - 1,
                        .count_max = count_max,
                        .cost_max = cost_max,
                        .release = release};
    cache->recent.prev = cache->recent.next = &cache->recent;
    return Q5_OK;
}

void q5_cache_deinit(q5_cache *cache) {
    q5_cache_clear(cache);
    q5_free(cache->alloc, cache->buckets);
    cache->buckets = NULL;
}

/* ---- the ring -------------------------------------------------------------------------------- */

static void ring_remove(q5_cache_node *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
}

static void ring_add_front(q5_cache *cache, q5_cache_node *node) {
    node->prev = &cache->recent;
    node->next = cache->recent.next;
    node->next->prev = node;
    cache->recent.next = node;
}

/* ---- the table ------------------------------------------------------------------------------- */

/* The link to the entry of that key, or to the NULL behind the last of its bucket. */
static q5_cache_node **link_to(const q5_cache *cache, const uint8_t *key) {
    q5_cache_node **link = bucket_of(cache, key);
    while (*link && memcmp((*link)->key, key, Q5_CACHE_KEY_LEN) != 0)
        link = &(*link)->chain;
    return link;
}

q5_cache_node *q5_cache_find(q5_cache *cache, const uint8_t key[Q5_CACHE_KEY_LEN]) {
    q5_cache_node *node = *link_to(cache, key);
    if (!node) return NULL;
    ring_remove(node);
    ring_add_front(cache, node);
    return node;
}

void q5_cache_remove(q5_cache *cache, q5_cache_node *node) {
    *link_to(cache, node->key) = node->chain;
    ring_remove(node);
    cache->count--;
    cache->cost -= node->cost;
    cache->release(node);
}

int q5_cache_put(q5_cache *cache, q5_cache_node *node) {
    q5_cache_node *old = *link_to(cache, node->key);
    if (old) q5_cache_remove(cache, old);
    if (node->cost > cache->cost_max / SHARE_MAX) return Q5_EINVAL;
    while (cache->count >= cache->count_max || cache->cost > cache->cost_max - node->cost)
        q5_cache_remove(cache, cache->recent.prev);
    q5_cache_node **link = bucket_of(cache, node->key);
    node->chain = *link;
    *link = node;
    ring_add_front(cache, node);
    cache->count++;
    cache->cost += node->cost;
    return Q5_OK;
}

void q5_cache_clear(q5_cache *cache) {
    while (cache->count)
        q5_cache_remove(cache, cache->recent.prev);
}
