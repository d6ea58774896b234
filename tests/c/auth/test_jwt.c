#include "q5/jwt.h"

#include "q5test.h"

#define NOW 1000

static const q5_slice audiences[] = {{"us", 2}, {"them", 4}};

static const q5_jwt_rules any = {.any_audience = true};
static const q5_jwt_rules strict = {.any_audience = true, .needs_expiry = true};
static const q5_jwt_rules lenient = {.any_audience = true, .leeway_s = 30};
static const q5_jwt_rules issued = {.any_audience = true, .issuer = {"https://us/", 11}};
static const q5_jwt_rules for_us = {.audiences = audiences, .audience_count = 2};
static const q5_jwt_rules for_nobody = {.audience_count = 0};
static const q5_jwt_rules young = {.any_audience = true, .age_max_s = 60, .leeway_s = 5};

/* Sections of RFC 7519. */
static const struct row {
    const char *why;
    const char *payload;
    const q5_jwt_rules *rules;
    int status;
    int64_t expires_s;
} rows[] = {
    {"nothing is claimed", "{}", &any, Q5_OK, Q5_JWT_NEVER},
    {"4.1.4: before", "{\"exp\":1001}", &any, Q5_OK, 1001},
    {"4.1.4: on", "{\"exp\":1000}", &any, Q5_ETOKEN_EXPIRED, 0},
    {"4.1.4: after", "{\"exp\":999}", &any, Q5_ETOKEN_EXPIRED, 0},
    {"a fraction is cut off", "{\"exp\":1000.9}", &any, Q5_ETOKEN_EXPIRED, 0},
    {"as Python writes floats", "{\"exp\":1001.0}", &any, Q5_OK, 1001},
    {"within the leeway", "{\"exp\":980}", &lenient, Q5_OK, 1010},
    {"outside of it", "{\"exp\":970}", &lenient, Q5_ETOKEN_EXPIRED, 0},
    {"exp is missing", "{}", &strict, Q5_ETOKEN_CLAIMS, 0},
    {"exp is null", "{\"exp\":null}", &any, Q5_ETOKEN_CLAIMS, 0},
    {"exp is a string", "{\"exp\":\"9999999999\"}", &any, Q5_ETOKEN_CLAIMS, 0},
    {"exp is true", "{\"exp\":true}", &any, Q5_ETOKEN_CLAIMS, 0},
    {"exp is before 1970", "{\"exp\":-1}", &any, Q5_ETOKEN_CLAIMS, 0},
    {"exp has an exponent", "{\"exp\":1e400}", &any, Q5_ETOKEN_CLAIMS, 0},
    {"exp overflows", "{\"exp\":99999999999999999999}", &any, Q5_ETOKEN_CLAIMS, 0},
    {"the last date", "{\"exp\":1000000000000}", &any, Q5_OK, 1000000000000},
    {"exp twice", "{\"exp\":1,\"exp\":9999}", &any, Q5_ETOKEN_CLAIMS, 0},
    {"4.1.5: on", "{\"nbf\":1000}", &any, Q5_OK, Q5_JWT_NEVER},
    {"4.1.5: before", "{\"nbf\":1001}", &any, Q5_ETOKEN_EARLY, 0},
    {"a fraction is rounded up", "{\"nbf\":1000.1}", &any, Q5_ETOKEN_EARLY, 0},
    {"nbf within the leeway", "{\"nbf\":1030}", &lenient, Q5_OK, Q5_JWT_NEVER},
    {"4.1.6: issued in the future", "{\"iat\":1001}", &any, Q5_ETOKEN_EARLY, 0},
    {"the age allowed", "{\"iat\":950,\"exp\":5000}", &young, Q5_OK, 1015},
    {"exp comes first", "{\"iat\":950,\"exp\":1002}", &young, Q5_OK, 1007},
    {"too old", "{\"iat\":935,\"exp\":5000}", &young, Q5_ETOKEN_EXPIRED, 0},
    {"of unknown age", "{\"exp\":5000}", &young, Q5_ETOKEN_CLAIMS, 0},
    {"4.1.1", "{\"iss\":\"https://us/\"}", &issued, Q5_OK, Q5_JWT_NEVER},
    {"as PHP escapes it", "{\"iss\":\"https:\\/\\/us\\/\"}", &issued, Q5_OK, Q5_JWT_NEVER},
    {"another issuer", "{\"iss\":\"https://us/evil\"}", &issued, Q5_ETOKEN_ISSUER, 0},
    {"a prefix of ours", "{\"iss\":\"https://us\"}", &issued, Q5_ETOKEN_ISSUER, 0},
    {"a list of issuers (CVE-2024-53861)", "{\"iss\":[\"https://us/\"]}", &issued, Q5_ETOKEN_CLAIMS,
     0},
    {"no issuer", "{}", &issued, Q5_ETOKEN_ISSUER, 0},
    {"4.1.3: one", "{\"aud\":\"us\"}", &for_us, Q5_OK, Q5_JWT_NEVER},
    {"4.1.3: among others", "{\"aud\":[\"x\",\"them\"]}", &for_us, Q5_OK, Q5_JWT_NEVER},
    {"others", "{\"aud\":[\"x\",\"usa\"]}", &for_us, Q5_ETOKEN_AUDIENCE, 0},
    {"nobody", "{\"aud\":[]}", &for_us, Q5_ETOKEN_AUDIENCE, 0},
    {"missing", "{}", &for_us, Q5_ETOKEN_AUDIENCE, 0},
    {"a part", "{\"aud\":\"u\"}", &for_us, Q5_ETOKEN_AUDIENCE, 0},
    {"an object with our name in it", "{\"aud\":{\"us\":1}}", &for_us, Q5_ETOKEN_CLAIMS, 0},
    {"a list with a number in it", "{\"aud\":[\"us\",1]}", &for_us, Q5_ETOKEN_CLAIMS, 0},
    {"4.1.3: for others, and we are nobody", "{\"aud\":\"us\"}", &for_nobody, Q5_ETOKEN_AUDIENCE,
     0},
    {"for nobody, as we are", "{}", &for_nobody, Q5_OK, Q5_JWT_NEVER},
    {"sub is a number (4.1.2)", "{\"sub\":1}", &any, Q5_ETOKEN_CLAIMS, 0},
    {"jti is a number (4.1.7)", "{\"jti\":1}", &any, Q5_ETOKEN_CLAIMS, 0},
    {"no JSON", "sub=1", &any, Q5_ETOKEN_CLAIMS, 0},
    {"no object", "\"claims\"", &any, Q5_ETOKEN_CLAIMS, 0},
    {"nothing", "", &any, Q5_ETOKEN_CLAIMS, 0},
};

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_jwt_claims claims = {.expires_s = -1};
        int status = q5_jwt_check(q5_slice_make(rows[i].payload, strlen(rows[i].payload)),
                                  rows[i].rules, NOW, &claims);
        if (status != rows[i].status) fail_msg("%s: %s", rows[i].why, q5_status_name(status));
        if (claims.expires_s != (status ? -1 : rows[i].expires_s)) fail_msg("%s", rows[i].why);
    }
}

