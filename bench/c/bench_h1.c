/* Nanoseconds per request head, for each scanner that the machine has: the median of 15 rounds.
 *
 *   cmake -S . -B build/bench -G Ninja -DQ5_BUILD_BENCH=ON && ninja -C build/bench bench_h1
 *   build/bench/bench/c/bench_h1
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "heads.h"
#include "q5/h1.h"

#define ROUNDS 15
#define HEADS 200000

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void parse(const q5_h1_limits *limits, const char *text, size_t len) {
    static q5_head head;
    q5_h1_parser parser;
    size_t head_len = 0;
    q5_h1_init(&parser, limits, &head);
    int status = q5_h1_parse(&parser, text, len, &head_len);
    if (status == Q5_OK && head_len == len) return;
    fprintf(stderr, "%s at %zu\n", q5_status_name(status), parser.error);
    exit(1);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const char *name, const char *text, size_t len) {
    q5_h1_limits limits = q5_h1_limits_default();
    double ns[ROUNDS];
    for (size_t round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (size_t i = 0; i < HEADS; i++)
            parse(&limits, text, len);
        ns[round] = (now_ns() - start) / HEADS;
    }
    qsort(ns, ROUNDS, sizeof(ns[0]), by_value);
    printf("%-8s %-8s %4zu bytes %7.1f ns/head (%.1f-%.1f) %6.2f GB/s\n", q5_h1_scanner(), name,
           len, ns[ROUNDS / 2], ns[0], ns[ROUNDS - 1], (double)len / ns[ROUNDS / 2]);
}

int main(void) {
    static const char *const scanners[] = {"scalar", "sse4.2", "avx2", "neon"};
    for (size_t i = 0; i < Q5_ARRAY_LEN(scanners); i++) {
        if (!q5_h1_use_scanner(scanners[i])) continue;
        measure("small", bench_head_small, sizeof(bench_head_small) - 1);
        measure("browser", bench_head_browser, sizeof(bench_head_browser) - 1);
    }
    return 0;
}
