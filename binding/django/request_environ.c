/* What a request has as Python's dicts: the environment by WSGI's names, and its cookies. */
#include "request.h"

#include "convert.h"
#include "q5/cookie.h"
#include "q5/percent.h"

bool q5py_request_local(q5_exchange *x, char host[46], uint16_t *ret_port) {
    return x->conn && q5_server_local(x->conn, host, ret_port);
}

static int put_steal(PyObject *dict, const char *key, PyObject *value) {
    int rc = value ? PyDict_SetItemString(dict, key, value) : -1;
    Py_XDECREF(value);
    return rc;
}

static PyObject *environ_key(const q5_field *field) {
    if (field->id == Q5_FIELD_CONTENT_TYPE) return PyUnicode_FromString("CONTENT_TYPE");
    if (field->id == Q5_FIELD_CONTENT_LENGTH) return PyUnicode_FromString("CONTENT_LENGTH");
    PyObject *key = PyUnicode_New((Py_ssize_t)field->name.len + 5, 127);
    if (!key) return NULL;
    Py_UCS1 *out = PyUnicode_1BYTE_DATA(key);
    for (size_t i = 0; i < 5; i++)
        out[i] = (Py_UCS1) "HTTP_"[i];
    for (size_t i = 0; i < field->name.len; i++) {
        char c = field->name.base[i];
        out[5 + i] = (Py_UCS1)(c == '-' ? '_' : (c >= 'a' && c <= 'z') ? c - 32 : c);
    }
    return key;
}

/* Repeated fields are joined: cookies by "; ", others by "," (RFC 9110, 5.3). All at once, so that
 * a thousand of one name cost no more than a thousand of different ones (CVE-2025-14550). */
static PyObject *joined_value(const q5_head *head, uint16_t at, bool *taken) {
    const q5_field *field = &head->fields[at];
    const char *glue = field->id == Q5_FIELD_COOKIE ? "; " : ",";
    PyObject *out = q5py_latin1(field->value), *parts = NULL;
    for (uint16_t i = at + 1; out && i < head->field_count; i++) {
        if (taken[i] || head->fields[i].id != field->id ||
            !q5_slice_ieq(head->fields[i].name, field->name))
            continue;
        taken[i] = true;
        if (!parts && (parts = PyList_New(0)) && PyList_Append(parts, out)) Py_CLEAR(parts);
        PyObject *more = q5py_latin1(head->fields[i].value);
        if (!parts || !more || PyList_Append(parts, more)) Py_CLEAR(out);
        Py_XDECREF(more);
    }
    if (out && parts) {
        PyObject *separator = PyUnicode_FromString(glue);
        Py_SETREF(out, separator ? PyUnicode_Join(separator, parts) : NULL);
        Py_XDECREF(separator);
    }
    Py_XDECREF(parts);
    return out;
}

static int put_fields(PyObject *dict, const q5_head *head) {
    bool taken[Q5_FIELDS_MAX] = {false};
    for (uint16_t i = 0; i < head->field_count; i++) {
        if (taken[i]) continue;
        PyObject *key = environ_key(&head->fields[i]);
        /* An absolute-form target overrides the Host field (RFC 9112, 3.2.2). */
        bool is_host = head->fields[i].id == Q5_FIELD_HOST;
        PyObject *value = !key      ? NULL
                          : is_host ? q5py_latin1(head->host)
                                    : joined_value(head, i, taken);
        int rc = value ? PyDict_SetItem(dict, key, value) : -1;
        Py_XDECREF(key);
        Py_XDECREF(value);
        if (rc) return -1;
    }
    return 0;
}

/* PATH_INFO as WSGI has it: the decoded bytes, read as latin-1. */
static PyObject *path_info(q5_slice raw) {
    char *room = PyMem_Malloc(raw.len ? raw.len : 1);
    size_t len = 0;
    if (!room) return PyErr_NoMemory();
    q5_percent_decode(raw, Q5_PERCENT_LENIENT, room, &len);
    PyObject *out = PyUnicode_DecodeLatin1(room, (Py_ssize_t)len, NULL);
    PyMem_Free(room);
    return out;
}

static int put_addresses(PyObject *dict, q5py_request *self) {
    char host[46] = "", port_text[8] = "80";
    uint16_t port;
    if (q5py_request_local(self->x, host, &port))
        PyOS_snprintf(port_text, sizeof(port_text), "%u", (unsigned)port);
    if (put_steal(dict, "SERVER_NAME", PyUnicode_FromString(host[0] ? host : "localhost")) ||
        put_steal(dict, "SERVER_PORT", PyUnicode_FromString(port_text)) ||
        put_steal(dict, "REMOTE_ADDR", PyUnicode_FromString(self->peer_host)))
        return -1;
    if (!self->peer_host[0]) return 0;
    PyOS_snprintf(port_text, sizeof(port_text), "%u", (unsigned)self->peer_port);
    return put_steal(dict, "REMOTE_PORT", PyUnicode_FromString(port_text));
}

PyObject *q5py_request_environ(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_request *self = (q5py_request *)op;
    q5_exchange *x = q5py_request_exchange(op);
    PyObject *dict = x ? PyDict_New() : NULL;
    if (!dict) return NULL;
    const q5_head *head = &x->head;
    if (put_steal(dict, "REQUEST_METHOD", q5py_latin1(head->method)) ||
        put_steal(dict, "SCRIPT_NAME", PyUnicode_FromString("")) ||
        put_steal(dict, "PATH_INFO", path_info(head->path)) ||
        put_steal(dict, "QUERY_STRING", q5py_latin1(head->query)) ||
        put_steal(dict, "SERVER_PROTOCOL",
                  PyUnicode_FromString(head->version_minor ? "HTTP/1.1" : "HTTP/1.0")) ||
        put_addresses(dict, self) || put_fields(dict, head))
        Py_CLEAR(dict);
    return dict;
}

static int put_cookie(PyObject *dict, q5_exchange *x, q5_slice name, q5_slice value) {
    q5_slice plain;
    if (q5_cookie_unquote(value, &x->arena, &plain)) {
        PyErr_NoMemory();
        return -1;
    }
    /* Unquoted text may hold code points above 255, written as UTF-8; the rest is latin-1. */
    bool same = plain.base == value.base;
    PyObject *key = q5py_latin1(name);
    PyObject *text = same ? q5py_latin1(plain)
                          : PyUnicode_DecodeUTF8(plain.base, (Py_ssize_t)plain.len, "replace");
    int rc = key && text ? PyDict_SetItem(dict, key, text) : -1;
    Py_XDECREF(key);
    Py_XDECREF(text);
    return rc;
}

PyObject *q5py_request_cookies(PyObject *op, PyObject *unused) {
    (void)unused;
    q5_exchange *x = q5py_request_exchange(op);
    PyObject *dict = x ? PyDict_New() : NULL;
    for (uint16_t i = 0; dict && i < x->head.field_count; i++) {
        if (x->head.fields[i].id != Q5_FIELD_COOKIE) continue;
        q5_cookies it;
        q5_slice name, value;
        q5_cookies_init(&it, x->head.fields[i].value, 0);
        while (dict && q5_cookies_next(&it, &name, &value) == Q5_OK)
            if (put_cookie(dict, x, name, value)) Py_CLEAR(dict);
    }
    return dict;
}
