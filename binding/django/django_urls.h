/* URLconfs in C. django_urls.c: one URLResolver's patterns, compiled; django_route.c: a path()
 * against a path; django_resolve.c: from the root to a view; django_match.c: what was found, which
 * becomes Django's ResolverMatch when somebody asks for it. */
#ifndef Q5PY_DJANGO_URLS_H
#define Q5PY_DJANGO_URLS_H

#include "django.h"

#define Q5PY_URLS_DEPTH_MAX 16
#define Q5PY_ROUTE_PARTS_MAX 32

/* How a pattern is matched; quintette/server/urls.py has the same numbers. */
typedef enum q5py_url_how {
    Q5PY_URL_ROUTE,   /* path(): here */
    Q5PY_URL_REGEX,   /* re_path(): by its regular expression, without Django's Python */
    Q5PY_URL_MATCH,   /* by its match() */
    Q5PY_URL_RESOLVE, /* by the resolve() of the URLPattern or URLResolver */
} q5py_url_how;

typedef enum q5py_url_converter {
    Q5PY_CONVERTER_INT,
    Q5PY_CONVERTER_STR,
    Q5PY_CONVERTER_SLUG,
    Q5PY_CONVERTER_PATH,
    Q5PY_CONVERTER_UUID,
} q5py_url_converter;

typedef struct q5py_route_part {
    PyObject *text;      /* owned: a literal, or the parameter's name */
    PyObject *converter; /* owned; NULL: a literal */
    q5py_url_converter number;
} q5py_route_part;

typedef struct q5py_url_child {
    q5py_url_how how;
    PyObject *item, *pattern; /* owned: a URLPattern or URLResolver, and its pattern */
    bool is_resolver;         /* exactly a URLResolver */
    bool is_pattern;          /* an instance of URLPattern */
    bool is_endpoint;         /* must match the whole path */
    q5py_route_part *parts;   /* of a route */
    int count;
    PyObject *converters;         /* owned: the pattern's dict, which Django may change */
    PyObject *search, *fullmatch; /* owned: of a regular expression; one of them NULL */
} q5py_url_child;

/* _quintette.Urls: what the resolver's url_patterns were when it was made. Read-only. */
typedef struct q5py_urls {
    PyObject_VAR_HEAD;
    PyObject *list;  /* owned: url_patterns itself */
    PyObject *items; /* owned: a tuple of them */
    bool is_root;    /* the resolver's own pattern is "^/" */
    q5py_url_child children[];
} q5py_urls;

/* One URLResolver on the way to a view. All owned. */
typedef struct q5py_url_step {
    PyObject *resolver;
    q5py_urls *urls;
    int index;               /* of the child that matched */
    PyObject *args, *kwargs; /* what the resolver's own pattern captured; NULL: nothing */
    PyObject *failed;        /* NULL, or a list: see resolver_match() in quintette/server/urls.py */
    PyObject *route;         /* NULL: str(pattern) of the child is constant */
} q5py_url_step;

/* _quintette.UrlMatch */
typedef struct q5py_url_match {
    PyObject_VAR_HEAD;
    PyObject *func, *args, *kwargs; /* owned */
    PyObject *captured;             /* owned: what the last pattern captured */
    PyObject *inner;                /* owned or NULL: a ResolverMatch, of Q5PY_URL_RESOLVE */
    q5py_url_step steps[];
} q5py_url_match;

/* ---- django_urls.c */
int q5py_init_django_urls(PyObject *module, q5py_state *state);
/* The resolver's patterns as they are now: new reference, or NULL with an exception. */
q5py_urls *q5py_urls_of(q5py_state *state, PyObject *resolver);

/* ---- django_route.c */
/* Does the route match the path from `at` on? 1: it did up to *ret_end, and *ret_kwargs is a new
 * dict, NULL where it has no parameters; 0: no; -1 with an exception; 2: ask its match(). */
int q5py_route_match(q5py_state *state, const q5py_url_child *child, PyObject *path, Py_ssize_t at,
                     Py_ssize_t *ret_end, PyObject **ret_kwargs);

/* ---- django_resolve.c */
/* resolver.resolve(path). 1: *ret is a new UrlMatch; 0: nothing matches, or Django must see to it
 * itself; -1 with an exception. */
int q5py_urls_resolve(q5py_state *state, PyObject *resolver, PyObject *path, PyObject **ret);

/* ---- django_match.c */
int q5py_init_django_match(PyObject *module, q5py_state *state);
/* With these steps, and everything else to be filled in; NULL with an exception. */
q5py_url_match *q5py_url_match_new(q5py_state *state, const q5py_url_step *steps, int count);
void q5py_url_step_clear(q5py_url_step *step);
/* The ResolverMatch: new reference, or NULL with an exception. */
PyObject *q5py_url_match_build(q5py_state *state, PyObject *match);

#endif
