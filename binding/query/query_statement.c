/* _quintette.Statement: one SQL text of a compiled query, and what becomes of its rows. Read only
 * once it is made, but for the plan of its rows, which needs the types of a first result. */
#include "query.h"

#include <stddef.h>

/* ---- the plan of rows ------------------------------------------------------------------------ */

/* Shared with nodes.py. */
typedef enum step_kind { STEP_CELL, STEP_OPEN, STEP_CLOSE, STEP_MANY } step_kind;

static int add_step(q5py_statement *self, q5_row_plan *plan, PyObject *step) {
    long kind = PyLong_AsLong(PyTuple_GET_ITEM(step, 0));
    int ignored, column = 0, null_column = 0, slot, columns;
    q5_slice name = {NULL, 0};
    Py_ssize_t len = 0;
    const char *bracket;
    switch (kind) {
    case STEP_CELL:
        if (!PyArg_ParseTuple(step, "is#i", &ignored, &name.base, &len, &column)) return -1;
        if (column < 0 || column >= self->column_count) return Q5_EINVAL;
        name.len = (size_t)len;
        return q5_row_plan_cell(plan, name, (uint32_t)column, &self->types[column]);
    case STEP_OPEN:
        if (!PyArg_ParseTuple(step, "is#si", &ignored, &name.base, &len, &bracket, &null_column))
            return -1;
        name.len = (size_t)len;
        return q5_row_plan_open(plan, name, bracket[0],
                                null_column < 0 ? Q5_ROW_NO_COLUMN : (uint32_t)null_column);
    case STEP_CLOSE:
        return q5_row_plan_close(plan);
    case STEP_MANY:
        if (!PyArg_ParseTuple(step, "is#iii", &ignored, &name.base, &len, &slot, &column, &columns))
            return -1;
        name.len = (size_t)len;
        return q5_row_plan_many(plan, name, (uint32_t)slot, (uint32_t)column, (uint32_t)columns);
    default:
        PyErr_SetString(PyExc_ValueError, "malformed step");
        return -1;
    }
}

static bool is_text(const q5py_statement *self, uint32_t oid) {
    if (!self->text_types || q5py_cell_knows(oid)) return false;
    PyObject *key = PyLong_FromUnsignedLong(oid);
    int found = key ? PySet_Contains(self->text_types, key) : -1;
    Py_XDECREF(key);
    if (found < 0) PyErr_Clear(); /* out of memory: its rows go through Python */
    return found > 0;
}

bool q5py_statement_knows(const q5py_statement *self, const uint32_t *oids, uint32_t columns) {
    for (uint32_t i = 0; i < columns; i++)
        if (!q5py_cell_knows(oids[i]) && !is_text(self, oids[i])) return false;
    return true;
}

/* What the server says of each column, and what its field makes of it. */
static void set_types(q5py_statement *self, const uint32_t *oids) {
    if (!oids) return;
    for (uint16_t i = 0; i < self->column_count; i++) {
        uint32_t element = self->types[i].array ? q5_pg_element_type(oids[i]) : 0;
        uint32_t oid = is_text(self, oids[i]) ? Q5_PG_TEXT : oids[i];
        self->types[i].oid = element ? element : oid;
        self->column_oids[i] = oids[i];
    }
}

/* Leaves plan NULL where libq5 has no encoder for a column. 0, or -1 with an exception. */
static int make_plan(q5py_statement *self, const uint32_t *oids) {
    q5_row_plan_destroy(self->plan);
    self->plan = NULL;
    self->plan_tried = true;
    set_types(self, oids);
    if (!self->steps) return 0;
    q5_row_plan *plan = q5_row_plan_create(q5_alloc_default());
    int status = plan ? Q5_OK : Q5_ENOMEM;
    for (Py_ssize_t i = 0; status == Q5_OK && i < PyTuple_GET_SIZE(self->steps); i++)
        status = add_step(self, plan, PyTuple_GET_ITEM(self->steps, i));
    if (status == Q5_OK) status = q5_row_plan_finish(plan);
    if (status == Q5_OK) {
        self->plan = plan;
        return 0;
    }
    q5_row_plan_destroy(plan);
    if (PyErr_Occurred()) return -1;
    if (status == Q5_NOT_FOUND) return 0;
    q5py_raise_status(status);
    return -1;
}

