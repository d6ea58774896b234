/* _quintette.Query: what `@compiled` makes of a function. A call checks its arguments by their
 * exact types; whatever is not plainly right, the Python side validates as msgspec does. Then the
 * statement for them is looked up, or compiled by the Python side. */
#include "query.h"

#include <structmember.h>

typedef struct q5py_parameter {
    PyObject *name;     /* owned, interned */
    PyTypeObject *type; /* owned: of a value that is right as it is; NULL: all are validated */
    PyObject *fallback; /* owned or NULL: required */
    bool many;          /* a list of that type */
    bool optional;      /* None is a variant of its own */
    bool by_value;      /* each value is */
    bool keyword_only;
} q5py_parameter;

typedef struct q5py_query {
    PyObject_HEAD q5py_state *state;
    vectorcallfunc vectorcall;
    PyObject *validate; /* owned: validate(index, value) -> value */
    PyObject *compile;  /* owned: compile(arguments, key) -> Statement; may call vary() */
    PyObject *zone;     /* owned or NULL: zone() -> part of the key */
    PyObject *variants; /* owned dict: key -> Statement */
    PyObject *only;     /* owned: the statement of a query without variants, or NULL */
    Py_ssize_t variants_max;
    uint16_t count, positional;
    bool varies;
    q5py_parameter *parameters;
} q5py_query;

/* ---- arguments ------------------------------------------------------------------------------- */

/* Integers of 64 bits, texts without a NUL. */
static bool is_bindable(PyObject *value) {
    int overflow = 0;
    if (PyLong_CheckExact(value)) {
        (void)PyLong_AsLongLongAndOverflow(value, &overflow);
        return !overflow;
    }
    if (!PyUnicode_CheckExact(value)) return true;
    return PyUnicode_FindChar(value, 0, 0, PyUnicode_GET_LENGTH(value), 1) == -1;
}

static bool is_plain(const q5py_parameter *parameter, PyObject *value) {
    if (!parameter->type) return false;
    if (!parameter->many) return Py_IS_TYPE(value, parameter->type) && is_bindable(value);
    if (!PyList_CheckExact(value)) return false;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(value); i++) {
        PyObject *item = PyList_GET_ITEM(value, i);
        if (!Py_IS_TYPE(item, parameter->type) || !is_bindable(item)) return false;
    }
    return true;
}

/* The index of a keyword; -1: there is no such parameter; -2 with an exception. */
static int index_of(const q5py_query *self, PyObject *name) {
    for (int i = 0; i < self->count; i++)
        if (self->parameters[i].name == name) return i;
    for (int i = 0; i < self->count; i++) {
        int same = PyUnicode_Compare(self->parameters[i].name, name);
        if (same == -1 && PyErr_Occurred()) return -2;
        if (same == 0) return i;
    }
    return -1;
}

static int put_keyword(q5py_query *self, PyObject *arguments, PyObject *name, PyObject *value) {
    int index = index_of(self, name);
    if (index == -2) return -1;
    if (index == -1 || PyTuple_GET_ITEM(arguments, index)) {
        PyErr_Format(PyExc_TypeError,
                     index == -1 ? "%R got an unexpected keyword argument '%U'"
                                 : "%R got multiple values for argument '%U'",
                     self, name);
        return -1;
    }
    PyTuple_SET_ITEM(arguments, index, Py_NewRef(value));
    return 0;
}

/* The argument as it is bound: a new reference, or NULL with an exception. Steals value, of which
 * NULL is "not given". */
static PyObject *checked(q5py_query *self, uint16_t index, PyObject *value) {
    const q5py_parameter *parameter = &self->parameters[index];
    if (!value) value = Py_XNewRef(parameter->fallback);
    if (!value) {
        PyErr_Format(PyExc_TypeError, "%R misses the argument '%U'", self, parameter->name);
        return NULL;
    }
    if (is_plain(parameter, value) || (value == Py_None && parameter->optional)) return value;
    PyObject *valid = PyObject_CallFunction(self->validate, "iO", (int)index, value);
    Py_DECREF(value);
    return valid;
}

/* A tuple of all arguments, or NULL with an exception. */
static PyObject *read_arguments(q5py_query *self, PyObject *const *args, Py_ssize_t nargs,
                                PyObject *kwnames) {
    if (nargs > self->positional) {
        PyErr_Format(PyExc_TypeError, "%R takes %d positional arguments, got %zd", self,
                     (int)self->positional, nargs);
        return NULL;
    }
    PyObject *arguments = PyTuple_New(self->count);
    if (!arguments) return NULL;
    for (Py_ssize_t i = 0; i < nargs; i++)
        PyTuple_SET_ITEM(arguments, i, Py_NewRef(args[i]));
    Py_ssize_t named = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    for (Py_ssize_t i = 0; i < named; i++)
        if (put_keyword(self, arguments, PyTuple_GET_ITEM(kwnames, i), args[nargs + i])) goto fail;
    for (uint16_t i = 0; i < self->count; i++) {
        PyObject *value = PyTuple_GET_ITEM(arguments, i);
        PyTuple_SET_ITEM(arguments, i, NULL);
        PyTuple_SET_ITEM(arguments, i, checked(self, i, value));
        if (!PyTuple_GET_ITEM(arguments, i)) goto fail;
    }
    return arguments;
fail:
    Py_DECREF(arguments);
    return NULL;
}

