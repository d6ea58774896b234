/* What a generator tells whoever counts the server's CPU, over standard input and output: that its
 * connections are open (`ready`, then it waits for a line), and its results (a line of JSON, then
 * it holds the connections until the input ends). So neither opening nor closing them is counted.
 */
#ifndef BENCH_PHASES_H
#define BENCH_PHASES_H

#include <stdint.h>

/* Returns 0 when the round is to begin, -1 when nobody is there any more. */
int phase_ready(void);

/* After the results. */
void phase_end(void);

/* Of this process so far. */
uint64_t phase_cpu_ns(void);

#endif
