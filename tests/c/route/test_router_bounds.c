/* What the router does in the worst case, counted and not timed: how often a custom converter is
 * asked tells how often its node was reached. */
#include "q5/router.h"

#include <stdlib.h>

#include "q5test.h"
#include "route/route.h"

static q5_slice slice(const char *text) {
    return q5_slice_make(text, strlen(text));
}

static bool count_calls(void *ctx, q5_slice segment) {
    (void)segment;
    ++*(size_t *)ctx;
    return true;
}

/* ---- back-tracking ---- */

/* "/", the piece as often as fits, the tail. Returns the length. */
static size_t repeat(char *out, size_t size, const char *piece, const char *tail) {
    size_t len = 0;
    out[len++] = '/';
    for (; len + strlen(piece) + strlen(tail) <= size; len += strlen(piece))
        memcpy(out + len, piece, strlen(piece));
    memcpy(out + len, tail, strlen(tail));
    return len + strlen(tail);
}

static void test_no_place_is_tried_twice(void **state) {
    (void)state;
    /* None of these matches its path, and each path offers a cut at nearly every byte: tried one by
     * one, k open parameters have (n over k) cuts, 10^13 of
     * them here for k = 4, so that where the converter is hardly asked the test's end is the check.
     */
    static const struct {
        const char *pattern, *piece, *tail;
        size_t calls_max; /* 0: the length of the path */
    } rows[] = {
        {"/<path:a>/<path:b>/<path:c>/<path:d>/<cnt:e>/never", "x/", "", 0},
        {"/<path:a>x<path:b>x<path:c>x<path:d>x<cnt:e>/never", "x", "/y/z", 0},
        {"/<path:a>x<str:b>x<str:c>x<str:d>/<cnt:e>/never", "xxxxxxx/", "", 0},
        {"/<slug:a>-<slug:b>-<slug:c>-<slug:d>x<cnt:e>/never", "-x", "/y/z", 0},
        {"/<slug:a>-<slug:b>-<slug:c>-<slug:d>/<cnt:e>/never", "-x", "/y/z", 1},
        {"/<path:a>1<int:b>1<int:c>1<int:d>1<cnt:e>/never", "11111111111111111111111/", "", 0},
        {"/<path:a>0<int:b>/<cnt:e>/never", "0", "/y/z", 1},
        {"/<str:a>%<str:b>%<str:c>%<str:d>%<cnt:e>/never", "%25", "/y/z", 0},
        {"/<path:a>/<cnt:e>/<path:b>/<path:c>/<path:d>/never", "x/", "", 0},
        {"/<path:a>x<cnt:e>/<path:b>x<path:c>x<path:d>/never", "xx/", "", 0},
        /* The same end from many starts. */
        {"/<path:a>x<str:b>/<cnt:e>/never", "x", "/y/z", 1},
        /* Behind a fixed end behind an open one. */
        {"/<path:a>/<int:b>/<path:c>/<int:d>/<path:e>/<int:f>/<path:g>/<cnt:h>/never", "1/", "", 0},
    };
    enum { N = 3 * 2500 };
    static char path[N];
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        size_t calls = 0;
        q5_router *router = q5_router_create(NULL);
        assert_status(q5_router_add_converter(router, Q5_LIT("cnt"), count_calls, &calls), Q5_OK);
        int status = q5_router_add(router, Q5_METHOD_GET, slice(rows[i].pattern), router, NULL);
        if (status) fail_msg("%s: %s", rows[i].pattern, q5_status_name(status));
        size_t len = repeat(path, N, rows[i].piece, rows[i].tail);
        q5_route_match match;
        assert_status(q5_router_match(router, Q5_METHOD_GET, q5_slice_make(path, len), &match),
                      Q5_NOT_FOUND);
        size_t calls_max = rows[i].calls_max ? rows[i].calls_max : len;
        if (calls > calls_max) fail_msg("%s: asked %zu times", rows[i].pattern, calls);
        q5_router_destroy(router);
    }
}

