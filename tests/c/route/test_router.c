#include "q5/router.h"

#include <stdlib.h>

#include "q5test.h"

/* Routes are told apart by their pattern: the string itself is the route. */
static void *route_of(const char *pattern) {
    return (void *)(uintptr_t)pattern;
}

static q5_slice slice(const char *text) {
    return q5_slice_make(text, strlen(text));
}

static void add(q5_router *router, q5_method method, const char *pattern) {
    assert_status(q5_router_add(router, method, slice(pattern), route_of(pattern), NULL), Q5_OK);
}

/* Takes "even" numbers of bytes. */
static bool accepts_even(void *ctx, q5_slice segment) {
    if (ctx) ++*(size_t *)ctx;
    return segment.len % 2 == 0;
}

static bool accepts_all(void *ctx, q5_slice segment) {
    (void)ctx;
    return segment.len > 0;
}

static q5_router *router_with(const char *const *patterns) {
    q5_router *router = q5_router_create(NULL);
    assert_non_null(router);
    assert_status(q5_router_add_converter(router, Q5_LIT("even"), accepts_even, NULL), Q5_OK);
    assert_status(q5_router_add_converter(router, Q5_LIT("all"), accepts_all, NULL), Q5_OK);
    for (; *patterns; patterns++)
        add(router, Q5_METHOD_GET, *patterns);
    return router;
}

/* ---- which route, which values ---- */

typedef struct match_row {
    const char *path;
    const char *pattern; /* NULL: not found */
    const char *values[4];
} match_row;

static void check_row(const q5_router *router, const match_row *row) {
    q5_route_match match;
    int status = q5_router_match(router, Q5_METHOD_GET, slice(row->path), &match);
    if (!row->pattern) {
        if (status == Q5_OK) fail_msg("%s found %s", row->path, (const char *)match.route);
        assert_status(status, Q5_NOT_FOUND);
        assert_null(match.route);
        assert_int_equal(match.allow, 0);
        return;
    }
    if (status != Q5_OK) fail_msg("%s: %s", row->path, q5_status_name(status));
    assert_string_equal((const char *)match.route, row->pattern);
    unsigned count = 0;
    while (count < 4 && row->values[count])
        count++;
    assert_int_equal(match.param_count, count);
    for (unsigned i = 0; i < count; i++)
        assert_slice(match.params[i].value, row->values[i]);
}

static void check_rows(const char *const *patterns, const match_row *rows, size_t count) {
    q5_router *router = router_with(patterns);
    for (size_t i = 0; i < count; i++)
        check_row(router, &rows[i]);
    q5_router_destroy(router);
}

static void test_static_text(void **state) {
    (void)state;
    static const char *const patterns[] = {"/",     "/about",  "/about/", "/abc", "/abd/x",
                                           "/team", "/tea/ma", "/te",     "/%41", NULL};
    static const match_row rows[] = {
        {"/", "/", {0}},
        {"/about", "/about", {0}},
        {"/about/", "/about/", {0}},
        {"/abou", NULL, {0}},
        {"/about/x", NULL, {0}},
        {"/abc", "/abc", {0}},
        {"/abd", NULL, {0}},
        {"/abd/x", "/abd/x", {0}},
        {"/te", "/te", {0}},
        {"/team", "/team", {0}},
        {"/tea", NULL, {0}},
        {"/tea/ma", "/tea/ma", {0}},
        {"//", NULL, {0}},
        {"", NULL, {0}},
        {"*", NULL, {0}},        /* RFC 9112, 3.2.4: asterisk-form is no path */
        {"/ABOUT", NULL, {0}},   /* RFC 3986, 6.2.2.1: paths keep their case */
        {"/%61bc", "/abc", {0}}, /* RFC 3986, 6.2.2.2: an escaped unreserved byte is that byte */
        {"/%61%62%63", "/abc", {0}},
        {"/tea%2Fma", NULL, {0}}, /* RFC 3986, 2.2: an escaped delimiter is none */
        {"/%2541", "/%41", {0}},  /* the pattern's '%' is just a byte */
        {"/%41", NULL, {0}},
    };
    check_rows(patterns, rows, Q5_ARRAY_LEN(rows));
}

