/* _quintette.CompressGuard: replies in the coding that the client likes best. */
#include "encoder.h"

#include "convert.h"
#include "greenlets/sync_call.h"
#include "guards/guard.h"
#include "q5/accept.h"
#include "server/server.h"

/* The longest body that is compressed in one go on the loop's thread: some milliseconds. */
#define AT_ONCE_MAX 262144
#define TYPES_MAX 64

/* A kind of content: "text/css", every "text/", or every "+json". */
typedef struct content_type {
    q5_slice text; /* lower case; into type_bytes */
    bool is_prefix, is_suffix;
} content_type;

typedef struct compress_guard {
    q5py_guard base;
    size_t size_min;
    PyObject *type_bytes; /* owned tuple of bytes */
    content_type types[TYPES_MAX];
    size_t type_count;
    q5_coding offered[Q5_CODING_COUNT]; /* the best first; identity last */
    size_t offered_count;
    int level;
    bool is_padded;
    /* Owned: (iterator, Encoder) -> iterator, the same asynchronous, (bytes, Encoder) -> async. */
    PyObject *over, *over_async, *in_pieces;
} compress_guard;

/* ---- may this reply be compressed? ----------------------------------------------------------- */

static bool ends_with(q5_slice text, q5_slice end) {
    return text.len >= end.len &&
           q5_slice_ieq(q5_slice_make(text.base + text.len - end.len, end.len), end);
}

static bool type_is_wanted(const compress_guard *self, q5_slice value) {
    const char *semicolon = memchr(value.base, ';', value.len);
    size_t len = semicolon ? (size_t)(semicolon - value.base) : value.len;
    while (len && value.base[len - 1] == ' ')
        len--;
    q5_slice name = q5_slice_make(value.base, len);
    for (size_t i = 0; i < self->type_count; i++) {
        const content_type *type = &self->types[i];
        q5_slice head = q5_slice_make(name.base, type->text.len);
        if (type->is_suffix       ? ends_with(name, type->text)
            : name.len < head.len ? false
            : type->is_prefix     ? q5_slice_ieq(head, type->text)
                                  : q5_slice_ieq(name, type->text))
            return true;
    }
    return false;
}

/* RFC 9111, 5.2.2.6. */
static bool is_no_transform(const q5py_reply *reply) {
    static const q5_slice word = {"no-transform", 12};
    q5_slice value;
    if (!q5py_reply_find(reply, Q5_LIT("cache-control"), &value)) return false;
    for (size_t i = 0; i + word.len <= value.len; i++)
        if (q5_slice_ieq(q5_slice_make(value.base + i, word.len), word)) return true;
    return false;
}

/* A digest of what is sent would be wrong (RFC 9530). */
static bool is_bound_to_bytes(const q5py_reply *reply) {
    q5_slice value;
    return q5py_reply_find(reply, Q5_LIT("content-encoding"), &value) ||
           q5py_reply_find(reply, Q5_LIT("content-digest"), &value) ||
           q5py_reply_find(reply, Q5_LIT("repr-digest"), &value);
}

static bool is_long_enough(const compress_guard *self, const q5py_reply *reply) {
    if (reply->stream) return true;
    return reply->body && PyBytes_Check(reply->body) &&
           (size_t)PyBytes_GET_SIZE(reply->body) >= self->size_min;
}

/* Whatever the client accepts: another one may get it compressed. */
static bool is_compressible(const compress_guard *self, const q5py_pass *pass,
                            const q5py_reply *reply) {
    q5_slice type;
    int status = reply->status;
    /* A channel's events are encoded once for all who listen. */
    if (reply->stream && PyObject_TypeCheck(reply->stream, pass->state->subscription_type))
        return false;
    return status != 204 && status != 205 && status != 206 && is_long_enough(self, reply) &&
           q5py_reply_find(reply, Q5_LIT("content-type"), &type) && type_is_wanted(self, type) &&
           !is_bound_to_bytes(reply) && !is_no_transform(reply);
}

/* The best that the client takes. BREACH (CVE-2013-3587) needs the victim's browser to send its
 * cookies: then the length is blurred, and a coding that has no room for that is not used. */
static q5_coding choose(const compress_guard *self, const q5_head *head, bool *ret_pads) {
    q5_accept_encoding accept;
    q5_coding order[Q5_CODING_COUNT];
    *ret_pads = self->is_padded && head->known[Q5_FIELD_COOKIE] >= 0;
    if (head->known[Q5_FIELD_ACCEPT_ENCODING] < 0) return Q5_CODING_IDENTITY;
    q5_accept_encoding_read(head, &accept);
    for (int i = 0; i < Q5_CODING_COUNT; i++)
        if (*ret_pads && i != Q5_CODING_IDENTITY && !q5_compress_padded((q5_coding)i))
            accept.weight[i] = 0;
    size_t count = q5_accept_encoding_order(&accept, self->offered, self->offered_count, order);
    return count ? order[0] : Q5_CODING_IDENTITY;
}

