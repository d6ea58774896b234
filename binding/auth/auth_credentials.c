/* _quintette.CredentialGuard: credentials in a header field, which a Python function verifies. That
 * there are none, that they are malformed, or that they were verified a moment ago is seen here. */
#include "auth.h"

#include "q5/credentials.h"

/* Shared with auth/schemes.py. */
enum { FIELD, SCHEME, BASIC };

/* Bytes of a field's value that are looked at; longer ones are refused. */
#define CREDENTIALS_MAX 4096

typedef struct credential_guard {
    q5py_auth_guard base;
    int kind;
    PyObject *name;         /* owned bytes: the field's, in lower case; or the scheme's */
    PyObject *authenticate; /* owned: see credential_doc */
    PyObject *find_user;    /* owned or NULL: (auth) -> user, LazyUser or None */
    PyObject *digest;       /* owned or NULL: (bytes) -> an object with digest() */
    PyObject *cache;        /* owned AuthCache, or NULL */
    bool takes_request;
} credential_guard;

/* ---- finding --------------------------------------------------------------------------------- */

typedef enum finding { NONE, FOUND, MALFORMED } finding;

/* More than one field of credentials is malformed: nobody may choose which one is meant. */
static finding find_field(const q5_head *head, q5_slice name, q5_slice *ret_value) {
    const q5_field *field = q5_head_find(head, name, 0);
    if (!field) return NONE;
    uint16_t next = (uint16_t)(field - head->fields + 1);
    if (q5_head_find(head, name, next)) return MALFORMED;
    *ret_value = field->value;
    return field->value.len <= CREDENTIALS_MAX ? FOUND : MALFORMED;
}

static finding find_scheme(const q5_head *head, q5_slice scheme, q5_slice *ret_token) {
    q5_slice value;
    finding found = find_field(head, Q5_LIT("authorization"), &value);
    if (found != FOUND) return found;
    if (!q5_credentials_find(value, scheme, ret_token)) return NONE;
    return ret_token->len ? FOUND : MALFORMED;
}

static void note_credentials(const credential_guard *self, q5py_pass *pass, q5_slice text) {
    pass->credentials = text;
    pass->credentials_name = q5py_bytes_slice(self->name);
}

/* What authenticate() is given. FOUND: *ret is a new reference, or NULL with an exception. */
static finding find_credentials(credential_guard *self, q5py_pass *pass, PyObject **ret) {
    const q5_head *head = &pass->x->head;
    q5_slice text, password;
    if (self->kind == FIELD) {
        finding found = find_field(head, q5py_bytes_slice(self->name), &text);
        if (found != FOUND) return found;
        note_credentials(self, pass, text);
        *ret = PyBytes_FromStringAndSize(text.base, (Py_ssize_t)text.len);
        return FOUND;
    }
    finding found = find_scheme(head, q5py_bytes_slice(self->name), &text);
    if (found != FOUND) return found;
    note_credentials(self, pass, text);
    if (self->kind == SCHEME) {
        *ret = PyBytes_FromStringAndSize(text.base, (Py_ssize_t)text.len);
        return FOUND;
    }
    char room[Q5_BASIC_ROOM];
    if (q5_basic_decode(text, room, &text, &password)) return MALFORMED;
    *ret = Py_BuildValue("(s#s#)", text.base, (Py_ssize_t)text.len, password.base,
                         (Py_ssize_t)password.len);
    return FOUND;
}

/* ---- verifying ------------------------------------------------------------------------------- */

/* What authenticate() found: None, auth or (auth, user). GO, ANSWER or -1. */
static int take(credential_guard *self, q5py_pass *pass, PyObject *made, q5py_reply *reply) {
    if (made == Py_None) return q5py_pass_refuse(pass, reply);
    if (!self->find_user) {
        if (!PyTuple_Check(made) || PyTuple_GET_SIZE(made) != 2) {
            PyErr_Format(PyExc_TypeError, "authenticate() gives None or (auth, user), not %R",
                         made);
            return -1;
        }
        Py_XSETREF(pass->auth, Py_NewRef(PyTuple_GET_ITEM(made, 0)));
        Py_XSETREF(pass->user, Py_NewRef(PyTuple_GET_ITEM(made, 1)));
    } else {
        Py_XSETREF(pass->auth, Py_NewRef(made));
        Py_CLEAR(pass->user);
    }
    return q5py_pass_attach(pass);
}

static PyObject *digest_of(credential_guard *self, PyObject *credentials) {
    PyObject *hash = PyObject_CallOneArg(self->digest, credentials);
    PyObject *digest = hash ? PyObject_CallMethod(hash, "digest", NULL) : NULL;
    Py_XDECREF(hash);
    return digest;
}

static PyObject *authenticate(credential_guard *self, q5py_pass *pass, PyObject *credentials) {
    PyObject *subject = credentials;
    PyObject *digest = NULL, *request = NULL;
    if (self->cache) {
        digest = digest_of(self, credentials);
        PyObject *known = digest ? q5py_auth_cache_get(self->cache, digest) : NULL;
        if (known || PyErr_Occurred()) {
            Py_XDECREF(digest);
            return known;
        }
        subject = digest;
    }
    if (self->takes_request) request = q5py_pass_request(pass);
    PyObject *made = NULL;
    if (request || !self->takes_request)
        made = self->cache
                   ? PyObject_CallFunctionObjArgs(self->authenticate, credentials, subject, request,
                                                  NULL)
                   : PyObject_CallFunctionObjArgs(self->authenticate, credentials, request, NULL);
    Py_XDECREF(digest);
    return made;
}

