/* URLResolver.resolve in C: in Django's order, the first pattern that matches wins. */
#include "django_urls.h"

#include "convert.h"

/* What a step of the search says, beside -1 with an exception. */
enum { NO = 0, YES = 1, GIVE_UP = 2 /* it is Django's to resolve this path */ };

typedef struct search {
    q5py_state *state;
    q5py_url_step steps[Q5PY_URLS_DEPTH_MAX]; /* the resolvers that were entered */
    int depth;
    PyObject *args, *captured; /* owned: of the last pattern; NULL: nothing */
    PyObject *inner;           /* owned: the match of a last pattern that resolved by itself */
} search;

/* The part of a path that is still to be matched. */
typedef struct rest {
    PyObject *path; /* borrowed */
    Py_ssize_t at;
    PyObject *text; /* owned: path[at:], once it was needed */
} rest;

/* What a pattern has matched. */
typedef struct hit {
    PyObject *path;          /* owned: what follows is in there */
    Py_ssize_t at;           /* from here on */
    PyObject *args, *kwargs; /* owned; NULL: nothing was captured */
} hit;

static void hit_clear(hit *self) {
    Py_CLEAR(self->path);
    Py_CLEAR(self->args);
    Py_CLEAR(self->kwargs);
}

/* Borrowed, or NULL with an exception. */
static PyObject *text_of(rest *self) {
    if (!self->text)
        self->text =
            self->at ? PyUnicode_Substring(self->path, self->at, PyUnicode_GET_LENGTH(self->path))
                     : Py_NewRef(self->path);
    return self->text;
}

/* ---- what failed ----------------------------------------------------------------------------- */

/* Notes that the child at `index` was entered in vain: its own children (NULL: it resolved by
 * itself) and what is known of them. Takes `more` over, which may be NULL. */
static int note(q5py_url_step *step, int index, PyObject *children, PyObject *more) {
    PyObject *event = Py_BuildValue("(iON)", index, children ? children : Py_None,
                                    more ? more : Py_NewRef(Py_None));
    if (event && !step->failed) step->failed = PyList_New(0);
    int rc = event && step->failed ? PyList_Append(step->failed, event) : -1;
    Py_XDECREF(event);
    return rc;
}

/* error.args[0].get("tried"): new reference, perhaps to None. */
static PyObject *tried_of(PyObject *error) {
    PyObject *args = PyObject_GetAttrString(error, "args");
    PyObject *info = args ? PySequence_GetItem(args, 0) : NULL;
    PyObject *tried = info ? PyObject_CallMethod(info, "get", "s", "tried") : NULL;
    Py_XDECREF(args);
    Py_XDECREF(info);
    return tried;
}

/* After a call into Django or the project: NO for a Resolver404, which the next pattern follows. */
static int failed(search *self, q5py_url_step *step, int index) {
    if (!PyErr_ExceptionMatches(self->state->django->resolver404)) return -1;
    PyObject *error = q5py_exception_take();
    PyObject *tried = tried_of(error);
    Py_DECREF(error);
    if (!tried) return -1;
    if (tried != Py_None) return note(step, index, NULL, tried) ? -1 : NO;
    Py_DECREF(tried);
    return NO;
}

/* ---- one pattern ----------------------------------------------------------------------------- */

/* RegexPattern.match: named groups, or else the others. */
static int take_groups(q5py_state *state, PyObject *match, hit *ret) {
    PyObject *named = PyObject_CallMethodNoArgs(match, state->str_groupdict);
    if (!named) return -1;
    if (PyDict_GET_SIZE(named) == 0) {
        Py_DECREF(named);
        ret->args = PyObject_CallMethodNoArgs(match, state->str_groups);
        return ret->args ? YES : -1;
    }
    PyObject *key, *value;
    Py_ssize_t at = 0;
    ret->kwargs = PyDict_New();
    while (ret->kwargs && PyDict_Next(named, &at, &key, &value))
        if (value != Py_None && PyDict_SetItem(ret->kwargs, key, value)) Py_CLEAR(ret->kwargs);
    Py_DECREF(named);
    return ret->kwargs ? YES : -1;
}

static int match_regex(q5py_state *state, const q5py_url_child *child, rest *left, hit *ret) {
    PyObject *text = text_of(left);
    PyObject *match =
        text ? PyObject_CallOneArg(child->search ? child->search : child->fullmatch, text) : NULL;
    if (!match || match == Py_None) {
        Py_XDECREF(match);
        return match ? NO : -1;
    }
    PyObject *end = PyObject_CallMethodNoArgs(match, state->str_end);
    ret->at = end ? PyLong_AsSsize_t(end) : -1;
    ret->path = Py_NewRef(text);
    int rc = ret->at < 0 && PyErr_Occurred() ? -1 : take_groups(state, match, ret);
    Py_XDECREF(end);
    Py_DECREF(match);
    return rc;
}

