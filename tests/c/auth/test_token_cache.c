#include "q5/token_cache.h"

#include "q5test.h"

static int dropped[64];
static int dropped_count;

static void drop(void *value) {
    dropped[dropped_count++] = *(int *)value;
}

static q5_token_cache *make(size_t entries) {
    dropped_count = 0;
    q5_token_cache *cache = q5_token_cache_create(NULL, entries, drop);
    assert_non_null(cache);
    return cache;
}

/* Digests of one set differ behind its number only. */
static const uint8_t *digest_of(uint8_t set, uint8_t which) {
    static uint8_t digest[Q5_TOKEN_DIGEST_SIZE];
    memset(digest, 0, sizeof(digest));
    digest[0] = set;
    digest[Q5_TOKEN_DIGEST_SIZE - 1] = which;
    return digest;
}

static int values[] = {0, 1, 2, 3, 4, 5, 6, 7};

static void put(q5_token_cache *cache, uint8_t which, int64_t now, int64_t expires) {
    q5_token_cache_put(cache, digest_of(0, which), now, expires, &values[which]);
}

static int found(q5_token_cache *cache, uint8_t which, int64_t now) {
    const int *value = q5_token_cache_find(cache, digest_of(0, which), now);
    return value ? *value : -1;
}

static void test_expiry(void **state) {
    (void)state;
    q5_token_cache *cache = make(4);
    put(cache, 1, 10, 20);
    assert_int_equal(found(cache, 1, 19), 1);
    assert_int_equal(found(cache, 1, 20), -1); /* "on or after" (RFC 7519, 4.1.4) */
    assert_int_equal(dropped_count, 1);
    assert_int_equal(found(cache, 1, 10), -1); /* a clock set back brings nothing back */
    q5_token_cache_destroy(cache);
    assert_int_equal(dropped_count, 1);
}

static void test_room(void **state) {
    (void)state;
    q5_token_cache *cache = make(4);
    for (uint8_t i = 0; i < 4; i++)
        put(cache, i, 0, i == 2 ? 5 : 100);
    put(cache, 4, 6, 100); /* in the place of the expired one */
    assert_int_equal(dropped_count, 1);
    assert_int_equal(dropped[0], 2);
    for (int turn = 0; turn < 3; turn++) /* to the front */
        assert_int_equal(found(cache, 3, 6), 3);
    put(cache, 5, 6, 100);
    assert_int_equal(dropped_count, 2);
    assert_int_not_equal(dropped[1], 3);
    assert_int_equal(found(cache, 3, 6), 3);
    put(cache, 3, 6, 200); /* again: the former value leaves */
    assert_int_equal(dropped_count, 3);
    assert_int_equal(dropped[2], 3);
    q5_token_cache_destroy(cache);
    assert_int_equal(dropped_count, 7);
}

static void test_sets_are_apart(void **state) {
    (void)state;
    q5_token_cache *cache = make(8);
    for (uint8_t i = 0; i < 4; i++)
        put(cache, i, 0, 100);
    q5_token_cache_put(cache, digest_of(1, 0), 0, 100, &values[5]);
    assert_int_equal(dropped_count, 0);
    assert_int_equal(*(int *)q5_token_cache_find(cache, digest_of(1, 0), 0), 5);
    assert_int_equal(found(cache, 0, 0), 0);
    q5_token_cache_destroy(cache);
}

static bool is_two(void *value, void *arg) {
    return *(int *)value == *(int *)arg;
}

static void test_remove(void **state) {
    (void)state;
    q5_token_cache *cache = make(4);
    for (uint8_t i = 1; i < 4; i++)
        put(cache, i, 0, 100);
    assert_int_equal(q5_token_cache_remove(cache, is_two, &values[2]), 1);
    assert_int_equal(found(cache, 2, 0), -1);
    assert_int_equal(found(cache, 3, 0), 3);
    q5_token_cache_clear(cache);
    assert_int_equal(found(cache, 3, 0), -1);
    assert_int_equal(dropped_count, 3);
    q5_token_cache_destroy(cache);
}

static int scenario(const q5_alloc *alloc, void *ctx) {
    (void)ctx;
    q5_token_cache *cache = q5_token_cache_create(alloc, 4, drop);
    if (!cache) return Q5_ENOMEM;
    q5_token_cache_destroy(cache);
    return Q5_OK;
}

static void test_out_of_memory(void **state) {
    (void)state;
    failmalloc_sweep(scenario, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expiry),         cmocka_unit_test(test_room),
        cmocka_unit_test(test_sets_are_apart), cmocka_unit_test(test_remove),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
