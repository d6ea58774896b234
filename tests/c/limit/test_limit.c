#include "q5/limit.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "q5/siphash.h"
#include "q5test.h"

#define SEC UINT64_C(1000000000)
#define NOW (1000 * SEC)

/* ---- rates ----------------------------------------------------------------------------------- */

static const struct {
    uint64_t count;
    q5_nsec period;
    uint32_t burst;
    int status;
    q5_nsec interval;
} rates[] = {
    {1, SEC, 1, Q5_OK, SEC},
    {100, 60 * SEC, 100, Q5_OK, 600000000},
    {1000000, SEC, 1, Q5_OK, 1000},
    {3, SEC, 1, Q5_OK, 333333334}, /* never more than asked for */
    {UINT64_MAX, SEC, 1, Q5_OK, 1},
    {0, SEC, 1, Q5_EINVAL, 0},
    {1, 0, 1, Q5_EINVAL, 0},
    {1, SEC, 0, Q5_EINVAL, 0},
    {1, SEC, Q5_LIMIT_BURST_MAX + 1, Q5_EINVAL, 0},
    {1, 366 * 86400 * SEC, 100, Q5_OK, 366 * 86400 * SEC},
    {1, 366 * 86400 * SEC, 101, Q5_EINVAL, 0},
    {1, UINT64_MAX, 1, Q5_EINVAL, 0},
};

static void test_rates(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rates); i++) {
        q5_limit_rate rate = {0};
        int status = q5_limit_rate_make(rates[i].count, rates[i].period, rates[i].burst, &rate);
        if (status != rates[i].status || rate.interval_nsec != rates[i].interval)
            fail_msg("row %zu: %s", i, q5_status_name(status));
    }
}

/* ---- verdicts -------------------------------------------------------------------------------- */

/* Requests of one key at 2 a second, 3 of them at once. */
static const struct step {
    uint64_t msec;
    bool allowed;
    uint32_t remaining;
    uint64_t reset_msec, retry_msec;
} steps[] = {
    {0, true, 2, 500, 0},          {0, true, 1, 1000, 0},
    {0, true, 0, 1500, 500},       {0, false, 0, 1500, 500}, /* a refused request costs nothing */
    {499, false, 0, 1001, 1},                                /* just before */
    {500, true, 0, 1500, 500},                               /* just in time */
    {1250, true, 0, 1250, 250},                              /* one and a half were given back */
    {1400, false, 0, 1100, 100},   {2500, true, 2, 500, 0},  /* all were */
    {900000, true, 2, 500, 0},     /* rest saves up no more than the burst */
    {899000, false, 0, 1500, 500}, /* a clock that is behind */
};

static void test_steps(void **state) {
    (void)state;
    q5_limit_rate rate;
    assert_status(q5_limit_rate_make(2, SEC, 3, &rate), Q5_OK);
    q5_nsec arrival = 0;
    for (size_t i = 0; i < Q5_ARRAY_LEN(steps); i++) {
        const struct step *step = &steps[i];
        q5_limit_verdict got = q5_limit_judge(&rate, arrival, NOW + step->msec * 1000000, &arrival);
        if (got.allowed != step->allowed || got.remaining != step->remaining ||
            got.reset_nsec != step->reset_msec * 1000000 ||
            got.retry_nsec != step->retry_msec * 1000000)
            fail_msg("row %zu: %d, %u remaining, reset %llu, retry %llu", i, got.allowed,
                     got.remaining, (unsigned long long)got.reset_nsec / 1000000,
                     (unsigned long long)got.retry_nsec / 1000000);
    }
}

/* ---- the table ------------------------------------------------------------------------------- */

static q5_limit_table make_table(uint32_t keys) {
    void *memory = aligned_alloc(64, q5_limit_table_size(keys));
    assert_non_null(memory);
    memset(memory, 0, q5_limit_table_size(keys));
    return q5_limit_table_make(memory, keys);
}

static void test_sizes(void **state) {
    (void)state;
    assert_int_equal(q5_limit_table_size(0), 8 * 16);
    assert_int_equal(q5_limit_table_size(8), 8 * 16);
    assert_int_equal(q5_limit_table_size(9), 16 * 16);
    assert_int_equal(q5_limit_table_size(UINT32_MAX), (size_t)Q5_LIMIT_KEYS_MAX * 16);
}

