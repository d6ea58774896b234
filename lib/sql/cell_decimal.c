/* DecimalField on SQLite, which has no decimals: django/db/backends/sqlite3/operations.py,
 * get_decimalfield_converter. A float is rounded to 15 digits, an integer and a text are taken as
 * they are; a field's column is then quantized to its decimal_places. */
#include <stdio.h>

#include "sql/sql_internal.h"

#define FLOAT_DIGITS 15
#define DIGITS_MAX 128    /* of a text; what is longer goes through Python */
#define CONTEXT_DIGITS 28 /* of decimal.DefaultContext, where max_digits is not set */
#define EXPONENT_MAX 1000

/* number == digits * 10^exponent; zero is one digit. */
typedef struct decimal {
    bool negative;
    int count;
    int exponent;
    char digits[DIGITS_MAX];
} decimal;

static void set_integer(decimal *d, uint64_t number) {
    d->count = (int)(q5_json_uint(d->digits, number) - d->digits);
}

/* Does a power of two that divides 10^-exponent, but none less, make an integer of the number? Then
 * its shortest decimal, with that exponent, is no approximation. */
static bool is_exact(double number, int exponent) {
    uint64_t bits;
    memcpy(&bits, &number, sizeof(bits));
    int power = (int)(bits >> 52 & 0x7ff);
    uint64_t c = (bits & ((UINT64_C(1) << 52) - 1)) | (power ? UINT64_C(1) << 52 : 0);
    return __builtin_ctzll(c) + (power ? power : 1) - 1075 == exponent;
}

/* More than 15 digits: printf rounds the double itself, once and half to even. */
static void round_slowly(decimal *d, double number) {
    char text[32]; /* "1.23456789012345e-308"; the second byte is the locale's point, if one byte */
    int len = snprintf(text, sizeof(text), "%.*e", FLOAT_DIGITS - 1, number);
    int mark = len - 1;
    while (mark > 0 && text[mark] != 'e')
        mark--;
    d->digits[0] = text[0];
    memcpy(d->digits + 1, text + mark - (FLOAT_DIGITS - 1), FLOAT_DIGITS - 1);
    d->count = FLOAT_DIGITS;
    int exponent = 0;
    for (int i = mark + 2; i < len; i++)
        exponent = exponent * 10 + (text[i] - '0');
    d->exponent = (text[mark + 1] == '-' ? -exponent : exponent) - (FLOAT_DIGITS - 1);
}

/* decimal.Context(prec=15).create_decimal_from_float: what is exact within 15 digits has as few as
 * it can, anything else has 15. */
static int set_double(decimal *d, double number) {
    d->negative = __builtin_signbit(number);
    number = d->negative ? -number : number;
    if (!(number <= __DBL_MAX__)) return Q5_ECELL_RANGE;
    if (number == 0) {
        set_integer(d, 0);
        return Q5_OK;
    }
    q5_decimal64 shortest = q5_double_shortest(number);
    for (; shortest.digits % 10 == 0; shortest.digits /= 10)
        shortest.exponent++;
    set_integer(d, shortest.digits);
    d->exponent = shortest.exponent;
    if (d->count > FLOAT_DIGITS) {
        round_slowly(d, number);
        return Q5_OK;
    }
    int zeros = FLOAT_DIGITS - d->count;
    if (d->exponent >= 0 && d->exponent <= zeros) /* an integer of at most 15 digits */
        zeros = d->exponent;
    else if (d->exponent < 0 && is_exact(number, d->exponent))
        zeros = 0;
    memset(d->digits + d->count, '0', (size_t)zeros);
    d->count += zeros;
    d->exponent -= zeros;
    return Q5_OK;
}

static bool take_digit(decimal *d, char c) {
    if (c < '0' || c > '9') return false;
    if (d->count == 1 && d->digits[0] == '0') d->count = 0; /* a leading zero */
    if (d->count == DIGITS_MAX) return false;
    d->digits[d->count++] = c;
    return true;
}

