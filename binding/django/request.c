/* _quintette.Request. Nothing is converted before it is asked for. */
#include "request.h"

#include <fcntl.h>
#include <structmember.h>
#include <unistd.h>

#include "django_urls.h"
#include "traffic/client.h"
#include "q5/cookie.h"
#include "q5/percent.h"
#include "q5/spool.h"
#include "server/server.h"

static q5_exchange *exchange_of(PyObject *op) {
    q5_exchange *x = ((q5py_request *)op)->x;
    if (!x) PyErr_SetString(PyExc_RuntimeError, "this request was not made by the server");
    return x;
}

PyObject *q5py_request_new(q5py_state *state, q5_exchange *x) {
    PyTypeObject *type = (PyTypeObject *)state->request_class;
    q5py_request *self = (q5py_request *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->x = q5_exchange_ref(x);
    q5py_flight *flight = x->user;
    if (flight) self->server = Py_NewRef((PyObject *)flight->server);
    q5py_client_text(x, self->peer_host, &self->peer_port);
    return (PyObject *)self;
}

/* ---- text ------------------------------------------------------------------------------------ */

static PyObject *latin1(q5_slice text) {
    return PyUnicode_DecodeLatin1(text.base, (Py_ssize_t)text.len, NULL);
}

static PyObject *bytes(q5_slice text) {
    return PyBytes_FromStringAndSize(text.base, (Py_ssize_t)text.len);
}

/* Percent-decoded as far as it can be, then UTF-8; bytes that are none come back percent-encoded,
 * as Django's repercent_broken_unicode has them. */
static PyObject *decode_path(q5_slice raw) {
    PyObject *out = NULL;
    char *room = PyMem_Malloc(raw.len ? raw.len : 1);
    if (!room) return PyErr_NoMemory();
    size_t len = 0;
    q5_percent_decode(raw, Q5_PERCENT_LENIENT, room, &len);
    out = PyUnicode_DecodeUTF8(room, (Py_ssize_t)len, NULL);
    if (!out && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        PyErr_Clear();
        PyObject *module = PyImport_ImportModule("django.utils.encoding");
        PyObject *fixed = module ? PyObject_CallMethod(module, "repercent_broken_unicode", "y#",
                                                       room, (Py_ssize_t)len)
                                 : NULL;
        if (fixed) out = PyUnicode_FromEncodedObject(fixed, "utf-8", NULL);
        Py_XDECREF(fixed);
        Py_XDECREF(module);
    }
    PyMem_Free(room);
    return out;
}

/* ---- attributes ------------------------------------------------------------------------------ */

static PyObject *get_method(PyObject *op, void *unused) {
    (void)unused;
    q5_exchange *x = exchange_of(op);
    return x ? latin1(x->head.method) : NULL;
}

static PyObject *get_raw_path(PyObject *op, void *unused) {
    (void)unused;
    q5_exchange *x = exchange_of(op);
    return x ? bytes(x->head.path) : NULL;
}

static PyObject *get_path(PyObject *op, void *unused) {
    (void)unused;
    q5_exchange *x = exchange_of(op);
    return x ? decode_path(x->head.path) : NULL;
}

PyObject *q5py_request_path(PyObject *request) {
    q5_exchange *x = exchange_of(request);
    if (!x) return NULL;
    return x->head.path.len ? decode_path(x->head.path) : PyUnicode_FromString("/");
}

static PyObject *get_request_id(PyObject *op, void *unused) {
    (void)unused;
    q5_exchange *x = exchange_of(op);
    return x ? latin1(x->request_id) : NULL;
}

static PyObject *get_query_string(PyObject *op, void *unused) {
    (void)unused;
    q5_exchange *x = exchange_of(op);
    return x ? bytes(x->head.query) : NULL;
}

static PyObject *get_http_version(PyObject *op, void *unused) {
    (void)unused;
    q5_exchange *x = exchange_of(op);
    return x ? PyUnicode_FromString(x->head.version_minor ? "1.1" : "1.0") : NULL;
}

static PyObject *get_scheme(PyObject *op, void *unused) {
    (void)unused;
    const q5_exchange *x = ((q5py_request *)op)->x;
    bool is_https = x && x->client && x->client->scheme == Q5_SCHEME_HTTPS;
    return PyUnicode_FromString(is_https ? "https" : "http");
}

static PyObject *get_is_doubted(PyObject *op, void *unused) {
    (void)unused;
    const q5_exchange *x = ((q5py_request *)op)->x;
    return PyBool_FromLong(x && x->client && x->client->doubted);
}

static PyObject *get_fields(PyObject *op, void *unused) {
    (void)unused;
    q5_exchange *x = exchange_of(op);
    PyObject *list = x ? PyList_New(x->head.field_count) : NULL;
    for (uint16_t i = 0; list && i < x->head.field_count; i++) {
        const q5_field *field = &x->head.fields[i];
        PyObject *pair = Py_BuildValue("(y#y#)", field->name.base, (Py_ssize_t)field->name.len,
                                       field->value.base, (Py_ssize_t)field->value.len);
        if (!pair) Py_CLEAR(list);
        if (list) PyList_SET_ITEM(list, i, pair);
    }
    return list;
}

static PyObject *get_client(PyObject *op, void *unused) {
    (void)unused;
    q5py_request *self = (q5py_request *)op;
    if (!self->peer_host[0]) Py_RETURN_NONE;
    return Py_BuildValue("(si)", self->peer_host, (int)self->peer_port);
}

static bool local_address(q5_exchange *x, char host[46], uint16_t *ret_port) {
    return x->conn && q5_server_local(x->conn, host, ret_port);
}

static PyObject *get_server(PyObject *op, void *unused) {
    (void)unused;
    q5_exchange *x = exchange_of(op);
    char host[46];
    uint16_t port;
    if (!x) return NULL;
    if (!local_address(x, host, &port)) Py_RETURN_NONE;
    return Py_BuildValue("(si)", host, (int)port);
}

static PyObject *get_body_len(PyObject *op, void *unused) {
    (void)unused;
    q5_exchange *x = exchange_of(op);
    return x ? PyLong_FromUnsignedLongLong(x->body_len) : NULL;
}

static PyObject *get_is_gone(PyObject *op, void *unused) {
    (void)unused;
    q5_exchange *x = exchange_of(op);
    return x ? PyBool_FromLong(!x->is_detached && !x->conn) : NULL;
}

void q5py_request_set_match(PyObject *request, PyObject *match) {
    Py_XSETREF(((q5py_request *)request)->resolver_match, Py_NewRef(match));
}

void q5py_request_promise(q5py_state *state, PyObject *request, unsigned lazy,
                          PyObject *session_store) {
    if (!PyObject_TypeCheck(request, state->request_type)) return;
    q5py_request *self = (q5py_request *)request;
    self->lazy |= lazy;
    Py_XSETREF(self->session_store, Py_XNewRef(session_store));
}

static PyObject *get_resolver_match(PyObject *op, void *unused) {
    (void)unused;
    q5py_request *self = (q5py_request *)op;
    if (!self->resolver_match) Py_RETURN_NONE;
    q5py_state *state = q5py_state_of_type(Py_TYPE(op));
    if (state && Py_IS_TYPE(self->resolver_match, state->django_match_type)) {
        PyObject *match = Py_NewRef(self->resolver_match);
        PyObject *built = q5py_url_match_build(state, match);
        Py_DECREF(match);
        if (!built) return NULL;
        Py_XSETREF(self->resolver_match, built);
    }
    return Py_NewRef(self->resolver_match);
}

static int set_resolver_match(PyObject *op, PyObject *value, void *unused) {
    (void)unused;
    Py_XSETREF(((q5py_request *)op)->resolver_match, Py_XNewRef(value));
    return 0;
}

/* ---- methods --------------------------------------------------------------------------------- */

static PyObject *request_field(PyObject *op, PyObject *name) {
    Py_ssize_t len;
    q5_exchange *x = exchange_of(op);
    const char *text = x ? PyUnicode_AsUTF8AndSize(name, &len) : NULL;
    if (!text) return NULL;
    const q5_field *field = q5_head_find(&x->head, q5_slice_make(text, (size_t)len), 0);
    if (!field) Py_RETURN_NONE;
    return latin1(field->value);
}

static PyObject *read_spool(q5_exchange *x) {
    PyObject *out = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)x->body_len);
    size_t got = 0;
    if (!out) return NULL;
    int status = q5_spool_read(x->spool, 0, PyBytes_AS_STRING(out), x->body_len, &got);
    if (status || got != x->body_len) {
        Py_DECREF(out);
        PyErr_SetString(PyExc_OSError, "the spooled request body could not be read");
        return NULL;
    }
    return out;
}

