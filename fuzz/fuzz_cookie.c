/* Pairs stay inside the field and are stripped; unquoting never grows a value. */
#include "q5/cookie.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    q5_slice text = q5_slice_make((const char *)data, size);
    q5_arena arena;
    q5_arena_init(&arena, NULL, SIZE_MAX);
    q5_cookies it;
    q5_cookies_init(&it, text, 100);
    q5_slice name, value, plain;
    int status;
    size_t count = 0;
    while ((status = q5_cookies_next(&it, &name, &value)) == Q5_OK) {
        if (++count > 100 || name.len + value.len == 0) abort();
        if (name.base < text.base || value.base + value.len > text.base + size) abort();
        if (value.len && (memchr(value.base, ';', value.len) || value.base[0] == ' ')) abort();
        if (name.len && (memchr(name.base, '=', name.len) || name.base[name.len - 1] == ' '))
            abort();
        if (q5_cookie_unquote(value, &arena, &plain) == Q5_OK && plain.len > value.len) abort();
    }
    if (status != Q5_DONE && status != Q5_ETOO_MANY) abort();
    q5_arena_deinit(&arena);
    return 0;
}
