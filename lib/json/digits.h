/* Decimal digits, two at a time. */
#ifndef Q5_JSON_DIGITS_H
#define Q5_JSON_DIGITS_H

#include "q5/base.h"

/* "00" "01" ... "99" */
extern const char q5__pairs[200];
/* 1, 10, ..., 10^19 */
extern const uint64_t q5__powers_of_ten[20];

static inline char *q5__two_digits(char *at, unsigned number) {
    memcpy(at, q5__pairs + 2 * number, 2);
    return at + 2;
}

/* How many digits it has; 0 has one. */
static inline unsigned q5__digit_count(uint64_t number) {
    /* 1233 / 4096 is a little more than log10(2); the table corrects what is rounded down. */
    unsigned guess = ((64 - (unsigned)__builtin_clzll(number | 1)) * 1233) >> 12;
    return guess + (number >= q5__powers_of_ten[guess] || guess == 0);
}

/* Exactly `count` digits, with zeros in front; more than the number has lose its first ones. */
static inline char *q5__put_digits(char *at, uint64_t number, unsigned count) {
    char *end = at + count;
    for (at = end; count > 8; count -= 2, number /= 100) /* past 32 bits division is slower */
        q5__two_digits(at -= 2, (unsigned)(number % 100));
    uint32_t rest = (uint32_t)(number % 100000000);
    for (; count >= 2; count -= 2, rest /= 100)
        q5__two_digits(at -= 2, rest % 100);
    if (count) at[-1] = (char)('0' + rest % 10);
    return end;
}

#endif
