#include "json/json_internal.h"

typedef struct guard {
    const char *text;
    size_t len;
    q5_json_limits limits;
    uint32_t keys;
    q5__json_stack stack;
} guard;

q5_json_limits q5_json_limits_default(void) {
    return (q5_json_limits){.depth_max = 128, .keys_max = 100000, .allow_big_int = false};
}

/* Behind the closing quote of the string that opens at `at`, or 0 if there is none. */
static size_t string_end(const guard *g, size_t at) {
    const char *text = g->text;
    for (at++; at < g->len;) {
        if (text[at] == '"') return at + 1;
        at += text[at] == '\\' ? 2 : 1;
    }
    return 0;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool fits(bool negative, const char *digits, size_t count) {
    const uint64_t max = negative ? (uint64_t)INT64_MAX + 1 : UINT64_MAX;
    uint64_t number = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned digit = (unsigned)(digits[i] - '0');
        if (number > max / 10 || number * 10 > max - digit) return false;
        number = number * 10 + digit;
    }
    return true;
}

/* Behind the number that begins at `at`, or 0 if it is an integer that is too big. */
static size_t number_end(const guard *g, size_t at) {
    bool negative = g->text[at] == '-';
    size_t first = at + negative, end = first;
    while (end < g->len && is_digit(g->text[end]))
        end++;
    bool real = end < g->len && (g->text[end] == '.' || q5_lower(g->text[end]) == 'e');
    if (!real)
        return g->limits.allow_big_int || fits(negative, g->text + first, end - first) ? end : 0;
    for (end++; end < g->len; end++) {
        char c = g->text[end];
        if (!is_digit(c) && c != '.' && c != '+' && c != '-' && q5_lower(c) != 'e') break;
    }
    return end;
}

static int open_bracket(guard *g, bool object) {
    if (g->stack.depth == g->limits.depth_max) return Q5_EJSON_DEPTH;
    q5__json_open(&g->stack, object);
    return Q5_OK;
}

/* The first that is found, byte by byte. */
static int find_error(guard *g, size_t *ret_error) {
    const char *text = g->text;
    size_t at = 0, len = g->len;
    while (at < len) {
        int status = Q5_OK;
        size_t next = at + 1;
        char c = text[at];
        switch (c) {
        case '"':
            next = string_end(g, at);
            if (!next) status = Q5_EJSON;
            break;
        case '{':
        case '[':
            status = open_bracket(g, c == '{');
            break;
        case '}':
        case ']':
            if (!q5__json_close(&g->stack, c == '}')) status = Q5_EJSON;
            break;
        case ':':
            if (g->keys++ == g->limits.keys_max) status = Q5_EJSON_KEYS;
            break;
        default:
            if (c != '-' && !is_digit(c)) break;
            next = number_end(g, at);
            if (!next) status = Q5_EJSON_INT;
            break;
        }
        if (status) {
            *ret_error = at;
            return status;
        }
        at = next;
    }
    if (g->stack.depth == 0) return Q5_OK;
    *ret_error = len;
    return Q5_EJSON;
}

int q5_json_guard(const char *text, size_t len, const q5_json_limits *limits, size_t *ret_error) {
    guard g = {.text = text, .len = len};
    g.limits = limits ? *limits : q5_json_limits_default();
    if (g.limits.depth_max > Q5_JSON_DEPTH_MAX) g.limits.depth_max = Q5_JSON_DEPTH_MAX;
    return q5__json_glance(text, len, &g.limits) ? Q5_OK : find_error(&g, ret_error);
}
