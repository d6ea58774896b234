/* _quintette.ConditionalGuard: entity tags, and requests that are made under a condition (RFC 9110,
 * 13). Functions of the project's are asked before the handler; a tag of the body is made behind
 * it. */
#include "guards/guard_values.h"

#include <time.h>

#include "api/plan_data.h"
#include "q5/conditional.h"
#include "q5/date.h"
#include "q5/siphash.h"

#define ETAG_MAX 256 /* bytes of a tag that the project gives */
#define HEX "0123456789abcdef"
#define TAG_LEN (2 + 1 + 2 * Q5_SIPHASH_LEN + 1) /* W/"..." */

typedef enum tag_kind { TAG_NONE, TAG_STRONG, TAG_WEAK } tag_kind;

typedef struct conditional_guard {
    q5py_guard base;
    tag_kind kind; /* of the tag of the body */
    uint8_t key[Q5_SIPHASH_KEY_LEN];
    PyObject *ask;    /* owned or NULL: (request, path) -> awaitable of (tag, modified) */
    PyObject *refuse; /* owned: () -> the exception of 412 */
} conditional_guard;

static bool reads(const q5_head *head) {
    return head->method_id == Q5_METHOD_GET || head->method_id == Q5_METHOD_HEAD;
}

static bool is_conditional(const q5_head *head) {
    return head->known[Q5_FIELD_IF_MATCH] >= 0 || head->known[Q5_FIELD_IF_NONE_MATCH] >= 0 ||
           head->known[Q5_FIELD_IF_UNMODIFIED_SINCE] >= 0;
}

/* ---- answers --------------------------------------------------------------------------------- */

/* What describes content is not sent without it (RFC 9110, 15.4.5). */
static bool describes_content(PyObject *field) {
    q5_slice name;
    if (!PyTuple_Check(field) || q5py_field_slice(PyTuple_GET_ITEM(field, 0), &name)) {
        PyErr_Clear();
        return false;
    }
    static const q5_slice kept[] = {{"content-location", 16}, {"content-security-policy", 23}};
    for (size_t i = 0; i < Q5_ARRAY_LEN(kept); i++)
        if (q5_slice_ieq(name, kept[i])) return false;
    return name.len > 8 && q5_slice_ieq(q5_slice_make(name.base, 8), Q5_LIT("content-"));
}

static int make_not_modified(q5py_reply *reply) {
    PyObject *fields = q5py_reply_take_fields(reply);
    if (!fields) return -1;
    int rc = 0;
    for (Py_ssize_t i = PyList_GET_SIZE(fields) - 1; rc == 0 && i >= 0; i--)
        if (describes_content(PyList_GET_ITEM(fields, i)))
            rc = PyList_SetSlice(fields, i, i + 1, NULL);
    Py_DECREF(fields);
    reply->status = 304;
    Py_CLEAR(reply->reason);
    Py_CLEAR(reply->body);
    return rc;
}

static int add_text_field(q5py_reply *reply, const char *name, PyObject *value) {
    PyObject *text = PyUnicode_FromString(name);
    int rc = text && value ? q5py_reply_add_field(reply, text, value) : -1;
    Py_XDECREF(text);
    return rc;
}

static PyObject *date_text(int64_t seconds) {
    char text[Q5_HTTP_DATE_LEN];
    q5_http_date_format(seconds, text);
    return PyUnicode_FromStringAndSize(text, sizeof(text));
}

/* ---- what the project says of its representation --------------------------------------------- */

/* (tag or None, seconds or None), both borrowed. */
static int read_validators(PyObject *given, PyObject **ret_tag, PyObject **ret_modified,
                           q5_validators *ret) {
    *ret = (q5_validators){.now = (int64_t)time(NULL)};
    if (!PyArg_ParseTuple(given, "OO", ret_tag, ret_modified)) return -1;
    if (*ret_tag != Py_None && q5py_field_slice(*ret_tag, &ret->etag)) return -1;
    if (ret->etag.len > ETAG_MAX) {
        PyErr_Format(PyExc_ValueError, "an entity tag has %d bytes at most", ETAG_MAX);
        return -1;
    }
    if (*ret_modified == Py_None) return 0;
    ret->last_modified = PyLong_AsLongLong(*ret_modified);
    ret->has_last_modified = true;
    return ret->last_modified == -1 && PyErr_Occurred() ? -1 : 0;
}

