/* Keys from PEM and from the members of a JWK. */
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include "crypto/crypto_internal.h"

/* Without it libcrypto would ask at the terminal for an encrypted key's password. */
static int no_password(char *out, int size, int writing, void *unused) {
    (void)out;
    (void)size;
    (void)writing;
    (void)unused;
    return -1;
}

int q5_jws_key_from_pem(const q5_alloc *alloc, q5_jws_alg alg, q5_slice pem, q5_jws_key **ret_key) {
    if (pem.len == 0 || pem.len > Q5_JWS_KEY_TEXT_MAX) return Q5_EKEY;
    BIO *bio = BIO_new_mem_buf(pem.base, (int)pem.len);
    if (!bio) return Q5_ENOMEM;
    bool signs = false;
    EVP_PKEY *pkey = PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL);
    if (!pkey) {
        (void)BIO_reset(bio);
        pkey = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
        signs = true;
    }
    BIO_free(bio);
    ERR_clear_error();
    return pkey ? q5__jws_key_adopt(alloc, alg, pkey, signs, ret_key) : Q5_EKEY;
}

/* Takes params over. NULL: they are no public key of that type. */
static EVP_PKEY *from_params(const char *type, OSSL_PARAM *params) {
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *ctx = params ? EVP_PKEY_CTX_new_from_name(NULL, type, NULL) : NULL;
    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return pkey;
}

int q5_jws_key_from_rsa(const q5_alloc *alloc, q5_jws_alg alg, q5_slice modulus, q5_slice exponent,
                        q5_jws_key **ret_key) {
    if (modulus.len == 0 || modulus.len > Q5_JWS_RSA_BITS_MAX / 8 || exponent.len == 0 ||
        exponent.len > 8)
        return Q5_EKEY;
    BIGNUM *n = BN_bin2bn((const unsigned char *)modulus.base, (int)modulus.len, NULL);
    BIGNUM *e = BN_bin2bn((const unsigned char *)exponent.base, (int)exponent.len, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    if (n && e && build && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY *pkey = from_params("RSA", params);
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    BN_free(e);
    ERR_clear_error();
    return pkey ? q5__jws_key_adopt(alloc, alg, pkey, false, ret_key) : Q5_EKEY;
}

/* NULL: an unknown curve. */
static const q5__jws_facts *facts_of_curve(q5_slice curve) {
    static const struct {
        q5_slice name;
        q5_jws_alg alg;
    } curves[] = {
        {{"P-256", 5}, Q5_JWS_ES256},
        {{"P-384", 5}, Q5_JWS_ES384},
        {{"P-521", 5}, Q5_JWS_ES512},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(curves); i++)
        if (q5_slice_eq(curves[i].name, curve)) return &q5__jws_facts_of[curves[i].alg];
    return NULL;
}

int q5_jws_key_from_point(const q5_alloc *alloc, q5_jws_alg alg, q5_slice curve, q5_slice x,
                          q5_slice y, q5_jws_key **ret_key) {
    const q5__jws_facts *facts = facts_of_curve(curve);
    /* "The length of this octet string MUST be the full size of a coordinate" (RFC 7518, 6.2.1.2)
     */
    if (!facts || x.len != facts->size || y.len != facts->size) return Q5_EKEY;
    unsigned char point[1 + 2 * 66] = {POINT_CONVERSION_UNCOMPRESSED};
    memcpy(point + 1, x.base, x.len);
    memcpy(point + 1 + x.len, y.base, y.len);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    if (build &&
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, facts->group, 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point,
                                         1 + x.len + y.len) == 1)
        params = OSSL_PARAM_BLD_to_param(build);
    /* Refuses what is not on the curve. */
    EVP_PKEY *pkey = from_params("EC", params);
    OSSL_PARAM_BLD_free(build);
    ERR_clear_error();
    return pkey ? q5__jws_key_adopt(alloc, alg, pkey, false, ret_key) : Q5_EKEY;
}

int q5_jws_key_from_octets(const q5_alloc *alloc, q5_jws_alg alg, q5_slice curve, q5_slice x,
                           q5_jws_key **ret_key) {
    const char *type = q5_slice_eq(curve, Q5_LIT("Ed25519")) ? "ED25519"
                       : q5_slice_eq(curve, Q5_LIT("Ed448")) ? "ED448"
                                                             : NULL;
    if (!type) return Q5_EKEY;
    /* Refuses another length than the curve's. */
    EVP_PKEY *pkey =
        EVP_PKEY_new_raw_public_key_ex(NULL, type, NULL, (const unsigned char *)x.base, x.len);
    ERR_clear_error();
    return pkey ? q5__jws_key_adopt(alloc, alg, pkey, false, ret_key) : Q5_EKEY;
}
