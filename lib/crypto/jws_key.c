/* Making keys and judging whether they are good for an algorithm. */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include "crypto/crypto_internal.h"

const q5__jws_facts q5__jws_facts_of[Q5_JWS_ALG_COUNT] = {
    [Q5_JWS_HS256] = {"SHA256", NULL, Q5__JWS_HMAC, 32},
    [Q5_JWS_HS384] = {"SHA384", NULL, Q5__JWS_HMAC, 48},
    [Q5_JWS_HS512] = {"SHA512", NULL, Q5__JWS_HMAC, 64},
    [Q5_JWS_RS256] = {"SHA256", NULL, Q5__JWS_RSA, 0},
    [Q5_JWS_RS384] = {"SHA384", NULL, Q5__JWS_RSA, 0},
    [Q5_JWS_RS512] = {"SHA512", NULL, Q5__JWS_RSA, 0},
    [Q5_JWS_PS256] = {"SHA256", NULL, Q5__JWS_RSA_PSS, 0},
    [Q5_JWS_PS384] = {"SHA384", NULL, Q5__JWS_RSA_PSS, 0},
    [Q5_JWS_PS512] = {"SHA512", NULL, Q5__JWS_RSA_PSS, 0},
    [Q5_JWS_ES256] = {"SHA256", "prime256v1", Q5__JWS_ECDSA, 32},
    [Q5_JWS_ES384] = {"SHA384", "secp384r1", Q5__JWS_ECDSA, 48},
    [Q5_JWS_ES512] = {"SHA512", "secp521r1", Q5__JWS_ECDSA, 66},
    [Q5_JWS_EDDSA] = {NULL, NULL, Q5__JWS_EDDSA, 0},
};

static q5_jws_key *make(const q5_alloc *alloc, q5_jws_alg alg, bool signs) {
    if (!alloc) alloc = q5_alloc_default();
    q5_jws_key *key = q5_calloc(alloc, sizeof(*key));
    if (!key) return NULL;
    key->alloc = alloc;
    key->alg = alg;
    key->signs = signs;
    return key;
}

void q5_jws_key_destroy(q5_jws_key *key) {
    if (!key) return;
    EVP_MAC_CTX_free(key->mac); /* overwrites what it holds */
    EVP_PKEY_free(key->pkey);
    q5_free(key->alloc, key);
}

q5_jws_alg q5_jws_key_alg(const q5_jws_key *key) {
    return key->alg;
}

bool q5_jws_key_signs(const q5_jws_key *key) {
    return key->signs;
}

/* ---- secrets --------------------------------------------------------------------------------- */

static bool begins_with(q5_slice text, const char *prefix) {
    size_t len = strlen(prefix);
    return text.len >= len && memcmp(text.base, prefix, len) == 0;
}

/* Whoever hands over a public key as a secret lets everybody sign (CVE-2015-9235 and others). */
static bool looks_public(q5_slice secret) {
    return begins_with(secret, "-----BEGIN") || begins_with(secret, "ssh-") ||
           begins_with(secret, "ecdsa-sha2-");
}

static EVP_MAC_CTX *make_mac(const char *digest, q5_slice secret) {
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t)digest, 0),
        OSSL_PARAM_construct_end(),
    };
    if (ctx && EVP_MAC_init(ctx, (const unsigned char *)secret.base, secret.len, params) == 1)
        return ctx;
    EVP_MAC_CTX_free(ctx);
    ERR_clear_error();
    return NULL;
}

int q5_jws_key_from_secret(const q5_alloc *alloc, q5_jws_alg alg, q5_slice secret,
                           q5_jws_key **ret_key) {
    if (alg == Q5_JWS_ALG_NONE) alg = Q5_JWS_HS256;
    const q5__jws_facts *facts = &q5__jws_facts_of[alg];
    if (facts->family != Q5__JWS_HMAC || looks_public(secret) || secret.len > Q5_JWS_KEY_TEXT_MAX)
        return Q5_EKEY;
    if (secret.len < facts->size) return Q5_EKEY_SHORT;
    q5_jws_key *key = make(alloc, alg, true);
    if (!key) return Q5_ENOMEM;
    key->mac = make_mac(facts->digest, secret);
    if (!key->mac) {
        q5_jws_key_destroy(key);
        return Q5_ENOMEM;
    }
    *ret_key = key;
    return Q5_OK;
}

/* ---- pairs of keys --------------------------------------------------------------------------- */

/* The usual algorithm of a key's type; Q5_JWS_ALG_NONE: it has none. */
static q5_jws_alg usual_alg(const EVP_PKEY *pkey) {
    if (EVP_PKEY_is_a(pkey, "RSA")) return Q5_JWS_RS256;
    if (EVP_PKEY_is_a(pkey, "RSA-PSS")) return Q5_JWS_PS256;
    if (EVP_PKEY_is_a(pkey, "ED25519") || EVP_PKEY_is_a(pkey, "ED448")) return Q5_JWS_EDDSA;
    char group[64];
    size_t len;
    if (!EVP_PKEY_is_a(pkey, "EC") ||
        EVP_PKEY_get_group_name(pkey, group, sizeof(group), &len) != 1)
        return Q5_JWS_ALG_NONE;
    for (q5_jws_alg alg = Q5_JWS_ES256; alg <= Q5_JWS_ES512; alg++)
        if (strcmp(q5__jws_facts_of[alg].group, group) == 0) return alg;
    return Q5_JWS_ALG_NONE;
}

/* Odd, at least 3 and at most 64 bits: a larger one only makes verifying slow. */
static bool exponent_is_sane(const EVP_PKEY *pkey) {
    BIGNUM *e = NULL;
    bool sane = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_odd(e) &&
                !BN_is_one(e) && BN_num_bits(e) <= 64;
    BN_free(e);
    return sane;
}

static int judge(const EVP_PKEY *pkey, q5_jws_alg alg) {
    q5_jws_alg usual = usual_alg(pkey);
    if (usual == Q5_JWS_ALG_NONE) return Q5_EKEY;
    q5__jws_family family = q5__jws_facts_of[alg].family;
    if (family != Q5__JWS_RSA && family != Q5__JWS_RSA_PSS) return alg == usual ? Q5_OK : Q5_EKEY;
    /* An RSA key is good for both paddings, one that says RSA-PSS for that alone. */
    if (usual != Q5_JWS_RS256 && !(usual == Q5_JWS_PS256 && family == Q5__JWS_RSA_PSS))
        return Q5_EKEY;
    int bits = EVP_PKEY_get_bits(pkey);
    if (bits < Q5_JWS_RSA_BITS_MIN) return Q5_EKEY_SHORT;
    return bits <= Q5_JWS_RSA_BITS_MAX && exponent_is_sane(pkey) ? Q5_OK : Q5_EKEY;
}

int q5__jws_key_adopt(const q5_alloc *alloc, q5_jws_alg alg, EVP_PKEY *pkey, bool signs,
                      q5_jws_key **ret_key) {
    if (alg == Q5_JWS_ALG_NONE) alg = usual_alg(pkey);
    int status = alg == Q5_JWS_ALG_NONE ? Q5_EKEY : judge(pkey, alg);
    q5_jws_key *key = status == Q5_OK ? make(alloc, alg, signs) : NULL;
    if (status == Q5_OK && !key) status = Q5_ENOMEM;
    ERR_clear_error();
    if (status) {
        EVP_PKEY_free(pkey);
        return status;
    }
    key->pkey = pkey;
    *ret_key = key;
    return Q5_OK;
}
