/* Calls of compiled queries on connections of our own: from submitting one to its outcome.
 * Callbacks come from the loop's poller or from the hook before its wait; no coroutine is being
 * stepped then, so one that waits for a result goes on at once. */
#include "query_pg.h"

#include "convert.h"
#include "q5/pg_rows.h"
#include "watch.h"

#define ERROR_TEXT_MAX 4096 /* bytes of an error's texts */

static void run_free(q5py_pg_run *run) {
    for (uint16_t i = 0; i < run->batch.query_count; i++)
        run->pool->library.clear((PGresult *)run->results[i]); /* takes NULL */
    Py_CLEAR(run->pending);
    Py_CLEAR(run->wait);
    Py_CLEAR(run->result);
    Py_CLEAR(run->error);
    Py_CLEAR(run->unknown);
    Py_CLEAR(run->watched);
    q5_buf_deinit(&run->values);
    q5_arena_deinit(&run->arena);
    q5py_pg_pool *pool = run->pool;
    PyMem_Free(run);
    Py_DECREF(pool);
}

static void on_cancel(q5py_wait *wait, void *arg) {
    (void)wait;
    q5py_pg_run *run = arg;
    q5_pg_cancel(&run->batch);
    run_free(run);
}

/* The types of a result's columns; gives their number. */
static uint32_t read_oids(const q5_pg_library *library, const PGresult *result, uint32_t *oids) {
    int columns = library->nfields(result);
    if (columns < 0 || columns > Q5_ROW_COLUMNS_MAX) columns = 0;
    for (int i = 0; i < columns; i++)
        oids[i] = library->ftype(result, i);
    return (uint32_t)columns;
}

PyObject *q5py_pg_result(q5py_statement *statement, const q5_pg_library *library,
                         const PGresult *result, bool as_json, bool in_python) {
    q5_pg_rows rows = q5_pg_rows_make(library, result);
    q5_row_source source = q5_pg_rows_source(&rows);
    uint32_t oids[Q5_ROW_COLUMNS_MAX], columns = read_oids(library, result, oids);
    PyObject *made = q5py_statement_result(statement, &source, oids, columns, as_json, in_python);
    if (made != Py_NotImplemented || in_python) return made;
    Py_DECREF(made);
    return q5py_pg_result(statement, library, result, as_json, true);
}

/* Of the results of all queries. */
static PyObject *tree_result(const q5py_pg_run *run, bool in_python) {
    const q5_pg_library *library = &run->pool->library;
    q5py_tree tree;
    int rc = q5py_tree_begin(&tree, run->pending->statement, run->pending->as_json, in_python);
    for (uint16_t i = 0; rc == 0 && i < run->batch.query_count; i++) {
        const PGresult *result = (const PGresult *)run->results[i];
        q5_pg_rows rows = q5_pg_rows_make(library, result);
        q5_row_source source = q5_pg_rows_source(&rows);
        uint32_t oids[Q5_ROW_COLUMNS_MAX], columns = read_oids(library, result, oids);
        rc = q5py_tree_take(&tree, &source, oids, columns);
    }
    PyObject *made = rc == 0 ? q5py_tree_result(&tree) : NULL;
    q5py_tree_end(&tree);
    return rc > 0 ? tree_result(run, true) : made;
}

/* Adds those of one result to run->unknown. 0, or -1 with an exception. */
static int note_unknown(q5py_pg_run *run, uint16_t index) {
    const q5py_statement *statement = run->pending->statement->tree[index];
    uint32_t oids[Q5_ROW_COLUMNS_MAX];
    uint32_t columns = read_oids(&run->pool->library, (const PGresult *)run->results[index], oids);
    for (uint32_t i = 0; i < columns; i++) {
        if (q5py_statement_knows(statement, &oids[i], 1)) continue;
        if (!run->unknown && !(run->unknown = PyList_New(0))) return -1;
        PyObject *oid = PyLong_FromUnsignedLong(oids[i]);
        int rc = oid ? PyList_Append(run->unknown, oid) : -1;
        Py_XDECREF(oid);
        if (rc) return -1;
    }
    return 0;
}

static PyObject *make_result(q5py_pg_run *run) {
    for (uint16_t i = 0; i < run->batch.query_count; i++)
        if (note_unknown(run, i)) return NULL;
    if (run->unknown) Py_RETURN_NONE; /* Django's connection will give it */
    if (run->batch.query_count > 1) return tree_result(run, false);
    return q5py_pg_result(run->pending->statement, &run->pool->library,
                          (const PGresult *)run->results[0], run->pending->as_json, false);
}

static q5_pg_take on_result(q5_pg_batch *batch, unsigned index, struct pg_result *result,
                            bool more) {
    (void)more; /* never: it is no stream */
    q5py_pg_run *run = batch->ctx;
    run->results[index] = result;
    if (index + 1U < batch->query_count) return Q5_PG_KEEP;
    /* A project's code, which may cancel the task that waits: the run is on_done's from here on. */
    run->wait->on_cancel = NULL;
    PyObject *made = make_result(run);
    Py_XSETREF(run->result, made);
    if (!made) Py_XSETREF(run->error, q5py_exception_take());
    return Q5_PG_KEEP; /* run_free clears it */
}

