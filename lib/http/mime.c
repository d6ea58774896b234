#include "q5/mime.h"

#include <assert.h>

#define EXTENSION_MAX 12

typedef struct mime_type {
    char extension[EXTENSION_MAX];
    uint8_t extension_len;
    uint8_t type_len;
    const char *type;
} mime_type;

static const mime_type types[] = {
#define XX(extension, type) {extension, sizeof(extension) - 1, sizeof(type) - 1, type},
#include "http/mime_types.inc"
#undef XX
};

#define XX(extension, type) static_assert(sizeof(extension) <= EXTENSION_MAX, "too long");
#include "http/mime_types.inc"
#undef XX

/* The extension in lower case, without its dot; 0 when there is none that could be known. */
static size_t extension_of(q5_slice path, char out[EXTENSION_MAX]) {
    size_t start = path.len;
    while (start && path.base[start - 1] != '.' && path.base[start - 1] != '/')
        start--;
    size_t len = path.len - start;
    if (start < 2 || path.base[start - 1] != '.' || path.base[start - 2] == '/') return 0;
    if (len >= EXTENSION_MAX) return 0;
    for (size_t i = 0; i < len; i++)
        out[i] = q5_lower(path.base[start + i]);
    return len;
}

q5_slice q5_mime_find(q5_slice path) {
    char extension[EXTENSION_MAX];
    size_t len = extension_of(path, extension);
    size_t low = 0, high = Q5_ARRAY_LEN(types);
    while (len && low < high) {
        size_t middle = low + (high - low) / 2;
        const mime_type *t = &types[middle];
        int order =
            memcmp(extension, t->extension, len < t->extension_len ? len : t->extension_len);
        if (order == 0) order = (len > t->extension_len) - (len < t->extension_len);
        if (order == 0) return q5_slice_make(t->type, t->type_len);
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return Q5_LIT("application/octet-stream");
}

static bool has_suffix(q5_slice s, q5_slice suffix) {
    return s.len >= suffix.len &&
           q5_slice_ieq(q5_slice_make(s.base + s.len - suffix.len, suffix.len), suffix);
}

static bool has_prefix(q5_slice s, q5_slice prefix) {
    return s.len >= prefix.len && q5_slice_ieq(q5_slice_make(s.base, prefix.len), prefix);
}

bool q5_mime_compressible(q5_slice content_type) {
    static const char *const others[] = {
        "application/graphql",
        "application/javascript",
        "application/json",
        "application/json5",
        "application/jsonl",
        "application/postscript",
        "application/rtf",
        "application/toml",
        "application/vnd.apple.mpegurl",
        "application/vnd.ms-fontobject",
        "application/wasm",
        "application/x-ndjson",
        "application/x-pem-file",
        "application/x-sh",
        "application/x-subrip",
        "application/x-tar",
        "application/xml",
        "application/xml-dtd",
        "application/yaml",
        "font/collection",
        "font/otf",
        "font/ttf",
        "image/bmp",
        "image/vnd.microsoft.icon",
        "message/rfc822",
        "model/obj",
    };
    q5_slice type = content_type;
    const char *semicolon = type.len ? memchr(type.base, ';', type.len) : NULL;
    if (semicolon) type.len = (size_t)(semicolon - type.base);
    while (type.len && (type.base[type.len - 1] == ' ' || type.base[type.len - 1] == '\t'))
        type.len--;
    /* Events must leave one by one: a compressor would hold them back. */
    if (q5_slice_ieq(type, Q5_LIT("text/event-stream"))) return false;
    if (has_prefix(type, Q5_LIT("text/"))) return true;
    if (has_suffix(type, Q5_LIT("+json")) || has_suffix(type, Q5_LIT("+xml"))) return true;
    for (size_t i = 0; i < Q5_ARRAY_LEN(others); i++)
        if (q5_slice_ieq(type, q5_slice_make(others[i], strlen(others[i])))) return true;
    return false;
}
