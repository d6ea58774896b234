#include "q5/sha256.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include "q5/status.h"

struct q5_sha256 {
    const q5_alloc *alloc;
    EVP_MD *md;
    EVP_MD_CTX *ctx;
};

q5_sha256 *q5_sha256_create(const q5_alloc *alloc) {
    if (!alloc) alloc = q5_alloc_default();
    q5_sha256 *sha = q5_calloc(alloc, sizeof(*sha));
    if (!sha) return NULL;
    sha->alloc = alloc;
    sha->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    sha->ctx = EVP_MD_CTX_new();
    if (sha->md && sha->ctx) return sha;
    ERR_clear_error();
    q5_sha256_destroy(sha);
    return NULL;
}

void q5_sha256_destroy(q5_sha256 *sha) {
    if (!sha) return;
    EVP_MD_CTX_free(sha->ctx);
    EVP_MD_free(sha->md);
    q5_free(sha->alloc, sha);
}

int q5_sha256_digest(q5_sha256 *sha, q5_slice bytes, uint8_t out[Q5_SHA256_SIZE]) {
    if (EVP_DigestInit_ex2(sha->ctx, sha->md, NULL) == 1 &&
        EVP_DigestUpdate(sha->ctx, bytes.base, bytes.len) == 1 &&
        EVP_DigestFinal_ex(sha->ctx, out, NULL) == 1)
        return Q5_OK;
    ERR_clear_error();
    return Q5_ENOMEM;
}
