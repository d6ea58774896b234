/* The time that waits and limits are measured by. */
#ifndef Q5PY_NOW_H
#define Q5PY_NOW_H

#include <time.h>

/* Monotonic seconds. */
static inline double q5py_now_seconds(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

#endif
