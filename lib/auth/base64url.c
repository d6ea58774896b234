#include "q5/base64url.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* One more than the value of each character; 0 for those that are none. */
static const uint8_t places[256] = {
    ['-'] = 63, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56, ['4'] = 57, ['5'] = 58, ['6'] = 59,
    ['7'] = 60, ['8'] = 61, ['9'] = 62, ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,
    ['F'] = 6,  ['G'] = 7,  ['H'] = 8,  ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13,
    ['N'] = 14, ['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21,
    ['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['_'] = 64, ['a'] = 27, ['b'] = 28,
    ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36,
    ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44,
    ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52,
};

/* The bits of `count` characters; false: one of them is none. */
static bool take(const char *text, size_t count, uint32_t *ret_bits) {
    uint32_t bits = 0;
    for (size_t i = 0; i < count; i++) {
        uint8_t place = places[(uint8_t)text[i]];
        if (place == 0) return false;
        bits = bits << 6 | (uint32_t)(place - 1);
    }
    *ret_bits = bits;
    return true;
}

int q5_base64url_decode(q5_slice text, char *out, size_t *ret_len) {
    size_t rest = text.len % 4, whole = text.len - rest;
    uint32_t bits;
    char *to = out;
    if (rest == 1) return Q5_EENCODING;
    for (size_t i = 0; i < whole; i += 4) {
        if (!take(text.base + i, 4, &bits)) return Q5_EENCODING;
        *to++ = (char)(bits >> 16);
        *to++ = (char)(bits >> 8);
        *to++ = (char)bits;
    }
    if (rest) {
        if (!take(text.base + whole, rest, &bits)) return Q5_EENCODING;
        /* 12 or 18 bits for one byte or two: what is over is zero. */
        unsigned over = rest == 2 ? 4 : 2;
        if (bits & ((1u << over) - 1)) return Q5_EENCODING;
        bits >>= over;
        if (rest == 3) *to++ = (char)(bits >> 8);
        *to++ = (char)bits;
    }
    *ret_len = (size_t)(to - out);
    return Q5_OK;
}

void q5_base64url_encode(q5_slice bytes, char *out) {
    const uint8_t *from = (const uint8_t *)bytes.base;
    size_t left = bytes.len;
    for (; left >= 3; left -= 3, from += 3) {
        uint32_t bits = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];
        for (int shift = 18; shift >= 0; shift -= 6)
            *out++ = alphabet[bits >> shift & 63];
    }
    if (left == 0) return;
    uint32_t bits = (uint32_t)from[0] << 16 | (left == 2 ? (uint32_t)from[1] << 8 : 0);
    *out++ = alphabet[bits >> 18];
    *out++ = alphabet[bits >> 12 & 63];
    if (left == 2) *out++ = alphabet[bits >> 6 & 63];
}
