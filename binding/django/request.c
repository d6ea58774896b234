/* _quintette.Request. Nothing is converted before it is asked for. */
#include "request.h"

#include <fcntl.h>
#include <structmember.h>
#include <unistd.h>

#include "convert.h"
#include "django_urls.h"
#include "q5/percent.h"
#include "q5/spool.h"
#include "server/server.h"
#include "traffic/client.h"

q5_exchange *q5py_request_exchange(PyObject *op) {
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
    q5_exchange *x = q5py_request_exchange(op);
    return x ? q5py_latin1(x->head.method) : NULL;
}

static PyObject *get_raw_path(PyObject *op, void *unused) {
    (void)unused;
    q5_exchange *x = q5py_request_exchange(op);
    return x ? bytes(x->head.path) : NULL;
}

static PyObject *get_path(PyObject *op, void *unused) {
    (void)unused;
    q5_exchange *x = q5py_request_exchange(op);
    return x ? decode_path(x->head.path) : NULL;
}

PyObject *q5py_request_path(PyObject *request) {
    q5_exchange *x = q5py_request_exchange(request);
    if (!x) return NULL;
    return x->head.path.len ? decode_path(x->head.path) : PyUnicode_FromString("/");
}

static PyObject *get_request_id(PyObject *op, void *unused) {
    (void)unused;
    q5_exchange *x = q5py_request_exchange(op);
    return x ? q5py_latin1(x->request_id) : NULL;
}

static PyObject *get_query_string(PyObject *op, void *unused) {
    (void)unused;
    q5_exchange *x = q5py_request_exchange(op);
    return x ? bytes(x->head.query) : NULL;
}

static PyObject *get_http_version(PyObject *op, void *unused) {
    (void)unused;
    q5_exchange *x = q5py_request_exchange(op);
    return x ? PyUnicode_FromString(x->head.version_minor ? "1.1" : "1.0") : NULL;
}

static PyObject *get_scheme(PyObject *op, void *unused) {
    (void)unused;
    const q5_exchange *x = ((q5py_request *)op)->x;
    bool is_https = x && q5py_client_is_https(x);
    return PyUnicode_FromString(is_https ? "https" : "http");
}

static PyObject *get_is_doubted(PyObject *op, void *unused) {
    (void)unused;
    const q5_exchange *x = ((q5py_request *)op)->x;
    return PyBool_FromLong(x && x->client && x->client->doubted);
}

static PyObject *get_fields(PyObject *op, void *unused) {
    (void)unused;
    q5_exchange *x = q5py_request_exchange(op);
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

static PyObject *get_server(PyObject *op, void *unused) {
    (void)unused;
    q5_exchange *x = q5py_request_exchange(op);
    char host[46];
    uint16_t port;
    if (!x) return NULL;
    if (!q5py_request_local(x, host, &port)) Py_RETURN_NONE;
    return Py_BuildValue("(si)", host, (int)port);
}

static PyObject *get_body_len(PyObject *op, void *unused) {
    (void)unused;
    q5_exchange *x = q5py_request_exchange(op);
    return x ? PyLong_FromUnsignedLongLong(x->body_len) : NULL;
}

static PyObject *get_is_gone(PyObject *op, void *unused) {
    (void)unused;
    q5_exchange *x = q5py_request_exchange(op);
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
    q5_exchange *x = q5py_request_exchange(op);
    const char *text = x ? PyUnicode_AsUTF8AndSize(name, &len) : NULL;
    if (!text) return NULL;
    const q5_field *field = q5_head_find(&x->head, q5_slice_make(text, (size_t)len), 0);
    if (!field) Py_RETURN_NONE;
    return q5py_latin1(field->value);
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
    q5_exchange *x = q5py_request_exchange(op);
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
    q5_exchange *x = q5py_request_exchange(op);
    if (!x) return NULL;
    if (!x->spool) return PyLong_FromLong(-1);
    int fd = reopen(((q5_spool *)x->spool)->fd);
    if (fd >= 0 && lseek(fd, 0, SEEK_SET) == 0) return PyLong_FromLong(fd);
    PyErr_SetFromErrno(PyExc_OSError);
    if (fd >= 0) close(fd);
    return NULL;
}

/* A second face of the same request, with the attributes that the first one has so far. */
static PyObject *request_copy(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_request *self = (q5py_request *)op;
    PyTypeObject *type = Py_TYPE(op);
    q5py_request *copy = q5py_request_exchange(op) ? (q5py_request *)type->tp_alloc(type, 0) : NULL;
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
    {"cookies", q5py_request_cookies, METH_NOARGS,
     "cookies() -> dict[str, str]: of the Cookie fields, as django.http.parse_cookie has them"},
    {"environ", q5py_request_environ, METH_NOARGS,
     "environ() -> dict: a new WSGI-like environment"},
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
