/* _quintette.Claims: what one request has of a verified token, as a mapping that cannot be written.
 * Decoded when somebody looks, for this request alone. */
#include "jwt.h"

/* ---- what is shared -------------------------------------------------------------------------- */

q5py_jwt_facts *q5py_jwt_facts_new(q5_slice payload, const q5_jwt_claims *claims) {
    q5py_jwt_facts *facts = PyMem_Calloc(1, sizeof(*facts));
    if (!facts) return (q5py_jwt_facts *)PyErr_NoMemory();
    facts->refs = 1;
    facts->expires_s = claims->expires_s;
    facts->payload = PyBytes_FromStringAndSize(payload.base, (Py_ssize_t)payload.len);
    if (facts->payload) return facts;
    PyMem_Free(facts);
    return NULL;
}

void q5py_jwt_facts_unref(q5py_jwt_facts *facts) {
    if (--facts->refs) return;
    Py_XDECREF(facts->payload);
    Py_XDECREF(facts->id);
    Py_XDECREF(facts->scopes);
    PyMem_Free(facts);
}

/* ---- what is one request's ------------------------------------------------------------------- */

typedef struct claims_object {
    PyObject_HEAD q5py_jwt_facts *facts; /* one reference */
    PyObject *decode;                    /* owned: bytes -> dict */
    PyObject *dict;                      /* owned; NULL until somebody looks */
} claims_object;

PyObject *q5py_jwt_claims_new(q5py_state *state, q5py_jwt_facts *facts, PyObject *decode) {
    claims_object *self = PyObject_GC_New(claims_object, state->claims_type);
    if (!self) {
        q5py_jwt_facts_unref(facts);
        return NULL;
    }
    self->facts = facts;
    self->decode = Py_NewRef(decode);
    self->dict = NULL;
    PyObject_GC_Track((PyObject *)self);
    return (PyObject *)self;
}

/* Borrowed, or NULL with an exception. */
static PyObject *dict_of(PyObject *object) {
    claims_object *self = (claims_object *)object;
    if (self->dict) return self->dict;
    PyObject *made = PyObject_CallOneArg(self->decode, self->facts->payload);
    if (made && !PyDict_CheckExact(made)) {
        PyErr_Format(PyExc_TypeError, "claims are a dict, not %R", made);
        Py_CLEAR(made);
    }
    if (made) Py_XSETREF(self->dict, made);
    return made ? self->dict : NULL;
}

static Py_ssize_t claims_length(PyObject *self) {
    PyObject *dict = dict_of(self);
    return dict ? PyDict_GET_SIZE(dict) : -1;
}

static PyObject *claims_subscript(PyObject *self, PyObject *key) {
    PyObject *dict = dict_of(self);
    return dict ? PyObject_GetItem(dict, key) : NULL;
}

static int claims_contains(PyObject *self, PyObject *key) {
    PyObject *dict = dict_of(self);
    return dict ? PyDict_Contains(dict, key) : -1;
}

static PyObject *claims_iter(PyObject *self) {
    PyObject *dict = dict_of(self);
    return dict ? PyObject_GetIter(dict) : NULL;
}

static PyObject *claims_repr(PyObject *self) {
    PyObject *dict = dict_of(self);
    return dict ? PyUnicode_FromFormat("Claims(%R)", dict) : NULL;
}

/* Equal to any mapping with the same content. */
static PyObject *claims_compare(PyObject *self, PyObject *other, int op) {
    if (op != Py_EQ && op != Py_NE) Py_RETURN_NOTIMPLEMENTED;
    PyObject *mine = dict_of(self);
    PyObject *theirs = Py_IS_TYPE(other, Py_TYPE(self)) ? dict_of(other) : other;
    return mine && theirs ? PyObject_RichCompare(mine, theirs, op) : NULL;
}

static PyObject *claims_get(PyObject *self, PyObject *args) {
    PyObject *key, *missing = Py_None;
    if (!PyArg_ParseTuple(args, "O|O:get", &key, &missing)) return NULL;
    PyObject *dict = dict_of(self);
    PyObject *value = dict ? PyDict_GetItemWithError(dict, key) : NULL;
    if (value) return Py_NewRef(value);
    return PyErr_Occurred() ? NULL : Py_NewRef(missing);
}

static PyObject *view(PyObject *self, const char *method) {
    PyObject *dict = dict_of(self);
    return dict ? PyObject_CallMethod(dict, method, NULL) : NULL;
}

static PyObject *claims_keys(PyObject *self, PyObject *unused) {
    (void)unused;
    return view(self, "keys");
}

static PyObject *claims_values(PyObject *self, PyObject *unused) {
    (void)unused;
    return view(self, "values");
}