/* Alternatives on every level: 3^8 branches which all fail at the end; whole segments, so each
 * node is reached once at most however they are combined. */
static void test_each_node_once(void **state) {
    (void)state;
    enum { LEVELS = 8, BRANCHES = 6561 };
    static const char *const converters[] = {"<int:p", "<slug:p", "<str:p"};
    size_t calls = 0;
    q5_router *router = q5_router_create(NULL);
    assert_status(q5_router_add_converter(router, Q5_LIT("cnt"), count_calls, &calls), Q5_OK);
    for (unsigned branch = 0; branch < BRANCHES; branch++) {
        char pattern[256];
        size_t len = 0;
        unsigned rest = branch;
        for (unsigned level = 0; level < LEVELS; level++, rest /= 3)
            len += (size_t)snprintf(pattern + len, sizeof(pattern) - len, "/%s%u>",
                                    converters[rest % 3], level);
        snprintf(pattern + len, sizeof(pattern) - len, "/<cnt:x>/never");
        assert_status(q5_router_add(router, Q5_METHOD_GET, slice(pattern), router, NULL), Q5_OK);
    }
    q5_route_match match;
    q5_slice path = Q5_LIT("/1/2/3/4/5/6/7/8/9/neve");
    assert_status(q5_router_match(router, Q5_METHOD_GET, path, &match), Q5_NOT_FOUND);
    /* Twice: the path is looked for with a slash at its end, too. */
    assert_int_equal(calls, 2 * BRANCHES);
    q5_router_destroy(router);
}

static void test_limit_of_nested_parameters(void **state) {
    (void)state;
    q5_router *router = q5_router_create(NULL);
    q5_route_match match;
    char pattern[64];
    size_t error = 0;
    for (int i = 0; i <= Q5_ROUTE_NESTED_MAX; i++) {
        snprintf(pattern, sizeof(pattern), "/<path:a>/%d/<str:b>", i);
        int status = q5_router_add(router, Q5_METHOD_GET, slice(pattern), router, &error);
        assert_status(status, i < Q5_ROUTE_NESTED_MAX ? Q5_OK : Q5_EROUTE);
    }
    assert_int_equal(error, strlen(pattern));
    q5_slice last = Q5_LIT("/x/255/255/y"), past = Q5_LIT("/x/256/y");
    assert_status(q5_router_match(router, Q5_METHOD_GET, last, &match), Q5_OK);
    assert_status(q5_router_match(router, Q5_METHOD_GET, past, &match), Q5_NOT_FOUND);
    /* Parameters with a fixed end are not limited. */
    for (int i = 0; i <= 2 * Q5_ROUTE_NESTED_MAX; i++) {
        snprintf(pattern, sizeof(pattern), "/%d/<str:a>/<int:b>.json", i);
        assert_status(q5_router_add(router, Q5_METHOD_GET, slice(pattern), router, NULL), Q5_OK);
    }
    q5_router_destroy(router);
}

/* A tree as deep as patterns get long: built, searched and freed without recursion. */
static void test_deepest_tree(void **state) {
    (void)state;
    char pattern[Q5_ROUTE_PATTERN_MAX + 1];
    q5_router *router = q5_router_create(NULL);
    memset(pattern, 'a', sizeof(pattern));
    pattern[0] = '/';
    size_t room = sizeof(pattern) - 1 - strlen("<int:x>");
    for (size_t len = 1; len <= room; len++) {
        char saved[8];
        memcpy(saved, pattern + len, 7);
        memcpy(pattern + len, "<int:x>", 7);
        q5_slice text = q5_slice_make(pattern, len + 7);
        assert_status(q5_router_add(router, Q5_METHOD_GET, text, router, NULL), Q5_OK);
        memcpy(pattern + len, saved, 7);
    }
    q5_route_match match;
    pattern[room] = '7';
    q5_slice path = q5_slice_make(pattern, room + 1);
    assert_status(q5_router_match(router, Q5_METHOD_GET, path, &match), Q5_OK);
    assert_true(match.params[0].number == 7);
    pattern[room] = '!';
    assert_status(q5_router_match(router, Q5_METHOD_GET, path, &match), Q5_NOT_FOUND);
    q5_router_destroy(router);
}

