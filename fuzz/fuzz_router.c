/* Lines of patterns, each led by a letter for its method, until an empty line; then a path. */
#include <stdlib.h>

#include "q5/router.h"

#define CHECK(condition)           \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)
#define PATTERNS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool accepts(void *ctx, q5_slice segment) {
    ++*(size_t *)ctx;
    CHECK(segment.len > 0 && !memchr(segment.base, '/', segment.len));
    return segment.len % 2 == 0;
}

static void check_params(const q5_route_match *match, q5_slice path) {
    const char *at = path.base;
    CHECK(match->param_count <= Q5_ROUTE_PARAMS_MAX);
    for (unsigned i = 0; i < match->param_count; i++) {
        const q5_route_param *param = &match->params[i];
        CHECK(param->value.base > at && param->value.len > 0);
        at = param->value.base + param->value.len;
        CHECK(at <= path.base + path.len);
        CHECK(param->convert == Q5_CONVERT_PATH ||
              !memchr(param->value.base, '/', param->value.len));
        CHECK(param->convert != Q5_CONVERT_INT || param->number >= 0);
    }
}

static void check_path(const q5_router *router, q5_slice path, size_t routes, size_t *calls) {
    static const q5_method methods[] = {Q5_METHOD_GET, Q5_METHOD_HEAD, Q5_METHOD_POST,
                                        Q5_METHOD_OTHER};
    for (size_t i = 0; i < Q5_ARRAY_LEN(methods); i++) {
        q5_route_match match, again;
        *calls = 0;
        int status = q5_router_match(router, methods[i], path, &match);
        /* Each custom parameter once from each place, and all of that again with a slash more; one
         * that is not nested may be asked for each of its ends. */
        CHECK(*calls <= 2 * routes * Q5_ROUTE_PARAMS_MAX * (path.len + 2));
        CHECK(status == Q5_OK || status == Q5_NOT_FOUND || status == Q5_EENCODING);
        CHECK((status == Q5_OK) == (match.route != NULL));
        if (status == Q5_OK) check_params(&match, path);
        if (status != Q5_NOT_FOUND) continue;
        CHECK(!match.slash_differs || match.allow == 0);
        CHECK(!(match.allow & UINT32_C(1) << methods[i]));
        for (unsigned m = 1; m < Q5_METHOD_COUNT; m++) /* what is allowed is found */
            if (match.allow >> m & 1)
                CHECK(q5_router_match(router, (q5_method)m, path, &again) == Q5_OK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    q5_slice rest = q5_slice_make((const char *)data, size);
    size_t calls = 0;
    q5_router *router = q5_router_create(NULL);
    CHECK(router);
    CHECK(q5_router_add_converter(router, Q5_LIT("c"), accepts, &calls) == Q5_OK);
    size_t routes = 0;
    for (size_t i = 0; rest.len && i < PATTERNS_MAX; i++) {
        const char *end = memchr(rest.base, '\n', rest.len);
        size_t len = end ? (size_t)(end - rest.base) : rest.len;
        q5_slice line = q5_slice_make(rest.base, len);
        size_t step = len + (end != NULL);
        rest = q5_slice_make(rest.base + step, rest.len - step);
        if (line.len == 0) break;
        q5_method method = (q5_method)((uint8_t)line.base[0] % Q5_METHOD_COUNT);
        size_t error = SIZE_MAX;
        line = q5_slice_make(line.base + 1, line.len - 1);
        int status = q5_router_add(router, method, line, router, &error);
        CHECK(status == Q5_OK || (status == Q5_EROUTE && error <= line.len));
        if (status == Q5_OK) {
            routes++;
            CHECK(q5_router_add(router, method, line, router, &error) == Q5_EROUTE);
        }
    }
    check_path(router, rest, routes, &calls);
    q5_router_destroy(router);
    return 0;
}
