/* See statement_keys.h. A query is written down as bytes: its attributes, joins, columns and
 * conditions, with the addresses of models and fields, and the types of the parameters instead of
 * their values. Whatever is not known to be that simple (an expression, a subclass of anything
 * of Django's, a lookup of the project's own) makes the query one without a key. */
#include "statement_keys.h"

#include "convert.h"

#define KEY_BYTES_MAX 16384 /* longer ones have no key */
#define DEPTH_MAX 32
#define LIST_MAX 256 /* values of an `in` */

typedef struct keys {
    PyObject_HEAD q5py_state *state;
    PyTypeObject *query, *where, *col, *base_table, *join; /* owned; exact types */
    PyObject *field, *relation; /* owned classes: instances are known by their address */
    PyObject *lookups;          /* owned frozenset of types; their right side is one value */
    PyObject *lists;            /* likewise; a list of values */
    PyObject *flags;            /* likewise; True or False, which is no parameter */
    PyObject *scalars;          /* owned frozenset of types, of parameters */
    PyObject *ignored;          /* owned frozenset of names of a query's attributes */
} keys;

typedef enum answer { KNOWN, UNKNOWN, FAILED } answer;

/* One call's work. */
typedef struct writer {
    const keys *keys;
    PyObject *found; /* borrowed list: gets the lookups, in the order of their parameters */
    PyObject *kept;  /* borrowed list or NULL: gets what is known by its address */
    char *bytes;     /* owned */
    size_t len, cap;
    int depth;
} writer;

/* ---- bytes ----------------------------------------------------------------------------------- */

static answer put(writer *w, const void *data, size_t len) {
    if (w->len + len > KEY_BYTES_MAX) return UNKNOWN;
    if (w->len + len > w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 1024;
        while (cap < w->len + len)
            cap *= 2;
        char *grown = PyMem_Realloc(w->bytes, cap);
        if (!grown) {
            PyErr_NoMemory();
            return FAILED;
        }
        w->bytes = grown;
        w->cap = cap;
    }
    memcpy(w->bytes + w->len, data, len);
    w->len += len;
    return KNOWN;
}

static answer put_number(writer *w, char tag, uint64_t number) {
    char bytes[9] = {tag};
    memcpy(bytes + 1, &number, sizeof(number));
    return put(w, bytes, sizeof(bytes));
}

static answer put_address(writer *w, char tag, PyObject *object) {
    if (w->kept && PyList_Append(w->kept, object)) return FAILED;
    return put_number(w, tag, (uint64_t)(uintptr_t)object);
}

static answer put_str(writer *w, PyObject *text) {
    Py_ssize_t len;
    const char *utf8 = PyUnicode_AsUTF8AndSize(text, &len);
    if (!utf8) { /* a lone surrogate */
        PyErr_Clear();
        return UNKNOWN;
    }
    answer got = put_number(w, 's', (uint64_t)len);
    return got == KNOWN ? put(w, utf8, (size_t)len) : got;
}

static answer put_int(writer *w, PyObject *number) {
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(number, &overflow);
    if (overflow) return UNKNOWN;
    return put_number(w, 'i', (uint64_t)value);
}

/* ---- plain values ---------------------------------------------------------------------------- */

static answer put_any(writer *w, PyObject *value);

static answer put_items(writer *w, char tag, PyObject *items) {
    PyObject *fast = PySequence_Fast(items, "a sequence");
    if (!fast) return FAILED;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(fast);
    answer got = put_number(w, tag, (uint64_t)count);
    for (Py_ssize_t i = 0; i < count && got == KNOWN; i++)
        got = put_any(w, PySequence_Fast_GET_ITEM(fast, i));
    Py_DECREF(fast);
    return got;
}

static answer put_dict(writer *w, PyObject *dict) {
    PyObject *key, *value;
    Py_ssize_t at = 0;
    answer got = put_number(w, 'd', (uint64_t)PyDict_GET_SIZE(dict));
    while (got == KNOWN && PyDict_Next(dict, &at, &key, &value)) {
        got = put_any(w, key);
        if (got == KNOWN) got = put_any(w, value);
    }
    return got;
}

