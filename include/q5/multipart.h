/* multipart/form-data (RFC 7578 over RFC 2046, 5.1): bytes are pushed in as they arrive, cut
 * anywhere; parts come out through callbacks, their data as slices of the input, without copies.
 *
 * Strict where leniency lets two parsers disagree: lines end in CRLF, a delimiter line holds
 * nothing but the delimiter and white space, header fields are not folded, each part has exactly
 * one Content-Disposition: form-data with exactly one name. */
#ifndef Q5_MULTIPART_H
#define Q5_MULTIPART_H

#include "q5/buf.h"
#include "q5/status.h"

#define Q5_BOUNDARY_MAX 70 /* RFC 2046, 5.1.1 */

/* The boundary of a Content-Type field's value; *ret_boundary points into it.
 * Q5_OK; Q5_NOT_FOUND when the type is not multipart/form-data; Q5_EMULTIPART when it is, but the
 * boundary is missing, repeated, longer than Q5_BOUNDARY_MAX or has invalid characters. */
Q5_EXTERN int q5_multipart_boundary(q5_slice content_type, q5_slice *ret_boundary);

/* Hard ceiling of headers_max. */
#define Q5_PART_HEADERS_MAX 16

typedef struct q5_multipart_limits {
    uint32_t fields_max;  /* parts without a file name */
    uint32_t files_max;   /* parts with one */
    uint32_t head_max;    /* bytes of one part's header, line ends included */
    uint32_t headers_max; /* fields in it; at most Q5_PART_HEADERS_MAX */
    uint32_t slack_max;   /* bytes that carry nothing: preamble, epilogue, delimiters' padding */
    /* Browsers send '"' in names and file names as %22, but a '%' as it is. Set: %22 becomes '"'.
     * Unset: it stays, as in Django. %0D and %0A stay in any case: no line break gets in. */
    bool decode_quote;
} q5_multipart_limits;

/* 1000, 100, 8 KiB, 8, 4 KiB, yes. */
Q5_EXTERN q5_multipart_limits q5_multipart_limits_default(void);

typedef struct q5_part_header {
    q5_slice name;  /* as sent */
    q5_slice value; /* without the white space around it */
} q5_part_header;

/* Everything it points to is valid until the part_end of this part returned. */
typedef struct q5_part {
    q5_slice name;
    /* Of a file: filename*, if sent, decoded, else filename. It may be empty (no file was chosen)
     * and may hold a path, which the caller strips; it never holds NUL. */
    q5_slice filename;
    q5_slice content_type; /* empty when not sent */
    bool is_file;          /* a file name was sent */
    size_t header_count;
    q5_part_header headers[Q5_PART_HEADERS_MAX];
} q5_part;

/* Each returns Q5_OK, or a status that stops the parser and is handed through to the caller. */
typedef struct q5_multipart_callbacks {
    int (*part_begin)(void *ctx, const q5_part *part);
    int (*part_data)(void *ctx, q5_slice data); /* never empty; valid during the call */
    int (*part_end)(void *ctx);
} q5_multipart_callbacks;

typedef struct q5_multipart {
    q5_multipart_callbacks callbacks;
    void *ctx;
    q5_multipart_limits limits;
    q5_buf head; /* the header of the present part, then its unescaped names */
    size_t line; /* offset of the header line that is being read */
    q5_part part;
    uint32_t fields;
    uint32_t files;
    uint32_t slack; /* as slack_max counts, so far */
    int status;     /* what stopped the parser, else Q5_OK */
    uint8_t state;
    uint8_t matched; /* bytes of the delimiter that the input so far ends in */
    uint8_t delimiter_len;
    char delimiter[4 + Q5_BOUNDARY_MAX]; /* CRLF "--" boundary */
} q5_multipart;

/* boundary is copied; limits may be NULL (the default). Nothing is allocated before the first
 * part. Q5_OK, or Q5_EINVAL (nothing was initialised) for a boundary that q5_multipart_boundary
 * would not give. */
Q5_EXTERN int q5_multipart_init(q5_multipart *parser, const q5_alloc *alloc, q5_slice boundary,
                                const q5_multipart_limits *limits,
                                const q5_multipart_callbacks *callbacks, void *ctx);
/* Gives the memory back; after it, or after an error, no callback is called any more (a part that
 * was begun does not get its part_end then). */
Q5_EXTERN void q5_multipart_deinit(q5_multipart *parser);

/* Q5_OK: all bytes were taken. Q5_EMULTIPART: malformed. Q5_ETOO_MANY: a limit was passed.
 * Q5_ENOMEM. Or a callback's status. After an error every further call returns it again. */
Q5_EXTERN int q5_multipart_feed(q5_multipart *parser, const char *base, size_t len);

/* The body has ended. Q5_OK, or Q5_EMULTIPART when the closing delimiter was not seen, or the
 * status of an earlier error. */
Q5_EXTERN int q5_multipart_finish(q5_multipart *parser);

#endif
