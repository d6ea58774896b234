/* _quintette.ModelMaker: rows become instances of Django's models, as Model.from_db() and
 * RelatedPopulator (django/db/models/base.py, query.py) make them, for models that leave all of
 * that to Django: quintette.db.makers decides, before each use. */
#include "q5py.h"

#include <stddef.h>

#define COLUMNS_MAX 4096
#define RELATED_MAX 1024

/* A model that select_related() follows. Each setter is a str, the name under which the instance
 * keeps the other one in its fields_cache, or what to call. */
typedef struct related_maker {
    PyObject *maker;  /* owned ModelMaker */
    Py_ssize_t key;   /* column; None: there is no such instance */
    PyObject *local;  /* owned */
    PyObject *remote; /* owned */
} related_maker;

typedef struct named_column {
    PyObject *name; /* owned, interned */
    Py_ssize_t column;
    bool direct; /* nothing watches it: into the instance's dict */
} named_column;

typedef struct q5py_model_maker {
    PyObject_HEAD q5py_state *state;
    PyTypeObject *model;   /* owned */
    PyObject *state_class; /* owned: ModelState */
    PyObject *db;          /* owned: the database's alias */
    PyObject *fetch_mode;  /* owned; NULL where Django has none */
    PyObject *empty;       /* owned: () */
    Py_ssize_t field_count, related_count, annotation_count;
    Py_ssize_t columns; /* that a row must have */
    named_column *fields, *annotations;
    related_maker *related;
} q5py_model_maker;

/* ---- one instance ---------------------------------------------------------------------------- */

static PyObject *make_state(q5py_model_maker *self) {
    q5py_state *names = self->state;
    PyObject *state = PyObject_CallNoArgs(self->state_class);
    if (!state) return NULL;
    if (PyObject_SetAttr(state, names->str_adding, Py_False) ||
        PyObject_SetAttr(state, names->str_db, self->db) ||
        (self->fetch_mode && PyObject_SetAttr(state, names->str_fetch_mode, self->fetch_mode)))
        Py_CLEAR(state);
    return state;
}

static int set_columns(PyObject *instance, PyObject *dict, const named_column *columns,
                       Py_ssize_t count, PyObject *row) {
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *value = PyTuple_GET_ITEM(row, columns[i].column);
        int rc = columns[i].direct ? PyDict_SetItem(dict, columns[i].name, value)
                                   : PyObject_SetAttr(instance, columns[i].name, value);
        if (rc) return -1;
    }
    return 0;
}

/* As FieldCacheMixin.set_cached_value(). */
static int cache_value(q5py_state *names, PyObject *instance, PyObject *name, PyObject *value) {
    PyObject *state = PyObject_GetAttr(instance, names->str__state);
    if (!state) return -1;
    PyObject *dict = PyObject_GenericGetDict(state, NULL), *cache = NULL;
    int rc = -1;
    if (dict) {
        cache = Py_XNewRef(PyDict_GetItemWithError(dict, names->str_fields_cache));
        if (!cache && !PyErr_Occurred()) { /* its descriptor makes it at its first use */
            cache = PyDict_New();
            if (cache && PyDict_SetItem(dict, names->str_fields_cache, cache)) Py_CLEAR(cache);
        }
    }
    if (cache) rc = PyObject_SetItem(cache, name, value);
    Py_XDECREF(cache);
    Py_XDECREF(dict);
    Py_DECREF(state);
    return rc;
}