/* The exception for a batch that failed, which becomes the current one. */
static void raise_failure(q5py_pg_run *run, int status) {
    const q5_pg_error *error = &run->batch.error;
    PyObject *exception = PyObject_CallMethod(
        run->pending->statement->python, "failure", "isss#s#s#", status, q5_status_text(status),
        error->sqlstate, error->message.base, (Py_ssize_t)error->message.len, error->detail.base,
        (Py_ssize_t)error->detail.len, error->hint.base, (Py_ssize_t)error->hint.len);
    if (exception) q5py_exception_set(exception);
}

/* The Python side runs it on Django's connection, which knows these types, from now on. It ends the
 * wait. */
static void run_again(q5py_pg_run *run, q5py_wait *wait) {
    run->pending->statement->in_python = true;
    PyObject *begun = PyObject_CallMethod(run->pending->statement->python, "again", "OOO",
                                          run->pending, run->unknown, (PyObject *)wait);
    run_free(run);
    if (!begun) q5py_wait_fail(wait);
    Py_XDECREF(begun);
}

static void on_done(q5_pg_batch *batch, int status) {
    q5py_pg_run *run = batch->ctx;
    q5py_wait *wait = run->wait;
    run->wait = NULL;
    wait->on_cancel = NULL;
    PyObject *outcome = NULL;
    q5py_watch_done(run->watched, status == Q5_OK);
    run->watched = NULL;
    if (run->pool->loop_is_over) {
        run_free(run);
        Py_DECREF(wait);
        return;
    }
    if (status == Q5_OK && run->unknown && !run->error) {
        run_again(run, wait);
        Py_DECREF(wait);
        return;
    }
    if (status != Q5_OK)
        raise_failure(run, status);
    else if (run->error)
        q5py_exception_set(Py_NewRef(run->error));
    else
        outcome = q5py_pending_outcome(run->pending, Py_XNewRef(run->result));
    if (!outcome && !PyErr_Occurred())
        PyErr_SetString(PyExc_SystemError, "a query without a result");
    run_free(run);
    if (outcome)
        q5py_wait_finish_now(wait, outcome);
    else
        q5py_wait_fail(wait);
    Py_XDECREF(outcome);
    Py_DECREF(wait);
}

static q5py_pg_run *run_new(q5py_pg_pool *pool, q5py_pending *pending) {
    const q5py_statement *root = pending->statement;
    size_t queries = root->tree_count, count = 0;
    for (size_t i = 0; i < queries; i++)
        count += root->tree[i]->slot_count;
    q5py_pg_run *run =
        PyMem_Calloc(1, sizeof(*run) + queries * (sizeof(q5_pg_query) + sizeof(PGresult *)) +
                            count * (sizeof(char *) + 2 * sizeof(int)));
    if (!run) {
        PyErr_NoMemory();
        return NULL;
    }
    run->queries = (q5_pg_query *)(void *)(run + 1);
    run->results = (struct pg_result **)(void *)(run->queries + queries);
    const char **values = (const char **)(void *)(run->results + queries);
    int *lengths = (int *)(void *)(values + count);
    for (size_t i = 0; i < queries; i++) {
        run->queries[i] = (q5_pg_query){.statement = &root->tree[i]->pg,
                                        .values = values,
                                        .lengths = lengths,
                                        .formats = lengths + count};
        values += root->tree[i]->slot_count;
        lengths += root->tree[i]->slot_count;
    }
    run->batch = (q5_pg_batch){.queries = run->queries,
                               .query_count = (uint16_t)queries,
                               .flags = queries > 1 ? Q5_PG_SNAPSHOT : Q5_PG_READ_ONLY,
                               .arena = &run->arena,
                               .ctx = run,
                               .on_result = on_result,
                               .on_done = on_done};
    run->pool = (q5py_pg_pool *)Py_NewRef((PyObject *)pool);
    run->pending = (q5py_pending *)Py_NewRef((PyObject *)pending);
    q5_buf_init(&run->values, q5_alloc_default());
    q5_arena_init(&run->arena, q5_alloc_default(), ERROR_TEXT_MAX);
    return run;
}

q5py_wait *q5py_pg_run_submit(q5py_pg_pool *pool, q5py_pending *pending) {
    q5py_pg_run *run = run_new(pool, pending);
    if (!run) return NULL;
    run->wait = q5py_pg_run_bind(run) ? NULL : q5py_wait_new(pool->state);
    if (!run->wait) {
        run_free(run);
        return NULL;
    }
    run->watched = q5py_watch_query(pending);
    int status = q5_pg_submit(pool->pool, &run->batch);
    if (status) {
        raise_failure(run, status);
        run_free(run);
        return NULL;
    }
    run->wait->on_cancel = on_cancel;
    run->wait->arg = run;
    return (q5py_wait *)Py_NewRef((PyObject *)run->wait);
}
