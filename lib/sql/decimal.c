/* Decimal numbers as text: how Python's Decimal is written, and exactly rounded doubles from it. */
#include <stdlib.h>

#include "sql/sql_internal.h"

#define EXACT_DIGITS 19 /* any number of so many fits 64 bits */
#define EXACT_INT_MAX (UINT64_C(1) << 53)
#define EXACT_POWER_MAX 22 /* 10^22 is the greatest power of ten that is a double */
#define DIGITS_MAX 780     /* more never decide between two doubles, but for being there at all */
#define EXPONENT_MAX 100000

/* General Decimal Arithmetic, "to-scientific-string". */
int q5__write_decimal(q5_buf *out, bool negative, const char *digits, size_t count,
                      int64_t exponent) {
    int64_t point = (int64_t)count + exponent; /* digits before the point */
    bool plain = exponent <= 0 && point > -6;
    char *at = q5__room(out, count + 32);
    if (!at) return Q5_ENOMEM;
    *at++ = '"';
    if (negative) *at++ = '-';
    if (plain && point <= 0) {
        at = Q5__PUT(at, "0.");
        memset(at, '0', (size_t)-point);
        at = q5__put(at - point, digits, count);
    } else {
        size_t whole = plain ? (size_t)point : 1;
        at = q5__put(at, digits, whole);
        if (whole < count) {
            *at++ = '.';
            at = q5__put(at, digits + whole, count - whole);
        }
    }
    if (!plain) {
        *at++ = 'E';
        if (point > 0) *at++ = '+';
        at = q5_json_int(at, point - 1);
    }
    *at++ = '"';
    return q5__wrote(out, at);
}

/* A number's digits without leading zeros and without its point. */
typedef struct parsed {
    char text[DIGITS_MAX + 16]; /* room for "e-100000" behind the digits */
    int count;
    bool more; /* one that is not zero was left out */
    bool negative;
    int64_t exponent;
} parsed;

static int64_t parse_exponent(const char *at, const char *end) {
    bool negative = *at == '-';
    if (*at == '-' || *at == '+') at++;
    int64_t exponent = 0;
    for (; at < end && exponent < EXPONENT_MAX; at++)
        exponent = exponent * 10 + (*at - '0');
    return negative ? -exponent : exponent;
}

static void parse(q5_slice text, parsed *ret) {
    const char *at = text.base, *end = at + text.len;
    bool fraction = false;
    ret->count = 0;
    ret->exponent = 0;
    ret->more = false;
    ret->negative = *at == '-';
    for (at += ret->negative; at < end && q5_lower(*at) != 'e'; at++) {
        if (*at == '.') {
            fraction = true;
            continue;
        }
        ret->exponent -= fraction;
        if (ret->count < DIGITS_MAX) {
            ret->text[ret->count] = *at;
            if (ret->count || *at != '0') ret->count++;
        } else {
            ret->exponent++;
            ret->more |= *at != '0';
        }
    }
    if (at < end) ret->exponent += parse_exponent(at + 1, end);
}

/* Two doubles that are exact give a product or quotient that is rounded once (Clinger, "How to read
 * floating point numbers accurately", 1990). */
static bool parse_exactly(const parsed *p, double *ret) {
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (p->count > EXACT_DIGITS || p->exponent < -EXACT_POWER_MAX || p->exponent > EXACT_POWER_MAX)
        return false;
    uint64_t number = 0;
    for (int i = 0; i < p->count; i++)
        number = number * 10 + (uint64_t)(p->text[i] - '0');
    if (number > EXACT_INT_MAX) return false;
    double exact = (double)number;
    *ret = p->exponent < 0 ? exact / powers[-p->exponent] : exact * powers[p->exponent];
    return true;
}

/* strtod minds the locale only where it meets a point, and here it meets none. */
static double parse_slowly(parsed *p) {
    char *at = p->text + p->count;
    int64_t exponent = p->exponent;
    if (p->more) {
        *at++ = '1';
        exponent--;
    }
    if (exponent > EXPONENT_MAX) exponent = EXPONENT_MAX;
    if (exponent < -EXPONENT_MAX) exponent = -EXPONENT_MAX;
    *at++ = 'e';
    *q5_json_int(at, exponent) = 0;
    return strtod(p->text, NULL);
}

double q5__parse_double(q5_slice text) {
    parsed p;
    double number;
    parse(text, &p);
    if (!parse_exactly(&p, &number)) number = p.count ? parse_slowly(&p) : 0.0;
    return p.negative ? -number : number;
}