static bool plan_fits(const q5py_statement *self, const uint32_t *oids) {
    return self->plan_tried && (!oids || !memcmp(oids, self->column_oids,
                                                 self->column_count * sizeof(*self->column_oids)));
}

/* ---- rows ------------------------------------------------------------------------------------ */

static PyObject *python_row(q5py_statement *self, const q5_cell *cells, const uint32_t *oids) {
    PyObject *row = PyTuple_New(self->column_count);
    for (uint16_t i = 0; row && i < self->column_count; i++) {
        PyObject *value;
        if (cells[i].kind == Q5_CELL_NULL)
            value = Py_NewRef(Py_None);
        else if (oids)
            value = q5py_cell_of_postgresql(self->state, cells[i].bytes,
                                            is_text(self, oids[i]) ? Q5_PG_TEXT : oids[i]);
        else
            value = q5py_cell_of_sqlite(&cells[i]);
        if (value)
            PyTuple_SET_ITEM(row, i, value);
        else
            Py_CLEAR(row);
    }
    return row;
}

PyObject *q5py_statement_rows(q5py_statement *self, const q5_row_source *source,
                              const uint32_t *oids) {
    q5_cell *cells = PyMem_Calloc(self->column_count + 1U, sizeof(*cells));
    if (!cells) return PyErr_NoMemory();
    PyObject *rows = PyList_New(0);
    int status = Q5_OK;
    while (rows) {
        status = source->next(source->ctx, cells, self->column_count);
        if (status != Q5_OK) break;
        PyObject *row = python_row(self, cells, oids);
        if (!row || PyList_Append(rows, row)) Py_CLEAR(rows);
        Py_XDECREF(row);
    }
    PyMem_Free(cells);
    if (rows && status != Q5_DONE) {
        Py_CLEAR(rows);
        q5py_raise_status(status);
    }
    return rows;
}

static PyObject *raise_not_one(q5py_statement *self, uint64_t rows) {
    PyObject *none =
        PyObject_CallMethod(self->python, "raise_not_one", "K", (unsigned long long)rows);
    if (none) PyErr_SetString(PyExc_SystemError, "no exception for a missing row");
    Py_XDECREF(none);
    return NULL;
}

q5_rows_mode q5py_statement_rows_mode(const q5py_statement *self) {
    return self->mode == Q5PY_MODE_LIST ? Q5_ROWS_ARRAY : Q5_ROWS_ONE;
}

PyObject *q5py_statement_encode(q5py_statement *self, const q5_row_source *source,
                                q5_rows_mode mode, const q5_children *const *children) {
    q5_buf out;
    q5_buf_init(&out, q5_alloc_default());
    q5_row_writer writer = q5_row_writer_make(self->plan, mode, children);
    int status = q5_row_writer_run(&writer, source, 0, &out);
    PyObject *result = NULL;
    if (self->mode == Q5PY_MODE_ONE &&
        (status == Q5_ETOO_MANY || (status == Q5_DONE && writer.rows == 0)))
        raise_not_one(self, status == Q5_DONE ? 0 : 2);
    else if (status == Q5_DONE || (status == Q5_ETOO_MANY && self->mode == Q5PY_MODE_FIRST))
        result = PyBytes_FromStringAndSize(out.base, (Py_ssize_t)out.len);
    else if (status == Q5_ECELL_RANGE)
        result = Py_NewRef(Py_NotImplemented);
    else
        q5py_raise_status(status);
    q5_buf_deinit(&out);
    return result;
}

static PyObject *exists_result(const q5_row_source *source, bool as_json) {
    q5_cell cell;
    int status = source->next(source->ctx, &cell, 0);
    if (status != Q5_OK && status != Q5_DONE) return q5py_raise_status(status);
    if (!as_json) return PyBool_FromLong(status == Q5_OK);
    return status == Q5_OK ? PyBytes_FromString("true") : PyBytes_FromString("false");
}

int q5py_statement_prepare(q5py_statement *self, const uint32_t *oids, uint32_t columns) {
    if (columns != self->column_count) {
        PyErr_SetString(PyExc_RuntimeError, "the table has changed since the query was compiled");
        return -1;
    }
    if (!plan_fits(self, oids) && make_plan(self, oids)) return -1;
    return self->plan ? 1 : 0;
}