static void test_keys_are_apart(void **state) {
    (void)state;
    q5_limit_rate rate;
    q5_limit_table table = make_table(64);
    q5_limit_rate_make(1, SEC, 1, &rate);
    for (uint64_t key = 0; key < 8; key++) {
        if (key == 1) continue; /* 0 stands for it */
        assert_true(q5_limit_take(&table, &rate, key, NOW).allowed);
        assert_false(q5_limit_take(&table, &rate, key, NOW).allowed);
    }
    assert_false(q5_limit_take(&table, &rate, 0, NOW + SEC - 1).allowed);
    assert_true(q5_limit_take(&table, &rate, 0, NOW + SEC).allowed);
    free(table.slots);
}

static uint64_t hash_of(q5_slice text) {
    static const uint8_t secret[Q5_SIPHASH_KEY_LEN] = {7};
    uint8_t bytes[Q5_SIPHASH_LEN];
    uint64_t hash;
    q5_siphash state;
    q5_siphash_init(&state, secret);
    q5_siphash_feed(&state, text);
    q5_siphash_end(&state, bytes);
    memcpy(&hash, bytes, sizeof(hash));
    return hash;
}

/* Who is at his limit cannot have it forgotten by a flood of other keys. */
static void test_flood(void **state) {
    (void)state;
    q5_limit_rate rate;
    q5_limit_table table = make_table(1024);
    q5_limit_rate_make(10, 60 * SEC, 10, &rate);
    uint64_t victim = hash_of(Q5_LIT("victim"));
    for (int i = 0; i < 10; i++)
        assert_true(q5_limit_take(&table, &rate, victim, NOW).allowed);
    for (uint32_t i = 0; i < 200000; i++) {
        uint64_t key = hash_of(q5_slice_make((const char *)&i, sizeof(i)));
        assert_true(q5_limit_take(&table, &rate, key, NOW).allowed);
    }
    assert_false(q5_limit_take(&table, &rate, victim, NOW).allowed);
    free(table.slots);
}

/* ---- threads and processes ------------------------------------------------------------------- */

enum { TAKERS = 4, TAKES = 20000 };

typedef struct taker {
    q5_limit_table table;
    q5_limit_rate rate;
    uint64_t allowed;
} taker;

static void *take_all(void *arg) {
    taker *self = arg;
    for (int i = 0; i < TAKES; i++)
        self->allowed += q5_limit_take(&self->table, &self->rate, 42, NOW).allowed;
    return NULL;
}

static void test_threads(void **state) {
    (void)state;
    q5_limit_rate rate;
    q5_limit_table table = make_table(64);
    q5_limit_rate_make(1, SEC, 30000, &rate);
    pthread_t threads[TAKERS];
    taker takers[TAKERS];
    uint64_t allowed = 0;
    for (int i = 0; i < TAKERS; i++) {
        takers[i] = (taker){.table = table, .rate = rate};
        assert_int_equal(pthread_create(&threads[i], NULL, take_all, &takers[i]), 0);
    }
    for (int i = 0; i < TAKERS; i++) {
        pthread_join(threads[i], NULL);
        allowed += takers[i].allowed;
    }
    /* Threads that meet a new key together may count it apart, once. */
    assert_in_range(allowed, 30000, 30000 + TAKERS);
    free(table.slots);
}

static void test_processes(void **state) {
    (void)state;
    q5_limit_rate rate;
    size_t size = q5_limit_table_size(64);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    q5_limit_rate_make(1, SEC, 3, &rate);
    for (int i = 0; i < 4; i++) {
        pid_t child = fork();
        if (child == 0) {
            q5_limit_table own = q5_limit_table_make(memory, 64);
            _exit(q5_limit_take(&own, &rate, 42, NOW).allowed);
        }
        int result = 0;
        assert_int_equal(waitpid(child, &result, 0), child);
        assert_int_equal(WEXITSTATUS(result), i < 3);
    }
    munmap(memory, size);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates),     cmocka_unit_test(test_steps),
        cmocka_unit_test(test_sizes),     cmocka_unit_test(test_keys_are_apart),
        cmocka_unit_test(test_flood),     cmocka_unit_test(test_threads),
        cmocka_unit_test(test_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
