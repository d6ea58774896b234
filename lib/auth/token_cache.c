#include "q5/token_cache.h"

#define WAYS 4

typedef struct entry {
    uint8_t digest[Q5_TOKEN_DIGEST_SIZE];
    int64_t expires_s;
    void *value; /* NULL: a free place */
} entry;

struct q5_token_cache {
    const q5_alloc *alloc;
    void (*drop)(void *value);
    size_t set_mask;
    entry *entries; /* sets of WAYS, the most used first */
};

q5_token_cache *q5_token_cache_create(const q5_alloc *alloc, size_t entries_max,
                                      void (*drop)(void *value)) {
    size_t count = WAYS;
    if (!alloc) alloc = q5_alloc_default();
    while (count < entries_max && count < Q5_TOKEN_CACHE_ENTRIES_MAX)
        count *= 2;
    q5_token_cache *cache = q5_calloc(alloc, sizeof(*cache));
    if (!cache) return NULL;
    cache->alloc = alloc;
    cache->drop = drop;
    cache->set_mask = count / WAYS - 1;
    cache->entries = q5_calloc(alloc, count * sizeof(entry));
    if (cache->entries) return cache;
    q5_free(alloc, cache);
    return NULL;
}

/* The place is free before drop() runs. */
static void leave(q5_token_cache *cache, entry *place) {
    void *value = place->value;
    place->value = NULL;
    if (value) cache->drop(value);
}

static bool every(void *value, void *unused) {
    (void)value;
    (void)unused;
    return true;
}

size_t q5_token_cache_remove(q5_token_cache *cache, bool (*match)(void *value, void *arg),
                             void *arg) {
    size_t removed = 0;
    for (size_t i = 0; i < (cache->set_mask + 1) * WAYS; i++) {
        entry *place = &cache->entries[i];
        if (!place->value || !match(place->value, arg)) continue;
        leave(cache, place);
        removed++;
    }
    return removed;
}

void q5_token_cache_clear(q5_token_cache *cache) {
    q5_token_cache_remove(cache, every, NULL);
}

void q5_token_cache_destroy(q5_token_cache *cache) {
    if (!cache) return;
    q5_token_cache_clear(cache);
    q5_free(cache->alloc, cache->entries);
    q5_free(cache->alloc, cache);
}

static entry *set_of(const q5_token_cache *cache, const uint8_t *digest) {
    uint64_t hash;
    memcpy(&hash, digest, sizeof(hash));
    return cache->entries + (hash & cache->set_mask) * WAYS;
}

static bool holds(const entry *place, const uint8_t *digest) {
    return place->value && memcmp(place->digest, digest, Q5_TOKEN_DIGEST_SIZE) == 0;
}

void *q5_token_cache_find(q5_token_cache *cache, const uint8_t digest[Q5_TOKEN_DIGEST_SIZE],
                          int64_t now_s) {
    entry *set = set_of(cache, digest);
    for (size_t i = 0; i < WAYS; i++) {
        if (!holds(&set[i], digest)) continue;
        if (now_s >= set[i].expires_s) {
            leave(cache, &set[i]);
            return NULL;
        }
        if (i > 0) {
            entry used = set[i];
            set[i] = set[i - 1];
            set[i - 1] = used;
            i--;
        }
        return set[i].value;
    }
    return NULL;
}

/* The digest's own place, else a free or expired one, else the least used one's. */
static entry *place_for(entry *set, const uint8_t *digest, int64_t now_s) {
    entry *best = &set[WAYS - 1];
    for (size_t i = WAYS; i-- > 0;) {
        if (holds(&set[i], digest)) return &set[i];
        if (!set[i].value || now_s >= set[i].expires_s) best = &set[i];
    }
    return best;
}

void q5_token_cache_put(q5_token_cache *cache, const uint8_t digest[Q5_TOKEN_DIGEST_SIZE],
                        int64_t now_s, int64_t expires_s, void *value) {
    entry *place = place_for(set_of(cache, digest), digest, now_s);
    leave(cache, place);
    memcpy(place->digest, digest, Q5_TOKEN_DIGEST_SIZE);
    place->expires_s = expires_s;
    place->value = value;
}