/* Those that the handler has not given itself. */
static int add_validators(q5py_reply *reply, PyObject *given) {
    PyObject *tag, *modified;
    q5_validators validators;
    q5_slice found;
    if (read_validators(given, &tag, &modified, &validators)) return -1;
    if (tag != Py_None && !q5py_reply_find(reply, Q5_LIT("etag"), &found) &&
        add_text_field(reply, "ETag", tag))
        return -1;
    if (!validators.has_last_modified || q5py_reply_find(reply, Q5_LIT("last-modified"), &found))
        return 0;
    PyObject *text = date_text(validators.last_modified);
    int rc = add_text_field(reply, "Last-Modified", text);
    Py_XDECREF(text);
    return rc;
}

static int conditional_before(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                              PyObject **ret_awaitable) {
    (void)reply;
    if (!reads(&pass->x->head) && !is_conditional(&pass->x->head)) return Q5PY_GUARD_GO;
    *ret_awaitable = q5py_pass_ask(pass, ((conditional_guard *)guard)->ask);
    return *ret_awaitable ? Q5PY_GUARD_WAIT : -1;
}

static int conditional_resume(q5py_guard *guard, q5py_pass *pass, PyObject *result,
                              q5py_reply *reply, PyObject **ret_awaitable) {
    (void)ret_awaitable;
    PyObject *tag, *modified;
    q5_validators validators;
    if (read_validators(result, &tag, &modified, &validators)) return -1;
    if (tag == Py_None && modified == Py_None) return Q5PY_GUARD_GO;
    switch (q5_conditional_evaluate(&pass->x->head, &validators)) {
    case Q5_PRECONDITION_FAILED:
        q5py_raise_made(((conditional_guard *)guard)->refuse);
        return -1;
    case Q5_NOT_MODIFIED:
        reply->status = 304;
        return add_validators(reply, result) ? -1 : Q5PY_GUARD_ANSWER;
    case Q5_PROCEED:
        break;
    }
    Py_XSETREF(pass->notes[guard->index], Py_NewRef(result));
    return Q5PY_GUARD_GO;
}

/* ---- the tag of a body ----------------------------------------------------------------------- */

static int add_body_tag(const conditional_guard *self, q5py_reply *reply) {
    q5_slice body = q5_slice_make(NULL, 0);
    if (reply->body)
        body = q5_slice_make(PyBytes_AS_STRING(reply->body), (size_t)PyBytes_GET_SIZE(reply->body));
    uint8_t hash[Q5_SIPHASH_LEN];
    q5_siphash siphash;
    q5_siphash_init(&siphash, self->key);
    q5_siphash_feed(&siphash, body);
    q5_siphash_end(&siphash, hash);
    char text[TAG_LEN] = "W/\"", *at = text + 3;
    for (size_t i = 0; i < sizeof(hash); i++) {
        *at++ = HEX[hash[i] >> 4];
        *at++ = HEX[hash[i] & 15];
    }
    *at++ = '"';
    size_t skip = self->kind == TAG_WEAK ? 0 : 2;
    PyObject *tag = PyUnicode_FromStringAndSize(text + skip, (Py_ssize_t)(TAG_LEN - skip));
    int rc = add_text_field(reply, "ETag", tag);
    Py_XDECREF(tag);
    return rc;
}

