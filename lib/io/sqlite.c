/* Connections: opening, snapshots, errors. */
#include <stdio.h>
#include <time.h>

#include "io/sqlite_internal.h"

#define STATEMENTS_DEFAULT 128
/* VM instructions between two calls of the progress handler: 10 to 50 us. */
#define PROGRESS_STEPS 1000

/* Copies text into room for Q5_SQLITE_MESSAGE_SIZE bytes; a cut leaves whole characters. */
static void copy_message(char *out, const char *text) {
    size_t len = strlen(text);
    if (len >= Q5_SQLITE_MESSAGE_SIZE) {
        len = Q5_SQLITE_MESSAGE_SIZE - 1;
        while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    memcpy(out, text, len);
    out[len] = '\0';
}

int q5__sqlite_fail(q5_sqlite *db, int code) {
    db->code = code;
    copy_message(db->message, db->api->errmsg(db->handle));
    return q5__sqlite_status(code);
}

int q5__sqlite_refuse(q5_sqlite *db, int status, const char *message) {
    db->code = SQLITE_MISUSE;
    copy_message(db->message, message);
    return status;
}

int q5__sqlite_progress(void *ctx) {
    q5_sqlite *db = ctx;
    const q5_sqlite_run *run = db->stepping;
    if (!run || !run->deadline_nsec) return 0;
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    uint64_t now = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
    if (now < run->deadline_nsec) return 0;
    db->slow = true;
    return 1;
}

static int open_file(q5_sqlite *db, const q5_sqlite_config *config) {
    const q5_sqlite_api *api = db->api;
    int flags = SQLITE_OPEN_NOMUTEX; /* one thread at a time: the caller's part */
    if (config->flags & Q5_SQLITE_WRITE)
        flags |=
            SQLITE_OPEN_READWRITE | (config->flags & Q5_SQLITE_CREATE ? SQLITE_OPEN_CREATE : 0);
    else
        flags |= SQLITE_OPEN_READONLY;
    if (config->flags & Q5_SQLITE_URI) flags |= SQLITE_OPEN_URI;
    int code = api->open_v2(config->path, &db->handle, flags, NULL);
    if (!db->handle) return Q5_ENOMEM; /* "unable to allocate memory to hold the sqlite3 object" */
    if (code != SQLITE_OK) return q5__sqlite_fail(db, api->extended_errcode(db->handle));
    (void)api->extended_result_codes(db->handle, 1);
    (void)api->busy_timeout(db->handle, (int)config->busy_msec);
    if (config->init_sql) {
        code = api->exec(db->handle, config->init_sql, NULL, NULL, NULL);
        if (code != SQLITE_OK) return q5__sqlite_fail(db, code);
    }
    api->progress_handler(db->handle, PROGRESS_STEPS, q5__sqlite_progress, db);
    return Q5_OK;
}

int q5_sqlite_open(q5_sqlite **ret_db, const q5_sqlite_api *api, const q5_alloc *alloc,
                   const q5_sqlite_config *config, char *message) {
    if (message) *message = '\0';
    if (!config->path || config->statements_max > Q5_SQLITE_STATEMENTS_MAX ||
        config->busy_msec > INT32_MAX)
        return Q5_EINVAL;
    if (!alloc) alloc = q5_alloc_default();
    q5_sqlite *db = q5_calloc(alloc, sizeof(*db));
    if (!db) return Q5_ENOMEM;
    db->api = api;
    db->alloc = alloc;
    db->statements_max = config->statements_max ? config->statements_max : STATEMENTS_DEFAULT;
    int status = open_file(db, config);
    if (status) {
        if (message) memcpy(message, db->message, sizeof(db->message));
        q5_sqlite_close(db);
        return status;
    }
    *ret_db = db;
    return Q5_OK;
}

void q5_sqlite_close(q5_sqlite *db) {
    if (!db) return;
    while (db->oldest)
        q5__sqlite_forget(db->oldest);
    /* Without statements this cannot fail; an open transaction is rolled back. */
    (void)db->api->close_v2(db->handle);
    q5_free(db->alloc, db);
}

void q5_sqlite_set_budget(q5_sqlite *db, uint32_t budget_usec) {
    db->budget_usec = budget_usec;
}

void q5_sqlite_interrupt(q5_sqlite *db) {
    db->api->interrupt(db->handle);
}

const char *q5_sqlite_message(const q5_sqlite *db) {
    return db->message;
}

int q5_sqlite_code(const q5_sqlite *db) {
    return db->code;
}

int q5_sqlite_enter(q5_sqlite *db) {
    if (db->in_snapshot) return Q5_ESTATE;
    int code = db->api->exec(db->handle, "BEGIN DEFERRED", NULL, NULL, NULL);
    if (code != SQLITE_OK) return q5__sqlite_fail(db, code);
    db->in_snapshot = true;
    return Q5_OK;
}

int q5_sqlite_leave(q5_sqlite *db, bool keep) {
    if (!db->in_snapshot) return Q5_OK;
    if (db->api->get_autocommit(db->handle)) { /* after SQLITE_FULL, SQLITE_IOERR, ... */
        db->in_snapshot = false;
        return keep ? q5__sqlite_refuse(db, Q5_ESTATE, "an error has undone the transaction")
                    : Q5_OK;
    }
    int code = db->api->exec(db->handle, keep ? "COMMIT" : "ROLLBACK", NULL, NULL, NULL);
    if (code != SQLITE_OK) return q5__sqlite_fail(db, code);
    db->in_snapshot = false;
    return Q5_OK;
}
