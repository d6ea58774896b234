/* Query strings, forms, headers and cookies: sources that are lists of names and values. */
#include "plan_bind.h"

#include "convert.h"
#include "q5/cookie.h"
#include "q5/urlencoded.h"

/* ---- what a pair belongs to ------------------------------------------------------------------ */

static PyObject *str_of(const q5py_param *param, q5_slice text) {
    if (param->source == Q5PY_IN_HEADER) return q5py_latin1(text);
    return q5py_str(text);
}

/* Not UTF-8: a fault of the request. */
static int refuse_encoding(q5py_bind *bind, const q5py_param *param) {
    if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) return -1;
    PyErr_Clear();
    return q5py_bind_fault(bind, param, Q5PY_FAULT_ENCODING, NULL, NULL, 0);
}

static int append(q5py_found *found, PyObject *object) {
    if (!found->objects && !(found->objects = PyList_New(0))) {
        Py_DECREF(object);
        return -1;
    }
    int status = PyList_Append(found->objects, object);
    Py_DECREF(object);
    found->seen = true;
    return status;
}

static int append_text(q5py_bind *bind, const q5py_param *param, q5py_found *found,
                       q5_slice value) {
    PyObject *text = str_of(param, value);
    if (text) return append(found, text);
    found->seen = true;
    return refuse_encoding(bind, param);
}

/* Appends to the list under a key of a group, which may be new. Takes over value. */
static int group_append(PyObject *dict, PyObject *key, PyObject *value) {
    PyObject *list = PyDict_GetItemWithError(dict, key); /* borrowed: nobody else has the dict */
    int status = -1;
    if (list) {
        status = PyList_Append(list, value);
    } else if (!PyErr_Occurred() && (list = PyList_New(0))) {
        if (PyList_Append(list, value) == 0) status = PyDict_SetItem(dict, key, list);
        Py_DECREF(list);
    }
    return status;
}

static int group_put(q5py_found *found, const q5py_param *param, PyObject *key, PyObject *value) {
    PyObject *many = PyDict_GetItemWithError(param->fields, key);
    if (!many) {
        if (PyErr_Occurred()) return -1;
        if (!(param->flags & Q5PY_GROUP_OPEN)) return 0;
    }
    if (!found->objects && !(found->objects = PyDict_New())) return -1;
    found->seen = true;
    if (many == Py_True) return group_append(found->objects, key, value);
    return PyDict_SetItem(found->objects, key, value);
}

static int group_text(q5py_bind *bind, const q5py_param *param, q5py_found *found, q5_slice name,
                      q5_slice value) {
    PyObject *key = str_of(param, name);
    PyObject *text = key ? str_of(param, value) : NULL;
    int status = text ? group_put(found, param, key, text) : refuse_encoding(bind, param);
    Py_XDECREF(key);
    Py_XDECREF(text);
    return status;
}

/* ---- pairs ----------------------------------------------------------------------------------- */

int q5py_bind_pair(q5py_bind *bind, uint16_t from, uint16_t to, q5_slice name, q5_slice value) {
    for (uint16_t i = from; i < to; i++) {
        const q5py_param *param = &bind->data->params[i];
        q5py_found *found = &bind->found[i];
        int status = 0;
        if (param->arity == Q5PY_GROUP) {
            status = group_text(bind, param, found, name, value);
        } else if (q5_slice_eq(param->key, name)) {
            if ((param->flags & Q5PY_EMPTY_UNSET) && value.len == 0) continue;
            if (param->arity == Q5PY_MANY) {
                status = append_text(bind, param, found, value);
            } else {
                found->text = value;
                found->seen = true;
            }
        }
        if (status < 0) return -1;
    }
    return 0;
}

int q5py_bind_pair_object(q5py_bind *bind, uint16_t from, uint16_t to, q5_slice name,
                          PyObject *object) {
    for (uint16_t i = from; i < to; i++) {
        const q5py_param *param = &bind->data->params[i];
        if (!q5_slice_eq(param->key, name)) continue;
        q5py_found *found = &bind->found[i];
        if (param->arity == Q5PY_MANY) {
            if (append(found, Py_NewRef(object)) < 0) return -1;
        } else {
            Py_XSETREF(found->objects, Py_NewRef(object));
            found->seen = true;
        }
    }
    return 0;
}

