#include "q5/timer.h"

#include <limits.h>

#include "q5test.h"

#define TICK Q5_TIMER_TICK_MSEC
#define SPAN ((q5_msec)TICK << 24) /* 64^4 ticks */

static uint64_t tick_up(q5_msec due) {
    return due / TICK + (due % TICK != 0);
}

/* ---- a timer that records what happens to it ---- */

typedef struct probe {
    q5_timer timer;
    q5_timer_wheel *wheel;
    size_t fired;
    q5_msec at;
    q5_msec again; /* restart by this much from within the callback, 0: do not */
    struct probe *stop, *start;
    q5_msec start_delay;
    size_t *order; /* shared counter; place in it is noted in rank */
    size_t rank;
} probe;

static void probe_fire(q5_timer *timer, q5_msec now) {
    probe *p = Q5_CONTAINER_OF(timer, probe, timer);
    assert_false(q5_timer_active(timer));
    p->fired++;
    p->at = now;
    if (p->order) p->rank = ++*p->order;
    if (p->again) q5_timer_start(p->wheel, timer, now + p->again);
    if (p->stop) q5_timer_stop(p->wheel, &p->stop->timer);
    if (p->start) q5_timer_start(p->wheel, &p->start->timer, now + p->start_delay);
}

static void probe_init(probe *p, q5_timer_wheel *wheel) {
    *p = (probe){.wheel = wheel};
    q5_timer_init(&p->timer, probe_fire);
}

/* ---- single cases ---- */

static void test_fires_between_due_and_next_tick(void **state) {
    (void)state;
    static const struct {
        q5_msec start, delay;
    } rows[] = {
        {0, 0},
        {0, 1},
        {0, TICK},
        {5, TICK - 5},
        {1000, 250},
        {7, TICK * 63},
        {7, TICK * 64},
        {7, TICK * 65},
        {TICK * 4095, TICK},
        {TICK * 4095 + 3, TICK * 4096},
        {TICK * 262143, 1},
        {SPAN - 1, 1},
        {SPAN - 1, 2},
        {SPAN - TICK, SPAN / 2},
        {3 * SPAN - 17, 15000},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_timer_wheel wheel;
        q5_timer_wheel_init(&wheel, rows[i].start);
        probe p;
        probe_init(&p, &wheel);
        q5_msec due = rows[i].start + rows[i].delay;
        q5_timer_start(&wheel, &p.timer, due);
        assert_true(q5_timer_active(&p.timer));
        q5_msec whole = tick_up(due) * TICK;
        if (whole > rows[i].start) {
            assert_int_equal(q5_timer_wheel_advance(&wheel, whole - 1), 0);
            assert_in_range(q5_timer_wheel_timeout_msec(&wheel, whole - 1), 0, 1);
        }
        assert_int_equal(q5_timer_wheel_advance(&wheel, whole), 1);
        assert_int_equal(p.fired, 1);
        assert_int_equal(q5_timer_wheel_timeout_msec(&wheel, whole), -1);
        assert_int_equal(q5_timer_wheel_advance(&wheel, whole + SPAN), 0);
    }
}

/* Follows the wheel's own advice only, as an event loop does; counts the turns it takes. */
static size_t sleep_until_fired(q5_timer_wheel *wheel, probe *p, q5_msec now) {
    size_t turns = 0;
    for (; p->fired == 0; turns++) {
        int timeout = q5_timer_wheel_timeout_msec(wheel, now);
        assert_true(timeout >= 0);
        now += (q5_msec)timeout;
        q5_timer_wheel_advance(wheel, now);
    }
    return turns;
}

static void test_following_the_timeout(void **state) {
    (void)state;
    static const q5_msec delays[] = {1, 15, 16, 17, 1000, 5000, 15 * 1000, 3600000u, 86400u * 1000};
    for (size_t i = 0; i < Q5_ARRAY_LEN(delays); i++) {
        q5_timer_wheel wheel;
        q5_timer_wheel_init(&wheel, 123456);
        probe p;
        probe_init(&p, &wheel);
        q5_timer_start(&wheel, &p.timer, 123456 + delays[i]);
        assert_true(sleep_until_fired(&wheel, &p, 123456) <= Q5_TIMER_LEVELS);
        assert_in_range(p.at, 123456 + delays[i], 123456 + delays[i] + TICK - 1);
    }
}

