/* _quintette.PgPool: connections of our own to one database, of one event loop. */
#include "query_pg.h"

#include <dlfcn.h>
#include <unistd.h>

#define CONNECTION_PARAMS_MAX 64

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
    *ret_wait = q5py_pg_run_submit((q5py_pg_pool *)pending->statement->engine, pending);
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
