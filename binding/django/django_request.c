/* BaseHandler.resolve_request: from a request to the view and what to call it with. */
#include "django_urls.h"

#include "convert.h"
#include "request.h"

/* ---- path_info ------------------------------------------------------------------------------- */

/* What Request.path_info gives when it is first asked and SCRIPT_NAME is empty: new reference, or
 * NULL without an exception where that attribute is to be asked itself, or with one. */
static PyObject *plain_path(q5py_state *state, PyObject *request, PyObject *dict) {
    PyObject *path = PyDict_GetItemWithError(dict, state->str_path_info);
    if (path || PyErr_Occurred()) return Py_XNewRef(path);
    int has = PyDict_Contains(dict, state->str_script_name);
    PyObject *name = has == 0 ? q5py_setting(state, state->str_FORCE_SCRIPT_NAME) : NULL;
    int truth = name ? PyObject_IsTrue(name) : 1;
    Py_XDECREF(name);
    if (truth) return NULL;
    path = q5py_request_path(request);
    if (path && PyDict_SetItem(dict, state->str_path_info, path)) Py_CLEAR(path);
    return path;
}

PyObject *q5py_path_info(q5py_state *state, PyObject *request) {
    PyTypeObject *type = Py_TYPE(request);
    if (PyType_IsSubtype(type, state->request_type) &&
        q5py_is_own(type, state->str_path_info, state->django->path_info)) {
        PyObject *dict = PyObject_GenericGetDict(request, NULL);
        PyObject *path = dict ? plain_path(state, request, dict) : NULL;
        Py_XDECREF(dict);
        if (path || PyErr_Occurred()) return path;
    }
    return PyObject_GetAttr(request, state->str_path_info);
}

/* ---- the resolver ---------------------------------------------------------------------------- */

static PyObject *default_resolver(q5py_state *state) {
    q5py_django *django = state->django;
    if (!django->cached_resolver) return PyObject_CallNoArgs(django->get_resolver);
    PyObject *urlconf = q5py_setting(state, state->str_ROOT_URLCONF);
    PyObject *resolver = urlconf ? PyObject_CallOneArg(django->cached_resolver, urlconf) : NULL;
    Py_XDECREF(urlconf);
    return resolver;
}

static PyObject *resolver_for(q5py_state *state, PyObject *request) {
    PyObject *urlconf = NULL;
    int found = q5py_find_attribute(request, state->str_urlconf, &urlconf);
    if (found == 0) return default_resolver(state);
    PyObject *resolver = NULL;
    if (found > 0 && q5py_set_urlconf(state, urlconf) == 0)
        resolver = PyObject_CallOneArg(state->django->get_resolver, urlconf);
    Py_XDECREF(urlconf);
    return resolver;
}

/* ---- the match ------------------------------------------------------------------------------- */

static int remember(q5py_state *state, PyObject *request, PyObject *match) {
    if (PyType_IsSubtype(Py_TYPE(request), state->request_type)) {
        q5py_request_set_match(request, match);
        return 0;
    }
    PyObject *built = q5py_url_match_build(state, match);
    int rc = built ? PyObject_SetAttr(request, state->str_resolver_match, built) : -1;
    Py_XDECREF(built);
    return rc;
}

static int take_match(q5py_state *state, PyObject *request, PyObject *match, q5py_target *ret) {
    if (remember(state, request, match)) return -1;
    q5py_url_match *self = (q5py_url_match *)match;
    *ret = (q5py_target){Py_NewRef(self->func), Py_NewRef(self->args), Py_NewRef(self->kwargs)};
    return 0;
}

/* Django's match, or its Resolver404, which says what was tried. */
static int resolve_in_python(q5py_state *state, PyObject *resolver, PyObject *path,
                             PyObject *request, q5py_target *ret) {
    PyObject *match = PyObject_CallMethodOneArg(resolver, state->str_resolve, path);
    int rc = match ? PyObject_SetAttr(request, state->str_resolver_match, match) : -1;
    if (rc == 0) rc = q5py_take_target(match, ret);
    Py_XDECREF(match);
    return rc;
}

int q5py_take_target(PyObject *match, q5py_target *ret) {
    PyObject *triple = PySequence_Tuple(match);
    if (triple && PyTuple_GET_SIZE(triple) != 3) {
        PyErr_SetString(PyExc_ValueError, "a match is a callback, args and kwargs");
        Py_CLEAR(triple);
    }
    if (!triple) return -1;
    *ret = (q5py_target){Py_NewRef(PyTuple_GET_ITEM(triple, 0)),
                         Py_NewRef(PyTuple_GET_ITEM(triple, 1)),
                         Py_NewRef(PyTuple_GET_ITEM(triple, 2))};
    Py_DECREF(triple);
    return 0;
}

int q5py_resolve_request(q5py_state *state, PyObject *request, q5py_target *ret) {
    PyObject *resolver = resolver_for(state, request), *match = NULL;
    PyObject *path = resolver ? q5py_path_info(state, request) : NULL;
    int rc = path ? q5py_urls_resolve(state, resolver, path, &match) : -1;
    if (rc > 0)
        rc = take_match(state, request, match, ret);
    else if (rc == 0)
        rc = resolve_in_python(state, resolver, path, request, ret);
    Py_XDECREF(match);
    Py_XDECREF(path);
    Py_XDECREF(resolver);
    return rc;
}