/* By the validators that the reply has now. */
static int evaluate(const conditional_guard *self, const q5_head *head, q5py_reply *reply) {
    q5_validators validators = {.now = (int64_t)time(NULL)};
    q5_slice modified;
    if (!q5py_reply_find(reply, Q5_LIT("etag"), &validators.etag))
        validators.etag = q5_slice_make(NULL, 0);
    validators.has_last_modified = q5py_reply_find(reply, Q5_LIT("last-modified"), &modified) &&
                                   q5_http_date_parse(modified, &validators.last_modified) == Q5_OK;
    switch (q5_conditional_evaluate(head, &validators)) {
    case Q5_PRECONDITION_FAILED:
        q5py_raise_made(self->refuse);
        return -1;
    case Q5_NOT_MODIFIED:
        return make_not_modified(reply);
    case Q5_PROCEED:
        break;
    }
    return 0;
}

static int conditional_after(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                             PyObject **ret_awaitable) {
    (void)ret_awaitable;
    const conditional_guard *self = (conditional_guard *)guard;
    const q5_head *head = &pass->x->head;
    PyObject *given = pass->notes[guard->index];
    q5_slice found;
    if (!reads(head) || reply->status < 200 || reply->status > 299) return Q5PY_GUARD_GO;
    if (given && add_validators(reply, given)) return -1;
    if (reply->status != 200 || reply->stream || reply->file ||
        (reply->body && !PyBytes_Check(reply->body)))
        return Q5PY_GUARD_GO;
    if (self->kind != TAG_NONE && !q5py_reply_find(reply, Q5_LIT("etag"), &found) &&
        add_body_tag(self, reply))
        return -1;
    return evaluate(self, head, reply) ? -1 : Q5PY_GUARD_GO;
}

/* ---- construction ---------------------------------------------------------------------------- */

static int read_kind(const char *text, tag_kind *ret) {
    static const char *const kinds[] = {
        [TAG_NONE] = "", [TAG_STRONG] = "strong", [TAG_WEAK] = "weak"};
    for (size_t i = 0; i < Q5_ARRAY_LEN(kinds); i++)
        if (strcmp(text, kinds[i]) == 0) {
            *ret = (tag_kind)i;
            return 0;
        }
    PyErr_Format(PyExc_ValueError, "%s is no kind of tag", text);
    return -1;
}

static PyObject *conditional_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"tag", "key", "ask", "refuse", NULL};
    const char *kind, *key;
    Py_ssize_t key_len;
    PyObject *ask, *refuse;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$sy#OO:ConditionalGuard", names, &kind, &key,
                                     &key_len, &ask, &refuse))
        return NULL;
    if (key_len != Q5_SIPHASH_KEY_LEN)
        return PyErr_Format(PyExc_ValueError, "a key has %d bytes", Q5_SIPHASH_KEY_LEN);
    conditional_guard *self = (conditional_guard *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    memcpy(self->key, key, sizeof(self->key));
    self->refuse = Py_NewRef(refuse);
    self->base.after = conditional_after;
    if (ask != Py_None) {
        self->ask = Py_NewRef(ask);
        self->base.before = conditional_before;
        self->base.resume = conditional_resume;
    }
    if (read_kind(kind, &self->kind)) Py_CLEAR(self);
    return (PyObject *)self;
}

static int conditional_traverse(PyObject *object, visitproc visit, void *arg) {
    Py_VISIT(((conditional_guard *)object)->ask);
    Py_VISIT(((conditional_guard *)object)->refuse);
    return q5py_guard_traverse(object, visit, arg);
}

static int conditional_clear(PyObject *object) {
    Py_CLEAR(((conditional_guard *)object)->ask);
    Py_CLEAR(((conditional_guard *)object)->refuse);
    return 0;
}

static void conditional_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    conditional_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot conditional_slots[] = {
    {Py_tp_doc, "Entity tags and preconditions; see quintette.api.conditional."},
    {Py_tp_new, conditional_new},
    {Py_tp_traverse, conditional_traverse},
    {Py_tp_clear, conditional_clear},
    {Py_tp_dealloc, conditional_dealloc},
    {0, NULL},
};

static PyType_Spec conditional_spec = {
    .name = "_quintette.ConditionalGuard",
    .basicsize = sizeof(conditional_guard),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = conditional_slots,
};

int q5py_init_conditional(PyObject *module, q5py_state *state) {
    return q5py_guard_add_type(module, state, &conditional_spec, &state->conditional_type);
}