/* Django's regexes, docs.djangoproject.com "Path converters". */
static void test_converters(void **state) {
    (void)state;
    static const char *const patterns[] = {"/i/<int:a>", "/u/<uuid:a>", "/g/<slug:a>",
                                           "/s/<str:a>", "/p/<path:a>", "/e/<even:a>",
                                           "/d/<a>",     NULL};
    static const match_row rows[] = {
        {"/i/0", "/i/<int:a>", {"0"}},
        {"/i/0042", "/i/<int:a>", {"0042"}},
        {"/i/9223372036854775807", "/i/<int:a>", {"9223372036854775807"}},
        {"/i/9223372036854775808", NULL, {0}},
        {"/i/99999999999999999999", NULL, {0}},
        {"/i/00000000000000000001", NULL, {0}}, /* 20 digits */
        {"/i/%34%32", "/i/<int:a>", {"%34%32"}},
        {"/i/-1", NULL, {0}},
        {"/i/+1", NULL, {0}},
        {"/i/1a", NULL, {0}},
        {"/i/", NULL, {0}},
        {"/i/%D9%A3", NULL, {0}}, /* ARABIC-INDIC DIGIT THREE: [0-9] is ASCII */
        {"/u/075194d3-6885-417e-a8a8-6c931e272f00",
         "/u/<uuid:a>",
         {"075194d3-6885-417e-a8a8-6c931e272f00"}},
        {"/u/075194d3%2D6885-417e-a8a8-6c931e272f00",
         "/u/<uuid:a>",
         {"075194d3%2D6885-417e-a8a8-6c931e272f00"}},
        {"/u/075194D3-6885-417e-a8a8-6c931e272f00", NULL, {0}},
        {"/u/075194d3-6885-417e-a8a8-6c931e272f0", NULL, {0}},
        {"/u/075194d3-6885-417e-a8a8-6c931e272f000", NULL, {0}},
        {"/u/075194d3068850417e0a8a806c931e272f00", NULL, {0}},
        {"/g/building-your-1st_site", "/g/<slug:a>", {"building-your-1st_site"}},
        {"/g/%41%2db", "/g/<slug:a>", {"%41%2db"}},
        {"/g/a.b", NULL, {0}},
        {"/g/a%2Fb", NULL, {0}},
        {"/g/@", NULL, {0}},
        {"/g/[", NULL, {0}},
        {"/g/%C3%A9", NULL, {0}},
        {"/s/a.b~c", "/s/<str:a>", {"a.b~c"}},
        {"/s/a%2Fb", "/s/<str:a>", {"a%2Fb"}},
        {"/s/a/b", NULL, {0}},
        {"/s/", NULL, {0}},
        {"/d/x", "/d/<a>", {"x"}},
        {"/p/a", "/p/<path:a>", {"a"}},
        {"/p/a/b/c", "/p/<path:a>", {"a/b/c"}},
        {"/p//", "/p/<path:a>", {"/"}},
        {"/p/a%0Ab", NULL, {0}}, /* '.' takes no line feed */
        {"/p/", NULL, {0}},
        {"/e/xx", "/e/<even:a>", {"xx"}},
        {"/e/xxx", NULL, {0}},
    };
    check_rows(patterns, rows, Q5_ARRAY_LEN(rows));
}

static void test_number(void **state) {
    (void)state;
    static const char *const patterns[] = {"/<int:a>-<int:b>", NULL};
    static const struct {
        const char *path;
        int64_t a, b;
    } rows[] = {
        {"/0-1", 0, 1},
        {"/9223372036854775807-0000000000000000007", INT64_MAX, 7},
        {"/%31%32-3%34", 12, 34},
    };
    q5_router *router = router_with(patterns);
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_route_match match;
        assert_status(q5_router_match(router, Q5_METHOD_GET, slice(rows[i].path), &match), Q5_OK);
        assert_true(match.params[0].number == rows[i].a);
        assert_true(match.params[1].number == rows[i].b);
        assert_int_equal(match.params[0].convert, Q5_CONVERT_INT);
    }
    q5_router_destroy(router);
}

