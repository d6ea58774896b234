/* _quintette.JwtVerifier: keys and rules, and what was verified by them. A token is looked up by
 * the SHA-256 of the whole of it, signature included, so that only the very same one is found. */
#include "jwt.h"

#include <time.h>

#include "q5/json_object.h"

/* Keys of one algorithm that a token without `kid` is tried with. */
#define TRIES_MAX 4

/* ---- verifying ------------------------------------------------------------------------------- */

/* Q5_OK, or why none of the keys verifies it. Named keys first; a key without a name is for every
 * token of its algorithm. */
static int try_keys(const q5py_jwt_verifier *self, const q5_jws *jws, bool named, int status) {
    int tries = TRIES_MAX;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self->keys) && tries > 0; i++) {
        q5py_jwt_key *key = (q5py_jwt_key *)PyTuple_GET_ITEM(self->keys, i);
        if (named && !(key->kid_text.len && q5_json_string_eq(jws->kid, key->kid_text))) continue;
        if (!named && jws->kid.len && key->kid_text.len) continue;
        int found = q5_jws_key_verify(key->key, jws);
        if (found == Q5_OK || found == Q5_ENOMEM) return found;
        if (found != Q5_ETOKEN_ALG) tries--;
        /* A wrong signature tells more than a key of another algorithm. */
        if (status != Q5_ETOKEN_SIGNATURE) status = found;
    }
    return status;
}

static int verify_signature(const q5py_jwt_verifier *self, const q5_jws *jws) {
    int status = Q5_ETOKEN_KEY;
    if (jws->kid.len) {
        status = try_keys(self, jws, true, status);
        if (status != Q5_ETOKEN_KEY) return status;
    }
    return try_keys(self, jws, false, status);
}

/* The JSON string behind `jti`, escapes resolved: new reference, or NULL with an exception. */
static PyObject *decode_string(q5_slice text) {
    PyObject *plain = PyUnicode_DecodeUTF8(text.base, (Py_ssize_t)text.len, NULL);
    if (!plain || !memchr(text.base, '\\', text.len)) return plain;
    PyObject *json = PyImport_ImportModule("json");
    /* Not "%.*s": before CPython 3.12 that is copied as it stands. */
    PyObject *out =
        json ? PyObject_CallMethod(json, "loads", "N", PyUnicode_FromFormat("\"%U\"", plain))
             : NULL;
    Py_XDECREF(json);
    Py_DECREF(plain);
    return out;
}

/* Whether the claims are what the project declared, and the token was not revoked. */
static int judge_facts(const q5py_jwt_verifier *self, const q5py_jwt_facts *facts) {
    PyObject *claims = PyObject_CallOneArg(self->decode, facts->payload);
    Py_XDECREF(claims);
    int revoked = claims && facts->id ? PySet_Contains(self->revoked, facts->id) : 0;
    if (claims && revoked == 0) return Q5_OK;
    bool no_memory = PyErr_ExceptionMatches(PyExc_MemoryError);
    PyErr_Clear();
    if (revoked > 0) return Q5_ETOKEN_REVOKED;
    return no_memory ? Q5_ENOMEM : Q5_ETOKEN_CLAIMS;
}

static int make_facts(const q5py_jwt_verifier *self, q5_slice payload, int64_t now_s,
                      q5py_jwt_facts **ret_facts) {
    q5_jwt_claims claims;
    int status = q5_jwt_check(payload, &self->rules, now_s, &claims);
    if (status) return status;
    q5py_jwt_facts *facts = q5py_jwt_facts_new(payload, &claims);
    if (facts && claims.id.base && !(facts->id = decode_string(claims.id))) {
        q5py_jwt_facts_unref(facts);
        facts = NULL;
    }
    if (!facts) {
        PyErr_Clear();
        return Q5_ENOMEM;
    }
    status = judge_facts(self, facts);
    if (status == Q5_OK)
        *ret_facts = facts;
    else
        q5py_jwt_facts_unref(facts);
    return status;
}

