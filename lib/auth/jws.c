#include "q5/jws.h"

#include "q5/base64url.h"
#include "q5/json_object.h"

static const q5_slice alg_names[] = {{"", 0},
#define XX(id, name) {name, sizeof(name) - 1},
                                     Q5_JWS_ALG_MAP(XX)
#undef XX
};

const char *q5_jws_alg_name(q5_jws_alg alg) {
    return (size_t)alg < Q5_JWS_ALG_COUNT ? alg_names[alg].base : "";
}

q5_jws_alg q5_jws_alg_find(q5_slice name) {
    for (size_t i = Q5_JWS_ALG_NONE + 1; i < Q5_JWS_ALG_COUNT; i++)
        if (q5_slice_eq(alg_names[i], name)) return (q5_jws_alg)i;
    return Q5_JWS_ALG_NONE;
}

/* What stands before the next dot, which *rest is moved behind; false: there is none. */
static bool take_part(q5_slice *rest, q5_slice *ret_part) {
    const char *dot = rest->len ? memchr(rest->base, '.', rest->len) : NULL;
    if (!dot) return false;
    *ret_part = q5_slice_make(rest->base, (size_t)(dot - rest->base));
    *rest = q5_slice_make(dot + 1, rest->len - ret_part->len - 1);
    return true;
}

/* Decodes to *room, which is moved behind it. */
static int decode(q5_slice part, char **room, q5_slice *ret_bytes) {
    size_t len;
    if (q5_base64url_decode(part, *room, &len)) return Q5_ETOKEN;
    *ret_bytes = q5_slice_make(*room, len);
    *room += len;
    return Q5_OK;
}

/* A member that is a string or not there. */
static int find_string(const q5_json_member *members, size_t count, q5_slice name,
                       q5_slice *ret_string) {
    const q5_json_value *value = q5_json_object_find(members, count, name);
    *ret_string = q5_slice_make(NULL, 0);
    if (!value) return Q5_OK;
    if (value->kind != Q5_JSON_STRING) return Q5_ETOKEN;
    *ret_string = value->text;
    return Q5_OK;
}

static int read_header(q5_jws *jws) {
    q5_json_member members[Q5_JWS_HEADER_MEMBERS_MAX];
    size_t count;
    q5_slice alg;
    if (jws->header.len > Q5_JWS_HEADER_MAX ||
        q5_json_object_read(jws->header, members, Q5_ARRAY_LEN(members), &count) ||
        find_string(members, count, Q5_LIT("alg"), &alg) || !alg.base ||
        find_string(members, count, Q5_LIT("kid"), &jws->kid) || jws->kid.len > Q5_JWS_KID_MAX ||
        find_string(members, count, Q5_LIT("typ"), &jws->type))
        return Q5_ETOKEN;
    if (q5_json_object_find(members, count, Q5_LIT("crit")) ||
        q5_json_object_find(members, count, Q5_LIT("b64")))
        return Q5_ETOKEN_CRIT;
    jws->alg = q5_jws_alg_find(alg);
    return jws->alg == Q5_JWS_ALG_NONE ? Q5_ETOKEN_ALG : Q5_OK;
}

int q5_jws_parse(q5_slice token, char *room, q5_jws *ret_jws) {
    q5_jws jws;
    q5_slice rest = token, header, payload;
    if (token.len > Q5_JWS_TOKEN_MAX) return Q5_ETOKEN_LONG;
    if (!take_part(&rest, &header) || !take_part(&rest, &payload)) return Q5_ETOKEN;
    jws.signed_text = q5_slice_make(token.base, header.len + 1 + payload.len);
    /* Three characters make at most two bytes and a bit, so that all three parts fit. A fourth
     * part's dot is no base64url. */
    if (decode(header, &room, &jws.header) || decode(payload, &room, &jws.payload) ||
        decode(rest, &room, &jws.signature))
        return Q5_ETOKEN;
    int status = read_header(&jws);
    if (status == Q5_OK) *ret_jws = jws;
    return status;
}

bool q5_jws_type_is(const q5_jws *jws, q5_slice type) {
    static const char prefix[] = "application/";
    q5_slice given = jws->type;
    if (given.len > sizeof(prefix) - 1 &&
        q5_slice_ieq(q5_slice_make(given.base, sizeof(prefix) - 1), Q5_LIT(prefix))) {
        given.base += sizeof(prefix) - 1;
        given.len -= sizeof(prefix) - 1;
    }
    return given.base && q5_slice_ieq(given, type);
}
