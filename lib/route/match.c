/* Finding a route. The tree is walked down along static text as far as the path agrees, then up
 * again, trying at each node the parameters that hang there; each parameter walks on from its end.
 *
 * Why this cannot blow up: a node is reached at a place of the path either by text, from one place
 * of its parent, or by a parameter. Where all parameters before it have a fixed end, there is but
 * one such place. Behind an open parameter (one whose ends are tried from the longest to the
 * shortest) a parameter is entered again and again, each time further left. What followed one of
 * its ends then has already failed, and whether it fails does not depend on where the parameter
 * began. So its mark keeps the leftmost end that has been tried, and only ends to the left of it
 * are worth a try. Its run to the right is remembered too, and is not scanned twice. */
#include "route/route.h"

typedef struct mark {
    uint32_t tried; /* each end from here on leads nowhere */
    uint32_t start; /* the run from here ... */
    uint32_t end;   /* ... goes to here */
} mark;

typedef struct walk {
    const q5_router *router;
    q5_route_match *match;
    q5_slice path;
    q5_method method;
    bool escaped;    /* there is a '%' in the path */
    bool any_method; /* only asks whether the path is known */
    mark marks[Q5_ROUTE_NESTED_MAX];
} walk;

static bool follow(walk *w, const q5__node *from, size_t at, unsigned level);

/* The path has ended where patterns end. */
static bool arrive(walk *w, const q5__endpoint *end, unsigned level) {
    if (w->any_method) return true;
    q5_route_match *match = w->match;
    match->allow |= end->allow;
    void *route = end->routes[w->method];
    if (!route && w->method == Q5_METHOD_HEAD) route = end->routes[Q5_METHOD_GET];
    if (!route) route = end->routes[Q5_METHOD_OTHER];
    if (!route) return false;
    match->route = route;
    match->param_count = (uint8_t)level;
    return true;
}

/* Behind the node's text at `at`, or 0: it is not there (no text is empty). */
static size_t match_text(const walk *w, const q5__node *node, size_t at) {
    if (Q5_LIKELY(!w->escaped)) {
        if (w->path.len - at < node->text_len) return 0;
        return memcmp(w->path.base + at, node->text, node->text_len) ? 0 : at + node->text_len;
    }
    for (size_t i = 0; i < node->text_len; i++) {
        if (at == w->path.len) return 0;
        const char *base = w->path.base + at;
        uint8_t byte = q5__path_byte(base);
        if (byte != (uint8_t)node->text[i] || (byte == '/' && *base == '%')) return 0;
        at += q5__path_step(base);
    }
    return at;
}

/* The inverse: where the node's text, which ends at `at`, begins. */
static size_t before_text(const walk *w, const q5__node *node, size_t at) {
    if (Q5_LIKELY(!w->escaped)) return at - node->text_len;
    for (size_t i = 0; i < node->text_len; i++)
        at -= at >= 3 && w->path.base[at - 3] == '%' ? 3 : 1;
    return at;
}

/* Where the parameter's longest run ends. */
static size_t run_end(walk *w, const q5__node *param, size_t start) {
    q5_convert convert = (q5_convert)param->convert;
    if (!param->mark || convert == Q5_CONVERT_UUID)
        return q5__convert_run(convert, w->path, start, w->path.len);
    mark *seen = &w->marks[param->mark - 1];
    bool known = seen->start > start && seen->start < w->path.len;
    size_t end = q5__convert_run(convert, w->path, start, known ? seen->start : w->path.len);
    if (known && end == seen->start) end = seen->end;
    seen->start = (uint32_t)start;
    seen->end = (uint32_t)end;
    return end;
}

/* Makes [start, end) the parameter's value, if its converter agrees. */
static bool take(walk *w, const q5__node *param, size_t start, size_t end, unsigned level) {
    q5_route_param *value = &w->match->params[level];
    value->value = q5_slice_make(w->path.base + start, end - start);
    value->convert = param->convert;
    if (param->convert == Q5_CONVERT_INT) return q5__convert_int(value->value, &value->number);
    if (param->convert != Q5_CONVERT_CUSTOM) return true;
    const q5__custom *custom = &w->router->customs[param->custom];
    return custom->accepts(custom->ctx, value->value);
}

