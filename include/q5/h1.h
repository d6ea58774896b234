/* HTTP/1.1 request heads (RFC 9112): strict, incremental, without copies, without I/O. */
#ifndef Q5_H1_H
#define Q5_H1_H

#include "q5/head.h"

typedef struct q5_h1_limits {
    uint32_t line_max;     /* bytes of the request line without its CRLF: 414 past it */
    uint32_t head_max;     /* bytes of the whole head: 431 past it */
    uint16_t fields_max;   /* fields: 431 past it; at most Q5_FIELDS_MAX */
    bool allow_underscore; /* accept '_' in field names */
} q5_h1_limits;

/* 8 KiB, 32 KiB, 100, no. */
Q5_EXTERN q5_h1_limits q5_h1_limits_default(void);

typedef struct q5_h1_parser {
    const q5_h1_limits *limits; /* outlives the parser */
    q5_head *head;              /* outlives the parser; valid once a call returned Q5_OK */
    const char *base;           /* the buffer of the last call, and where reading it must end */
    const char *end;
    size_t line;    /* offset of the first line that is not yet parsed */
    size_t scanned; /* offset up to which that line was searched for its end */
    size_t error;   /* offset of the byte at fault, after an error */
    uint8_t state;
    uint8_t blank_lines; /* CRLFs skipped before the request line */
    uint8_t connection;  /* options seen in Connection fields */
} q5_h1_parser;

/* Makes ready for one head; also before every further one on the same connection. */
Q5_EXTERN void q5_h1_init(q5_h1_parser *parser, const q5_h1_limits *limits, q5_head *head);

/* Parses one head from buf, which begins with the first byte of the request and holds len bytes,
 * those of earlier calls included; it may lie elsewhere than in the last call (slices are moved).
 * CRLFs before the request line are skipped (at most 2; RFC 9112, 2.2).
 *
 * Q5_OK: *ret_len is the length of the head; head is filled in and points into buf.
 * Q5_AGAIN: more bytes are needed; call again with the longer buffer. However the input is
 * cut, a byte is looked at three times at most.
 * Q5_ESTATE: the head was complete or at fault before; q5_h1_init comes first.
 * Any other status: the request is malformed; parser->error is the byte's offset, and
 * q5_status_http() says what to answer; the connection must be closed after it. A fault is
 * reported at the latest when the line that has it is complete or over its limit, and is the same
 * however the input is cut: the first one in the order of the bytes.
 *
 * Content-Length and Transfer-Encoding are judged here: one of them at most, one Content-Length,
 * no lists, digits only, below 2^63; "chunked" alone, only in HTTP/1.1. Host: exactly one
 * non-repeated in HTTP/1.1, valid characters only. */
Q5_EXTERN int q5_h1_parse(q5_h1_parser *parser, const char *buf, size_t len, size_t *ret_len);

/* Which scanner is in use: "avx2", "sse4.2", "neon" or "scalar"; chosen once, at first use.
 * q5_h1_use_scanner picks one by name for tests and benchmarks; false if the machine lacks it. */
Q5_EXTERN const char *q5_h1_scanner(void);
Q5_EXTERN bool q5_h1_use_scanner(const char *name);

#endif
