#include "sql/param_numeric.h"

#include "sql/wire.h"

#define WHOLE_MAX 131072
#define DSCALE_MAX 16383
#define EXPONENT_MAX 1000000
#define NEGATIVE 0x4000
#define NOT_A_NUMBER 0xC000
#define INFINITE 0xD000
#define MINUS_INFINITE 0xF000

/* value == digits * 10^exponent. The digits may have one point between them, which is skipped. */
typedef struct decimal {
    bool negative;
    const char *digits, *end;
    int64_t count; /* without leading zeros; 0 for zero */
    int64_t exponent;
} decimal;

static bool parse_exponent(const char *at, const char *end, int64_t *ret) {
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) at++;
    if (at == end) return false;
    int64_t exponent = 0;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9') return false;
        if (exponent < EXPONENT_MAX) exponent = exponent * 10 + (*at - '0');
    }
    *ret = negative ? -exponent : exponent;
    return true;
}

static bool parse(q5_slice text, decimal *ret) {
    const char *at = text.base, *end = at + text.len;
    decimal d = {.negative = at < end && *at == '-'};
    at += d.negative;
    bool point = false, any = false;
    for (d.digits = at; at < end && q5_lower(*at) != 'e'; at++) {
        if (*at == '.' && !point) {
            point = true;
            if (d.count == 0) d.digits = at + 1;
            continue;
        }
        if (*at < '0' || *at > '9') return false;
        any = true;
        d.exponent -= point;
        if (d.count || *at != '0')
            d.count++;
        else
            d.digits = at + 1;
    }
    d.end = at;
    int64_t exponent = 0;
    if (!any || (at < end && !parse_exponent(at + 1, end, &exponent))) return false;
    d.exponent += exponent;
    *ret = d;
    return true;
}

static int put_head(q5_buf *out, uint16_t count, int weight, uint16_t sign, uint16_t dscale) {
    char *at = q5__room(out, 8);
    if (!at) return Q5_ENOMEM;
    at = q5__set16(at, count);
    at = q5__set16(at, (uint16_t)weight);
    at = q5__set16(at, sign);
    return q5__wrote(out, q5__set16(at, dscale));
}

static int put_special(q5_buf *out, q5_slice text) {
    if (q5_slice_ieq(text, Q5_LIT("NaN"))) return put_head(out, 0, 0, NOT_A_NUMBER, 0);
    if (q5_slice_ieq(text, Q5_LIT("Infinity"))) return put_head(out, 0, 0, INFINITE, 0);
    if (q5_slice_ieq(text, Q5_LIT("-Infinity"))) return put_head(out, 0, 0, MINUS_INFINITE, 0);
    return Q5_EINVAL;
}

/* Four decimal digits make one to base 10,000; the groups begin at the point. */
static int put_digits(q5_buf *out, const decimal *d, int64_t lead, int64_t groups) {
    char *at = q5__room(out, 2 * (size_t)groups);
    if (!at) return Q5_ENOMEM;
    const char *from = d->digits;
    int64_t place = lead; /* in the group */
    for (int64_t i = 0; i < groups; i++, place = 0) {
        unsigned digit = 0;
        for (; place < 4; place++) {
            if (from < d->end && *from == '.') from++;
            digit = digit * 10 + (from < d->end ? (unsigned)(*from++ - '0') : 0);
        }
        at = q5__set16(at, (uint16_t)digit);
    }
    return q5__wrote(out, at);
}

int q5__put_numeric(q5_buf *out, q5_slice text) {
    decimal d;
    if (!parse(text, &d)) return put_special(out, text);
    int64_t dscale = d.exponent < 0 ? -d.exponent : 0, point = d.count + d.exponent;
    if (dscale > DSCALE_MAX || (d.count && point > WHOLE_MAX)) return Q5_ECELL_RANGE;
    if (d.count == 0) return put_head(out, 0, 0, 0, (uint16_t)dscale);
    int64_t lead = (4 - (point & 3)) & 3; /* zeros before the first digit's group is full */
    int64_t groups = (lead + d.count + 3) / 4, weight = (point + lead) / 4 - 1;
    size_t before = out->len;
    int status =
        put_head(out, (uint16_t)groups, (int)weight, d.negative ? NEGATIVE : 0, (uint16_t)dscale);
    if (!status) status = put_digits(out, &d, lead, groups);
    if (status) out->len = before;
    return status;
}
