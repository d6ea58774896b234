/* A JSON object in place: its members as slices, nothing decoded, nothing allocated. For small
 * texts of which a few members are looked at (RFC 7515, 7519), and strict: RFC 8259 to the letter,
 * UTF-8, no name twice at the top, no half of a surrogate pair. */
#ifndef Q5_JSON_OBJECT_H
#define Q5_JSON_OBJECT_H

#include "q5/status.h"

/* Arrays and objects within one another, the outermost object included. */
#define Q5_JSON_OBJECT_DEPTH_MAX 16

typedef enum q5_json_kind {
    Q5_JSON_STRING,
    Q5_JSON_NUMBER,
    Q5_JSON_OBJECT,
    Q5_JSON_ARRAY,
    Q5_JSON_TRUE,
    Q5_JSON_FALSE,
    Q5_JSON_NULL
} q5_json_kind;

typedef struct q5_json_value {
    q5_slice text; /* strings: what is between the quotes, escapes as they stand */
    uint8_t kind;  /* q5_json_kind */
} q5_json_value;

typedef struct q5_json_member {
    q5_slice name; /* between the quotes, escapes as they stand */
    q5_json_value value;
} q5_json_member;

/* Reads a text that is one object, white space around it allowed. The slices point into the text.
 * Q5_OK; Q5_EJSON: malformed, no object, or a name that is there twice; Q5_EENCODING: no UTF-8;
 * Q5_EJSON_DEPTH; Q5_EJSON_KEYS: more than members_max. *ret_count is untouched unless Q5_OK. Time
 * grows with the square of members_max. */
Q5_EXTERN int q5_json_object_read(q5_slice text, q5_json_member *members, size_t members_max,
                                  size_t *ret_count);

/* The member whose name, escapes resolved, is `name`; or NULL. */
Q5_EXTERN const q5_json_value *q5_json_object_find(const q5_json_member *members, size_t count,
                                                   q5_slice name);

/* Whether what stands between a string's quotes is, escapes resolved, the UTF-8 text `plain`. The
 * string is one that was read. */
Q5_EXTERN bool q5_json_string_eq(q5_slice string, q5_slice plain);

/* The next element of an array that was read; *rest begins as its text and is then where the last
 * call left it. False: there is none. */
Q5_EXTERN bool q5_json_array_next(q5_slice *rest, q5_json_value *ret_value);

#endif
