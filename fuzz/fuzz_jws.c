/* A token's parts lie where they may and spell what was sent; claims that hold say until when. The
 * input is a token and, by itself, a header and a payload. */
#include <stdlib.h>

#include "q5/base64url.h"
#include "q5/json_object.h"
#include "q5/jws.h"
#include "q5/jwt.h"

#define NOW_S 1000
#define MEMBERS_MAX 32

static const q5_slice audience = {"us", 2};

static void check_spelling(q5_slice bytes, const char *sent, size_t sent_len) {
    size_t len = q5_base64url_encoded_len(bytes.len);
    char *back = malloc(len ? len : 1);
    if (!back) abort();
    q5_base64url_encode(bytes, back);
    if (len != sent_len || memcmp(back, sent, len) != 0) abort();
    free(back);
}

static void check_token(q5_slice token) {
    char *room = malloc(token.len ? token.len : 1);
    q5_jws jws;
    if (!room) abort();
    if (q5_jws_parse(token, room, &jws) == Q5_OK) {
        if (jws.alg == Q5_JWS_ALG_NONE || jws.kid.len > Q5_JWS_KID_MAX) abort();
        if (jws.header.len + jws.payload.len + jws.signature.len > token.len) abort();
        const char *dot = memchr(token.base, '.', token.len);
        check_spelling(jws.header, token.base, (size_t)(dot - token.base));
        size_t behind = jws.signed_text.len + 1;
        check_spelling(jws.signature, token.base + behind, token.len - behind);
        q5_jws_type_is(&jws, Q5_LIT("at+jwt"));
    }
    free(room);
}

static void check_claims(q5_slice payload) {
    q5_jwt_rules rules = {.audiences = &audience, .audience_count = 1, .leeway_s = 30};
    q5_jwt_claims claims;
    if (q5_jwt_check(payload, &rules, NOW_S, &claims) == Q5_OK && claims.expires_s <= NOW_S)
        abort();
    rules.age_max_s = 60;
    if (q5_jwt_check(payload, &rules, NOW_S, &claims) == Q5_OK && claims.expires_s > NOW_S + 120)
        abort();
}

static void check_members(q5_slice text) {
    q5_json_member members[MEMBERS_MAX];
    size_t count;
    if (q5_json_object_read(text, members, MEMBERS_MAX, &count)) return;
    if (count > MEMBERS_MAX) abort();
    for (size_t i = 0; i < count; i++) {
        q5_json_value item;
        q5_slice rest = members[i].value.text;
        for (size_t left = text.len; members[i].value.kind == Q5_JSON_ARRAY; left--)
            if (!q5_json_array_next(&rest, &item))
                break;
            else if (left == 0)
                abort();
        if (memchr(members[i].name.base, '\\', members[i].name.len)) continue;
        if (q5_json_object_find(members, count, members[i].name) != &members[i].value) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    q5_slice text = q5_slice_make((const char *)data, size);
    check_token(text);
    check_claims(text);
    check_members(text);
    return 0;
}
