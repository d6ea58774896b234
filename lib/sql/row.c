#include "q5/children.h"
#include "sql/row_internal.h"
#include "sql/sql_internal.h"

/* Room for a step's `before` and for every value of fixed size: then only text, bytes, JSON, arrays
 * and long decimals ask for more. */
#define VALUE_ROOM 64

static int encode_many(const q5_row_step *step, const q5_cell *cells,
                       const q5_children *const *children, q5_buf *out) {
    return q5_children_append(children[step->slot], cells + step->column, out);
}

static inline char *put_before(char *at, q5_slice before) {
    for (size_t i = 0; i < before.len; i += Q5__BEFORE_BLOCK)
        memcpy(at + i, before.base + i, Q5__BEFORE_BLOCK);
    return at + before.len;
}

static int encode_steps(const q5_row_plan *plan, const q5_cell *cells,
                        const q5_children *const *children, q5_buf *out) {
    const q5_row_step *steps = plan->steps, *end = steps + plan->count;
    for (const q5_row_step *step = steps; step < end; step++) {
        char *at = q5__room(out, step->before.len + VALUE_ROOM);
        if (!at) return Q5_ENOMEM;
        at = put_before(at, step->before);
        int status = Q5_OK;
        const q5_cell *cell;
        switch (step->kind) {
        case Q5_ROW_CELL:
            cell = &cells[step->column];
            if (cell->kind == Q5_CELL_NULL) {
                q5__wrote(out, Q5__PUT(at, "null"));
                break;
            }
            q5__wrote(out, at);
            status = step->encoder.encode(&step->encoder, cell, out);
            break;
        case Q5_ROW_OPEN:
            if (step->column != Q5_ROW_NO_COLUMN && cells[step->column].kind == Q5_CELL_NULL) {
                q5__wrote(out, Q5__PUT(at, "null"));
                step = steps + step->next - 1;
                break;
            }
            *at = step->bracket;
            q5__wrote(out, at + 1);
            break;
        case Q5_ROW_CLOSE:
            *at = step->bracket;
            q5__wrote(out, at + 1);
            break;
        case Q5_ROW_MANY:
            q5__wrote(out, at);
            status = encode_many(step, cells, children, out);
            break;
        }
        if (status) return status;
    }
    return Q5_OK;
}

int q5_row_encode(const q5_row_plan *plan, const q5_cell *cells, const q5_children *const *children,
                  q5_buf *out) {
    if (!plan->finished) return Q5_ESTATE;
    size_t before = out->len;
    int status = encode_steps(plan, cells, children, out);
    if (status) out->len = before;
    return status;
}

static int put_byte(q5_buf *out, char byte) {
    char *at = q5__room(out, 1);
    if (!at) return Q5_ENOMEM;
    *at = byte;
    return q5__wrote(out, at + 1);
}

int q5_row_writer_row(q5_row_writer *writer, const q5_cell *cells, q5_buf *out) {
    size_t before = out->len;
    int status = Q5_OK;
    if (writer->mode == Q5_ROWS_ARRAY)
        status = put_byte(out, writer->rows ? ',' : '[');
    else if (writer->mode == Q5_ROWS_ONE && writer->rows)
        status = Q5_ETOO_MANY;
    if (!status) status = q5_row_encode(writer->plan, cells, writer->children, out);
    if (!status && writer->mode == Q5_ROWS_LINES) status = put_byte(out, '\n');
    if (status)
        out->len = before;
    else
        writer->rows++;
    return status;
}

int q5_row_writer_end(const q5_row_writer *writer, q5_buf *out) {
    switch (writer->mode) {
    case Q5_ROWS_ARRAY:
        return writer->rows ? q5_buf_append(out, "]", 1) : q5_buf_append(out, "[]", 2);
    case Q5_ROWS_ONE:
        return writer->rows ? Q5_OK : q5_buf_append(out, "null", 4);
    case Q5_ROWS_LINES:
        break;
    }
    return Q5_OK;
}

int q5_row_writer_run(q5_row_writer *writer, const q5_row_source *source, size_t out_high,
                      q5_buf *out) {
    q5_cell cells[Q5_ROW_COLUMNS_MAX];
    uint32_t columns = writer->plan->columns;
    for (;;) {
        if (out_high && out->len >= out_high) return Q5_AGAIN;
        int status = source->next(source->ctx, cells, columns);
        if (status == Q5_DONE) {
            status = q5_row_writer_end(writer, out);
            return status ? status : Q5_DONE;
        }
        if (!status) status = q5_row_writer_row(writer, cells, out);
        if (status) return status;
    }
}
