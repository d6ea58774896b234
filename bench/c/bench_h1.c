/* Nanoseconds per request head, for each scanner that the machine has.
 *
 *   cc -O2 -std=c17 -D_GNU_SOURCE -Iinclude -Ilib -o /tmp/bench_h1 bench/c/bench_h1.c \
 *      lib/http/h1_*.c lib/http/field.c lib/http/method.c lib/base/status.c
 *   /tmp/bench_h1            # median of 15 rounds
 *   valgrind --tool=callgrind --toggle-collect=q5_h1_parse /tmp/bench_h1 one
 *
 * "one" parses the small head once, after a first one to warm up, for counting instructions. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "q5/h1.h"

#define ROUNDS 15
#define HEADS 200000

static const char small[] = "GET /api/items/42?page=2 HTTP/1.1\r\n"
                            "Host: localhost:8000\r\n"
                            "User-Agent: python-httpx/0.28.1\r\n"
                            "Accept: */*\r\n"
                            "Accept-Encoding: gzip, deflate, br\r\n"
                            "Connection: keep-alive\r\n"
                            "X-Request-Id: 7f9c24e8-3b1a-4c0e-9d0b-0242ac120002\r\n"
                            "\r\n";

static const char browser[] =
    "GET /articles/2024/12/a-quite-readable-slug/?utm_source=feed HTTP/1.1\r\n"
    "Host: www.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Referer: https://www.example.com/articles/\r\n"
    "Connection: keep-alive\r\n"
    "Cookie: sessionid=0123456789abcdefghijklmnopqrstuv; csrftoken=ABCDEFGHIJKLMNOPQRSTUVWXYZ\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "If-None-Match: \"33a64df551425fcc55e4d42a148795d9f25f89d4\"\r\n"
    "Priority: u=0, i\r\n"
    "\r\n";

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

int main(int argc, char **argv) {
    static const char *const scanners[] = {"scalar", "sse4.2", "avx2", "neon"};
    if (argc > 1 && strcmp(argv[1], "one") == 0) {
        q5_h1_limits limits = q5_h1_limits_default();
        parse(&limits, small, sizeof(small) - 1);
        parse(&limits, small, sizeof(small) - 1);
        return 0;
    }
    for (size_t i = 0; i < Q5_ARRAY_LEN(scanners); i++) {
        if (!q5_h1_use_scanner(scanners[i])) continue;
        measure("small", small, sizeof(small) - 1);
        measure("browser", browser, sizeof(browser) - 1);
    }
    return 0;
}
