/* A connection's prepared statements: found by id, the least recently used one gives way. */
#include "io/sqlite_internal.h"

static q5_sqlite_run **bucket_of(q5_sqlite *db, uint64_t id) {
    /* Ids are numbers in a row: their low bits spread well. */
    return &db->buckets[id & (Q5__SQLITE_BUCKETS - 1)];
}

static void unlink_age(q5_sqlite *db, q5_sqlite_run *run) {
    if (run->newer)
        run->newer->older = run->older;
    else
        db->newest = run->older;
    if (run->older)
        run->older->newer = run->newer;
    else
        db->oldest = run->newer;
}

static void link_newest(q5_sqlite *db, q5_sqlite_run *run) {
    run->newer = NULL;
    run->older = db->newest;
    if (db->newest)
        db->newest->newer = run;
    else
        db->oldest = run;
    db->newest = run;
}

void q5__sqlite_forget(q5_sqlite_run *run) {
    q5_sqlite *db = run->db;
    q5_sqlite_run **link = bucket_of(db, run->id);
    while (*link != run)
        link = &(*link)->next;
    *link = run->next;
    unlink_age(db, run);
    db->n_statements--;
    (void)db->api->finalize(run->stmt); /* repeats the error of the last step */
    q5_free(db->alloc, run);
}

/* Room for one more. false: all that are cached are running. */
static bool make_room(q5_sqlite *db) {
    if (db->n_statements < db->statements_max) return true;
    q5_sqlite_run *run = db->oldest;
    while (run && run->running)
        run = run->newer;
    if (!run) return false;
    q5__sqlite_forget(run);
    return true;
}

static bool is_blank(const char *text, const char *end) {
    for (; text < end; text++)
        if (!strchr(" \t\r\n\f;", *text) || !*text) return false;
    return true;
}

static int prepare(q5_sqlite *db, q5_slice sql, sqlite3_stmt **ret_stmt) {
    if (sql.len > INT32_MAX - 1) return q5__sqlite_refuse(db, Q5_EINVAL, "statement too long");
    sqlite3_stmt *stmt = NULL;
    const char *tail = NULL;
    int code = db->api->prepare_v3(db->handle, sql.base, (int)sql.len, SQLITE_PREPARE_PERSISTENT,
                                   &stmt, &tail);
    if (code != SQLITE_OK) return q5__sqlite_fail(db, code);
    if (!stmt) return q5__sqlite_refuse(db, Q5_EINVAL, "empty statement");
    if (!is_blank(tail, sql.base + sql.len)) {
        (void)db->api->finalize(stmt);
        return q5__sqlite_refuse(db, Q5_EINVAL, "more than one statement");
    }
    *ret_stmt = stmt;
    return Q5_OK;
}

static int add(q5_sqlite *db, uint64_t id, q5_slice sql, q5_sqlite_run **ret_run) {
    if (!make_room(db))
        return q5__sqlite_refuse(db, Q5_ESTATE, "too many statements run at a time");
    sqlite3_stmt *stmt = NULL;
    int status = prepare(db, sql, &stmt);
    if (status) return status;
    size_t n_cells = (size_t)db->api->column_count(stmt);
    q5_sqlite_run *run = q5_calloc(db->alloc, sizeof(*run) + n_cells * sizeof(*run->cells));
    if (!run) {
        (void)db->api->finalize(stmt);
        return Q5_ENOMEM;
    }
    run->db = db;
    run->stmt = stmt;
    run->id = id;
    run->read_only = db->api->stmt_readonly(stmt) != 0;
    run->n_params = (size_t)db->api->bind_parameter_count(stmt);
    run->n_cells = n_cells;
    q5_sqlite_run **bucket = bucket_of(db, id);
    run->next = *bucket;
    *bucket = run;
    link_newest(db, run);
    db->n_statements++;
    *ret_run = run;
    return Q5_OK;
}

int q5__sqlite_statement(q5_sqlite *db, uint64_t id, q5_slice sql, q5_sqlite_run **ret_run) {
    q5_sqlite_run *run = *bucket_of(db, id);
    while (run && run->id != id)
        run = run->next;
    if (!run) return add(db, id, sql, ret_run);
    if (run != db->newest) {
        unlink_age(db, run);
        link_newest(db, run);
    }
    *ret_run = run;
    return Q5_OK;
}
