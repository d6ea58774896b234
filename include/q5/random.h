/* Numbers for identifiers that must not meet by accident: xoshiro256** (Blackman and Vigna, 2018).
 * Not for secrets: who sees some of its output can tell what follows. */
#ifndef Q5_RANDOM_H
#define Q5_RANDOM_H

#include "q5/base.h"

#define Q5_RANDOM_SEED_SIZE 32

typedef struct q5_random {
    uint64_t state[4];
} q5_random;

/* The seed comes from above (getrandom); each process and thread has one of its own. Any seed will
 * do, also one of zeroes. */
Q5_EXTERN void q5_random_init(q5_random *random, const uint8_t seed[Q5_RANDOM_SEED_SIZE]);
Q5_EXTERN uint64_t q5_random_next(q5_random *random);

#endif
