/* Cases of the instruction counts. Each works off `count` requests and exits at a wrong answer. */
#ifndef Q5_BENCH_INSTRUCTIONS_H
#define Q5_BENCH_INSTRUCTIONS_H

#include <stddef.h>

/* Requests on one connection in memory: head, router, answer, output taken. */
void bench_conn_get(size_t count);
/* The same with a body of 118 bytes that is echoed. */
void bench_conn_post(size_t count);

/* Says what went wrong and ends the process. */
_Noreturn void bench_fail(const char *what);

#endif