int q5py_bind_found(q5py_bind *bind, uint16_t from, uint16_t to) {
    for (uint16_t i = from; i < to; i++) {
        const q5py_param *param = &bind->data->params[i];
        q5py_found *found = &bind->found[i];
        int status = 0;
        if (param->arity == Q5PY_GROUP) {
            /* Also without any pair: the group's type knows what its fields' defaults are. */
            if (!found->objects && param->fallback) continue;
            PyObject *dict = found->objects ? found->objects : PyDict_New();
            found->objects = NULL;
            if (!dict) return -1;
            found->seen = true;
            status = q5py_bind_object(bind, param, dict);
        } else if (found->objects) {
            PyObject *object = found->objects;
            found->objects = NULL;
            status = q5py_bind_object(bind, param, object);
        } else if (found->seen && param->arity == Q5PY_ONE) {
            status = q5py_bind_text(bind, param, found->text);
        }
        if (status < 0) return -1;
    }
    return 0;
}

/* ---- query strings and forms ----------------------------------------------------------------- */

static int raise_scan_status(int status) {
    if (status == Q5_ENOMEM)
        PyErr_NoMemory();
    else
        q5py_raise_status(status);
    return -1;
}

static int extract_urlencoded(q5py_bind *bind, q5py_source source, q5_slice text, q5_arena *arena) {
    uint16_t from = bind->data->first[source], to = bind->data->first[source + 1];
    q5_urlencoded it;
    q5_slice name, value;
    int status;
    q5_urlencoded_init(&it, text, 0);
    while ((status = q5_urlencoded_next_decoded(&it, arena, &name, &value)) == Q5_OK)
        if (q5py_bind_pair(bind, from, to, name, value) < 0) return -1;
    if (status == Q5_ETOO_MANY) {
        if (q5py_bind_fault_source(bind, source, Q5PY_FAULT_TOO_MANY, status) < 0) return -1;
    } else if (status != Q5_DONE) {
        return raise_scan_status(status);
    }
    return q5py_bind_found(bind, from, to);
}

int q5py_extract_query(q5py_bind *bind) {
    return extract_urlencoded(bind, Q5PY_IN_QUERY, bind->x->head.query, &bind->x->arena);
}

/* The arena of an exchange is bounded for heads, a form may be as large as a body. */
int q5py_extract_urlencoded(q5py_bind *bind, q5_slice body) {
    return extract_urlencoded(bind, Q5PY_IN_FORM, body, &bind->scratch);
}

/* ---- headers --------------------------------------------------------------------------------- */

/* Fields of one name joined by commas (RFC 9110, 5.3), as WSGI and ASGI hosts hand them over. */
static int join_fields(q5py_bind *bind, q5_slice name, const q5_field *field, q5_slice *ret_value) {
    const q5_head *head = &bind->x->head;
    uint16_t next = (uint16_t)(field - head->fields + 1);
    const q5_field *more = q5_head_find(head, name, next);
    *ret_value = field->value;
    if (Q5_LIKELY(!more)) return 0;
    size_t len = field->value.len;
    for (const q5_field *f = more; f;
         f = q5_head_find(head, name, (uint16_t)(f - head->fields + 1)))
        len += 1 + f->value.len;
    char *joined = q5_arena_alloc(&bind->scratch, len);
    if (!joined) {
        PyErr_NoMemory();
        return -1;
    }
    size_t at = field->value.len;
    memcpy(joined, field->value.base, at);
    for (const q5_field *f = more; f;
         f = q5_head_find(head, name, (uint16_t)(f - head->fields + 1))) {
        joined[at++] = ',';
        memcpy(joined + at, f->value.base, f->value.len);
        at += f->value.len;
    }
    *ret_value = q5_slice_make(joined, len);
    return 0;
}

