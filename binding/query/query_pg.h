/* Inside of PgPool: a pool of connections and the calls that run on it. All under the GIL, in the
 * loop's thread. */
#ifndef Q5PY_QUERY_PG_H
#define Q5PY_QUERY_PG_H

#include "query.h"

typedef struct q5py_pg_pool {
    PyObject_HEAD q5py_state *state;
    PyObject *alias;     /* owned str */
    q5py_poller *poller; /* owned */
    q5_pg_library library;
    q5_pg_pool *pool;  /* owned; NULL once closed */
    pid_t pid;         /* behind a fork the connections are the parent's */
    bool loop_is_over; /* nobody who waits can be told */
    q5py_poll_hook hook;
} q5py_pg_pool;

/* One call under way: from q5_pg_submit to on_done or the waiter's giving up. One block: behind it
 * stand the queries, those of statement->tree, and then their arrays. */
typedef struct q5py_pg_run {
    q5_pg_batch batch;
    q5_pg_query *queries;
    struct pg_result **results; /* owned: of each query until that of the last is there, or NULL */
    q5py_pg_pool *pool;         /* owned */
    q5py_pending *pending;      /* owned */
    q5py_wait *wait;            /* owned; its arg is this run while it is pending */
    PyObject *result;           /* owned or NULL */
    PyObject *error;            /* owned or NULL: the result could not be made */
    PyObject *unknown;          /* owned or NULL: types of columns that only the driver knows */
    PyObject *watched;          /* owned or NULL: see watch.h */
    q5_buf values;
    q5_arena arena;
} q5py_pg_run;

/* Begins a call; the new reference is finished when its result is there. NULL with an exception. */
q5py_wait *q5py_pg_run_submit(q5py_pg_pool *pool, q5py_pending *pending);

/* Writes the arguments of run->pending into run->values and points its queries at them. 0, or -1
 * with an exception. */
int q5py_pg_run_bind(q5py_pg_run *run);

#endif
