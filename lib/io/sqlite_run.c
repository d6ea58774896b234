/* Runs: parameters in, rows out. */
#include <time.h>

#include "io/sqlite_internal.h"

static uint64_t deadline_after(uint32_t usec) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec + (uint64_t)usec * 1000u;
}

/* SQLite is told SQLITE_STATIC: what a parameter points to is the caller's until the end. */
static int bind_one(const q5_sqlite_api *api, sqlite3_stmt *stmt, int at, const q5_cell *cell) {
    switch (cell->kind) {
    case Q5_CELL_INT64:
        return api->bind_int64(stmt, at, cell->int64);
    case Q5_CELL_DOUBLE:
        return api->bind_double(stmt, at, cell->real);
    case Q5_CELL_TEXT: /* NULL would bind NULL */
        return api->bind_text64(stmt, at, cell->bytes.base ? cell->bytes.base : "", cell->bytes.len,
                                SQLITE_STATIC, SQLITE_UTF8);
    case Q5_CELL_BYTES:
        return api->bind_blob64(stmt, at, cell->bytes.base ? cell->bytes.base : "", cell->bytes.len,
                                SQLITE_STATIC);
    default:
        return api->bind_null(stmt, at);
    }
}

int q5_sqlite_begin(q5_sqlite *db, uint64_t id, q5_slice sql, const q5_cell *params,
                    size_t n_params, q5_sqlite_run **ret_run) {
    db->code = SQLITE_OK;
    db->message[0] = '\0';
    q5_sqlite_run *run;
    int status = q5__sqlite_statement(db, id, sql, &run);
    if (status) return status;
    if (run->running) return q5__sqlite_refuse(db, Q5_ESTATE, "the statement is running");
    if (n_params != run->n_params)
        return q5__sqlite_refuse(db, Q5_EINVAL, "wrong number of parameters");
    for (size_t i = 0; i < n_params; i++) {
        int code = bind_one(db->api, run->stmt, (int)i + 1, &params[i]);
        if (code != SQLITE_OK) {
            status = q5__sqlite_fail(db, code);
            (void)db->api->clear_bindings(run->stmt);
            return status;
        }
    }
    run->running = true;
    run->changes = 0;
    run->deadline_nsec = db->budget_usec && run->read_only ? deadline_after(db->budget_usec) : 0;
    *ret_run = run;
    return Q5_OK;
}

static int read_cell(const q5_sqlite_api *api, sqlite3_stmt *stmt, int at, q5_cell *cell) {
    switch (api->column_type(stmt, at)) {
    case SQLITE_INTEGER:
        cell->kind = Q5_CELL_INT64;
        cell->int64 = api->column_int64(stmt, at);
        return Q5_OK;
    case SQLITE_FLOAT:
        cell->kind = Q5_CELL_DOUBLE;
        cell->real = api->column_double(stmt, at);
        return Q5_OK;
    case SQLITE_TEXT:
        cell->kind = Q5_CELL_TEXT;
        cell->bytes.base = (const char *)api->column_text(stmt, at);
        if (!cell->bytes.base) return Q5_ENOMEM; /* of a database in UTF-16 */
        break;
    case SQLITE_BLOB:
        cell->kind = Q5_CELL_BYTES;
        cell->bytes.base = api->column_blob(stmt, at); /* NULL: an empty one */
        break;
    default:
        cell->kind = Q5_CELL_NULL;
        return Q5_OK;
    }
    cell->bytes.len = (size_t)api->column_bytes(stmt, at);
    return Q5_OK;
}

/* The first n columns of the row. */
static int read_row(q5_sqlite_run *run, q5_cell *cells, size_t n) {
    const q5_sqlite_api *api = run->db->api;
    /* A schema that has changed makes SQLite prepare the statement again: SELECT * may differ. */
    if ((size_t)api->column_count(run->stmt) != run->n_cells) {
        run->stale = true;
        return q5__sqlite_refuse(run->db, Q5_ESQL, "the statement's columns have changed");
    }
    for (size_t i = 0; i < n; i++) {
        int status = read_cell(api, run->stmt, (int)i, &cells[i]);
        if (status) return status;
    }
    return Q5_OK;
}

static int next_row(q5_sqlite_run *run, q5_cell *cells, size_t n) {
    q5_sqlite *db = run->db;
    db->slow = false;
    db->stepping = run;
    int code = db->api->step(run->stmt);
    db->stepping = NULL;
    if (code == SQLITE_ROW) return read_row(run, cells, n);
    if (code == SQLITE_DONE) {
        if (!run->read_only) run->changes = db->api->changes(db->handle);
        return Q5_DONE;
    }
    int status = q5__sqlite_fail(db, code);
    return db->slow ? Q5_ESLOW : status;
}

int q5_sqlite_next(q5_sqlite_run *run) {
    return next_row(run, run->cells, run->n_cells);
}

static int source_next(void *ctx, q5_cell *cells, uint32_t columns) {
    q5_sqlite_run *run = ctx;
    if (columns > run->n_cells)
        return q5__sqlite_refuse(run->db, Q5_EINVAL, "the statement has too few columns");
    return next_row(run, cells, columns);
}

q5_row_source q5_sqlite_source(q5_sqlite_run *run) {
    return (q5_row_source){.ctx = run, .next = source_next};
}

size_t q5_sqlite_columns(const q5_sqlite_run *run) {
    return run->n_cells;
}

const char *q5_sqlite_column_name(q5_sqlite_run *run, size_t column) {
    return run->db->api->column_name(run->stmt, (int)column);
}

const q5_cell *q5_sqlite_cells(const q5_sqlite_run *run) {
    return run->cells;
}

int64_t q5_sqlite_changes(const q5_sqlite_run *run) {
    return run->changes;
}

void q5_sqlite_end(q5_sqlite_run *run) {
    if (!run || !run->running) return;
    const q5_sqlite_api *api = run->db->api;
    run->running = false;
    (void)api->reset(run->stmt); /* repeats the error of the last step */
    (void)api->clear_bindings(run->stmt);
    if (run->stale) q5__sqlite_forget(run);
}
