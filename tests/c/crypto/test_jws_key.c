#include "q5/jws_key.h"

#include "q5/base64url.h"
#include "q5test.h"

#define CLAIMS                                                                                     \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ"

/* Members of JWKs, decoded where they are. */
typedef struct part {
    char bytes[512];
    q5_slice slice;
} part;

static q5_slice decode(part *to, const char *text) {
    size_t len;
    assert_status(q5_base64url_decode(q5_slice_make(text, strlen(text)), to->bytes, &len), Q5_OK);
    to->slice = q5_slice_make(to->bytes, len);
    return to->slice;
}

/* RFC 7515, A.1 */
static q5_jws_key *secret_key(void) {
    part k;
    q5_jws_key *key;
    decode(&k, "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9C"
               "Aow");
    assert_status(q5_jws_key_from_secret(NULL, Q5_JWS_HS256, k.slice, &key), Q5_OK);
    return key;
}

/* RFC 7515, A.2 */
static q5_jws_key *rsa_key(q5_jws_alg alg) {
    part n, e;
    q5_jws_key *key;
    decode(&n,
           "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPME"
           "zP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf6"
           "3kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwK"
           "h9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyu"
           "XpoQ");
    decode(&e, "AQAB");
    assert_status(q5_jws_key_from_rsa(NULL, alg, n.slice, e.slice, &key), Q5_OK);
    return key;
}

/* RFC 7515, A.3 */
#define EC_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define EC_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"

static q5_jws_key *ec_key(void) {
    part x, y;
    q5_jws_key *key;
    decode(&x, EC_X);
    decode(&y, EC_Y);
    assert_status(
        q5_jws_key_from_point(NULL, Q5_JWS_ALG_NONE, Q5_LIT("P-256"), x.slice, y.slice, &key),
        Q5_OK);
    return key;
}

/* RFC 8037, A.2 */
static q5_jws_key *ed_key(void) {
    part x;
    q5_jws_key *key;
    decode(&x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    assert_status(q5_jws_key_from_octets(NULL, Q5_JWS_ALG_NONE, Q5_LIT("Ed25519"), x.slice, &key),
                  Q5_OK);
    return key;
}

static q5_jws_key *rs256_key(void) {
    return rsa_key(Q5_JWS_ALG_NONE);
}

static q5_jws_key *ps256_key(void) {
    return rsa_key(Q5_JWS_PS256);
}

#define HS256 "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." CLAIMS "."
#define HS256_PLAIN "eyJhbGciOiJIUzI1NiJ9." CLAIMS "."
#define RS256 "eyJhbGciOiJSUzI1NiJ9." CLAIMS "."
#define ES256 "eyJhbGciOiJFUzI1NiJ9." CLAIMS "."
#define EDDSA "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
#define RS256_SIGNATURE                                                                     \
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_" \
    "O8W2Fp5ju"                                                                             \
    "jGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"                                      \
    "nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07"                                        \
    "Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-"                                           \
    "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipU"                                   \
    "TI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
#define ES256_R "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmU"
#define ES256_SIGNATURE \
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
#define ZEROS_64 \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static const struct row {
    const char *why;
    q5_jws_key *(*key)(void);
    const char *token;
    int status;
} rows[] = {
    {"RFC 7515, A.1", secret_key, HS256 "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", Q5_OK},
    {"RFC 7515, A.2", rs256_key, RS256 RS256_SIGNATURE, Q5_OK},
    {"RFC 7515, A.3", ec_key, ES256 ES256_SIGNATURE, Q5_OK},
    {"RFC 8037, A.5", ed_key,
     EDDSA "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
     Q5_OK},
    {"the same bytes, spelt differently", secret_key,
     HS256 "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl", Q5_ETOKEN},
    {"one bit", secret_key, HS256 "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXg",
     Q5_ETOKEN_SIGNATURE},
    {"a part of the digest", secret_key, HS256 "dBjftJeZ4CVP-mB92K27ug", Q5_ETOKEN_SIGNATURE},
    {"the digest and a byte", secret_key, HS256 "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXkA",
     Q5_ETOKEN_SIGNATURE},
    {"no signature", secret_key, HS256, Q5_ETOKEN_SIGNATURE},
    {"no signature, RSA", rs256_key, RS256, Q5_ETOKEN_SIGNATURE},
    {"no signature, Ed25519", ed_key, EDDSA, Q5_ETOKEN_SIGNATURE},
    {"an HMAC for an RSA key (CVE-2015-9235)", rs256_key, HS256_PLAIN "AAAA", Q5_ETOKEN_ALG},
    {"an HMAC for an EC key (CVE-2022-29217)", ec_key, HS256_PLAIN "AAAA", Q5_ETOKEN_ALG},
    {"an RSA signature for a secret", secret_key, RS256 RS256_SIGNATURE, Q5_ETOKEN_ALG},
    {"the other padding than the key's", ps256_key, RS256 RS256_SIGNATURE, Q5_ETOKEN_ALG},
    {"zeros (CVE-2022-21449)", ec_key, ES256 ZEROS_64, Q5_ETOKEN_SIGNATURE},
    {"one number only", ec_key, ES256 ES256_R, Q5_ETOKEN_SIGNATURE},
    {"no signature, EC", ec_key, ES256, Q5_ETOKEN_SIGNATURE},
    {"DER, which OpenSSL would take", ec_key, ES256 "MAYCAQECAQE", Q5_ETOKEN_SIGNATURE},
    {"EC with a zero behind it", ec_key, ES256 ES256_SIGNATURE "AA", Q5_ETOKEN_SIGNATURE},
};

