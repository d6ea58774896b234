/* Compiled queries on Django's own connections to PostgreSQL: the driver has run the statement,
 * with Django's waits, locks, wrappers and transaction; its rows take the same way to a result as
 * those of our connections. _quintette.PgResults reads psycopg's PGresult. */
#include "query.h"

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

/* Are these rows in binary format, of types that are known here? statement: NULL, or whose own
 * types count too. */
static bool is_readable(const q5py_statement *statement, const q5_pg_library *library,
                        const PGresult *result) {
    if (library->resultStatus(result) != PGRES_TUPLES_OK) return false;
    int columns = library->nfields(result);
    for (int i = 0; i < columns; i++) {
        uint32_t oid = library->ftype(result, i);
        bool known =
            q5py_cell_knows(oid) || (statement && q5py_statement_knows(statement, &oid, 1));
        if (library->fformat(result, i) != 1 || !known) return false;
    }
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
    if (!result || !is_readable((q5py_statement *)statement, &self->library, result))
        Py_RETURN_NOTIMPLEMENTED;
    return q5py_pg_result((q5py_statement *)statement, &self->library, result, as_json, false);
}

static PyObject *pg_results_rows(PyObject *op, PyObject *args) {
    q5py_pg_results *self = (q5py_pg_results *)op;
    q5py_state *state = q5py_state_of_type(Py_TYPE(op));
    PyObject *statement, *owner;
    unsigned long long address;
    if (!PyArg_ParseTuple(args, "O!OK", state->statement_type, &statement, &owner, &address))
        return NULL;
    const PGresult *result = (const PGresult *)(uintptr_t)address; /* NOLINT(performance-*) */
    if (!result || !is_readable((q5py_statement *)statement, &self->library, result))
        Py_RETURN_NOTIMPLEMENTED;
    return q5py_rows_of_pg((q5py_statement *)statement, op, &self->library, owner, result);
}

static PyObject *row_of(const q5py_pg_results *self, q5py_state *state, const PGresult *result,
                        int row, int columns) {
    const q5_pg_library *library = &self->library;
    PyObject *values = PyTuple_New(columns);
    for (int i = 0; values && i < columns; i++) {
        q5_slice cell = q5_pg_value(library, result, row, i);
        PyObject *value = cell.base
                              ? q5py_cell_of_postgresql(state, cell, library->ftype(result, i))
                              : Py_NewRef(Py_None);
        if (value)
            PyTuple_SET_ITEM(values, i, value);
        else
            Py_CLEAR(values);
    }
    return values;
}

static PyObject *pg_results_tuples(PyObject *op, PyObject *arg) {
    q5py_pg_results *self = (q5py_pg_results *)op;
    const PGresult *result = PyLong_AsVoidPtr(arg);
    if (!result && PyErr_Occurred()) return NULL;
    if (!result || !is_readable(NULL, &self->library, result)) Py_RETURN_NOTIMPLEMENTED;
    q5py_state *state = q5py_state_of_type(Py_TYPE(op));
    int count = self->library.ntuples(result), columns = self->library.nfields(result);
    PyObject *rows = PyList_New(count);
    for (int i = 0; rows && i < count; i++) {
        PyObject *row = row_of(self, state, result, i, columns);
        if (row)
            PyList_SET_ITEM(rows, i, row);
        else
            Py_CLEAR(rows);
    }
    return rows;
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

PyDoc_STRVAR(pg_results_rows_doc,
             "rows(statement, owner, pgresult) -> Rows\n\n"
             "Of the PGresult at this address, which owner keeps. NotImplemented: as read().");

PyDoc_STRVAR(pg_results_tuples_doc,
             "tuples(pgresult) -> list[tuple]\n\n"
             "What the driver's fetchall() would give, as Django sets it up, with UTC as the time\n"
             "zone. NotImplemented: as read().");

static PyMethodDef pg_results_methods[] = {
    {"read", pg_results_read, METH_VARARGS, pg_results_read_doc},
    {"rows", pg_results_rows, METH_VARARGS, pg_results_rows_doc},
    {"tuples", pg_results_tuples, METH_O, pg_results_tuples_doc},
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

int q5py_init_django_results(PyObject *module, q5py_state *state) {
    state->pg_results_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &pg_results_spec, NULL);
    return state->pg_results_type ? PyModule_AddType(module, state->pg_results_type) : -1;
}
