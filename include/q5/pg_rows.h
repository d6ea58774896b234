/* The rows of a PGresult in binary format as cells. */
#ifndef Q5_PG_ROWS_H
#define Q5_PG_ROWS_H

#include "q5/pg_library.h"
#include "q5/row.h"

/* A plain value; owns nothing. The result stays the caller's and lives as long as the cells. */
typedef struct q5_pg_rows {
    const q5_pg_library *library;
    const PGresult *result;
    int row, count;
} q5_pg_rows;

static inline q5_pg_rows q5_pg_rows_make(const q5_pg_library *library, const PGresult *result) {
    return (q5_pg_rows){library, result, 0, library->ntuples(result)};
}

/* The next row's first `columns` cells: Q5_CELL_NULL or Q5_CELL_BYTES. Q5_OK, Q5_DONE behind the
 * last row, Q5_EINVAL when the result has fewer columns. */
Q5_EXTERN int q5_pg_rows_next(q5_pg_rows *rows, q5_cell *cells, uint32_t columns);
/* rows outlives the source. */
Q5_EXTERN q5_row_source q5_pg_rows_source(q5_pg_rows *rows);

#endif
