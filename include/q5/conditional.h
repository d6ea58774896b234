/* Conditional requests (RFC 9110, 13). */
#ifndef Q5_CONDITIONAL_H
#define Q5_CONDITIONAL_H

#include "q5/head.h"

/* What is known of the selected representation. */
typedef struct q5_validators {
    q5_slice etag;         /* with its quotes and, if weak, its W/; empty when there is none */
    int64_t last_modified; /* seconds since 1970, if has_last_modified */
    int64_t now;           /* the response's Date */
    bool has_last_modified;
    bool missing; /* there is no current representation: If-Match: * is false then */
} q5_validators;

typedef enum q5_precondition {
    Q5_PROCEED = 0,
    Q5_NOT_MODIFIED = 304,
    Q5_PRECONDITION_FAILED = 412
} q5_precondition;

/* Evaluates If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since in the order of
 * RFC 9110, 13.2.2. To be asked only where the answer without them would be 2xx (13.2.1). Dates
 * that are no valid HTTP-date, or sent twice, are ignored; what follows a malformed entity tag in
 * a list matches nothing. */
Q5_EXTERN q5_precondition q5_conditional_evaluate(const q5_head *head,
                                                  const q5_validators *validators);

/* Whether a list of entity tags, the value of one field, has one that `etag` matches weakly (RFC
 * 9110, 8.8.3.2). "*" is no list. */
Q5_EXTERN bool q5_etag_in_list(q5_slice list, q5_slice etag);

/* Whether a Range field is to be heeded: there is no If-Range, or its entity tag matches strongly,
 * or its date is exactly the representation's and that is a strong validator (older than now by a
 * second at least; RFC 9110, 8.8.2.2 and 13.1.5). */
Q5_EXTERN bool q5_conditional_range(const q5_head *head, const q5_validators *validators);

#endif