static void test_priority(void **state) {
    (void)state;
    /* In the order of addition that is worst for the priority. */
    static const char *const patterns[] = {
        "/<path:p>",      "/<str:s>",         "/<all:c>", "/<even:c>",    "/<slug:g>",
        "/<uuid:u>",      "/<int:i>",         "/new",     "/<str:a>/b/c", "/<int:a>/b/d",
        "/x/<int:a>/end", "/x/<str:a>/other", NULL,
    };
    static const match_row rows[] = {
        {"/new", "/new", {0}},
        {"/new1", "/<slug:g>", {"new1"}},
        {"/ne", "/<slug:g>", {"ne"}},
        {"/12", "/<int:i>", {"12"}},
        {"/99999999999999999999", "/<slug:g>", {"99999999999999999999"}},
        {"/075194d3-6885-417e-a8a8-6c931e272f00",
         "/<uuid:u>",
         {"075194d3-6885-417e-a8a8-6c931e272f00"}},
        {"/~~", "/<even:c>", {"~~"}}, /* "all" would take it too but was named later */
        {"/~~~", "/<all:c>", {"~~~"}},
        {"/~/~", "/<path:p>", {"~/~"}},
        /* Backing out of the branch that looked better. */
        {"/1/b/c", "/<str:a>/b/c", {"1"}},
        {"/1/b/d", "/<int:a>/b/d", {"1"}},
        {"/1/b/e", "/<path:p>", {"1/b/e"}},
        {"/x/1/end", "/x/<int:a>/end", {"1"}},
        {"/x/1/other", "/x/<str:a>/other", {"1"}},
        {"/x/b/c", "/<str:a>/b/c", {"x"}},
        {"/x/1/none", "/<path:p>", {"x/1/none"}},
    };
    check_rows(patterns, rows, Q5_ARRAY_LEN(rows));
}

/* Text behind a parameter wins over the parameter alone. */
static void test_priority_of_text_behind(void **state) {
    (void)state;
    static const char *const patterns[] = {
        "/<path:p>",       "/<str:s>", "/<str:a>.<str:ext>", "/<str:a>.js",
        "/<path:a>/x.css", "/<int:i>", "/<int:i>.js",        NULL,
    };
    static const match_row rows[] = {
        {"/a", "/<str:s>", {"a"}},
        {"/a.", "/<str:s>", {"a."}},
        {"/a.js", "/<str:a>.js", {"a"}},
        {"/1.js", "/<int:i>.js", {"1"}},
        {"/1.py", "/<str:a>.<str:ext>", {"1", "py"}},
        {"/a.b.js", "/<str:a>.js", {"a.b"}},
        {"/a.b.py", "/<str:a>.<str:ext>", {"a.b", "py"}},
        {"/a/b/x.css", "/<path:a>/x.css", {"a/b"}},
        {"/a/b/x.cs", "/<path:p>", {"a/b/x.cs"}},
        {"/x.css", "/<str:a>.<str:ext>", {"x", "css"}},
    };
    check_rows(patterns, rows, Q5_ARRAY_LEN(rows));
}

