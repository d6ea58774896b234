/* _quintette.IdempotentGuard: a request that is sent again under its key is answered with the
 * response of the first time (draft-ietf-httpapi-idempotency-key-header). What is kept where is the
 * affair of begin() and finish(), in quintette.idempotency.
 *
 * pass->notes: NULL; then (name, fingerprint) while begin() is waited for; then (name, fingerprint,
 * token) while the handler runs; or the reply that is given again. */
#include "cache.h"

#include "api/plan_bind.h"
#include "auth/auth.h"

#define KEY_MAX 255
#define KEY_MIN_OF_NOBODY                                                  \
    16 /* it is a secret then: nothing else keeps others from the response \
        */

/* Shared with quintette.api.idempotent. */
typedef enum refusal {
    REFUSE_MISSING,
    REFUSE_MALFORMED,
    REFUSE_NOBODY,
    REFUSE_SHORT,
    REFUSE_BUSY,
    REFUSE_OTHER,
    REFUSE_UNKEPT
} refusal;

/* What begin() says. */
enum { BEGUN, DONE, BUSY, OTHER, UNKEPT };

typedef struct idempotent_guard {
    q5py_guard base;
    PyObject *field;  /* owned bytes: the header's name */
    PyObject *scope;  /* owned str: of the route */
    PyObject *secret; /* owned bytes: of the names and fingerprints */
    size_t body_max;  /* bytes of a response that is kept */
    bool required, of_anybody;
    PyObject *begin;            /* owned: (name, fingerprint) -> awaitable of (what, value) */
    PyObject *finish, *afinish; /* owned: (name, fingerprint, token, parts), plain and async */
    PyObject *refuse;           /* owned: (refusal) -> exception */
} idempotent_guard;

static int refuse(const idempotent_guard *self, refusal why) {
    PyObject *exception = PyObject_CallFunction(self->refuse, "i", (int)why);
    if (exception) PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_XDECREF(exception);
    return -1;
}

/* ---- the key --------------------------------------------------------------------------------- */

static bool is_unsafe(const q5_head *head) {
    return head->method_id == Q5_METHOD_POST || head->method_id == Q5_METHOD_PUT ||
           head->method_id == Q5_METHOD_PATCH || head->method_id == Q5_METHOD_DELETE;
}

/* A structured field's string (RFC 8941, 3.3.3), or the bare text that many clients send. */
static bool read_key(q5_slice value, q5_slice *ret) {
    if (value.len >= 2 && value.base[0] == '"' && value.base[value.len - 1] == '"')
        value = q5_slice_make(value.base + 1, value.len - 2);
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.base[i];
        if (c <= ' ' || c > '~' || c == '"' || c == '\\') return false;
    }
    *ret = value;
    return value.len > 0 && value.len <= KEY_MAX;
}

/* 1: *ret; 0: none was sent; -1 with an exception. */
static int find_key(const idempotent_guard *self, const q5_head *head, q5_slice *ret) {
    q5_slice name =
        q5_slice_make(PyBytes_AS_STRING(self->field), (size_t)PyBytes_GET_SIZE(self->field));
    const q5_field *field = q5_head_find(head, name, 0);
    if (!field) return self->required ? refuse(self, REFUSE_MISSING) : 0;
    uint16_t next = (uint16_t)(field - head->fields + 1);
    if (q5_head_find(head, name, next) || !read_key(field->value, ret))
        return refuse(self, REFUSE_MALFORMED);
    return 1;
}

/* ---- names ----------------------------------------------------------------------------------- */

static void begin_hash(const idempotent_guard *self, q5_siphash *hash) {
    q5_siphash_init(hash, (const uint8_t *)PyBytes_AS_STRING(self->secret));
}

static PyObject *end_hash(q5_siphash *hash) {
    uint8_t bytes[Q5_SIPHASH_LEN];
    q5_siphash_end(hash, bytes);
    return PyBytes_FromStringAndSize((const char *)bytes, sizeof(bytes));
}

static int feed_text(q5_siphash *hash, PyObject *text) {
    Py_ssize_t len;
    const char *base = PyUnicode_AsUTF8AndSize(text, &len);
    if (base) q5_siphash_feed_counted(hash, q5_slice_make(base, (size_t)len));
    return base ? 0 : -1;
}

