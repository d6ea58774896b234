/* Building the tree. Every step leaves a tree that can be matched against and destroyed, so that an
 * allocation that fails half-way costs nothing but nodes without an end. */
#include "route/route.h"

#define CAP_MIN 4

/* ---- nodes ---- */

static q5__node *node_create(const q5_alloc *alloc, const char *text, size_t text_len) {
    q5__node *node = q5_calloc(alloc, sizeof(*node) + text_len);
    if (!node) return NULL;
    node->text_len = (uint16_t)text_len;
    memcpy(node->text, text, text_len);
    return node;
}

/* Without recursion: a tree may be as deep as a pattern is long. */
static void tree_destroy(const q5_alloc *alloc, q5__node *node) {
    while (node) { /* down to a leaf, which is freed and forgotten by its parent */
        if (node->static_count) {
            node = node->statics[--node->static_count];
            continue;
        }
        if (node->params) {
            q5__node *param = node->params;
            node->params = param->sibling;
            node = param;
            continue;
        }
        q5__node *parent = node->parent;
        q5_free(alloc, node->statics);
        q5_free(alloc, node->end);
        q5_free(alloc, node);
        node = parent;
    }
}

static int statics_reserve(const q5_alloc *alloc, q5__node *node) {
    if (node->static_count < node->static_cap) return Q5_OK;
    size_t cap = node->static_cap ? (size_t)node->static_cap * 2 : CAP_MIN;
    q5__node **statics = q5_malloc(alloc, cap * (sizeof(*statics) + 1));
    if (!statics) return Q5_ENOMEM;
    uint8_t *firsts = (uint8_t *)(statics + cap);
    if (node->static_count) {
        memcpy(statics, node->statics, node->static_count * sizeof(*statics));
        memcpy(firsts, node->firsts, node->static_count);
    }
    q5_free(alloc, node->statics);
    node->statics = statics;
    node->firsts = firsts;
    node->static_cap = (uint16_t)cap;
    return Q5_OK;
}

static int static_add(const q5_alloc *alloc, q5__node *node, q5_slice text, q5__node **ret_child) {
    int status = statics_reserve(alloc, node);
    if (status) return status;
    q5__node *child = node_create(alloc, text.base, text.len);
    if (!child) return Q5_ENOMEM;
    child->parent = node;
    node->firsts[node->static_count] = (uint8_t)text.base[0];
    node->statics[node->static_count++] = child;
    *ret_child = child;
    return Q5_OK;
}

/* Cuts the node's text: it keeps the first `len` bytes, a new child takes the rest and all that
 * hung at the node. */
static int static_split(const q5_alloc *alloc, q5__node *node, size_t len) {
    q5__node *tail = node_create(alloc, node->text + len, node->text_len - len);
    if (!tail) return Q5_ENOMEM;
    q5__node head = {.parent = node->parent};
    if (statics_reserve(alloc, &head)) {
        q5_free(alloc, tail);
        return Q5_ENOMEM;
    }
    tail->parent = node;
    tail->end = node->end;
    tail->statics = node->statics;
    tail->firsts = node->firsts;
    tail->static_count = node->static_count;
    tail->static_cap = node->static_cap;
    tail->params = node->params;
    for (unsigned i = 0; i < tail->static_count; i++)
        tail->statics[i]->parent = tail;
    for (q5__node *param = tail->params; param; param = param->sibling)
        param->parent = tail;

    node->end = NULL;
    node->params = NULL;
    node->statics = head.statics;
    node->firsts = head.firsts;
    node->static_cap = head.static_cap;
    node->static_count = 1;
    node->statics[0] = tail;
    node->firsts[0] = (uint8_t)tail->text[0];
    node->text_len = (uint16_t)len;
    return Q5_OK;
}

static size_t common_prefix(const q5__node *node, q5_slice text) {
    size_t len = node->text_len < text.len ? node->text_len : text.len;
    size_t i = 0;
    while (i < len && node->text[i] == text.base[i])
        i++;
    return i;
}

/* Finds or makes the node at which `text` behind *node ends. */
static int insert_text(const q5_alloc *alloc, q5__node **node, q5_slice text) {
    while (text.len) {
        q5__node *child = q5__static_child(*node, (uint8_t)text.base[0]);
        if (!child) return static_add(alloc, *node, text, node);
        size_t common = common_prefix(child, text);
        if (common < child->text_len) {
            int status = static_split(alloc, child, common);
            if (status) return status;
        }
        *node = child;
        text = q5_slice_make(text.base + common, text.len - common);
    }
    return Q5_OK;
}

/* Finds or makes the node of a parameter behind *node. */
static int insert_param(q5_router *router, q5__node **node, const q5__part *part) {
    q5__node **at = &(*node)->params;
    for (; *at; at = &(*at)->sibling) {
        int order = (int)(*at)->convert - (int)part->convert;
        if (order == 0) order = (int)(*at)->custom - (int)part->custom;
        if (order > 0) break;
        if (order < 0) continue;
        (*at)->open = (*at)->open || part->open;
        *node = *at;
        return Q5_OK;
    }
    if (part->nested && router->mark_count == Q5_ROUTE_NESTED_MAX) return Q5_EROUTE;
    q5__node *param = node_create(router->alloc, "", 0);
    if (!param) return Q5_ENOMEM;
    param->is_param = true;
    param->convert = (uint8_t)part->convert;
    param->custom = part->custom;
    param->open = part->open;
    if (part->nested) param->mark = ++router->mark_count;
    param->parent = *node;
    param->sibling = *at;
    *at = param;
    *node = param;
    return Q5_OK;
}

