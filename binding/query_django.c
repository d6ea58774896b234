/* Compiled queries on Django's own connections: the driver has run the statement, with Django's
 * waits, locks, wrappers and transaction; its rows take the same way to a result as those of our
 * connections. _quintette.PgResults reads psycopg's PGresult, statement_json() the tuples of
 * sqlite3. */
#include "query.h"

#include <datetime.h>

#define MOMENT_SIZE 32 /* bytes of a date and time as text; the longest one has 26 */

/* ---- PostgreSQL ------------------------------------------------------------------------------ */

typedef struct q5py_pg_results {
    PyObject_HEAD q5_pg_library library;
} q5py_pg_results;

static PyObject *pg_results_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"library", NULL};
    const char *path;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s", keywords, &path)) return NULL;
    q5py_pg_results *self = (q5py_pg_results *)type->tp_alloc(type, 0);
    if (self && q5py_pg_library_load(&self->library, path)) Py_CLEAR(self);
    return (PyObject *)self;
}

/* Are these rows in binary format, of types that cells.c knows? */
static bool is_readable(const q5_pg_library *library, const PGresult *result) {
    if (library->resultStatus(result) != PGRES_TUPLES_OK) return false;
    int columns = library->nfields(result);
    for (int i = 0; i < columns; i++)
        if (library->fformat(result, i) != 1 || !q5py_cell_knows(library->ftype(result, i)))
            return false;
    return true;
}

static PyObject *pg_results_read(PyObject *op, PyObject *args) {
    q5py_pg_results *self = (q5py_pg_results *)op;
    q5py_state *state = q5py_state_of_type(Py_TYPE(op));
    PyObject *statement;
    unsigned long long address;
    int as_json;
    if (!PyArg_ParseTuple(args, "O!Kp", state->statement_type, &statement, &address, &as_json))
        return NULL;
    const PGresult *result = (const PGresult *)(uintptr_t)address; /* NOLINT(performance-*) */
    if (!result || !is_readable(&self->library, result)) Py_RETURN_NOTIMPLEMENTED;
    return q5py_pg_result((q5py_statement *)statement, &self->library, result, as_json, false);
}

static PyObject *pg_results_version(PyObject *op, void *unused) {
    (void)unused;
    return PyLong_FromLong(((q5py_pg_results *)op)->library.libVersion());
}

static void pg_results_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    type->tp_free(op);
    Py_DECREF(type);
}

PyDoc_STRVAR(pg_results_read_doc,
             "read(statement, pgresult, as_json)\n\n"
             "What awaiting a call would give, of the PGresult at this address, which belongs to\n"
             "the same library and outlives the call. NotImplemented: the rows are not in binary\n"
             "format, or a column is of a type that only the driver knows.");