PyObject *q5py_statement_result(q5py_statement *self, const q5_row_source *source,
                                const uint32_t *oids, uint32_t columns, bool as_json,
                                bool in_python) {
    if (self->mode == Q5PY_MODE_EXISTS) return exists_result(source, as_json);
    int planned = q5py_statement_prepare(self, oids, columns);
    if (planned < 0) return NULL;
    bool whole = self->tree_count == 1; /* what else is needed only Python can ask for now */
    if (as_json && planned && whole && !in_python)
        return q5py_statement_encode(self, source, q5py_statement_rows_mode(self), NULL);
    PyObject *rows = q5py_statement_rows(self, source, oids);
    if (!rows) return NULL;
    PyObject *result = PyObject_CallMethodOneArg(
        self->python, as_json ? self->state->str_json : self->state->str_objects, rows);
    Py_DECREF(rows);
    return result;
}

/* ---- making ---------------------------------------------------------------------------------- */

static int read_slots(q5py_statement *self, PyObject *slots) {
    Py_ssize_t count = PyTuple_GET_SIZE(slots);
    if (count > Q5PY_STATEMENT_SLOTS_MAX) {
        PyErr_SetString(PyExc_ValueError, "too many parameters in one statement");
        return -1;
    }
    self->slots = PyMem_Calloc((size_t)count + 1, sizeof(*self->slots));
    self->oids = PyMem_Calloc((size_t)count + 1, sizeof(*self->oids));
    if (!self->slots || !self->oids) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        self->slot_count++;
        if (q5py_slot_read(&self->slots[i], &self->oids[i], PyTuple_GET_ITEM(slots, i))) return -1;
    }
    return 0;
}

/* (value, array, utc, expression, decimal_places, max_digits) each; see columns.py. */
static int read_columns(q5py_statement *self, PyObject *columns) {
    Py_ssize_t count = PyTuple_GET_SIZE(columns);
    if (count > Q5_ROW_COLUMNS_MAX) {
        PyErr_SetString(PyExc_ValueError, "too many columns");
        return -1;
    }
    self->types = PyMem_Calloc((size_t)count + 1, sizeof(*self->types));
    self->column_oids = PyMem_Calloc((size_t)count + 1, sizeof(*self->column_oids));
    if (!self->types || !self->column_oids) {
        PyErr_NoMemory();
        return -1;
    }
    self->column_count = (uint16_t)count;
    for (Py_ssize_t i = 0; i < count; i++) {
        int value, array, utc, expression;
        q5_type *type = &self->types[i];
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(columns, i), "ippphH", &value, &array, &utc,
                              &expression, &type->decimal_places, &type->max_digits))
            return -1;
        type->source = self->is_postgresql ? Q5_SOURCE_POSTGRESQL : Q5_SOURCE_SQLITE;
        type->value = (q5_value)(value < 0 ? 0 : value);
        type->array = array;
        type->utc = utc;
        type->expression = expression;
    }
    return 0;
}

/* Numbers of statements in this process; never used again, so that a connection's prepared
 * statements may be known by them. */
static uint64_t next_id(void) {
    static uint64_t last; /* under the GIL */
    return ++last;
}

/* Django must be there by now. */
static int import_connections(q5py_state *state) {
    if (state->connections) return 0;
    PyObject *module = PyImport_ImportModule("django.db");
    if (module) state->connections = PyObject_GetAttrString(module, "connections");
    Py_XDECREF(module);
    return state->connections ? 0 : -1;
}

