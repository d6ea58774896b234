/* The router against a matcher that tries every pattern with every way to cut the path, and ranks
 * what fits by the rule in router.h. Nothing of the tree is in it. */
#include "q5/router.h"

#include <ctype.h>
#include <stdlib.h>

#include "q5test.h"

#define PATTERNS_MAX 24
#define PATTERN_SIZE 96
#define PARAMS_MAX 4
#define TOKENS_MAX 96
#define STEPS_MAX 160
#define EVEN_NAME "even"
#define ROUNDS 600

static uint64_t random_next(uint64_t *seed) { /* xorshift64* */
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(2685821657736338717);
}

static bool accepts_even(void *ctx, q5_slice segment) {
    (void)ctx;
    return segment.len % 2 == 0;
}

/* ---- the path as tokens: a byte, and whether it was escaped ---- */

typedef struct tokens {
    size_t count;
    uint8_t byte[TOKENS_MAX];
    bool escaped[TOKENS_MAX];
    size_t offset[TOKENS_MAX + 1];
} tokens;

static void tokens_read(tokens *t, const char *path) {
    t->count = 0;
    for (const char *p = path; *p; t->count++) {
        t->offset[t->count] = (size_t)(p - path);
        t->escaped[t->count] = *p == '%';
        if (*p == '%') {
            char hex[3] = {p[1], p[2], 0};
            t->byte[t->count] = (uint8_t)strtoul(hex, NULL, 16);
            p += 3;
        } else {
            t->byte[t->count] = (uint8_t)*p++;
        }
    }
    t->offset[t->count] = strlen(path);
}

static bool slow_accepts(const char *converter, const tokens *t, size_t from, size_t to) {
    size_t len = to - from;
    for (size_t i = from; i < to; i++) {
        uint8_t c = t->byte[i];
        size_t k = i - from;
        bool fits = false;
        if (!strcmp(converter, "int")) fits = isdigit(c);
        if (!strcmp(converter, "slug")) fits = isalnum(c) || c == '-' || c == '_';
        if (!strcmp(converter, "str") || !strcmp(converter, EVEN_NAME))
            fits = c != '/' || t->escaped[i];
        if (!strcmp(converter, "path")) fits = c != '\n';
        if (!strcmp(converter, "uuid"))
            fits = k == 8 || k == 13 || k == 18 || k == 23 ? c == '-'
                                                           : strchr("0123456789abcdef", c) && c;
        if (!fits) return false;
    }
    if (!strcmp(converter, "uuid")) return len == 36;
    if (!strcmp(converter, EVEN_NAME)) return (t->offset[to] - t->offset[from]) % 2 == 0;
    if (strcmp(converter, "int")) return true;
    char digits[TOKENS_MAX + 1];
    memcpy(digits, t->byte + from, len);
    digits[len] = 0;
    return len < 19 || (len == 19 && strcmp(digits, "9223372036854775807") <= 0);
}

/* ---- every way in which a pattern fits ---- */

typedef struct parse {
    size_t step_count;
    int steps[STEPS_MAX]; /* rank of each decision on the way; the smaller the better */
    size_t param_count;
    size_t from[PARAMS_MAX], to[PARAMS_MAX];
} parse;

typedef struct search {
    const tokens *t;
    parse now, best;
    bool found;
} search;

static int parse_compare(const parse *a, const parse *b) {
    for (size_t i = 0; i < a->step_count && i < b->step_count; i++)
        if (a->steps[i] != b->steps[i]) return a->steps[i] - b->steps[i];
    return 0;
}

static int converter_rank(const char *converter) {
    static const char *const order[] = {"int", "uuid", "slug", EVEN_NAME, "str", "path"};
    int rank = 0;
    while (strcmp(order[rank], converter))
        rank++;
    return rank;
}

