/* PostgreSQL's numeric (numeric_send in src/backend/utils/adt/numeric.c). Big-endian:
 *
 * OFFSET SIZE
 *      0    2  number of digits to base 10,000
 *      2    2  weight of the first of them: the power of 10,000 (signed)
 *      4    2  sign: 0x0000 +, 0x4000 -, 0xC000 NaN, 0xD000 infinity, 0xF000 -infinity
 *      6    2  dscale: decimal digits behind the point
 *      8   2n  the digits
 */
#include "sql/sql_internal.h"

#define HEAD_LEN 8
#define NEGATIVE 0x4000
#define NOT_A_NUMBER 0xC000
#define INFINITE 0xD000
#define MINUS_INFINITE 0xF000
#define DSCALE_MAX 0x3FFF
#define BASE 10000

typedef struct numeric {
    const char *digits;
    int count, weight, dscale;
    uint16_t sign;
} numeric;

static int read_numeric(const q5_cell *cell, numeric *ret) {
    if (cell->kind != Q5_CELL_BYTES || cell->bytes.len < HEAD_LEN) return Q5_ECELL;
    const char *at = cell->bytes.base;
    numeric n = {.digits = at + HEAD_LEN,
                 .count = q5__get16(at),
                 .weight = (int16_t)q5__get16(at + 2),
                 .sign = q5__get16(at + 4),
                 .dscale = q5__get16(at + 6)};
    if (cell->bytes.len != HEAD_LEN + 2 * (size_t)n.count || n.dscale > DSCALE_MAX) return Q5_ECELL;
    for (int i = 0; i < n.count; i++)
        if (q5__get16(n.digits + 2 * i) >= BASE) return Q5_ECELL;
    if (n.sign && n.sign != NEGATIVE && n.sign != NOT_A_NUMBER && n.sign != INFINITE &&
        n.sign != MINUS_INFINITE)
        return Q5_ECELL;
    *ret = n;
    return Q5_OK;
}

static bool is_special(const numeric *n) {
    return n->sign && n->sign != NEGATIVE;
}

/* The digit of base 10,000 that stands at 10,000^power. */
static unsigned digit_at(const numeric *n, int power) {
    int index = n->weight - power;
    return index >= 0 && index < n->count ? q5__get16(n->digits + 2 * index) : 0;
}

/* Bytes that put_digits may write. */
static size_t digits_room(const numeric *n) {
    return (n->weight > 0 ? 4 * (size_t)n->weight : 0) + (size_t)n->dscale + 16;
}

/* The digits of value * 10^scale, without leading zeros; nothing for zero. scale: 0 or dscale. What
 * is behind the scale is cut off. */
static char *put_digits(char *at, const numeric *n, int scale) {
    char *start = at;
    int last = -((scale + 3) / 4);
    for (int power = n->weight; power >= last; power--) {
        unsigned digit = digit_at(n, power);
        if (at == start) {
            if (digit) at = q5_json_uint(at, digit);
        } else {
            at = q5__put_digits(at, digit, 4);
        }
    }
    int extra = -last * 4 - scale; /* digits of the last group that are behind the scale */
    return at - start > extra ? at - extra : start;
}

int q5__pg_numeric(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    (void)encoder;
    numeric n;
    int status = read_numeric(cell, &n);
    if (status) return status;
    if (n.sign == NOT_A_NUMBER) return q5_buf_append(out, "\"NaN\"", 5);
    if (n.sign == INFINITE) return q5_buf_append(out, "\"Infinity\"", 10);
    if (n.sign == MINUS_INFINITE) return q5_buf_append(out, "\"-Infinity\"", 11);
    /* The digits are put behind where the text may end, and then copied forward. */
    size_t room = digits_room(&n);
    char *at = q5__room(out, 2 * room + 32);
    if (!at) return Q5_ENOMEM;
    char *digits = at + room + 32, *end = put_digits(digits, &n, n.dscale);
    bool zero = end == digits;
    if (zero) *end++ = '0';
    return q5__write_decimal(out, n.sign == NEGATIVE && !zero, digits, (size_t)(end - digits),
                             -n.dscale);
}

/* int(Decimal): towards zero, of any size. */
int q5__pg_numeric_as_int(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    (void)encoder;
    numeric n;
    int status = read_numeric(cell, &n);
    if (status) return status;
    if (is_special(&n)) return Q5_ECELL_RANGE;
    char *at = q5__room(out, digits_room(&n));
    if (!at) return Q5_ENOMEM;
    bool negative = n.sign == NEGATIVE;
    *at = '-';
    char *start = at + negative, *end = put_digits(start, &n, 0);
    if (end == start) {
        *at = '0';
        end = at + 1;
    }
    return q5__wrote(out, end);
}

/* float(Decimal) */
int q5__pg_numeric_as_float(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    numeric n;
    int status = read_numeric(cell, &n);
    if (status) return status;
    if (is_special(&n)) return q5_buf_append(out, "null", 4);
    size_t before = out->len;
    status = q5__pg_numeric(encoder, cell, out);
    if (status) return status;
    /* A quoted decimal is what q5__parse_double takes. */
    q5_slice text = q5_slice_make(out->base + before + 1, out->len - before - 2);
    out->len = before;
    return q5__write_double(out, q5__parse_double(text));
}
