/* Rows of cells become JSON, one row at a time, into a buffer that the caller may drain between
 * rows: memory does not grow with the number of rows.
 *
 * A plan is a flat list of steps, built once per query: keys are escaped then, encoders chosen
 * then. A finished plan is read-only and may be used by any number of threads. */
#ifndef Q5_ROW_H
#define Q5_ROW_H

#include "q5/encoder.h"

#define Q5_ROW_COLUMNS_MAX                                                                    \
    1664                    /* PostgreSQL's MaxTupleAttributeNumber; SQLite's default is 2000 \
                             */
#define Q5_ROW_DEPTH_MAX 32 /* nested objects and arrays of one row */
#define Q5_ROW_NO_COLUMN UINT32_MAX

typedef enum q5_row_step_kind {
    Q5_ROW_CELL,  /* a column */
    Q5_ROW_OPEN,  /* an object or array begins; null, and on to `next`, if `column` is NULL */
    Q5_ROW_CLOSE, /* it ends */
    Q5_ROW_MANY,  /* an array of child rows: those whose key is this row's */
} q5_row_step_kind;

/* `before` is what stands in front of the value: `,"name":`, in an array `,`. It and everything
 * else is the plan's. */
typedef struct q5_row_step {
    q5_row_step_kind kind;
    char bracket; /* OPEN: { or [; CLOSE: } or ] */
    uint32_t
        column; /* CELL; OPEN: Q5_ROW_NO_COLUMN if it is always there; MANY: first of the key */
    uint32_t columns; /* MANY: how many columns the key has, next to each other */
    uint32_t slot;    /* MANY: index of the children */
    uint32_t next;    /* OPEN: index of the step behind its CLOSE */
    q5_slice before;
    q5_slice name;      /* as it was given; for those who make Python objects by the same plan */
    q5_encoder encoder; /* CELL */
} q5_row_step;

typedef struct q5_row_plan q5_row_plan;

/* A plan without steps, on the heap, or NULL. alloc NULL: malloc. */
Q5_EXTERN q5_row_plan *q5_row_plan_create(const q5_alloc *alloc);
Q5_EXTERN void q5_row_plan_destroy(q5_row_plan *plan); /* NULL is allowed */

/* The calls below append steps. Names are given plain, in UTF-8, and are copied; inside an array
 * and for the row's own value the name is ignored. A row's value is exactly one: a cell, or what
 * is opened first. Errors: Q5_ENOMEM; Q5_EINVAL (a column of Q5_ROW_COLUMNS_MAX or more, a name
 * that is not UTF-8); Q5_ESTATE (a second value of the row, a close too many, a finished plan).
 * After an error only _destroy is allowed. */

/* Also Q5_NOT_FOUND: see q5_encoder_choose. */
Q5_EXTERN int q5_row_plan_cell(q5_row_plan *plan, q5_slice name, uint32_t column,
                               const q5_type *type);
/* bracket: '{' for an object, '[' for an array (a tuple). It is null where null_column is NULL (the
 * key of a to-one relation); Q5_ROW_NO_COLUMN: never. Also Q5_ETOO_MANY: nested too deeply. */
Q5_EXTERN int q5_row_plan_open(q5_row_plan *plan, q5_slice name, char bracket,
                               uint32_t null_column);
Q5_EXTERN int q5_row_plan_close(q5_row_plan *plan);
/* The children of slot `slot` (their order: that of their rows) whose key equals this row's
 * `columns` columns from `column` on. */
Q5_EXTERN int q5_row_plan_many(q5_row_plan *plan, q5_slice name, uint32_t slot, uint32_t column,
                               uint32_t columns);
/* Q5_ESTATE: no value, or something is open. */
Q5_EXTERN int q5_row_plan_finish(q5_row_plan *plan);

/* The steps of a finished plan; they live as long as it. */
Q5_EXTERN const q5_row_step *q5_row_plan_steps(const q5_row_plan *plan, size_t *ret_count);
/* One more than the highest column that the plan reads: so many cells a row must have. */
Q5_EXTERN uint32_t q5_row_plan_columns(const q5_row_plan *plan);
/* One more than the highest slot. */
Q5_EXTERN uint32_t q5_row_plan_slots(const q5_row_plan *plan);

typedef struct q5_children q5_children; /* q5/children.h */

/* Appends one row. `children[slot]` is asked for each MANY step (NULL if the plan has none).
 * On anything but Q5_OK *out is as it was. Errors: those of q5_cell_encode. */
Q5_EXTERN int q5_row_encode(const q5_row_plan *plan, const q5_cell *cells,
                            const q5_children *const *children, q5_buf *out);

/* Where rows come from: a PGresult, a SQLite statement, a table in a test. */
typedef struct q5_row_source {
    void *ctx;
    /* Writes the next row's cells, q5_row_plan_columns() of them; their bytes stay valid until the
     * next call. Q5_OK; Q5_DONE: there is none; another status ends the work and is handed on. */
    int (*next)(void *ctx, q5_cell *cells, uint32_t columns);
} q5_row_source;

typedef enum q5_rows_mode {
    Q5_ROWS_ARRAY, /* [row,row] */
    Q5_ROWS_LINES, /* a row, a line feed, ... */
    Q5_ROWS_ONE, /* the row; `null` without one; Q5_ETOO_MANY at a second (then the first stands) */
} q5_rows_mode;

/* The state of one answer. A plain value; it owns nothing. */
typedef struct q5_row_writer {
    const q5_row_plan *plan;
    const q5_children *const *children;
    q5_rows_mode mode;
    uint64_t rows; /* written so far */
} q5_row_writer;

static inline q5_row_writer q5_row_writer_make(const q5_row_plan *plan, q5_rows_mode mode,
                                               const q5_children *const *children) {
    return (q5_row_writer){.plan = plan, .mode = mode, .children = children, .rows = 0};
}

/* Appends a row with what its mode puts before and behind it. On anything but Q5_OK *out is as it
 * was. */
Q5_EXTERN int q5_row_writer_row(q5_row_writer *writer, const q5_cell *cells, q5_buf *out);
/* Appends what closes the answer. Q5_OK or Q5_ENOMEM. */
Q5_EXTERN int q5_row_writer_end(const q5_row_writer *writer, q5_buf *out);

/* Writes rows until the source has no more, then the end (Q5_DONE), or until *out holds out_high
 * bytes (Q5_AGAIN: drain it and call again; 0: no such bound). A row is never cut. Another status
 * is an error's; rows before it stand in *out. */
Q5_EXTERN int q5_row_writer_run(q5_row_writer *writer, const q5_row_source *source, size_t out_high,
                                q5_buf *out);

#endif
