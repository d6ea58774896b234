#include "marks.h"

#include <valgrind/callgrind.h>

bool q5_marks_active(void) {
    return RUNNING_ON_VALGRIND;
}

void q5_marks_begin(void) {
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
}

void q5_marks_end(const char *name) {
    CALLGRIND_DUMP_STATS_AT(name);
}
