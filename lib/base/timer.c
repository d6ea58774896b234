/* A timer stands on the level of the highest base-64 digit in which its due tick differs from the
 * wheel's tick, in the slot of that digit. So everything on a level comes before everything on the
 * next one, and when the wheel reaches a slot its timers move down a level or fire. */
#include "q5/timer.h"

#include <limits.h>

#define SLOT_BITS 6
#define SLOT_MASK (Q5_TIMER_SLOTS - 1)
#define TOP (Q5_TIMER_LEVELS - 1)
/* Furthest distance that the top level can tell from its current slot; what is due later waits
 * there and is placed again. */
#define DISTANCE_MAX ((uint64_t)SLOT_MASK << (SLOT_BITS * TOP))

_Static_assert(Q5_TIMER_SLOTS == 1 << SLOT_BITS, "a digit is SLOT_BITS wide");
_Static_assert(Q5_TIMER_SLOTS == 64, "q5_timer_wheel.used has a bit per slot");

/* ---- lists ---- */

static void list_init(q5_timer *head) {
    head->prev = head->next = head;
}

static bool list_empty(const q5_timer *head) {
    return head->next == head;
}

static void list_append(q5_timer *head, q5_timer *timer) {
    timer->prev = head->prev;
    timer->next = head;
    head->prev->next = timer;
    head->prev = timer;
}

static void list_unlink(q5_timer *timer) {
    timer->prev->next = timer->next;
    timer->next->prev = timer->prev;
    timer->prev = timer->next = NULL;
}

