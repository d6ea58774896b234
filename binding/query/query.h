/* Compiled queries: `quintette.db.compiled` describes them, these files run them.
 *
 *   query_call.c       Query: a call's arguments, checked, and the statement for them
 *   query_statement.c  Statement: one SQL text, its parameters, the plan of its rows
 *   query_tree.c       rows of a statement and of those of its to-many fields -> one result
 *   query_bind.c       arguments -> q5_param;  query_param.c: one Python value -> q5_param
 *   query_pending.c    Pending: a call that runs when it is awaited
 *   query_pg.c         PgPool: PostgreSQL connections of our own on the loop
 *   query_pg_run.c     calls that run on them, query_pg_bind.c their arguments
 *   query_sqlite.c     SqliteFile: a SQLite connection of our own
 *   query_django.c     what psycopg has received on a connection of Django's -> the same results
 *   query_tuples.c     what sqlite3 has fetched -> cells
 *   query_rows.c       Rows: rows that are there, and JSON of them with their to-many fields
 *   cells.c            cells -> what the database's Python driver gives for them
 *
 * Where no connection of our own can serve (a transaction, a thread, a type without a decoder), the
 * Python side runs the same SQL on Django's connection. */
#ifndef Q5PY_QUERY_H
#define Q5PY_QUERY_H

#include "q5/children.h"
#include "q5/param.h"
#include "q5/pg.h"
#include "q5/pg_library.h"
#include "q5/row.h"
#include "greenlets/wait.h"

#define Q5PY_QUERY_PARAMS_MAX 64     /* of a function */
#define Q5PY_STATEMENT_SLOTS_MAX 256 /* parameters of one SQL text */
#define Q5PY_SUM_TERMS_MAX 64
#define Q5PY_TREE_MAX 64 /* statements of one call: QUERIES_MAX of quintette.db.shapes */
#define Q5PY_LIST_MAX Q5_PARAM_ITEMS_MAX

/* ---- statements ------------------------------------------------------------------------------ */

typedef enum q5py_slot_kind {
    Q5PY_SLOT_ARGUMENT,
    Q5PY_SLOT_SUM,   /* of products of integer arguments: `low` */
    Q5PY_SLOT_LOW,   /* a slice's first bound, for OFFSET: `low` */
    Q5PY_SLOT_COUNT, /* `high` - `low`, for LIMIT */
    Q5PY_SLOT_CONSTANT,
    Q5PY_SLOT_PYTHON, /* the Python side makes the value */
} q5py_slot_kind;

typedef struct q5py_term {
    int64_t factor;
    int16_t first, second; /* arguments; -1: none */
} q5py_term;

typedef struct q5py_sum {
    uint16_t count;
    q5py_term *terms; /* owned */
} q5py_sum;

typedef struct q5py_slot {
    q5py_slot_kind kind;
    uint16_t argument;
    bool escaped; /* for LIKE */
    q5py_sum low, high;
    PyObject *constant;       /* owned or NULL */
    PyObject *before, *after; /* owned bytes around a text, or NULL */
} q5py_slot;

typedef enum q5py_mode {
    Q5PY_MODE_LIST,
    Q5PY_MODE_ONE,    /* exactly one row, or the Python side's exception */
    Q5PY_MODE_FIRST,  /* the first row or null */
    Q5PY_MODE_EXISTS, /* true or false */
} q5py_mode;

typedef struct q5py_statement {
    PyObject_HEAD q5py_state *state;
    PyObject *python; /* owned: quintette.db.compiled.statement.Statement */
    PyObject *alias;  /* owned str */
    bool is_postgresql;
    bool in_python;       /* always by the Python side */
    PyObject *text_types; /* owned set of the database's own types that are sent as their text (an
                             enum, citext), by their OIDs; or NULL */
    q5py_mode mode;
    PyObject *sql; /* owned bytes, end in a NUL */
    uint16_t slot_count, column_count;
    q5py_slot *slots;
    uint32_t *oids;        /* of the parameters */
    q5_type *types;        /* of the columns; oid and array's element as the last result had them */
    uint32_t *column_oids; /* that `plan` was made for */
    PyObject *steps;       /* owned tuple; NULL: rows become JSON by the Python side */
    q5_row_plan *plan;     /* owned; NULL: not made yet, or it cannot be */
    bool plan_tried;
    uint64_t id; /* of this text, in this process */
    q5_pg_statement pg;
    PyObject *engine; /* owned PgPool or SqliteFile of the last call, or NULL */
    /* Those of to-many fields, whose first column is the key of a row of this one; children[slot]
     * of `plan`. They run with it, in the order of `tree`. */
    PyObject *children; /* owned tuple of Statement */
    uint16_t tree_count;
    struct q5py_statement **tree; /* owned array: each behind its own children, this one last */
} q5py_statement;

