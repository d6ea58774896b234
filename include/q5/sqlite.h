/* Compiled queries on SQLite's C API: connections of our own with cached prepared statements.
 *
 * SQLite is not linked. Its functions come from a handle that the caller gives, so that they are
 * those of the copy which Python's `_sqlite3` uses: two copies in one process would not know of
 * each other's POSIX locks, and closing a file in one would drop the other's
 * (https://www.sqlite.org/howtocorrupt.html, 2.2.1).
 *
 * Lifetimes: q5_sqlite_api outlives its connections; a connection outlives its runs; there may be
 * several runs at a time, one per statement. Threads: one at a time per connection and what
 * belongs to it, any thread; q5_sqlite_interrupt alone may come from another. No connection may be
 * used after a fork in the child. Everything here blocks as the file system does, bounded by the
 * budget (see q5_sqlite_set_budget) and the busy timeout. */
#ifndef Q5_SQLITE_H
#define Q5_SQLITE_H

#include "q5/alloc.h"
#include "q5/row.h"
#include "q5/status.h"

typedef struct q5_sqlite_api q5_sqlite_api; /* SQLite's functions */
typedef struct q5_sqlite q5_sqlite;         /* a connection */
typedef struct q5_sqlite_run q5_sqlite_run; /* a statement between its binding and its end */

#define Q5_SQLITE_CELLS_MAX 2000      /* columns of a row; SQLite's own default bound */
#define Q5_SQLITE_PARAMS_MAX 32766    /* SQLite's own default bound */
#define Q5_SQLITE_STATEMENTS_MAX 4096 /* cached per connection */
#define Q5_SQLITE_MESSAGE_SIZE                                         \
    256 /* bytes of an error message with its NUL; longer ones are cut \
         */

/* ---- the library ----------------------------------------------------------------------------- */

/* Looks SQLite's functions up by dlsym. handle: of dlopen, of a library that depends on SQLite
 * (such as `_sqlite3`, opened with RTLD_NOLOAD) or is it; or RTLD_DEFAULT. It must stay open as
 * long as the result lives. Q5_OK; Q5_ELIBRARY: a function is not to be found (SQLite is linked
 * statically with hidden symbols), or SQLite is older than 3.31 or was built without threads: use
 * the ordinary path then; *ret_missing, if asked for, says what, in static storage; Q5_ENOMEM. */
Q5_EXTERN int q5_sqlite_api_create(q5_sqlite_api **ret_api, const q5_alloc *alloc, void *handle,
                                   const char **ret_missing);
/* Does nothing to NULL. */
Q5_EXTERN void q5_sqlite_api_destroy(q5_sqlite_api *api);
/* 3040001 for 3.40.1. */
Q5_EXTERN int q5_sqlite_api_version(const q5_sqlite_api *api);

/* ---- connections ----------------------------------------------------------------------------- */

#define Q5_SQLITE_WRITE 1u  /* read and write; else SQLite opens the file read-only */
#define Q5_SQLITE_CREATE 2u /* create the file; with Q5_SQLITE_WRITE only */
#define Q5_SQLITE_URI 4u    /* path is a "file:" URI */

typedef struct q5_sqlite_config {
    const char *path;     /* UTF-8, ends in a NUL */
    const char *init_sql; /* run once when opened, such as pragmas; NULL: nothing */
    unsigned flags;       /* Q5_SQLITE_... */
    uint32_t busy_msec;   /* SQLite itself waits so long for a lock; 0, as on a loop: not at all */
    uint32_t statements_max; /* cached statements, at most Q5_SQLITE_STATEMENTS_MAX; 0: 128 */
} q5_sqlite_config;

/* Opens a file. Q5_OK; Q5_EBUSY: locked, try again; Q5_EIO: not there, no right, no database;
 * Q5_ESQL: init_sql is refused; Q5_EINVAL: the configuration; Q5_ENOMEM. message, if not NULL, has
 * room for Q5_SQLITE_MESSAGE_SIZE bytes and gets SQLite's words on failure. Copies what it keeps.
 */
Q5_EXTERN int q5_sqlite_open(q5_sqlite **ret_db, const q5_sqlite_api *api, const q5_alloc *alloc,
                             const q5_sqlite_config *config, char *message);
/* Ends its runs, closes. Does nothing to NULL. */
Q5_EXTERN void q5_sqlite_close(q5_sqlite *db);

/* What the runs that begin from now on may take: microseconds of wall time from q5_sqlite_begin on
 * (looked at about every 1,000 VM instructions, so a run may overstep it by one of SQLite's long
 * instructions, such as a sort). 0, as after opening: no bound. */
Q5_EXTERN void q5_sqlite_set_budget(q5_sqlite *db, uint32_t budget_usec);