/* ---- fields ---------------------------------------------------------------------------------- */

/* What is compressed is another sequence of bytes: the tag says equivalence only (RFC 9110, 8.8.1).
 */
static int weaken_etag(q5py_reply *reply) {
    q5_slice etag;
    if (!q5py_reply_find(reply, Q5_LIT("etag"), &etag)) return 0;
    if (etag.len >= 2 && etag.base[0] == 'W' && etag.base[1] == '/') return 0;
    PyObject *name = PyUnicode_FromString("ETag");
    PyObject *strong = q5py_latin1(etag);
    PyObject *weak = name && strong ? PyUnicode_FromFormat("W/%U", strong) : NULL;
    int rc = weak ? q5py_reply_remove(reply, Q5_LIT("etag")) : -1;
    if (rc == 0) rc = q5py_reply_add_field(reply, name, weak);
    Py_XDECREF(name);
    Py_XDECREF(strong);
    Py_XDECREF(weak);
    return rc;
}

static int set_fields(q5py_reply *reply, q5_coding coding) {
    static const q5_slice lines[Q5_CODING_COUNT] = {
        [Q5_CODING_GZIP] = {"Content-Encoding: gzip\r\n", 24},
        [Q5_CODING_BR] = {"Content-Encoding: br\r\n", 22},
        [Q5_CODING_ZSTD] = {"Content-Encoding: zstd\r\n", 24},
    };
    if (q5py_reply_remove(reply, Q5_LIT("content-length"))) return -1;
    if (weaken_etag(reply)) return -1;
    return q5py_reply_add_lines(reply, lines[coding]);
}

/* ---- bodies ---------------------------------------------------------------------------------- */

/* 1: the body is compressed; 0: it would not be shorter; -1 with an exception. */
static int compress_body(const compress_guard *self, q5py_pass *pass, q5py_reply *reply,
                         q5_coding coding, size_t pad) {
    PyObject *body = reply->body;
    q5_slice data = q5_slice_make(PyBytes_AS_STRING(body), (size_t)PyBytes_GET_SIZE(body));
    PyObject *made = q5py_encode_whole(pass->state, coding, self->level, pad, data,
                                       pass->may_block && !q5py_in_greenlet());
    if (!made) return -1;
    if (PyBytes_GET_SIZE(made) >= PyBytes_GET_SIZE(body)) {
        Py_DECREF(made);
        return 0;
    }
    Py_SETREF(reply->body, made);
    return 1;
}

/* Pieces go through the encoder when they are written. Another host gives it its own bytes. */
static int compress_pieces(const q5py_pass *pass, q5py_reply *reply, q5_coding coding,
                           PyObject *encoder) {
    Py_XSETREF(reply->encoder, encoder);
    if (pass->x->is_detached || (!reply->prelude && !reply->keep_alive_msec)) return 1;
    q5_slice text = Q5_LIT(":\n\n"); /* a comment: the stream must have begun before a silence */
    if (reply->prelude)
        text = q5_slice_make(PyBytes_AS_STRING(reply->prelude),
                             (size_t)PyBytes_GET_SIZE(reply->prelude));
    PyObject *coded = q5py_encoder_flush(encoder, text);
    if (!coded) return -1;
    Py_XSETREF(reply->prelude, coded);
    reply->keep_alive = q5_compress_nothing(coding);
    return 1;
}

/* The stream in place of what `source` gives; 1 or -1. */
static int compress_stream(const compress_guard *self, q5py_pass *pass, q5py_reply *reply,
                           q5_coding coding, size_t pad) {
    PyObject *encoder = q5py_encoder_new(pass->state, coding, self->level, pad);
    if (!encoder) return -1;
    if (reply->pieces) return compress_pieces(pass, reply, coding, encoder);
    PyObject *maker = reply->body              ? self->in_pieces
                      : reply->stream_is_async ? self->over_async
                                               : self->over;
    PyObject *source = reply->body ? reply->body : reply->stream;
    PyObject *stream = PyObject_CallFunctionObjArgs(maker, source, encoder, NULL);
    Py_DECREF(encoder);
    if (!stream) return -1;
    if (reply->body) reply->stream_is_async = true;
    Py_CLEAR(reply->body);
    Py_XSETREF(reply->stream, stream);
    return 1;
}

/* A long body would hold the loop. Where the response is another host's own object its body must
 * stay one. */
static bool goes_in_pieces(const q5py_pass *pass, const q5py_reply *reply) {
    if (PyBytes_GET_SIZE(reply->body) <= AT_ONCE_MAX) return false;
    if (pass->may_block && !q5py_in_greenlet()) return false;
    return !(pass->x->is_detached && reply->closer);
}