typedef struct q5py_pending {
    PyObject_HEAD q5py_statement *statement; /* owned */
    PyObject *arguments;                     /* owned tuple */
    PyObject *body;                          /* owned bytes: the JSON, once it is there; or NULL */
    PyObject *future;                        /* owned: see query_future.c; or NULL */
    PyObject *forwarded;                     /* owned list: its callbacks; or NULL */
    bool as_json;
    bool as_body; /* the outcome is this object, with its body */
} q5py_pending;

/* ---- query_bind.c */
/* Reads the Python side's tuple. 0, or -1 with an exception. */
int q5py_slot_read(q5py_slot *slot, uint32_t *ret_oid, PyObject *source);
void q5py_slot_clear(q5py_slot *slot);
/* Binds all slots: params and owners have slot_count entries, owners zeroed; each that is set
 * afterwards keeps its param's bytes and is the caller's to drop. 0, or -1 with an exception. */
int q5py_bind(q5py_statement *statement, PyObject *arguments, q5_param *params, PyObject **owners);

/* ---- query_param.c */
/* *ret_owner: a new reference that keeps its bytes, or NULL. 0, or -1 with TypeError or
 * OverflowError. */
int q5py_param_of(q5py_state *state, PyObject *value, q5_param *ret, PyObject **ret_owner);

/* ---- query_statement.c */
/* Rows in the form in which they are asked for: bytes, a list, one object, ... A new reference, or
 * NULL with an exception. oids: the types of PostgreSQL's columns; NULL for SQLite. in_python: the
 * rows go through Python's objects. Py_NotImplemented: they must; go back to the first one. */
PyObject *q5py_statement_result(q5py_statement *statement, const q5_row_source *source,
                                const uint32_t *oids, uint32_t columns, bool as_json,
                                bool in_python);
/* The parts of that. Makes the plan for columns of these types: 1; 0: there can be none; -1 with an
 * exception. */
int q5py_statement_prepare(q5py_statement *statement, const uint32_t *oids, uint32_t columns);
/* Whether cells.c knows all these types, or their values are texts. */
bool q5py_statement_knows(const q5py_statement *statement, const uint32_t *oids, uint32_t columns);
/* The driver's rows: a list of tuples. NULL with an exception. */
PyObject *q5py_statement_rows(q5py_statement *statement, const q5_row_source *source,
                              const uint32_t *oids);
/* JSON by the plan, which must be there; children: of its slots, or NULL. Py_NotImplemented: see
 * above. */
PyObject *q5py_statement_encode(q5py_statement *statement, const q5_row_source *source,
                                q5_rows_mode mode, const q5_children *const *children);
/* How the rows stand in the JSON of a call. */
q5_rows_mode q5py_statement_rows_mode(const q5py_statement *statement);

/* ---- query_tree.c */
/* One call's results, in the order of statement->tree. A plain value. */
typedef struct q5py_tree {
    q5py_statement *root; /* borrowed */
    bool as_json, in_python;
    uint16_t next;                        /* the statement whose rows come next */
    q5_children *children[Q5PY_TREE_MAX]; /* owned: JSON of the statement in that place, or NULL */
    PyObject *rows;                       /* owned list: for Python, the rows of each; or NULL */
    PyObject *result;                     /* owned or NULL */
} q5py_tree;

/* in_python: rows become objects of Python first. 0, or -1 with an exception; call end then too. */
int q5py_tree_begin(q5py_tree *tree, q5py_statement *root, bool as_json, bool in_python);
/* Takes the rows of the next statement. 0; 1: they must go through Python, begin anew for that; -1
 * with an exception. The rows are no longer needed. */
int q5py_tree_take(q5py_tree *tree, const q5_row_source *source, const uint32_t *oids,
                   uint32_t columns);
/* The result, once the last statement's rows were taken: a new reference. NULL with an exception.
 */
PyObject *q5py_tree_result(q5py_tree *tree);
void q5py_tree_end(q5py_tree *tree);
/* Fills statement->tree. 0, or -1 with an exception. */
int q5py_tree_make(q5py_statement *statement);
/* Rows whose first column is their parent's key, by the plan, which must be there. 0 with
 * *ret_children, which is the caller's to destroy; 1: they must go through Python; -1 with an
 * exception. */
int q5py_children_read(q5py_statement *statement, const q5_row_source *source,
                       const q5_children *const *slots, q5_children **ret_children);

/* ---- query_pending.c */
/* Steals the reference to arguments, a tuple. */
PyObject *q5py_pending_new(q5py_statement *statement, PyObject *arguments, bool as_json);
/* Runs it on a connection of ours: 1: *ret is a new reference to an awaitable iterator, a Wait; 0:
 * not possible; -1 with an exception. */
int q5py_pending_start(q5py_pending *pending, PyObject **ret);
/* A coroutine that runs it on Django's connection, or NULL with an exception. */
PyObject *q5py_pending_elsewhere(q5py_pending *pending);
bool q5py_is_pending(PyObject *object);
/* What it gives: the result, or with as_body the pending itself, which gets the body. Steals the
 * reference to result; NULL stays NULL. */
