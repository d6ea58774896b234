/* _quintette.Urls: the patterns of one URLResolver, compiled from what quintette.server.urls says
 * of them. Kept as an attribute of the resolver, so it lives as long. */
#include "django_urls.h"

#include "convert.h"

/* ---- from Python's description --------------------------------------------------------------- */

static int take_part(q5py_route_part *self, PyObject *part) {
    if (PyUnicode_Check(part)) {
        self->text = Py_NewRef(part);
        return 0;
    }
    int number;
    if (!PyArg_ParseTuple(part, "UOi", &self->text, &self->converter, &number)) {
        self->text = self->converter = NULL;
        return -1;
    }
    Py_INCREF(self->text);
    PyUnicode_InternInPlace(&self->text);
    Py_INCREF(self->converter);
    self->number = (q5py_url_converter)number;
    return 0;
}

static int take_route(q5py_state *state, q5py_url_child *self, PyObject *rest) {
    Py_ssize_t count = PyTuple_GET_SIZE(rest);
    self->converters = PyObject_GetAttr(self->pattern, state->str_converters);
    if (!self->converters) return -1;
    if (count > Q5PY_ROUTE_PARTS_MAX) return PyErr_SetString(PyExc_ValueError, "long route"), -1;
    self->parts = PyMem_Calloc((size_t)count + 1, sizeof(*self->parts));
    if (!self->parts) return PyErr_NoMemory(), -1;
    for (; self->count < count; self->count++)
        if (take_part(&self->parts[self->count], PyTuple_GET_ITEM(rest, self->count))) return -1;
    return 0;
}

static int take_regex(q5py_url_child *self, PyObject *rest) {
    PyObject *search, *fullmatch;
    if (!PyArg_UnpackTuple(rest, "regex", 2, 2, &search, &fullmatch)) return -1;
    if (fullmatch == Py_None)
        self->search = Py_NewRef(search);
    else
        self->fullmatch = Py_NewRef(fullmatch);
    return 0;
}

static int take_child(q5py_state *state, q5py_url_child *self, PyObject *description) {
    int how, is_resolver, is_pattern, is_endpoint;
    PyObject *item, *pattern, *rest;
    if (!PyArg_ParseTuple(description, "iOppOpO!", &how, &item, &is_resolver, &is_pattern, &pattern,
                          &is_endpoint, &PyTuple_Type, &rest))
        return -1;
    self->how = (q5py_url_how)how;
    self->item = Py_NewRef(item);
    self->pattern = Py_NewRef(pattern);
    self->is_resolver = is_resolver;
    self->is_pattern = is_pattern;
    self->is_endpoint = is_endpoint;
    if (how == Q5PY_URL_ROUTE) return take_route(state, self, rest);
    return how == Q5PY_URL_REGEX ? take_regex(self, rest) : 0;
}

static int take_children(q5py_state *state, q5py_urls *self, PyObject *children) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(children); i++) {
        if (take_child(state, &self->children[i], PyTuple_GET_ITEM(children, i))) return -1;
        PyTuple_SET_ITEM(self->items, i, Py_NewRef(self->children[i].item));
    }
    return 0;
}

static q5py_urls *compile(q5py_state *state, PyObject *resolver, PyObject *list) {
    PyObject *answer = PyObject_CallOneArg(state->django->describe_urls, resolver), *children;
    int is_root;
    if (!answer || !PyArg_ParseTuple(answer, "pO!", &is_root, &PyTuple_Type, &children)) {
        Py_XDECREF(answer);
        return NULL;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(children);
    PyTypeObject *type = state->django_urls_type;
    q5py_urls *self = (q5py_urls *)type->tp_alloc(type, count);
    if (self) {
        self->is_root = is_root;
        self->list = Py_NewRef(list);
        self->items = PyTuple_New(count);
        if (!self->items || take_children(state, self, children)) Py_CLEAR(self);
    }
    Py_DECREF(answer);
    return self;
}

/* ---- the resolver's -------------------------------------------------------------------------- */

/* url_patterns is a list as a rule, and whoever likes may change it in place. */
static bool is_current(const q5py_urls *self, PyObject *list) {
    if (self->list != list) return false;
    if (PyTuple_CheckExact(list)) return true;
    if (!PyList_CheckExact(list) || PyList_GET_SIZE(list) != Py_SIZE(self)) return false;
    for (Py_ssize_t i = 0; i < Py_SIZE(self); i++)
        if (PyList_GET_ITEM(list, i) != self->children[i].item) return false;
    return true;
}

q5py_urls *q5py_urls_of(q5py_state *state, PyObject *resolver) {
    PyObject *list = PyObject_GetAttr(resolver, state->str_url_patterns), *kept = NULL;
    int found = list ? q5py_find_attribute(resolver, state->str__quintette_urls, &kept) : -1;
    if (found > 0 && Py_IS_TYPE(kept, state->django_urls_type) &&
        is_current((q5py_urls *)kept, list)) {
        Py_DECREF(list);
        return (q5py_urls *)kept;
    }
    Py_XDECREF(kept);
    q5py_urls *self = found < 0 ? NULL : compile(state, resolver, list);
    if (self && PyObject_SetAttr(resolver, state->str__quintette_urls, (PyObject *)self))
        Py_CLEAR(self);
    Py_XDECREF(list);
    return self;
}

/* ---- the type -------------------------------------------------------------------------------- */

static int urls_traverse(PyObject *op, visitproc visit, void *arg) {
    q5py_urls *self = (q5py_urls *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->list);
    Py_VISIT(self->items);
    for (Py_ssize_t i = 0; i < Py_SIZE(self); i++) {
        q5py_url_child *child = &self->children[i];
        Py_VISIT(child->item);
        Py_VISIT(child->pattern);
        Py_VISIT(child->converters);
        Py_VISIT(child->search);
        Py_VISIT(child->fullmatch);
        for (int k = 0; k < child->count; k++)
            Py_VISIT(child->parts[k].converter);
    }
    return 0;
}

static void clear_child(q5py_url_child *self) {
    Py_CLEAR(self->item);
    Py_CLEAR(self->pattern);
    Py_CLEAR(self->converters);
    Py_CLEAR(self->search);
    Py_CLEAR(self->fullmatch);
    for (int i = 0; i < self->count; i++) {
        Py_CLEAR(self->parts[i].text);
        Py_CLEAR(self->parts[i].converter);
    }
    self->count = 0;
    PyMem_Free(self->parts);
    self->parts = NULL;
}

/* No tp_clear: the cycle through the resolver is broken at its dict, and matching in another frame
 * may rely on the children. */
static void urls_dealloc(PyObject *op) {
    q5py_urls *self = (q5py_urls *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    for (Py_ssize_t i = 0; i < Py_SIZE(self); i++)
        clear_child(&self->children[i]);
    Py_CLEAR(self->list);
    Py_CLEAR(self->items);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyType_Slot urls_slots[] = {
    {Py_tp_doc, "The compiled patterns of a URLResolver."},
    {Py_tp_dealloc, urls_dealloc},
    {Py_tp_traverse, urls_traverse},
    {0, NULL},
};

static PyType_Spec urls_spec = {
    .name = "quintette._quintette.Urls",
    .basicsize = sizeof(q5py_urls),
    .itemsize = sizeof(q5py_url_child),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = urls_slots,
};

int q5py_init_django_urls(PyObject *module, q5py_state *state) {
    state->django_urls_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &urls_spec, NULL);
    return state->django_urls_type ? 0 : -1;
}
