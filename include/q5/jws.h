/* Signed tokens in compact form (RFC 7515, 3.1 and 7.1): taken apart, not verified. What a header
 * says about keys (jwk, jku, x5u, x5c) is never looked at: keys are the application's. */
#ifndef Q5_JWS_H
#define Q5_JWS_H

#include "q5/status.h"

#define Q5_JWS_TOKEN_MAX (16 * 1024)
#define Q5_JWS_HEADER_MAX 4096
#define Q5_JWS_HEADER_MEMBERS_MAX 16
#define Q5_JWS_KID_MAX 256

/* RFC 7518, 3.1 and RFC 8037, 3.1. "none" is not among them and never will be. */
#define Q5_JWS_ALG_MAP(XX) \
    XX(HS256, "HS256")     \
    XX(HS384, "HS384")     \
    XX(HS512, "HS512")     \
    XX(RS256, "RS256")     \
    XX(RS384, "RS384")     \
    XX(RS512, "RS512")     \
    XX(PS256, "PS256")     \
    XX(PS384, "PS384")     \
    XX(PS512, "PS512")     \
    XX(ES256, "ES256")     \
    XX(ES384, "ES384")     \
    XX(ES512, "ES512")     \
    XX(EDDSA, "EdDSA")

typedef enum q5_jws_alg {
    Q5_JWS_ALG_NONE, /* no algorithm: not "none", which is refused as any unknown name */
#define XX(id, name) Q5_JWS_##id,
    Q5_JWS_ALG_MAP(XX)
#undef XX
        Q5_JWS_ALG_COUNT
} q5_jws_alg;

/* Static storage; "" for Q5_JWS_ALG_NONE. */
Q5_EXTERN const char *q5_jws_alg_name(q5_jws_alg alg);
/* Names are case-sensitive (RFC 7515, 4.1.1). Q5_JWS_ALG_NONE: another one. */
Q5_EXTERN q5_jws_alg q5_jws_alg_find(q5_slice name);

typedef struct q5_jws {
    q5_jws_alg alg;       /* what the header says: a key has its own, and only equal ones verify */
    q5_slice kid, type;   /* strings of the header, escapes as they stand; base NULL: not there */
    q5_slice signed_text; /* header '.' payload, as sent: what the signature is over */
    q5_slice header;      /* decoded, as the next two */
    q5_slice payload;
    q5_slice signature;
} q5_jws;

/* Takes a token apart. `room` has token.len bytes and holds what was decoded: the slices of
 * *ret_jws point into the token and into it. Q5_OK, or (with *ret_jws untouched)
 * Q5_ETOKEN_LONG: more than Q5_JWS_TOKEN_MAX;
 * Q5_ETOKEN: not three parts in strict base64url, or the header is no JSON object (strict, no name
 *     twice), too large, or without `alg` as a string; a `kid` or `typ` that is no string;
 * Q5_ETOKEN_ALG: an algorithm that is not known;
 * Q5_ETOKEN_CRIT: `crit` (RFC 7515, 4.1.11: no extension is understood) or `b64` (RFC 7797). */
Q5_EXTERN int q5_jws_parse(q5_slice token, char *room, q5_jws *ret_jws);

/* Whether the header's `typ` is this media type (RFC 7515, 4.1.9): without regard to case, the
 * prefix "application/" left out or not. */
Q5_EXTERN bool q5_jws_type_is(const q5_jws *jws, q5_slice type);

#endif