/* As the regexes that Django makes of these patterns would take them. */
static void test_ends_are_greedy(void **state) {
    (void)state;
    static const char *const patterns[] = {
        "/<slug:a>-<int:b>/",
        "/v<int:major>.<int:minor>",
        "/f/<path:a>/by/<str:b>",
        "/<path:a>/to/<path:b>/at/<path:c>",
        "/r/<slug:a>-<slug:b>-<slug:c>",
        "/n/<int:a>0<int:b>",
        "/c/<even:a>x<str:b>",
        NULL,
    };
    static const match_row rows[] = {
        {"/a-b-1-2/", "/<slug:a>-<int:b>/", {"a-b-1", "2"}},
        {"/a-b/", NULL, {0}},
        {"/-1/", NULL, {0}},
        {"/v1.22", "/v<int:major>.<int:minor>", {"1", "22"}},
        {"/v1.2.3", NULL, {0}},
        {"/f/a/by/b/by/c", "/f/<path:a>/by/<str:b>", {"a/by/b", "c"}},
        {"/f/a/by/b/by/c/d", NULL, {0}},
        {"/a/to/b/to/c/at/d/at/e", "/<path:a>/to/<path:b>/at/<path:c>", {"a/to/b", "c/at/d", "e"}},
        {"/a/to/b/at/c/to/d", "/<path:a>/to/<path:b>/at/<path:c>", {"a", "b", "c/to/d"}},
        {"/r/1-2-3-4", "/r/<slug:a>-<slug:b>-<slug:c>", {"1-2", "3", "4"}},
        {"/r/1%2D2%2D3", "/r/<slug:a>-<slug:b>-<slug:c>", {"1", "2", "3"}},
        {"/r/1-2", NULL, {0}},
        {"/n/10203", "/n/<int:a>0<int:b>", {"102", "3"}},
        {"/n/100000000000000000000000009",
         "/n/<int:a>0<int:b>",
         {"1000000000000000000", "0000009"}},
        {"/c/axbbxc", "/c/<even:a>x<str:b>", {"axbb", "c"}},
        {"/c/axbxc", NULL, {0}}, /* "axb" and "a" are odd */
        {"/c/aaxbxc", "/c/<even:a>x<str:b>", {"aaxb", "c"}},
        {"/c/aaxbbxc", "/c/<even:a>x<str:b>", {"aa", "bbxc"}},
    };
    check_rows(patterns, rows, Q5_ARRAY_LEN(rows));
}

static void test_text_beyond_ascii(void **state) {
    (void)state;
    static const char *const patterns[] = {"/caf\xc3\xa9/<str:a>", "/a b", "/x:y", NULL};
    static const match_row rows[] = {
        {"/caf%C3%A9/%E2%82%AC", "/caf\xc3\xa9/<str:a>", {"%E2%82%AC"}},
        {"/caf%c3%a9/x", "/caf\xc3\xa9/<str:a>", {"x"}},
        {"/a%20b", "/a b", {0}},
        {"/x:y", "/x:y", {0}},
        {"/x%3Ay", "/x:y", {0}},
    };
    check_rows(patterns, rows, Q5_ARRAY_LEN(rows));
}

static void test_bad_escapes(void **state) {
    (void)state;
    static const char *const patterns[] = {"/<path:a>", NULL};
    static const char *const paths[] = {"/%",   "/a%",   "/%4",   "/%4/", "/%GG", "/%0",
                                        "/%00", "/a%00", "/%%41", "/%4g", "/%41%"};
    q5_router *router = router_with(patterns);
    for (size_t i = 0; i < Q5_ARRAY_LEN(paths); i++) {
        q5_route_match match;
        int status = q5_router_match(router, Q5_METHOD_GET, slice(paths[i]), &match);
        assert_status(status, Q5_EENCODING);
        assert_null(match.route);
    }
    q5_router_destroy(router);
}

/* ---- methods ---- */

#define BIT(method) (UINT32_C(1) << Q5_METHOD_##method)

