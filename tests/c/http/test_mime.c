#include "q5/mime.h"

#include "q5test.h"

static const struct row {
    const char *path;
    const char *type;
} rows[] = {
    {"app.js",
     "text/javascript; charset=utf-8"}, /* RFC 9239, 6: application/javascript is obsolete */
    {"app.mjs", "text/javascript; charset=utf-8"},
    {"app.js.map", "application/json"},
    {"a.json", "application/json"},
    {"a.css", "text/css; charset=utf-8"},
    {"index.html", "text/html; charset=utf-8"},
    {"INDEX.HTM", "text/html; charset=utf-8"},
    {"a.wasm", "application/wasm"}, /* instantiateStreaming refuses any other */
    {"a.woff2", "font/woff2"},      /* RFC 8081, 4.4.6 */
    {"a.woff", "font/woff"},
    {"a.svg", "image/svg+xml"},
    {"a.webp", "image/webp"}, /* RFC 9649 */
    {"a.avif", "image/avif"},
    {"a.png", "image/png"},
    {"a.jpeg", "image/jpeg"},
    {"favicon.ico", "image/vnd.microsoft.icon"},
    {"site.webmanifest", "application/manifest+json"},
    {"a.md", "text/markdown; charset=utf-8"}, /* RFC 7763 */
    {"a.csv", "text/csv; charset=utf-8"},
    {"a.txt", "text/plain; charset=utf-8"},
    {"a.pdf", "application/pdf"},
    {"a.mp4", "video/mp4"},
    {"a.3gp", "video/3gpp"},       /* the first entry */
    {"a.zst", "application/zstd"}, /* the last one */
    {"a.tar.gz", "application/gzip"},
    {"dir.js/a.css", "text/css; charset=utf-8"},
    {"dir.js/a", "application/octet-stream"},
    {"a", "application/octet-stream"},
    {"", "application/octet-stream"},
    {"a.", "application/octet-stream"},
    {".js", "application/octet-stream"},
    {"dir/.js", "application/octet-stream"},
    {".hidden.js", "text/javascript; charset=utf-8"},
    {"a.unknown", "application/octet-stream"},
    {"a.jso", "application/octet-stream"},
    {"a.jsonldx", "application/octet-stream"},
    {"a.averyveryverylongextension", "application/octet-stream"},
};

static void test_find(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_slice got = q5_mime_find(q5_slice_make(rows[i].path, strlen(rows[i].path)));
        if (!q5_slice_eq(got, q5_slice_make(rows[i].type, strlen(rows[i].type))))
            fail_msg("%s: %.*s", rows[i].path, (int)got.len, got.base);
    }
}

static const struct {
    const char *extension;
    const char *type;
} table[] = {
#define XX(extension, type) {extension, type},
#include "http/mime_types.inc"
#undef XX
};

static void test_table(void **state) {
    (void)state;
    assert_true(Q5_ARRAY_LEN(table) > 150);
    for (size_t i = 0; i < Q5_ARRAY_LEN(table); i++) {
        if (i && strcmp(table[i - 1].extension, table[i].extension) >= 0)
            fail_msg("%s is out of order", table[i].extension);
        char path[32];
        int len = snprintf(path, sizeof(path), "a.%s", table[i].extension);
        assert_slice(q5_mime_find(q5_slice_make(path, (size_t)len)), table[i].type);
        const char *charset = strstr(table[i].type, "; charset=utf-8");
        assert_int_equal(strncmp(table[i].type, "text/", 5) == 0, charset != NULL);
    }
}

static void test_compressible(void **state) {
    (void)state;
    static const struct {
        const char *type;
        bool want;
    } types[] = {
        {"text/html; charset=utf-8", true},
        {"TEXT/plain", true},
        {"application/json", true},
        {"application/json ; charset=utf-8", true},
        {"application/problem+json", true},
        {"image/svg+xml", true},
        {"application/wasm", true},
        {"font/ttf", true},
        {"font/woff2", false},
        {"image/png", false},
        {"video/mp4", false},
        {"application/zip", false},
        {"application/jsonx", false},
        {"text/event-stream", false},
        {"application/octet-stream", false},
        {"", false},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(types); i++)
        if (q5_mime_compressible(q5_slice_make(types[i].type, strlen(types[i].type))) !=
            types[i].want)
            fail_msg("%s", types[i].type);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_compressible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