static void search_from(search *s, const char *pattern, size_t at) {
    if (!*pattern) {
        if (at != s->t->count) return;
        if (!s->found || parse_compare(&s->now, &s->best) < 0) s->best = s->now;
        s->found = true;
        return;
    }
    parse *now = &s->now;
    if (*pattern != '<') {
        if (at == s->t->count || s->t->byte[at] != (uint8_t)*pattern) return;
        if (*pattern == '/' && s->t->escaped[at]) return;
        now->steps[now->step_count++] = 0;
        search_from(s, pattern + 1, at + 1);
        now->step_count--;
        return;
    }
    char converter[8] = {0};
    memcpy(converter, pattern + 1, strcspn(pattern + 1, ":"));
    const char *behind = strchr(pattern, '>') + 1;
    for (size_t to = at + 1; to <= s->t->count; to++) {
        if (!slow_accepts(converter, s->t, at, to)) continue;
        int end_rank = to == s->t->count ? 999 : 900 - (int)to;
        now->steps[now->step_count++] = (1 + converter_rank(converter)) * 1000 + end_rank;
        now->from[now->param_count] = at;
        now->to[now->param_count++] = to;
        search_from(s, behind, to);
        now->param_count--;
        now->step_count--;
    }
}

/* ---- random patterns and paths ---- */

typedef struct model_route {
    char pattern[PATTERN_SIZE];
    q5_method method;
} model_route;

static const char *const pieces[] = {"a", "b", "ab", "-", ".", "/", "/", "/a", "1", "-1", "~"};
static const char *const converters[] = {"int", "uuid", "slug", EVEN_NAME,
                                         "str", "str",  "path", "path"};
static const char *const path_pieces[] = {
    "a",  "b", "ab",  "-",   ".",   "/", "/",  "/a",  "1",
    "-1", "~", "%61", "%2F", "%2d", "2", "12", "a-1", "/b/",
};
static const char *const rare_path_pieces[] = {
    "%0A",
    "9223372036854775807",
    "9223372036854775808",
    "075194d3-6885-417e-a8a8-6c931e272f00",
};

#define PICK(array, seed) ((array)[random_next(seed) % Q5_ARRAY_LEN(array)])

static void random_pattern(uint64_t *seed, char *out) {
    size_t len = (size_t)snprintf(out, PATTERN_SIZE, "/");
    unsigned params = random_next(seed) % (PARAMS_MAX + 1);
    for (unsigned i = 0; i < params; i++) {
        if (i || random_next(seed) % 2)
            len += (size_t)snprintf(out + len, PATTERN_SIZE - len, "%s", PICK(pieces, seed));
        len +=
            (size_t)snprintf(out + len, PATTERN_SIZE - len, "<%s:p%u>", PICK(converters, seed), i);
    }
    if (random_next(seed) % 2) snprintf(out + len, PATTERN_SIZE - len, "%s", PICK(pieces, seed));
}

static void random_path(uint64_t *seed, char *out, size_t size) {
    size_t len = (size_t)snprintf(out, size, "/");
    unsigned count = random_next(seed) % 10;
    for (unsigned i = 0; i < count; i++)
        len += (size_t)snprintf(out + len, size - len, "%s", PICK(path_pieces, seed));
    if (random_next(seed) % 8 == 0)
        snprintf(out + len, size - len, "%s%s", PICK(rare_path_pieces, seed),
                 PICK(path_pieces, seed));
}

static q5_method random_method(uint64_t *seed) {
    static const q5_method methods[] = {Q5_METHOD_GET, Q5_METHOD_GET, Q5_METHOD_POST,
                                        Q5_METHOD_HEAD, Q5_METHOD_OTHER};
    return PICK(methods, seed);
}

/* ---- the comparison ---- */

/* How well the route's method serves the request's: 0 not at all, the more the better. */
static int method_fit(q5_method asked, q5_method offered) {
    if (asked == offered) return 3;
    if (asked == Q5_METHOD_HEAD && offered == Q5_METHOD_GET) return 2;
    return offered == Q5_METHOD_OTHER ? 1 : 0;
}

