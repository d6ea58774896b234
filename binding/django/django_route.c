/* A path() against a path: what RoutePattern.match does. Only routes come here in which every
 * parameter ends where its characters end (quintette/server/urls.py), so that one pass over the
 * path decides as the regular expression would. */
#include "django_urls.h"

#define UUID_LEN 36
#define SMALL_DIGITS 18 /* fit into 64 bits */

typedef struct text {
    PyObject *object;
    int kind;
    const void *data;
    Py_ssize_t len;
} text;

typedef struct span {
    Py_ssize_t start, end;
} span;

static text text_of(PyObject *object) {
    return (text){object, PyUnicode_KIND(object), PyUnicode_DATA(object),
                  PyUnicode_GET_LENGTH(object)};
}

static Py_UCS4 at(const text *self, Py_ssize_t i) {
    return PyUnicode_READ(self->kind, self->data, i);
}

static bool has_literal(const text *path, Py_ssize_t start, PyObject *literal) {
    text want = text_of(literal);
    if (path->len - start < want.len) return false;
    if (path->kind == want.kind)
        return memcmp((const char *)path->data + start * path->kind, want.data,
                      (size_t)(want.len * want.kind)) == 0;
    for (Py_ssize_t i = 0; i < want.len; i++)
        if (at(path, start + i) != at(&want, i)) return false;
    return true;
}

static bool is_digit(Py_UCS4 c) {
    return c >= '0' && c <= '9';
}

static bool is_hex(Py_UCS4 c) {
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

static bool is_of(q5py_url_converter converter, Py_UCS4 c) {
    switch (converter) {
    case Q5PY_CONVERTER_INT:
        return is_digit(c);
    case Q5PY_CONVERTER_STR:
        return c != '/';
    case Q5PY_CONVERTER_SLUG:
        return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
               c == '_';
    default: /* "." of regular expressions */
        return c != '\n';
    }
}

static Py_ssize_t uuid_end(const text *path, Py_ssize_t start) {
    if (path->len - start < UUID_LEN) return start;
    for (Py_ssize_t i = 0; i < UUID_LEN; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        Py_UCS4 c = at(path, start + i);
        if (dash ? c != '-' : !is_hex(c)) return start;
    }
    return start + UUID_LEN;
}

/* Where the parameter that begins at `start` ends; `start` itself: it does not match. */
static Py_ssize_t parameter_end(const text *path, Py_ssize_t start, q5py_url_converter converter) {
    if (converter == Q5PY_CONVERTER_UUID) return uuid_end(path, start);
    Py_ssize_t end = start;
    while (end < path->len && is_of(converter, at(path, end)))
        end++;
    return end;
}

/* The spans of the parameters; where the match ends, or -1. */
static Py_ssize_t scan(const q5py_url_child *child, const text *path, Py_ssize_t start,
                       span *spans) {
    for (int i = 0; i < child->count; i++) {
        const q5py_route_part *part = &child->parts[i];
        Py_ssize_t end;
        if (part->converter) {
            end = parameter_end(path, start, part->number);
            if (end == start) return -1;
            spans[i] = (span){start, end};
        } else {
            if (!has_literal(path, start, part->text)) return -1;
            end = start + PyUnicode_GET_LENGTH(part->text);
        }
        start = end;
    }
    return child->is_endpoint && start != path->len ? -1 : start;
}

/* ---- values ---------------------------------------------------------------------------------- */

static PyObject *small_int(const text *path, span where) {
    long long value = 0;
    for (Py_ssize_t i = where.start; i < where.end; i++)
        value = value * 10 + (at(path, i) - '0');
    return PyLong_FromLongLong(value);
}

static PyObject *value_of(q5py_state *state, const text *path, span where,
                          q5py_url_converter converter) {
    if (converter == Q5PY_CONVERTER_INT && where.end - where.start <= SMALL_DIGITS)
        return small_int(path, where);
    PyObject *part = PyUnicode_Substring(path->object, where.start, where.end);
    if (!part || (converter != Q5PY_CONVERTER_INT && converter != Q5PY_CONVERTER_UUID)) return part;
    PyObject *value = converter == Q5PY_CONVERTER_INT
                          ? PyLong_FromUnicodeObject(part, 10)
                          : PyObject_CallOneArg(state->django->uuid_class, part);
    Py_DECREF(part);
    return value;
}

/* Has Django put another converter under that name? reverse() does, where an outer pattern has a
 * parameter of the same name. */
static int is_converter(const q5py_url_child *child, const q5py_route_part *part) {
    if (!PyDict_CheckExact(child->converters)) return 0;
    PyObject *now = PyDict_GetItemWithError(child->converters, part->text);
    return now || !PyErr_Occurred() ? now == part->converter : -1;
}

static int put(q5py_state *state, const q5py_url_child *child, const q5py_route_part *part,
               const text *path, span where, PyObject *kwargs) {
    int same = is_converter(child, part);
    if (same <= 0) return same ? -1 : 2;
    PyObject *value = value_of(state, path, where, part->number);
    if (!value && PyErr_ExceptionMatches(PyExc_ValueError)) { /* too many digits, for one */
        PyErr_Clear();
        return 0;
    }
    int rc = value ? PyDict_SetItem(kwargs, part->text, value) : -1;
    Py_XDECREF(value);
    return rc ? -1 : 1;
}

int q5py_route_match(q5py_state *state, const q5py_url_child *child, PyObject *path,
                     Py_ssize_t start, Py_ssize_t *ret_end, PyObject **ret_kwargs) {
    span spans[Q5PY_ROUTE_PARTS_MAX];
    text whole = text_of(path);
    *ret_kwargs = NULL;
    Py_ssize_t end = scan(child, &whole, start, spans);
    if (end < 0) return 0;
    int rc = 1;
    PyObject *kwargs = NULL;
    for (int i = 0; i < child->count && rc == 1; i++) {
        if (!child->parts[i].converter) continue;
        if (!kwargs && !(kwargs = PyDict_New())) rc = -1;
        if (kwargs) rc = put(state, child, &child->parts[i], &whole, spans[i], kwargs);
    }
    if (rc != 1) Py_CLEAR(kwargs);
    *ret_end = end;
    *ret_kwargs = kwargs;
    return rc;
}
