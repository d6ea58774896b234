#include "q5/random.h"

void q5_random_init(q5_random *random, const uint8_t seed[Q5_RANDOM_SEED_SIZE]) {
    memcpy(random->state, seed, Q5_RANDOM_SEED_SIZE);
    /* All zeroes is the one state that the generator never leaves. */
    if (!(random->state[0] | random->state[1] | random->state[2] | random->state[3]))
        random->state[0] = 0x9e3779b97f4a7c15;
}

static uint64_t rotate(uint64_t x, int k) {
    return (x << k) | (x >> (64 - k));
}

uint64_t q5_random_next(q5_random *random) {
    uint64_t *s = random->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}
