/* What the encoders of lib/sql share. */
#ifndef Q5_SQL_INTERNAL_H
#define Q5_SQL_INTERNAL_H

#include "json/digits.h"
#include "q5/encoder.h"
#include "q5/json_number.h"
#include "sql/wire.h"

static inline char *q5__put(char *at, const char *text, size_t len) {
    memcpy(at, text, len);
    return at + len;
}
#define Q5__PUT(at, literal) q5__put(at, literal, sizeof(literal) - 1)

int q5__write_int(q5_buf *out, int64_t number);
int q5__write_double(q5_buf *out, double number);
/* Q5_ECELL where it is not UTF-8. */
int q5__write_text(q5_buf *out, q5_slice text);
int q5__write_base64(q5_buf *out, q5_slice bytes);
/* What SQLite stored, as its own kind; Python's sqlite3 gives it so. */
int q5__write_as_stored(q5_buf *out, const q5_cell *cell);

/* A decimal number of str(Decimal)'s form: digits * 10^exponent. `digits` has at least one and no
 * leading zero but for 0 itself. Quoted. */
int q5__write_decimal(q5_buf *out, bool negative, const char *digits, size_t count,
                      int64_t exponent);

/* Exactly rounded, whatever the locale. `text` matches -?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?. */
double q5__parse_double(q5_slice text);

/* ---- encoders: see q5_encode_fn -------------------------------------------------------------- */

#define Q5__ENCODERS(XX)    \
    XX(pg_bool)             \
    XX(pg_int2)             \
    XX(pg_int4)             \
    XX(pg_int8)             \
    XX(pg_oid)              \
    XX(pg_float4)           \
    XX(pg_float8)           \
    XX(pg_int_as_float)     \
    XX(pg_int_as_decimal)   \
    XX(pg_float_as_int)     \
    XX(pg_numeric)          \
    XX(pg_numeric_as_int)   \
    XX(pg_numeric_as_float) \
    XX(pg_text)             \
    XX(pg_bytes)            \
    XX(pg_uuid)             \
    XX(pg_moment)           \
    XX(pg_duration)         \
    XX(pg_json)             \
    XX(pg_jsonb)            \
    XX(pg_ip)               \
    XX(pg_array)            \
    XX(sqlite_stored)       \
    XX(sqlite_bool)         \
    XX(sqlite_int)          \
    XX(sqlite_float)        \
    XX(sqlite_decimal)      \
    XX(sqlite_uuid)         \
    XX(sqlite_moment)       \
    XX(sqlite_duration)     \
    XX(sqlite_json)

#define XX(name) int q5__##name(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out);
Q5__ENCODERS(XX)
#undef XX

/* Integers of 2, 4 or 8 bytes; false: the cell is none. */
bool q5__pg_integer(const q5_cell *cell, int64_t *ret);

#endif
