/* _quintette.PgPool: connections of our own to one database, of one event loop. Callbacks come from
 * the loop's poller or from the hook before its wait, under the GIL; no coroutine is being stepped
 * then, so one that waits for a result goes on at once. */
#include "query.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "convert.h"
#include "q5/pg_rows.h"
#include "watch.h"

#define CONNECTION_PARAMS_MAX 64
#define ERROR_TEXT_MAX 4096 /* bytes of an error's texts */
#define NO_OFFSET SIZE_MAX  /* of SQL's NULL */

static_assert(sizeof(size_t) == sizeof(char *), "an offset stands where its pointer will");

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
typedef struct pg_run {
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
} pg_run;

/* ---- runs ------------------------------------------------------------------------------------ */

static void run_free(pg_run *run) {
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
    pg_run *run = arg;
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
static PyObject *tree_result(const pg_run *run, bool in_python) {
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
static int note_unknown(pg_run *run, uint16_t index) {
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

static PyObject *make_result(pg_run *run) {
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
    pg_run *run = batch->ctx;
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
static void raise_failure(pg_run *run, int status) {
    const q5_pg_error *error = &run->batch.error;
    PyObject *exception = PyObject_CallMethod(
        run->pending->statement->python, "failure", "isss#s#s#", status, q5_status_text(status),
        error->sqlstate, error->message.base, (Py_ssize_t)error->message.len, error->detail.base,
        (Py_ssize_t)error->detail.len, error->hint.base, (Py_ssize_t)error->hint.len);
    if (exception) q5py_exception_set(exception);
}

/* The Python side runs it on Django's connection, which knows these types, from now on. It ends the
 * wait. */
static void run_again(pg_run *run, q5py_wait *wait) {
    run->pending->statement->in_python = true;
    PyObject *begun = PyObject_CallMethod(run->pending->statement->python, "again", "OOO",
                                          run->pending, run->unknown, (PyObject *)wait);
    run_free(run);
    if (!begun) q5py_wait_fail(wait);
    Py_XDECREF(begun);
}

static void on_done(q5_pg_batch *batch, int status) {
    pg_run *run = batch->ctx;
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

/* ---- binding --------------------------------------------------------------------------------- */

/* Appends the bound values of one query, each in the format of its type; in the text's place stands
 * its offset until all are there. */
static int encode_query(pg_run *run, uint16_t index, const q5_param *params, size_t *offsets) {
    const q5py_statement *statement = run->pending->statement->tree[index];
    int *lengths = (int *)run->queries[index].lengths,
        *formats = (int *)run->queries[index].formats;
    for (uint16_t i = 0; i < statement->slot_count; i++) {
        q5_param_format format = Q5_PARAM_AS_TEXT;
        offsets[i] = params[i].kind == Q5_PARAM_NULL ? NO_OFFSET : run->values.len;
        size_t before = run->values.len;
        int status = q5_param_pg_encode(&params[i], statement->oids[i], &run->values, &format);
        if (status) {
            q5py_raise_status(status);
            return -1;
        }
        size_t len = run->values.len - before;
        if (len > INT32_MAX) {
            PyErr_SetString(PyExc_ValueError, "a parameter is too long");
            return -1;
        }
        formats[i] = format;
        lengths[i] = (int)(format == Q5_PARAM_AS_TEXT && len ? len - 1 : len);
    }
    return 0;
}

static int bind_query(pg_run *run, uint16_t index, size_t *offsets) {
    q5py_statement *statement = run->pending->statement->tree[index];
    q5_param params[Q5PY_STATEMENT_SLOTS_MAX];
    PyObject *owners[Q5PY_STATEMENT_SLOTS_MAX];
    memset(owners, 0, statement->slot_count * sizeof(PyObject *));
    int rc = q5py_bind(statement, run->pending->arguments, params, owners);
    if (rc == 0) rc = encode_query(run, index, params, offsets);
    for (uint16_t i = 0; i < statement->slot_count; i++)
        Py_XDECREF(owners[i]);
    return rc;
}

/* The values of all queries stand in one buffer, which has grown by now for the last time. */
static void point_at_values(pg_run *run, size_t count) {
    const char **values = (const char **)run->queries[0].values;
    size_t *offsets = (size_t *)(void *)values; /* in their places */
    for (size_t i = 0; i < count; i++) {
        size_t offset = offsets[i];
        values[i] = offset == NO_OFFSET ? NULL : run->values.base + offset;
    }
}

static int bind(pg_run *run) {
    size_t count = 0;
    size_t *offsets = (size_t *)(void *)run->queries[0].values;
    /* Not even an empty value may be at NULL, which is SQL's NULL. */
    if (q5_buf_reserve(&run->values, 64)) {
        PyErr_NoMemory();
        return -1;
    }
    for (uint16_t i = 0; i < run->batch.query_count; i++) {
        if (bind_query(run, i, offsets + count)) return -1;
        count += run->pending->statement->tree[i]->slot_count;
    }
    point_at_values(run, count);
    return 0;
}

static pg_run *run_new(q5py_pg_pool *pool, q5py_pending *pending) {
    const q5py_statement *root = pending->statement;
    size_t queries = root->tree_count, count = 0;
    for (size_t i = 0; i < queries; i++)
        count += root->tree[i]->slot_count;
    pg_run *run =
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

static q5py_wait *submit(q5py_pg_pool *pool, q5py_pending *pending) {
    pg_run *run = run_new(pool, pending);
    if (!run) return NULL;
    run->wait = bind(run) ? NULL : q5py_wait_new(pool->state);
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

/* ---- the pool of a database ------------------------------------------------------------------ */

/* Borrowed, or NULL. */
static q5py_pg_pool *find_pool(q5py_state *state, q5py_poller *poller, PyObject *alias) {
    for (q5py_poll_hook *hook = poller->hooks; hook; hook = hook->next) {
        if (!Py_IS_TYPE(hook->owner, state->pg_pool_type)) continue;
        q5py_pg_pool *pool = (q5py_pg_pool *)hook->owner;
        if (pool->pool && PyUnicode_Compare(pool->alias, alias) == 0) return pool;
    }
    return NULL;
}

PyObject *q5py_pg_pools(PyObject *module, PyObject *arg) {
    q5py_state *state = q5py_state_of(module);
    PyObject *pools = PyDict_New();
    if (!pools || !Py_IS_TYPE(arg, state->poller_type)) return pools;
    for (q5py_poll_hook *hook = ((q5py_poller *)arg)->hooks; hook; hook = hook->next) {
        if (!Py_IS_TYPE(hook->owner, state->pg_pool_type)) continue;
        q5py_pg_pool *pool = (q5py_pg_pool *)hook->owner;
        if (pool->pool && PyDict_SetItem(pools, pool->alias, hook->owner)) {
            Py_DECREF(pools);
            return NULL;
        }
    }
    return pools;
}

static bool serves(q5py_statement *statement, q5py_poller *poller) {
    if (!statement->engine) return false;
    q5py_pg_pool *pool = (q5py_pg_pool *)statement->engine;
    return pool->poller == poller && pool->pool && pool->pid == getpid();
}

/* Makes statement->engine the pool of this loop. 1; 0: there can be none; -1 with an exception. */
static int choose_pool(q5py_statement *statement, q5py_poller *poller) {
    q5py_state *state = statement->state;
    if (serves(statement, poller)) return 1;
    PyObject *pool = Py_XNewRef((PyObject *)find_pool(state, poller, statement->alias));
    if (!pool) pool = PyObject_CallMethod(statement->python, "open_pool", "O", poller);
    if (!pool) return -1;
    if (!Py_IS_TYPE(pool, state->pg_pool_type)) { /* None */
        Py_DECREF(pool);
        return 0;
    }
    Py_XSETREF(statement->engine, pool);
    return 1;
}

int q5py_pg_start(q5py_pending *pending, q5py_poller *poller, q5py_wait **ret_wait) {
    int rc = choose_pool(pending->statement, poller);
    if (rc <= 0) return rc;
    *ret_wait = submit((q5py_pg_pool *)pending->statement->engine, pending);
    return *ret_wait ? 1 : -1;
}

/* ---- the hook -------------------------------------------------------------------------------- */

static int before_wait(q5py_poll_hook *hook) {
    q5py_pg_pool *self = Q5_CONTAINER_OF(hook, q5py_pg_pool, hook);
    if (!self->pool || self->pid != getpid()) return -1;
    Py_INCREF(self);
    q5_pg_tick(self->pool);
    int timeout_msec = self->pool ? q5_pg_timeout_msec(self->pool) : -1;
    Py_DECREF(self);
    return timeout_msec;
}

static void after_wait(q5py_poll_hook *hook) {
    (void)hook;
}

/* A worker thread submits nothing here, and the loop's next deadline is in its own wait already. */
static int stand_in(q5py_poll_hook *hook) {
    (void)hook;
    return -1;
}

/* Behind a fork what it holds is left alone: to say goodbye would end the parent's sessions. */
static void pool_close(q5py_pg_pool *self) {
    q5_pg_pool *pool = self->pool;
    self->pool = NULL;
    if (self->pid == getpid()) q5_pg_destroy(pool);
}

static void on_loop_close(q5py_poll_hook *hook) {
    q5py_pg_pool *self = Q5_CONTAINER_OF(hook, q5py_pg_pool, hook);
    Py_INCREF(self);
    self->loop_is_over = true;
    if (self->pool) pool_close(self);
    q5py_poller_remove_hook(self->poller, hook);
    Py_DECREF(self);
}

/* ---- making one ------------------------------------------------------------------------------ */

int q5py_pg_library_load(q5_pg_library *library, const char *path) {
    /* Never closed: what it has loaded stays with the process anyway. */
    void *handle = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    if (handle && q5_pg_library_load(library, handle) == Q5_OK) return 0;
    PyErr_Format(PyExc_NotImplementedError, "libpq is not to be had by %s", path);
    return -1;
}

static int open_pool(q5py_pg_pool *self, PyObject *params, const char *startup_sql,
                     q5_pg_config *config) {
    const char *keywords[CONNECTION_PARAMS_MAX + 1], *values[CONNECTION_PARAMS_MAX + 1];
    Py_ssize_t position = 0, count = 0;
    PyObject *key, *value;
    while (PyDict_Next(params, &position, &key, &value)) {
        if (count == CONNECTION_PARAMS_MAX) {
            PyErr_SetString(PyExc_ValueError, "too many connection parameters");
            return -1;
        }
        keywords[count] = PyUnicode_AsUTF8(key);
        values[count] = PyUnicode_AsUTF8(value);
        if (!keywords[count] || !values[count]) return -1;
        count++;
    }
    keywords[count] = values[count] = NULL;
    config->keywords = keywords;
    config->values = values;
    config->startup_sql = startup_sql;
    self->pool = q5_pg_create(&self->library, self->poller->poller, config);
    if (self->pool) return 0;
    PyErr_NoMemory();
    return -1;
}

static PyObject *pool_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {
        "poller",      "alias",           "library",       "params",
        "startup_sql", "connections_max", "timeout_msec",  "connect_timeout_msec",
        "waiting_max", "idle_msec",       "lifetime_msec", "prepared_max",
        NULL};
    PyObject *poller, *alias, *params;
    const char *path, *startup_sql;
    q5_pg_config config = q5_pg_config_default();
    q5py_state *state = q5py_state_of_type(type);
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "O!UsO!z|IIIIIII", keywords, state->poller_type, &poller, &alias, &path,
            &PyDict_Type, &params, &startup_sql, &config.connections_max, &config.timeout_msec,
            &config.connect_timeout_msec, &config.waiting_max, &config.idle_msec,
            &config.lifetime_msec, &config.prepared_max))
        return NULL;
    q5py_pg_pool *self = (q5py_pg_pool *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->state = state;
    self->pid = getpid();
    self->alias = Py_NewRef(alias);
    self->poller = (q5py_poller *)Py_NewRef(poller);
    if (q5py_pg_library_load(&self->library, path) ||
        open_pool(self, params, startup_sql, &config)) {
        Py_DECREF(self);
        return NULL;
    }
    self->hook = (q5py_poll_hook){.before_wait = before_wait,
                                  .after_wait = after_wait,
                                  .stand_in = stand_in,
                                  .on_close = on_loop_close,
                                  .owner = (PyObject *)self};
    q5py_poller_add_hook(self->poller, &self->hook);
    return (PyObject *)self;
}

static PyObject *pool_close_py(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_pg_pool *self = (q5py_pg_pool *)op;
    if (self->pool && q5py_poller_is_waiting(self->poller)) return NULL;
    if (self->pool && self->poller->serving) {
        PyErr_SetString(PyExc_RuntimeError, "not while the loop hands out results: call_soon()");
        return NULL;
    }
    Py_INCREF(self);
    if (self->pool) pool_close(self);
    q5py_poller_remove_hook(self->poller, &self->hook);
    Py_DECREF(self);
    Py_RETURN_NONE;
}

static PyObject *pool_stats(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_pg_pool *self = (q5py_pg_pool *)op;
    if (!self->pool) return q5py_raise_status(Q5_ECLOSED);
    const q5_pg_stats *stats = q5_pg_get_stats(self->pool);
    return Py_BuildValue(
        "{sIsIsIsIsKsKsKsKsKsKsKsKsKsK}", "connections", stats->connections, "connecting",
        stats->connecting, "waiting", stats->waiting, "in_flight", stats->in_flight, "queries",
        (unsigned long long)stats->queries, "prepares", (unsigned long long)stats->prepares,
        "connects", (unsigned long long)stats->connects, "connect_failures",
        (unsigned long long)stats->connect_failures, "lost", (unsigned long long)stats->lost,
        "retries", (unsigned long long)stats->retries, "errors", (unsigned long long)stats->errors,
        "timeouts", (unsigned long long)stats->timeouts, "cancels",
        (unsigned long long)stats->cancels, "refused", (unsigned long long)stats->refused);
}

static int pool_traverse(PyObject *op, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((q5py_pg_pool *)op)->poller);
    return 0;
}

/* Runs under way hold the pool, and waits hold nothing of it: it goes when nobody waits. */
static void pool_dealloc(PyObject *op) {
    q5py_pg_pool *self = (q5py_pg_pool *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    if (self->pool) pool_close(self);
    Py_CLEAR(self->alias);
    Py_CLEAR(self->poller);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef pool_methods[] = {
    {"close", pool_close_py, METH_NOARGS, "close(): queries under way fail with ConnectionError."},
    {"stats", pool_stats, METH_NOARGS, "stats() -> dict: connections and queries."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot pool_slots[] = {
    {Py_tp_doc, "Connections to one PostgreSQL database, of one event loop."},
    {Py_tp_new, pool_new},
    {Py_tp_dealloc, pool_dealloc},
    {Py_tp_traverse, pool_traverse},
    {Py_tp_methods, pool_methods},
    {0, NULL},
};

static PyType_Spec pool_spec = {
    .name = "quintette._quintette.PgPool",
    .basicsize = sizeof(q5py_pg_pool),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = pool_slots,
};

int q5py_init_pg(PyObject *module, q5py_state *state) {
    state->pg_pool_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &pool_spec, NULL);
    return state->pg_pool_type ? PyModule_AddType(module, state->pg_pool_type) : -1;
}
