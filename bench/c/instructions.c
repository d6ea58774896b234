/* Batches of requests, delimited for callgrind: instructions CASE SMALL LARGE
 *
 * Without arguments: one line per fact, "compiler", "scanner" and the cases. A case that this
 * machine cannot run ends with status 77. */
#include "instructions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heads.h"
#include "marks.h"
#include "q5/h1.h"
#include "q5/json_guard.h"
#include "q5/router.h"

#define STATUS_SKIPPED 77

#if defined(__clang__)
#define COMPILER "clang-%d", __clang_major__
#else
#define COMPILER "gcc-%d", __GNUC__
#endif

_Noreturn void bench_fail(const char *what) {
    fprintf(stderr, "instructions: %s\n", what);
    exit(1);
}

/* ---- heads ----------------------------------------------------------------------------------- */

static void parse(const char *text, size_t len, size_t count) {
    static q5_head head;
    q5_h1_limits limits = q5_h1_limits_default();
    q5_h1_parser parser;
    size_t head_len = 0;
    for (size_t i = 0; i < count; i++) {
        q5_h1_init(&parser, &limits, &head);
        if (q5_h1_parse(&parser, text, len, &head_len) || head_len != len)
            bench_fail("the head was not parsed");
    }
}

static void head_small(size_t count) {
    parse(bench_head_small, sizeof(bench_head_small) - 1, count);
}

static void head_browser(size_t count) {
    parse(bench_head_browser, sizeof(bench_head_browser) - 1, count);
}

static void head_with(const char *scanner, size_t count) {
    if (!q5_h1_use_scanner(scanner)) exit(STATUS_SKIPPED);
    head_browser(count);
}

static void head_scalar(size_t count) {
    head_with("scalar", count);
}

static void head_sse42(size_t count) {
    head_with("sse4.2", count);
}

static void head_avx2(size_t count) {
    head_with("avx2", count);
}

/* ---- router ---------------------------------------------------------------------------------- */

static const char *const rooms[] = {"articles", "authors", "cities", "comments", "events",
                                    "items",    "orders",  "photos", "tags",     "users"};
static const char *const tails[] = {"",          "<int:id>",
                                    "<int:id>/", "<int:id>/related/<slug:name>",
                                    "near",      "<uuid:key>/history/<path:rest>"};
static const char *const paths[] = {"/api/articles/",
                                    "/api/users/42",
                                    "/api/orders/7/related/a-quite-readable-slug",
                                    "/api/cities/near",
                                    "/api/photos/9f1c2d3e-0000-4000-8000-0242ac120002/history/a/b",
                                    "/api/items/9000/"};

static q5_router *make_router(void) {
    static int route;
    q5_router *router = q5_router_create(NULL);
    char pattern[128];
    for (size_t i = 0; i < Q5_ARRAY_LEN(rooms); i++) {
        for (size_t j = 0; j < Q5_ARRAY_LEN(tails); j++) {
            int len = snprintf(pattern, sizeof(pattern), "/api/%s/%s", rooms[i], tails[j]);
            if (!router || q5_router_add(router, Q5_METHOD_GET, q5_slice_make(pattern, (size_t)len),
                                         &route, NULL))
                bench_fail("no router");
        }
    }
    return router;
}

/* Sixty routes; each match is one of six paths in turn. */
static void router_match(size_t count) {
    q5_router *router = make_router();
    q5_route_match match;
    for (size_t i = 0; i < count; i++) {
        const char *path = paths[i % Q5_ARRAY_LEN(paths)];
        if (q5_router_match(router, Q5_METHOD_GET, q5_slice_make(path, strlen(path)), &match))
            bench_fail("no route");
    }
    q5_router_destroy(router);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

#define JSON_ITEM                                                                                \
    "{\"id\":12345678,\"name\":\"A \\\"readable\\\" name\",\"price\":-12.5e3,\"in_stock\":true," \
    "\"tags\":[\"red\",\"green\",\"\\u00e9\"],\"size\":{\"w\":10,\"h\":20,\"d\":null}}"

static void json_guard(size_t count) {
    static const char text[] = "{\"items\":[" JSON_ITEM "," JSON_ITEM "," JSON_ITEM "," JSON_ITEM
                               "," JSON_ITEM "," JSON_ITEM "," JSON_ITEM "," JSON_ITEM "]}";
    for (size_t i = 0; i < count; i++)
        if (q5_json_guard(text, sizeof(text) - 1, NULL, NULL)) bench_fail("the JSON was refused");
}

/* ---- main ------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    void (*run)(size_t count);
} cases[] = {
    {"c/head-small", head_small},           {"c/head-browser", head_browser},
    {"c/head-browser-scalar", head_scalar}, {"c/head-browser-sse4.2", head_sse42},
    {"c/head-browser-avx2", head_avx2},     {"c/router-match", router_match},
    {"c/json-guard-1k", json_guard},        {"c/request-get", bench_conn_get},
    {"c/request-post", bench_conn_post},
};

static void tell(void) {
    printf("compiler ");
    printf(COMPILER);
    printf("\nscanner %s\n", q5_h1_scanner());
    for (size_t i = 0; i < Q5_ARRAY_LEN(cases); i++)
        printf("case %s\n", cases[i].name);
}

int main(int argc, char **argv) {
    if (argc == 1) {
        tell();
        return 0;
    }
    if (argc != 4) bench_fail("CASE SMALL LARGE");
    size_t small = strtoul(argv[2], NULL, 10), large = strtoul(argv[3], NULL, 10);
    for (size_t i = 0; i < Q5_ARRAY_LEN(cases); i++) {
        if (strcmp(argv[1], cases[i].name) != 0) continue;
        cases[i].run(small);
        q5_marks_begin();
        cases[i].run(small);
        q5_marks_end("small");
        cases[i].run(large);
        q5_marks_end("large");
        return 0;
    }
    bench_fail("no such case");
}