/* ---- variants -------------------------------------------------------------------------------- */

/* What tells the statement: of each parameter its value, None, or Ellipsis for any value. */
static PyObject *key_of(q5py_query *self, PyObject *arguments) {
    PyObject *key = PyTuple_New(self->count + (self->zone ? 1 : 0));
    for (uint16_t i = 0; key && i < self->count; i++) {
        PyObject *value = PyTuple_GET_ITEM(arguments, i);
        bool counts = value == Py_None || self->parameters[i].by_value;
        PyTuple_SET_ITEM(key, i, Py_NewRef(counts ? value : Py_Ellipsis));
    }
    if (!key || !self->zone) return key;
    PyObject *zone = PyObject_CallNoArgs(self->zone);
    if (!zone) Py_CLEAR(key);
    if (key) PyTuple_SET_ITEM(key, self->count, zone);
    return key;
}

static int keep(q5py_query *self, PyObject *key, PyObject *statement) {
    while (PyDict_GET_SIZE(self->variants) >= self->variants_max) {
        Py_ssize_t position = 0;
        PyObject *oldest, *unused;
        if (!PyDict_Next(self->variants, &position, &oldest, &unused)) break;
        Py_INCREF(oldest);
        int rc = PyDict_DelItem(self->variants, oldest);
        Py_DECREF(oldest);
        if (rc) return -1;
    }
    return PyDict_SetItem(self->variants, key, statement);
}

/* Compiling may find that the query has more variants than was known: then the key is another. */
static PyObject *compile_statement(q5py_query *self, PyObject *arguments) {
    PyObject *statement = PyObject_CallOneArg(self->compile, arguments);
    if (!statement) return NULL;
    if (!Py_IS_TYPE(statement, self->state->statement_type)) {
        PyErr_SetString(PyExc_TypeError, "compile() must return a Statement");
        Py_DECREF(statement);
        return NULL;
    }
    PyObject *key = key_of(self, arguments);
    if (!key || keep(self, key, statement)) Py_CLEAR(statement);
    Py_XDECREF(key);
    if (statement && !self->varies) Py_XSETREF(self->only, Py_NewRef(statement));
    return statement;
}

static PyObject *find_statement(q5py_query *self, PyObject *arguments) {
    if (self->only) return Py_NewRef(self->only);
    PyObject *key = key_of(self, arguments);
    if (!key) return NULL;
    PyObject *found = PyDict_GetItemWithError(self->variants, key);
    Py_XINCREF(found);
    Py_DECREF(key);
    if (found || PyErr_Occurred()) return found;
    return compile_statement(self, arguments);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static PyObject *call(q5py_query *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                      bool as_json) {
    PyObject *arguments = read_arguments(self, args, nargs, kwnames);
    if (!arguments) return NULL;
    PyObject *statement = find_statement(self, arguments);
    if (!statement) {
        Py_DECREF(arguments);
        return NULL;
    }
    PyObject *pending = q5py_pending_new((q5py_statement *)statement, arguments, as_json);
    Py_DECREF(statement);
    return pending;
}

static PyObject *query_vectorcall(PyObject *op, PyObject *const *args, size_t nargsf,
                                  PyObject *kwnames) {
    return call((q5py_query *)op, args, PyVectorcall_NARGS(nargsf), kwnames, false);
}

static PyObject *query_json(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                            PyObject *kwnames) {
    return call((q5py_query *)op, args, nargs, kwnames, true);
}

static PyObject *query_statement(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                                 PyObject *kwnames) {
    PyObject *arguments = read_arguments((q5py_query *)op, args, nargs, kwnames);
    PyObject *statement = arguments ? find_statement((q5py_query *)op, arguments) : NULL;
    Py_XDECREF(arguments);
    return statement;
}

static PyObject *query_vary(PyObject *op, PyObject *args) {
    q5py_query *self = (q5py_query *)op;
    int index;
    PyObject *zone = Py_None;
    if (!PyArg_ParseTuple(args, "i|O", &index, &zone)) return NULL;
    if (index >= self->count) {
        PyErr_SetString(PyExc_ValueError, "no such parameter");
        return NULL;
    }
    if (index >= 0) self->parameters[index].by_value = true;
    if (zone != Py_None) Py_XSETREF(self->zone, Py_NewRef(zone));
    self->varies = true;
    Py_CLEAR(self->only);
    PyDict_Clear(self->variants); /* by keys of the old length, or that tell less */
    Py_RETURN_NONE;
}

/* ---- the type -------------------------------------------------------------------------------- */

/* (name, type or None, (fallback,) or None, many, optional, keyword_only) */
static int read_parameter(q5py_query *self, PyObject *source) {
    PyObject *name, *type, *fallback;
    int many, optional, keyword_only;
    q5py_parameter *parameter = &self->parameters[self->count];
    if (!PyArg_ParseTuple(source, "UOOppp", &name, &type, &fallback, &many, &optional,
                          &keyword_only))
        return -1;
    self->count++;
    parameter->name = Py_NewRef(name);
    PyUnicode_InternInPlace(&parameter->name);
    parameter->type = PyType_Check(type) ? (PyTypeObject *)Py_NewRef(type) : NULL;
    if (PyTuple_Check(fallback) && PyTuple_GET_SIZE(fallback) == 1)
        parameter->fallback = Py_NewRef(PyTuple_GET_ITEM(fallback, 0));
    parameter->many = many;
    parameter->optional = optional;
    parameter->keyword_only = keyword_only;
    if (!keyword_only) self->positional = self->count;
    self->varies = self->varies || optional;
    return 0;
}

static int read_parameters(q5py_query *self, PyObject *parameters) {
    Py_ssize_t count = PyTuple_GET_SIZE(parameters);
    if (count > Q5PY_QUERY_PARAMS_MAX) {
        PyErr_Format(PyExc_ValueError, "a compiled query takes up to %d parameters",
                     Q5PY_QUERY_PARAMS_MAX);
        return -1;
    }
    self->parameters = PyMem_Calloc((size_t)count + 1, sizeof(*self->parameters));
    if (!self->parameters) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        if (read_parameter(self, PyTuple_GET_ITEM(parameters, i))) return -1;
    return 0;
}

static PyObject *query_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)args;
    (void)kwargs;
    q5py_query *self = (q5py_query *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->state = q5py_state_of_type(type);
    self->vectorcall = query_vectorcall;
    self->variants = PyDict_New();
    if (!self->state || !self->variants) Py_CLEAR(self);
    return (PyObject *)self;
}

