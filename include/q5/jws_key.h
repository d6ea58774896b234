/* Keys of signed tokens (RFC 7515, 7518, 8037), by OpenSSL's libcrypto: in a library of its own,
 * q5_crypto, so that libq5 needs none. A key is pinned to one algorithm for as long as it lives,
 * and what a token's header says can only agree with it.
 *
 * A key is used by one thread at a time. Nothing is left in libcrypto's queue of errors. */
#ifndef Q5_JWS_KEY_H
#define Q5_JWS_KEY_H

#include "q5/alloc.h"
#include "q5/buf.h"
#include "q5/jws.h"

#define Q5_JWS_RSA_BITS_MIN 2048 /* RFC 7518, 3.3 and 3.5 */
#define Q5_JWS_RSA_BITS_MAX 8192 /* time grows with the cube */
#define Q5_JWS_KEY_TEXT_MAX (32 * 1024)

typedef struct q5_jws_key q5_jws_key;

/* Each makes a key that q5_jws_key_destroy frees; what it was made of is copied. `alg` of
 * Q5_JWS_ALG_NONE stands for the usual one of the key's type: HS256, RS256, that of the curve.
 * Q5_OK, or (*ret_key untouched) Q5_ENOMEM, Q5_EKEY_SHORT, Q5_EKEY: malformed, of a type that the
 * algorithm is not for, too large, or not on its curve. */

/* HS256, HS384, HS512: at least as many bytes as the digest has (RFC 7518, 3.2). What looks like
 * a public key's text is no secret: Q5_EKEY. */
Q5_EXTERN int q5_jws_key_from_secret(const q5_alloc *alloc, q5_jws_alg alg, q5_slice secret,
                                     q5_jws_key **ret_key);
/* A public key (SubjectPublicKeyInfo) or a private one (PKCS 8 and older forms, not encrypted). */
Q5_EXTERN int q5_jws_key_from_pem(const q5_alloc *alloc, q5_jws_alg alg, q5_slice pem,
                                  q5_jws_key **ret_key);
/* Members of a JWK (RFC 7518, 6; RFC 8037, 2), decoded from base64url. */
Q5_EXTERN int q5_jws_key_from_rsa(const q5_alloc *alloc, q5_jws_alg alg, q5_slice modulus,
                                  q5_slice exponent, q5_jws_key **ret_key);
/* `curve`: P-256, P-384, P-521; x and y have the length that the curve asks for. */
Q5_EXTERN int q5_jws_key_from_point(const q5_alloc *alloc, q5_jws_alg alg, q5_slice curve,
                                    q5_slice x, q5_slice y, q5_jws_key **ret_key);
/* `curve`: Ed25519, Ed448. */
Q5_EXTERN int q5_jws_key_from_octets(const q5_alloc *alloc, q5_jws_alg alg, q5_slice curve,
                                     q5_slice x, q5_jws_key **ret_key);
/* NULL is fine. Secrets are overwritten. */
Q5_EXTERN void q5_jws_key_destroy(q5_jws_key *key);

Q5_EXTERN q5_jws_alg q5_jws_key_alg(const q5_jws_key *key);
/* Whether it can sign: a secret or a private key. */
Q5_EXTERN bool q5_jws_key_signs(const q5_jws_key *key);

/* Q5_OK; Q5_ETOKEN_ALG: the header names another algorithm than the key's; Q5_ETOKEN_SIGNATURE;
 * Q5_ENOMEM. Secrets are compared in constant time. */
Q5_EXTERN int q5_jws_key_verify(q5_jws_key *key, const q5_jws *jws);
/* Appends the signature of a header '.' payload. Q5_OK, Q5_EKEY (it cannot sign) or Q5_ENOMEM; the
 * buffer is as it was then. */
Q5_EXTERN int q5_jws_key_sign(q5_jws_key *key, q5_slice text, q5_buf *signature);

#endif
