/* Where a measured batch begins and ends, told to callgrind. Python loads the same library.
 *
 *   q5_marks_begin();           counters are zero and count
 *   ..batch..
 *   q5_marks_end("small");      one file with the counts since the last mark
 *
 * Outside of valgrind both do nothing. */
#ifndef Q5_BENCH_MARKS_H
#define Q5_BENCH_MARKS_H

#include <stdbool.h>

/* Is the process run by valgrind? */
bool q5_marks_active(void);
void q5_marks_begin(void);
/* `name` goes into the file, as "desc: Trigger: Client Request: name". */
void q5_marks_end(const char *name);

#endif