static PyMethodDef pg_results_methods[] = {
    {"read", pg_results_read, METH_VARARGS, pg_results_read_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef pg_results_getset[] = {
    {"version", pg_results_version, NULL, "Of the library: 180006 for 18.6.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot pg_results_slots[] = {
    {Py_tp_doc, "Reads the results of the driver that has loaded libpq."},
    {Py_tp_new, pg_results_new},
    {Py_tp_dealloc, pg_results_dealloc},
    {Py_tp_methods, pg_results_methods},
    {Py_tp_getset, pg_results_getset},
    {0, NULL},
};

static PyType_Spec pg_results_spec = {
    .name = "quintette._quintette.PgResults",
    .basicsize = sizeof(q5py_pg_results),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = pg_results_slots,
};

/* ---- SQLite ---------------------------------------------------------------------------------- */

/* The rows of fetchall() as a source. What a cell points to is its row's, or stands in `moments`
 * until the next one. */
typedef struct tuple_rows {
    PyObject *rows; /* borrowed list */
    Py_ssize_t next;
    char (*moments)[MOMENT_SIZE]; /* one per column */
} tuple_rows;

/* The converters that Django registers with sqlite3 have made objects of what stands in the file:
 * back to the text that libq5 reads. False: a moment with a zone, or no moment. */
static bool moment_text(PyObject *value, char *text, q5_cell *ret) {
    int len = 0;
    bool date = PyDate_CheckExact(value), moment = PyDateTime_CheckExact(value);
    if (date || moment)
        len = snprintf(text, MOMENT_SIZE, "%04d-%02d-%02d", PyDateTime_GET_YEAR(value),
                       PyDateTime_GET_MONTH(value), PyDateTime_GET_DAY(value));
    if (moment && PyDateTime_DATE_GET_TZINFO(value) == Py_None)
        len += snprintf(text + len, MOMENT_SIZE - (size_t)len, " %02d:%02d:%02d.%06d",
                        PyDateTime_DATE_GET_HOUR(value), PyDateTime_DATE_GET_MINUTE(value),
                        PyDateTime_DATE_GET_SECOND(value), PyDateTime_DATE_GET_MICROSECOND(value));
    else if (PyTime_CheckExact(value) && PyDateTime_TIME_GET_TZINFO(value) == Py_None)
        len = snprintf(text, MOMENT_SIZE, "%02d:%02d:%02d.%06d", PyDateTime_TIME_GET_HOUR(value),
                       PyDateTime_TIME_GET_MINUTE(value), PyDateTime_TIME_GET_SECOND(value),
                       PyDateTime_TIME_GET_MICROSECOND(value));
    else if (!date)
        return false;
    *ret = q5_cell_text(text, (size_t)len);
    return true;
}

/* Q5_OK; Q5_ECELL_RANGE: a value that the cells of SQLite cannot be, for Python. */
static int cell_of(PyObject *value, char *moment, q5_cell *ret) {
    if (value == Py_None) {
        *ret = q5_cell_null();
    } else if (PyLong_Check(value)) { /* bool too */
        int overflow;
        *ret = q5_cell_int64(PyLong_AsLongLongAndOverflow(value, &overflow));
        if (overflow) return Q5_ECELL_RANGE;
    } else if (PyFloat_CheckExact(value)) {
        *ret = q5_cell_double(PyFloat_AS_DOUBLE(value));
    } else if (PyUnicode_CheckExact(value)) {
        Py_ssize_t len;
        const char *text = PyUnicode_AsUTF8AndSize(value, &len);
        if (!text) {
            PyErr_Clear();
            return Q5_ECELL_RANGE;
        }
        *ret = q5_cell_text(text, (size_t)len);
    } else if (PyBytes_CheckExact(value)) {
        *ret = q5_cell_bytes(PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value));
    } else if (!moment_text(value, moment, ret)) {
        return Q5_ECELL_RANGE;
    }
    return Q5_OK;
}

static int tuple_rows_next(void *ctx, q5_cell *cells, uint32_t columns) {
    tuple_rows *self = ctx;
    if (self->next == PyList_GET_SIZE(self->rows)) return Q5_DONE;
    PyObject *row = PyList_GET_ITEM(self->rows, self->next++);
    if (!PyTuple_Check(row) || PyTuple_GET_SIZE(row) < (Py_ssize_t)columns) return Q5_ECELL_RANGE;
    for (uint32_t i = 0; i < columns; i++) {
        int status = cell_of(PyTuple_GET_ITEM(row, i), self->moments[i], &cells[i]);
        if (status) return status;
    }
    return Q5_OK;
}

const char q5py_statement_json_doc[] = "statement_json(statement, rows)\n\n"
                                       "What awaiting a call for JSON would give, of the rows of "
                                       "sqlite3's fetchall(). NotImplemented:\n"
                                       "a value must go through Python.";

PyObject *q5py_statement_json(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    q5py_state *state = q5py_state_of(module);
    if (count != 2 || !Py_IS_TYPE(args[0], state->statement_type) || !PyList_CheckExact(args[1])) {
        PyErr_SetString(PyExc_TypeError, "a Statement and a list of tuples are needed");
        return NULL;
    }
    q5py_statement *statement = (q5py_statement *)args[0];
    if (!statement->steps || statement->is_postgresql) Py_RETURN_NOTIMPLEMENTED;
    tuple_rows rows = {.rows = args[1]};
    rows.moments = PyMem_Calloc(statement->column_count + 1U, MOMENT_SIZE);
    if (!rows.moments) return PyErr_NoMemory();
    q5_row_source source = {.ctx = &rows, .next = tuple_rows_next};
    PyObject *result =
        q5py_statement_result(statement, &source, NULL, statement->column_count, true, false);
    PyMem_Free(rows.moments);
    return result;
}

int q5py_init_django_results(PyObject *module, q5py_state *state) {
    PyDateTime_IMPORT;
    if (PyErr_Occurred()) return -1;
    state->pg_results_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &pg_results_spec, NULL);
    return state->pg_results_type ? PyModule_AddType(module, state->pg_results_type) : -1;
}
