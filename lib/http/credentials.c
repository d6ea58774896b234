#include "q5/credentials.h"

#include "q5/percent.h"

bool q5_credentials_find(q5_slice field, q5_slice scheme, q5_slice *ret_token) {
    if (field.len < scheme.len || !q5_slice_ieq(q5_slice_make(field.base, scheme.len), scheme))
        return false;
    const char *base = field.base + scheme.len, *end = field.base + field.len;
    if (base != end && *base != ' ') return false; /* another scheme, which begins the same */
    while (base != end && *base == ' ')
        base++;
    while (base != end && end[-1] == ' ')
        end--;
    *ret_token = q5_slice_make(base, (size_t)(end - base));
    return true;
}

/* The value of a base64 digit, or -1. */
static int digit_of(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Strict: a text has one encoding only. Q5_OK or Q5_EINVAL; room has 3 bytes for each 4. */
static int decode_base64(q5_slice in, char *room, size_t *ret_len) {
    if (in.len % 4) return Q5_EINVAL;
    size_t padding = 0, len = 0;
    while (padding < 2 && padding < in.len && in.base[in.len - 1 - padding] == '=')
        padding++;
    uint32_t group = 0;
    for (size_t i = 0; i < in.len - padding; i++) {
        int digit = digit_of(in.base[i]);
        if (digit < 0) return Q5_EINVAL;
        group = group << 6 | (uint32_t)digit;
        /* Each digit but the first of a group completes a byte. */
        size_t bits = 6 * (i % 4 + 1);
        if (i % 4) room[len++] = (char)(uint8_t)(group >> (bits % 8));
        if (i % 4 == 3) group = 0;
    }
    uint32_t unused = padding == 1 ? 0x3 : padding == 2 ? 0xf : 0;
    if (group & unused) return Q5_EINVAL;
    *ret_len = len;
    return Q5_OK;
}

static bool has_control(q5_slice text) {
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = (uint8_t)text.base[i];
        if (c < 0x20 || c == 0x7f) return true;
    }
    return false;
}

int q5_basic_decode(q5_slice token, char room[Q5_BASIC_ROOM], q5_slice *ret_user,
                    q5_slice *ret_password) {
    size_t len;
    if (token.len > Q5_BASIC_MAX || decode_base64(token, room, &len)) return Q5_EINVAL;
    q5_slice text = q5_slice_make(room, len);
    const char *colon = len ? memchr(room, ':', len) : NULL;
    if (!colon || has_control(text)) return Q5_EINVAL;
    if (!q5_utf8_valid(text)) return Q5_EENCODING;
    size_t user_len = (size_t)(colon - room);
    *ret_user = q5_slice_make(room, user_len);
    *ret_password = q5_slice_make(colon + 1, len - user_len - 1);
    return Q5_OK;
}
