/* A hashed, hierarchical timer wheel: O(1) start and stop, no allocation, no clock of its own. */
#ifndef Q5_TIMER_H
#define Q5_TIMER_H

#include "q5/base.h"

#define Q5_TIMER_TICK_MSEC 16
#define Q5_TIMER_LEVELS 4
#define Q5_TIMER_SLOTS 64

typedef struct q5_timer q5_timer;

/* Embedded in what it times. Its owner stops it before freeing it. */
struct q5_timer {
    q5_timer *prev, *next; /* both NULL while stopped */
    q5_msec due;
    void (*fire)(q5_timer *timer, q5_msec now);
};

typedef struct q5_timer_wheel {
    q5_timer slots[Q5_TIMER_LEVELS][Q5_TIMER_SLOTS]; /* list heads */
    q5_timer overdue;               /* list head: was due when started, fires at the next advance */
    q5_timer firing;                /* list head: what the running advance still has to fire */
    uint64_t used[Q5_TIMER_LEVELS]; /* a bit per slot that may hold a timer */
    uint64_t tick;                  /* time that has been worked off, in ticks */
    size_t count;
} q5_timer_wheel;

/* The wheel holds list heads that point to themselves: it must not be moved or copied. */
Q5_EXTERN void q5_timer_wheel_init(q5_timer_wheel *wheel, q5_msec now);

static inline void q5_timer_init(q5_timer *timer, void (*fire)(q5_timer *, q5_msec)) {
    *timer = (q5_timer){.fire = fire};
}

static inline bool q5_timer_active(const q5_timer *timer) {
    return timer->next != NULL;
}

/* Starts the timer, or moves it when it is running. It fires at the first advance at or after
 * `due` rounded up to a whole tick: never before `due`. A due time that the wheel has already
 * worked off fires at the next advance. Moving a running timer to a later time, as each request
 * does with its connection's, is one store: the wheel looks at it again when the old time has come.
 */
Q5_EXTERN void q5_timer_start(q5_timer_wheel *wheel, q5_timer *timer, q5_msec due);
/* Does nothing to a timer that is not running. */
Q5_EXTERN void q5_timer_stop(q5_timer_wheel *wheel, q5_timer *timer);
/* Fires what is due, each timer stopped before its callback runs; callbacks may start and stop any
 * timer, themselves included (one started with a due time in the past waits for the next advance),
 * and may free what embeds their own. Timers fire in the order of their due ticks unless `now` is
 * about three days (64^4 ticks) past the last advance. A `now` in the past is taken for the
 * time of the last advance. Returns how many fired. */
Q5_EXTERN size_t q5_timer_wheel_advance(q5_timer_wheel *wheel, q5_msec now);
/* Milliseconds from now until advance should be called next: 0 when something is due, -1 when
 * nothing runs. May be early (the wheel then moves timers to finer slots or to their later times,
 * and the next answer is later), never later than the nearest due time rounded up to a tick. */
Q5_EXTERN int q5_timer_wheel_timeout_msec(const q5_timer_wheel *wheel, q5_msec now);

#endif