static PyObject *claims_items(PyObject *self, PyObject *unused) {
    (void)unused;
    return view(self, "items");
}

static PyObject *claims_get_payload(PyObject *object, void *unused) {
    (void)unused;
    return Py_NewRef(((claims_object *)object)->facts->payload);
}

/* ---- scopes ---------------------------------------------------------------------------------- */

/* Of a text with spaces, or of the texts of a list; anything else grants nothing. */
static PyObject *granted_by(PyObject *value) {
    if (PyUnicode_Check(value)) {
        PyObject *words = PyUnicode_Split(value, NULL, -1);
        PyObject *made = words ? PyFrozenSet_New(words) : NULL;
        Py_XDECREF(words);
        return made;
    }
    PyObject *set = PySet_New(NULL);
    for (Py_ssize_t i = 0; set && PyList_Check(value) && i < PyList_GET_SIZE(value); i++) {
        PyObject *item = PyList_GET_ITEM(value, i);
        if (PyUnicode_Check(item) && PySet_Add(set, item)) Py_CLEAR(set);
    }
    PyObject *made = set ? PyFrozenSet_New(set) : NULL;
    Py_XDECREF(set);
    return made;
}

/* New reference, or NULL with an exception. */
static PyObject *scopes_in(PyObject *dict) {
    static const char *const names[] = {"scopes", "scope", "scp"};
    for (size_t i = 0; i < Q5_ARRAY_LEN(names); i++) {
        PyObject *value = PyDict_GetItemString(dict, names[i]);
        if (value && value != Py_None) return granted_by(value);
    }
    return PyFrozenSet_New(NULL);
}

/* Found once per token, and from the token itself: what a handler has changed in its claims grants
 * nothing. */
static PyObject *claims_get_scopes(PyObject *object, void *unused) {
    (void)unused;
    claims_object *self = (claims_object *)object;
    if (!self->facts->scopes) {
        PyObject *dict = PyObject_CallOneArg(self->decode, self->facts->payload);
        PyObject *scopes = dict ? scopes_in(dict) : NULL;
        Py_XDECREF(dict);
        if (!scopes) return NULL;
        Py_XSETREF(self->facts->scopes, scopes);
    }
    return Py_NewRef(self->facts->scopes);
}

/* ---- the type -------------------------------------------------------------------------------- */

static int claims_traverse(PyObject *object, visitproc visit, void *arg) {
    claims_object *self = (claims_object *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->decode);
    Py_VISIT(self->dict);
    return 0;
}

static int claims_clear(PyObject *object) {
    Py_CLEAR(((claims_object *)object)->dict);
    return 0;
}

static void claims_dealloc(PyObject *object) {
    claims_object *self = (claims_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    claims_clear(object);
    Py_DECREF(self->decode);
    q5py_jwt_facts_unref(self->facts);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef claims_methods[] = {
    {"get", claims_get, METH_VARARGS, "get(key, default=None)"},
    {"keys", claims_keys, METH_NOARGS, "As dict's."},
    {"values", claims_values, METH_NOARGS, "As dict's."},
    {"items", claims_items, METH_NOARGS, "As dict's."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef claims_getset[] = {
    {"payload", claims_get_payload, NULL, "bytes: the claims in JSON, as they were signed", NULL},
    {"scopes", claims_get_scopes, NULL,
     "frozenset[str]: what was granted, by `scopes`, `scope` (RFC 8693, 4.2) or `scp`", NULL},
    {0},
};

static PyType_Slot claims_slots[] = {
    {Py_tp_doc, "The claims of a verified token: a mapping, decoded when somebody looks."},
    {Py_tp_traverse, claims_traverse},
    {Py_tp_clear, claims_clear},
    {Py_tp_dealloc, claims_dealloc},
    {Py_tp_repr, claims_repr},
    {Py_tp_iter, claims_iter},
    {Py_tp_richcompare, claims_compare},
    {Py_tp_hash, PyObject_HashNotImplemented},
    {Py_mp_length, claims_length},
    {Py_mp_subscript, claims_subscript},
    {Py_sq_contains, claims_contains},
    {Py_tp_methods, claims_methods},
    {Py_tp_getset, claims_getset},
    {0, NULL},
};

static PyType_Spec claims_spec = {
    .name = "_quintette.Claims",
    .basicsize = sizeof(claims_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_MAPPING,
    .slots = claims_slots,
};

int q5py_init_jwt_claims(PyObject *module, q5py_state *state) {
    state->claims_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &claims_spec, NULL);
    return state->claims_type ? PyModule_AddType(module, state->claims_type) : -1;
}
