/* One value of one row, or one parameter of a statement. */
#ifndef Q5_CELL_H
#define Q5_CELL_H

#include "q5/base.h"

typedef enum q5_cell_kind {
    Q5_CELL_NULL,
    Q5_CELL_INT64,
    Q5_CELL_DOUBLE,
    Q5_CELL_TEXT,  /* bytes: UTF-8, which nobody has checked */
    Q5_CELL_BYTES, /* bytes: a blob of SQLite's, or PostgreSQL's binary form of any value */
} q5_cell_kind;

/* Owns nothing: whoever makes it says how long the bytes stay. */
typedef struct q5_cell {
    q5_cell_kind kind;
    union {
        int64_t int64;
        double real;
        q5_slice bytes;
    };
} q5_cell;

static inline q5_cell q5_cell_null(void) {
    return (q5_cell){.kind = Q5_CELL_NULL};
}
static inline q5_cell q5_cell_int64(int64_t number) {
    return (q5_cell){.kind = Q5_CELL_INT64, .int64 = number};
}
static inline q5_cell q5_cell_double(double number) {
    return (q5_cell){.kind = Q5_CELL_DOUBLE, .real = number};
}
static inline q5_cell q5_cell_text(const char *base, size_t len) {
    return (q5_cell){.kind = Q5_CELL_TEXT, .bytes = {base, len}};
}
static inline q5_cell q5_cell_bytes(const char *base, size_t len) {
    return (q5_cell){.kind = Q5_CELL_BYTES, .bytes = {base, len}};
}

#endif
