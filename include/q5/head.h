/* The head of a request: what the HTTP/1 parser (later HTTP/2 too) fills in and everybody above
 * reads. All slices point into the caller's input buffer. */
#ifndef Q5_HEAD_H
#define Q5_HEAD_H

#include "q5/status.h"

typedef enum q5_method {
    Q5_METHOD_OTHER, /* a valid token that is none of these; its name is in q5_head.method */
    Q5_METHOD_GET,
    Q5_METHOD_HEAD,
    Q5_METHOD_POST,
    Q5_METHOD_PUT,
    Q5_METHOD_PATCH,
    Q5_METHOD_DELETE,
    Q5_METHOD_OPTIONS,
    Q5_METHOD_TRACE,
    Q5_METHOD_CONNECT,
    Q5_METHOD_QUERY,
    Q5_METHOD_COUNT
} q5_method;

/* Static storage, upper case; "" for Q5_METHOD_OTHER. */
Q5_EXTERN const char *q5_method_name(q5_method method);
/* Methods are case-sensitive (RFC 9110, 9.1). */
Q5_EXTERN q5_method q5_method_find(q5_slice name);

/* The fields that the server itself looks at: one lookup while parsing, none later. */
#define Q5_FIELD_MAP(XX)                           \
    XX(HOST, "host")                               \
    XX(CONNECTION, "connection")                   \
    XX(CONTENT_LENGTH, "content-length")           \
    XX(TRANSFER_ENCODING, "transfer-encoding")     \
    XX(EXPECT, "expect")                           \
    XX(UPGRADE, "upgrade")                         \
    XX(CONTENT_TYPE, "content-type")               \
    XX(COOKIE, "cookie")                           \
    XX(ACCEPT, "accept")                           \
    XX(ACCEPT_ENCODING, "accept-encoding")         \
    XX(AUTHORIZATION, "authorization")             \
    XX(IF_MATCH, "if-match")                       \
    XX(IF_NONE_MATCH, "if-none-match")             \
    XX(IF_MODIFIED_SINCE, "if-modified-since")     \
    XX(IF_UNMODIFIED_SINCE, "if-unmodified-since") \
    XX(IF_RANGE, "if-range")                       \
    XX(RANGE, "range")                             \
    XX(ORIGIN, "origin")                           \
    XX(USER_AGENT, "user-agent")                   \
    XX(REFERER, "referer")

typedef enum q5_field_id {
    Q5_FIELD_OTHER,
#define XX(id, name) Q5_FIELD_##id,
    Q5_FIELD_MAP(XX)
#undef XX
        Q5_FIELD_COUNT
} q5_field_id;

/* Case-insensitive. */
Q5_EXTERN q5_field_id q5_field_find(q5_slice name);

typedef struct q5_field {
    q5_slice name;  /* as sent */
    q5_slice value; /* without the white space around it */
    uint8_t id;     /* q5_field_id */
} q5_field;

/* Hard ceiling of the settable number of fields: the array is part of the head. */
#define Q5_FIELDS_MAX 128

typedef struct q5_head {
    q5_slice method;
    q5_slice target; /* as sent */
    /* Still percent-encoded; "*" for asterisk-form, "" for CONNECT, "/" for an absolute-form
     * target without one. */
    q5_slice path;
    q5_slice query; /* behind the first '?', without it; base is NULL where there is no '?' */
    /* The authority of an absolute-form or CONNECT target, else the Host field's value (RFC 9112,
     * 3.2.2: the target wins); base is NULL where HTTP/1.0 sent neither. */
    q5_slice host;
    uint64_t content_length; /* 0 unless has_length */
    uint16_t field_count;
    uint8_t method_id;     /* q5_method */
    uint8_t version_minor; /* HTTP/1.x */
    bool has_length;       /* a Content-Length was sent */
    bool chunked;          /* Transfer-Encoding: chunked */
    bool keep_alive;       /* by version and Connection (RFC 9112, 9.3) */
    bool expect_continue;  /* Expect: 100-continue, in HTTP/1.1 and with a body to come */
    bool upgrade;          /* Upgrade, named in Connection, in HTTP/1.1 (RFC 9110, 7.8) */
    /* Index of the first field of each known id, -1 where it was not sent. */
    int16_t known[Q5_FIELD_COUNT];
    q5_field fields[Q5_FIELDS_MAX];
} q5_head;

/* The first field of a known id, or NULL. */
static inline const q5_field *q5_head_known(const q5_head *head, q5_field_id id) {
    return head->known[id] < 0 ? NULL : &head->fields[head->known[id]];
}

/* The first field of that name (any case) at or behind index `from`, or NULL. */
Q5_EXTERN const q5_field *q5_head_find(const q5_head *head, q5_slice name, uint16_t from);

#endif