static void test_methods(void **state) {
    (void)state;
    q5_router *router = q5_router_create(NULL);
    static const struct {
        q5_method method;
        const char *pattern;
    } routes[] = {
        {Q5_METHOD_GET, "/items/<int:id>"},
        {Q5_METHOD_DELETE, "/items/<int:other>"},
        {Q5_METHOD_POST, "/items/<str:name>"},
        {Q5_METHOD_PUT, "/items/<slug:name>"},
        {Q5_METHOD_OTHER, "/any"},
        {Q5_METHOD_GET, "/any"},
        {Q5_METHOD_HEAD, "/head"},
        {Q5_METHOD_GET, "/head"},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(routes); i++)
        assert_status(q5_router_add(router, routes[i].method, slice(routes[i].pattern),
                                    route_of((const char *)&routes[i]), NULL),
                      Q5_OK);
    static const struct {
        q5_method method;
        const char *path;
        int route; /* index, -1: method not allowed, -2: no such path */
        uint32_t allow;
    } rows[] = {
        {Q5_METHOD_GET, "/items/5", 0, 0},
        {Q5_METHOD_HEAD, "/items/5", 0, 0}, /* RFC 9110, 9.3.2 */
        {Q5_METHOD_DELETE, "/items/5", 1, 0},
        {Q5_METHOD_POST, "/items/5", 2, 0}, /* past INT and SLUG, which do not know POST */
        {Q5_METHOD_PUT, "/items/5", 3, 0},
        {Q5_METHOD_PATCH, "/items/5", -1, /* RFC 9110, 15.5.6: Allow is for the resource */
         BIT(GET) | BIT(HEAD) | BIT(DELETE) | BIT(POST) | BIT(PUT)},
        {Q5_METHOD_GET, "/items/a", -1, BIT(POST) | BIT(PUT)},
        {Q5_METHOD_OTHER, "/items/~", -1, BIT(POST)},
        {Q5_METHOD_GET, "/any", 5, 0},
        {Q5_METHOD_HEAD, "/any", 5, 0},
        {Q5_METHOD_POST, "/any", 4, 0},
        {Q5_METHOD_OTHER, "/any", 4, 0},
        {Q5_METHOD_HEAD, "/head", 6, 0},
        {Q5_METHOD_GET, "/head", 7, 0},
        {Q5_METHOD_GET, "/none", -2, 0},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_route_match match;
        int status = q5_router_match(router, rows[i].method, slice(rows[i].path), &match);
        if (rows[i].route >= 0) {
            assert_status(status, Q5_OK);
            assert_ptr_equal(match.route, &routes[rows[i].route]);
            continue;
        }
        assert_status(status, Q5_NOT_FOUND);
        assert_null(match.route);
        assert_int_equal(match.allow, rows[i].allow);
        assert_false(match.slash_differs);
    }
    q5_router_destroy(router);
}

/* Django's APPEND_SLASH asks whether path + "/" is known. */
static void test_slash_differs(void **state) {
    (void)state;
    static const char *const patterns[] = {
        "/",    "/a/",    "/b",         "/c/<int:i>/",  "/d/<str:s>",
        "/e/x", "/e/xy/", "/f<path:p>", "/g/\xc3\xa9/", NULL};
    static const struct {
        const char *path;
        bool differs;
    } rows[] = {
        {"/a", true},         {"/b/", true},  {"/c/5", true},      {"/c/x", false},
        {"/d/x/", true},      {"/d/", false}, {"/d", false},       {"/e/x/", true},
        {"/e/xy", true},      {"/e/", false}, {"/b//", false},     {"/nowhere", false},
        {"/nowhere/", false}, {"/f", true},   {"/g/%C3%A9", true}, {"//", true},
        {"", false},
    };
    q5_router *router = router_with(patterns);
    q5_route_match match;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        int status = q5_router_match(router, Q5_METHOD_POST, slice(rows[i].path), &match);
        assert_status(status, Q5_NOT_FOUND);
        assert_int_equal(match.allow, 0);
        if (match.slash_differs != rows[i].differs) fail_msg("%s", rows[i].path);
    }
    char path[Q5_ROUTE_SLASH_PATH_MAX + 2];
    memset(path, 'x', sizeof(path));
    memcpy(path, "/d/", 3);
    for (size_t len = Q5_ROUTE_SLASH_PATH_MAX - 1; len <= sizeof(path); len++) {
        path[len - 1] = '/';
        int status = q5_router_match(router, Q5_METHOD_GET, q5_slice_make(path, len), &match);
        assert_status(status, Q5_NOT_FOUND);
        assert_int_equal(match.slash_differs, len <= Q5_ROUTE_SLASH_PATH_MAX);
        path[len - 1] = 'x';
    }
    q5_router_destroy(router);
}