static q5_slice trim(q5_slice text) {
    while (text.len && (*text.base == ' ' || *text.base == '\t'))
        text.base++, text.len--;
    while (text.len && (text.base[text.len - 1] == ' ' || text.base[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* The members of a list field (RFC 9110, 5.6.1); empty ones are skipped. */
static int header_members(q5py_bind *bind, const q5py_param *param, q5py_found *found,
                          q5_slice value) {
    while (value.len) {
        const char *comma = memchr(value.base, ',', value.len);
        size_t len = comma ? (size_t)(comma - value.base) : value.len;
        q5_slice member = trim(q5_slice_make(value.base, len));
        if (member.len && append_text(bind, param, found, member) < 0) return -1;
        len += comma ? 1 : 0;
        value = q5_slice_make(value.base + len, value.len - len);
    }
    return 0;
}

/* Names of a group that were not sent are found missing by its type. */
static int header_group(q5py_bind *bind, const q5py_param *param, q5py_found *found) {
    PyObject *key, *many;
    Py_ssize_t at = 0;
    if (!(found->objects = PyDict_New())) return -1;
    while (PyDict_Next(param->fields, &at, &key, &many)) {
        Py_ssize_t len;
        const char *name = PyUnicode_AsUTF8AndSize(key, &len);
        if (!name) return -1;
        q5_slice slice = q5_slice_make(name, (size_t)len), value;
        const q5_field *field = q5_head_find(&bind->x->head, slice, 0);
        if (!field) continue;
        found->seen = true;
        if (join_fields(bind, slice, field, &value) < 0) return -1;
        PyObject *object;
        if (many == Py_True) {
            q5py_found members = {0};
            if (header_members(bind, param, &members, value) < 0) {
                Py_XDECREF(members.objects);
                return -1;
            }
            object = members.objects ? members.objects : PyList_New(0);
        } else {
            object = str_of(param, value);
        }
        if (!object || PyDict_SetItem(found->objects, key, object) < 0) {
            Py_XDECREF(object);
            return -1;
        }
        Py_DECREF(object);
    }
    if (!found->seen) Py_CLEAR(found->objects);
    return 0;
}

int q5py_extract_headers(q5py_bind *bind) {
    uint16_t from = bind->data->first[Q5PY_IN_HEADER], to = bind->data->first[Q5PY_IN_HEADER + 1];
    for (uint16_t i = from; i < to; i++) {
        const q5py_param *param = &bind->data->params[i];
        q5py_found *found = &bind->found[i];
        if (param->arity == Q5PY_GROUP) {
            if (header_group(bind, param, found) < 0) return -1;
            continue;
        }
        const q5_field *field = q5_head_find(&bind->x->head, param->key, 0);
        if (!field) continue;
        if (join_fields(bind, param->key, field, &found->text) < 0) return -1;
        if (param->arity == Q5PY_ONE)
            found->seen = true;
        else if (header_members(bind, param, found, found->text) < 0)
            return -1;
    }
    return q5py_bind_found(bind, from, to);
}

/* ---- cookies --------------------------------------------------------------------------------- */

static int extract_cookie_field(q5py_bind *bind, uint16_t from, uint16_t to, q5_slice field) {
    q5_cookies it;
    q5_slice name, value;
    int status;
    q5_cookies_init(&it, field, 0);
    while ((status = q5_cookies_next(&it, &name, &value)) == Q5_OK) {
        if (q5_cookie_unquote(value, &bind->x->arena, &value) != Q5_OK)
            return raise_scan_status(Q5_ENOMEM);
        if (q5py_bind_pair(bind, from, to, name, value) < 0) return -1;
    }
    if (status == Q5_ETOO_MANY)
        return q5py_bind_fault_source(bind, Q5PY_IN_COOKIE, Q5PY_FAULT_TOO_MANY, status);
    return 0;
}

int q5py_extract_cookies(q5py_bind *bind) {
    uint16_t from = bind->data->first[Q5PY_IN_COOKIE], to = bind->data->first[Q5PY_IN_COOKIE + 1];
    const q5_head *head = &bind->x->head;
    const q5_field *field = q5_head_known(head, Q5_FIELD_COOKIE);
    while (field) {
        if (extract_cookie_field(bind, from, to, field->value) < 0) return -1;
        field = q5_head_find(head, Q5_LIT("cookie"), (uint16_t)(field - head->fields + 1));
    }
    return q5py_bind_found(bind, from, to);
}
