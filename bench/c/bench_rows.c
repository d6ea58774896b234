/* Nanoseconds for rows of PostgreSQL's into JSON, ten rows of five columns: the median of 15
 * rounds; and per cell of each kind.
 *
 *   cmake -S . -B build/bench -G Ninja -DQ5_BUILD_BENCH=ON && ninja -C build/bench bench_rows
 *   build/bench/bench/c/bench_rows
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "q5/row.h"

#define ROUNDS 15
#define REPEATS 20000
#define ROWS 10
#define COLUMNS 5

typedef struct column {
    const char *name;
    q5_value value;
    uint32_t oid;
    q5_slice bytes;
} column;

static const column columns[] = {
    {"id", Q5_VALUE_INT, Q5_PG_INT8, {"\0\0\0\0\0\1\342\100", 8}},
    {"name", Q5_VALUE_TEXT, Q5_PG_VARCHAR, {"Constantinople \"New Rome\"", 25}},
    {"population", Q5_VALUE_INT, Q5_PG_INT4, {"\0\352\101\3", 4}},
    {"latitude", Q5_VALUE_FLOAT, Q5_PG_FLOAT8, {"\100\104\200\345\140\101\211\67", 8}},
    {"founded", Q5_VALUE_DATETIME, Q5_PG_TIMESTAMPTZ, {"\0\2\340\115\6\214\3\100", 8}},
    {"area", Q5_VALUE_DECIMAL, Q5_PG_NUMERIC, {"\0\3\0\1\0\0\0\2\0\1\11\51\15\254", 14}},
    {"flag", Q5_VALUE_BOOL, Q5_PG_BOOL, {"\1", 1}},
    {"day", Q5_VALUE_DATE, Q5_PG_DATE, {"\0\0\45\200", 4}},
    {"key", Q5_VALUE_UUID, Q5_PG_UUID, {"\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20", 16}},
    {"extra", Q5_VALUE_JSON, Q5_PG_JSONB, {"\1{\"a\": [1, 2.5, null], \"b\": \"text\"}", 35}},
};

static void need(int status) {
    if (status == Q5_OK || status == Q5_DONE) return;
    fprintf(stderr, "%s\n", q5_status_name(status));
    exit(1);
}

static q5_row_plan *make_plan(const column *from, size_t count) {
    q5_row_plan *plan = q5_row_plan_create(NULL);
    if (!plan) need(Q5_ENOMEM);
    need(q5_row_plan_open(plan, Q5_LIT(""), '{', Q5_ROW_NO_COLUMN));
    for (size_t i = 0; i < count; i++) {
        q5_type type = {.source = Q5_SOURCE_POSTGRESQL,
                        .value = from[i].value,
                        .oid = from[i].oid,
                        .utc = true};
        q5_slice name = q5_slice_make(from[i].name, strlen(from[i].name));
        need(q5_row_plan_cell(plan, name, (uint32_t)i, &type));
    }
    need(q5_row_plan_close(plan));
    need(q5_row_plan_finish(plan));
    return plan;
}

typedef struct table {
    const column *from;
    size_t left;
} table;

static int next_row(void *ctx, q5_cell *cells, uint32_t count) {
    table *t = ctx;
    if (t->left == 0) return Q5_DONE;
    t->left--;
    for (uint32_t i = 0; i < count; i++)
        cells[i] = q5_cell_bytes(t->from[i].bytes.base, t->from[i].bytes.len);
    return Q5_OK;
}

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef struct result {
    double median, min; /* nanoseconds for one answer of ROWS rows */
    size_t len;
} result;

static result measure(const column *from, size_t count) {
    q5_row_plan *plan = make_plan(from, count);
    q5_buf out;
    q5_buf_init(&out, NULL);
    double ns[ROUNDS];
    for (size_t round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (size_t i = 0; i < REPEATS; i++) {
            table t = {from, ROWS};
            q5_row_source source = {&t, next_row};
            q5_row_writer writer = q5_row_writer_make(plan, Q5_ROWS_ARRAY, NULL);
            out.len = 0;
            need(q5_row_writer_run(&writer, &source, 0, &out));
        }
        ns[round] = (now_ns() - start) / REPEATS;
    }
    qsort(ns, ROUNDS, sizeof(ns[0]), by_value);
    result ret = {ns[ROUNDS / 2], ns[0], out.len};
    if (count == COLUMNS) printf("%.*s ...\n", (int)(out.len / ROWS), out.base);
    q5_buf_deinit(&out);
    q5_row_plan_destroy(plan);
    return ret;
}

int main(void) {
    result all = measure(columns, COLUMNS);
    printf("%d rows x %d columns %8.0f ns (at least %.0f) %5zu bytes %6.2f GB/s\n", ROWS, COLUMNS,
           all.median, all.min, all.len, (double)all.len / all.median);
    for (size_t i = 0; i < Q5_ARRAY_LEN(columns); i++) {
        result one = measure(&columns[i], 1);
        printf("  %-10s %6.1f ns (at least %.1f) for a row of it alone\n", columns[i].name,
               one.median / ROWS, one.min / ROWS);
    }
    return 0;
}
