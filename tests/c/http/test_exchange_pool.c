#include "q5/conn.h"

#include "q5test.h"

static const char head[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

static q5_exchange *make(q5_exchange_pool *pool, const q5_conn_config *config) {
    q5_exchange *x;
    q5_slice body = Q5_LIT("body");
    assert_status(q5_exchange_create_detached(pool, config, Q5_LIT(head), body, &x), Q5_OK);
    return x;
}

static void count_call(void *ctx) {
    ++*(int *)ctx;
}

static void test_retired_pool_outlives_its_exchanges(void **state) {
    (void)state;
    failmalloc fm;
    failmalloc_init(&fm, SIZE_MAX);
    q5_conn_config config = q5_conn_config_default();
    q5_exchange_pool pool;
    q5_exchange_pool_init(&pool, &fm.alloc, 4);
    q5_exchange *kept = make(&pool, &config), *other = make(&pool, &config);
    q5_exchange_unref(make(&pool, &config));
    assert_int_equal(pool.free_count, 1);

    int calls = 0;
    q5_exchange_pool_retire(&pool, count_call, &calls);
    assert_int_equal(pool.free_count, 0);
    q5_exchange_unref(other);
    assert_int_equal(calls, 0);
    assert_slice(kept->body, "body");
    q5_exchange_unref(kept);
    assert_int_equal(calls, 1);
    assert_int_equal(fm.live, 0);
}

static void test_unused_pool_is_empty_at_once(void **state) {
    (void)state;
    q5_exchange_pool pool;
    q5_exchange_pool_init(&pool, NULL, 4);
    int calls = 0;
    q5_exchange_pool_retire(&pool, count_call, &calls);
    assert_int_equal(calls, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retired_pool_outlives_its_exchanges),
        cmocka_unit_test(test_unused_pool_is_empty_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
