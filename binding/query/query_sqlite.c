/* _quintette.SqliteFile: a connection of our own to a SQLite file, for one thread. A read that is
 * done within the budget runs at once; whatever takes longer, meets a lock, or needs what Django
 * adds to its own connections, is the Python side's. */
#include "query.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "q5/sqlite.h"
#include "watch.h"

#define NOT_HERE 2 /* nor at any other call */

typedef struct q5py_sqlite_file {
    PyObject_HEAD q5_sqlite_api *api; /* owned */
    q5_sqlite *db;                    /* owned */
    uint32_t budget_usec;
    pthread_t thread;
    pid_t pid; /* not of use behind a fork */
} q5py_sqlite_file;

/* ---- one call -------------------------------------------------------------------------------- */

/* 0, or -1 with an exception: the Python side has prepared what has no cell. */
static int cell_of(const q5_param *param, q5_cell *ret) {
    switch (param->kind) {
    case Q5_PARAM_NULL:
        *ret = q5_cell_null();
        return 0;
    case Q5_PARAM_BOOL:
    case Q5_PARAM_INT64:
        *ret = q5_cell_int64(param->int64);
        return 0;
    case Q5_PARAM_DOUBLE:
        *ret = q5_cell_double(param->real);
        return 0;
    case Q5_PARAM_TEXT:
    case Q5_PARAM_DECIMAL:
        *ret = q5_cell_text(param->bytes.base, param->bytes.len);
        return 0;
    case Q5_PARAM_BYTES:
        *ret = q5_cell_bytes(param->bytes.base, param->bytes.len);
        return 0;
    default:
        PyErr_SetString(PyExc_TypeError, "a value that SQLite cannot hold");
        return -1;
    }
}

/* What the rows' source has failed with: a lock, the budget, the disk. Django's connection waits
 * for the one, has time for the other, and reports the third in its own words. 0: elsewhere; -1: it
 * is another exception. */
static int judge_failure(const q5py_sqlite_file *self) {
    if (!q5_sqlite_code(self->db) || !PyErr_ExceptionMatches(PyExc_ValueError)) return -1;
    PyErr_Clear();
    return 0;
}

/* 1 with *ret_run, 0: elsewhere, -1 with an exception. */
static int begin_bound(q5py_sqlite_file *self, q5py_statement *statement, const q5_param *params,
                       q5_sqlite_run **ret_run, q5_cell *cells) {
    for (uint16_t i = 0; i < statement->slot_count; i++)
        if (cell_of(&params[i], &cells[i])) return -1;
    q5_slice sql =
        q5_slice_make(PyBytes_AS_STRING(statement->sql), (size_t)PyBytes_GET_SIZE(statement->sql));
    int status =
        q5_sqlite_begin(self->db, statement->id, sql, cells, statement->slot_count, ret_run);
    if (status == Q5_ESQL && strstr(q5_sqlite_message(self->db), "no such function"))
        return NOT_HERE; /* of Django's, on its connections only */
    return status ? 0 : 1;
}

/* Its rows, read while the parameters' bytes are there. */
typedef struct one_query {
    q5py_pending *pending;
    q5py_statement *statement;
    q5py_tree *tree;   /* NULL: the statement stands alone */
    PyObject **result; /* set then */
} one_query;

/* 1, 0: elsewhere, -1 with an exception. */
static int take_rows(q5py_sqlite_file *self, const one_query *query, q5_sqlite_run *run) {
    q5_row_source source = q5_sqlite_source(run);
    uint32_t columns = (uint32_t)q5_sqlite_columns(run);
    if (query->tree) {
        int rc = q5py_tree_take(query->tree, &source, NULL, columns);
        return rc < 0 ? judge_failure(self) : rc == 0;
    }
    PyObject *result = q5py_statement_result(query->statement, &source, NULL, columns,
                                             query->pending->as_json, false);
    if (!result) return judge_failure(self);
    if (result != Py_NotImplemented) {
        *query->result = result;
        return 1;
    }
    Py_DECREF(result); /* a value for Python's converters */
    return 0;
}

static int run_one(q5py_sqlite_file *self, const one_query *query) {
    q5py_statement *statement = query->statement;
    q5_param params[Q5PY_STATEMENT_SLOTS_MAX];
    PyObject *owners[Q5PY_STATEMENT_SLOTS_MAX];
    q5_cell cells[Q5PY_STATEMENT_SLOTS_MAX];
    q5_sqlite_run *run = NULL;
    memset(owners, 0, statement->slot_count * sizeof(PyObject *));
    int rc = q5py_bind(statement, query->pending->arguments, params, owners);
    if (rc == 0) rc = begin_bound(self, statement, params, &run, cells);
    if (rc == NOT_HERE) {
        query->pending->statement->in_python = true;
        rc = 0;
    }
    if (rc > 0) {
        rc = take_rows(self, query, run);
        q5_sqlite_end(run);
    }
    for (uint16_t i = 0; i < statement->slot_count; i++)
        Py_XDECREF(owners[i]);
    return rc;
}

static uint64_t now_usec(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000U + (uint64_t)now.tv_nsec / 1000U;
}