/* ---- building ---- */

static void test_bad_patterns(void **state) {
    (void)state;
    static const struct {
        const char *pattern;
        size_t error;
    } rows[] = {
        {"", 0},
        {"a", 0},
        {"<int:a>", 0},
        {"/<int:a", 1},
        {"/a>", 2},
        {"/<>", 1},
        {"/<int:>", 1},
        {"/<:a>", 1},
        {"/<nope:a>", 1},
        {"/<INT:a>", 1},
        {"/<int:1a>", 1},
        {"/<int: a>", 1},
        {"/<int:a b>", 1},
        {"/<int:a:b>", 1},
        {"/<a<b>>", 1},
        {"/<int:a>/<str:a>", 9}, /* a name twice */
        {"/x<int:a><str:b>", 9}, /* nothing between */
        {"/<int:i>", 8},         /* taken, by another name */
        {"/taken", 6},
        {"/<path:a>/<all:b>.js", 15}, /* custom with an open end behind an open end */
        {"/<a>/<b>/<c>/<d>/<e>/<f>/<g>/<h>/<i>/<j>/<k>/<l>/<m>/<n>/<o>/<p>/<q>", 65},
    };
    static const char *const patterns[] = {"/<int:a>", "/taken", "/<path:a>/<all:b>", NULL};
    q5_router *router = router_with(patterns);
    size_t error;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_slice pattern = slice(rows[i].pattern);
        error = 999;
        int status = q5_router_add(router, Q5_METHOD_GET, pattern, router, &error);
        if (status != Q5_EROUTE) fail_msg("%s: %s", rows[i].pattern, q5_status_name(status));
        if (error != rows[i].error) fail_msg("%s: at %zu", rows[i].pattern, error);
        assert_status(q5_router_add(router, Q5_METHOD_GET, pattern, router, NULL), Q5_EROUTE);
    }
    static const char with_nul[] = "/a\0b";
    q5_slice nul = q5_slice_make(with_nul, sizeof(with_nul) - 1);
    assert_status(q5_router_add(router, Q5_METHOD_GET, nul, router, &error), Q5_EROUTE);
    assert_int_equal(error, 2);

    char longest[Q5_ROUTE_PATTERN_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    longest[0] = '/';
    q5_slice text = q5_slice_make(longest, sizeof(longest));
    assert_status(q5_router_add(router, Q5_METHOD_GET, text, router, NULL), Q5_EROUTE);
    text.len--;
    assert_status(q5_router_add(router, Q5_METHOD_GET, text, router, NULL), Q5_OK);

    error = 999;
    assert_status(q5_router_add(router, Q5_METHOD_GET, slice("/n"), NULL, &error), Q5_EINVAL);
    assert_status(q5_router_add(router, Q5_METHOD_COUNT, slice("/n"), router, &error), Q5_EINVAL);
    assert_int_equal(error, 999); /* untouched unless Q5_EROUTE */
    q5_router_destroy(router);
}

static void test_most_parameters(void **state) {
    (void)state;
    static const char *const patterns[] = {
        "/<a>/<b>/<c>/<d>/<e>/<f>/<g>/<h>/<i>/<j>/<k>/<l>/<m>/<n>/<o>/<int:p>.", NULL};
    q5_router *router = router_with(patterns);
    q5_route_match match;
    q5_slice path = Q5_LIT("/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/99.");
    assert_status(q5_router_match(router, Q5_METHOD_GET, path, &match), Q5_OK);
    assert_int_equal(match.param_count, Q5_ROUTE_PARAMS_MAX);
    assert_slice(match.params[0].value, "a");
    assert_slice(match.params[14].value, "o");
    assert_true(match.params[15].number == 99);
    q5_router_destroy(router);
}

