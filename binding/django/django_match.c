/* _quintette.UrlMatch: what a path has been resolved to. request.resolver_match is made of it when
 * somebody asks. */
#include "django_urls.h"

void q5py_url_step_clear(q5py_url_step *step) {
    Py_CLEAR(step->resolver);
    Py_CLEAR(step->urls);
    Py_CLEAR(step->args);
    Py_CLEAR(step->kwargs);
    Py_CLEAR(step->failed);
    Py_CLEAR(step->route);
}

q5py_url_match *q5py_url_match_new(q5py_state *state, const q5py_url_step *steps, int count) {
    PyTypeObject *type = state->django_match_type;
    q5py_url_match *self = (q5py_url_match *)type->tp_alloc(type, count);
    if (!self) return NULL;
    for (int i = 0; i < count; i++) {
        q5py_url_step *step = &self->steps[i];
        step->resolver = Py_NewRef(steps[i].resolver);
        step->urls = (q5py_urls *)Py_NewRef((PyObject *)steps[i].urls);
        step->index = steps[i].index;
        step->failed = Py_XNewRef(steps[i].failed);
        step->route = Py_XNewRef(steps[i].route);
    }
    return self;
}

static PyObject *or_none(PyObject *object) {
    return object ? object : Py_None;
}

static PyObject *steps_of(q5py_url_match *self) {
    PyObject *list = PyList_New(Py_SIZE(self));
    for (Py_ssize_t i = 0; list && i < Py_SIZE(self); i++) {
        q5py_url_step *step = &self->steps[i];
        PyObject *tuple = Py_BuildValue("(OOiOO)", step->resolver, step->urls->items, step->index,
                                        or_none(step->failed), or_none(step->route));
        if (tuple)
            PyList_SET_ITEM(list, i, tuple);
        else
            Py_CLEAR(list);
    }
    return list;
}

PyObject *q5py_url_match_build(q5py_state *state, PyObject *op) {
    q5py_url_match *self = (q5py_url_match *)op;
    PyObject *steps = steps_of(self);
    PyObject *captured = self->captured ? Py_NewRef(self->captured) : PyDict_New();
    PyObject *match = NULL;
    if (steps && captured)
        match =
            PyObject_CallFunctionObjArgs(state->django->resolver_match, self->func, self->args,
                                         self->kwargs, captured, steps, or_none(self->inner), NULL);
    Py_XDECREF(steps);
    Py_XDECREF(captured);
    return match;
}

/* ---- the type -------------------------------------------------------------------------------- */

static int match_traverse(PyObject *op, visitproc visit, void *arg) {
    q5py_url_match *self = (q5py_url_match *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->func);
    Py_VISIT(self->args);
    Py_VISIT(self->kwargs);
    Py_VISIT(self->captured);
    Py_VISIT(self->inner);
    for (Py_ssize_t i = 0; i < Py_SIZE(self); i++) {
        Py_VISIT(self->steps[i].resolver);
        Py_VISIT((PyObject *)self->steps[i].urls);
        Py_VISIT(self->steps[i].failed);
    }
    return 0;
}

static int match_clear(PyObject *op) {
    q5py_url_match *self = (q5py_url_match *)op;
    Py_CLEAR(self->func);
    Py_CLEAR(self->args);
    Py_CLEAR(self->kwargs);
    Py_CLEAR(self->captured);
    Py_CLEAR(self->inner);
    for (Py_ssize_t i = 0; i < Py_SIZE(self); i++)
        q5py_url_step_clear(&self->steps[i]);
    return 0;
}

static void match_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    match_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyType_Slot match_slots[] = {
    {Py_tp_doc, "A resolved path."},
    {Py_tp_dealloc, match_dealloc},
    {Py_tp_traverse, match_traverse},
    {Py_tp_clear, match_clear},
    {0, NULL},
};

static PyType_Spec match_spec = {
    .name = "quintette._quintette.UrlMatch",
    .basicsize = sizeof(q5py_url_match),
    .itemsize = sizeof(q5py_url_step),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = match_slots,
};

int q5py_init_django_match(PyObject *module, q5py_state *state) {
    state->django_match_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &match_spec, NULL);
    return state->django_match_type ? 0 : -1;
}
