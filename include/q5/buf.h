/* A growable run of bytes that owns its memory. */
#ifndef Q5_BUF_H
#define Q5_BUF_H

#include "q5/alloc.h"
#include "q5/status.h"

typedef struct q5_buf {
    const q5_alloc *alloc;
    char *base;
    size_t len;
    size_t cap;
} q5_buf;

/* Holds no memory until something is reserved or appended. */
Q5_EXTERN void q5_buf_init(q5_buf *buf, const q5_alloc *alloc);
/* Gives the memory back; the buffer may be used again. */
Q5_EXTERN void q5_buf_deinit(q5_buf *buf);
/* Room for `extra` bytes past len (grows by doubling). Q5_OK or Q5_ENOMEM (unchanged then). */
Q5_EXTERN int q5_buf_reserve(q5_buf *buf, size_t extra);
/* Q5_OK or Q5_ENOMEM (unchanged then). */
Q5_EXTERN int q5_buf_append(q5_buf *buf, const char *base, size_t len);
/* Takes the first n bytes away and moves the rest to the front. n <= len. */
Q5_EXTERN void q5_buf_consume(q5_buf *buf, size_t n);

static inline q5_slice q5_buf_slice(const q5_buf *buf) {
    return q5_slice_make(buf->base, buf->len);
}

#endif