static void test_beyond_the_span(void **state) {
    (void)state;
    q5_timer_wheel wheel;
    q5_timer_wheel_init(&wheel, 999);
    probe p;
    probe_init(&p, &wheel);
    q5_msec due = 999 + 10 * SPAN + 5;
    q5_timer_start(&wheel, &p.timer, due);
    assert_true(q5_timer_wheel_timeout_msec(&wheel, 999) <= INT_MAX);
    /* Each turn of the top level takes one step, so does each level below in the end. */
    assert_true(sleep_until_fired(&wheel, &p, 999) < 64);
    assert_in_range(p.at, due, due + TICK - 1);
}

static void test_leap_over_the_span(void **state) {
    (void)state;
    q5_timer_wheel wheel;
    q5_timer_wheel_init(&wheel, 0);
    probe p[5];
    static const q5_msec due[] = {10, 5000, SPAN / 2, 20 * SPAN, UINT64_MAX};
    for (size_t i = 0; i < 5; i++) {
        probe_init(&p[i], &wheel);
        q5_timer_start(&wheel, &p[i].timer, due[i]);
    }
    assert_int_equal(q5_timer_wheel_advance(&wheel, 19 * SPAN), 3);
    assert_int_equal(p[3].fired, 0);
    assert_int_equal(q5_timer_wheel_advance(&wheel, 20 * SPAN - 1), 0);
    assert_int_equal(q5_timer_wheel_advance(&wheel, 20 * SPAN), 1);
    assert_int_equal(q5_timer_wheel_advance(&wheel, UINT64_MAX), 0); /* its tick is never whole */
    assert_int_equal(wheel.count, 1);
    assert_true(q5_timer_wheel_timeout_msec(&wheel, UINT64_MAX) >= 0);
    q5_timer_stop(&wheel, &p[4].timer);
    assert_int_equal(q5_timer_wheel_timeout_msec(&wheel, 0), -1);
}

static void test_past_due_fires_at_the_next_advance_only(void **state) {
    (void)state;
    q5_timer_wheel wheel;
    q5_timer_wheel_init(&wheel, 5000);
    probe a, b;
    probe_init(&a, &wheel);
    probe_init(&b, &wheel);
    q5_timer_start(&wheel, &a.timer, 10);
    assert_int_equal(q5_timer_wheel_timeout_msec(&wheel, 5000), 0);
    a.start = &a; /* would never end if it ran again at once */
    b.start = &a;
    assert_int_equal(q5_timer_wheel_advance(&wheel, 5000 / TICK * TICK), 1);
    assert_true(q5_timer_active(&a.timer));
    a.start = NULL;
    assert_int_equal(q5_timer_wheel_advance(&wheel, 5000 / TICK * TICK), 1);
    assert_false(q5_timer_active(&a.timer));
}

static void test_time_that_runs_backwards(void **state) {
    (void)state;
    q5_timer_wheel wheel;
    q5_timer_wheel_init(&wheel, 64000);
    probe p;
    probe_init(&p, &wheel);
    q5_timer_start(&wheel, &p.timer, 64100);
    assert_int_equal(q5_timer_wheel_advance(&wheel, 10), 0);
    assert_int_equal(q5_timer_wheel_advance(&wheel, 64096), 0);
    assert_int_equal(q5_timer_wheel_advance(&wheel, 64112), 1);
    q5_timer_start(&wheel, &p.timer, 64000);
    assert_int_equal(q5_timer_wheel_advance(&wheel, 10), 1);
    assert_int_equal(p.at, 64112);
}