static int feed_host(q5_siphash *hash, q5py_pass *pass) {
    PyObject *host = q5py_pass_host(pass);
    int rc = host ? feed_text(hash, host) : -1;
    Py_XDECREF(host);
    return rc;
}

/* Of the record: who, where, what, the key. Nobody else's requests, nor those for something else,
 * can have the same. */
static PyObject *record_name(const idempotent_guard *self, q5py_pass *pass, PyObject *who,
                             q5_slice key) {
    const q5_head *head = &pass->x->head;
    const q5_route_match *match = &pass->x->match;
    q5_siphash hash;
    begin_hash(self, &hash);
    q5_siphash_feed_counted(&hash, Q5_LIT("record"));
    if (who != Py_None ? feed_text(&hash, who) : 0) return NULL;
    /* Credentials that nobody has looked at tell their owners apart all the same. */
    const q5_field *credentials = q5_head_known(head, Q5_FIELD_AUTHORIZATION);
    if (who == Py_None && credentials) q5_siphash_feed_counted(&hash, credentials->value);
    q5_siphash_feed_counted(&hash, who == Py_None ? Q5_LIT("nobody") : Q5_LIT("somebody"));
    if (feed_host(&hash, pass) || feed_text(&hash, self->scope)) return NULL;
    q5_siphash_feed_counted(&hash, head->method);
    for (uint8_t i = 0; i < match->param_count; i++)
        q5_siphash_feed_counted(&hash, match->params[i].value);
    q5_siphash_feed_counted(&hash, key);
    return end_hash(&hash);
}

/* Another host hands a body over to handlers that declare one; others have the request's. */
static PyObject *body_of(q5py_pass *pass) {
    if (!pass->x->is_detached || pass->plan->accepts_body) return q5py_body_bytes(pass->x);
    PyObject *request = q5py_pass_request(pass);
    PyObject *body = request ? PyObject_GetAttrString(request, "body") : NULL;
    if (body && !PyBytes_Check(body)) Py_SETREF(body, PyBytes_FromObject(body));
    return body;
}

/* Of what is asked for: the same key with another one is a mistake of the client's. */
static PyObject *fingerprint(const idempotent_guard *self, q5py_pass *pass) {
    const q5_head *head = &pass->x->head;
    const q5_field *type = q5_head_known(head, Q5_FIELD_CONTENT_TYPE);
    PyObject *body = body_of(pass);
    if (!body) return NULL;
    q5_siphash hash;
    begin_hash(self, &hash);
    q5_siphash_feed_counted(&hash, Q5_LIT("request"));
    q5_siphash_feed_counted(&hash, head->query);
    q5_siphash_feed_counted(&hash, type ? type->value : q5_slice_make(NULL, 0));
    q5_siphash_feed_counted(&hash,
                            q5_slice_make(PyBytes_AS_STRING(body), (size_t)PyBytes_GET_SIZE(body)));
    Py_DECREF(body);
    return end_hash(&hash);
}

/* ---- before ---------------------------------------------------------------------------------- */

static int ask(q5py_guard *guard, q5py_pass *pass, PyObject *who, q5_slice key,
               PyObject **ret_awaitable) {
    const idempotent_guard *self = (idempotent_guard *)guard;
    PyObject *name = record_name(self, pass, who, key);
    PyObject *print = name ? fingerprint(self, pass) : NULL;
    PyObject *note = print ? PyTuple_Pack(2, name, print) : NULL;
    if (note) {
        Py_XSETREF(pass->notes[guard->index], note);
        *ret_awaitable = PyObject_CallFunctionObjArgs(self->begin, name, print, NULL);
    }
    Py_XDECREF(name);
    Py_XDECREF(print);
    return note && *ret_awaitable ? Q5PY_GUARD_WAIT : -1;
}

