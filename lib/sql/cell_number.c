/* Booleans, integers and floats: PostgreSQL documentation, 55.7 and the send functions of its types
 * (boolsend, int4send, float8send); SQLite's INTEGER and REAL. */
#include "sql/sql_internal.h"

#define LIMIT_INT64 9223372036854775808.0

int q5__write_int(q5_buf *out, int64_t number) {
    char *at = q5__room(out, Q5_JSON_INT_MAX);
    return at ? q5__wrote(out, q5_json_int(at, number)) : Q5_ENOMEM;
}

int q5__write_double(q5_buf *out, double number) {
    char *at = q5__room(out, Q5_JSON_DOUBLE_MAX);
    return at ? q5__wrote(out, q5_json_double(at, number)) : Q5_ENOMEM;
}

static int write_bool(q5_buf *out, bool value) {
    char *at = q5__room(out, 5);
    if (!at) return Q5_ENOMEM;
    return q5__wrote(out, value ? Q5__PUT(at, "true") : Q5__PUT(at, "false"));
}

/* int(float): towards zero. */
static int write_truncated(q5_buf *out, double number) {
    if (!(number > -LIMIT_INT64 && number < LIMIT_INT64)) return Q5_ECELL_RANGE;
    return q5__write_int(out, (int64_t)number);
}

static bool has(const q5_cell *cell, size_t len) {
    return cell->kind == Q5_CELL_BYTES && cell->bytes.len == len;
}

bool q5__pg_integer(const q5_cell *cell, int64_t *ret) {
    if (cell->kind != Q5_CELL_BYTES) return false;
    switch (cell->bytes.len) {
    case 2:
        *ret = (int16_t)q5__get16(cell->bytes.base);
        return true;
    case 4:
        *ret = (int32_t)q5__get32(cell->bytes.base);
        return true;
    case 8:
        *ret = (int64_t)q5__get64(cell->bytes.base);
        return true;
    default:
        return false;
    }
}

int q5__pg_bool(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    (void)encoder;
    if (!has(cell, 1)) return Q5_ECELL;
    return write_bool(out, cell->bytes.base[0] != 0);
}

int q5__pg_int2(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    (void)encoder;
    if (!has(cell, 2)) return Q5_ECELL;
    return q5__write_int(out, (int16_t)q5__get16(cell->bytes.base));
}

int q5__pg_int4(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    (void)encoder;
    if (!has(cell, 4)) return Q5_ECELL;
    return q5__write_int(out, (int32_t)q5__get32(cell->bytes.base));
}

int q5__pg_int8(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    (void)encoder;
    if (!has(cell, 8)) return Q5_ECELL;
    return q5__write_int(out, (int64_t)q5__get64(cell->bytes.base));
}

int q5__pg_oid(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    (void)encoder;
    if (!has(cell, 4)) return Q5_ECELL;
    return q5__write_int(out, (int64_t)q5__get32(cell->bytes.base));
}

/* An integer as wide as the column's type. */
static bool read_integer(const q5_encoder *encoder, const q5_cell *cell, int64_t *ret) {
    uint32_t oid = encoder->type.oid;
    return has(cell, oid == Q5_PG_INT2   ? 2
                     : oid == Q5_PG_INT4 ? 4
                                         : 8) &&
           q5__pg_integer(cell, ret);
}

static float get_float(const char *at) {
    uint32_t bits = q5__get32(at);
    float number;
    memcpy(&number, &bits, sizeof(number));
    return number;
}

/* Python has what float4out wrote: the float's own digits, not those of the double it becomes. */
int q5__pg_float4(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    (void)encoder;
    if (!has(cell, 4)) return Q5_ECELL;
    char *at = q5__room(out, Q5_JSON_DOUBLE_MAX);
    return at ? q5__wrote(out, q5_json_float(at, get_float(cell->bytes.base))) : Q5_ENOMEM;
}

int q5__pg_float8(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    (void)encoder;
    if (!has(cell, 8)) return Q5_ECELL;
    return q5__write_double(out, q5__get_double(cell->bytes.base));
}

int q5__pg_float_as_int(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    (void)encoder;
    if (!has(cell, 8)) return Q5_ECELL;
    return write_truncated(out, q5__get_double(cell->bytes.base));
}

int q5__pg_int_as_float(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    int64_t number;
    if (!read_integer(encoder, cell, &number)) return Q5_ECELL;
    return q5__write_double(out, (double)number);
}

int q5__pg_int_as_decimal(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    int64_t number;
    if (!read_integer(encoder, cell, &number)) return Q5_ECELL;
    char *at = q5__room(out, Q5_JSON_INT_MAX + 2);
    if (!at) return Q5_ENOMEM;
    *at++ = '"';
    at = q5_json_int(at, number);
    *at++ = '"';
    return q5__wrote(out, at);
}

int q5__write_as_stored(q5_buf *out, const q5_cell *cell) {
    switch (cell->kind) {
    case Q5_CELL_INT64:
        return q5__write_int(out, cell->int64);
    case Q5_CELL_DOUBLE:
        return q5__write_double(out, cell->real);
    case Q5_CELL_TEXT:
        return q5__write_text(out, cell->bytes);
    case Q5_CELL_BYTES:
        return q5__write_base64(out, cell->bytes);
    case Q5_CELL_NULL:
        break;
    }
    return Q5_ECELL;
}

int q5__sqlite_stored(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    (void)encoder;
    return q5__write_as_stored(out, cell);
}

/* What Django makes of other numbers depends on how the column was declared. */
int q5__sqlite_bool(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    (void)encoder;
    if (cell->kind != Q5_CELL_INT64 || (cell->int64 & ~INT64_C(1))) return Q5_ECELL_RANGE;
    return write_bool(out, cell->int64 == 1);
}

int q5__sqlite_int(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    (void)encoder;
    if (cell->kind == Q5_CELL_INT64) return q5__write_int(out, cell->int64);
    return cell->kind == Q5_CELL_DOUBLE ? write_truncated(out, cell->real) : Q5_ECELL_RANGE;
}

int q5__sqlite_float(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    (void)encoder;
    if (cell->kind == Q5_CELL_DOUBLE) return q5__write_double(out, cell->real);
    return cell->kind == Q5_CELL_INT64 ? q5__write_double(out, (double)cell->int64)
                                       : Q5_ECELL_RANGE;
}