/* ---- the tree of many routes ---- */

typedef struct census {
    size_t nodes, ends, depth_max;
} census;

static void check_node(const q5__node *node, size_t depth, census *c) {
    bool seen[256] = {false};
    c->nodes++;
    c->ends += node->end != NULL;
    if (depth > c->depth_max) c->depth_max = depth;
    /* A node that neither ends a pattern nor branches would be a byte that could be longer text. */
    if (depth > 0 && !node->is_param)
        assert_true(node->end || node->params || node->static_count > 1);
    for (unsigned i = 0; i < node->static_count; i++) {
        const q5__node *child = node->statics[i];
        assert_true(child->text_len > 0);
        assert_int_equal(node->firsts[i], (uint8_t)child->text[0]);
        assert_false(seen[node->firsts[i]]);
        seen[node->firsts[i]] = true;
        assert_ptr_equal(child->parent, node);
        check_node(child, depth + 1, c);
    }
    int before = -1;
    for (const q5__node *param = node->params; param; param = param->sibling) {
        int rank = param->convert << 16 | param->custom;
        assert_true(rank > before);
        before = rank;
        assert_ptr_equal(param->parent, node);
        check_node(param, depth + 1, c);
    }
}

#define ROUTES 10000

static void route_names(int i, char *pattern, char *path, size_t size) {
    static const char *const words[] = {"users", "orders", "invoices", "files", "comments"};
    const char *word = words[i % 5];
    int group = i / 50, kind = i / 5 % 10;
    if (kind < 4) {
        snprintf(pattern, size, "/api/v1/app%d/%s/kind%d", group, word, kind);
        snprintf(path, size, "%s", pattern);
    } else if (kind < 8) {
        snprintf(pattern, size, "/api/v1/app%d/%s/<int:pk>/kind%d", group, word, kind);
        snprintf(path, size, "/api/v1/app%d/%s/%d/kind%d", group, word, i, kind);
    } else {
        snprintf(pattern, size, "/api/v1/app%d/%s/<slug:s>.kind%d", group, word, kind);
        snprintf(path, size, "/api/v1/app%d/%s/post-%d.kind%d", group, word, i, kind);
    }
}

static void test_ten_thousand_routes(void **state) {
    (void)state;
    static int routes[ROUTES];
    char pattern[128], path[128];
    q5_router *router = q5_router_create(NULL);
    for (int i = 0; i < ROUTES; i++) {
        int at = (int)((unsigned)i * 7919u % ROUTES); /* in no order */
        route_names(at, pattern, path, sizeof(path));
        int status = q5_router_add(router, Q5_METHOD_GET, slice(pattern), &routes[at], NULL);
        assert_status(status, Q5_OK);
    }
    for (int i = 0; i < ROUTES; i++) {
        route_names(i, pattern, path, sizeof(path));
        q5_route_match match;
        assert_status(q5_router_match(router, Q5_METHOD_GET, slice(path), &match), Q5_OK);
        assert_ptr_equal(match.route, &routes[i]);
    }
    census c = {0};
    check_node(router->root, 0, &c);
    assert_int_equal(c.ends, ROUTES);
    /* A radix tree branches at each inner node but for those above a parameter. */
    assert_in_range(c.nodes, ROUTES, 2 * ROUTES);
    /* "app123" takes up to 3 branches, a resource 1, a parameter and its text 4. */
    assert_in_range(c.depth_max, 4, 11);
    q5_router_destroy(router);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_place_is_tried_twice),    cmocka_unit_test(test_each_node_once),
        cmocka_unit_test(test_limit_of_nested_parameters), cmocka_unit_test(test_deepest_tree),
        cmocka_unit_test(test_ten_thousand_routes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
