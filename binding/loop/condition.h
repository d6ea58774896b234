/* Condition variables whose waits have an end by the monotonic clock: one that is set moves none.
 */
#ifndef Q5PY_CONDITION_H
#define Q5PY_CONDITION_H

#include <math.h>
#include <pthread.h>
#include <time.h>

/* macOS cannot choose: there a clock that is set moves them. */
#ifdef __APPLE__
#define Q5PY_CONDITION_CLOCK CLOCK_REALTIME
#else
#define Q5PY_CONDITION_CLOCK CLOCK_MONOTONIC
#endif

/* pthread_cond_destroy() ends it. */
static inline void q5py_condition_init(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
#ifndef __APPLE__
    pthread_condattr_setclock(&attributes, Q5PY_CONDITION_CLOCK);
#endif
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* For pthread_cond_timedwait(). seconds >= 0 and no more than some years. */
static inline struct timespec q5py_condition_until(double seconds) {
    struct timespec until;
    clock_gettime(Q5PY_CONDITION_CLOCK, &until);
    double whole = floor(seconds);
    until.tv_sec += (time_t)whole;
    until.tv_nsec += (long)((seconds - whole) * 1e9);
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    return until;
}

#endif
