#include "cors.h"

#include "head_pairs.h"

#define ORIGIN_MAX 512 /* bytes; a host's name has 253 at most */

/* What a policy grants, as lines that are checked when it is declared. */
typedef struct cors_guard {
    q5py_guard base;
    PyObject *exact;     /* owned tuple of bytes: origins */
    PyObject *patterns;  /* owned tuple of (bytes, bytes): what an origin begins and ends with */
    PyObject *matchers;  /* owned tuple of callables: str -> true where it is allowed */
    PyObject *grant;     /* owned bytes: lines beside Access-Control-Allow-Origin */
    PyObject *preflight; /* owned bytes: further lines of a preflight's answer */
    int any;             /* every origin, by "*" */
    int echo_headers;    /* a preflight is granted the fields that it asks for */
    int private_network; /* and to come from a wider network */
} cors_guard;

/* ---- origins --------------------------------------------------------------------------------- */

/* Visible ASCII: what a browser serialises, and what may be sent back as it is. */
static bool is_plain(q5_slice text) {
    for (size_t i = 0; i < text.len; i++)
        if (text.base[i] <= ' ' || text.base[i] > '~') return false;
    return true;
}

static bool is_exact(PyObject *origins, q5_slice origin) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(origins); i++)
        if (q5_slice_eq(q5py_bytes_slice(PyTuple_GET_ITEM(origins, i)), origin)) return true;
    return false;
}

/* Labels of a host, and nothing else: no user information, port or path before the real host. */
static bool is_labels(q5_slice text) {
    for (size_t i = 0; i < text.len; i++)
        if (!Py_ISALNUM(text.base[i]) && text.base[i] != '-' && text.base[i] != '.') return false;
    return text.len > 0;
}

/* Of "https://" and ".example.com": what stands between is labels. */
static bool is_below(PyObject *patterns, q5_slice origin) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(patterns); i++) {
        PyObject *pattern = PyTuple_GET_ITEM(patterns, i);
        q5_slice head = q5py_bytes_slice(PyTuple_GET_ITEM(pattern, 0));
        q5_slice tail = q5py_bytes_slice(PyTuple_GET_ITEM(pattern, 1));
        if (origin.len <= head.len + tail.len) continue;
        size_t len = origin.len - head.len - tail.len;
        if (memcmp(origin.base, head.base, head.len) == 0 &&
            memcmp(origin.base + head.len + len, tail.base, tail.len) == 0 &&
            is_labels(q5_slice_make(origin.base + head.len, len)))
            return true;
    }
    return false;
}

/* 1, 0, or -1 with an exception. */
static int is_matched(PyObject *matchers, q5_slice origin) {
    if (!PyTuple_GET_SIZE(matchers)) return 0;
    PyObject *text = PyUnicode_DecodeASCII(origin.base, (Py_ssize_t)origin.len, NULL);
    int rc = text ? 0 : -1;
    for (Py_ssize_t i = 0; rc == 0 && i < PyTuple_GET_SIZE(matchers); i++) {
        PyObject *match = PyObject_CallOneArg(PyTuple_GET_ITEM(matchers, i), text);
        rc = match ? PyObject_IsTrue(match) : -1;
        Py_XDECREF(match);
    }
    Py_XDECREF(text);
    return rc;
}

static int is_allowed(const cors_guard *self, q5_slice origin) {
    if (origin.len == 0 || origin.len > ORIGIN_MAX || !is_plain(origin)) return 0;
    if (self->any || is_exact(self->exact, origin) || is_below(self->patterns, origin)) return 1;
    return is_matched(self->matchers, origin);
}

/* ---- lines ----------------------------------------------------------------------------------- */

static int append(q5_buf *lines, q5_slice text) {
    if (q5_buf_append(lines, text.base, text.len) == Q5_OK) return 0;
    PyErr_NoMemory();
    return -1;
}

static int append_line(q5_buf *lines, q5_slice name, q5_slice value) {
    return append(lines, name) || append(lines, value) || append(lines, Q5_LIT("\r\n")) ? -1 : 0;
}

