/* Events of an event stream, written as HTML's "Server-sent events" (9.2) reads them. */
#ifndef Q5_SSE_H
#define Q5_SSE_H

#include "q5/buf.h"

typedef struct q5_sse_event {
    /* UTF-8. Lines end in CR, LF or both, and reach the client ended by LF. base NULL: the event
     * has none; clients then take over id and retry, and tell nobody. */
    q5_slice data;
    q5_slice id;        /* base NULL: none; an empty one makes the client forget its last */
    q5_slice name;      /* "event"; empty: the client's "message" */
    q5_slice comment;   /* ignored by clients; base NULL: none */
    int64_t retry_msec; /* the client waits so long before it connects again; negative: unsaid */
} q5_sse_event;

static inline q5_sse_event q5_sse_event_make(q5_slice data) {
    return (q5_sse_event){.data = data, .retry_msec = -1};
}

/* What keeps a silent stream from being taken for dead: a comment (9.2.7). */
#define Q5_SSE_KEEP_ALIVE ":\n\n"

/* Appends the event, ended by an empty line. Q5_OK; Q5_EINVAL: id or name has CR, LF or NUL, which
 * would end it early or make clients ignore it; Q5_ENOMEM. The buffer is as before then. */
Q5_EXTERN int q5_sse_write(q5_buf *buf, const q5_sse_event *event);

#endif
