/* PostgreSQL's arrays (array_send in src/backend/utils/adt/arrayfuncs.c). Big-endian, 4 bytes each:
 *
 * number of dimensions, 1 if there are NULLs, OID of the elements;
 * for each dimension: length, lower bound;
 * for each element, the last dimension's index running fastest: length (-1: NULL), bytes. */
#include "sql/sql_internal.h"

#define HEAD_LEN 12
#define DIMENSIONS_MAX 6    /* MAXDIM */
#define ITEMS_MAX 134217727 /* MaxArraySize */

typedef struct array {
    int dimensions;
    uint32_t lengths[DIMENSIONS_MAX];
    uint64_t items;
    const char *at, *end;
} array;

static int read_head(const q5_encoder *encoder, const q5_cell *cell, array *ret) {
    if (cell->kind != Q5_CELL_BYTES || cell->bytes.len < HEAD_LEN) return Q5_ECELL;
    const char *at = cell->bytes.base;
    uint32_t dimensions = q5__get32(at);
    if (dimensions > DIMENSIONS_MAX || q5__get32(at + 8) != encoder->type.oid) return Q5_ECELL;
    if (cell->bytes.len < HEAD_LEN + 8 * (size_t)dimensions) return Q5_ECELL;
    array a = {.dimensions = (int)dimensions, .items = 1, .end = at + cell->bytes.len};
    at += HEAD_LEN;
    for (uint32_t i = 0; i < dimensions; i++, at += 8) {
        a.lengths[i] = q5__get32(at);
        a.items *= a.lengths[i];
        if (a.lengths[i] == 0 || a.items > ITEMS_MAX) return Q5_ECELL;
    }
    a.at = at;
    /* Each has at least its length: a few bytes do not announce many of them. */
    if (dimensions && a.items > (uint64_t)(a.end - at) / 4) return Q5_ECELL;
    *ret = a;
    return Q5_OK;
}

static int take_item(array *a, const q5_encoder *encoder, q5_buf *out) {
    if (a->end - a->at < 4) return Q5_ECELL;
    int32_t len = (int32_t)q5__get32(a->at);
    a->at += 4;
    if (len == -1) return q5_buf_append(out, "null", 4);
    if (len < 0 || len > a->end - a->at) return Q5_ECELL;
    q5_cell item = q5_cell_bytes(a->at, (size_t)len);
    a->at += len;
    return encoder->element(encoder, &item, out);
}

/* How many dimensions end behind the item of this index (counted from 1). */
static int ends(const array *a, uint64_t index) {
    int count = 0;
    for (int i = a->dimensions - 1; i >= 0 && index % a->lengths[i] == 0; i--) {
        index /= a->lengths[i];
        count++;
    }
    return count;
}

static int put_run(q5_buf *out, char byte, int count) {
    char *at = q5__room(out, DIMENSIONS_MAX);
    if (!at) return Q5_ENOMEM;
    memset(at, byte, (size_t)count);
    return q5__wrote(out, at + count);
}

static int put_items(array *a, const q5_encoder *encoder, q5_buf *out) {
    int open = a->dimensions;
    for (uint64_t i = 1; i <= a->items; i++) {
        int status = put_run(out, '[', open);
        if (!status) status = take_item(a, encoder, out);
        if (status) return status;
        open = ends(a, i);
        if (put_run(out, ']', open)) return Q5_ENOMEM;
        if (i < a->items && q5_buf_append(out, ",", 1)) return Q5_ENOMEM;
    }
    return a->at == a->end ? Q5_OK : Q5_ECELL;
}

int q5__pg_array(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    array a;
    int status = read_head(encoder, cell, &a);
    if (status) return status;
    if (a.dimensions == 0) return a.at == a.end ? q5_buf_append(out, "[]", 2) : Q5_ECELL;
    size_t before = out->len;
    status = put_items(&a, encoder, out);
    if (status) out->len = before;
    return status;
}
