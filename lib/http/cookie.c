#include "q5/cookie.h"

void q5_cookies_init(q5_cookies *it, q5_slice value, size_t cookies_max) {
    it->next = value.base;
    it->end = value.len ? value.base + value.len : value.base;
    it->left = cookies_max ? cookies_max : Q5_COOKIES_MAX;
}

/* str.isspace() of one ASCII character. */
static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
}

static q5_slice strip(const char *base, const char *end) {
    while (base != end && is_space(*base))
        base++;
    while (base != end && is_space(end[-1]))
        end--;
    return q5_slice_make(base, (size_t)(end - base));
}

int q5_cookies_next(q5_cookies *it, q5_slice *ret_name, q5_slice *ret_value) {
    while (it->next != it->end) {
        if (it->left == 0) return Q5_ETOO_MANY;
        it->left--;
        const char *base = it->next;
        const char *semicolon = memchr(base, ';', (size_t)(it->end - base));
        const char *end = semicolon ? semicolon : it->end;
        it->next = semicolon ? semicolon + 1 : it->end;
        const char *eq = end == base ? NULL : memchr(base, '=', (size_t)(end - base));
        q5_slice name = strip(base, eq ? eq : base);
        q5_slice value = strip(eq ? eq + 1 : base, end);
        if (name.len == 0 && value.len == 0) continue;
        *ret_name = name;
        *ret_value = value;
        return Q5_OK;
    }
    return Q5_DONE;
}

static bool is_octal(const char *s) {
    return s[0] >= '0' && s[0] <= '3' && s[1] >= '0' && s[1] <= '7' && s[2] >= '0' && s[2] <= '7';
}

int q5_cookie_unquote(q5_slice value, q5_arena *arena, q5_slice *ret_out) {
    if (value.len < 2 || value.base[0] != '"' || value.base[value.len - 1] != '"') {
        *ret_out = value;
        return Q5_OK;
    }
    q5_slice in = q5_slice_make(value.base + 1, value.len - 2);
    if (in.len == 0 || !memchr(in.base, '\\', in.len)) {
        *ret_out = in;
        return Q5_OK;
    }
    char *out = q5_arena_alloc(arena, in.len);
    if (!out) return Q5_ENOMEM;
    size_t len = 0;
    for (size_t i = 0; i < in.len; i++) {
        size_t left = in.len - i;
        const char *s = in.base + i;
        if (*s != '\\' || left < 2 || s[1] == '\n') {
            out[len++] = *s;
        } else if (left >= 4 && is_octal(s + 1)) {
            unsigned code = (unsigned)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
            if (code >= 0x80) out[len++] = (char)(0xc0 | code >> 6);
            out[len++] = (char)(code >= 0x80 ? 0x80 | (code & 0x3f) : code);
            i += 3;
        } else {
            out[len++] = s[1];
            i++;
        }
    }
    *ret_out = q5_slice_make(out, len);
    return Q5_OK;
}
