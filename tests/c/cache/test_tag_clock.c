#include "q5/cache.h"

#include "q5test.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static q5_tag_clock clock_;

static void test_before_and_after(void **state) {
    (void)state;
    memset(&clock_, 0, sizeof(clock_));
    const uint64_t tags[] = {1, 2, 3};
    uint64_t before = q5_tag_clock_now(&clock_);
    assert_true(q5_tag_clock_is_current(&clock_, before, tags, 3));
    q5_tag_clock_invalidate(&clock_, 9);
    assert_true(q5_tag_clock_is_current(&clock_, before, tags, 3));
    q5_tag_clock_invalidate(&clock_, 2);
    assert_false(q5_tag_clock_is_current(&clock_, before, tags, 3));
    assert_true(q5_tag_clock_is_current(&clock_, before, tags, 1));
    assert_true(q5_tag_clock_is_current(&clock_, before, tags, 0));
    uint64_t after = q5_tag_clock_now(&clock_);
    assert_true(q5_tag_clock_is_current(&clock_, after, tags, 3));
}

/* Two tags in one slot: too much is out of date, never too little. */
static void test_tags_that_share_a_slot(void **state) {
    (void)state;
    memset(&clock_, 0, sizeof(clock_));
    const uint64_t one = 5, other = 5 + (uint64_t)Q5_TAG_SLOTS * 3;
    uint64_t before = q5_tag_clock_now(&clock_);
    q5_tag_clock_invalidate(&clock_, one);
    assert_false(q5_tag_clock_is_current(&clock_, before, &other, 1));
}

#define THREADS 4
#define TURNS 20000

static void *invalidate_often(void *arg) {
    (void)arg;
    for (uint64_t i = 0; i < TURNS; i++) {
        uint64_t tag = i % 3, begun = q5_tag_clock_now(&clock_);
        q5_tag_clock_invalidate(&clock_, tag);
        /* Whoever invalidates sees it at once, however many do at the same time. */
        if (q5_tag_clock_is_current(&clock_, begun, &tag, 1)) return &clock_;
    }
    return NULL;
}

static void test_threads(void **state) {
    (void)state;
    memset(&clock_, 0, sizeof(clock_));
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, invalidate_often, NULL), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(q5_tag_clock_now(&clock_), THREADS * TURNS);
    uint64_t last = 0;
    for (size_t i = 0; i < 3; i++)
        if (clock_.slots[i] > last) last = clock_.slots[i];
    assert_int_equal(last, THREADS * TURNS);
}

static void test_processes(void **state) {
    (void)state;
    q5_tag_clock *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    const uint64_t tag = 42;
    uint64_t begun = q5_tag_clock_now(shared);
    pid_t child = fork();
    if (child == 0) {
        q5_tag_clock_invalidate(shared, tag);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_false(q5_tag_clock_is_current(shared, begun, &tag, 1));
    munmap(shared, sizeof(*shared));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_before_and_after),
        cmocka_unit_test(test_tags_that_share_a_slot),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
