#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "crypto/crypto_internal.h"

int q5__jws_mac(q5_jws_key *key, q5_slice text, unsigned char *out) {
    size_t len;
    /* Without a key: from the state behind the one that it was made with. */
    if (EVP_MAC_init(key->mac, NULL, 0, NULL) == 1 &&
        EVP_MAC_update(key->mac, (const unsigned char *)text.base, text.len) == 1 &&
        EVP_MAC_final(key->mac, out, &len, EVP_MAX_MD_SIZE) == 1)
        return Q5_OK;
    ERR_clear_error();
    return Q5_ENOMEM;
}

static bool set_padding(const q5__jws_facts *facts, EVP_PKEY_CTX *ctx) {
    if (facts->family == Q5__JWS_RSA)
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
    if (facts->family != Q5__JWS_RSA_PSS) return true;
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, facts->digest, NULL) == 1;
}

EVP_MD_CTX *q5__jws_begin(const q5_jws_key *key, bool sign) {
    const q5__jws_facts *facts = &q5__jws_facts_of[key->alg];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *padding;
    if (ctx &&
        (sign ? EVP_DigestSignInit_ex : EVP_DigestVerifyInit_ex)(ctx, &padding, facts->digest, NULL,
                                                                 NULL, key->pkey, NULL) == 1 &&
        set_padding(facts, padding))
        return ctx;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return NULL;
}

/* A signature in two numbers of fixed length (RFC 7518, 3.4) as libcrypto wants it; *ret_der is to
 * be freed by OPENSSL_free. Its length; 0: it cannot be one; -1: out of memory. */
static int der_of(q5_slice raw, size_t size, unsigned char **ret_der) {
    if (raw.len != 2 * size) return 0;
    const unsigned char *bytes = (const unsigned char *)raw.base;
    BIGNUM *r = BN_bin2bn(bytes, (int)size, NULL);
    BIGNUM *s = BN_bin2bn(bytes + size, (int)size, NULL);
    ECDSA_SIG *pair = r && s ? ECDSA_SIG_new() : NULL;
    int len = -1;
    /* Zero is no signature (CVE-2022-21449); libcrypto knows, and should not have to be asked. */
    if (pair && (BN_is_zero(r) || BN_is_zero(s))) {
        len = 0;
    } else if (pair && ECDSA_SIG_set0(pair, r, s) == 1) {
        r = s = NULL; /* the pair's now */
        *ret_der = NULL;
        len = i2d_ECDSA_SIG(pair, ret_der);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(pair);
    return len;
}

static int verify(const q5_jws_key *key, q5_slice text, const unsigned char *signature,
                  size_t len) {
    EVP_MD_CTX *ctx = q5__jws_begin(key, false);
    if (!ctx) return Q5_ENOMEM;
    int ok = EVP_DigestVerify(ctx, signature, len, (const unsigned char *)text.base, text.len);
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return ok == 1 ? Q5_OK : Q5_ETOKEN_SIGNATURE;
}

static int verify_mac(q5_jws_key *key, const q5_jws *jws, size_t size) {
    unsigned char mac[EVP_MAX_MD_SIZE];
    int status = q5__jws_mac(key, jws->signed_text, mac);
    if (status) return status;
    bool same = jws->signature.len == size && CRYPTO_memcmp(mac, jws->signature.base, size) == 0;
    OPENSSL_cleanse(mac, sizeof(mac));
    return same ? Q5_OK : Q5_ETOKEN_SIGNATURE;
}

int q5_jws_key_verify(q5_jws_key *key, const q5_jws *jws) {
    if (jws->alg != key->alg) return Q5_ETOKEN_ALG;
    const q5__jws_facts *facts = &q5__jws_facts_of[key->alg];
    if (facts->family == Q5__JWS_HMAC) return verify_mac(key, jws, facts->size);
    if (facts->family != Q5__JWS_ECDSA)
        return verify(key, jws->signed_text, (const unsigned char *)jws->signature.base,
                      jws->signature.len);
    unsigned char *der = NULL;
    int len = der_of(jws->signature, facts->size, &der);
    if (len < 0) {
        ERR_clear_error();
        return Q5_ENOMEM;
    }
    int status = len ? verify(key, jws->signed_text, der, (size_t)len) : Q5_ETOKEN_SIGNATURE;
    OPENSSL_free(der);
    return status;
}
