#include "q5/buf.h"

#include "q5test.h"

static void test_append_and_consume(void **state) {
    (void)state;
    q5_buf buf;
    q5_buf_init(&buf, NULL);
    assert_slice(q5_buf_slice(&buf), "");
    assert_status(q5_buf_append(&buf, NULL, 0), Q5_OK);
    assert_null(buf.base); /* no memory until there is something to hold */
    assert_status(q5_buf_append(&buf, "hello ", 6), Q5_OK);
    assert_status(q5_buf_append(&buf, "world", 5), Q5_OK);
    assert_slice(q5_buf_slice(&buf), "hello world");
    q5_buf_consume(&buf, 0);
    assert_slice(q5_buf_slice(&buf), "hello world");
    q5_buf_consume(&buf, 2);
    assert_slice(q5_buf_slice(&buf), "llo world");
    q5_buf_consume(&buf, 9);
    assert_int_equal(buf.len, 0);
    assert_status(q5_buf_append(&buf, "again", 5), Q5_OK);
    assert_slice(q5_buf_slice(&buf), "again");
    q5_buf_deinit(&buf);
    assert_null(buf.base);
    assert_status(q5_buf_append(&buf, "reused", 6), Q5_OK);
    assert_slice(q5_buf_slice(&buf), "reused");
    q5_buf_deinit(&buf);
}

/* n appends cost O(log n) allocations. */
static void test_growth(void **state) {
    (void)state;
    failmalloc fm;
    failmalloc_init(&fm, SIZE_MAX);
    q5_buf buf;
    q5_buf_init(&buf, &fm.alloc);
    for (size_t i = 0; i < 100000; i++) {
        char byte = (char)i;
        assert_status(q5_buf_append(&buf, &byte, 1), Q5_OK);
    }
    for (size_t i = 0; i < 100000; i++)
        assert_true(buf.base[i] == (char)i);
    assert_true(fm.count <= 20);
    size_t count = fm.count;
    assert_status(q5_buf_reserve(&buf, buf.cap - buf.len), Q5_OK);
    assert_int_equal(fm.count, count); /* there was room */
    q5_buf_deinit(&buf);
    assert_int_equal(fm.live, 0);
}

static void test_sizes_that_overflow(void **state) {
    (void)state;
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 5, SIZE_MAX / 2, SIZE_MAX / 2 - 4};
    q5_buf buf;
    q5_buf_init(&buf, NULL);
    assert_status(q5_buf_append(&buf, "12345", 5), Q5_OK);
    for (size_t i = 0; i < Q5_ARRAY_LEN(sizes); i++) {
        size_t cap = buf.cap;
        assert_status(q5_buf_reserve(&buf, sizes[i]), Q5_ENOMEM);
        assert_int_equal(buf.cap, cap);
        assert_slice(q5_buf_slice(&buf), "12345");
    }
    q5_buf_deinit(&buf);
}

static int scenario(const q5_alloc *alloc, void *ctx) {
    (void)ctx;
    q5_buf buf;
    q5_buf_init(&buf, alloc);
    int status = Q5_OK;
    for (size_t i = 0; i < 1000 && status == Q5_OK; i++) {
        size_t len = buf.len;
        status = q5_buf_append(&buf, "0123456789", 10);
        if (status) assert_int_equal(buf.len, len);
        for (size_t at = 0; at < len; at++)
            assert_int_equal(buf.base[at], '0' + at % 10);
    }
    q5_buf_deinit(&buf);
    return status;
}

static void test_failing_allocations(void **state) {
    (void)state;
    failmalloc_sweep(scenario, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_and_consume),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_sizes_that_overflow),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
