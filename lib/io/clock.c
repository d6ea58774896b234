#include <time.h>

#include "q5/server.h"

q5_msec q5_clock_msec(void) {
    struct timespec ts;
#ifdef CLOCK_MONOTONIC_COARSE
    clock_gettime(CLOCK_MONOTONIC_COARSE, &ts); /* 4 ms or better; a tick of ours is 16 ms */
#else
    clock_gettime(CLOCK_MONOTONIC, &ts);
#endif
    return (q5_msec)ts.tv_sec * 1000 + (q5_msec)(ts.tv_nsec / 1000000);
}
