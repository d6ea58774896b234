/* permessage-deflate (RFC 7692): the compression of a WebSocket's messages, by zlib. Bounded: an
 * inflater holds its window (up to 32 KiB) and some 7 KiB while a message is under way, or for as
 * long as the connection where the client keeps its context; a deflater with a window of 2^b bytes
 * some 2^(b + 2) + 16 KiB. */
#ifndef Q5_WS_DEFLATE_H
#define Q5_WS_DEFLATE_H

#include "q5/ws.h"
#include "q5/ws_handshake.h"

typedef struct q5_ws_inflater q5_ws_inflater;
typedef struct q5_ws_deflater q5_ws_deflater;

/* False: built without zlib, and the functions below answer NULL and Q5_ELIBRARY. */
Q5_EXTERN bool q5_ws_deflate_available(void);

/* NULL when out of memory. zlib's memory is taken when a message needs it. */
Q5_EXTERN q5_ws_inflater *q5_ws_inflater_create(const q5_alloc *alloc,
                                                const q5_ws_deflate_terms *terms);
Q5_EXTERN void q5_ws_inflater_destroy(q5_ws_inflater *inflater);
/* For q5_ws_inflate.piece, which says what it does; ctx is the inflater. */
Q5_EXTERN int q5_ws_inflater_piece(void *ctx, q5_slice data, bool last, q5_buf *out,
                                   size_t out_max);

/* One may serve all connections with its window's bits that keep no context. NULL when out of
 * memory. */
Q5_EXTERN q5_ws_deflater *q5_ws_deflater_create(const q5_alloc *alloc, uint8_t bits, bool context);
Q5_EXTERN void q5_ws_deflater_destroy(q5_ws_deflater *deflater);
/* Appends a whole message's compressed form to *out. Q5_OK; Q5_ENOMEM: nothing was appended, and
 * with a context the connection cannot go on. */
Q5_EXTERN int q5_ws_deflater_message(q5_ws_deflater *deflater, q5_slice message, q5_buf *out);

#endif