static int set_related(q5py_state *names, PyObject *setter, PyObject *instance, PyObject *value) {
    if (PyUnicode_CheckExact(setter)) return cache_value(names, instance, setter, value);
    PyObject *args[3] = {NULL, instance, value};
    PyObject *result =
        PyObject_Vectorcall(setter, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

static PyObject *make(q5py_model_maker *self, PyObject *row);

static int attach(q5py_model_maker *self, const related_maker *related, PyObject *instance,
                  PyObject *row) {
    PyObject *other = NULL;
    if (PyTuple_GET_ITEM(row, related->key) == Py_None) {
        other = Py_NewRef(Py_None);
    } else if (!Py_EnterRecursiveCall(" while making related instances")) {
        other = make((q5py_model_maker *)related->maker, row);
        Py_LeaveRecursiveCall();
    }
    if (!other) return -1;
    int rc = set_related(self->state, related->local, instance, other);
    if (rc == 0 && other != Py_None)
        rc = set_related(self->state, related->remote, other, instance);
    Py_DECREF(other);
    return rc;
}

/* `row` is a tuple with all columns. */
static PyObject *make(q5py_model_maker *self, PyObject *row) {
    PyObject *instance = self->model->tp_new(self->model, self->empty, NULL);
    if (!instance) return NULL;
    PyObject *state = make_state(self);
    PyObject *dict = state ? PyObject_GenericGetDict(instance, NULL) : NULL;
    int rc = dict ? PyDict_SetItem(dict, self->state->str__state, state) : -1;
    if (rc == 0) rc = set_columns(instance, dict, self->fields, self->field_count, row);
    for (Py_ssize_t i = 0; rc == 0 && i < self->related_count; i++)
        rc = attach(self, &self->related[i], instance, row);
    if (rc == 0) rc = set_columns(instance, dict, self->annotations, self->annotation_count, row);
    Py_XDECREF(dict);
    Py_XDECREF(state);
    if (rc == 0) return instance;
    Py_DECREF(instance);
    return NULL;
}

static PyObject *make_of(q5py_model_maker *self, PyObject *source) {
    PyObject *row = PySequence_Tuple(source);
    PyObject *instance = NULL;
    if (row && PyTuple_GET_SIZE(row) < self->columns)
        PyErr_SetString(PyExc_ValueError, "a row with too few columns");
    else if (row)
        instance = make(self, row);
    Py_XDECREF(row);
    return instance;
}

static PyObject *maker_make(PyObject *op, PyObject *row) {
    return make_of((q5py_model_maker *)op, row);
}

static PyObject *maker_make_all(PyObject *op, PyObject *rows) {
    PyObject *iterator = PyObject_GetIter(rows);
    PyObject *instances = iterator ? PyList_New(0) : NULL, *row;
    while (instances && (row = PyIter_Next(iterator))) {
        PyObject *instance = make_of((q5py_model_maker *)op, row);
        Py_DECREF(row);
        if (!instance || PyList_Append(instances, instance)) Py_CLEAR(instances);
        Py_XDECREF(instance);
    }
    Py_XDECREF(iterator);
    if (PyErr_Occurred()) Py_CLEAR(instances);
    return instances;
}

/* ---- making one ------------------------------------------------------------------------------ */

static int use_column(q5py_model_maker *self, Py_ssize_t column) {
    if (column < 0 || column >= COLUMNS_MAX) {
        PyErr_SetString(PyExc_ValueError, "no such column");
        return -1;
    }
    if (column >= self->columns) self->columns = column + 1;
    return 0;
}

/* ((name, column, direct), ...) */
static named_column *read_columns(q5py_model_maker *self, PyObject *source, Py_ssize_t *ret_count) {
    Py_ssize_t count = PyTuple_GET_SIZE(source);
    named_column *columns = PyMem_Calloc((size_t)count + 1, sizeof(*columns));
    if (!columns) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *name;
        int direct;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(source, i), "Unp", &name, &columns[i].column,
                              &direct) ||
            use_column(self, columns[i].column))
            break;
        columns[i].name = Py_NewRef(name);
        PyUnicode_InternInPlace(&columns[i].name);
        columns[i].direct = direct;
        (*ret_count)++;
    }
    return columns;
}