/* All statements in one snapshot and one budget. */
static int run_tree(q5py_sqlite_file *self, q5py_pending *pending, PyObject **ret_result) {
    q5py_statement *root = pending->statement;
    uint64_t end = self->budget_usec ? now_usec() + self->budget_usec : UINT64_MAX;
    if (q5_sqlite_enter(self->db)) return 0;
    q5py_tree tree;
    int rc = q5py_tree_begin(&tree, root, pending->as_json, false) ? -1 : 1;
    for (uint16_t i = 0; rc > 0 && i < root->tree_count; i++) {
        uint64_t now = now_usec();
        one_query query = {.pending = pending, .statement = root->tree[i], .tree = &tree};
        if (now < end && self->budget_usec) q5_sqlite_set_budget(self->db, (uint32_t)(end - now));
        rc = now < end ? run_one(self, &query) : 0;
    }
    q5_sqlite_set_budget(self->db, self->budget_usec);
    q5_sqlite_leave(self->db, false); /* ROLLBACK: always ends it */
    if (rc > 0) *ret_result = q5py_tree_result(&tree);
    q5py_tree_end(&tree);
    return rc > 0 && !*ret_result ? -1 : rc;
}

static bool serves(q5py_statement *statement) {
    if (!statement->engine) return false;
    q5py_sqlite_file *file = (q5py_sqlite_file *)statement->engine;
    return file->db && pthread_equal(file->thread, pthread_self()) && file->pid == getpid();
}

/* 1; 0: there is none (a database in memory); -1 with an exception. */
static int choose_file(q5py_statement *statement) {
    if (serves(statement)) return 1;
    PyObject *file = PyObject_CallMethod(statement->python, "open_file", NULL);
    if (!file) return -1;
    if (!Py_IS_TYPE(file, statement->state->sqlite_file_type)) { /* None */
        Py_DECREF(file);
        return 0;
    }
    Py_XSETREF(statement->engine, file);
    return serves(statement);
}

int q5py_sqlite_run(q5py_pending *pending, PyObject **ret_result) {
    q5py_statement *statement = pending->statement;
    int rc = choose_file(statement);
    if (rc <= 0) return rc;
    PyObject *file = Py_NewRef(statement->engine);
    PyObject *watched = q5py_watch_query(pending);
    if (statement->tree_count > 1) {
        rc = run_tree((q5py_sqlite_file *)file, pending, ret_result);
    } else {
        one_query query = {.pending = pending, .statement = statement, .result = ret_result};
        rc = run_one((q5py_sqlite_file *)file, &query);
    }
    Py_DECREF(file);
    if (rc)
        q5py_watch_done(watched, rc > 0);
    else
        Py_XDECREF(watched); /* seen where it runs */
    return rc;
}

/* ---- the type -------------------------------------------------------------------------------- */

static int open_file(q5py_sqlite_file *self, const char *library, const char *path,
                     const char *init_sql, unsigned flags, unsigned budget_usec) {
    const char *missing = NULL;
    char message[Q5_SQLITE_MESSAGE_SIZE];
    void *handle = dlopen(library, RTLD_NOW | RTLD_NOLOAD); /* never closed */
    if (!handle || q5_sqlite_api_create(&self->api, q5_alloc_default(), handle, &missing)) {
        PyErr_Format(PyExc_NotImplementedError, "SQLite is not to be had by %s: %s", library,
                     missing ? missing : "not loaded");
        return -1;
    }
    q5_sqlite_config config = {.path = path, .init_sql = init_sql, .flags = flags};
    if (q5_sqlite_open(&self->db, self->api, q5_alloc_default(), &config, message)) {
        PyErr_SetString(PyExc_NotImplementedError, message);
        return -1;
    }
    self->budget_usec = budget_usec;
    q5_sqlite_set_budget(self->db, budget_usec);
    return 0;
}

static PyObject *file_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"library", "path", "init_sql", "is_uri", "budget_usec", NULL};
    const char *library, *path, *init_sql;
    int is_uri;
    unsigned int budget_usec;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sszpI", keywords, &library, &path, &init_sql,
                                     &is_uri, &budget_usec))
        return NULL;
    q5py_sqlite_file *self = (q5py_sqlite_file *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->thread = pthread_self();
    self->pid = getpid();
    if (open_file(self, library, path, init_sql, is_uri ? Q5_SQLITE_URI : 0, budget_usec)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* Behind a fork the connection is the parent's: what it holds is left alone. */
static void file_close(q5py_sqlite_file *self) {
    if (self->pid != getpid()) return;
    q5_sqlite_close(self->db);
    self->db = NULL;
    q5_sqlite_api_destroy(self->api);
    self->api = NULL;
}

static PyObject *file_close_py(PyObject *op, PyObject *unused) {
    (void)unused;
    file_close((q5py_sqlite_file *)op);
    Py_RETURN_NONE;
}

static void file_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    file_close((q5py_sqlite_file *)op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef file_methods[] = {
    {"close", file_close_py, METH_NOARGS, "close()"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot file_slots[] = {
    {Py_tp_doc, "A connection to a SQLite file, of one thread."},
    {Py_tp_new, file_new},
    {Py_tp_dealloc, file_dealloc},
    {Py_tp_methods, file_methods},
    {0, NULL},
};

static PyType_Spec file_spec = {
    .name = "quintette._quintette.SqliteFile",
    .basicsize = sizeof(q5py_sqlite_file),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = file_slots,
};

int q5py_init_sqlite(PyObject *module, q5py_state *state) {
    state->sqlite_file_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &file_spec, NULL);
    return state->sqlite_file_type ? PyModule_AddType(module, state->sqlite_file_type) : -1;
}