/* Attributes, which the types of Django's that come here set in their __init__. */
static answer put_attributes(writer *w, PyObject *object, PyObject *const *names, size_t count) {
    answer got = KNOWN;
    for (size_t i = 0; i < count && got == KNOWN; i++) {
        PyObject *value = PyObject_GetAttr(object, names[i]);
        if (!value) return FAILED;
        got = put_any(w, value);
        Py_DECREF(value);
    }
    return got;
}

static answer put_field(writer *w, PyObject *value) {
    for (int i = 0; i < 2; i++) {
        int is = PyObject_IsInstance(value, i ? w->keys->relation : w->keys->field);
        if (is < 0) return FAILED;
        if (is) return put_address(w, 'f', value);
    }
    return UNKNOWN;
}

/* ---- conditions ------------------------------------------------------------------------------ */

/* Of which type a parameter is. True and False are what they are: Django may write conditions with
 * them in other ways. */
static answer put_parameter(writer *w, PyObject *value) {
    if (PyBool_Check(value)) return put(w, value == Py_True ? "T" : "F", 1);
    int known = PySet_Contains(w->keys->scalars, (PyObject *)Py_TYPE(value));
    if (known <= 0) return known < 0 ? FAILED : UNKNOWN;
    return put_number(w, 'p', (uint64_t)(uintptr_t)Py_TYPE(value));
}

static answer put_parameters(writer *w, PyObject *values) {
    if (!PyList_CheckExact(values) && !PyTuple_CheckExact(values)) return UNKNOWN;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(values);
    if (count > LIST_MAX) return UNKNOWN;
    answer got = put_number(w, 'l', (uint64_t)count);
    for (Py_ssize_t i = 0; i < count && got == KNOWN; i++)
        got = put_parameter(w, PySequence_Fast_GET_ITEM(values, i));
    return got;
}

static answer put_sides(writer *w, PyObject *lookup, bool is_list) {
    q5py_state *state = w->keys->state;
    PyObject *left = PyObject_GetAttr(lookup, state->str_lhs);
    PyObject *right = left ? PyObject_GetAttr(lookup, state->str_rhs) : NULL;
    answer got = FAILED;
    if (right && !Py_IS_TYPE(left, w->keys->col))
        got = UNKNOWN;
    else if (right)
        got = put_any(w, left);
    if (got == KNOWN) got = is_list ? put_parameters(w, right) : put_parameter(w, right);
    Py_XDECREF(left);
    Py_XDECREF(right);
    return got;
}

static answer put_lookup(writer *w, PyObject *lookup) {
    PyObject *type = (PyObject *)Py_TYPE(lookup);
    int is_list = 0, is_flag = 0, known = PySet_Contains(w->keys->lookups, type);
    if (known == 0) known = is_list = PySet_Contains(w->keys->lists, type);
    if (known == 0) known = is_flag = PySet_Contains(w->keys->flags, type);
    if (known <= 0) return known < 0 ? FAILED : UNKNOWN;
    answer got = put_address(w, 'L', type);
    if (got == KNOWN) got = put_sides(w, lookup, is_list);
    if (got == KNOWN && !is_flag && PyList_Append(w->found, lookup)) got = FAILED;
    return got;
}

static answer put_where(writer *w, PyObject *node) {
    q5py_state *state = w->keys->state;
    PyObject *names[] = {state->str_connector, state->str_negated, state->str_children};
    answer got = put(w, "W", 1);
    return got == KNOWN ? put_attributes(w, node, names, Q5_ARRAY_LEN(names)) : got;
}

/* ---- the parts of a query -------------------------------------------------------------------- */

