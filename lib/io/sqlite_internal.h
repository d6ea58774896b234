/* What the files of lib/io/sqlite*.c share. */
#ifndef Q5_IO_SQLITE_INTERNAL_H
#define Q5_IO_SQLITE_INTERNAL_H

#include <sqlite3.h>

#include "q5/sqlite.h"

/* The functions of SQLite that we call, by their names without "sqlite3_". */
#define Q5_SQLITE_FUNCTIONS(XX) \
    XX(bind_blob64)             \
    XX(bind_double)             \
    XX(bind_int64)              \
    XX(bind_null)               \
    XX(bind_parameter_count)    \
    XX(bind_text64)             \
    XX(busy_timeout)            \
    XX(changes)                 \
    XX(clear_bindings)          \
    XX(close_v2)                \
    XX(column_blob)             \
    XX(column_bytes)            \
    XX(column_count)            \
    XX(column_double)           \
    XX(column_int64)            \
    XX(column_name)             \
    XX(column_text)             \
    XX(column_type)             \
    XX(errmsg)                  \
    XX(exec)                    \
    XX(extended_errcode)        \
    XX(extended_result_codes)   \
    XX(finalize)                \
    XX(get_autocommit)          \
    XX(interrupt)               \
    XX(libversion_number)       \
    XX(open_v2)                 \
    XX(prepare_v3)              \
    XX(progress_handler)        \
    XX(reset)                   \
    XX(step)                    \
    XX(stmt_readonly)           \
    XX(threadsafe)

struct q5_sqlite_api {
    const q5_alloc *alloc;
#define XX(name) __typeof__(&sqlite3_##name) name; /* NOLINT(bugprone-macro-parentheses) */
    Q5_SQLITE_FUNCTIONS(XX)
#undef XX
};

#define Q5__SQLITE_BUCKETS 256 /* of a connection's statements by id; a power of two */

/* A cached statement, and its run while it is running. */
struct q5_sqlite_run {
    q5_sqlite *db;
    sqlite3_stmt *stmt; /* owned */
    uint64_t id;
    uint64_t deadline_nsec; /* of the monotonic clock; 0: none */
    int64_t changes;
    bool running;
    bool read_only;
    bool stale;          /* not what its callers believe it to be: forget it when it ends */
    q5_sqlite_run *next; /* of its bucket */
    q5_sqlite_run *newer, *older;
    size_t n_params;
    size_t n_cells;
    q5_cell cells[]; /* the row; TEXT and BYTES point into SQLite's memory */
};

struct q5_sqlite {
    const q5_sqlite_api *api;
    const q5_alloc *alloc;
    sqlite3 *handle; /* owned */
    uint32_t budget_usec;
    uint32_t n_statements;
    uint32_t statements_max;
    bool in_snapshot;
    bool slow;               /* the progress handler has stopped the step: over budget */
    q5_sqlite_run *stepping; /* inside sqlite3_step; what the progress handler looks at */
    q5_sqlite_run *newest, *oldest;
    q5_sqlite_run *buckets[Q5__SQLITE_BUCKETS];
    int code;
    char message[Q5_SQLITE_MESSAGE_SIZE];
};

/* The status that stands for an extended result code of SQLite's. */
int q5__sqlite_status(int code);

/* Keeps code and what SQLite says of it; returns its status. */
int q5__sqlite_fail(q5_sqlite *db, int code);

/* Keeps a message of our own. Returns status. */
int q5__sqlite_refuse(q5_sqlite *db, int status, const char *message);

/* The statement under this id, prepared if need be and the newest then. Statuses as
 * q5_sqlite_begin's. */
int q5__sqlite_statement(q5_sqlite *db, uint64_t id, q5_slice sql, q5_sqlite_run **ret_run);

/* Finalizes it and takes it out of the cache. */
void q5__sqlite_forget(q5_sqlite_run *run);

/* The progress handler: not 0 stops the step. */
int q5__sqlite_progress(void *ctx);

#endif