static int take_match(PyObject *match, hit *ret) {
    if (!PyTuple_CheckExact(match) || PyTuple_GET_SIZE(match) != 3) return GIVE_UP;
    PyObject *path = PyTuple_GET_ITEM(match, 0), *args = PyTuple_GET_ITEM(match, 1);
    PyObject *kwargs = PyTuple_GET_ITEM(match, 2);
    if (!PyUnicode_CheckExact(path) || !PyTuple_CheckExact(args) || !PyDict_CheckExact(kwargs))
        return GIVE_UP;
    *ret = (hit){Py_NewRef(path), 0, Py_NewRef(args), Py_NewRef(kwargs)};
    return YES;
}

/* By the pattern's own match(); its text may be another one each time. */
static int match_in_python(search *self, q5py_url_step *step, const q5py_url_child *child,
                           rest *left, hit *ret) {
    PyObject *text = text_of(left);
    PyObject *match =
        text ? PyObject_CallMethodOneArg(child->pattern, self->state->str_match, text) : NULL;
    int truth = match ? PyObject_IsTrue(match) : -1;
    int rc = truth > 0 ? take_match(match, ret) : truth;
    Py_XDECREF(match);
    if (rc != YES) return rc;
    step->route = PyObject_Str(child->pattern);
    return step->route ? YES : -1;
}

static int match_pattern(search *self, q5py_url_step *step, const q5py_url_child *child, rest *left,
                         hit *ret) {
    if (child->how == Q5PY_URL_REGEX) return match_regex(self->state, child, left, ret);
    if (child->how == Q5PY_URL_ROUTE) {
        int rc = q5py_route_match(self->state, child, left->path, left->at, &ret->at, &ret->kwargs);
        if (rc == YES) ret->path = Py_NewRef(left->path);
        if (rc != 2) return rc;
    }
    return match_in_python(self, step, child, left, ret);
}

