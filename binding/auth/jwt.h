/* Tokens: keys, what verifies them, and what was found to hold.
 *
 *   jwt_key.c       _quintette.JwtKey, which signs
 *   jwt_claims.c    _quintette.Claims, one request's view of a verified token
 *   jwt_verifier.c  _quintette.JwtVerifier, with its cache
 *   jwt_guard.c     _quintette.JwtGuard, which stands before typed handlers */
#ifndef Q5PY_JWT_H
#define Q5PY_JWT_H

#include "q5py.h"

#include "q5/jws_key.h"
#include "q5/jwt.h"
#include "q5/sha256.h"
#include "q5/token_cache.h"

#define Q5PY_JWT_KEYS_MAX 64

typedef struct q5py_jwt_key {
    PyObject_HEAD q5_jws_key *key;
    PyObject *kid; /* owned str; "": none */
    q5_slice kid_text;
    PyObject *header; /* owned bytes: base64url of the header of what it signs, and a dot */
} q5py_jwt_key;

/* What holds of a verified token. Shared by the cache and requests, constant. */
typedef struct q5py_jwt_facts {
    uint32_t refs;     /* under the GIL */
    PyObject *payload; /* owned bytes */
    PyObject *id;      /* owned str, or NULL: `jti` */
    PyObject *scopes;  /* owned frozenset of str, or NULL: nobody has asked */
    int64_t expires_s; /* the leeway included; Q5_JWT_NEVER */
} q5py_jwt_facts;

/* New, of a payload that q5_jwt_check accepted: one reference; NULL with an exception. */
q5py_jwt_facts *q5py_jwt_facts_new(q5_slice payload, const q5_jwt_claims *claims);
/* Gives a reference back. */
void q5py_jwt_facts_unref(q5py_jwt_facts *facts);

typedef struct q5py_jwt_verifier {
    PyObject_HEAD q5py_state *state;
    PyObject *keys; /* owned tuple of JwtKey */
    q5_jwt_rules rules;
    PyObject *issuer, *audiences, *type; /* owned: what the slices point into */
    q5_slice type_text;                  /* base NULL: any */
    q5_slice *audience_texts;            /* owned */
    PyObject *decode;                    /* owned: payload -> claims */
    bool typed;                          /* they are of the project's type, else a dict */
    double fresh_until;                  /* monotonic seconds: `revoked` is to be renewed then */
    PyObject *revoked;                   /* owned frozenset of `jti` */
    q5_token_cache *cache;               /* of q5py_jwt_facts; NULL: none */
    q5_sha256 *sha;
} q5py_jwt_verifier;

/* Verifies a token at the time now_s. A status of q5/jws.h, q5/jws_key.h, q5/jwt.h or Q5_ENOMEM;
 * with Q5_OK *ret_facts is a new reference. No exception is set. */
int q5py_jwt_verify(q5py_jwt_verifier *self, q5_slice token, int64_t now_s,
                    q5py_jwt_facts **ret_facts);

/* What a request gets of a verified token: Claims, or an object of the project's type. New
 * reference, or NULL with an exception. Takes the reference to facts over in every case. */
PyObject *q5py_jwt_claims_of(q5py_jwt_verifier *self, q5py_jwt_facts *facts);
/* Claims; the same. */
PyObject *q5py_jwt_claims_new(q5py_state *state, q5py_jwt_facts *facts, PyObject *decode);

/* Each adds its types to the module; 0 or -1. q5py_init_jwt, behind q5py_init_auth, calls the
 * others. */
int q5py_init_jwt(PyObject *module, q5py_state *state);
int q5py_init_jwt_key(PyObject *module, q5py_state *state);
int q5py_init_jwt_claims(PyObject *module, q5py_state *state);
int q5py_init_jwt_guard(PyObject *module, q5py_state *state);

#endif
