/* _quintette.Rows: rows that a query has given, as the driver keeps them: not yet JSON, as their
 * to-many fields are asked for by their keys. _quintette.Children: rows of such a field, in JSON
 * and by key, which the rows above them take in. No Python object is made of a row but on demand.
 */
#include "query.h"

#include "q5/json_text.h"
#include "q5/pg_rows.h"

#define INTEGER_TEXT_SIZE 24 /* bytes of a 64-bit integer as text, with its NUL */
#define UUID_TEXT_SIZE 38    /* bytes of a UUID's JSON */

typedef struct q5py_rows {
    PyObject_HEAD q5py_statement *statement; /* owned: its plan and its columns count here */
    PyObject *owner;                         /* owned: keeps result; or the list of tuples */
    PyObject *reader;                        /* owned or NULL: keeps library */
    const q5_pg_library *library;
    const PGresult *result; /* NULL: tuples */
    Py_ssize_t first, end;
} q5py_rows;

typedef struct q5py_child_rows {
    PyObject_HEAD q5_children *children; /* owned */
} q5py_child_rows;

/* ---- reading --------------------------------------------------------------------------------- */

/* A way through the rows. */
typedef struct row_reader {
    q5_pg_rows pg;
    q5py_tuples tuples;
    q5_row_source source;
    uint32_t oids[Q5_ROW_COLUMNS_MAX];
    uint32_t columns;
} row_reader;

static const uint32_t *oids_of(const q5py_rows *self, const row_reader *reader) {
    return self->result ? reader->oids : NULL;
}

/* 0, or -1 with an exception; reader_end then too. */
static int reader_begin(row_reader *reader, const q5py_rows *self) {
    if (!self->result) {
        reader->columns = self->statement->column_count;
        int rc = q5py_tuples_begin(&reader->tuples, self->owner, self->first, self->end,
                                   reader->columns);
        reader->source = q5py_tuples_source(&reader->tuples);
        return rc;
    }
    reader->tuples = (q5py_tuples){.moments = NULL};
    int columns = self->library->nfields(self->result);
    reader->columns = columns < 0 || columns > Q5_ROW_COLUMNS_MAX ? 0 : (uint32_t)columns;
    for (uint32_t i = 0; i < reader->columns; i++)
        reader->oids[i] = self->library->ftype(self->result, (int)i);
    reader->pg = q5_pg_rows_make(self->library, self->result);
    reader->pg.row = (int)self->first;
    reader->pg.count = (int)self->end;
    reader->source = q5_pg_rows_source(&reader->pg);
    return 0;
}