/* Moves everything on `from` behind what is on `to`. */
static void list_splice(q5_timer *to, q5_timer *from) {
    if (list_empty(from)) return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

/* ---- slots ---- */

static uint64_t due_tick(const q5_timer *timer) {
    return timer->due / Q5_TIMER_TICK_MSEC + (timer->due % Q5_TIMER_TICK_MSEC != 0);
}

/* Links a timer into its slot, or into `overdue` when its time has come. */
static void place(q5_timer_wheel *wheel, q5_timer *timer, q5_timer *overdue) {
    uint64_t tick = due_tick(timer);
    if (tick <= wheel->tick) {
        list_append(overdue, timer);
        return;
    }
    if (tick - wheel->tick > DISTANCE_MAX) tick = wheel->tick + DISTANCE_MAX;
    int level = (63 - __builtin_clzll(tick ^ wheel->tick)) / SLOT_BITS;
    if (level > TOP) level = TOP; /* past the end of the top level, which is a ring */
    unsigned slot = (tick >> (SLOT_BITS * level)) & SLOT_MASK;
    wheel->used[level] |= UINT64_C(1) << slot;
    list_append(&wheel->slots[level][slot], timer);
}

/* How many slots ahead of the wheel's own the first used one of a level is, 1 to 63. */
static unsigned slots_ahead(const q5_timer_wheel *wheel, int level, uint64_t used) {
    unsigned next = ((wheel->tick >> (SLOT_BITS * level)) + 1) & SLOT_MASK;
    uint64_t rotated = used >> next | used << (-next & SLOT_MASK);
    return (unsigned)__builtin_ctzll(rotated) + 1;
}

/* The tick at which the slot so many ahead begins. */
static uint64_t slot_tick(const q5_timer_wheel *wheel, int level, unsigned ahead) {
    return ((wheel->tick >> (SLOT_BITS * level)) + ahead) << (SLOT_BITS * level);
}

static q5_timer *slot_ahead(q5_timer_wheel *wheel, int level, unsigned ahead) {
    unsigned slot = ((wheel->tick >> (SLOT_BITS * level)) + ahead) & SLOT_MASK;
    wheel->used[level] &= ~(UINT64_C(1) << slot);
    return &wheel->slots[level][slot];
}

/* Places what is on the list again, now that the wheel's tick has changed. */
static void place_all(q5_timer_wheel *wheel, q5_timer *list) {
    while (!list_empty(list)) {
        q5_timer *timer = list->next;
        list_unlink(timer);
        place(wheel, timer, &wheel->firing);
    }
}

/* A step longer than the wheel's span: every timer is looked at once. */
static void leap(q5_timer_wheel *wheel, uint64_t tick) {
    q5_timer list;
    list_init(&list);
    for (int level = 0; level < Q5_TIMER_LEVELS; level++)
        while (wheel->used[level])
            list_splice(&list,
                        slot_ahead(wheel, level, slots_ahead(wheel, level, wheel->used[level])));
    wheel->tick = tick;
    place_all(wheel, &list);
}

/* From used slot to used slot, up to `tick`. Each step empties one of at most 4 * 63, and a timer
 * is moved once per level, so the work is bounded by slots and timers and not by the time passed.
 */
static void walk(q5_timer_wheel *wheel, uint64_t tick) {
    int level = 0;
    while (level < Q5_TIMER_LEVELS) {
        uint64_t used = wheel->used[level];
        if (!used) {
            level++;
            continue;
        }
        unsigned ahead = slots_ahead(wheel, level, used);
        uint64_t begin = slot_tick(wheel, level, ahead);
        if (begin > tick) break;
        q5_timer *slot = slot_ahead(wheel, level, ahead);
        wheel->tick = begin;
        place_all(wheel, slot);
        level = 0;
    }
    wheel->tick = tick;
}

/* ---- interface ---- */

void q5_timer_wheel_init(q5_timer_wheel *wheel, q5_msec now) {
    memset(wheel, 0, sizeof(*wheel));
    for (int level = 0; level < Q5_TIMER_LEVELS; level++)
        for (int slot = 0; slot < Q5_TIMER_SLOTS; slot++)
            list_init(&wheel->slots[level][slot]);
    list_init(&wheel->overdue);
    list_init(&wheel->firing);
    wheel->tick = now / Q5_TIMER_TICK_MSEC;
}

void q5_timer_start(q5_timer_wheel *wheel, q5_timer *timer, q5_msec due) {
    q5_msec before = timer->due;
    timer->due = due;
    if (q5_timer_active(timer)) {
        if (due >= before) return; /* found in its slot and placed again when that comes */
        list_unlink(timer);
    } else {
        wheel->count++;
    }
    place(wheel, timer, &wheel->overdue);
}

void q5_timer_stop(q5_timer_wheel *wheel, q5_timer *timer) {
    if (!q5_timer_active(timer)) return;
    list_unlink(timer);
    wheel->count--;
}

size_t q5_timer_wheel_advance(q5_timer_wheel *wheel, q5_msec now) {
    uint64_t tick = now / Q5_TIMER_TICK_MSEC;
    list_splice(&wheel->firing, &wheel->overdue);
    if (tick > wheel->tick) {
        if (tick - wheel->tick > DISTANCE_MAX)
            leap(wheel, tick);
        else
            walk(wheel, tick);
    } else if (tick < wheel->tick) {
        now = wheel->tick * Q5_TIMER_TICK_MSEC;
    }
    size_t fired = 0;
    while (!list_empty(&wheel->firing)) {
        q5_timer *timer = wheel->firing.next;
        list_unlink(timer);
        if (due_tick(timer) > wheel->tick) { /* moved while it waited here */
            place(wheel, timer, &wheel->overdue);
            continue;
        }
        wheel->count--;
        fired++;
        timer->fire(timer, now);
    }
    return fired;
}

int q5_timer_wheel_timeout_msec(const q5_timer_wheel *wheel, q5_msec now) {
    if (wheel->count == 0) return -1;
    if (!list_empty(&wheel->overdue) || !list_empty(&wheel->firing)) return 0;
    for (int level = 0; level < Q5_TIMER_LEVELS; level++) {
        uint64_t used = wheel->used[level];
        while (used) {
            unsigned ahead = slots_ahead(wheel, level, used);
            uint64_t tick = slot_tick(wheel, level, ahead);
            unsigned slot = (tick >> (SLOT_BITS * level)) & SLOT_MASK;
            if (list_empty(&wheel->slots[level][slot])) { /* what it held has been stopped */
                used &= ~(UINT64_C(1) << slot);
                continue;
            }
            q5_msec at = tick * Q5_TIMER_TICK_MSEC;
            if (at <= now) return 0;
            return at - now > INT_MAX ? INT_MAX : (int)(at - now);
        }
    }
    return -1;
}