/* Names of fields: what is sent back is a list of tokens (RFC 9110, 5.6.1). */
static bool is_list_of_names(q5_slice text) {
    for (size_t i = 0; i < text.len; i++)
        if (!Py_ISALNUM(text.base[i]) && !strchr("!#$%&'*+-.^_`|~, ", text.base[i])) return false;
    return text.len > 0;
}

static int append_preflight(const cors_guard *self, const q5_head *head, q5_buf *lines) {
    const q5_field *headers = q5_head_find(head, Q5_LIT("access-control-request-headers"), 0);
    const q5_field *network =
        q5_head_find(head, Q5_LIT("access-control-request-private-network"), 0);
    if (append(lines, q5py_bytes_slice(self->preflight))) return -1;
    if (self->echo_headers && headers && is_list_of_names(headers->value) &&
        append_line(lines, Q5_LIT("Access-Control-Allow-Headers: "), headers->value))
        return -1;
    if (self->private_network && network && q5_slice_eq(network->value, Q5_LIT("true")))
        return append(lines, Q5_LIT("Access-Control-Allow-Private-Network: true\r\n"));
    return 0;
}

/* What the origin is granted, appended to `lines`. 1, 0: nothing, or -1 with an exception. */
static int write_grant(const cors_guard *self, const q5_head *head, bool is_preflight,
                       q5_buf *lines) {
    const q5_field *field = q5_head_known(head, Q5_FIELD_ORIGIN);
    /* Two of them are nobody's origin. */
    if (!field ||
        q5_head_find(head, Q5_LIT("origin"), (uint16_t)(head->known[Q5_FIELD_ORIGIN] + 1)))
        return 0;
    int allowed = is_allowed(self, field->value);
    if (allowed <= 0) return allowed;
    if (append_line(lines, Q5_LIT("Access-Control-Allow-Origin: "),
                    self->any ? Q5_LIT("*") : field->value) ||
        append(lines, q5py_bytes_slice(self->grant)))
        return -1;
    return is_preflight && append_preflight(self, head, lines) ? -1 : 1;
}

/* The same as a reply's lines, which live in the exchange's arena. */
static int add_grant(const cors_guard *self, q5py_pass *pass, bool is_preflight,
                     q5py_reply *reply) {
    q5_buf lines;
    q5_buf_init(&lines, NULL);
    int rc = write_grant(self, &pass->x->head, is_preflight, &lines);
    if (rc > 0) {
        const char *kept = q5_arena_dup(&pass->x->arena, lines.base, lines.len);
        rc = kept ? q5py_reply_add_lines(reply, q5_slice_make(kept, lines.len)) : -1;
        if (!kept) PyErr_NoMemory();
    }
    q5_buf_deinit(&lines);
    return rc < 0 ? -1 : 0;
}

/* ---- the guard ------------------------------------------------------------------------------- */

bool q5py_cors_is_preflight(const q5_head *head, q5_slice *ret_method) {
    if (head->method_id != Q5_METHOD_OPTIONS || !q5_head_known(head, Q5_FIELD_ORIGIN)) return false;
    const q5_field *method = q5_head_find(head, Q5_LIT("access-control-request-method"), 0);
    if (method) *ret_method = method->value;
    return method != NULL;
}

/* Caches keep no answers to OPTIONS, and yet some were seen to. */
#define PREFLIGHT_VARY                                                              \
    "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers, " \
    "Access-Control-Request-Private-Network\r\n"

static int cors_before(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                       PyObject **ret_awaitable) {
    (void)ret_awaitable;
    q5_slice method;
    if (!q5py_cors_is_preflight(&pass->x->head, &method)) return Q5PY_GUARD_GO;
    reply->status = 204;
    reply->lines = Q5_LIT(PREFLIGHT_VARY);
    return add_grant((const cors_guard *)guard, pass, true, reply) ? -1 : Q5PY_GUARD_ANSWER;
}

