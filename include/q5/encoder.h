/* What JSON a cell becomes.
 *
 * It equals what msgspec.json.encode makes of the Python value that Django's field would give: that
 * value's kind (q5_value) is chosen once per column, when a query is prepared, together with how
 * the database writes it (q5_type). Nothing here owns memory, waits or keeps state: every call is
 * allowed from any thread. */
#ifndef Q5_ENCODER_H
#define Q5_ENCODER_H

#include "q5/buf.h"
#include "q5/cell.h"

/* Type OIDs of PostgreSQL (src/include/catalog/pg_type.dat; they never change):
 * XX(NAME, oid, oid of the array type) */
#define Q5_PG_TYPE_MAP(XX)      \
    XX(BOOL, 16, 1000)          \
    XX(BYTEA, 17, 1001)         \
    XX(NAME, 19, 1003)          \
    XX(INT8, 20, 1016)          \
    XX(INT2, 21, 1005)          \
    XX(INT4, 23, 1007)          \
    XX(TEXT, 25, 1009)          \
    XX(OID, 26, 1028)           \
    XX(JSON, 114, 199)          \
    XX(CIDR, 650, 651)          \
    XX(FLOAT4, 700, 1021)       \
    XX(FLOAT8, 701, 1022)       \
    XX(UNKNOWN, 705, 0)         \
    XX(INET, 869, 1041)         \
    XX(BPCHAR, 1042, 1014)      \
    XX(VARCHAR, 1043, 1015)     \
    XX(DATE, 1082, 1182)        \
    XX(TIME, 1083, 1183)        \
    XX(TIMESTAMP, 1114, 1115)   \
    XX(TIMESTAMPTZ, 1184, 1185) \
    XX(INTERVAL, 1186, 1187)    \
    XX(TIMETZ, 1266, 1270)      \
    XX(NUMERIC, 1700, 1231)     \
    XX(UUID, 2950, 2951)        \
    XX(JSONB, 3802, 3807)

typedef enum q5_pg_type {
#define XX(name, oid, array) Q5_PG_##name = (oid),
    Q5_PG_TYPE_MAP(XX)
#undef XX
} q5_pg_type;

/* The OID of an array's elements, or 0 if `oid` is no array type of the map. */
Q5_EXTERN uint32_t q5_pg_element_type(uint32_t oid);
/* The OID of the array of such elements, or 0. */
Q5_EXTERN uint32_t q5_pg_array_type(uint32_t oid);

typedef enum q5_source {
    Q5_SOURCE_POSTGRESQL, /* cells are NULL or BYTES, in binary format */
    Q5_SOURCE_SQLITE,     /* cells are of any kind: SQLite's types belong to values, not columns */
} q5_source;

/* What Python value Django gives for the column. */
typedef enum q5_value {
    Q5_VALUE_BOOL,
    Q5_VALUE_INT,      /* IntegerField and its kin, AutoField */
    Q5_VALUE_FLOAT,    /* FloatField; NaN and infinities become null, as msgspec has it */
    Q5_VALUE_DECIMAL,  /* DecimalField: a string, as str(Decimal) writes it */
    Q5_VALUE_TEXT,     /* CharField, TextField, EmailField, SlugField, FileField's name, ... */
    Q5_VALUE_BYTES,    /* BinaryField: a string in base64 */
    Q5_VALUE_DATE,     /* "2026-01-31" */
    Q5_VALUE_TIME,     /* "23:59:59.000001" */
    Q5_VALUE_DATETIME, /* "2026-01-31T23:59:59Z"; without the Z where `utc` is not set */
    Q5_VALUE_DURATION, /* "P1DT3661.000005S" */
    Q5_VALUE_UUID,
    Q5_VALUE_JSON, /* JSONField: the value itself, numbers and strings as msgspec writes them */
    Q5_VALUE_IP,   /* GenericIPAddressField */
} q5_value;

typedef struct q5_type {
    q5_source source;
    q5_value value;
    uint32_t oid; /* PostgreSQL: the cell's type; with `array` that of its elements */
    bool array;   /* PostgreSQL: ArrayField, of any number of dimensions */
    /* DATETIME: Django gives it with UTC as its zone (USE_TZ, the connection's zone is UTC). If
     * false, naive; from a timestamptz that is right only where the connection's zone is UTC. */
    bool utc;
    /* SQLite: the column is an expression, not a field's column (Django's Col): Django applies
     * int() or float() to its value, and no decimal_places. */
    bool expression;
    /* SQLite, DECIMAL, a field's column: Django rounds to decimal_places and refuses what then
     * has more than max_digits. -1 and 0: the field has none. */
    int16_t decimal_places;
    uint16_t max_digits;
} q5_type;

typedef struct q5_encoder q5_encoder;
/* Appends the JSON of a cell that is not NULL; see q5_cell_encode. */
typedef int (*q5_encode_fn)(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out);

/* A plain value: copy it at will. */
struct q5_encoder {
    q5_encode_fn encode;
    q5_encode_fn element; /* arrays: of an element */
    q5_type type;
};

/* Q5_OK; or Q5_NOT_FOUND if libq5 has no encoder for this pair of database type and value:
 * take the row through Python then (*ret is untouched). */
Q5_EXTERN int q5_encoder_choose(const q5_type *type, q5_encoder *ret);

/* Appends the JSON of the cell; NULL is `null`. On anything but Q5_OK *out is as it was.
 *
 * Q5_ECELL: the bytes are not what the type's binary format (or, of a text, UTF-8) allows.
 * Q5_ECELL_RANGE: a value that Python's or Django's type cannot hold, or one in a form that Django
 * does not write (an infinite date, a year past 9999, a number where SQLite should have a date):
 * Django would raise, or the row must go through Python. Q5_ENOMEM. */
static inline int q5_cell_encode(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    if (cell->kind == Q5_CELL_NULL) return q5_buf_append(out, "null", 4);
    return encoder->encode(encoder, cell, out);
}

#endif
