/* The registered claims of a token (RFC 7519, 4.1) against what an application asks for. */
#ifndef Q5_JWT_H
#define Q5_JWT_H

#include "q5/status.h"

#define Q5_JWT_CLAIMS_MAX 128
#define Q5_JWT_AUDIENCES_MAX 64

/* Seconds since 1970; what no token can reach. */
#define Q5_JWT_NEVER INT64_MAX

typedef struct q5_jwt_rules {
    q5_slice issuer;           /* base NULL: any */
    const q5_slice *audiences; /* one of them must be among the token's */
    size_t audience_count;     /* 0: a token that names an audience is not for us */
    bool any_audience;         /* nor is the audience looked at */
    bool needs_expiry;         /* `exp` must be there */
    uint32_t leeway_s;         /* clocks differ: expires so much later, begins so much earlier */
    uint32_t age_max_s;        /* since `iat`, which must be there then; 0: any */
} q5_jwt_rules;

/* When what was found to hold ceases to, on the clock of `now`. */
typedef struct q5_jwt_claims {
    int64_t expires_s; /* the first second in which the token is refused, or Q5_JWT_NEVER */
    q5_slice subject;  /* strings, escapes as they stand; base NULL: not there */
    q5_slice id;       /* `jti` */
} q5_jwt_claims;

/* `payload` is a JWT's; `now_s` seconds since 1970. Q5_OK, or (*ret_claims untouched)
 * Q5_ETOKEN_CLAIMS: no strict JSON object, more members than Q5_JWT_CLAIMS_MAX, or a registered
 *     claim that is missing or of another type than RFC 7519 says;
 * Q5_ETOKEN_EXPIRED: `exp` or the age; Q5_ETOKEN_EARLY: `nbf` or `iat` is to come;
 * Q5_ETOKEN_ISSUER, Q5_ETOKEN_AUDIENCE. */
Q5_EXTERN int q5_jwt_check(q5_slice payload, const q5_jwt_rules *rules, int64_t now_s,
                           q5_jwt_claims *ret_claims);

#endif
