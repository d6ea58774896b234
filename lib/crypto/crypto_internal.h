/* What the files of lib/crypto know of one another. */
#ifndef Q5_CRYPTO_INTERNAL_H
#define Q5_CRYPTO_INTERNAL_H

#include <openssl/evp.h>

#include "q5/jws_key.h"

typedef enum q5__jws_family {
    Q5__JWS_HMAC,
    Q5__JWS_RSA,     /* PKCS #1 1.5 */
    Q5__JWS_RSA_PSS, /* salt as long as the digest (RFC 7518, 3.5) */
    Q5__JWS_ECDSA,
    Q5__JWS_EDDSA
} q5__jws_family;

typedef struct q5__jws_facts {
    const char *digest; /* OpenSSL's name; NULL: part of the algorithm */
    const char *group;  /* of ECDSA, as OpenSSL calls it */
    q5__jws_family family;
    uint8_t size; /* bytes of a digest (HMAC), or of a coordinate (ECDSA) */
} q5__jws_facts;

/* By q5_jws_alg. */
extern const q5__jws_facts q5__jws_facts_of[Q5_JWS_ALG_COUNT];

struct q5_jws_key {
    const q5_alloc *alloc;
    q5_jws_alg alg;
    bool signs;
    EVP_MAC_CTX *mac; /* HMAC, with the key absorbed */
    EVP_PKEY *pkey;   /* all others */
};

/* Takes pkey over in every case. Decides on the algorithm and checks that the key is good for it:
 * what the functions in jws_key.h say. */
int q5__jws_key_adopt(const q5_alloc *alloc, q5_jws_alg alg, EVP_PKEY *pkey, bool signs,
                      q5_jws_key **ret_key);

/* An operation on the key is set up for its digest and padding; NULL: out of memory. */
EVP_MD_CTX *q5__jws_begin(const q5_jws_key *key, bool sign);

/* The MAC of a text in out[EVP_MAX_MD_SIZE]; Q5_OK or Q5_ENOMEM. */
int q5__jws_mac(q5_jws_key *key, q5_slice text, unsigned char *out);

#endif
