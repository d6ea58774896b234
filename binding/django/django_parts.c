/* The objects of Django that the request path uses: handed over by quintette.server.parts. */
#include "django.h"

static int take(q5py_django *django, PyObject *parts) {
    PyObject *part;
#define XX(name)                                                  \
    part = PyDict_GetItemString(parts, #name);                    \
    if (!part) return PyErr_SetString(PyExc_KeyError, #name), -1; \
    django->name = part == Py_None ? NULL : Py_NewRef(part);
    Q5PY_DJANGO_PARTS(XX)
#undef XX
    return 0;
}

PyObject *q5py_set_django(PyObject *module, PyObject *parts) {
    q5py_state *state = q5py_state_of(module);
    if (!PyDict_Check(parts)) return PyErr_SetString(PyExc_TypeError, "a dict is needed"), NULL;
    q5py_django *django = PyMem_Calloc(1, sizeof(*django));
    if (!django) return PyErr_NoMemory();
    django->started.count = django->finished.count = -1;
    if (take(django, parts)) {
        q5py_django_free(django);
        return NULL;
    }
    /* A request that is on its way in another thread may use the old parts. */
    if (state->django) {
        q5py_django_free(django);
        Py_RETURN_NONE;
    }
    state->django = django;
    Py_RETURN_NONE;
}

static int visit_receivers(q5py_receivers *self, visitproc visit, void *arg) {
    for (int i = 0; i < self->count; i++)
        Py_VISIT(self->entries[i]);
    return 0;
}

int q5py_django_traverse(q5py_django *django, visitproc visit, void *arg) {
#define XX(name) Py_VISIT(django->name);
    Q5PY_DJANGO_PARTS(XX)
#undef XX
    Py_VISIT(django->languages);
    int rc = visit_receivers(&django->started, visit, arg);
    return rc ? rc : visit_receivers(&django->finished, visit, arg);
}

static void clear_receivers(q5py_receivers *self) {
    for (int i = 0; i < self->count; i++)
        Py_CLEAR(self->entries[i]);
    self->count = -1;
}

void q5py_django_free(q5py_django *django) {
    if (!django) return;
#define XX(name) Py_CLEAR(django->name);
    Q5PY_DJANGO_PARTS(XX)
#undef XX
    Py_CLEAR(django->languages);
    clear_receivers(&django->started);
    clear_receivers(&django->finished);
    PyMem_Free(django);
}

/* A LazySettings keeps what was asked of it in its dict, and empties that when settings change; its
 * __getattribute__, which is Python, adds nothing but a microsecond. */
PyObject *q5py_setting(q5py_state *state, PyObject *name) {
    PyObject *settings = state->django->settings;
    PyObject *dict = PyObject_GenericGetDict(settings, NULL);
    PyObject *value = dict ? Py_XNewRef(PyDict_GetItemWithError(dict, name)) : NULL;
    Py_XDECREF(dict);
    return value || PyErr_Occurred() ? value : PyObject_GetAttr(settings, name);
}