static answer put_col(writer *w, PyObject *col) {
    q5py_state *state = w->keys->state;
    PyObject *names[] = {state->str_alias, state->str_target, state->str_output_field};
    answer got = put(w, "C", 1);
    if (got == KNOWN) got = put_attributes(w, col, names, Q5_ARRAY_LEN(names));
    PyObject *target = got == KNOWN ? PyObject_GetAttr(col, state->str_target) : NULL;
    if (!target) return got == KNOWN ? FAILED : got;
    got = put_attributes(w, target, &state->str_column, 1);
    Py_DECREF(target);
    return got;
}

static answer put_table(writer *w, PyObject *table) {
    PyObject *dict = PyObject_GenericGetDict(table, NULL);
    if (!dict) return FAILED;
    answer got = put(w, Py_IS_TYPE(table, w->keys->join) ? "J" : "B", 1);
    if (got == KNOWN) got = put_dict(w, dict);
    Py_DECREF(dict);
    return got;
}

/* A query without an order of its own has its model's, which tests are known to change; one that
 * has no alias yet has its table. */
static answer put_options(writer *w, PyObject *query) {
    q5py_state *state = w->keys->state;
    PyObject *names[] = {state->str_ordering, state->str_db_table};
    PyObject *model = PyObject_GetAttr(query, state->str_model);
    if (model == Py_None) { /* of no table, as Q.check() has it */
        Py_DECREF(model);
        return UNKNOWN;
    }
    PyObject *meta = model ? PyObject_GetAttr(model, state->str__meta) : NULL;
    answer got = meta ? put_attributes(w, meta, names, Q5_ARRAY_LEN(names)) : FAILED;
    Py_XDECREF(model);
    Py_XDECREF(meta);
    return got;
}

static answer put_query(writer *w, PyObject *query) {
    PyObject *dict = PyObject_GenericGetDict(query, NULL), *name, *value;
    if (!dict) return FAILED;
    Py_ssize_t at = 0;
    answer got = put_options(w, query);
    while (got == KNOWN && PyDict_Next(dict, &at, &name, &value)) {
        int ignored = PySet_Contains(w->keys->ignored, name);
        if (ignored > 0) continue;
        got = ignored < 0 ? FAILED : put_any(w, name);
        if (got == KNOWN) got = put_any(w, value);
    }
    Py_DECREF(dict);
    return got;
}

static answer put_object(writer *w, PyObject *value) {
    const keys *known = w->keys;
    PyTypeObject *type = Py_TYPE(value);
    if (type == known->col) return put_col(w, value);
    if (type == known->where) return put_where(w, value);
    if (type == known->join || type == known->base_table) return put_table(w, value);
    if (PyType_Check(value)) return put_address(w, 'm', value);
    answer got = put_lookup(w, value);
    return got == UNKNOWN ? put_field(w, value) : got;
}

static answer put_container(writer *w, PyObject *value) {
    if (PyTuple_CheckExact(value) || PyList_CheckExact(value)) return put_items(w, 't', value);
    if (PyDict_CheckExact(value)) return put_dict(w, value);
    if (PyAnySet_CheckExact(value)) return put_items(w, 'e', value);
    return put_object(w, value);
}

static answer put_any(writer *w, PyObject *value) {
    if (value == Py_None) return put(w, "N", 1);
    if (PyBool_Check(value)) return put(w, value == Py_True ? "T" : "F", 1);
    if (PyUnicode_CheckExact(value)) return put_str(w, value);
    if (PyLong_CheckExact(value)) return put_int(w, value);
    if (w->depth == DEPTH_MAX) return UNKNOWN;
    w->depth++;
    answer got = put_container(w, value);
    w->depth--;
    return got;
}

/* ---- the type -------------------------------------------------------------------------------- */