/* [sign] digits [. digits] [e [sign] digits], at least one digit in front. */
static int set_text(decimal *d, q5_slice text) {
    const char *at = text.base, *end = at + text.len;
    if (at < end && (*at == '-' || *at == '+')) d->negative = *at++ == '-';
    const char *first = at;
    for (; at < end && *at != '.' && q5_lower(*at) != 'e'; at++)
        if (!take_digit(d, *at)) return Q5_ECELL_RANGE;
    if (at == first) return Q5_ECELL_RANGE;
    if (at < end && *at == '.') {
        for (at++; at < end && q5_lower(*at) != 'e'; at++, d->exponent--)
            if (!take_digit(d, *at)) return Q5_ECELL_RANGE;
    }
    if (at == end) return Q5_OK;
    at++;
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) at++;
    if (at == end) return Q5_ECELL_RANGE;
    int exponent = 0;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9' || exponent > EXPONENT_MAX) return Q5_ECELL_RANGE;
        exponent = exponent * 10 + (*at - '0');
    }
    d->exponent += negative ? -exponent : exponent;
    return Q5_OK;
}

/* Half to even. Digits that are dropped may be more than there are. */
static void drop(decimal *d, int dropped) {
    int kept = d->count > dropped ? d->count - dropped : 0;
    /* The first digit that is dropped; zero if there are zeros before the number's own. */
    int half = dropped > d->count ? 0 : d->digits[kept] - '0';
    bool more = false;
    for (int i = kept + (dropped <= d->count); i < d->count; i++)
        more |= d->digits[i] != '0';
    bool odd = kept > 0 && (d->digits[kept - 1] & 1);
    bool up = half > 5 || (half == 5 && (more || odd));
    d->count = kept;
    d->exponent += dropped;
    while (up && kept > 0) { /* carry */
        up = d->digits[--kept] == '9';
        d->digits[kept] = up ? '0' : (char)(d->digits[kept] + 1);
    }
    if (up) { /* out of the first digit */
        memmove(d->digits + 1, d->digits, (size_t)d->count);
        d->digits[0] = '1';
        d->count++;
    }
    if (d->count == 0) set_integer(d, 0);
}

static int quantize(decimal *d, int places, int digits_max) {
    int dropped = -places - d->exponent;
    bool zero = d->count == 1 && d->digits[0] == '0';
    if (zero) {
        d->exponent = -places;
    } else if (dropped > 0) {
        drop(d, dropped);
    } else {
        if (d->count - dropped > digits_max || d->count - dropped > DIGITS_MAX)
            return Q5_ECELL_RANGE;
        memset(d->digits + d->count, '0', (size_t)-dropped);
        d->count -= dropped;
        d->exponent += dropped;
    }
    return d->count > digits_max ? Q5_ECELL_RANGE : Q5_OK;
}

int q5__sqlite_decimal(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    const q5_type *type = &encoder->type;
    decimal d = {.count = 0};
    int status = Q5_OK;
    if (cell->kind == Q5_CELL_INT64) {
        d.negative = cell->int64 < 0;
        set_integer(&d, d.negative ? -(uint64_t)cell->int64 : (uint64_t)cell->int64);
    } else if (cell->kind == Q5_CELL_DOUBLE) {
        status = set_double(&d, cell->real);
    } else if (cell->kind == Q5_CELL_TEXT) {
        status = set_text(&d, cell->bytes);
    } else {
        status = Q5_ECELL_RANGE;
    }
    if (status == Q5_OK && type->decimal_places >= 0 && !type->expression)
        status = quantize(&d, type->decimal_places,
                          type->max_digits ? type->max_digits : CONTEXT_DIGITS);
    return status ? status
                  : q5__write_decimal(out, d.negative, d.digits, (size_t)d.count, d.exponent);
}