static void reader_end(row_reader *reader) {
    q5py_tuples_end(&reader->tuples);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static int append_integer(q5_buf *out, int64_t number) {
    char text[INTEGER_TEXT_SIZE];
    int len = snprintf(text, sizeof(text), "%lld", (long long)number);
    return q5_buf_append(out, text, (size_t)len);
}

/* An element of PostgreSQL's array literal (documentation, 8.15.2). */
static int append_quoted(q5_buf *out, q5_slice text) {
    int status = q5_buf_append(out, "\"", 1);
    for (size_t i = 0; i < text.len && !status; i++) {
        char c = text.base[i];
        if (c == '"' || c == '\\') status = q5_buf_append(out, "\\", 1);
        if (!status) status = q5_buf_append(out, &c, 1);
    }
    return status ? status : q5_buf_append(out, "\"", 1);
}

static int append_uuid(q5_buf *out, const q5_cell *cell) {
    q5_type type = {.source = Q5_SOURCE_POSTGRESQL, .value = Q5_VALUE_UUID, .oid = Q5_PG_UUID};
    q5_encoder encoder;
    int status = q5_encoder_choose(&type, &encoder);
    return status ? status : q5_cell_encode(&encoder, cell, out);
}

static int append_pg_key(q5_buf *out, const q5_cell *cell, uint32_t oid) {
    q5_slice value = cell->bytes;
    int64_t number = 0;
    switch (oid) {
    case Q5_PG_INT2:
    case Q5_PG_INT4:
    case Q5_PG_INT8:
        for (size_t i = 0; i < value.len; i++)
            number = (int64_t)((uint64_t)number << 8 | (unsigned char)value.base[i]);
        if (value.len == 2) number = (int16_t)number;
        if (value.len == 4) number = (int32_t)number;
        return append_integer(out, number);
    case Q5_PG_TEXT:
    case Q5_PG_VARCHAR:
    case Q5_PG_BPCHAR:
        return append_quoted(out, value);
    case Q5_PG_UUID:
        return append_uuid(out, cell);
    default:
        return Q5_NOT_FOUND;
    }
}

static int append_sqlite_key(q5_buf *out, const q5_cell *cell) {
    if (cell->kind == Q5_CELL_INT64) return append_integer(out, cell->int64);
    if (cell->kind == Q5_CELL_TEXT) return q5_json_text(out, cell->bytes.base, cell->bytes.len);
    return Q5_NOT_FOUND;
}

static bool is_same_key(const q5_cell *a, const q5_cell *b) {
    if (a->kind != b->kind) return false;
    if (a->kind == Q5_CELL_INT64) return a->int64 == b->int64;
    return a->kind == Q5_CELL_BYTES && a->bytes.len == b->bytes.len &&
           !memcmp(a->bytes.base, b->bytes.base, a->bytes.len);
}

/* The keys in a column, separated by commas; rows that follow each other and have the same one
 * count once. Q5_OK; Q5_NOT_FOUND, Q5_ECELL_RANGE: of a type that has no text here. */
static int append_keys(const q5py_rows *self, row_reader *reader, uint32_t column, q5_buf *out) {
    q5_cell cells[Q5_ROW_COLUMNS_MAX], last = q5_cell_null();
    size_t begin = out->len;
    for (;;) {
        int status = reader->source.next(reader->source.ctx, cells, column + 1);
        if (status) return status == Q5_DONE ? Q5_OK : status;
        const q5_cell *cell = &cells[column];
        if (cell->kind == Q5_CELL_NULL || is_same_key(cell, &last)) continue;
        last = *cell; /* bytes are the result's */
        if (out->len > begin) status = q5_buf_append(out, ",", 1);
        if (!status)
            status = self->result ? append_pg_key(out, cell, reader->oids[column])
                                  : append_sqlite_key(out, cell);
        if (status) return status;
    }
}

static PyObject *keys_text(const q5py_rows *self, row_reader *reader, uint32_t column) {
    q5_buf out;
    q5_buf_init(&out, q5_alloc_default());
    int status = q5_buf_append(&out, self->result ? "{" : "[", 1);
    if (!status) status = append_keys(self, reader, column, &out);
    bool none = out.len == 1;
    if (!status) status = q5_buf_append(&out, self->result ? "}" : "]", 1);
    PyObject *text = NULL;
    if (status == Q5_NOT_FOUND || status == Q5_ECELL_RANGE)
        text = Py_NewRef(Py_NotImplemented);
    else if (status)
        q5py_raise_status(status);
    else if (none)
        text = Py_NewRef(Py_None);
    else
        text = PyUnicode_DecodeUTF8(out.base, (Py_ssize_t)out.len, NULL);
    q5_buf_deinit(&out);
    return text;
}

static PyObject *rows_keys(PyObject *op, PyObject *arg) {
    q5py_rows *self = (q5py_rows *)op;
    long column = PyLong_AsLong(arg);
    if (column == -1 && PyErr_Occurred()) return NULL;
    if (column < 0 || column >= self->statement->column_count) {
        PyErr_SetString(PyExc_IndexError, "no such column");
        return NULL;
    }
    row_reader reader;
    PyObject *text =
        reader_begin(&reader, self) ? NULL : keys_text(self, &reader, (uint32_t)column);
    reader_end(&reader);
    return text;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* A tuple of Children, one for each slot of the plan. 0, or -1 with an exception. */
static int read_slots(const q5py_rows *self, PyObject *children, const q5_children **slots) {
    Py_ssize_t count = PyTuple_Check(children) ? PyTuple_GET_SIZE(children) : -1;
    if (count < (Py_ssize_t)q5_row_plan_slots(self->statement->plan) || count > Q5PY_TREE_MAX) {
        PyErr_SetString(PyExc_TypeError, "Children are needed for each to-many field");
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *one = PyTuple_GET_ITEM(children, i);
        if (!Py_IS_TYPE(one, self->statement->state->children_type)) {
            PyErr_SetString(PyExc_TypeError, "Children are needed for each to-many field");
            return -1;
        }
        slots[i] = ((q5py_child_rows *)one)->children;
    }
    return 0;
}

static PyObject *new_children(PyTypeObject *type, q5_children *children) {
    q5py_child_rows *made = (q5py_child_rows *)type->tp_alloc(type, 0);
    if (made)
        made->children = children;
    else
        q5_children_destroy(children);
    return (PyObject *)made;
}

static PyObject *group(q5py_rows *self, const q5_row_source *source,
                       const q5_children *const *slots) {
    q5_children *children = NULL;
    int rc = q5py_children_read(self->statement, source, slots, &children);
    if (rc < 0) return NULL;
    if (rc > 0) Py_RETURN_NOTIMPLEMENTED;
    return new_children(self->statement->state->children_type, children);
}

typedef enum made_of_rows { MADE_JSON, MADE_LINES, MADE_CHILDREN } made_of_rows;

static PyObject *make_of(q5py_rows *self, row_reader *reader, PyObject *children,
                         made_of_rows what) {
    const q5_children *slots[Q5PY_TREE_MAX];
    int rc = q5py_statement_prepare(self->statement, oids_of(self, reader), reader->columns);
    if (rc < 0) return NULL;
    if (rc == 0) Py_RETURN_NOTIMPLEMENTED;
    if (read_slots(self, children, slots)) return NULL;
    if (what == MADE_CHILDREN) return group(self, &reader->source, slots);
    q5_rows_mode mode =
        what == MADE_LINES ? Q5_ROWS_LINES : q5py_statement_rows_mode(self->statement);
    return q5py_statement_encode(self->statement, &reader->source, mode, slots);
}

static PyObject *make(PyObject *op, PyObject *children, made_of_rows what) {
    row_reader reader;
    PyObject *made = reader_begin(&reader, (q5py_rows *)op)
                         ? NULL
                         : make_of((q5py_rows *)op, &reader, children, what);
    reader_end(&reader);
    return made;
}

static PyObject *rows_json(PyObject *op, PyObject *children) {
    return make(op, children, MADE_JSON);
}

static PyObject *rows_lines(PyObject *op, PyObject *children) {
    return make(op, children, MADE_LINES);
}

static PyObject *rows_children(PyObject *op, PyObject *children) {
    return make(op, children, MADE_CHILDREN);
}

/* ---- rows for Python ------------------------------------------------------------------------- */

static PyObject *rows_all(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_rows *self = (q5py_rows *)op;
    if (!self->result) return PyList_GetSlice(self->owner, self->first, self->end);
    row_reader reader;
    PyObject *rows = NULL;
    if (!reader_begin(&reader, self) &&
        q5py_statement_prepare(self->statement, reader.oids, reader.columns) >= 0)
        rows = q5py_statement_rows(self->statement, &reader.source, reader.oids);
    reader_end(&reader);
    return rows;
}

/* ---- the types ------------------------------------------------------------------------------- */

static q5py_rows *rows_alloc(q5py_statement *statement, PyObject *owner) {
    PyTypeObject *type = statement->state->rows_type;
    q5py_rows *self = (q5py_rows *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->statement = (q5py_statement *)Py_NewRef((PyObject *)statement);
    self->owner = Py_NewRef(owner);
    return self;
}

PyObject *q5py_rows_of_pg(q5py_statement *statement, PyObject *reader, const q5_pg_library *library,
                          PyObject *owner, const PGresult *result) {
    q5py_rows *self = rows_alloc(statement, owner);
    if (!self) return NULL;
    self->reader = Py_NewRef(reader);
    self->library = library;
    self->result = result;
    self->end = library->ntuples(result);
    return (PyObject *)self;
}

static PyObject *rows_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"statement", "rows", NULL};
    q5py_state *state = q5py_state_of_type(type);
    PyObject *statement, *rows;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O!", keywords, state->statement_type,
                                     &statement, &PyList_Type, &rows))
        return NULL;
    if (((q5py_statement *)statement)->is_postgresql) {
        PyErr_SetString(PyExc_TypeError, "PostgreSQL's rows come from PgResults.rows()");
        return NULL;
    }
    q5py_rows *self = rows_alloc((q5py_statement *)statement, rows);
    if (self) self->end = PyList_GET_SIZE(rows);
    return (PyObject *)self;
}