static PyObject *keys_call(PyObject *op, PyObject *args, PyObject *kwargs) {
    keys *self = (keys *)op;
    PyObject *query, *found, *kept = NULL;
    if (kwargs && PyDict_GET_SIZE(kwargs))
        return PyErr_Format(PyExc_TypeError, "StatementKeys takes no keywords");
    if (!PyArg_ParseTuple(args, "OO!|O!", &query, &PyList_Type, &found, &PyList_Type, &kept))
        return NULL;
    if (!Py_IS_TYPE(query, self->query)) Py_RETURN_NONE;
    writer w = {.keys = self, .found = found, .kept = kept};
    answer got = put_query(&w, query);
    PyObject *key = NULL;
    if (got == KNOWN)
        key = PyBytes_FromStringAndSize(w.bytes, (Py_ssize_t)w.len);
    else if (got == UNKNOWN)
        key = Py_NewRef(Py_None);
    PyMem_Free(w.bytes);
    return key;
}

static PyObject *keys_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"query",   "where",    "col",     "base_table", "join",
                               "field",   "relation", "lookups", "lists",      "flags",
                               "scalars", "ignored",  NULL};
    PyTypeObject *query, *where, *col, *base_table, *join;
    PyObject *field, *relation, *lookups, *lists, *flags, *scalars, *ignored;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "$O!O!O!O!O!OOO!O!O!O!O!", keywords, &PyType_Type, &query, &PyType_Type,
            &where, &PyType_Type, &col, &PyType_Type, &base_table, &PyType_Type, &join, &field,
            &relation, &PyFrozenSet_Type, &lookups, &PyFrozenSet_Type, &lists, &PyFrozenSet_Type,
            &flags, &PyFrozenSet_Type, &scalars, &PyFrozenSet_Type, &ignored))
        return NULL;
    keys *self = (keys *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->state = q5py_state_of_type(type);
    self->query = (PyTypeObject *)Py_NewRef(query);
    self->where = (PyTypeObject *)Py_NewRef(where);
    self->col = (PyTypeObject *)Py_NewRef(col);
    self->base_table = (PyTypeObject *)Py_NewRef(base_table);
    self->join = (PyTypeObject *)Py_NewRef(join);
    self->field = Py_NewRef(field);
    self->relation = Py_NewRef(relation);
    self->lookups = Py_NewRef(lookups);
    self->lists = Py_NewRef(lists);
    self->flags = Py_NewRef(flags);
    self->scalars = Py_NewRef(scalars);
    self->ignored = Py_NewRef(ignored);
    return (PyObject *)self;
}

#define EACH_REFERENCE(XX) \
    XX(query)              \
    XX(where)              \
    XX(col)                \
    XX(base_table)         \
    XX(join)               \
    XX(field)              \
    XX(relation)           \
    XX(lookups)            \
    XX(lists)              \
    XX(flags)              \
    XX(scalars)            \
    XX(ignored)

static int keys_traverse(PyObject *op, visitproc visit, void *arg) {
    keys *self = (keys *)op;
    Py_VISIT(Py_TYPE(op));
#define XX(name) Py_VISIT(self->name);
    EACH_REFERENCE(XX)
#undef XX
    return 0;
}

static int keys_clear(PyObject *op) {
    keys *self = (keys *)op;
#define XX(name) Py_CLEAR(self->name);
    EACH_REFERENCE(XX)
#undef XX
    return 0;
}

static void keys_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    keys_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyType_Slot keys_slots[] = {
    {Py_tp_doc, "StatementKeys(*, query, where, ...)(query, found, kept=...) -> bytes | None\n\n"
                "Equal bytes: equal SQL. The lookups whose parameters the SQL has are appended to\n"
                "found, in its order; what must live as long as the key is used, to kept."},
    {Py_tp_new, keys_new},
    {Py_tp_call, keys_call},
    {Py_tp_dealloc, keys_dealloc},
    {Py_tp_traverse, keys_traverse},
    {Py_tp_clear, keys_clear},
    {0, NULL},
};

static PyType_Spec keys_spec = {
    .name = "quintette._quintette.StatementKeys",
    .basicsize = sizeof(keys),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = keys_slots,
};

int q5py_init_statement_keys(PyObject *module, q5py_state *state) {
    state->statement_keys_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &keys_spec, NULL);
    return state->statement_keys_type ? PyModule_AddType(module, state->statement_keys_type) : -1;
}
