#include "q5/cache.h"

#include "q5test.h"

typedef struct item {
    q5_cache_node node;
    char name;
} item;

static char released[64];

static void release(q5_cache_node *node) {
    size_t len = strlen(released);
    if (len + 1 < sizeof(released)) released[len] = ((item *)node)->name;
}

static void begin(q5_cache *cache, size_t count_max, size_t cost_max) {
    memset(released, 0, sizeof(released));
    assert_status(q5_cache_init(cache, NULL, count_max, cost_max, release), Q5_OK);
}

/* Keys of one letter; all land in one bucket, as an unlucky hash would have it. */
static void set_key(uint8_t key[Q5_CACHE_KEY_LEN], char name) {
    memset(key, 0, Q5_CACHE_KEY_LEN);
    key[Q5_CACHE_KEY_LEN - 1] = (uint8_t)name;
}

static item *put(q5_cache *cache, item *it, char name, size_t cost) {
    it->name = name;
    set_key(it->node.key, name);
    it->node.cost = cost;
    return q5_cache_put(cache, &it->node) == Q5_OK ? it : NULL;
}

static bool has(q5_cache *cache, char name) {
    uint8_t key[Q5_CACHE_KEY_LEN];
    set_key(key, name);
    q5_cache_node *node = q5_cache_find(cache, key);
    return node && ((item *)node)->name == name;
}

static void test_the_least_recently_used_leaves(void **state) {
    (void)state;
    q5_cache cache;
    item items[4];
    begin(&cache, 3, 1000);
    put(&cache, &items[0], 'a', 1);
    put(&cache, &items[1], 'b', 1);
    put(&cache, &items[2], 'c', 1);
    assert_true(has(&cache, 'a'));
    put(&cache, &items[3], 'd', 1);
    assert_string_equal(released, "b");
    assert_true(has(&cache, 'a') && has(&cache, 'c') && has(&cache, 'd') && !has(&cache, 'b'));
    q5_cache_deinit(&cache);
    assert_int_equal(strlen(released), 4);
}

static void test_cost_is_bounded(void **state) {
    (void)state;
    q5_cache cache;
    item items[12];
    begin(&cache, 100, 80);
    for (int i = 0; i < 12; i++)
        assert_non_null(put(&cache, &items[i], (char)('a' + i), 10));
    assert_int_equal(cache.cost, 80);
    assert_int_equal(cache.count, 8);
    assert_string_equal(released, "abcd");
    item large;
    assert_null(put(&cache, &large, 'x', 11)); /* more than an eighth */
    assert_string_equal(released, "abcd");
    q5_cache_deinit(&cache);
}

static void test_one_per_key(void **state) {
    (void)state;
    q5_cache cache;
    item first, second, large;
    begin(&cache, 10, 80);
    put(&cache, &first, 'a', 5);
    put(&cache, &second, 'a', 7);
    assert_string_equal(released, "a");
    assert_int_equal(cache.cost, 7);
    /* What is too large takes the place of the old one all the same: that is out of date. */
    assert_null(put(&cache, &large, 'a', 11));
    assert_false(has(&cache, 'a'));
    assert_int_equal(cache.cost, 0);
    q5_cache_deinit(&cache);
}

static void test_remove_and_clear(void **state) {
    (void)state;
    q5_cache cache;
    item items[3];
    begin(&cache, 10, 80);
    for (int i = 0; i < 3; i++)
        put(&cache, &items[i], (char)('a' + i), 1);
    q5_cache_remove(&cache, &items[1].node);
    assert_true(has(&cache, 'a') && !has(&cache, 'b') && has(&cache, 'c'));
    q5_cache_clear(&cache);
    assert_string_equal(released, "bac");
    assert_int_equal(cache.count + cache.cost, 0);
    put(&cache, &items[0], 'd', 1);
    assert_true(has(&cache, 'd'));
    q5_cache_deinit(&cache);
}

static void test_refused(void **state) {
    (void)state;
    q5_cache cache;
    assert_status(q5_cache_init(&cache, NULL, 0, 1, release), Q5_EINVAL);
    assert_status(q5_cache_init(&cache, NULL, ((size_t)1 << 24) + 1, 1, release), Q5_EINVAL);
    failmalloc fm;
    failmalloc_init(&fm, 0);
    assert_status(q5_cache_init(&cache, &fm.alloc, 8, 1, release), Q5_ENOMEM);
    assert_int_equal(fm.live, 0);
}

/* Against an array that is searched from end to end. */
static void test_model(void **state) {
    (void)state;
    enum { COUNT = 26, ROOM = 7 };
    q5_cache cache;
    static item items[4000];
    char order[ROOM + 1] = ""; /* the most recently used first */
    uint32_t x = 7;
    begin(&cache, ROOM, 8 * ROOM);
    for (size_t i = 0; i < Q5_ARRAY_LEN(items); i++) {
        x = x * 1664525u + 1013904223u;
        char name = (char)('a' + (x >> 20) % COUNT);
        bool puts = x >> 31;
        char *at = strchr(order, name);
        assert_int_equal(has(&cache, name), at != NULL);
        if (!puts && !at) continue;
        if (puts) assert_non_null(put(&cache, &items[i], name, 1));
        if (at)
            memmove(order + 1, order, (size_t)(at - order));
        else
            memmove(order + 1, order, ROOM - 1);
        order[0] = name;
        assert_true(cache.count <= ROOM);
    }
    q5_cache_deinit(&cache);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_least_recently_used_leaves),
        cmocka_unit_test(test_cost_is_bounded),
        cmocka_unit_test(test_one_per_key),
        cmocka_unit_test(test_remove_and_clear),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
