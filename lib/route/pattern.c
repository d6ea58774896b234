/* "/cities/<int:id>/near" taken apart. */
#include "route/route.h"

static const struct {
    q5_slice name;
    q5_convert convert;
} builtin[] = {
    {{"int", 3}, Q5_CONVERT_INT}, {{"uuid", 4}, Q5_CONVERT_UUID}, {{"slug", 4}, Q5_CONVERT_SLUG},
    {{"str", 3}, Q5_CONVERT_STR}, {{"path", 4}, Q5_CONVERT_PATH},
};

bool q5__converter_find(const q5_router *router, q5_slice name, q5_convert *ret_convert,
                        uint16_t *ret_custom) {
    for (size_t i = 0; i < Q5_ARRAY_LEN(builtin); i++) {
        if (!q5_slice_eq(name, builtin[i].name)) continue;
        *ret_convert = builtin[i].convert;
        *ret_custom = 0;
        return true;
    }
    for (size_t i = 0; i < router->custom_count; i++) {
        const q5__custom *custom = &router->customs[i];
        if (!q5_slice_eq(name, q5_slice_make(custom->name, custom->name_len))) continue;
        *ret_convert = Q5_CONVERT_CUSTOM;
        *ret_custom = (uint16_t)i;
        return true;
    }
    return false;
}

/* As Python's identifiers; bytes of UTF-8 pass, whoever declares the function has checked them. */
static bool is_identifier(q5_slice name) {
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = (uint8_t)name.base[i];
        bool letter = c == '_' || c >= 0x80 || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!letter && (i == 0 || c < '0' || c > '9')) return false;
    }
    return name.len > 0;
}

static bool has_param(const q5__pattern *pattern, q5_slice name) {
    for (size_t i = 0; i < pattern->count; i++)
        if (pattern->parts[i].is_param && q5_slice_eq(pattern->parts[i].text, name)) return true;
    return false;
}

/* `inside` is what stands between '<' and '>'. */
static bool parse_param(const q5_router *router, q5_slice inside, q5__pattern *pattern) {
    q5_slice converter = Q5_LIT("str"), name = inside;
    const char *colon = inside.len ? memchr(inside.base, ':', inside.len) : NULL;
    if (colon) {
        size_t len = (size_t)(colon - inside.base);
        converter.base = inside.base;
        converter.len = len;
        name = q5_slice_make(colon + 1, inside.len - len - 1);
    }
    if (!is_identifier(name) || has_param(pattern, name)) return false;
    q5__part part = {.is_param = true, .text = name};
    if (!q5__converter_find(router, converter, &part.convert, &part.custom)) return false;
    pattern->parts[pattern->count++] = part;
    return true;
}

/* Which ends are fixed, and who stands behind one that is not. -1, or the index of a part that
 * breaks the rule for custom parameters. */
static int resolve_ends(q5__pattern *pattern) {
    bool nested = false;
    for (size_t i = 1; i < pattern->count; i += 2) {
        q5__part *part = &pattern->parts[i];
        part->nested = nested;
        if (i + 1 == pattern->count) break;
        uint8_t follows = (uint8_t)pattern->parts[i + 1].text.base[0];
        part->open = q5__convert_takes(part->convert, follows, false);
        if (part->convert == Q5_CONVERT_CUSTOM && part->open && nested) return (int)i;
        nested = nested || part->open;
    }
    return -1;
}

int q5__pattern_parse(const q5_router *router, q5_slice text, q5__pattern *ret_pattern,
                      size_t *ret_error) {
    q5__pattern pattern = {0};
    size_t at = 0;
    if (text.len == 0 || text.base[0] != '/' || text.len > Q5_ROUTE_PATTERN_MAX) goto malformed;
    while (at < text.len) {
        if (pattern.count == Q5__PARTS_MAX) goto malformed;
        const char *base = text.base + at;
        size_t rest = text.len - at;
        if (*base == '<') {
            const char *close = memchr(base, '>', rest);
            bool behind_text = pattern.count % 2 == 1;
            if (!close || !behind_text) goto malformed;
            q5_slice inside = q5_slice_make(base + 1, (size_t)(close - base) - 1);
            if (!parse_param(router, inside, &pattern)) goto malformed;
            at += inside.len + 2;
            continue;
        }
        const char *open = memchr(base, '<', rest);
        size_t len = open ? (size_t)(open - base) : rest;
        for (size_t i = 0; i < len; i++, at++)
            if (base[i] == '\0' || base[i] == '>') goto malformed;
        pattern.parts[pattern.count++] = (q5__part){.text = q5_slice_make(base, len)};
    }
    int broken = resolve_ends(&pattern);
    if (broken >= 0) {
        at = (size_t)(pattern.parts[broken].text.base - text.base);
        goto malformed;
    }
    *ret_pattern = pattern;
    return Q5_OK;

malformed:
    *ret_error = at;
    return Q5_EROUTE;
}