/* The user, if any, is loaded. */
static int start(q5py_guard *guard, q5py_pass *pass, PyObject **ret_awaitable) {
    const idempotent_guard *self = (idempotent_guard *)guard;
    q5_slice key;
    int rc = find_key(self, &pass->x->head, &key);
    if (rc <= 0) return rc < 0 ? -1 : Q5PY_GUARD_GO;
    PyObject *who = q5py_pass_identity(pass);
    if (!who) return -1;
    if (who == Py_None && !self->of_anybody)
        rc = refuse(self, REFUSE_NOBODY);
    else if (who == Py_None && key.len < KEY_MIN_OF_NOBODY)
        rc = refuse(self, REFUSE_SHORT);
    else
        rc = ask(guard, pass, who, key, ret_awaitable);
    Py_DECREF(who);
    return rc;
}

static int idempotent_before(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                             PyObject **ret_awaitable) {
    (void)reply;
    q5_slice key;
    if (!is_unsafe(&pass->x->head)) return Q5PY_GUARD_GO;
    int rc = find_key((idempotent_guard *)guard, &pass->x->head, &key);
    if (rc <= 0) return rc < 0 ? -1 : Q5PY_GUARD_GO;
    rc = q5py_pass_load_user(pass, ret_awaitable);
    return rc == Q5PY_GUARD_GO ? start(guard, pass, ret_awaitable) : rc;
}

static int give_again(q5py_guard *guard, q5py_pass *pass, PyObject *parts, q5py_reply *reply) {
    q5py_cached *entry = q5py_cached_from(pass->state, parts);
    if (!entry) return -1;
    q5py_cached_give(entry, reply);
    pass->is_repeated = true;
    Py_XSETREF(pass->notes[guard->index], (PyObject *)entry);
    return q5py_reply_add_lines(reply, Q5_LIT("Idempotency-Replayed: true\r\n"))
               ? -1
               : Q5PY_GUARD_ANSWER;
}

/* (name, fingerprint, token): this request is the first. */
static int run(q5py_guard *guard, q5py_pass *pass, PyObject *token) {
    PyObject *asked = pass->notes[guard->index];
    PyObject *note = PyTuple_Pack(3, PyTuple_GET_ITEM(asked, 0), PyTuple_GET_ITEM(asked, 1), token);
    if (!note) return -1;
    Py_SETREF(pass->notes[guard->index], note);
    return Q5PY_GUARD_GO;
}

static int idempotent_resume(q5py_guard *guard, q5py_pass *pass, PyObject *result,
                             q5py_reply *reply, PyObject **ret_awaitable) {
    const idempotent_guard *self = (idempotent_guard *)guard;
    int what;
    PyObject *value;
    if (!pass->notes[guard->index])
        return q5py_pass_take_user(pass, result) ? -1 : start(guard, pass, ret_awaitable);
    if (!PyArg_ParseTuple(result, "iO", &what, &value)) return -1;
    switch (what) {
    case BEGUN:
        return run(guard, pass, value);
    case DONE:
        return give_again(guard, pass, value, reply);
    case BUSY:
        return refuse(self, REFUSE_BUSY);
    case OTHER:
        return refuse(self, REFUSE_OTHER);
    default:
        return refuse(self, REFUSE_UNKEPT);
    }
}

/* ---- after ----------------------------------------------------------------------------------- */

/* It may succeed when it is tried again. */
static bool is_passing(int status) {
    return status >= 500 || status == 408 || status == 425 || status == 429;
}

/* Whoever knows the key of nobody's request is not to be given a session. */
static bool may_be_kept(const idempotent_guard *self, const q5py_pass *pass,
                        const q5py_reply *reply) {
    q5_slice value;
    if (reply->stream || reply->file) return false;
    if (reply->body &&
        (!PyBytes_Check(reply->body) || (size_t)PyBytes_GET_SIZE(reply->body) > self->body_max))
        return false;
    return q5py_pass_is_somebody(pass) || !q5py_reply_find(reply, Q5_LIT("set-cookie"), &value);
}

/* What finish() is to keep: the parts of the reply; True: that it was done, without them; None:
 * nothing. New reference. */
