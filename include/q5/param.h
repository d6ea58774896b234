/* A parameter of a statement, independent of the database, and its form on PostgreSQL's wire (Bind,
 * PostgreSQL documentation, 55.7). Nothing here owns memory or keeps state. */
#ifndef Q5_PARAM_H
#define Q5_PARAM_H

#include "q5/buf.h"
#include "q5/encoder.h"

typedef enum q5_param_kind {
    Q5_PARAM_NULL,
    Q5_PARAM_BOOL, /* int64: 0 or 1 */
    Q5_PARAM_INT64,
    Q5_PARAM_DOUBLE,
    Q5_PARAM_TEXT, /* UTF-8 without NUL */
    Q5_PARAM_BYTES,
    Q5_PARAM_DATE,        /* int64: days since 1970-01-01 */
    Q5_PARAM_TIME,        /* int64: microseconds since midnight */
    Q5_PARAM_TIMESTAMP,   /* int64: microseconds since 1970-01-01, naive */
    Q5_PARAM_TIMESTAMPTZ, /* int64: the same, UTC */
    Q5_PARAM_INTERVAL,    /* int64: microseconds */
    Q5_PARAM_UUID,        /* bytes: 16 bytes */
    Q5_PARAM_DECIMAL,     /* bytes: ASCII as str(Decimal) has it: "-12.50", "1E+3", "NaN" */
    Q5_PARAM_JSON,        /* bytes: a JSON text */
    Q5_PARAM_ARRAY,       /* array: of one dimension */
} q5_param_kind;

typedef struct q5_param q5_param;
struct q5_param {
    q5_param_kind kind;
    union {
        int64_t int64;
        double real;
        q5_slice bytes;
        struct {
            const q5_param *items; /* not arrays; NULL is allowed */
            size_t count;
        } array;
    };
};

typedef enum q5_param_format {
    Q5_PARAM_AS_TEXT = 0, /* the numbers are those of Bind */
    Q5_PARAM_AS_BINARY = 1,
} q5_param_format;

/* The type to prepare a statement with where nothing else says so: INT64 -> int8, TEXT -> text,
 * DECIMAL -> numeric, an array by its first item that is not NULL; 0 (the server infers) for NULL
 * and empty arrays. */
Q5_EXTERN uint32_t q5_param_pg_type(const q5_param *param);

#define Q5_PARAM_ITEMS_MAX (1u << 20)

/* Appends the value of a parameter whose type at the server is `oid` and tells its format. A pair
 * that has no binary form here goes as text, which the server parses. NULL appends nothing: the
 * caller sends it as NULL. In text format a NUL stands behind the value, as PQsendQueryPrepared
 * wants it; it counts in out->len.
 *
 * Q5_ECELL_RANGE: an integer that the type cannot hold, a date or decimal outside PostgreSQL's.
 * Q5_EINVAL: a NUL in a text, a UUID not of 16 bytes, a malformed decimal, an array in an array,
 * one of more than Q5_PARAM_ITEMS_MAX items or one whose items have no binary form for `oid`.
 * Q5_ENOMEM. On anything but Q5_OK *out and *ret_format are as they were. */
Q5_EXTERN int q5_param_pg_encode(const q5_param *param, uint32_t oid, q5_buf *out,
                                 q5_param_format *ret_format);

#endif