/* Makes what runs now return Q5_EINTERRUPTED. Any thread, while the connection is not being closed.
 * Does nothing where nothing runs. */
Q5_EXTERN void q5_sqlite_interrupt(q5_sqlite *db);

/* What the last call that failed had to say: UTF-8, ends in a NUL, valid until the next call that
 * fails and the next q5_sqlite_begin; "" if none failed since then. */
Q5_EXTERN const char *q5_sqlite_message(const q5_sqlite *db);
/* SQLite's extended result code of that call; 0 if none failed. */
Q5_EXTERN int q5_sqlite_code(const q5_sqlite *db);

/* ---- snapshots ------------------------------------------------------------------------------- */

/* All reads until q5_sqlite_leave see the same state of the database (BEGIN DEFERRED). For batches
 * of more than one statement. Q5_OK; Q5_ESTATE: in one already; else as q5_sqlite_next. */
Q5_EXTERN int q5_sqlite_enter(q5_sqlite *db);
/* Ends the snapshot, by COMMIT if keep, else by ROLLBACK; end the runs before. If COMMIT fails
 * (Q5_EBUSY, Q5_EIO, ...), the transaction is still open: call again, or with keep = false, which
 * always ends it. Q5_ESTATE: SQLite has rolled it back because of an error before, and it has
 * ended. Does nothing outside a snapshot. */
Q5_EXTERN int q5_sqlite_leave(q5_sqlite *db, bool keep);

/* ---- runs ------------------------------------------------------------------------------------ */

/* Begins a statement with its parameters; reads nothing yet. id stands for this very text, in this
 * process and for ever, and is not 0: sql is only looked at when the connection has no prepared
 * statement under this id. params: NULL, INT64, DOUBLE, TEXT or BYTES (a blob); what they point to
 * is not copied and must stay until q5_sqlite_end. *ret_run is the connection's.
 *
 * Q5_OK; Q5_ESQL: SQLite cannot prepare it. So it is too with a function that Django registers on
 * its own connections only (django_date_trunc, regexp, ...): run it on one of those; Q5_ESTATE:
 * this statement is running already; Q5_EINVAL: not as many parameters as the statement has, or
 * empty text, or more than one statement; Q5_EBUSY; Q5_EIO; Q5_ENOMEM. */
Q5_EXTERN int q5_sqlite_begin(q5_sqlite *db, uint64_t id, q5_slice sql, const q5_cell *params,
                              size_t n_params, q5_sqlite_run **ret_run);

/* Goes to the next row, the first one at first. Whatever it returns but Q5_OK, call q5_sqlite_end.
 *
 * Q5_OK: there is a row, see q5_sqlite_cells; Q5_DONE: no more rows;
 * Q5_ESLOW: a read over its budget: repeat it on a thread, without one (writes have no budget:
 * to stop one may undo the transaction that it is in);
 * Q5_EINTERRUPTED: by q5_sqlite_interrupt;
 * Q5_EBUSY: another connection has a lock that it takes: repeat it later;
 * Q5_ECONSTRAINT: a constraint is violated;
 * Q5_ESQL: it is wrong in another way (q5_sqlite_message tells);
 * Q5_EIO: the file is not readable, damaged, full or read-only; Q5_ENOMEM. */
Q5_EXTERN int q5_sqlite_next(q5_sqlite_run *run);

/* The columns of the statement; 0 for one that gives no rows. */
Q5_EXTERN size_t q5_sqlite_columns(const q5_sqlite_run *run);
/* The name of a column: ends in a NUL, valid until the next q5_sqlite_next. NULL: no memory. */
Q5_EXTERN const char *q5_sqlite_column_name(q5_sqlite_run *run, size_t column);
/* The row that q5_sqlite_next has found, a cell per column; they and what they point to are valid
 * until the next q5_sqlite_next or q5_sqlite_end of this run. By storage class: NULL, INT64,
 * DOUBLE, TEXT (as SQLite has it: UTF-8 is not checked) or BYTES (a blob). */
Q5_EXTERN const q5_cell *q5_sqlite_cells(const q5_sqlite_run *run);
/* The same rows as the source of a writer: in place of q5_sqlite_next and q5_sqlite_cells, with
 * their statuses and lifetimes. Q5_EINVAL: the plan wants more columns than the statement has. */
Q5_EXTERN q5_row_source q5_sqlite_source(q5_sqlite_run *run);
/* Rows that the statement has inserted, changed or deleted, once it is Q5_DONE. */
Q5_EXTERN int64_t q5_sqlite_changes(const q5_sqlite_run *run);

/* Resets the statement, which stays in the cache. Does nothing to NULL. */
Q5_EXTERN void q5_sqlite_end(q5_sqlite_run *run);

#endif