PyObject *q5py_pending_outcome(q5py_pending *pending, PyObject *result);
/* A handler's result: *ret_body is a new reference to its JSON; or *ret_result to its objects; or
 * *ret_awaitable to what gives a result in its turn, but never where no loop runs. in_thread: of a
 * handler that may block. 0, or -1 with an exception. */
int q5py_pending_judge(PyObject *pending, bool in_thread, PyObject **ret_body,
                       PyObject **ret_result, PyObject **ret_awaitable);

/* ---- cells.c */
/* What psycopg, as Django sets it up, gives: NULL with an exception; NotImplementedError for a
 * type that it does not know. */
PyObject *q5py_cell_of_postgresql(q5py_state *state, q5_slice value, uint32_t oid);
/* What sqlite3 gives. */
PyObject *q5py_cell_of_sqlite(const q5_cell *cell);
bool q5py_cell_knows(uint32_t oid);

/* ---- query_pg.c */
/* Submits it. 1: *ret_wait is a new reference to what will be over; 0: no connection of ours can
 * serve; -1 with an exception. */
int q5py_pg_start(q5py_pending *pending, q5py_poller *poller, q5py_wait **ret_wait);

/* libpq's functions, out of what has loaded it. 0, or -1 with NotImplementedError. */
int q5py_pg_library_load(q5_pg_library *library, const char *path);

/* pg_pools(poller): by alias, a dict of the open ones. */
PyObject *q5py_pg_pools(PyObject *module, PyObject *poller);

/* ---- query_pg_run.c */
/* As q5py_statement_result, of a result in binary format, which stays the caller's; never
 * Py_NotImplemented. */
PyObject *q5py_pg_result(q5py_statement *statement, const q5_pg_library *library,
                         const PGresult *result, bool as_json, bool in_python);

/* ---- query_sqlite.c */
/* Runs it, on this thread, if that is done soon. 1: *ret_result is a new reference to the result;
 * 0: it must run elsewhere; -1 with an exception. */
int q5py_sqlite_run(q5py_pending *pending, PyObject **ret_result);

/* ---- query_tuples.c */
#define Q5PY_MOMENT_SIZE 32 /* bytes of a date and time as text; the longest one has 26 */

/* Some rows of a list of tuples as a source. What a cell points to is its row's, or stands in
 * `moments` until the next one. */
typedef struct q5py_tuples {
    PyObject *rows; /* borrowed list */
    Py_ssize_t next, end;
    char (*moments)[Q5PY_MOMENT_SIZE]; /* owned: one per column */
} q5py_tuples;

/* 0, or -1 with an exception; end then too. The source is Q5_ECELL_RANGE at a value that no cell of
 * SQLite's can be. */
int q5py_tuples_begin(q5py_tuples *tuples, PyObject *rows, Py_ssize_t first, Py_ssize_t end,
                      uint32_t columns);
q5_row_source q5py_tuples_source(q5py_tuples *tuples);
void q5py_tuples_end(q5py_tuples *tuples);

/* ---- query_rows.c */
/* Rows of a PGresult in binary format, of types that cells.c knows. reader keeps library, owner
 * keeps result. A new reference, or NULL with an exception. */
PyObject *q5py_rows_of_pg(q5py_statement *statement, PyObject *reader, const q5_pg_library *library,
                          PyObject *owner, const PGresult *result);

/* Those of cells.c, query_param.c and query_tuples.c only look up what they use. */
int q5py_init_cells(PyObject *module, q5py_state *state);
int q5py_init_param(PyObject *module, q5py_state *state);
int q5py_init_query(PyObject *module, q5py_state *state);
int q5py_init_tree(PyObject *module, q5py_state *state);
int q5py_init_statement(PyObject *module, q5py_state *state);
int q5py_init_pending(PyObject *module, q5py_state *state);
int q5py_init_pg(PyObject *module, q5py_state *state);
int q5py_init_sqlite(PyObject *module, q5py_state *state);
int q5py_init_django_results(PyObject *module, q5py_state *state);
int q5py_init_tuples(PyObject *module, q5py_state *state);
int q5py_init_rows(PyObject *module, q5py_state *state);

/* ---- query_future.c: methods of Pending, those of asyncio.Future */
PyObject *q5py_pending_add_done_callback(PyObject *op, PyObject *args, PyObject *kwargs);
PyObject *q5py_pending_remove_done_callback(PyObject *op, PyObject *callback);
PyObject *q5py_pending_cancel(PyObject *op, PyObject *args, PyObject *kwargs);
PyObject *q5py_pending_cancelled(PyObject *op, PyObject *unused);
PyObject *q5py_pending_done(PyObject *op, PyObject *unused);
PyObject *q5py_pending_result(PyObject *op, PyObject *unused);
PyObject *q5py_pending_exception(PyObject *op, PyObject *unused);
PyObject *q5py_pending_get_loop(PyObject *op, PyObject *unused);
PyObject *q5py_pending_make_cancelled_error(PyObject *op, PyObject *unused);

#endif