static void test_strings(void **state) {
    (void)state;
    q5_jwt_claims claims;
    assert_status(q5_jwt_check(Q5_LIT("{\"sub\":\"7\",\"jti\":\"a\\u0062\"}"), &any, NOW, &claims),
                  Q5_OK);
    assert_slice(claims.subject, "7");
    assert_slice(claims.id, "a\\u0062");
    assert_status(q5_jwt_check(Q5_LIT("{}"), &any, NOW, &claims), Q5_OK);
    assert_null(claims.subject.base);
    assert_null(claims.id.base);
}

static void test_bounds(void **state) {
    (void)state;
    static char text[8192];
    for (size_t count = Q5_JWT_CLAIMS_MAX; count <= Q5_JWT_CLAIMS_MAX + 1; count++) {
        size_t len = 0;
        for (size_t i = 0; i < count; i++)
            len +=
                (size_t)snprintf(text + len, sizeof(text) - len, "%s\"m%zu\":0", i ? "," : "{", i);
        text[len++] = '}';
        q5_jwt_claims claims;
        assert_status(q5_jwt_check(q5_slice_make(text, len), &any, NOW, &claims),
                      count == Q5_JWT_CLAIMS_MAX ? Q5_OK : Q5_ETOKEN_CLAIMS);
    }
    size_t len = (size_t)snprintf(text, sizeof(text), "{\"aud\":[");
    for (size_t i = 0; i < Q5_JWT_AUDIENCES_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "\"x\",");
    len += (size_t)snprintf(text + len, sizeof(text) - len, "\"us\"]}");
    q5_jwt_claims claims;
    assert_status(q5_jwt_check(q5_slice_make(text, len), &for_us, NOW, &claims), Q5_ETOKEN_CLAIMS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