static int credential_before(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                             PyObject **ret_awaitable) {
    credential_guard *self = (credential_guard *)guard;
    PyObject *credentials = NULL;
    switch (find_credentials(self, pass, &credentials)) {
    case NONE:
        if (!self->base.required) return q5py_pass_attach(pass);
        return q5py_pass_refuse(pass, reply);
    case MALFORMED:
        return q5py_pass_refuse(pass, reply);
    case FOUND:
        break;
    }
    PyObject *made = credentials ? authenticate(self, pass, credentials) : NULL;
    Py_XDECREF(credentials);
    if (!made) return -1;
    if (q5py_is_awaitable(made)) {
        *ret_awaitable = made;
        return Q5PY_GUARD_WAIT;
    }
    int rc = take(self, pass, made, reply);
    Py_DECREF(made);
    return rc;
}

static int credential_resume(q5py_guard *guard, q5py_pass *pass, PyObject *result,
                             q5py_reply *reply, PyObject **ret_awaitable) {
    (void)ret_awaitable;
    return take((credential_guard *)guard, pass, result, reply);
}

static int credential_find_user(q5py_auth_guard *guard, q5py_pass *pass) {
    PyObject *user = PyObject_CallOneArg(((credential_guard *)guard)->find_user, pass->auth);
    if (!user) return -1;
    Py_XSETREF(pass->user, user);
    return 0;
}

/* ---- the type -------------------------------------------------------------------------------- */

PyDoc_STRVAR(
    credential_doc,
    "CredentialGuard(*, kind, name, authenticate, unauthorized, required,\n"
    "                takes_request=False, find_user=None, digest=None, cache=None)\n\n"
    "authenticate(credentials[, digest][, request]) gives None (refused), (auth, user), or\n"
    "with find_user only the auth; or an awaitable of these. Credentials are bytes, of Basic\n"
    "(user, password). With a cache, digest is a constructor of hashlib's.");

static PyObject *credential_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {
        "kind",          "name",      "authenticate", "unauthorized", "required",
        "takes_request", "find_user", "digest",       "cache",        NULL};
    PyObject *name = NULL, *authenticate = NULL, *unauthorized = NULL;
    PyObject *find_user = Py_None, *digest = Py_None, *cache = Py_None;
    int kind = -1, required = 1, takes_request = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$iSOO!ppOOO:CredentialGuard", names, &kind,
                                     &name, &authenticate, &PyTuple_Type, &unauthorized, &required,
                                     &takes_request, &find_user, &digest, &cache))
        return NULL;
    q5py_state *state = q5py_state_of_type(type);
    if (kind < FIELD || kind > BASIC || !name || !authenticate || !unauthorized ||
        (cache == Py_None) != (digest == Py_None) ||
        (cache != Py_None && !Py_IS_TYPE(cache, state->auth_cache_type)) ||
        (kind == BASIC && cache != Py_None)) {
        PyErr_SetString(PyExc_ValueError, "malformed CredentialGuard");
        return NULL;
    }
    credential_guard *self = (credential_guard *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->kind = kind;
    self->name = Py_NewRef(name);
    self->authenticate = Py_NewRef(authenticate);
    self->find_user = q5py_maybe(find_user);
    self->digest = q5py_maybe(digest);
    self->cache = q5py_maybe(cache);
    self->takes_request = takes_request;
    self->base.unauthorized = Py_NewRef(unauthorized);
    self->base.required = required;
    self->base.find_user = self->find_user ? credential_find_user : NULL;
    self->base.base.before = credential_before;
    self->base.base.resume = credential_resume;
    return (PyObject *)self;
}

static int credential_traverse(PyObject *object, visitproc visit, void *arg) {
    credential_guard *self = (credential_guard *)object;
    Py_VISIT(self->authenticate);
    Py_VISIT(self->find_user);
    Py_VISIT(self->digest);
    Py_VISIT(self->cache);
    return q5py_auth_guard_traverse(object, visit, arg);
}

static int credential_clear(PyObject *object) {
    credential_guard *self = (credential_guard *)object;
    Py_CLEAR(self->name);
    Py_CLEAR(self->authenticate);
    Py_CLEAR(self->find_user);
    Py_CLEAR(self->digest);
    Py_CLEAR(self->cache);
    return q5py_auth_guard_clear(object);
}

static void credential_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    credential_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot credential_slots[] = {
    {Py_tp_doc, (void *)credential_doc},   {Py_tp_new, credential_new},
    {Py_tp_traverse, credential_traverse}, {Py_tp_clear, credential_clear},
    {Py_tp_dealloc, credential_dealloc},   {0, NULL},
};

static PyType_Spec credential_spec = {
    .name = "_quintette.CredentialGuard",
    .basicsize = sizeof(credential_guard),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = credential_slots,
};

int q5py_init_auth_credentials(PyObject *module, q5py_state *state) {
    return q5py_auth_guard_add_type(module, state, &credential_spec, &state->auth_field_type);
}