/* ---- the router ---- */

q5_router *q5_router_create(const q5_alloc *alloc) {
    if (!alloc) alloc = q5_alloc_default();
    q5_router *router = q5_calloc(alloc, sizeof(*router));
    if (!router) return NULL;
    router->alloc = alloc;
    router->root = node_create(alloc, "", 0);
    if (!router->root) {
        q5_free(alloc, router);
        return NULL;
    }
    return router;
}

void q5_router_destroy(q5_router *router) {
    if (!router) return;
    const q5_alloc *alloc = router->alloc;
    tree_destroy(alloc, router->root);
    for (size_t i = 0; i < router->custom_count; i++)
        q5_free(alloc, router->customs[i].name);
    for (size_t i = 0; i < router->entry_count; i++)
        q5_free(alloc, router->entries[i].pattern);
    q5_free(alloc, router->customs);
    q5_free(alloc, router->entries);
    q5_free(alloc, router);
}

/* Room for one more item in an array of the router's. */
static int array_reserve(const q5_alloc *alloc, void **array, size_t item_size, size_t count,
                         size_t *cap) {
    if (count < *cap) return Q5_OK;
    size_t want = *cap ? *cap * 2 : CAP_MIN;
    void *grown = q5_realloc(alloc, *array, want * item_size);
    if (!grown) return Q5_ENOMEM;
    *array = grown;
    *cap = want;
    return Q5_OK;
}

/* A copy; never asks for zero bytes. */
static char *text_dup(const q5_alloc *alloc, q5_slice text) {
    char *copy = q5_malloc(alloc, text.len + 1);
    if (!copy) return NULL;
    memcpy(copy, text.base, text.len);
    copy[text.len] = '\0';
    return copy;
}

int q5_router_add_converter(q5_router *router, q5_slice name, q5_convert_accepts accepts,
                            void *ctx) {
    q5_convert convert;
    uint16_t custom;
    if (name.len == 0 || !accepts || router->custom_count == UINT16_MAX) return Q5_EINVAL;
    for (size_t i = 0; i < name.len; i++)
        if ((uint8_t)name.base[i] <= ' ' || strchr(":<>", name.base[i])) return Q5_EINVAL;
    if (q5__converter_find(router, name, &convert, &custom)) return Q5_EINVAL;

    void *customs = router->customs;
    int status = array_reserve(router->alloc, &customs, sizeof(q5__custom), router->custom_count,
                               &router->custom_cap);
    router->customs = customs;
    if (status) return status;
    char *copy = text_dup(router->alloc, name);
    if (!copy) return Q5_ENOMEM;
    router->customs[router->custom_count++] = (q5__custom){copy, name.len, accepts, ctx};
    return Q5_OK;
}

/* The endpoint where the pattern leads to, made if there is none. */
static int insert(q5_router *router, const q5__pattern *pattern, q5__endpoint **ret_end) {
    q5__node *node = router->root;
    for (size_t i = 0; i < pattern->count; i++) {
        const q5__part *part = &pattern->parts[i];
        int status = part->is_param ? insert_param(router, &node, part)
                                    : insert_text(router->alloc, &node, part->text);
        if (status) return status;
    }
    if (!node->end) node->end = q5_calloc(router->alloc, sizeof(*node->end));
    if (!node->end) return Q5_ENOMEM;
    *ret_end = node->end;
    return Q5_OK;
}

static int add(q5_router *router, q5_method method, q5_slice pattern, void *route,
               size_t *ret_error) {
    q5__pattern parsed;
    int status = q5__pattern_parse(router, pattern, &parsed, ret_error);
    if (status) return status;
    *ret_error = pattern.len;
    void *entries = router->entries;
    status = array_reserve(router->alloc, &entries, sizeof(q5__entry), router->entry_count,
                           &router->entry_cap);
    router->entries = entries;
    if (status) return status;
    q5__endpoint *end;
    status = insert(router, &parsed, &end);
    if (status) return status;
    if (end->routes[method]) return Q5_EROUTE;
    char *copy = text_dup(router->alloc, pattern);
    if (!copy) return Q5_ENOMEM;
    router->entries[router->entry_count++] = (q5__entry){method, copy, pattern.len, route};
    end->routes[method] = route;
    end->allow |= UINT32_C(1) << method;
    if (method == Q5_METHOD_GET) end->allow |= UINT32_C(1) << Q5_METHOD_HEAD;
    return Q5_OK;
}

int q5_router_add(q5_router *router, q5_method method, q5_slice pattern, void *route,
                  size_t *ret_error) {
    if (!route || (unsigned)method >= Q5_METHOD_COUNT) return Q5_EINVAL;
    size_t error = 0;
    int status = add(router, method, pattern, route, &error);
    if (status == Q5_EROUTE && ret_error) *ret_error = error;
    return status;
}

int q5_router_each(const q5_router *router,
                   int (*visit)(void *ctx, q5_method method, q5_slice pattern, void *route),
                   void *ctx) {
    for (size_t i = 0; i < router->entry_count; i++) {
        const q5__entry *entry = &router->entries[i];
        q5_slice pattern = q5_slice_make(entry->pattern, entry->pattern_len);
        int stop = visit(ctx, entry->method, pattern, entry->route);
        if (stop) return stop;
    }
    return 0;
}
