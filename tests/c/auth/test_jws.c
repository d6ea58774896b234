#include "q5/jws.h"

#include "q5/base64url.h"
#include "q5test.h"

#define KID_256                                                                                    \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaaaaaaaaa"                                                                                 \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaaaaaaaaa"                                                                                 \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* Headers in clear, in front of the payload "{}" and a signature of one byte. */
static const struct header_row {
    const char *why;
    const char *header;
    int status;
} header_rows[] = {
    {"nothing else is needed", "{\"alg\":\"HS256\"}", Q5_OK},
    {"an escape is as good (RFC 8259, 8.3)", "{\"\\u0061lg\":\"HS256\"}", Q5_OK},
    {"what is not known is ignored (RFC 7515, 4.2)", "{\"alg\":\"HS256\",\"x\":{\"y\":[1]}}",
     Q5_OK},
    {"keys in the header are not looked at (CVE-2018-0114)",
     "{\"alg\":\"RS256\",\"jwk\":{\"kty\":\"RSA\"},\"jku\":\"https://evil.example/\"}", Q5_OK},
    {"the longest kid", "{\"alg\":\"HS256\",\"kid\":\"" KID_256 "\"}", Q5_OK},
    {"a longer kid", "{\"alg\":\"HS256\",\"kid\":\"" KID_256 "a\"}", Q5_ETOKEN},
    {"none (CVE-2015-9235)", "{\"alg\":\"none\"}", Q5_ETOKEN_ALG},
    {"None", "{\"alg\":\"None\"}", Q5_ETOKEN_ALG},
    {"nOnE (CVE-2020-28042)", "{\"alg\":\"nOnE\"}", Q5_ETOKEN_ALG},
    {"NONE", "{\"alg\":\"NONE\"}", Q5_ETOKEN_ALG},
    {"nothing", "{\"alg\":\"\"}", Q5_ETOKEN_ALG},
    {"names have a case (RFC 7515, 4.1.1)", "{\"alg\":\"hs256\"}", Q5_ETOKEN_ALG},
    {"encryption is no signature", "{\"alg\":\"RSA-OAEP\",\"enc\":\"A128GCM\"}", Q5_ETOKEN_ALG},
    {"a NUL behind the name", "{\"alg\":\"HS256\\u0000\"}", Q5_ETOKEN_ALG},
    {"no alg", "{\"typ\":\"JWT\"}", Q5_ETOKEN},
    {"alg is null", "{\"alg\":null}", Q5_ETOKEN},
    {"alg is a list", "{\"alg\":[\"HS256\"]}", Q5_ETOKEN},
    {"alg twice (RFC 7515, 5.2.4)", "{\"alg\":\"none\",\"alg\":\"HS256\"}", Q5_ETOKEN},
    {"alg twice, spelt differently", "{\"alg\":\"HS256\",\"al\\u0067\":\"none\"}", Q5_ETOKEN},
    {"kid is a number", "{\"alg\":\"HS256\",\"kid\":1}", Q5_ETOKEN},
    {"kid is an object (injection)", "{\"alg\":\"HS256\",\"kid\":{\"$ne\":\"\"}}", Q5_ETOKEN},
    {"typ is a number", "{\"alg\":\"HS256\",\"typ\":1}", Q5_ETOKEN},
    {"crit (RFC 7515, 4.1.11; CVE-2025-59420)", "{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}",
     Q5_ETOKEN_CRIT},
    {"crit is empty, which it must not be", "{\"alg\":\"HS256\",\"crit\":[]}", Q5_ETOKEN_CRIT},
    {"crit that is no list", "{\"alg\":\"HS256\",\"crit\":null}", Q5_ETOKEN_CRIT},
    {"an unencoded payload (RFC 7797, 6)", "{\"alg\":\"HS256\",\"b64\":false}", Q5_ETOKEN_CRIT},
    {"no object", "\"HS256\"", Q5_ETOKEN},
    {"a list", "[{\"alg\":\"HS256\"}]", Q5_ETOKEN},
    {"nothing", "", Q5_ETOKEN},
    {"something behind it", "{\"alg\":\"HS256\"}x", Q5_ETOKEN},
    {"more members than may be",
     "{\"alg\":\"HS256\",\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,"
     "\"j\":1,\"k\":1,\"l\":1,\"m\":1,\"n\":1,\"o\":1,\"p\":1}",
     Q5_ETOKEN},
};

static void test_headers(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(header_rows); i++) {
        char token[1024], room[1024];
        q5_slice header = q5_slice_make(header_rows[i].header, strlen(header_rows[i].header));
        size_t len = q5_base64url_encoded_len(header.len);
        q5_base64url_encode(header, token);
        memcpy(token + len, ".e30.AA", 7);
        q5_jws jws = {.alg = Q5_JWS_ALG_COUNT};
        int status = q5_jws_parse(q5_slice_make(token, len + 7), room, &jws);
        if (status != header_rows[i].status)
            fail_msg("%s: %s", header_rows[i].why, q5_status_name(status));
        if (status) assert_int_equal(jws.alg, Q5_JWS_ALG_COUNT);
    }
}

