/* Who asks on whose behalf: W3C Trace Context (traceparent and tracestate, level 2), and the
 * identifier of a single request. No clock and no source of randomness: both are handed in. */
#ifndef Q5_TRACE_CONTEXT_H
#define Q5_TRACE_CONTEXT_H

#include "q5/head.h"
#include "q5/random.h"

#define Q5_TRACE_ID_SIZE 16
#define Q5_SPAN_ID_SIZE 8
#define Q5_TRACEPARENT_LEN 55     /* of version 00, which is what is written */
#define Q5_TRACE_STATE_MAX 512    /* bytes that are passed on; a longer one is dropped (3.3.1.5) */
#define Q5_TRACE_STATE_MEMBERS 32 /* (3.3.1.1) */
#define Q5_REQUEST_ID_MAX 128     /* bytes of one that a client may choose */
#define Q5_REQUEST_ID_LEN 32      /* of one of ours */

enum {
    Q5_TRACE_SAMPLED = 1, /* (3.2.2.5.1) */
    Q5_TRACE_RANDOM = 2   /* level 2, 3.2.2.5.2: at least 7 bytes of the trace's id are random */
};

/* One request's place in a trace. */
typedef struct q5_trace {
    uint8_t trace_id[Q5_TRACE_ID_SIZE];
    uint8_t parent_id[Q5_SPAN_ID_SIZE]; /* the caller's span; zeroes: the trace begins here */
    uint8_t span_id[Q5_SPAN_ID_SIZE];   /* ours */
    uint8_t flags;                      /* Q5_TRACE_..; as the caller has them */
    bool has_parent;
} q5_trace;

/* A traceparent's value (3.2): the ids and flags of the caller; span_id becomes zeroes. Later
 * versions are read as far as version 00 goes (4). Q5_OK, or Q5_EINVAL: *ret is untouched. */
Q5_EXTERN int q5_traceparent_parse(q5_slice value, q5_trace *ret);
/* What a request to others sends: version 00 with our span as the parent. No NUL. */
Q5_EXTERN void q5_traceparent_format(const q5_trace *trace, char out[Q5_TRACEPARENT_LEN]);
/* Whether a tracestate's value (3.3) may be passed on: its members are well-formed, no key comes
 * twice, and it is within the bounds above. */
Q5_EXTERN bool q5_tracestate_valid(q5_slice value);

/* Begins the trace of a request: of its caller where the head has one well-formed traceparent, else
 * a new one, not sampled. A field that comes twice is none (3.2). */
Q5_EXTERN void q5_trace_begin(q5_trace *trace, const q5_head *head, q5_random *random);
/* The head's tracestate, which only a trace with a parent has: empty where there is none, where it
 * is invalid, or where it came in several fields. Points into the head. */
Q5_EXTERN q5_slice q5_trace_state(const q5_trace *trace, const q5_head *head);

/* Of letters, digits and ._~:@=+/- up to Q5_REQUEST_ID_MAX: safe in a log, a head, a document. */
Q5_EXTERN bool q5_request_id_valid(q5_slice id);
/* 32 hexadecimal digits; those of the trace that begins with this request, else random ones. No
 * NUL. */
Q5_EXTERN void q5_request_id_make(const q5_trace *trace, q5_random *random,
                                  char out[Q5_REQUEST_ID_LEN]);

/* Lower-case hexadecimal digits: 2 * size of them, no NUL. */
Q5_EXTERN void q5_hex_write(const uint8_t *bytes, size_t size, char *out);

#endif