static PyObject *request_body_bytes(PyObject *op, PyObject *unused) {
    (void)unused;
    q5_exchange *x = exchange_of(op);
    if (!x) return NULL;
    return x->spool ? read_spool(x) : bytes(x->body);
}

/* Opened anew where that is possible, so that each descriptor has an offset of its own. */
static int reopen(int fd) {
    char path[64];
    PyOS_snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int copy = open(path, O_RDONLY | O_CLOEXEC);
    return copy >= 0 ? copy : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static PyObject *request_body_fd(PyObject *op, PyObject *unused) {
    (void)unused;
    q5_exchange *x = exchange_of(op);
    if (!x) return NULL;
    if (!x->spool) return PyLong_FromLong(-1);
    int fd = reopen(((q5_spool *)x->spool)->fd);
    if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0) return PyErr_SetFromErrno(PyExc_OSError);
    return PyLong_FromLong(fd);
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
    PyObject *out = latin1(field->value), *parts = NULL;
    for (uint16_t i = at + 1; out && i < head->field_count; i++) {
        if (taken[i] || head->fields[i].id != field->id ||
            !q5_slice_ieq(head->fields[i].name, field->name))
            continue;
        taken[i] = true;
        if (!parts && (parts = PyList_New(0)) && PyList_Append(parts, out)) Py_CLEAR(parts);
        PyObject *more = latin1(head->fields[i].value);
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
        PyObject *value = !key ? NULL : is_host ? latin1(head->host) : joined_value(head, i, taken);
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
    if (local_address(self->x, host, &port))
        PyOS_snprintf(port_text, sizeof(port_text), "%u", (unsigned)port);
    if (put_steal(dict, "SERVER_NAME", PyUnicode_FromString(host[0] ? host : "localhost")) ||
        put_steal(dict, "SERVER_PORT", PyUnicode_FromString(port_text)) ||
        put_steal(dict, "REMOTE_ADDR", PyUnicode_FromString(self->peer_host)))
        return -1;
    if (!self->peer_host[0]) return 0;
    PyOS_snprintf(port_text, sizeof(port_text), "%u", (unsigned)self->peer_port);
    return put_steal(dict, "REMOTE_PORT", PyUnicode_FromString(port_text));
}

static PyObject *request_environ(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_request *self = (q5py_request *)op;
    q5_exchange *x = exchange_of(op);
    PyObject *dict = x ? PyDict_New() : NULL;
    if (!dict) return NULL;
    const q5_head *head = &x->head;
    if (put_steal(dict, "REQUEST_METHOD", latin1(head->method)) ||
        put_steal(dict, "SCRIPT_NAME", PyUnicode_FromString("")) ||
        put_steal(dict, "PATH_INFO", path_info(head->path)) ||
        put_steal(dict, "QUERY_STRING", latin1(head->query)) ||
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
    PyObject *key = latin1(name);
    PyObject *text =
        same ? latin1(plain) : PyUnicode_DecodeUTF8(plain.base, (Py_ssize_t)plain.len, "replace");
    int rc = key && text ? PyDict_SetItem(dict, key, text) : -1;
    Py_XDECREF(key);
    Py_XDECREF(text);
    return rc;
}

static PyObject *request_cookies(PyObject *op, PyObject *unused) {
    (void)unused;
    q5_exchange *x = exchange_of(op);
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

/* A second face of the same request, with the attributes that the first one has so far. */
static PyObject *request_copy(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_request *self = (q5py_request *)op;
    PyTypeObject *type = Py_TYPE(op);
    q5py_request *copy = exchange_of(op) ? (q5py_request *)type->tp_alloc(type, 0) : NULL;
    if (!copy) return NULL;
    copy->x = q5_exchange_ref(self->x);
    copy->server = Py_XNewRef(self->server);
    memcpy(copy->peer_host, self->peer_host, sizeof(copy->peer_host));
    copy->peer_port = self->peer_port;
    copy->resolver_match = Py_XNewRef(self->resolver_match);
    copy->lazy = self->lazy;
    copy->session_store = Py_XNewRef(self->session_store);
    PyObject *from = PyObject_GenericGetDict(op, NULL);
    PyObject *to = from ? PyObject_GenericGetDict((PyObject *)copy, NULL) : NULL;
    /* The base class itself has no __dict__. */
    if (!from) PyErr_Clear();
    if (from && (!to || PyDict_Update(to, from))) Py_CLEAR(copy);
    Py_XDECREF(from);
    Py_XDECREF(to);
    return (PyObject *)copy;
}

static PyMethodDef request_methods[] = {
    {"__copy__", request_copy, METH_NOARGS, NULL},
    {"field", request_field, METH_O, "field(name) -> str | None: the first field of that name"},
    {"body_bytes", request_body_bytes, METH_NOARGS, "body_bytes() -> bytes: a copy of the body"},
    {"body_fd", request_body_fd, METH_NOARGS,
     "body_fd() -> int\n\nA new descriptor of the spooled body, at its beginning, which the "
     "caller\n"
     "closes; -1 when the body is in memory."},
    {"cookies", request_cookies, METH_NOARGS,
     "cookies() -> dict[str, str]: of the Cookie fields, as django.http.parse_cookie has them"},
    {"environ", request_environ, METH_NOARGS, "environ() -> dict: a new WSGI-like environment"},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef request_getset[] = {
    {"method", get_method, NULL, "str, as sent", NULL},
    {"raw_path", get_raw_path, NULL, "bytes, percent-encoded", NULL},
    {"path", get_path, NULL, "str, decoded", NULL},
    {"request_id", get_request_id, NULL, "str; empty where requests get none", NULL},
    {"query_string", get_query_string, NULL, "bytes, as sent", NULL},
    {"http_version", get_http_version, NULL, "'1.1' or '1.0'", NULL},
    {"scheme", get_scheme, NULL, "'http', or 'https' where a trusted proxy says so", NULL},
    {"is_doubted", get_is_doubted, NULL,
     "bool: the peer speaks as a proxy does, and is not trusted", NULL},
    {"fields", get_fields, NULL, "list[tuple[bytes, bytes]], as sent", NULL},
    {"client", get_client, NULL, "(address, port) or None", NULL},
    {"server", get_server, NULL, "(address, port) or None", NULL},
    {"body_len", get_body_len, NULL, "int, bytes", NULL},
    {"is_gone", get_is_gone, NULL, "bool: the client has left, or has its answer", NULL},
    {"resolver_match", get_resolver_match, set_resolver_match,
     "django.urls.ResolverMatch or None, and whatever it is set to", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static int request_traverse(PyObject *op, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((q5py_request *)op)->server);
    Py_VISIT(((q5py_request *)op)->resolver_match);
    Py_VISIT(((q5py_request *)op)->session_store);
    return 0;
}

/* The exchange comes from the server's pool: it is given back before the server may go. */
static int request_clear(PyObject *op) {
    q5py_request *self = (q5py_request *)op;
    q5_exchange *x = self->x;
    self->x = NULL;
    Py_CLEAR(self->resolver_match);
    Py_CLEAR(self->session_store);
    if (x) q5_exchange_unref(x);
    Py_CLEAR(self->server);
    return 0;
}

static void request_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    request_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMemberDef request_members[] = {
    {"_lazy", T_UINT, offsetof(q5py_request, lazy), 0, "what middleware has promised"},
    {"_session_store", T_OBJECT, offsetof(q5py_request, session_store), 0, "the session's class"},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot request_slots[] = {
    {Py_tp_doc, "A request as it came in; the base of the request class that views are given."},
    {Py_tp_dealloc, request_dealloc},
    {Py_tp_traverse, request_traverse},
    {Py_tp_clear, request_clear},
    {Py_tp_methods, request_methods},
    {Py_tp_getset, request_getset},
    {Py_tp_members, request_members},
    {0, NULL},
};

static PyType_Spec request_spec = {
    .name = "quintette._quintette.Request",
    .basicsize = sizeof(q5py_request),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = request_slots,
};

int q5py_init_request(PyObject *module, q5py_state *state) {
    state->request_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &request_spec, NULL);
    return state->request_type ? PyModule_AddType(module, state->request_type) : -1;
}
