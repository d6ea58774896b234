#include "q5/siphash.h"

/* Little endian whatever the machine. */
static uint64_t read_word(const uint8_t *bytes) {
    uint64_t word = 0;
    for (int i = 7; i >= 0; i--)
        word = word << 8 | bytes[i];
    return word;
}

static void write_word(uint8_t *bytes, uint64_t word) {
    for (int i = 0; i < 8; i++, word >>= 8)
        bytes[i] = (uint8_t)word;
}

static inline uint64_t rotate(uint64_t x, int bits) {
    return x << bits | x >> (64 - bits);
}

static inline void rounds(uint64_t v[4], int count) {
    while (count--) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] = rotate(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] = rotate(v[2], 32);
    }
}

static inline void take(uint64_t v[4], uint64_t word) {
    v[3] ^= word;
    rounds(v, 2);
    v[0] ^= word;
}

void q5_siphash_init(q5_siphash *hash, const uint8_t key[Q5_SIPHASH_KEY_LEN]) {
    uint64_t k0 = read_word(key), k1 = read_word(key + 8);
    /* The constants are "somepseudorandomlygeneratedbytes"; 0xee marks the long result. */
    *hash = (q5_siphash){.v = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du ^ 0xee,
                               k0 ^ 0x6c7967656e657261u, k1 ^ 0x7465646279746573u}};
}

void q5_siphash_feed(q5_siphash *hash, q5_slice data) {
    if (data.len == 0) return; /* its base may be NULL */
    const uint8_t *at = (const uint8_t *)data.base;
    size_t left = data.len, kept = hash->total % 8;
    hash->total += data.len;
    if (kept) {
        size_t fill = left < 8 - kept ? left : 8 - kept;
        memcpy(hash->tail + kept, at, fill);
        if (kept + fill < 8) return;
        take(hash->v, read_word(hash->tail));
        at += fill;
        left -= fill;
    }
    for (; left >= 8; at += 8, left -= 8)
        take(hash->v, read_word(at));
    if (left) memcpy(hash->tail, at, left);
}

void q5_siphash_feed_counted(q5_siphash *hash, q5_slice data) {
    uint8_t len[8];
    write_word(len, data.len);
    q5_siphash_feed(hash, q5_slice_make((const char *)len, sizeof(len)));
    q5_siphash_feed(hash, data);
}

void q5_siphash_end(q5_siphash *hash, uint8_t ret_hash[Q5_SIPHASH_LEN]) {
    memset(hash->tail + hash->total % 8, 0, 8 - hash->total % 8);
    hash->tail[7] = (uint8_t)hash->total;
    take(hash->v, read_word(hash->tail));
    for (int half = 0; half < 2; half++) {
        if (half == 0)
            hash->v[2] ^= 0xee;
        else
            hash->v[1] ^= 0xdd;
        rounds(hash->v, 4);
        write_word(ret_hash + 8 * half, hash->v[0] ^ hash->v[1] ^ hash->v[2] ^ hash->v[3]);
    }
}