static int verify_anew(const q5py_jwt_verifier *self, q5_slice token, int64_t now_s,
                       q5py_jwt_facts **ret_facts) {
    char small[2048];
    if (token.len > Q5_JWS_TOKEN_MAX) return Q5_ETOKEN_LONG;
    char *room = token.len <= sizeof(small) ? small : PyMem_Malloc(token.len);
    if (!room) return Q5_ENOMEM;
    q5_jws jws;
    int status = q5_jws_parse(token, room, &jws);
    if (status == Q5_OK && self->type_text.base && !q5_jws_type_is(&jws, self->type_text))
        status = Q5_ETOKEN_TYPE;
    if (status == Q5_OK) status = verify_signature(self, &jws);
    if (status == Q5_OK) status = make_facts(self, jws.payload, now_s, ret_facts);
    if (room != small) PyMem_Free(room);
    return status;
}

int q5py_jwt_verify(q5py_jwt_verifier *self, q5_slice token, int64_t now_s,
                    q5py_jwt_facts **ret_facts) {
    uint8_t digest[Q5_SHA256_SIZE];
    if (!self->cache) return verify_anew(self, token, now_s, ret_facts);
    if (token.len > Q5_JWS_TOKEN_MAX) return Q5_ETOKEN_LONG;
    int status = q5_sha256_digest(self->sha, token, digest);
    if (status) return status;
    q5py_jwt_facts *facts = q5_token_cache_find(self->cache, digest, now_s);
    if (!facts) {
        PyObject *keys = Py_NewRef(self->keys), *revoked = Py_NewRef(self->revoked);
        status = verify_anew(self, token, now_s, &facts);
        /* Decoding may have run anything: what was verified by former keys is not kept. */
        bool current = keys == self->keys && revoked == self->revoked;
        Py_DECREF(keys);
        Py_DECREF(revoked);
        if (status) return status;
        *ret_facts = facts;
        if (!current) return Q5_OK;
        q5_token_cache_put(self->cache, digest, now_s, facts->expires_s, facts);
    }
    facts->refs++;
    *ret_facts = facts;
    return Q5_OK;
}

PyObject *q5py_jwt_claims_of(q5py_jwt_verifier *self, q5py_jwt_facts *facts) {
    if (!self->typed) return q5py_jwt_claims_new(self->state, facts, self->decode);
    PyObject *claims = PyObject_CallOneArg(self->decode, facts->payload);
    q5py_jwt_facts_unref(facts);
    return claims;
}

static void drop_facts(void *value) {
    q5py_jwt_facts_unref(value);
}

/* ---- construction ---------------------------------------------------------------------------- */

static int check_keys(q5py_state *state, PyObject *keys) {
    if (!PyTuple_Check(keys) || PyTuple_GET_SIZE(keys) > Q5PY_JWT_KEYS_MAX) {
        PyErr_Format(PyExc_ValueError, "keys are a tuple of %d at most", Q5PY_JWT_KEYS_MAX);
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(keys); i++)
        if (!Py_IS_TYPE(PyTuple_GET_ITEM(keys, i), state->jwt_key_type)) {
            PyErr_Format(PyExc_TypeError, "%R is no JwtKey", PyTuple_GET_ITEM(keys, i));
            return -1;
        }
    return 0;
}

static int slice_of(PyObject *text, q5_slice *ret) {
    Py_ssize_t len;
    const char *base = PyUnicode_AsUTF8AndSize(text, &len);
    if (!base) return -1;
    *ret = q5_slice_make(base, (size_t)len);
    return 0;
}