/* eyJhbGciOiJIUzI1NiJ9 is {"alg":"HS256"}. */
static const struct token_row {
    const char *why;
    const char *token;
    int status;
} token_rows[] = {
    {"as it should be", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA", Q5_OK},
    {"an empty payload and signature are for others to judge", "eyJhbGciOiJIUzI1NiJ9..", Q5_OK},
    {"nothing", "", Q5_ETOKEN},
    {"one part", "eyJhbGciOiJIUzI1NiJ9", Q5_ETOKEN},
    {"two parts", "eyJhbGciOiJIUzI1NiJ9.e30", Q5_ETOKEN},
    {"four parts", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA.AAAA", Q5_ETOKEN},
    {"five parts: encrypted (RFC 7516)", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA.AAAA.AAAA", Q5_ETOKEN},
    {"a dot at the end", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA.", Q5_ETOKEN},
    {"padding", "eyJhbGciOiJIUzI1NiJ9.e30=.AAAA", Q5_ETOKEN},
    {"padding of the signature", "eyJhbGciOiJIUzI1NiJ9.e30.AA==", Q5_ETOKEN},
    {"the signature spelt differently", "eyJhbGciOiJIUzI1NiJ9.e30.AB", Q5_ETOKEN},
    {"the other base64", "eyJhbGciOiJIUzI1NiJ9.e30.A+/A", Q5_ETOKEN},
    {"white space in front", " eyJhbGciOiJIUzI1NiJ9.e30.AAAA", Q5_ETOKEN},
    {"white space behind", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA ", Q5_ETOKEN},
    {"the header in clear", "{\"alg\":\"HS256\"}.e30.AAAA", Q5_ETOKEN},
    {"JSON serialization (RFC 7515, 7.2)", "{\"payload\":\"e30\"}", Q5_ETOKEN},
};

static void test_tokens(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(token_rows); i++) {
        char room[128];
        q5_jws jws;
        q5_slice token = q5_slice_make(token_rows[i].token, strlen(token_rows[i].token));
        int status = q5_jws_parse(token, room, &jws);
        if (status != token_rows[i].status)
            fail_msg("%s: %s", token_rows[i].why, q5_status_name(status));
    }
}

/* RFC 7515, A.1. */
static void test_parts(void **state) {
    (void)state;
    static const char token[] =
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
        ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0"
        "cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    char room[sizeof(token)];
    q5_jws jws;
    assert_status(q5_jws_parse(Q5_LIT(token), room, &jws), Q5_OK);
    assert_int_equal(jws.alg, Q5_JWS_HS256);
    assert_slice(jws.header, "{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}");
    assert_slice(
        jws.payload,
        "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}");
    assert_int_equal(jws.signature.len, 32);
    assert_int_equal(jws.signed_text.len, strrchr(token, '.') - token);
    assert_null(jws.kid.base);
    assert_true(q5_jws_type_is(&jws, Q5_LIT("jwt")));
    assert_false(q5_jws_type_is(&jws, Q5_LIT("at+jwt")));
}

static void test_type(void **state) {
    (void)state;
    static const struct {
        const char *given;
        bool same;
    } rows[] = {
        {"at+jwt", true},
        {"AT+JWT", true},
        {"application/at+jwt", true},
        {"Application/At+Jwt", true},
        {"jwt", false},
        {"application/", false},
        {"xapplication/at+jwt", false},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_jws jws = {.type = q5_slice_make(rows[i].given, strlen(rows[i].given))};
        assert_int_equal(q5_jws_type_is(&jws, Q5_LIT("at+jwt")), rows[i].same);
    }
    q5_jws without = {.type = q5_slice_make(NULL, 0)};
    assert_false(q5_jws_type_is(&without, Q5_LIT("")));
}

static void test_long(void **state) {
    (void)state;
    static char token[Q5_JWS_TOKEN_MAX + 1], room[sizeof(token)];
    q5_jws jws;
    memset(token, 'A', sizeof(token));
    assert_status(q5_jws_parse(q5_slice_make(token, sizeof(token)), room, &jws), Q5_ETOKEN_LONG);
    assert_status(q5_jws_parse(q5_slice_make(token, sizeof(token) - 1), room, &jws), Q5_ETOKEN);
    /* A header that is long, and a JSON object. */
    token[0] = ' ';
    memset(token, ' ', Q5_JWS_HEADER_MAX + 1);
    memcpy(token, "{\"alg\":\"HS256\"}", 15);
    static char whole[Q5_JWS_TOKEN_MAX];
    size_t len = q5_base64url_encoded_len(Q5_JWS_HEADER_MAX + 1);
    q5_base64url_encode(q5_slice_make(token, Q5_JWS_HEADER_MAX + 1), whole);
    memcpy(whole + len, ".e30.AA", 7);
    assert_status(q5_jws_parse(q5_slice_make(whole, len + 7), room, &jws), Q5_ETOKEN);
}

static void test_names(void **state) {
    (void)state;
    for (q5_jws_alg alg = Q5_JWS_ALG_NONE + 1; alg < Q5_JWS_ALG_COUNT; alg++) {
        const char *name = q5_jws_alg_name(alg);
        assert_int_equal(q5_jws_alg_find(q5_slice_make(name, strlen(name))), alg);
    }
    assert_string_equal(q5_jws_alg_name(Q5_JWS_ALG_NONE), "");
    assert_string_equal(q5_jws_alg_name(Q5_JWS_ALG_COUNT), "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers), cmocka_unit_test(test_tokens), cmocka_unit_test(test_parts),
        cmocka_unit_test(test_type),    cmocka_unit_test(test_long),   cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