static void test_stop_and_restart(void **state) {
    (void)state;
    q5_timer_wheel wheel;
    q5_timer_wheel_init(&wheel, 0);
    probe p;
    probe_init(&p, &wheel);
    q5_timer_stop(&wheel, &p.timer); /* never started */
    q5_timer_start(&wheel, &p.timer, 100);
    q5_timer_start(&wheel, &p.timer, 5000); /* later: stays in its slot */
    assert_int_equal(wheel.count, 1);
    assert_int_equal(q5_timer_wheel_advance(&wheel, 4999), 0);
    q5_timer_start(&wheel, &p.timer, 5100);
    q5_timer_start(&wheel, &p.timer, 5050); /* earlier than before, later than its first slot */
    assert_int_equal(q5_timer_wheel_advance(&wheel, 5056), 1);
    q5_timer_start(&wheel, &p.timer, 9000);
    q5_timer_stop(&wheel, &p.timer);
    q5_timer_stop(&wheel, &p.timer);
    assert_int_equal(wheel.count, 0);
    assert_int_equal(q5_timer_wheel_advance(&wheel, 10000), 0);
}

/* A stopped timer must not wake the loop when another one runs later. */
static void test_timeout_skips_stopped_timers(void **state) {
    (void)state;
    q5_timer_wheel wheel;
    q5_timer_wheel_init(&wheel, 0);
    probe p[4];
    static const q5_msec due[] = {32, 64, 96, 960};
    for (size_t i = 0; i < 4; i++) {
        probe_init(&p[i], &wheel);
        q5_timer_start(&wheel, &p[i].timer, due[i]);
    }
    for (size_t i = 0; i < 3; i++)
        q5_timer_stop(&wheel, &p[i].timer);
    assert_int_equal(q5_timer_wheel_timeout_msec(&wheel, 0), 960);
}

static void test_callbacks_stop_and_start_others(void **state) {
    (void)state;
    q5_timer_wheel wheel;
    q5_timer_wheel_init(&wheel, 0);
    probe a, b, c;
    probe_init(&a, &wheel);
    probe_init(&b, &wheel);
    probe_init(&c, &wheel);
    a.stop = &b; /* due in the same advance, behind a */
    a.start = &c;
    q5_timer_start(&wheel, &a.timer, 20);
    q5_timer_start(&wheel, &b.timer, 20);
    assert_int_equal(q5_timer_wheel_advance(&wheel, 1000), 1);
    assert_int_equal(b.fired, 0);
    assert_int_equal(wheel.count, 1);
    assert_int_equal(q5_timer_wheel_advance(&wheel, 1020), 1);
    assert_int_equal(c.fired, 1);

    /* Moved to later while it already waits to be fired: must not fire now. */
    a.stop = NULL;
    a.start = &b;
    a.start_delay = 100;
    q5_timer_start(&wheel, &a.timer, 1040);
    q5_timer_start(&wheel, &b.timer, 1040);
    assert_int_equal(q5_timer_wheel_advance(&wheel, 1040), 1);
    assert_int_equal(b.fired, 0);
    assert_true(q5_timer_active(&b.timer));
    assert_int_equal(q5_timer_wheel_advance(&wheel, 1139), 0);
    assert_int_equal(q5_timer_wheel_advance(&wheel, 1152), 1);
    assert_int_equal(b.fired, 1);
}

static void test_periodic(void **state) {
    (void)state;
    q5_timer_wheel wheel;
    q5_timer_wheel_init(&wheel, 0);
    probe p;
    probe_init(&p, &wheel);
    p.again = 100;
    q5_timer_start(&wheel, &p.timer, 100);
    for (q5_msec now = 0; now < 11200; now += TICK)
        q5_timer_wheel_advance(&wheel, now);
    assert_int_equal(p.fired, 99); /* each 100 ms come to 7 ticks */
}

static void test_order(void **state) {
    (void)state;
    enum { N = 300 };
    static probe p[N];
    q5_timer_wheel wheel;
    q5_timer_wheel_init(&wheel, 77777);
    size_t order = 0;
    for (size_t i = 0; i < N; i++) {
        probe_init(&p[i], &wheel);
        p[i].order = &order;
        size_t far = (i * 7919) % N;
        q5_timer_start(&wheel, &p[i].timer, 77777 + far * far * far * 7);
    }
    assert_int_equal(q5_timer_wheel_advance(&wheel, 77777 + SPAN - SPAN / 64), N);
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++)
            if (tick_up(p[i].timer.due) < tick_up(p[j].timer.due))
                assert_true(p[i].rank < p[j].rank);
}

/* ---- against a list that is searched in full ---- */

#define MODEL_TIMERS 200