/* Every end, the longest first; the path's own end last, for only a pattern that ends there too can
 * use it. */
static bool try_open(walk *w, const q5__node *param, size_t start, size_t end, unsigned level) {
    mark *seen = param->mark ? &w->marks[param->mark - 1] : NULL;
    size_t at = end;
    if (seen && seen->tried <= at) at = seen->tried - (size_t)1;
    for (; at > start; at--) {
        const char *base = w->path.base + at; /* base[-2] exists: every pattern begins with text */
        if (at == w->path.len) continue;
        if (w->escaped && (base[-1] == '%' || base[-2] == '%')) continue;
        if (seen) seen->tried = (uint32_t)at;
        if (!q5__static_child(param, q5__path_byte(base))) continue;
        if (take(w, param, start, at, level) && follow(w, param, at, level + 1)) return true;
    }
    return end == w->path.len && param->end && take(w, param, start, end, level) &&
           arrive(w, param->end, level + 1);
}

static bool try_param(walk *w, const q5__node *param, size_t start, unsigned level) {
    size_t end = run_end(w, param, start);
    if (end == start) return false;
    if (param->open) return try_open(w, param, start, end, level);
    if (param->mark && end >= w->marks[param->mark - 1].tried) return false;
    if (!take(w, param, start, end, level)) return false;
    if (follow(w, param, end, level + 1)) return true;
    if (param->mark) w->marks[param->mark - 1].tried = (uint32_t)end;
    return false;
}

/* Goes on at `at`, behind the text or parameter of `from`. */
static bool follow(walk *w, const q5__node *from, size_t at, unsigned level) {
    const q5__node *node = from;
    while (at < w->path.len) {
        const q5__node *child = q5__static_child(node, q5__path_byte(w->path.base + at));
        size_t behind = child ? match_text(w, child, at) : 0;
        if (!behind) break;
        node = child;
        at = behind;
    }
    if (at == w->path.len && node->end && arrive(w, node->end, level)) return true;
    for (;;) {
        if (at < w->path.len)
            for (const q5__node *param = node->params; param; param = param->sibling)
                if (try_param(w, param, at, level)) return true;
        if (node == from) return false;
        at = before_text(w, node, at);
        node = node->parent;
    }
}

static bool start(walk *w) {
    for (unsigned i = 0; i < w->router->mark_count; i++)
        w->marks[i] = (mark){UINT32_MAX, UINT32_MAX, UINT32_MAX};
    return follow(w, w->router->root, 0, 0);
}

/* Whether the path is known with its slash at the end removed or, if there is none, added. Uses up
 * the walk. */
static bool slash_differs(walk *w) {
    char copy[Q5_ROUTE_SLASH_PATH_MAX + 1];
    q5_route_match scratch;
    size_t len = w->path.len;
    if (len < 2 || len > Q5_ROUTE_SLASH_PATH_MAX) return false;
    if (w->path.base[len - 1] == '/') {
        w->path.len--;
    } else {
        memcpy(copy, w->path.base, len);
        copy[len] = '/';
        w->path = q5_slice_make(copy, len + 1);
    }
    w->match = &scratch;
    w->any_method = true;
    bool known = start(w);
    w->match = NULL;
    w->path = q5_slice_make(NULL, 0);
    return known;
}

int q5_router_match(const q5_router *router, q5_method method, q5_slice path,
                    q5_route_match *match) {
    match->route = NULL;
    match->allow = 0;
    match->slash_differs = false;
    match->param_count = 0;
    if (path.len == 0 || path.len >= UINT32_MAX) return Q5_NOT_FOUND;
    walk w;
    w.router = router;
    w.match = match;
    w.path = path;
    w.method = method;
    w.any_method = false;
    w.escaped = memchr(path.base, '%', path.len) != NULL;
    if (w.escaped && !q5__path_valid(path)) return Q5_EENCODING;
    if (start(&w)) return Q5_OK;
    if (!match->allow) match->slash_differs = slash_differs(&w);
    return Q5_NOT_FOUND;
}
