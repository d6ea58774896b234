#include "q5/buf.h"

#define CAP_MIN 256

void q5_buf_init(q5_buf *buf, const q5_alloc *alloc) {
    *buf = (q5_buf){.alloc = alloc ? alloc : q5_alloc_default()};
}

void q5_buf_deinit(q5_buf *buf) {
    q5_free(buf->alloc, buf->base);
    q5_buf_init(buf, buf->alloc);
}

int q5_buf_reserve(q5_buf *buf, size_t extra) {
    if (extra <= buf->cap - buf->len) return Q5_OK;
    if (extra > SIZE_MAX / 2 - buf->len) return Q5_ENOMEM;
    size_t cap = buf->cap ? buf->cap : CAP_MIN;
    while (cap < buf->len + extra)
        cap *= 2;
    char *base = q5_realloc(buf->alloc, buf->base, cap);
    if (!base) return Q5_ENOMEM;
    buf->base = base;
    buf->cap = cap;
    return Q5_OK;
}

int q5_buf_append(q5_buf *buf, const char *base, size_t len) {
    if (len == 0) return Q5_OK;
    int status = q5_buf_reserve(buf, len);
    if (status) return status;
    memcpy(buf->base + buf->len, base, len);
    buf->len += len;
    return Q5_OK;
}

void q5_buf_consume(q5_buf *buf, size_t n) {
    buf->len -= n;
    if (buf->len) memmove(buf->base, buf->base + n, buf->len);
}
