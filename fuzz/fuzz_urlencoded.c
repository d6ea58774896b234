/* Pairs stay inside the text and in order; decoding never grows them. */
#include "q5/urlencoded.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    q5_slice text = q5_slice_make((const char *)data, size);
    q5_arena arena;
    q5_arena_init(&arena, NULL, SIZE_MAX);
    q5_urlencoded raw, decoded;
    q5_urlencoded_init(&raw, text, 100);
    q5_urlencoded_init(&decoded, text, 100);
    const char *last = text.base;
    for (int n = 0;; n++) {
        q5_slice name, value, name2, value2;
        int status = q5_urlencoded_next(&raw, &name, &value);
        if (q5_urlencoded_next_decoded(&decoded, &arena, &name2, &value2) != status) abort();
        if (status) break;
        if (n == 100 || name.base < last || value.base < name.base + name.len) abort();
        last = value.base + value.len;
        if (last > text.base + size) abort();
        if (name2.len > name.len || value2.len > value.len) abort();
        if (name.len && memchr(name.base, '&', name.len)) abort();
        if (name.len && memchr(name.base, '=', name.len)) abort();
        (void)q5_utf8_valid(name2);
        q5_slice strict;
        status = q5_percent_decode_arena(value, Q5_PERCENT_UTF8, &arena, &strict);
        if (status == Q5_OK && !q5_utf8_valid(strict)) abort();
    }
    q5_arena_deinit(&arena);
    return 0;
}
