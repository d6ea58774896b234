/* _quintette.JwtKey: a key pinned to one algorithm, verifies and perhaps signs. */
#include "jwt.h"

#include "q5/base64url.h"
#include "q5/json_write.h"

/* ---- construction ---------------------------------------------------------------------------- */

static PyObject *raise_key(int status, q5_jws_alg alg) {
    if (status == Q5_ENOMEM) return PyErr_NoMemory();
    if (status == Q5_EKEY_SHORT && alg >= Q5_JWS_HS256 && alg <= Q5_JWS_HS512) {
        static const int bytes[] = {32, 48, 64};
        return PyErr_Format(PyExc_ValueError,
                            "key too short: a secret for %s has %d bytes at least",
                            q5_jws_alg_name(alg), bytes[alg - Q5_JWS_HS256]);
    }
    if (status == Q5_EKEY_SHORT)
        return PyErr_Format(PyExc_ValueError, "key too short: RSA has %d bits at least",
                            Q5_JWS_RSA_BITS_MIN);
    if (alg != Q5_JWS_ALG_NONE)
        return PyErr_Format(PyExc_ValueError, "no usable key for %s", q5_jws_alg_name(alg));
    PyErr_SetString(PyExc_ValueError, "no usable key");
    return NULL;
}

/* The parts of one kind of key, as bytes. */
static int make_key(q5_slice kind, const q5_slice *parts, Py_ssize_t count, q5_jws_alg alg,
                    q5_jws_key **ret_key) {
    if (q5_slice_eq(kind, Q5_LIT("secret")) && count == 1)
        return q5_jws_key_from_secret(NULL, alg, parts[0], ret_key);
    if (q5_slice_eq(kind, Q5_LIT("pem")) && count == 1)
        return q5_jws_key_from_pem(NULL, alg, parts[0], ret_key);
    if (q5_slice_eq(kind, Q5_LIT("RSA")) && count == 2)
        return q5_jws_key_from_rsa(NULL, alg, parts[0], parts[1], ret_key);
    if (q5_slice_eq(kind, Q5_LIT("EC")) && count == 3)
        return q5_jws_key_from_point(NULL, alg, parts[0], parts[1], parts[2], ret_key);
    if (q5_slice_eq(kind, Q5_LIT("OKP")) && count == 2)
        return q5_jws_key_from_octets(NULL, alg, parts[0], parts[1], ret_key);
    return Q5_EINVAL;
}

#define PARTS_MAX 3

static int read_parts(PyObject *tuple, q5_slice *parts) {
    if (PyTuple_GET_SIZE(tuple) > PARTS_MAX) {
        PyErr_SetString(PyExc_ValueError, "too many parts");
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); i++) {
        char *base;
        Py_ssize_t len;
        if (PyBytes_AsStringAndSize(PyTuple_GET_ITEM(tuple, i), &base, &len) < 0) return -1;
        parts[i] = q5_slice_make(base, (size_t)len);
    }
    return 0;
}

/* {"alg":"HS256","typ":"JWT","kid":"..."} */
static PyObject *make_header(const q5py_jwt_key *self, q5_slice type) {
    q5_buf json;
    PyObject *out = NULL;
    const char *alg = q5_jws_alg_name(q5_jws_key_alg(self->key));
    q5_buf_init(&json, NULL);
    int status = q5_buf_append(&json, "{\"alg\":", 7);
    if (!status) status = q5_json_write_string(&json, q5_slice_make(alg, strlen(alg)));
    if (!status) status = q5_buf_append(&json, ",\"typ\":", 7);
    if (!status) status = q5_json_write_string(&json, type);
    if (!status && self->kid_text.len) status = q5_buf_append(&json, ",\"kid\":", 7);
    if (!status && self->kid_text.len) status = q5_json_write_string(&json, self->kid_text);
    if (!status) status = q5_buf_append(&json, "}", 1);
    size_t len = status ? 0 : q5_base64url_encoded_len(json.len);
    if (!status) out = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)len + 1);
    if (out) {
        q5_base64url_encode(q5_buf_slice(&json), PyBytes_AS_STRING(out));
        PyBytes_AS_STRING(out)[len] = '.';
    } else if (status) {
        PyErr_NoMemory();
    }
    q5_buf_deinit(&json);
    return out;
}

static int set_up(q5py_jwt_key *self, q5_slice kind, PyObject *tuple, const char *alg_name,
                  PyObject *kid, q5_slice type) {
    q5_slice parts[PARTS_MAX];
    q5_jws_alg alg = q5_jws_alg_find(q5_slice_make(alg_name, strlen(alg_name)));
    if (*alg_name && alg == Q5_JWS_ALG_NONE) {
        PyErr_Format(PyExc_ValueError, "unknown algorithm %s", alg_name);
        return -1;
    }
    Py_ssize_t kid_len;
    const char *kid_text = PyUnicode_AsUTF8AndSize(kid, &kid_len);
    if (!kid_text || read_parts(tuple, parts)) return -1;
    if (kid_len > Q5_JWS_KID_MAX) {
        PyErr_Format(PyExc_ValueError, "a kid has %d bytes at most", Q5_JWS_KID_MAX);
        return -1;
    }
    if (alg == Q5_JWS_ALG_NONE && q5_slice_eq(kind, Q5_LIT("secret"))) alg = Q5_JWS_HS256;
    int status = make_key(kind, parts, PyTuple_GET_SIZE(tuple), alg, &self->key);
    if (status) {
        raise_key(status, alg);
        return -1;
    }
    self->kid = Py_NewRef(kid);
    self->kid_text = q5_slice_make(kid_text, (size_t)kid_len);
    self->header = make_header(self, type);
    return self->header ? 0 : -1;
}