static int query_init(PyObject *op, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"parameters", "validate", "compile", "variants_max", NULL};
    q5py_query *self = (q5py_query *)op;
    PyObject *parameters, *validate, *compile;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!OOn", keywords, &PyTuple_Type, &parameters,
                                     &validate, &compile, &self->variants_max))
        return -1;
    if (self->parameters || self->variants_max < 1) {
        PyErr_SetString(PyExc_ValueError, "made twice, or without room");
        return -1;
    }
    self->validate = Py_NewRef(validate);
    self->compile = Py_NewRef(compile);
    return read_parameters(self, parameters);
}

static int query_traverse(PyObject *op, visitproc visit, void *arg) {
    q5py_query *self = (q5py_query *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->validate);
    Py_VISIT(self->compile);
    Py_VISIT(self->zone);
    Py_VISIT(self->variants);
    Py_VISIT(self->only);
    for (uint16_t i = 0; i < self->count; i++) {
        Py_VISIT(self->parameters[i].type);
        Py_VISIT(self->parameters[i].fallback);
    }
    return 0;
}

static int query_clear(PyObject *op) {
    q5py_query *self = (q5py_query *)op;
    Py_CLEAR(self->validate);
    Py_CLEAR(self->compile);
    Py_CLEAR(self->zone);
    if (self->variants) PyDict_Clear(self->variants);
    Py_CLEAR(self->only);
    return 0;
}

static void query_dealloc(PyObject *op) {
    q5py_query *self = (q5py_query *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    query_clear(op);
    Py_CLEAR(self->variants);
    for (uint16_t i = 0; i < self->count; i++) {
        Py_CLEAR(self->parameters[i].name);
        Py_CLEAR(self->parameters[i].type);
        Py_CLEAR(self->parameters[i].fallback);
    }
    PyMem_Free(self->parameters);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef query_methods[] = {
    {"json", (PyCFunction)(void (*)(void))query_json, METH_FASTCALL | METH_KEYWORDS,
     "json(...) -> Pending: the result as JSON, without a Python object per row."},
    {"_statement", (PyCFunction)(void (*)(void))query_statement, METH_FASTCALL | METH_KEYWORDS,
     "_statement(...) -> Statement: the one for these arguments."},
    {"_vary", query_vary, METH_VARARGS,
     "_vary(index, zone=None): there is a statement for each value of that parameter (-1: none), "
     "and of zone()."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef query_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(q5py_query, vectorcall), READONLY, NULL},
    {"_variants", T_OBJECT_EX, offsetof(q5py_query, variants), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot query_slots[] = {
    {Py_tp_doc, "A query that was declared once."},
    {Py_tp_new, query_new},
    {Py_tp_init, query_init},
    {Py_tp_dealloc, query_dealloc},
    {Py_tp_traverse, query_traverse},
    {Py_tp_clear, query_clear},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_methods, query_methods},
    {Py_tp_members, query_members},
    {0, NULL},
};

static PyType_Spec query_spec = {
    .name = "quintette._quintette.Query",
    .basicsize = sizeof(q5py_query),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = query_slots,
};

int q5py_init_query(PyObject *module, q5py_state *state) {
    state->query_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &query_spec, NULL);
    return state->query_type ? PyModule_AddType(module, state->query_type) : -1;
}
