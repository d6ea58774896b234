/* Cells in tables, and encoding one from memory of its own, so that a sanitizer sees a read behind
 * its end. */
#ifndef Q5_TEST_CELL_H
#define Q5_TEST_CELL_H

#include "q5/encoder.h"

#include <stdlib.h>

#include "q5test.h"

#define NUL_CELL \
    { .kind = Q5_CELL_NULL }
#define INT64(number) \
    { .kind = Q5_CELL_INT64, .int64 = (number) }
#define DOUBLE(number) \
    { .kind = Q5_CELL_DOUBLE, .real = (number) }
#define TEXT(text)                                                 \
    {                                                              \
        .kind = Q5_CELL_TEXT, .bytes = {(text), sizeof(text) - 1 } \
    }
#define BYTES(text)                                                 \
    {                                                               \
        .kind = Q5_CELL_BYTES, .bytes = {(text), sizeof(text) - 1 } \
    }

typedef struct cell_row {
    q5_type type;
    q5_cell cell;
    const char *json; /* NULL: the status */
    int status;
} cell_row;

/* Appends to *out; the status of q5_encoder_choose or of q5_cell_encode. */
static inline int encode_cell(const q5_type *type, const q5_cell *cell, q5_buf *out) {
    q5_encoder encoder;
    int status = q5_encoder_choose(type, &encoder);
    if (status) return status;
    if (cell->kind != Q5_CELL_TEXT && cell->kind != Q5_CELL_BYTES)
        return q5_cell_encode(&encoder, cell, out);
    q5_cell copy = *cell;
    char *bytes = malloc(cell->bytes.len ? cell->bytes.len : 1);
    assert_non_null(bytes);
    if (cell->bytes.len) memcpy(bytes, cell->bytes.base, cell->bytes.len);
    copy.bytes.base = bytes;
    size_t before = out->len;
    status = q5_cell_encode(&encoder, &copy, out);
    if (status) assert_int_equal(out->len, before);
    free(bytes);
    return status;
}

static inline void check_cells(const cell_row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        q5_buf out;
        q5_buf_init(&out, NULL);
        int status = encode_cell(&rows[i].type, &rows[i].cell, &out);
        const char *json = rows[i].json ? rows[i].json : "";
        if (status != rows[i].status || out.len != strlen(json) ||
            (out.len && memcmp(out.base, json, out.len) != 0))
            fail_msg("row %zu: %s, %.*s instead of %s, %s", i, q5_status_name(status), (int)out.len,
                     out.len ? out.base : "", q5_status_name(rows[i].status), json);
        q5_buf_deinit(&out);
    }
}

#endif
