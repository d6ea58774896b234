#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>

#include "crypto/crypto_internal.h"

/* libcrypto's form into two numbers of `size` bytes each (RFC 7518, 3.4). */
static int append_raw(const unsigned char *der, size_t len, size_t size, q5_buf *out) {
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)len);
    int status = pair ? q5_buf_reserve(out, 2 * size) : Q5_ENOMEM;
    if (status == Q5_OK) {
        unsigned char *to = (unsigned char *)out->base + out->len;
        if (BN_bn2binpad(ECDSA_SIG_get0_r(pair), to, (int)size) == (int)size &&
            BN_bn2binpad(ECDSA_SIG_get0_s(pair), to + size, (int)size) == (int)size)
            out->len += 2 * size;
        else
            status = Q5_ENOMEM;
    }
    ECDSA_SIG_free(pair);
    return status;
}

static int sign(const q5_jws_key *key, q5_slice text, q5_buf *out) {
    const q5__jws_facts *facts = &q5__jws_facts_of[key->alg];
    /* The largest: RSA of Q5_JWS_RSA_BITS_MAX. */
    unsigned char signature[Q5_JWS_RSA_BITS_MAX / 8];
    size_t len = sizeof(signature);
    EVP_MD_CTX *ctx = q5__jws_begin(key, true);
    int status = Q5_ENOMEM;
    if (ctx &&
        EVP_DigestSign(ctx, signature, &len, (const unsigned char *)text.base, text.len) == 1)
        status = facts->family == Q5__JWS_ECDSA ? append_raw(signature, len, facts->size, out)
                                                : q5_buf_append(out, (const char *)signature, len);
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return status;
}

int q5_jws_key_sign(q5_jws_key *key, q5_slice text, q5_buf *signature) {
    if (!key->signs) return Q5_EKEY;
    const q5__jws_facts *facts = &q5__jws_facts_of[key->alg];
    if (facts->family != Q5__JWS_HMAC) return sign(key, text, signature);
    unsigned char mac[EVP_MAX_MD_SIZE];
    int status = q5__jws_mac(key, text, mac);
    return status ? status : q5_buf_append(signature, (const char *)mac, facts->size);
}