/* None: any audience; else a tuple of str. */
static int set_audiences(q5py_jwt_verifier *self, PyObject *audiences) {
    self->rules.any_audience = audiences == Py_None;
    if (audiences == Py_None) return 0;
    if (!PyTuple_Check(audiences)) {
        PyErr_SetString(PyExc_TypeError, "audiences are a tuple of str");
        return -1;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(audiences);
    self->audiences = Py_NewRef(audiences);
    self->audience_texts = PyMem_New(q5_slice, (size_t)count + 1);
    if (!self->audience_texts) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        if (slice_of(PyTuple_GET_ITEM(audiences, i), &self->audience_texts[i])) return -1;
    self->rules.audiences = self->audience_texts;
    self->rules.audience_count = (size_t)count;
    return 0;
}

static int set_cache(q5py_jwt_verifier *self, unsigned entries) {
    if (entries == 0) return 0;
    self->sha = q5_sha256_create(NULL);
    self->cache = q5_token_cache_create(NULL, entries, drop_facts);
    if (self->sha && self->cache) return 0;
    PyErr_NoMemory();
    return -1;
}

static int set_texts(q5py_jwt_verifier *self, PyObject *issuer, PyObject *type) {
    if (issuer != Py_None && slice_of(issuer, &self->rules.issuer)) return -1;
    if (type != Py_None && slice_of(type, &self->type_text)) return -1;
    self->issuer = Py_NewRef(issuer);
    self->type = Py_NewRef(type);
    return 0;
}

static PyObject *verifier_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"keys",         "decode", "typed",   "issuer",     "audiences", "typ",
                            "needs_expiry", "leeway", "age_max", "cache_size", NULL};
    q5py_state *state = q5py_state_of_type(type);
    PyObject *keys, *decode, *issuer = Py_None, *audiences = Py_None, *typ = Py_None;
    int typed = 0, needs_expiry = 1;
    unsigned leeway = 0, age_max = 0, cache_size = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$pOOOpIII:JwtVerifier", names, &keys,
                                     &decode, &typed, &issuer, &audiences, &typ, &needs_expiry,
                                     &leeway, &age_max, &cache_size) ||
        check_keys(state, keys))
        return NULL;
    q5py_jwt_verifier *self = (q5py_jwt_verifier *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->state = state;
    self->keys = Py_NewRef(keys);
    self->decode = Py_NewRef(decode);
    self->revoked = PyFrozenSet_New(NULL);
    self->typed = typed;
    self->fresh_until = Py_HUGE_VAL;
    self->rules.needs_expiry = needs_expiry;
    self->rules.leeway_s = leeway;
    self->rules.age_max_s = age_max;
    if (!self->revoked || set_texts(self, issuer, typ) || set_audiences(self, audiences) ||
        set_cache(self, cache_size))
        Py_CLEAR(self);
    return (PyObject *)self;
}

/* ---- methods --------------------------------------------------------------------------------- */

PyDoc_STRVAR(verify_doc,
             "verify(token: str, now: int | None = None) -> (status name, claims | None)\n\n"
             "'OK' and what was found, or the name of a status and None. now: seconds since 1970.");

static PyObject *verifier_verify(PyObject *object, PyObject *args) {
    q5py_jwt_verifier *self = (q5py_jwt_verifier *)object;
    const char *text;
    Py_ssize_t len;
    PyObject *now = Py_None;
    if (!PyArg_ParseTuple(args, "s#|O:verify", &text, &len, &now)) return NULL;
    long long now_s = now == Py_None ? (long long)time(NULL) : PyLong_AsLongLong(now);
    if (now_s == -1 && PyErr_Occurred()) return NULL;
    q5py_jwt_facts *facts;
    int status = q5py_jwt_verify(self, q5_slice_make(text, (size_t)len), now_s, &facts);
    if (status == Q5_ENOMEM) return PyErr_NoMemory();
    if (status) return Py_BuildValue("(sO)", q5_status_name(status), Py_None);
    PyObject *claims = q5py_jwt_claims_of(self, facts);
    return claims ? Py_BuildValue("(sN)", q5_status_name(status), claims) : NULL;
}

static PyObject *verifier_get_keys(PyObject *object, void *unused) {
    (void)unused;
    return Py_NewRef(((q5py_jwt_verifier *)object)->keys);
}

static int verifier_set_keys(PyObject *object, PyObject *keys, void *unused) {
    (void)unused;
    q5py_jwt_verifier *self = (q5py_jwt_verifier *)object;
    if (!keys) PyErr_SetString(PyExc_AttributeError, "keys cannot be deleted");
    if (!keys || check_keys(self->state, keys)) return -1;
    Py_SETREF(self->keys, Py_NewRef(keys));
    if (self->cache) q5_token_cache_clear(self->cache);
    return 0;
}

static PyObject *verifier_get_revoked(PyObject *object, void *unused) {
    (void)unused;
    return Py_NewRef(((q5py_jwt_verifier *)object)->revoked);
}

