#include "q5/jwt.h"

#include "q5/json_object.h"

/* Above it a NumericDate is nonsense; far below it sums with 32 bits stay in 64. */
#define DATE_MAX INT64_C(1000000000000)

typedef struct claims {
    q5_json_member members[Q5_JWT_CLAIMS_MAX];
    size_t count;
} claims;

static bool find_string(const claims *c, q5_slice name, q5_slice *ret_string) {
    const q5_json_value *value = q5_json_object_find(c->members, c->count, name);
    *ret_string = q5_slice_make(NULL, 0);
    if (!value) return true;
    if (value->kind == Q5_JSON_STRING) *ret_string = value->text;
    return value->kind == Q5_JSON_STRING;
}

/* A NumericDate (RFC 7519, 2): seconds, perhaps with a fraction, which is cut off or, with `up`,
 * rounded up. False: something else, or a date that no clock shows. */
static bool read_date(q5_slice text, bool up, int64_t *ret_s) {
    int64_t seconds = 0;
    size_t at = 0;
    for (; at < text.len && text.base[at] >= '0' && text.base[at] <= '9'; at++) {
        seconds = seconds * 10 + (text.base[at] - '0');
        if (seconds > DATE_MAX) return false;
    }
    if (at == 0) return false; /* before 1970 */
    if (at < text.len && text.base[at] == '.') {
        bool any = false;
        for (at++; at < text.len && text.base[at] >= '0' && text.base[at] <= '9'; at++)
            any |= text.base[at] != '0';
        if (any && up) seconds++;
    }
    *ret_s = seconds;
    return at == text.len;
}

/* *ret_found tells whether it is there. */
static bool find_date(const claims *c, q5_slice name, bool up, bool *ret_found, int64_t *ret_s) {
    const q5_json_value *value = q5_json_object_find(c->members, c->count, name);
    *ret_found = value != NULL;
    return !value || (value->kind == Q5_JSON_NUMBER && read_date(value->text, up, ret_s));
}

static int check_dates(const claims *c, const q5_jwt_rules *rules, int64_t now_s,
                       int64_t *ret_expires_s) {
    bool has_exp, has_nbf, has_iat;
    int64_t exp = 0, nbf = 0, iat = 0, leeway = rules->leeway_s;
    if (!find_date(c, Q5_LIT("exp"), false, &has_exp, &exp) ||
        !find_date(c, Q5_LIT("nbf"), true, &has_nbf, &nbf) ||
        !find_date(c, Q5_LIT("iat"), false, &has_iat, &iat) || (rules->needs_expiry && !has_exp) ||
        (rules->age_max_s && !has_iat))
        return Q5_ETOKEN_CLAIMS;
    int64_t expires = has_exp ? exp + leeway : Q5_JWT_NEVER;
    if (rules->age_max_s && iat + rules->age_max_s + leeway < expires)
        expires = iat + rules->age_max_s + leeway;
    /* "on or after which the JWT MUST NOT be accepted" (4.1.4) */
    if (now_s >= expires) return Q5_ETOKEN_EXPIRED;
    if ((has_nbf && now_s < nbf - leeway) || (has_iat && now_s < iat - leeway))
        return Q5_ETOKEN_EARLY;
    *ret_expires_s = expires;
    return Q5_OK;
}

static bool is_ours(q5_slice audience, const q5_jwt_rules *rules) {
    for (size_t i = 0; i < rules->audience_count; i++)
        if (q5_json_string_eq(audience, rules->audiences[i])) return true;
    return false;
}

/* A string or an array of strings (4.1.3). */
static int check_audience(const claims *c, const q5_jwt_rules *rules) {
    const q5_json_value *value = q5_json_object_find(c->members, c->count, Q5_LIT("aud"));
    if (rules->any_audience) return Q5_OK;
    if (!value) return rules->audience_count ? Q5_ETOKEN_AUDIENCE : Q5_OK;
    if (value->kind == Q5_JSON_STRING)
        return is_ours(value->text, rules) ? Q5_OK : Q5_ETOKEN_AUDIENCE;
    if (value->kind != Q5_JSON_ARRAY) return Q5_ETOKEN_CLAIMS;
    q5_slice rest = value->text;
    q5_json_value item;
    bool found = false;
    for (size_t left = Q5_JWT_AUDIENCES_MAX; q5_json_array_next(&rest, &item); left--) {
        if (item.kind != Q5_JSON_STRING || left == 0) return Q5_ETOKEN_CLAIMS;
        found = found || is_ours(item.text, rules);
    }
    return found ? Q5_OK : Q5_ETOKEN_AUDIENCE;
}

int q5_jwt_check(q5_slice payload, const q5_jwt_rules *rules, int64_t now_s,
                 q5_jwt_claims *ret_claims) {
    claims c;
    q5_jwt_claims found;
    q5_slice issuer;
    if (q5_json_object_read(payload, c.members, Q5_ARRAY_LEN(c.members), &c.count) ||
        !find_string(&c, Q5_LIT("iss"), &issuer) ||
        !find_string(&c, Q5_LIT("sub"), &found.subject) ||
        !find_string(&c, Q5_LIT("jti"), &found.id))
        return Q5_ETOKEN_CLAIMS;
    int status = check_dates(&c, rules, now_s, &found.expires_s);
    if (status) return status;
    if (rules->issuer.base && (!issuer.base || !q5_json_string_eq(issuer, rules->issuer)))
        return Q5_ETOKEN_ISSUER;
    status = check_audience(&c, rules);
    if (status == Q5_OK) *ret_claims = found;
    return status;
}