static uint32_t method_bits(q5_method method) {
    uint32_t bits = UINT32_C(1) << method;
    return method == Q5_METHOD_GET ? bits | UINT32_C(1) << Q5_METHOD_HEAD : bits;
}

static const model_route *slow_match(const model_route *routes, size_t count, q5_method method,
                                     const tokens *t, parse *ret_parse, uint32_t *ret_allow) {
    const model_route *winner = NULL;
    *ret_allow = 0;
    for (size_t i = 0; i < count; i++) {
        search s = {.t = t};
        search_from(&s, routes[i].pattern, 0);
        if (!s.found) continue;
        *ret_allow |= method_bits(routes[i].method);
        int fit = method_fit(method, routes[i].method);
        if (!fit) continue;
        int order = winner ? parse_compare(&s.best, ret_parse) : -1;
        if (order > 0 || (order == 0 && fit <= method_fit(method, winner->method))) continue;
        winner = &routes[i];
        *ret_parse = s.best;
    }
    return winner;
}

static void slash_path(const char *path, char *out, size_t size) {
    size_t len = strlen(path);
    if (path[len - 1] == '/')
        snprintf(out, size, "%.*s", (int)len - 1, path);
    else
        snprintf(out, size, "%s/", path);
}

static bool check_path(const q5_router *router, const model_route *routes, size_t count,
                       q5_method method, const char *path) {
    tokens t;
    parse want;
    uint32_t allow;
    tokens_read(&t, path);
    const model_route *winner = slow_match(routes, count, method, &t, &want, &allow);

    q5_route_match match;
    int status = q5_router_match(router, method, q5_slice_make(path, strlen(path)), &match);
    if (winner != match.route)
        fail_msg("%s: %s, not %s", path, winner ? winner->pattern : "nothing",
                 match.route ? ((const model_route *)match.route)->pattern : "nothing");
    assert_status(status, winner ? Q5_OK : Q5_NOT_FOUND);
    if (winner) {
        assert_int_equal(match.param_count, want.param_count);
        for (size_t i = 0; i < want.param_count; i++) {
            const char *from = path + t.offset[want.from[i]];
            assert_ptr_equal(match.params[i].value.base, from);
            assert_int_equal(match.params[i].value.len, path + t.offset[want.to[i]] - from);
        }
        return true;
    }
    assert_int_equal(match.allow, allow);
    char other[512];
    slash_path(path, other, sizeof(other));
    tokens_read(&t, other);
    slow_match(routes, count, method, &t, &want, &allow);
    assert_int_equal(match.slash_differs, match.allow == 0 && *other && allow != 0);
    return false;
}

static void test_model(void **state) {
    (void)state;
    size_t found = 0, patterns = 0;
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        uint64_t seed = round * UINT64_C(0x9e3779b97f4a7c15);
        model_route routes[PATTERNS_MAX];
        size_t count = 0;
        q5_router *router = q5_router_create(NULL);
        assert_status(q5_router_add_converter(router, Q5_LIT(EVEN_NAME), accepts_even, NULL),
                      Q5_OK);
        for (int i = 0; i < PATTERNS_MAX; i++) {
            model_route *route = &routes[count];
            random_pattern(&seed, route->pattern);
            route->method = random_method(&seed);
            q5_slice text = q5_slice_make(route->pattern, strlen(route->pattern));
            if (q5_router_add(router, route->method, text, route, NULL) == Q5_OK) count++;
        }
        patterns += count;
        for (int i = 0; i < 60; i++) {
            char path[256];
            random_path(&seed, path, sizeof(path));
            found += check_path(router, routes, count, random_method(&seed), path);
        }
        q5_router_destroy(router);
    }
    /* The comparison means something only if both outcomes are common. */
    assert_in_range(patterns, ROUNDS * 12, ROUNDS * PATTERNS_MAX);
    assert_in_range(found, ROUNDS * 15, ROUNDS * 55);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