typedef struct model {
    probe probe;
    bool active;
    q5_msec due;
} model;

static uint64_t random_next(uint64_t *seed) { /* xorshift64* */
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(2685821657736338717);
}

/* Log-uniform: as many short distances as long ones, some past the span. */
static q5_msec random_distance(uint64_t *seed) {
    unsigned bits = random_next(seed) % 31;
    return random_next(seed) & ((UINT64_C(1) << bits) - 1);
}

static void model_advance(q5_timer_wheel *wheel, model *models, q5_msec *clock, q5_msec by) {
    *clock += by;
    size_t expected = 0;
    for (size_t i = 0; i < MODEL_TIMERS; i++) {
        models[i].probe.fired = 0;
        if (models[i].active && tick_up(models[i].due) <= *clock / TICK) expected++;
    }
    assert_int_equal(q5_timer_wheel_advance(wheel, *clock), expected);
    for (size_t i = 0; i < MODEL_TIMERS; i++) {
        model *m = &models[i];
        bool due = m->active && tick_up(m->due) <= *clock / TICK;
        assert_int_equal(m->probe.fired, due);
        if (!due) continue;
        m->active = m->probe.again != 0;
        m->due = *clock + m->probe.again;
    }
}

static void model_check(const q5_timer_wheel *wheel, const model *models, q5_msec clock) {
    size_t count = 0;
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < MODEL_TIMERS; i++) {
        assert_int_equal(q5_timer_active(&models[i].probe.timer), models[i].active);
        if (!models[i].active) continue;
        count++;
        if (tick_up(models[i].due) < first) first = tick_up(models[i].due);
    }
    assert_int_equal(wheel->count, count);
    int timeout = q5_timer_wheel_timeout_msec(wheel, clock);
    if (count == 0) {
        assert_int_equal(timeout, -1);
        return;
    }
    assert_true(timeout >= 0);
    q5_msec at = first * TICK > clock ? first * TICK : clock;
    assert_true(clock + (q5_msec)timeout <= at); /* never late */
}

static void test_model(void **state) {
    (void)state;
    for (uint64_t round = 1; round <= 40; round++) {
        static model models[MODEL_TIMERS];
        q5_timer_wheel wheel;
        uint64_t seed = round * UINT64_C(0x9e3779b97f4a7c15);
        q5_msec clock = random_next(&seed) >> (round % 3 * 12 + 4);
        q5_timer_wheel_init(&wheel, clock);
        for (size_t i = 0; i < MODEL_TIMERS; i++) {
            models[i].active = false;
            probe_init(&models[i].probe, &wheel);
        }
        for (int step = 0; step < 3000; step++) {
            model *m = &models[random_next(&seed) % MODEL_TIMERS];
            switch (random_next(&seed) % 8) {
            case 0:
            case 1:
            case 2:
                m->due = clock + random_distance(&seed);
                m->active = true;
                q5_timer_start(&wheel, &m->probe.timer, m->due);
                break;
            case 3: /* into the past */
                m->due = clock - random_next(&seed) % 1000;
                m->active = true;
                q5_timer_start(&wheel, &m->probe.timer, m->due);
                break;
            case 4:
                m->active = false;
                q5_timer_stop(&wheel, &m->probe.timer);
                break;
            case 5:
                m->probe.again = random_next(&seed) % 2 ? 0 : 1 + random_distance(&seed);
                break;
            default:
                model_advance(&wheel, models, &clock, random_distance(&seed) >> 3);
                break;
            }
            model_check(&wheel, models, clock);
        }
        model_advance(&wheel, models, &clock, 5 * SPAN);
        model_check(&wheel, models, clock);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fires_between_due_and_next_tick),
        cmocka_unit_test(test_following_the_timeout),
        cmocka_unit_test(test_beyond_the_span),
        cmocka_unit_test(test_leap_over_the_span),
        cmocka_unit_test(test_past_due_fires_at_the_next_advance_only),
        cmocka_unit_test(test_time_that_runs_backwards),
        cmocka_unit_test(test_stop_and_restart),
        cmocka_unit_test(test_timeout_skips_stopped_timers),
        cmocka_unit_test(test_callbacks_stop_and_start_others),
        cmocka_unit_test(test_periodic),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