static PyObject *outcome(const idempotent_guard *self, q5py_pass *pass, const q5py_reply *reply) {
    if (is_passing(reply->status)) return Py_NewRef(Py_None);
    if (!may_be_kept(self, pass, reply)) return Py_NewRef(Py_True);
    q5py_cached *entry = q5py_cached_new(pass->state, reply);
    if (!entry) return PyErr_Occurred() ? NULL : Py_NewRef(Py_True);
    PyObject *parts = q5py_cached_parts(entry);
    Py_DECREF(entry);
    return parts;
}

static int idempotent_after(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                            PyObject **ret_awaitable) {
    const idempotent_guard *self = (idempotent_guard *)guard;
    PyObject *note = pass->notes[guard->index];
    if (!note || !PyTuple_Check(note) || PyTuple_GET_SIZE(note) != 3) return Q5PY_GUARD_GO;
    PyObject *kept = outcome(self, pass, reply);
    if (!kept) return -1;
    PyObject *made = PyObject_CallFunctionObjArgs(
        pass->may_block ? self->finish : self->afinish, PyTuple_GET_ITEM(note, 0),
        PyTuple_GET_ITEM(note, 1), PyTuple_GET_ITEM(note, 2), kept, NULL);
    Py_DECREF(kept);
    if (!made) return -1;
    if (!pass->may_block) {
        *ret_awaitable = made;
        return Q5PY_GUARD_WAIT;
    }
    Py_DECREF(made);
    return Q5PY_GUARD_GO;
}

/* ---- construction ---------------------------------------------------------------------------- */

static PyObject *idempotent_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"field", "scope",  "secret",  "body_max", "required", "of_anybody",
                            "begin", "finish", "afinish", "refuse",   NULL};
    PyObject *field, *scope, *secret, *begin, *finish, *afinish, *refuse_;
    Py_ssize_t body_max;
    int required, of_anybody;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$SUSnppOOOO:IdempotentGuard", names, &field,
                                     &scope, &secret, &body_max, &required, &of_anybody, &begin,
                                     &finish, &afinish, &refuse_))
        return NULL;
    if (PyBytes_GET_SIZE(secret) != Q5_SIPHASH_KEY_LEN || body_max < 0)
        return PyErr_Format(PyExc_ValueError, "secret or body_max out of range");
    idempotent_guard *self = (idempotent_guard *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->base.before = idempotent_before;
    self->base.resume = idempotent_resume;
    self->base.after = idempotent_after;
    self->body_max = (size_t)body_max;
    self->required = required;
    self->of_anybody = of_anybody;
    self->field = Py_NewRef(field);
    self->scope = Py_NewRef(scope);
    self->secret = Py_NewRef(secret);
    self->begin = Py_NewRef(begin);
    self->finish = Py_NewRef(finish);
    self->afinish = Py_NewRef(afinish);
    self->refuse = Py_NewRef(refuse_);
    return (PyObject *)self;
}

#define OWNED(XX) XX(field) XX(scope) XX(secret) XX(begin) XX(finish) XX(afinish) XX(refuse)

static int idempotent_traverse(PyObject *object, visitproc visit, void *arg) {
    idempotent_guard *self = (idempotent_guard *)object;
#define XX(name) Py_VISIT(self->name);
    OWNED(XX)
#undef XX
    return q5py_guard_traverse(object, visit, arg);
}

static int idempotent_clear(PyObject *object) {
    idempotent_guard *self = (idempotent_guard *)object;
#define XX(name) Py_CLEAR(self->name);
    OWNED(XX)
#undef XX
    return 0;
}

static void idempotent_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    idempotent_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot idempotent_slots[] = {
    {Py_tp_doc, "Gives the response of the first time again; see quintette.api.idempotent."},
    {Py_tp_new, idempotent_new},
    {Py_tp_traverse, idempotent_traverse},
    {Py_tp_clear, idempotent_clear},
    {Py_tp_dealloc, idempotent_dealloc},
    {0, NULL},
};

static PyType_Spec idempotent_spec = {
    .name = "_quintette.IdempotentGuard",
    .basicsize = sizeof(idempotent_guard),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = idempotent_slots,
};

int q5py_init_idempotent(PyObject *module, q5py_state *state) {
    return q5py_guard_add_type(module, state, &idempotent_spec, &state->idempotent_type);
}