/* Only str's own hash and comparison run: facts->id is an exact str. */
static bool is_revoked(void *value, void *revoked) {
    const q5py_jwt_facts *facts = value;
    return facts->id && PySet_Contains(revoked, facts->id) != 0;
}

static int verifier_set_revoked(PyObject *object, PyObject *revoked, void *unused) {
    (void)unused;
    q5py_jwt_verifier *self = (q5py_jwt_verifier *)object;
    if (!revoked || !PyFrozenSet_CheckExact(revoked)) {
        PyErr_SetString(PyExc_TypeError, "a frozenset of str is needed");
        return -1;
    }
    Py_SETREF(self->revoked, Py_NewRef(revoked));
    if (self->cache && PySet_GET_SIZE(revoked))
        q5_token_cache_remove(self->cache, is_revoked, revoked);
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *verifier_get_fresh_until(PyObject *object, void *unused) {
    (void)unused;
    return PyFloat_FromDouble(((q5py_jwt_verifier *)object)->fresh_until);
}

static int verifier_set_fresh_until(PyObject *object, PyObject *value, void *unused) {
    (void)unused;
    double seconds = value ? PyFloat_AsDouble(value) : -1;
    if (!value) PyErr_SetString(PyExc_AttributeError, "fresh_until cannot be deleted");
    if (PyErr_Occurred()) return -1;
    ((q5py_jwt_verifier *)object)->fresh_until = seconds;
    return 0;
}

/* ---- the type -------------------------------------------------------------------------------- */

static int verifier_traverse(PyObject *object, visitproc visit, void *arg) {
    q5py_jwt_verifier *self = (q5py_jwt_verifier *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->decode);
    return 0;
}

static void verifier_dealloc(PyObject *object) {
    q5py_jwt_verifier *self = (q5py_jwt_verifier *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    q5_token_cache_destroy(self->cache);
    q5_sha256_destroy(self->sha);
    PyMem_Free(self->audience_texts);
    Py_XDECREF(self->keys);
    Py_XDECREF(self->issuer);
    Py_XDECREF(self->audiences);
    Py_XDECREF(self->type);
    Py_XDECREF(self->decode);
    Py_XDECREF(self->revoked);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef verifier_methods[] = {
    {"verify", verifier_verify, METH_VARARGS, verify_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef verifier_getset[] = {
    {"keys", verifier_get_keys, verifier_set_keys,
     "A tuple of JwtKey. Setting it forgets what was verified.", NULL},
    {"revoked", verifier_get_revoked, verifier_set_revoked,
     "A frozenset of the `jti` of tokens that are refused.", NULL},
    {"fresh_until", verifier_get_fresh_until, verifier_set_fresh_until,
     "When guards are to renew `revoked`, in time.monotonic()'s seconds; inf at first.", NULL},
    {0},
};

static PyType_Slot verifier_slots[] = {
    {Py_tp_doc,
     "JwtVerifier(keys, decode, *, typed=False, issuer=None, audiences=None, typ=None,\n"
     "needs_expiry=True, leeway=0, age_max=0, cache_size=0)\n\ndecode(payload: bytes) gives the\n"
     "claims, a dict unless they are typed; what it raises refuses the token. Times are seconds;\n"
     "age_max of 0: any age."},
    {Py_tp_new, verifier_new},
    {Py_tp_traverse, verifier_traverse},
    {Py_tp_dealloc, verifier_dealloc},
    {Py_tp_methods, verifier_methods},
    {Py_tp_getset, verifier_getset},
    {0, NULL},
};

static PyType_Spec verifier_spec = {
    .name = "_quintette.JwtVerifier",
    .basicsize = sizeof(q5py_jwt_verifier),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = verifier_slots,
};

int q5py_init_jwt(PyObject *module, q5py_state *state) {
    if (q5py_init_jwt_key(module, state) || q5py_init_jwt_claims(module, state)) return -1;
    state->jwt_verifier_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &verifier_spec, NULL);
    if (!state->jwt_verifier_type || PyModule_AddType(module, state->jwt_verifier_type)) return -1;
    return q5py_init_jwt_guard(module, state);
}
