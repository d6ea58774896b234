/* The shortest decimal of a double, after Raffaello Giulietti, "The Schubfach way to render
 * doubles" (2020, revised 2022). The letters are the paper's: a double is v = c * 2^q; the decimals
 * that round to it lie between vl and vr; k is the greatest exponent for which 10^k is at most the
 * width of that interval, so that the interval has at least one multiple of 10^k and at most one of
 * 10^(k+1). Scaled by 4 / 10^k, vl, v and vr become integers whose last bit says that something was
 * cut off ("round to odd"); the candidates s and s + 1 are then compared with them in integers. */
#include "q5/json_number.h"

#include "json/digits.h"

#define FRACTION_BITS 52
#define FRACTION_MASK ((UINT64_C(1) << FRACTION_BITS) - 1)
#define EXPONENT_MASK 0x7ff
#define EXPONENT_BIAS 1075 /* of the significand as an integer */

__extension__ typedef unsigned __int128 u128;

typedef struct power {
    uint64_t high, low;
} power;

#define POWER_FIRST (-292)
static const power powers[] = {
#include "json/powers_of_ten.inc"
};
_Static_assert(Q5_ARRAY_LEN(powers) == 324 - POWER_FIRST + 1, "a power for every exponent");

/* The upper 64 of 192 bits of g * c, with the last bit set if what is below is more than the
 * table's rounding may have added. */
static uint64_t round_to_odd(const power *g, uint64_t c) {
    u128 low = (u128)g->low * c;
    u128 high = (u128)g->high * c + (uint64_t)(low >> 64);
    return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

/* open: the ends of the interval do not belong to it. */
static q5_decimal64 shortest(uint64_t c, int q, bool irregular, bool open) {
    int k = irregular ? (q * 1262611 - 524031) >> 22 : (q * 1262611) >> 22;
    unsigned h = (unsigned)(q + ((-k * 1741647) >> 19) + 1);
    const power *g = &powers[-k - POWER_FIRST];
    uint64_t vl = round_to_odd(g, (4 * c - (irregular ? 1 : 2)) << h) + open;
    uint64_t v = round_to_odd(g, (4 * c) << h);
    uint64_t vr = round_to_odd(g, (4 * c + 2) << h) - open;
    uint64_t s = v / 4;
    if (s >= 10) {
        uint64_t tens = s / 10;
        bool below = vl <= 40 * tens, above = 40 * tens + 40 <= vr;
        if (below != above) return (q5_decimal64){tens + above, k + 1};
    }
    bool below = vl <= 4 * s, above = 4 * s + 4 <= vr;
    if (below != above) return (q5_decimal64){s + above, k};
    uint64_t middle = 4 * s + 2;
    bool up = v > middle || (v == middle && (s & 1));
    return (q5_decimal64){s + up, k};
}

static uint64_t bits_of(double number) {
    uint64_t bits;
    memcpy(&bits, &number, sizeof(bits));
    return bits;
}

q5_decimal64 q5_double_shortest(double number) {
    uint64_t bits = bits_of(number), fraction = bits & FRACTION_MASK;
    int exponent = (int)(bits >> FRACTION_BITS & EXPONENT_MASK);
    if (exponent == 0) return shortest(fraction, 1 - EXPONENT_BIAS, false, fraction & 1);
    uint64_t c = fraction | (UINT64_C(1) << FRACTION_BITS);
    int q = exponent - EXPONENT_BIAS;
    /* Below 2^53 an integer is its own decimal: no other integer rounds to it. */
    if (q <= 0 && q > -FRACTION_BITS - 1 && (c & ((UINT64_C(1) << -q) - 1)) == 0)
        return (q5_decimal64){c >> -q, 0};
    /* At an even c the ends round to v too (round half to even). */
    return shortest(c, q, fraction == 0 && exponent > 1, c & 1);
}

/* The same for a float, whose neighbours are further away. PostgreSQL never takes an end of the
 * interval (float_to_shortest_decimal_buf). */
static q5_decimal64 float_shortest(uint32_t bits) {
    uint64_t fraction = bits & 0x7fffff;
    int exponent = (int)(bits >> 23 & 0xff);
    if (exponent == 0) return shortest(fraction, -149, false, true);
    return shortest(fraction | 0x800000, exponent - 150, fraction == 0 && exponent > 1, true);
}

static char *put(char *at, const char *text, size_t len) {
    memcpy(at, text, len);
    return at + len;
}

static char *zeros(char *at, int count) {
    memset(at, '0', (size_t)count);
    return at + count;
}

/* "1.5e-7": one digit, the others behind a point. */
static char *scientific(char *at, uint64_t digits, int count, int exponent) {
    q5__put_digits(at + 1, digits, (unsigned)count);
    at[0] = at[1];
    at[1] = '.';
    at += count == 1 ? 1 : count + 1;
    *at++ = 'e';
    return q5_json_int(at, exponent);
}

/* digits > 0; most doubles that people write down have many zeros in the end. */
static void strip_zeros(uint64_t *digits, int *exponent) {
#define STRIP(power, count)       \
    if (*digits % (power) == 0) { \
        *digits /= (power);       \
        *exponent += (count);     \
    }
    STRIP(100000000, 8) /* 16 in all, for at most 17 digits */
    STRIP(10000, 4)
    STRIP(100, 2)
    STRIP(10, 1)
    STRIP(10, 1)
#undef STRIP
}

static char *write_decimal(char *at, q5_decimal64 decimal) {
    uint64_t digits = decimal.digits;
    int exponent = decimal.exponent;
    if (exponent) strip_zeros(&digits, &exponent);
    int count = (int)q5__digit_count(digits);
    if (exponent >= 0 && count + exponent <= 16) {
        at = q5__put_digits(at, digits, (unsigned)count);
        return put(zeros(at, exponent), ".0", 2);
    }
    int point = count + exponent; /* digits before the point */
    if (point > 16 || point <= -5) return scientific(at, digits, count, point - 1);
    if (point <= 0) return q5__put_digits(zeros(put(at, "0.", 2), -point), digits, (unsigned)count);
    q5__put_digits(at + 1, digits, (unsigned)count);
    memmove(at, at + 1, (size_t)point);
    at[point] = '.';
    return at + count + 1;
}

char *q5_json_double(char *at, double number) {
    uint64_t bits = bits_of(number);
    if ((bits >> FRACTION_BITS & EXPONENT_MASK) == EXPONENT_MASK) return put(at, "null", 4);
    if (bits >> 63) {
        *at++ = '-';
        number = -number;
    }
    if (bits << 1 == 0) return put(at, "0.0", 3);
    return write_decimal(at, q5_double_shortest(number));
}

char *q5_json_float(char *at, float number) {
    uint32_t bits;
    memcpy(&bits, &number, sizeof(bits));
    if ((bits >> 23 & 0xff) == 0xff) return put(at, "null", 4);
    if (bits >> 31) *at++ = '-';
    if (bits << 1 == 0) return put(at, "0.0", 3);
    return write_decimal(at, float_shortest(bits));
}