static void test_verify(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        char room[2048];
        q5_jws jws;
        q5_jws_key *key = rows[i].key();
        int status = q5_jws_parse(q5_slice_make(rows[i].token, strlen(rows[i].token)), room, &jws);
        if (status == Q5_OK) status = q5_jws_key_verify(key, &jws);
        if (status != rows[i].status) fail_msg("%s: %s", rows[i].why, q5_status_name(status));
        q5_jws_key_destroy(key);
    }
}

static void test_hmac_signs(void **state) {
    (void)state;
    q5_jws_key *key = secret_key();
    q5_buf out;
    q5_buf_init(&out, NULL);
    assert_true(q5_jws_key_signs(key));
    /* Twice: the state behind the key is there again. */
    for (int turn = 0; turn < 2; turn++) {
        char text[64];
        out.len = 0;
        assert_status(q5_jws_key_sign(key, q5_slice_make(HS256, sizeof(HS256) - 2), &out), Q5_OK);
        q5_base64url_encode(q5_buf_slice(&out), text);
        assert_memory_equal(text, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", 43);
    }
    q5_buf_deinit(&out);
    q5_jws_key_destroy(key);
}

static void test_public_keys_sign_nothing(void **state) {
    (void)state;
    q5_jws_key *(*const makers[])(void) = {rs256_key, ps256_key, ec_key, ed_key};
    for (size_t i = 0; i < Q5_ARRAY_LEN(makers); i++) {
        q5_buf out;
        q5_buf_init(&out, NULL);
        q5_jws_key *key = makers[i]();
        assert_false(q5_jws_key_signs(key));
        assert_status(q5_jws_key_sign(key, Q5_LIT("x"), &out), Q5_EKEY);
        assert_int_equal(out.len, 0);
        q5_jws_key_destroy(key);
    }
}

/* RFC 7518, 3.2. */
static void test_secrets(void **state) {
    (void)state;
    static const char bytes[64] =
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    static const struct {
        q5_jws_alg alg;
        size_t len;
        int status;
    } lengths[] = {
        {Q5_JWS_HS256, 31, Q5_EKEY_SHORT}, {Q5_JWS_HS256, 32, Q5_OK},
        {Q5_JWS_HS384, 47, Q5_EKEY_SHORT}, {Q5_JWS_HS384, 48, Q5_OK},
        {Q5_JWS_HS512, 63, Q5_EKEY_SHORT}, {Q5_JWS_HS512, 64, Q5_OK},
        {Q5_JWS_ALG_NONE, 32, Q5_OK},      {Q5_JWS_RS256, 64, Q5_EKEY},
        {Q5_JWS_EDDSA, 64, Q5_EKEY},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(lengths); i++) {
        q5_jws_key *key = NULL;
        assert_status(q5_jws_key_from_secret(NULL, lengths[i].alg,
                                             q5_slice_make(bytes, lengths[i].len), &key),
                      lengths[i].status);
        if (lengths[i].status) assert_null(key);
        q5_jws_key_destroy(key);
    }
    static const char *const public_keys[] = {
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA",
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY",
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(public_keys); i++) {
        q5_jws_key *key;
        assert_status(q5_jws_key_from_secret(NULL, Q5_JWS_HS256,
                                             q5_slice_make(public_keys[i], strlen(public_keys[i])),
                                             &key),
                      Q5_EKEY);
    }
}

static void test_bad_members(void **state) {
    (void)state;
    part n, e, x, y;
    q5_jws_key *key;
    decode(&x, EC_X);
    decode(&y, EC_Y);
    /* Not on the curve: an invalid point is no key. */
    y.bytes[31] ^= 1;
    assert_status(q5_jws_key_from_point(NULL, 0, Q5_LIT("P-256"), x.slice, y.slice, &key), Q5_EKEY);
    y.bytes[31] ^= 1;
    static const char *const curves[] = {"P-384", "P-521", "secp256k1", "p-256", ""};
    for (size_t i = 0; i < Q5_ARRAY_LEN(curves); i++)
        assert_status(q5_jws_key_from_point(NULL, 0, q5_slice_make(curves[i], strlen(curves[i])),
                                            x.slice, y.slice, &key),
                      Q5_EKEY);
    /* RFC 7518, 6.2.1.2: the full size. */
    q5_slice cut = q5_slice_make(x.bytes, 31);
    assert_status(q5_jws_key_from_point(NULL, 0, Q5_LIT("P-256"), cut, y.slice, &key), Q5_EKEY);
    static const q5_jws_alg others[] = {Q5_JWS_ES384, Q5_JWS_HS256, Q5_JWS_RS256, Q5_JWS_EDDSA};
    for (size_t i = 0; i < Q5_ARRAY_LEN(others); i++)
        assert_status(
            q5_jws_key_from_point(NULL, others[i], Q5_LIT("P-256"), x.slice, y.slice, &key),
            Q5_EKEY);
    assert_status(q5_jws_key_from_octets(NULL, 0, Q5_LIT("Ed25519"), cut, &key), Q5_EKEY);
    assert_status(q5_jws_key_from_octets(NULL, 0, Q5_LIT("X25519"), x.slice, &key), Q5_EKEY);

    memset(n.bytes, 0xff, sizeof(n.bytes));
    decode(&e, "AQAB");
    q5_slice short_n = q5_slice_make(n.bytes, Q5_JWS_RSA_BITS_MIN / 8 - 1);
    q5_slice long_n = q5_slice_make(n.bytes, Q5_JWS_RSA_BITS_MIN / 8);
    assert_status(q5_jws_key_from_rsa(NULL, 0, short_n, e.slice, &key), Q5_EKEY_SHORT);
    assert_status(q5_jws_key_from_rsa(NULL, 0, long_n, Q5_LIT("\x01"), &key), Q5_EKEY);
    assert_status(q5_jws_key_from_rsa(NULL, 0, long_n, Q5_LIT("\x02"), &key), Q5_EKEY);
    assert_status(q5_jws_key_from_rsa(NULL, 0, long_n, Q5_LIT("123456789"), &key), Q5_EKEY);
    assert_status(q5_jws_key_from_rsa(NULL, Q5_JWS_ES256, long_n, e.slice, &key), Q5_EKEY);
    assert_status(q5_jws_key_from_pem(NULL, 0, Q5_LIT("no PEM"), &key), Q5_EKEY);
    assert_status(q5_jws_key_from_pem(NULL, 0, Q5_LIT(""), &key), Q5_EKEY);
}

static int scenario(const q5_alloc *alloc, void *ctx) {
    (void)ctx;
    q5_jws_key *key;
    q5_slice secret = Q5_LIT("0123456789abcdef0123456789abcdef");
    int status = q5_jws_key_from_secret(alloc, Q5_JWS_HS256, secret, &key);
    if (status) return status;
    q5_jws_key_destroy(key);
    part x;
    decode(&x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    status = q5_jws_key_from_octets(alloc, 0, Q5_LIT("Ed25519"), x.slice, &key);
    if (status == Q5_OK) q5_jws_key_destroy(key);
    return status;
}

static void test_out_of_memory(void **state) {
    (void)state;
    failmalloc_sweep(scenario, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verify),      cmocka_unit_test(test_hmac_signs),
        cmocka_unit_test(test_secrets),     cmocka_unit_test(test_public_keys_sign_nothing),
        cmocka_unit_test(test_bad_members), cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