static void test_converter_names(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int status;
    } rows[] = {
        {"yyyy", Q5_OK},     {"yyyy", Q5_EINVAL}, {"int", Q5_EINVAL},
        {"path", Q5_EINVAL}, {"", Q5_EINVAL},     {"a:b", Q5_EINVAL},
        {"a>", Q5_EINVAL},   {"a b", Q5_EINVAL},  {"four-digit", Q5_OK},
    };
    q5_router *router = q5_router_create(NULL);
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++)
        assert_status(q5_router_add_converter(router, slice(rows[i].name), accepts_even, NULL),
                      rows[i].status);
    assert_status(q5_router_add_converter(router, Q5_LIT("none"), NULL, NULL), Q5_EINVAL);
    add(router, Q5_METHOD_GET, "/<four-digit:y>");
    q5_router_destroy(router);
}

typedef struct visited {
    size_t count, stop_at;
    const char *const *patterns;
} visited;

static int visit(void *ctx, q5_method method, q5_slice pattern, void *route) {
    visited *v = ctx;
    assert_int_equal(method, Q5_METHOD_GET);
    assert_slice(pattern, v->patterns[v->count]);
    assert_ptr_equal(route, v->patterns[v->count]);
    return ++v->count == v->stop_at ? 42 : 0;
}

static void test_each(void **state) {
    (void)state;
    static const char *const patterns[] = {"/z", "/a/<int:b>", "/", "/a", "/<path:p>", "/b", NULL};
    q5_router *router = router_with(patterns);
    visited v = {.patterns = patterns};
    assert_int_equal(q5_router_each(router, visit, &v), 0);
    assert_int_equal(v.count, 6);
    v = (visited){.patterns = patterns, .stop_at = 3};
    assert_int_equal(q5_router_each(router, visit, &v), 42);
    assert_int_equal(v.count, 3);
    q5_router_destroy(router);
    q5_router_destroy(NULL);
}

/* ---- failing allocations ---- */

static int build(const q5_alloc *alloc, void *ctx) {
    (void)ctx;
    static const char *const patterns[] = {
        "/abcdef",
        "/abcxyz",
        "/abc",
        "/<int:a>",
        "/<path:a>/b<str:c>",
        "/1",
        "/2",
        "/3",
        "/4",
        "/5",
        "/<even:a>",
        "/<uuid:a>/x",
        "/<a>/y",
        "/abc<slug:s>/ab",
        "/abc<slug:s>/ac",
    };
    q5_router *router = q5_router_create(alloc);
    if (!router) return Q5_ENOMEM;
    int status = q5_router_add_converter(router, Q5_LIT("even"), accepts_even, NULL);
    size_t added = 0;
    while (status == Q5_OK && added < Q5_ARRAY_LEN(patterns)) {
        const char *pattern = patterns[added];
        status = q5_router_add(router, Q5_METHOD_GET, slice(pattern), route_of(pattern), NULL);
        if (status == Q5_OK) added++;
    }
    /* What had been added is still found, what failed is not. */
    for (size_t i = 0; i < Q5_ARRAY_LEN(patterns); i++) {
        if (strchr(patterns[i], '<')) continue;
        q5_route_match match;
        int found = q5_router_match(router, Q5_METHOD_GET, slice(patterns[i]), &match);
        if (i < added)
            assert_ptr_equal(match.route, patterns[i]);
        else if (found == Q5_OK)
            assert_true(match.param_count > 0);
    }
    q5_router_destroy(router);
    return status;
}

static void test_failing_allocations(void **state) {
    (void)state;
    failmalloc_sweep(build, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_static_text),
        cmocka_unit_test(test_converters),
        cmocka_unit_test(test_number),
        cmocka_unit_test(test_priority),
        cmocka_unit_test(test_priority_of_text_behind),
        cmocka_unit_test(test_ends_are_greedy),
        cmocka_unit_test(test_text_beyond_ascii),
        cmocka_unit_test(test_bad_escapes),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_slash_differs),
        cmocka_unit_test(test_bad_patterns),
        cmocka_unit_test(test_most_parameters),
        cmocka_unit_test(test_converter_names),
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
