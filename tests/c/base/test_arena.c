#include "q5/arena.h"

#include "q5test.h"

static void test_alignment_and_growth(void **state) {
    (void)state;
    q5_arena arena;
    q5_arena_init(&arena, NULL, 1 << 20);
    for (size_t i = 1; i < 3000; i += 7) {
        char *ptr = q5_arena_alloc(&arena, i);
        assert_non_null(ptr);
        assert_int_equal((uintptr_t)ptr % _Alignof(max_align_t), 0);
        memset(ptr, 0xab, i);
    }
    q5_arena_deinit(&arena);
}

static void test_bound(void **state) {
    (void)state;
    q5_arena arena;
    q5_arena_init(&arena, NULL, 3 * Q5_ARENA_CHUNK_SIZE);
    assert_null(q5_arena_alloc(&arena, 3 * Q5_ARENA_CHUNK_SIZE));
    assert_null(q5_arena_alloc(&arena, SIZE_MAX));
    size_t got = 0;
    while (q5_arena_alloc(&arena, 1000))
        got += 1000;
    assert_in_range(got, 2 * Q5_ARENA_CHUNK_SIZE, 3 * Q5_ARENA_CHUNK_SIZE);
    assert_true(arena.size <= arena.size_max);
    q5_arena_deinit(&arena);
}

static void test_reset_keeps_one_chunk(void **state) {
    (void)state;
    failmalloc fm;
    failmalloc_init(&fm, SIZE_MAX);
    q5_arena arena;
    q5_arena_init(&arena, &fm.alloc, 1 << 20);
    for (int i = 0; i < 100; i++)
        assert_non_null(q5_arena_alloc(&arena, 1000));
    q5_arena_reset(&arena);
    assert_int_equal(fm.live, 1);
    size_t count = fm.count;
    assert_non_null(q5_arena_alloc(&arena, 1000));
    assert_int_equal(fm.count, count);
    q5_arena_deinit(&arena);
    assert_int_equal(fm.live, 0);
}

static void test_dup(void **state) {
    (void)state;
    q5_arena arena;
    q5_arena_init(&arena, NULL, 1 << 20);
    assert_string_equal(q5_arena_dup(&arena, "abcdef", 3), "abc");
    assert_string_equal(q5_arena_dup(&arena, NULL, 0), "");
    q5_arena_deinit(&arena);
}

static int scenario(const q5_alloc *alloc, void *ctx) {
    (void)ctx;
    q5_arena arena;
    q5_arena_init(&arena, alloc, 1 << 20);
    int status = Q5_OK;
    for (int i = 0; i < 20 && status == Q5_OK; i++)
        if (!q5_arena_alloc(&arena, 1500)) status = Q5_ENOMEM;
    q5_arena_deinit(&arena);
    return status;
}

static void test_failing_allocations(void **state) {
    (void)state;
    failmalloc_sweep(scenario, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alignment_and_growth),  cmocka_unit_test(test_bound),
        cmocka_unit_test(test_reset_keeps_one_chunk), cmocka_unit_test(test_dup),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