static PyObject *key_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"kind", "parts", "alg", "kid", "typ", NULL};
    const char *kind, *alg = "", *typ = "JWT";
    Py_ssize_t kind_len, typ_len = 3;
    PyObject *parts, *kid = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s#O!|sUs#:JwtKey", names, &kind, &kind_len,
                                     &PyTuple_Type, &parts, &alg, &kid, &typ, &typ_len))
        return NULL;
    kid = kid ? Py_NewRef(kid) : PyUnicode_FromString("");
    q5py_jwt_key *self = kid ? (q5py_jwt_key *)type->tp_alloc(type, 0) : NULL;
    if (self && set_up(self, q5_slice_make(kind, (size_t)kind_len), parts, alg, kid,
                       q5_slice_make(typ, (size_t)typ_len)))
        Py_CLEAR(self);
    Py_XDECREF(kid);
    return (PyObject *)self;
}

static void key_dealloc(PyObject *object) {
    q5py_jwt_key *self = (q5py_jwt_key *)object;
    PyTypeObject *type = Py_TYPE(object);
    q5_jws_key_destroy(self->key);
    Py_XDECREF(self->kid);
    Py_XDECREF(self->header);
    type->tp_free(object);
    Py_DECREF(type);
}

/* ---- signing --------------------------------------------------------------------------------- */

/* *text, header and payload, becomes the whole token. */
static int append_signature(q5py_jwt_key *self, q5_buf *text) {
    q5_buf signature;
    q5_buf_init(&signature, NULL);
    int status = q5_jws_key_sign(self->key, q5_buf_slice(text), &signature);
    size_t len = q5_base64url_encoded_len(signature.len);
    if (!status) status = q5_buf_reserve(text, len + 1);
    if (!status) {
        text->base[text->len] = '.';
        q5_base64url_encode(q5_buf_slice(&signature), text->base + text->len + 1);
        text->len += len + 1;
    }
    q5_buf_deinit(&signature);
    return status;
}

PyDoc_STRVAR(sign_doc, "sign(payload: bytes) -> str\n\nA token in compact form, with a header of\n"
                       "this key's. ValueError: it is a public key, or the payload is too long.");

static PyObject *key_sign(PyObject *object, PyObject *payload) {
    q5py_jwt_key *self = (q5py_jwt_key *)object;
    char *base;
    Py_ssize_t len;
    if (PyBytes_AsStringAndSize(payload, &base, &len) < 0) return NULL;
    if (len > Q5_JWS_TOKEN_MAX / 2) {
        PyErr_Format(PyExc_ValueError, "a token's claims have %d bytes at most",
                     Q5_JWS_TOKEN_MAX / 2);
        return NULL;
    }
    q5_buf text;
    q5_buf_init(&text, NULL);
    size_t encoded = q5_base64url_encoded_len((size_t)len);
    int status = q5_buf_append(&text, PyBytes_AS_STRING(self->header),
                               (size_t)PyBytes_GET_SIZE(self->header));
    if (!status) status = q5_buf_reserve(&text, encoded);
    if (!status) {
        q5_base64url_encode(q5_slice_make(base, (size_t)len), text.base + text.len);
        text.len += encoded;
        status = append_signature(self, &text);
    }
    PyObject *out = status ? NULL : PyUnicode_DecodeASCII(text.base, (Py_ssize_t)text.len, NULL);
    q5_buf_deinit(&text);
    if (status == Q5_EKEY) PyErr_SetString(PyExc_ValueError, "a public key signs nothing");
    if (status && status != Q5_EKEY) PyErr_NoMemory();
    return out;
}

static PyObject *key_get_alg(PyObject *object, void *unused) {
    (void)unused;
    return PyUnicode_FromString(q5_jws_alg_name(q5_jws_key_alg(((q5py_jwt_key *)object)->key)));
}

static PyObject *key_get_kid(PyObject *object, void *unused) {
    (void)unused;
    return Py_NewRef(((q5py_jwt_key *)object)->kid);
}

static PyObject *key_get_signs(PyObject *object, void *unused) {
    (void)unused;
    return PyBool_FromLong(q5_jws_key_signs(((q5py_jwt_key *)object)->key));
}

static PyMethodDef key_methods[] = {
    {"sign", key_sign, METH_O, sign_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef key_getset[] = {
    {"alg", key_get_alg, NULL, "The one algorithm that it is for.", NULL},
    {"kid", key_get_kid, NULL, "Its name in headers; '': none.", NULL},
    {"signs", key_get_signs, NULL, "Whether it is a secret or a private key.", NULL},
    {0},
};

static PyType_Slot key_slots[] = {
    {Py_tp_doc,
     "JwtKey(kind, parts, alg='', kid='', typ='JWT')\n\nkind and parts, all bytes: 'secret':\n"
     "(secret,); 'pem': (text,); 'RSA': (n, e); 'EC': (curve, x, y); 'OKP': (curve, x). Without "
     "alg\n"
     "the usual one of the key's type. ValueError: too short, malformed, or not for that\n"
     "algorithm."},
    {Py_tp_new, key_new},
    {Py_tp_dealloc, key_dealloc},
    {Py_tp_methods, key_methods},
    {Py_tp_getset, key_getset},
    {0, NULL},
};

static PyType_Spec key_spec = {
    .name = "_quintette.JwtKey",
    .basicsize = sizeof(q5py_jwt_key),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = key_slots,
};

int q5py_init_jwt_key(PyObject *module, q5py_state *state) {
    state->jwt_key_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &key_spec, NULL);
    return state->jwt_key_type ? PyModule_AddType(module, state->jwt_key_type) : -1;
}
