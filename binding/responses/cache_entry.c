/* _quintette.CachedReply. */
#include "cache.h"

#include "q5/buf.h"

#define COST_OF_ENTRY 256 /* bytes besides those of lines and body */

/* ---- lines ----------------------------------------------------------------------------------- */

static bool is_token(q5_slice name) {
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.base[i];
        if (c <= ' ' || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c)) return false;
    }
    return name.len > 0;
}

static bool is_value(q5_slice value) {
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.base[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) return false;
    }
    return true;
}

/* Of the connection's message, not of the response: made anew each time. */
static bool is_own(q5_slice name) {
    static const q5_slice own[] = {{"content-length", 14},
                                   {"transfer-encoding", 17},
                                   {"connection", 10},
                                   {"keep-alive", 10},
                                   {"date", 4},
                                   {"age", 3}};
    for (size_t i = 0; i < Q5_ARRAY_LEN(own); i++)
        if (q5_slice_ieq(name, own[i])) return true;
    return false;
}

/* 1; 0: cannot be sent; -1 with an exception. */
static int append_field(q5_buf *out, PyObject *pair) {
    q5_slice name, value;
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2 ||
        q5py_field_slice(PyTuple_GET_ITEM(pair, 0), &name) ||
        q5py_field_slice(PyTuple_GET_ITEM(pair, 1), &value)) {
        PyErr_Clear();
        return 0;
    }
    if (!is_token(name) || !is_value(value)) return 0;
    if (is_own(name)) return 1;
    if (q5_buf_append(out, name.base, name.len) || q5_buf_append(out, ": ", 2) ||
        q5_buf_append(out, value.base, value.len) || q5_buf_append(out, "\r\n", 2)) {
        PyErr_NoMemory();
        return -1;
    }
    return 1;
}

static int append_all(q5_buf *out, const q5py_reply *reply) {
    int rc = q5_buf_append(out, reply->lines.base, reply->lines.len) ? -1 : 1;
    for (uint8_t i = 0; rc > 0 && i < reply->more_count; i++)
        rc = q5_buf_append(out, reply->more_lines[i].base, reply->more_lines[i].len) ? -1 : 1;
    if (rc < 0) PyErr_NoMemory();
    PyObject *fields = reply->fields;
    if (rc < 0 || !fields) return rc;
    if (!PyList_Check(fields) && !PyTuple_Check(fields)) return 0;
    for (Py_ssize_t i = 0; rc > 0 && i < PySequence_Fast_GET_SIZE(fields); i++)
        rc = append_field(out, PySequence_Fast_GET_ITEM(fields, i));
    return rc;
}

/* ---- entries --------------------------------------------------------------------------------- */

/* References are taken over. */
static q5py_cached *make(q5py_state *state, int status, PyObject *lines, PyObject *body) {
    q5py_cached *entry = (q5py_cached *)state->cached_type->tp_alloc(state->cached_type, 0);
    if (!entry) {
        Py_DECREF(lines);
        Py_XDECREF(body);
        return NULL;
    }
    entry->status = status;
    entry->lines = lines;
    entry->body = body;
    entry->node.cost = COST_OF_ENTRY + (size_t)PyBytes_GET_SIZE(lines) +
                       (body ? (size_t)PyBytes_GET_SIZE(body) : 0);
    return entry;
}

q5py_cached *q5py_cached_new(q5py_state *state, const q5py_reply *reply) {
    q5_buf out;
    q5_buf_init(&out, NULL);
    int rc = append_all(&out, reply);
    PyObject *lines = rc > 0 ? PyBytes_FromStringAndSize(out.base, (Py_ssize_t)out.len) : NULL;
    q5_buf_deinit(&out);
    return lines ? make(state, reply->status, lines, Py_XNewRef(reply->body)) : NULL;
}

q5py_cached *q5py_cached_from(q5py_state *state, PyObject *parts) {
    int status;
    PyObject *lines, *body;
    if (!PyTuple_Check(parts)) {
        PyErr_SetString(PyExc_TypeError, "a kept reply is a tuple");
        return NULL;
    }
    if (!PyArg_ParseTuple(parts, "iSO", &status, &lines, &body)) return NULL;
    if (status < 200 || status > 599 || (body != Py_None && !PyBytes_Check(body))) {
        PyErr_SetString(PyExc_ValueError, "malformed reply");
        return NULL;
    }
    return make(state, status, Py_NewRef(lines), body == Py_None ? NULL : Py_NewRef(body));
}

PyObject *q5py_cached_parts(const q5py_cached *entry) {
    return Py_BuildValue("(iOO)", entry->status, entry->lines, entry->body ? entry->body : Py_None);
}

static int add_age(q5py_reply *reply, uint64_t age_s) {
    PyObject *name = PyUnicode_FromString("Age");
    PyObject *value = name ? PyUnicode_FromFormat("%llu", (unsigned long long)age_s) : NULL;
    int rc = value ? q5py_reply_add_field(reply, name, value) : -1;
    Py_XDECREF(name);
    Py_XDECREF(value);
    return rc;
}

void q5py_cached_give(const q5py_cached *entry, q5py_reply *reply) {
    reply->status = entry->status;
    reply->lines =
        q5_slice_make(PyBytes_AS_STRING(entry->lines), (size_t)PyBytes_GET_SIZE(entry->lines));
    reply->body = Py_XNewRef(entry->body);
}

int q5py_cached_give_aged(const q5py_cached *entry, uint64_t age_s, q5py_reply *reply) {
    q5py_cached_give(entry, reply);
    return add_age(reply, age_s);
}

static void cached_dealloc(PyObject *object) {
    q5py_cached *entry = (q5py_cached *)object;
    PyTypeObject *type = Py_TYPE(object);
    Py_XDECREF(entry->lines);
    Py_XDECREF(entry->body);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot cached_slots[] = {
    {Py_tp_doc, "A reply that is kept."},
    {Py_tp_dealloc, cached_dealloc},
    {0, NULL},
};

PyType_Spec q5py_cached_spec = {
    .name = "_quintette.CachedReply",
    .basicsize = sizeof(q5py_cached),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = cached_slots,
};