static int compress_after(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                          PyObject **ret_awaitable) {
    (void)ret_awaitable;
    const compress_guard *self = (compress_guard *)guard;
    bool pads;
    q5_coding coding = choose(self, &pass->x->head, &pads);
    if (reply->status == 304) {
        /* What the response of 200 would say (RFC 9110, 15.4.5). */
        if (q5py_reply_vary(reply, Q5_LIT("Accept-Encoding"))) return -1;
        return coding != Q5_CODING_IDENTITY && weaken_etag(reply) ? -1 : Q5PY_GUARD_GO;
    }
    if (!is_compressible(self, pass, reply)) return Q5PY_GUARD_GO;
    if (q5py_reply_vary(reply, Q5_LIT("Accept-Encoding"))) return -1;
    if (coding == Q5_CODING_IDENTITY || pass->x->head.method_id == Q5_METHOD_HEAD)
        return Q5PY_GUARD_GO;
    size_t pad = pads ? q5py_random_pad(pass->state) : 0;
    int rc = reply->body && !goes_in_pieces(pass, reply)
                 ? compress_body(self, pass, reply, coding, pad)
                 : compress_stream(self, pass, reply, coding, pad);
    if (rc <= 0) return rc;
    return set_fields(reply, coding) ? -1 : Q5PY_GUARD_GO;
}

/* ---- construction ---------------------------------------------------------------------------- */

static int read_types(compress_guard *self) {
    Py_ssize_t count = PyTuple_GET_SIZE(self->type_bytes);
    if (count > TYPES_MAX) {
        PyErr_Format(PyExc_ValueError, "at most %d types of content", TYPES_MAX);
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        char *base;
        Py_ssize_t len;
        if (PyBytes_AsStringAndSize(PyTuple_GET_ITEM(self->type_bytes, i), &base, &len)) return -1;
        content_type *type = &self->types[self->type_count++];
        type->is_suffix = len > 0 && base[0] == '+';
        type->is_prefix = len > 1 && base[len - 1] == '*' && base[len - 2] == '/';
        type->text = q5_slice_make(base, (size_t)len - type->is_prefix);
    }
    return 0;
}

static int read_codings(compress_guard *self, PyObject *names) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        const char *name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(names, i));
        if (!name) return -1;
        int coding = Q5_CODING_COUNT - 1;
        while (coding >= 0 && strcmp(name, q5_coding_name((q5_coding)coding)) != 0)
            coding--;
        if (coding < 0 || !q5_compress_supported((q5_coding)coding) ||
            self->offered_count == Q5_CODING_COUNT - 1) {
            PyErr_Format(PyExc_ValueError, "%s is no coding that can be used", name);
            return -1;
        }
        self->offered[self->offered_count++] = (q5_coding)coding;
    }
    self->offered[self->offered_count++] = Q5_CODING_IDENTITY;
    return 0;
}

static PyObject *compress_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"codings", "level",      "min_size",  "types", "padding",
                            "over",    "over_async", "in_pieces", NULL};
    PyObject *codings, *types, *over, *over_async, *in_pieces;
    Py_ssize_t size_min;
    int level, padding;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$O!inO!pOOO:CompressGuard", names,
                                     &PyTuple_Type, &codings, &level, &size_min, &PyTuple_Type,
                                     &types, &padding, &over, &over_async, &in_pieces))
        return NULL;
    if (size_min < 0 || level < 0 || level > Q5_COMPRESS_LEVEL_MAX) {
        PyErr_SetString(PyExc_ValueError, "level or min_size out of range");
        return NULL;
    }
    compress_guard *self = (compress_guard *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->base.after = compress_after;
    self->size_min = (size_t)size_min;
    self->level = level;
    self->is_padded = padding;
    self->type_bytes = Py_NewRef(types);
    self->over = Py_NewRef(over);
    self->over_async = Py_NewRef(over_async);
    self->in_pieces = Py_NewRef(in_pieces);
    if (read_types(self) || read_codings(self, codings)) Py_CLEAR(self);
    return (PyObject *)self;
}

static int compress_traverse(PyObject *object, visitproc visit, void *arg) {
    compress_guard *self = (compress_guard *)object;
    Py_VISIT(self->over);
    Py_VISIT(self->over_async);
    Py_VISIT(self->in_pieces);
    return q5py_guard_traverse(object, visit, arg);
}

/* Functions of a module, and bytes: what a cycle needs to be broken at is elsewhere. */
static void compress_dealloc(PyObject *object) {
    compress_guard *self = (compress_guard *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    Py_XDECREF(self->type_bytes);
    Py_XDECREF(self->over);
    Py_XDECREF(self->over_async);
    Py_XDECREF(self->in_pieces);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot compress_slots[] = {
    {Py_tp_doc, "Compresses replies; see quintette.api.compression."},
    {Py_tp_new, compress_new},
    {Py_tp_traverse, compress_traverse},
    {Py_tp_dealloc, compress_dealloc},
    {0, NULL},
};

static PyType_Spec compress_spec = {
    .name = "_quintette.CompressGuard",
    .basicsize = sizeof(compress_guard),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = compress_slots,
};

int q5py_init_compress(PyObject *module, q5py_state *state) {
    return q5py_guard_add_type(module, state, &compress_spec, &state->compress_guard_type);
}
