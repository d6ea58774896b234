/* What is decoded is UTF-8 without control characters, and has one encoding only: that which was
 * sent. */
#include "q5/credentials.h"
#include "q5/percent.h"

#include <stdlib.h>

static size_t encode(q5_slice text, char *out) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t len = 0;
    for (size_t i = 0; i < text.len; i += 3) {
        uint32_t group = 0;
        for (size_t k = 0; k < 3; k++)
            group = group << 8 | (i + k < text.len ? (uint8_t)text.base[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            out[len++] = i + k <= text.len ? digits[group >> (18 - 6 * k) & 63] : '=';
    }
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    q5_slice field = q5_slice_make((const char *)data, size), token, user, password;
    if (!q5_credentials_find(field, Q5_LIT("Basic"), &token)) return 0;
    if (token.base < field.base || token.base + token.len > field.base + size) abort();
    char room[Q5_BASIC_ROOM], again[Q5_BASIC_MAX];
    if (q5_basic_decode(token, room, &user, &password)) return 0;
    if (user.base != room || password.base != room + user.len + 1) abort();
    q5_slice all = q5_slice_make(room, user.len + 1 + password.len);
    if (all.len > sizeof(room) || room[user.len] != ':' || !q5_utf8_valid(all)) abort();
    if (user.len && memchr(user.base, ':', user.len)) abort();
    for (size_t i = 0; i < all.len; i++)
        if ((uint8_t)room[i] < 0x20 || room[i] == 0x7f) abort();
    size_t len = encode(all, again);
    if (!q5_slice_eq(q5_slice_make(again, len), token)) abort();
    return 0;
}