static int cors_after(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                      PyObject **ret_awaitable) {
    (void)ret_awaitable;
    const cors_guard *self = (const cors_guard *)guard;
    /* Also for those that are not granted anything: a cache must not give one what another got. */
    if (!self->any && q5py_reply_vary(reply, Q5_LIT("Origin"))) return -1;
    if (!q5_head_known(&pass->x->head, Q5_FIELD_ORIGIN)) return Q5PY_GUARD_GO;
    if (q5py_reply_remove(reply, Q5_LIT("access-control-allow-origin"))) return -1;
    return add_grant(self, pass, false, reply);
}

/* ---- for the middleware ---------------------------------------------------------------------- */

PyDoc_STRVAR(granted_doc,
             "granted(fields, preflight) -> bytes\n\nThe lines that a request with these (name,\n"
             "value) strs is granted; none: b''.");

static PyObject *cors_granted(PyObject *object, PyObject *args) {
    PyObject *fields;
    int is_preflight;
    if (!PyArg_ParseTuple(args, "O!p:granted", &PyList_Type, &fields, &is_preflight)) return NULL;
    q5_head head = {.field_count = 0};
    if (q5py_head_from_pairs(fields, &head)) return NULL;
    q5_buf lines;
    q5_buf_init(&lines, NULL);
    int rc = write_grant((const cors_guard *)object, &head, is_preflight, &lines);
    PyObject *made =
        rc < 0 ? NULL
               : PyBytes_FromStringAndSize(rc ? lines.base : "", (Py_ssize_t)(rc ? lines.len : 0));
    q5_buf_deinit(&lines);
    return made;
}

/* ---- the type -------------------------------------------------------------------------------- */

static PyObject *cors_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"exact", "patterns",     "matchers",        "grant", "preflight",
                            "any",   "echo_headers", "private_network", NULL};
    PyObject *exact, *patterns, *matchers, *grant, *preflight;
    int any, echo, network;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O!O!SSppp:CorsGuard", names, &PyTuple_Type,
                                     &exact, &PyTuple_Type, &patterns, &PyTuple_Type, &matchers,
                                     &grant, &preflight, &any, &echo, &network))
        return NULL;
    cors_guard *self = (cors_guard *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->base.before = cors_before;
    self->base.after = cors_after;
    self->base.preflights = true;
    self->exact = Py_NewRef(exact);
    self->patterns = Py_NewRef(patterns);
    self->matchers = Py_NewRef(matchers);
    self->grant = Py_NewRef(grant);
    self->preflight = Py_NewRef(preflight);
    self->any = any;
    self->echo_headers = echo;
    self->private_network = network;
    return (PyObject *)self;
}

static int cors_traverse(PyObject *object, visitproc visit, void *arg) {
    Py_VISIT(((cors_guard *)object)->matchers);
    return q5py_guard_traverse(object, visit, arg);
}

static int cors_clear(PyObject *object) {
    Py_CLEAR(((cors_guard *)object)->matchers);
    return 0;
}

static void cors_dealloc(PyObject *object) {
    cors_guard *self = (cors_guard *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    cors_clear(object);
    Py_XDECREF(self->exact);
    Py_XDECREF(self->patterns);
    Py_XDECREF(self->grant);
    Py_XDECREF(self->preflight);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef cors_methods[] = {
    {"granted", cors_granted, METH_VARARGS, granted_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot cors_slots[] = {
    {Py_tp_doc, "What other sites' scripts may do; made by quintette.traffic."},
    {Py_tp_new, cors_new},
    {Py_tp_traverse, cors_traverse},
    {Py_tp_clear, cors_clear},
    {Py_tp_dealloc, cors_dealloc},
    {Py_tp_methods, cors_methods},
    {0, NULL},
};

static PyType_Spec cors_spec = {
    .name = "_quintette.CorsGuard",
    .basicsize = sizeof(cors_guard),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = cors_slots,
};

int q5py_init_cors(PyObject *module, q5py_state *state) {
    return q5py_guard_add_type(module, state, &cors_spec, &state->cors_type);
}
