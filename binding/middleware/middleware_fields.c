/* The fields of a response that Django's middleware looks at and changes: the dict behind
 * response.headers, lower-case name -> (name, value). */
#include "middleware.h"

#include "convert.h"

/* The methods through which the middleware would look at the fields are Django's. */
static bool has_plain_headers(q5py_state *state, PyObject *response) {
    q5py_django *django = state->django;
    PyTypeObject *type = Py_TYPE(response);
    return PyObject_TypeCheck(response, (PyTypeObject *)django->response_class) &&
           q5py_is_own(type, state->str_get, django->response_get) &&
           q5py_is_own(type, state->str_has_header, django->response_has_header) &&
           q5py_is_own(type, state->str_setdefault, django->response_setdefault);
}

int q5py_response_store(q5py_state *state, PyObject *response, PyObject **store) {
    if (*store) return 1;
    if (!has_plain_headers(state, response)) return 0;
    PyObject *headers = PyObject_GetAttr(response, state->str_headers);
    if (!headers) return -1;
    PyObject *found = NULL;
    int rc = 0;
    if ((PyObject *)Py_TYPE(headers) == state->django->response_headers_class)
        rc = q5py_find_attribute(headers, state->str__store, &found);
    Py_DECREF(headers);
    if (rc > 0 && PyDict_CheckExact(found)) {
        *store = found;
        return 1;
    }
    Py_XDECREF(found);
    return rc < 0 ? -1 : 0;
}

int q5py_store_get(PyObject *store, PyObject *key, q5_slice *ret) {
    PyObject *pair = PyDict_GetItemWithError(store, key);
    if (!pair) return PyErr_Occurred() ? -1 : 0;
    PyObject *value =
        PyTuple_Check(pair) && PyTuple_GET_SIZE(pair) == 2 ? PyTuple_GET_ITEM(pair, 1) : NULL;
    return value && q5py_ascii(value, ret) ? 1 : 2;
}

int q5py_store_put(PyObject *store, PyObject *key, PyObject *name, PyObject *value) {
    PyObject *pair = value ? PyTuple_Pack(2, name, value) : NULL;
    int rc = pair ? PyDict_SetItem(store, key, pair) : -1;
    Py_XDECREF(pair);
    return rc;
}

bool q5py_ascii(PyObject *text, q5_slice *ret) {
    if (!PyUnicode_CheckExact(text) || !PyUnicode_IS_ASCII(text)) return false;
    *ret =
        q5_slice_make((const char *)PyUnicode_1BYTE_DATA(text), (size_t)PyUnicode_GET_LENGTH(text));
    return true;
}

/* ---- Vary ------------------------------------------------------------------------------------ */

static bool is_name_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

/* Names as Django itself joins them, "Cookie, Accept-Language": 1: `name` is one of them; 0: it is
 * not; -1: the value has another form. */
static int list_has(q5_slice value, q5_slice name) {
    bool has = false;
    for (size_t at = 0;;) {
        size_t start = at;
        while (at < value.len && is_name_char(value.base[at]))
            at++;
        if (at == start) return -1;
        has = has || q5_slice_ieq(q5_slice_make(value.base + start, at - start), name);
        if (at == value.len) return has;
        if (value.len - at < 2 || memcmp(value.base + at, ", ", 2) != 0) return -1;
        at += 2;
    }
}

int q5py_patch_vary(q5py_state *state, PyObject *store, PyObject *name) {
    q5_slice value, added;
    int has = q5py_store_get(store, state->vary_lower, &value);
    if (has < 0) return -1;
    if (has == 0) return q5py_store_put(store, state->vary_lower, state->vary, name);
    int listed = has == 1 && q5py_ascii(name, &added) ? list_has(value, added) : -1;
    if (listed < 0) return Q5PY_STEP_PYTHON;
    PyObject *text = PyUnicode_FromStringAndSize(value.base, (Py_ssize_t)value.len);
    if (text && !listed) Py_SETREF(text, PyUnicode_FromFormat("%U, %U", text, name));
    int rc = q5py_store_put(store, state->vary_lower, state->vary, text);
    Py_XDECREF(text);
    return rc;
}

/* ---- names ----------------------------------------------------------------------------------- */

int q5py_init_middleware_fields(PyObject *module, q5py_state *state) {
    (void)module;
    const struct {
        PyObject **ret;
        const char *text;
    } names[] = {
        {&state->accept_encoding, "Accept-Encoding"},
        {&state->accept_language, "Accept-Language"},
        {&state->cache_control_lower, "cache-control"},
        {&state->content_encoding, "Content-Encoding"},
        {&state->content_encoding_lower, "content-encoding"},
        {&state->content_language_lower, "content-language"},
        {&state->content_length, "Content-Length"},
        {&state->content_length_lower, "content-length"},
        {&state->cookie, "Cookie"},
        {&state->etag, "ETag"},
        {&state->etag_lower, "etag"},
        {&state->frame_options_lower, "x-frame-options"},
        {&state->gzip, "gzip"},
        {&state->last_modified_lower, "last-modified"},
        {&state->vary, "Vary"},
        {&state->vary_lower, "vary"},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(names); i++)
        if (!(*names[i].ret = PyUnicode_InternFromString(names[i].text))) return -1;
    state->kw_usedforsecurity = Py_BuildValue("(s)", "usedforsecurity");
    return state->kw_usedforsecurity ? 0 : -1;
}