/* ((maker, column of its key, local setter, remote setter), ...) */
static int read_related(q5py_model_maker *self, PyObject *source) {
    Py_ssize_t count = PyTuple_GET_SIZE(source);
    if (count > RELATED_MAX) {
        PyErr_SetString(PyExc_ValueError, "too many related models");
        return -1;
    }
    self->related = PyMem_Calloc((size_t)count + 1, sizeof(*self->related));
    if (!self->related) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        related_maker read;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(source, i), "O!nOO", Py_TYPE(self), &read.maker,
                              &read.key, &read.local, &read.remote) ||
            use_column(self, read.key))
            return -1;
        Py_ssize_t columns = ((q5py_model_maker *)read.maker)->columns;
        if (columns > self->columns) self->columns = columns;
        Py_INCREF(read.maker);
        Py_INCREF(read.local);
        Py_INCREF(read.remote);
        self->related[self->related_count++] = read;
    }
    return 0;
}

static PyObject *maker_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"model",  "state_class", "db",          "fetch_mode",
                               "fields", "related",     "annotations", NULL};
    PyObject *model, *state_class, *db, *fetch_mode, *fields, *related, *annotations;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!OOOO!O!O!", keywords, &PyType_Type, &model,
                                     &state_class, &db, &fetch_mode, &PyTuple_Type, &fields,
                                     &PyTuple_Type, &related, &PyTuple_Type, &annotations))
        return NULL;
    q5py_model_maker *self = (q5py_model_maker *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->state = q5py_state_of_type(type);
    self->model = (PyTypeObject *)Py_NewRef(model);
    self->state_class = Py_NewRef(state_class);
    self->db = Py_NewRef(db);
    self->fetch_mode = fetch_mode == Py_None ? NULL : Py_NewRef(fetch_mode);
    self->empty = PyTuple_New(0);
    if (self->empty) self->fields = read_columns(self, fields, &self->field_count);
    if (self->fields && !PyErr_Occurred())
        self->annotations = read_columns(self, annotations, &self->annotation_count);
    if (!PyErr_Occurred() && read_related(self, related) == 0) return (PyObject *)self;
    Py_DECREF(self);
    return NULL;
}

static int maker_traverse(PyObject *op, visitproc visit, void *arg) {
    q5py_model_maker *self = (q5py_model_maker *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->model);
    Py_VISIT(self->state_class);
    Py_VISIT(self->fetch_mode);
    for (Py_ssize_t i = 0; i < self->related_count; i++) {
        Py_VISIT(self->related[i].maker);
        Py_VISIT(self->related[i].local);
        Py_VISIT(self->related[i].remote);
    }
    return 0;
}

static void free_columns(named_column *columns, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < count; i++)
        Py_CLEAR(columns[i].name);
    PyMem_Free(columns);
}

/* What it refers to cannot refer back but through classes, which are cleared themselves. */
static void maker_dealloc(PyObject *op) {
    q5py_model_maker *self = (q5py_model_maker *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    free_columns(self->fields, self->field_count);
    free_columns(self->annotations, self->annotation_count);
    for (Py_ssize_t i = 0; i < self->related_count; i++) {
        Py_CLEAR(self->related[i].maker);
        Py_CLEAR(self->related[i].local);
        Py_CLEAR(self->related[i].remote);
    }
    PyMem_Free(self->related);
    Py_CLEAR(self->model);
    Py_CLEAR(self->state_class);
    Py_CLEAR(self->db);
    Py_CLEAR(self->fetch_mode);
    Py_CLEAR(self->empty);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef maker_methods[] = {
    {"make", maker_make, METH_O, "make(row): an instance, with those that belong to it."},
    {"make_all", maker_make_all, METH_O, "make_all(rows): a list of them."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot maker_slots[] = {
    {Py_tp_doc, "Makes instances of a model as Django makes them of a query's rows."},
    {Py_tp_new, maker_new},
    {Py_tp_dealloc, maker_dealloc},
    {Py_tp_traverse, maker_traverse},
    {Py_tp_methods, maker_methods},
    {0, NULL},
};

static PyType_Spec maker_spec = {
    .name = "quintette._quintette.ModelMaker",
    .basicsize = sizeof(q5py_model_maker),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = maker_slots,
};

int q5py_init_model_maker(PyObject *module, q5py_state *state) {
    state->model_maker_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &maker_spec, NULL);
    return state->model_maker_type ? PyModule_AddType(module, state->model_maker_type) : -1;
}
