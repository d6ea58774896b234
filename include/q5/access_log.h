/* One line per request for the access log. No I/O and no clock: the caller knows the time and
 * writes the line. */
#ifndef Q5_ACCESS_LOG_H
#define Q5_ACCESS_LOG_H

#include "q5/buf.h"

typedef enum q5_access_style {
    Q5_ACCESS_OFF,
    Q5_ACCESS_TEXT,  /* 2026-11-21 02:36:25.123 127.0.0.1 GET /cities?q=x 200 512 B 1.3 ms */
    Q5_ACCESS_JSON,  /* one object per line, times in UTC */
    Q5_ACCESS_COLOUR /* TEXT with the time of day alone and ANSI colours, for a terminal */
} q5_access_style;

typedef struct q5_access_record {
    q5_slice client; /* address; empty when there is none */
    q5_slice method;
    q5_slice target; /* path and query as sent */
    int status;      /* HTTP status; 0: the client left before there was one */
    uint64_t sent_len;
    uint64_t duration_usec;
    int64_t unix_msec;    /* when the request's head was complete, 1970 to 9999 */
    int32_t utc_offset_s; /* of local time, for TEXT and COLOUR */
    /* For JSON, each left out when it is empty. */
    q5_slice request_id, trace_id, span_id;
} q5_access_record;

/* Appends the line and its LF to buf. What the client chose is escaped: TEXT and COLOUR write
 * bytes outside 0x21-0x7e, '"' and '\' as \xHH, so that no line can be forged and no terminal be
 * driven (CVE-2020-7694); JSON reads bytes as latin-1. Q5_OK, also for Q5_ACCESS_OFF, which
 * appends nothing; Q5_ENOMEM, buf is unchanged then. */
Q5_EXTERN int q5_access_log_format(q5_buf *buf, const q5_access_record *record,
                                   q5_access_style style);

#endif
