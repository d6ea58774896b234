/* Rows in tables. */
#ifndef Q5_TEST_ROW_H
#define Q5_TEST_ROW_H

#include "q5/children.h"

#include "sql/celltest.h"

static const q5_type lite_int = {.source = Q5_SOURCE_SQLITE, .value = Q5_VALUE_INT};
static const q5_type lite_text = {.source = Q5_SOURCE_SQLITE, .value = Q5_VALUE_TEXT};

/* A q5_row_source over an array of rows. */
typedef struct table {
    const q5_cell *cells;
    size_t columns, rows, at;
} table;

static inline int table_next(void *ctx, q5_cell *cells, uint32_t columns) {
    table *t = ctx;
    if (t->at == t->rows) return Q5_DONE;
    for (uint32_t i = 0; i < columns; i++) {
        assert_true(i < t->columns);
        cells[i] = t->cells[t->at * t->columns + i];
    }
    t->at++;
    return Q5_OK;
}

#define TABLE(cells, columns) \
    { (cells), (columns), Q5_ARRAY_LEN(cells) / (columns), 0 }

/* {"id":column 0,"name":column 1} */
static inline int make_pair(const q5_alloc *alloc, q5_row_plan **ret) {
    q5_row_plan *plan = q5_row_plan_create(alloc);
    if (!plan) return Q5_ENOMEM;
    int status = q5_row_plan_open(plan, Q5_LIT(""), '{', Q5_ROW_NO_COLUMN);
    if (!status) status = q5_row_plan_cell(plan, Q5_LIT("id"), 0, &lite_int);
    if (!status) status = q5_row_plan_cell(plan, Q5_LIT("name"), 1, &lite_text);
    if (!status) status = q5_row_plan_close(plan);
    if (!status) status = q5_row_plan_finish(plan);
    if (status)
        q5_row_plan_destroy(plan);
    else
        *ret = plan;
    return status;
}

#endif
