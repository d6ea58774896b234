/* Chunked transfer coding (RFC 9112, 7.1), both directions, without I/O. */
#ifndef Q5_CHUNKED_H
#define Q5_CHUNKED_H

#include "q5/status.h"

/* Bounds on what carries no data: extension bytes of one chunk, of a whole body, trailer bytes. */
#define Q5_CHUNK_EXT_MAX 256
#define Q5_CHUNK_EXT_TOTAL_MAX 16384
#define Q5_TRAILER_MAX 8192

typedef struct q5_chunked_decoder {
    uint64_t left;    /* data bytes left in the present chunk */
    uint32_t ext_len; /* of the present chunk */
    uint32_t ext_total;
    uint32_t trailer_len;
    uint8_t digits;
    uint8_t state;
    uint8_t name_len; /* of the present trailer; name holds its first bytes */
    char name[32];
} q5_chunked_decoder;

Q5_EXTERN void q5_chunked_init(q5_chunked_decoder *decoder);

/* Reads from buf[0..len). *ret_used says how many bytes were taken; *ret_data is a run of body
 * bytes inside them (perhaps empty).
 *
 * Q5_OK: call again with what lies behind *ret_used (or with more input when nothing does).
 * Q5_DONE: the body and its trailers are complete; bytes behind *ret_used belong to the next
 * request; ret_data is empty then. Any other status: malformed, *ret_used is the offset of the
 * byte at fault; close. Q5_ESTATE: called again after Q5_DONE.
 *
 * A call ends behind a run of data, so every byte of the body is handed out once, in order.
 *
 * Strict: CRLF only, at most 16 hex digits, no white space around the size, exactly CRLF behind
 * each chunk's data; trailers are checked as fields and dropped; none may bear a name of
 * Q5_FIELD_MAP, which frame, route or modify the request (RFC 9110, 6.5.1). */
Q5_EXTERN int q5_chunked_decode(q5_chunked_decoder *decoder, const char *buf, size_t len,
                                size_t *ret_used, q5_slice *ret_data);

/* Room for the longest chunk-size line ("FFFFFFFFFFFFFFFF\r\n"). */
#define Q5_CHUNK_HEAD_MAX 18

/* Writes the line that goes before a chunk of len > 0 data bytes; returns its length. The data
 * and "\r\n" follow; "0\r\n\r\n" ends the body. */
Q5_EXTERN size_t q5_chunk_head(char out[Q5_CHUNK_HEAD_MAX], size_t len);

#endif