static PyObject *rows_part(PyObject *op, PyObject *args) {
    q5py_rows *self = (q5py_rows *)op;
    Py_ssize_t first, end;
    if (!PyArg_ParseTuple(args, "nn", &first, &end)) return NULL;
    Py_ssize_t count = self->end - self->first;
    if (end > count) end = count;
    if (first < 0 || first > end) {
        PyErr_SetString(PyExc_IndexError, "no such rows");
        return NULL;
    }
    q5py_rows *part = rows_alloc(self->statement, self->owner);
    if (!part) return NULL;
    part->reader = Py_XNewRef(self->reader);
    part->library = self->library;
    part->result = self->result;
    part->first = self->first + first;
    part->end = self->first + end;
    return (PyObject *)part;
}

static Py_ssize_t rows_length(PyObject *op) {
    return ((q5py_rows *)op)->end - ((q5py_rows *)op)->first;
}

static int rows_traverse(PyObject *op, visitproc visit, void *arg) {
    q5py_rows *self = (q5py_rows *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->statement);
    Py_VISIT(self->owner);
    Py_VISIT(self->reader);
    return 0;
}

static void rows_dealloc(PyObject *op) {
    q5py_rows *self = (q5py_rows *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_CLEAR(self->statement);
    Py_CLEAR(self->owner);
    Py_CLEAR(self->reader);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef rows_methods[] = {
    {"keys", rows_keys, METH_O,
     "keys(column): the keys there, but for NULLs, as one text: PostgreSQL's array, for SQLite\n"
     "JSON's. None: there are none. NotImplemented: of a type that is not written here."},
    {"json", rows_json, METH_O,
     "json(children): their JSON; children: a tuple of Children, one for each to-many field.\n"
     "NotImplemented: a value must go through Python."},
    {"lines", rows_lines, METH_O, "lines(children): a line of JSON for each; else as json()."},
    {"children", rows_children, METH_O,
     "children(children) -> Children: their JSON by their first column; else as json()."},
    {"all", rows_all, METH_NOARGS, "all() -> list: the driver's tuples."},
    {"part", rows_part, METH_VARARGS, "part(first, end) -> Rows: some of them; end may be beyond."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot rows_slots[] = {
    {Py_tp_doc, "Rows(statement, rows): what sqlite3 has fetched, a list that nobody changes."},
    {Py_tp_new, rows_new},
    {Py_tp_dealloc, rows_dealloc},
    {Py_tp_traverse, rows_traverse},
    {Py_tp_methods, rows_methods},
    {Py_sq_length, rows_length},
    {0, NULL},
};

static PyType_Spec rows_spec = {
    .name = "quintette._quintette.Rows",
    .basicsize = sizeof(q5py_rows),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = rows_slots,
};

static PyObject *children_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "", keywords)) return NULL;
    q5_children_config config = {.key_columns = 1}; /* no plan: nothing is added */
    q5_children *children = q5_children_create(&config, q5_alloc_default());
    return children ? new_children(type, children) : PyErr_NoMemory();
}

static Py_ssize_t children_length(PyObject *op) {
    return (Py_ssize_t)q5_children_count(((q5py_child_rows *)op)->children);
}

static void children_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    q5_children_destroy(((q5py_child_rows *)op)->children);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyType_Slot children_slots[] = {
    {Py_tp_doc, "Children(): of a to-many field that has none. Rows.children() makes the others."},
    {Py_tp_new, children_new},
    {Py_tp_dealloc, children_dealloc},
    {Py_sq_length, children_length},
    {0, NULL},
};

static PyType_Spec children_spec = {
    .name = "quintette._quintette.Children",
    .basicsize = sizeof(q5py_child_rows),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = children_slots,
};

int q5py_init_rows(PyObject *module, q5py_state *state) {
    state->rows_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &rows_spec, NULL);
    state->children_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &children_spec, NULL);
    if (!state->rows_type || !state->children_type) return -1;
    return PyModule_AddType(module, state->rows_type) ||
                   PyModule_AddType(module, state->children_type)
               ? -1
               : 0;
}