/* A pattern or resolver of the project's own class. */
static int resolve_in_python(search *self, q5py_url_step *step, const q5py_url_child *child,
                             rest *left) {
    PyObject *text = text_of(left);
    PyObject *match =
        text ? PyObject_CallMethodOneArg(child->item, self->state->str_resolve, text) : NULL;
    int truth = match ? PyObject_IsTrue(match) : -1;
    if (truth <= 0) {
        Py_XDECREF(match);
        return truth;
    }
    self->inner = match;
    if (child->is_pattern) return YES;
    step->route = PyObject_Str(child->pattern);
    return step->route ? YES : -1;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static int enter(search *self, PyObject *resolver, hit *from, q5py_url_step *outer, int index);

static int try_child(search *self, q5py_url_step *step, int index, rest *left) {
    const q5py_url_child *child = &step->urls->children[index];
    hit found = {NULL, 0, NULL, NULL};
    int rc;
    if (child->how == Q5PY_URL_RESOLVE) {
        rc = resolve_in_python(self, step, child, left);
        return rc < 0 ? failed(self, step, index) : rc;
    }
    rc = match_pattern(self, step, child, left, &found);
    if (rc == YES && child->is_resolver) {
        rc = enter(self, child->item, &found, step, index);
    } else if (rc == YES) {
        self->args = found.args;
        self->captured = found.kwargs;
        found.args = found.kwargs = NULL;
    } else if (rc < 0) {
        rc = failed(self, step, index);
    }
    hit_clear(&found);
    if (rc != YES) Py_CLEAR(step->route);
    return rc;
}

/* Within a resolver whose own pattern has matched. NO: the outer step, if any, is told. */
static int enter(search *self, PyObject *resolver, hit *from, q5py_url_step *outer, int index) {
    if (self->depth == Q5PY_URLS_DEPTH_MAX) return GIVE_UP;
    q5py_url_step *step = &self->steps[self->depth];
    *step = (q5py_url_step){.urls = q5py_urls_of(self->state, resolver)};
    if (!step->urls) return -1;
    self->depth++;
    step->resolver = Py_NewRef(resolver);
    step->args = Py_XNewRef(from->args);
    step->kwargs = Py_XNewRef(from->kwargs);
    rest left = {from->path, from->at, NULL};
    int rc = outer || step->urls->is_root ? NO : GIVE_UP;
    for (int i = 0; rc == NO && i < Py_SIZE(step->urls); i++) {
        step->index = i;
        rc = try_child(self, step, i, &left);
    }
    Py_XDECREF(left.text);
    if (rc != NO) return rc;
    self->depth--;
    if (outer && note(outer, index, step->urls->items,
                      step->failed ? Py_NewRef(step->failed) : PyList_New(0)))
        rc = -1;
    q5py_url_step_clear(step);
    return rc;
}

/* ---- what the view is called with ------------------------------------------------------------ */

static int update(PyObject *kwargs, PyObject *more) {
    if (PyDict_CheckExact(more) && PyDict_GET_SIZE(more) == 0) return 0;
    return PyDict_Update(kwargs, more);
}

/* {**captured, **more.name} */
static int add_defaults(PyObject *kwargs, PyObject *owner, PyObject *name) {
    PyObject *more = PyObject_GetAttr(owner, name);
    int rc = more ? update(kwargs, more) : -1;
    Py_XDECREF(more);
    return rc;
}

static int take_leaf(search *self, q5py_url_match *match) {
    q5py_state *state = self->state;
    q5py_url_step *last = &self->steps[self->depth - 1];
    PyObject *item = last->urls->children[last->index].item, *source = self->captured;
    if (self->inner) {
        match->args = PyObject_GetAttr(self->inner, state->str_args);
        source = PyObject_GetAttr(self->inner, state->str_kwargs);
        if (!match->args || !source) return Py_XDECREF(source), -1;
        item = self->inner;
    } else {
        match->args = self->args ? Py_NewRef(self->args) : PyTuple_New(0);
    }
    match->func = PyObject_GetAttr(item, self->inner ? state->str_func : state->str_callback);
    match->kwargs = PyDict_New();
    int rc = match->func && match->args && match->kwargs ? 0 : -1;
    if (rc == 0 && source) rc = update(match->kwargs, source);
    if (self->inner) return Py_DECREF(source), rc;
    return rc ? rc : add_defaults(match->kwargs, item, state->str_default_args);
}

/* What one resolver on the way adds: its own values first, positional ones only where there are no
 * named ones at all. */
static int merge(search *self, q5py_url_match *match, const q5py_url_step *step) {
    PyObject *kwargs = step->kwargs ? PyDict_Copy(step->kwargs) : PyDict_New();
    int rc = kwargs ? add_defaults(kwargs, step->resolver, self->state->str_default_kwargs) : -1;
    if (rc == 0 && PyDict_GET_SIZE(kwargs)) {
        rc = PyDict_Update(kwargs, match->kwargs);
        Py_SETREF(match->kwargs, kwargs);
        return rc;
    }
    Py_XDECREF(kwargs);
    if (rc || PyDict_GET_SIZE(match->kwargs) || !step->args) return rc;
    PyObject *args = PySequence_Concat(step->args, match->args);
    Py_XSETREF(match->args, args);
    return args ? 0 : -1;
}

static PyObject *conclude(search *self) {
    q5py_url_match *match = q5py_url_match_new(self->state, self->steps, self->depth);
    if (!match) return NULL;
    match->captured = Py_XNewRef(self->captured);
    match->inner = Py_XNewRef(self->inner);
    int rc = take_leaf(self, match);
    for (int i = self->depth - 1; rc == 0 && i >= 0; i--)
        rc = merge(self, match, &self->steps[i]);
    if (rc) Py_CLEAR(match);
    return (PyObject *)match;
}

static void search_clear(search *self) {
    while (self->depth)
        q5py_url_step_clear(&self->steps[--self->depth]);
    Py_CLEAR(self->args);
    Py_CLEAR(self->captured);
    Py_CLEAR(self->inner);
}

/* Django's classes resolve as they came; no agent has put its own functions there. */
static bool is_djangos(q5py_state *state, PyObject *resolver) {
    q5py_django *django = state->django;
    PyTypeObject *type = (PyTypeObject *)django->url_resolver_class;
    return Py_IS_TYPE(resolver, type) &&
           q5py_is_own(type, state->str_resolve, django->url_resolver_resolve) &&
           q5py_is_own((PyTypeObject *)django->url_pattern_class, state->str_resolve,
                       django->url_pattern_resolve) &&
           q5py_is_own((PyTypeObject *)django->route_class, state->str_match,
                       django->route_match) &&
           q5py_is_own((PyTypeObject *)django->regex_class, state->str_match, django->regex_match);
}

int q5py_urls_resolve(q5py_state *state, PyObject *resolver, PyObject *path, PyObject **ret) {
    if (!is_djangos(state, resolver) || !PyUnicode_CheckExact(path) ||
        PyUnicode_GET_LENGTH(path) == 0 || PyUnicode_READ_CHAR(path, 0) != '/')
        return NO;
    search self = {.state = state};
    hit root = {path, 1, NULL, NULL};
    int rc = enter(&self, resolver, &root, NULL, 0);
    if (rc == YES) {
        *ret = conclude(&self);
        rc = *ret ? YES : -1;
    }
    search_clear(&self);
    return rc == GIVE_UP ? NO : rc;
}