static PyObject *statement_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"python", "alias",    "is_postgresql", "in_python",
                               "mode",   "sql",      "slots",         "columns",
                               "steps",  "children", "text_types",    NULL};
    PyObject *python, *alias, *sql, *slots, *columns, *steps, *children = NULL, *text_types = NULL;
    int is_postgresql, in_python, mode;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OUppiSO!O!O|O!O!", keywords, &python, &alias,
                                     &is_postgresql, &in_python, &mode, &sql, &PyTuple_Type, &slots,
                                     &PyTuple_Type, &columns, &steps, &PyTuple_Type, &children,
                                     &PySet_Type, &text_types))
        return NULL;
    q5py_statement *self = (q5py_statement *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->state = q5py_state_of_type(type);
    self->python = Py_NewRef(python);
    self->alias = Py_NewRef(alias);
    self->sql = Py_NewRef(sql);
    self->is_postgresql = is_postgresql;
    self->in_python = in_python;
    self->mode = (q5py_mode)mode;
    self->text_types = Py_XNewRef(text_types);
    self->steps = PyTuple_Check(steps) ? Py_NewRef(steps) : NULL;
    self->children = children ? Py_NewRef(children) : PyTuple_New(0);
    if (mode < 0 || mode > Q5PY_MODE_EXISTS || import_connections(self->state) ||
        read_slots(self, slots) || read_columns(self, columns) || !self->children ||
        q5py_tree_make(self)) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "unknown mode");
        Py_DECREF(self);
        return NULL;
    }
    self->id = next_id();
    self->pg = (q5_pg_statement){.id = self->id,
                                 .param_count = self->slot_count,
                                 .param_types = self->oids,
                                 .sql = PyBytes_AS_STRING(sql)};
    return (PyObject *)self;
}

static int statement_traverse(PyObject *op, visitproc visit, void *arg) {
    q5py_statement *self = (q5py_statement *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->python);
    Py_VISIT(self->engine);
    Py_VISIT(self->children);
    for (uint16_t i = 0; i < self->slot_count; i++)
        Py_VISIT(self->slots[i].constant);
    return 0;
}

static int statement_clear(PyObject *op) {
    q5py_statement *self = (q5py_statement *)op;
    Py_CLEAR(self->python);
    Py_CLEAR(self->engine);
    return 0;
}

static void statement_dealloc(PyObject *op) {
    q5py_statement *self = (q5py_statement *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    statement_clear(op);
    Py_CLEAR(self->alias);
    Py_CLEAR(self->sql);
    Py_CLEAR(self->steps);
    Py_CLEAR(self->text_types);
    for (uint16_t i = 0; i < self->slot_count; i++)
        q5py_slot_clear(&self->slots[i]);
    PyMem_Free(self->tree);
    Py_CLEAR(self->children); /* not before `tree`, which borrows from it */
    PyMem_Free(self->slots);
    PyMem_Free(self->oids);
    PyMem_Free(self->types);
    PyMem_Free(self->column_oids);
    q5_row_plan_destroy(self->plan);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyObject *statement_get_python(PyObject *op, void *unused) {
    (void)unused;
    PyObject *python = ((q5py_statement *)op)->python;
    return Py_NewRef(python ? python : Py_None);
}

static PyObject *statement_get_plan(PyObject *op, void *unused) {
    (void)unused;
    return PyBool_FromLong(((q5py_statement *)op)->plan != NULL);
}

static PyObject *statement_get_in_python(PyObject *op, void *unused) {
    (void)unused;
    return PyBool_FromLong(((q5py_statement *)op)->in_python);
}

static int statement_set_in_python(PyObject *op, PyObject *value, void *unused) {
    (void)unused;
    int in_python = value ? PyObject_IsTrue(value) : -1;
    if (!value) PyErr_SetString(PyExc_AttributeError, "in_python cannot be deleted");
    if (in_python < 0) return -1;
    ((q5py_statement *)op)->in_python = in_python;
    return 0;
}

static PyGetSetDef statement_getset[] = {
    {"in_python", statement_get_in_python, statement_set_in_python,
     "It runs on Django's connection alone.", NULL},
    {"python", statement_get_python, NULL, "The Python side.", NULL},
    {"has_plan", statement_get_plan, NULL, "Rows have become JSON in C.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot statement_slots[] = {
    {Py_tp_doc, "One SQL text of a compiled query."},
    {Py_tp_new, statement_new},
    {Py_tp_dealloc, statement_dealloc},
    {Py_tp_traverse, statement_traverse},
    {Py_tp_clear, statement_clear},
    {Py_tp_getset, statement_getset},
    {0, NULL},
};

static PyType_Spec statement_spec = {
    .name = "quintette._quintette.Statement",
    .basicsize = sizeof(q5py_statement),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = statement_slots,
};

int q5py_init_statement(PyObject *module, q5py_state *state) {
    state->statement_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &statement_spec, NULL);
    return state->statement_type ? PyModule_AddType(module, state->statement_type) : -1;
}
