#include "q5/pg_rows.h"

int q5_pg_rows_next(q5_pg_rows *rows, q5_cell *cells, uint32_t columns) {
    if (rows->row == rows->count) return Q5_DONE;
    if (rows->row == 0 && columns > (uint32_t)rows->library->nfields(rows->result))
        return Q5_EINVAL;
    for (uint32_t i = 0; i < columns; i++) {
        q5_slice value = q5_pg_value(rows->library, rows->result, rows->row, (int)i);
        cells[i] = value.base ? q5_cell_bytes(value.base, value.len) : q5_cell_null();
    }
    rows->row++;
    return Q5_OK;
}

static int next(void *ctx, q5_cell *cells, uint32_t columns) {
    return q5_pg_rows_next(ctx, cells, columns);
}

q5_row_source q5_pg_rows_source(q5_pg_rows *rows) {
    return (q5_row_source){rows, next};
}
