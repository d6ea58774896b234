#include "base/sha1.h"

#include <assert.h>

#define BLOCK 64

static uint32_t rotate(uint32_t word, unsigned bits) {
    return word << bits | word >> (32 - bits);
}

static uint32_t load(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* RFC 3174, 6.1: f and K of round t. */
static uint32_t mix(unsigned t, uint32_t b, uint32_t c, uint32_t d) {
    if (t < 20) return ((b & c) | (~b & d)) + 0x5a827999;
    if (t < 40) return (b ^ c ^ d) + 0x6ed9eba1;
    if (t < 60) return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
    return (b ^ c ^ d) + 0xca62c1d6;
}

static void take_block(uint32_t hash[5], const uint8_t *block) {
    uint32_t words[80];
    for (unsigned t = 0; t < 16; t++)
        words[t] = load(block + (size_t)t * 4);
    for (unsigned t = 16; t < 80; t++)
        words[t] = rotate(words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16], 1);
    uint32_t a = hash[0], b = hash[1], c = hash[2], d = hash[3], e = hash[4];
    for (unsigned t = 0; t < 80; t++) {
        uint32_t next = rotate(a, 5) + mix(t, b, c, d) + e + words[t];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    hash[0] += a;
    hash[1] += b;
    hash[2] += c;
    hash[3] += d;
    hash[4] += e;
}

void q5__sha1(q5_slice data, uint8_t out[Q5__SHA1_LEN]) {
    uint32_t hash[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    uint8_t padded[2 * BLOCK] = {0};
    assert(data.len <= Q5__SHA1_INPUT_MAX);
    if (data.len) memcpy(padded, data.base, data.len);
    padded[data.len] = 0x80;
    size_t end = data.len + 9 <= BLOCK ? BLOCK : sizeof(padded);
    padded[end - 2] = (uint8_t)(data.len * 8 >> 8);
    padded[end - 1] = (uint8_t)(data.len * 8);
    for (size_t at = 0; at < end; at += BLOCK)
        take_block(hash, padded + at);
    for (size_t i = 0; i < Q5__SHA1_LEN; i++)
        out[i] = (uint8_t)(hash[i / 4] >> (24 - 8 * (i % 4)));
}
