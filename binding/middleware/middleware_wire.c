/* What is known of a request without Python: as long as nobody has asked for META or COOKIES, whom
 * they would be made for may have them from the head. */
#include "middleware.h"

#include "q5/cookie.h"
#include "q5/host.h"

#define HOSTS_MAX 32

bool q5py_is_wire_request(q5py_state *state, PyObject *request) {
    return Py_TYPE(request) == (PyTypeObject *)state->request_class && state->django &&
           PyObject_TypeCheck(request, state->request_type) && ((q5py_request *)request)->x;
}

int q5py_has_own(PyObject *request, PyObject *name) {
    PyObject *dict = PyObject_GenericGetDict(request, NULL);
    int has = dict ? PyDict_Contains(dict, name) : -1;
    Py_XDECREF(dict);
    return has;
}

int q5py_setting_truth(q5py_state *state, PyObject *name) {
    PyObject *value = q5py_setting(state, name);
    int truth = value ? PyObject_IsTrue(value) : -1;
    Py_XDECREF(value);
    return truth;
}

/* ---- fields ---------------------------------------------------------------------------------- */

static int field_of_meta(PyObject *meta, PyObject *key, q5_slice *ret) {
    PyObject *value = PyDict_GetItemWithError(meta, key);
    if (!value) return PyErr_Occurred() ? -1 : 0;
    return q5py_ascii(value, ret) ? 1 : 2;
}

static bool is_ascii(q5_slice text) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.base[i] >= 0x80) return false;
    return true;
}

static int field_of_head(const q5_head *head, q5_field_id id, q5_slice *ret) {
    int found = 0;
    if (head->known[id] < 0) return 0;
    for (uint16_t i = (uint16_t)head->known[id]; i < head->field_count; i++) {
        if (head->fields[i].id != id) continue;
        if (found || !is_ascii(head->fields[i].value)) return 2;
        *ret = head->fields[i].value;
        found = 1;
    }
    return found;
}

int q5py_wire_field(q5py_state *state, PyObject *request, q5_field_id id, PyObject *key,
                    q5_slice *ret) {
    PyObject *dict = PyObject_GenericGetDict(request, NULL);
    if (!dict) return -1;
    PyObject *meta = PyDict_GetItemWithError(dict, state->str_META);
    int rc = -1;
    if (meta)
        rc = PyDict_CheckExact(meta) ? field_of_meta(meta, key, ret) : 2;
    else if (!PyErr_Occurred())
        rc = field_of_head(&((q5py_request *)request)->x->head, id, ret);
    Py_DECREF(dict);
    return rc;
}

/* ---- cookies --------------------------------------------------------------------------------- */

/* Names and values that are the same however they are decoded. */
static bool is_plain(q5_slice text) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.base[i] >= 0x80 || text.base[i] == '"') return false;
    return true;
}

static int find_cookie(const q5_field *field, q5_slice name, q5_slice *ret) {
    if (!is_plain(field->value)) return 2;
    q5_cookies it;
    q5_slice found, value;
    int has = 0;
    q5_cookies_init(&it, field->value, 0);
    while (q5_cookies_next(&it, &found, &value) == Q5_OK) {
        if (!q5_slice_eq(found, name)) continue;
        *ret = value; /* the last one wins, as in a dict */
        has = 1;
    }
    return has;
}

int q5py_wire_cookie(q5py_state *state, PyObject *request, PyObject *name, q5_slice *ret) {
    int asked = q5py_has_own(request, state->str_COOKIES);
    if (asked == 0) asked = q5py_has_own(request, state->str_META);
    if (asked) return asked < 0 ? -1 : 2;
    Py_ssize_t len;
    const char *text = PyUnicode_Check(name) ? PyUnicode_AsUTF8AndSize(name, &len) : NULL;
    if (!text) return PyErr_Occurred() ? -1 : 2;
    const q5_head *head = &((q5py_request *)request)->x->head;
    const q5_field *only = NULL;
    for (uint16_t i = 0; i < head->field_count; i++) {
        if (head->fields[i].id != Q5_FIELD_COOKIE) continue;
        if (only) return 2;
        only = &head->fields[i];
    }
    return only ? find_cookie(only, q5_slice_make(text, (size_t)len), ret) : 0;
}

/* ---- the host -------------------------------------------------------------------------------- */

/* The pattern as a slice, where it is in lower case already. */
static bool pattern_of(PyObject *item, q5_slice *ret) {
    Py_ssize_t len;
    const char *text = PyUnicode_Check(item) ? PyUnicode_AsUTF8AndSize(item, &len) : NULL;
    if (!text) {
        PyErr_Clear();
        return false;
    }
    for (Py_ssize_t i = 0; i < len; i++)
        if ((text[i] >= 'A' && text[i] <= 'Z') || (unsigned char)text[i] >= 0x80) return false;
    *ret = q5_slice_make(text, (size_t)len);
    return true;
}

static bool host_matches(q5_slice host, PyObject *allowed) {
    q5_slice patterns[HOSTS_MAX];
    if (!PyList_CheckExact(allowed) && !PyTuple_CheckExact(allowed)) return false;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(allowed);
    if (count > HOSTS_MAX) return false;
    for (Py_ssize_t i = 0; i < count; i++)
        if (!pattern_of(PySequence_Fast_GET_ITEM(allowed, i), &patterns[i])) return false;
    return q5_host_allowed(host, patterns, (size_t)count);
}

/* "*" allows what is no host at all, but get_host() still looks at its shape. */
static bool is_simple_host(q5_slice host) {
    bool port = false;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.base[i];
        if (c == ':' && !port && i > 0)
            port = true;
        else if (port ? c < '0' || c > '9'
                      : !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '.' || c == '-'))
            return false;
    }
    return host.len > 0 && host.base[host.len - 1] != ':';
}

int q5py_wire_host_allowed(q5py_state *state, PyObject *request) {
    q5py_django *django = state->django;
    if (!q5py_is_own(Py_TYPE(request), state->str_get_host, django->get_host)) return 0;
    int asked = q5py_has_own(request, state->str_META);
    if (asked == 0) asked = q5py_setting_truth(state, state->str_USE_X_FORWARDED_HOST);
    if (asked) return asked < 0 ? -1 : 0;
    q5_slice host = ((q5py_request *)request)->x->head.host;
    if (!is_simple_host(host)) return 0;
    PyObject *allowed = q5py_setting(state, state->str_ALLOWED_HOSTS);
    if (!allowed) return -1;
    bool matches = host_matches(host, allowed);
    Py_DECREF(allowed);
    return matches;
}
