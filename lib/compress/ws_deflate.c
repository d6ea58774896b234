#include "q5/ws_deflate.h"

#ifdef Q5_HAVE_ZLIB
#include <limits.h>
#include <zlib.h>

#define LEVEL 3 /* messages are short and many: speed before size */
#define MEMORY_LEVEL 5
#define STEP_MIN 1024
#define STEP_MAX 65536
#define TAIL_LEN 4

/* What each message's end is without (RFC 7692, 7.2.1). */
static const uint8_t tail[TAIL_LEN] = {0x00, 0x00, 0xff, 0xff};

struct q5_ws_inflater {
    z_stream z;
    const q5_alloc *alloc;
    bool open; /* z is initialised */
    bool context;
    uint8_t bits;
};

struct q5_ws_deflater {
    z_stream z;
    const q5_alloc *alloc;
    bool context;
};

static void *take(void *ctx, unsigned count, unsigned size) {
    size_t bytes;
    return __builtin_mul_overflow((size_t)count, (size_t)size, &bytes) ? NULL
                                                                       : q5_malloc(ctx, bytes);
}

static void give_back(void *ctx, void *ptr) {
    q5_free(ctx, ptr);
}

static void set_alloc(z_stream *z, const q5_alloc *alloc) {
    z->zalloc = take;
    z->zfree = give_back;
    z->opaque = (void *)(uintptr_t)alloc;
}

bool q5_ws_deflate_available(void) {
    return true;
}

/* ---- inflating ------------------------------------------------------------------------------- */

q5_ws_inflater *q5_ws_inflater_create(const q5_alloc *alloc, const q5_ws_deflate_terms *terms) {
    q5_ws_inflater *self = q5_calloc(alloc, sizeof(*self));
    if (!self) return NULL;
    self->alloc = alloc;
    self->context = terms->client_context;
    self->bits = terms->client_bits;
    set_alloc(&self->z, alloc);
    return self;
}

static void close_inflater(q5_ws_inflater *self) {
    if (self->open) inflateEnd(&self->z);
    self->open = false;
}

void q5_ws_inflater_destroy(q5_ws_inflater *self) {
    if (!self) return;
    close_inflater(self);
    q5_free(self->alloc, self);
}

/* Room for the next step, never past out_max but for one byte that shows there is too much. */
static int make_room(q5_buf *out, size_t out_max, size_t in_len, size_t *ret_room) {
    size_t room = in_len < STEP_MAX / 4 ? in_len * 4 : STEP_MAX;
    if (room < STEP_MIN) room = STEP_MIN;
    if (room > out_max + 1 - out->len) room = out_max + 1 - out->len;
    *ret_room = room;
    return q5_buf_reserve(out, room);
}

/* Z_BLOCK's and stored blocks' ends need no more output: all of the input taken and room left means
 * that nothing is kept back. */
static int inflate_some(q5_ws_inflater *self, const uint8_t *base, size_t len, q5_buf *out,
                        size_t out_max) {
    z_stream *z = &self->z;
    z->next_in = (uint8_t *)(uintptr_t)base;
    z->avail_in = (unsigned)len;
    do {
        size_t room;
        int status = make_room(out, out_max, z->avail_in, &room);
        if (status) return status;
        z->next_out = (uint8_t *)out->base + out->len;
        z->avail_out = (unsigned)room;
        int rc = inflate(z, Z_SYNC_FLUSH);
        out->len += room - z->avail_out;
        if (out->len > out_max) return Q5_EWS_LONG;
        if (rc == Z_MEM_ERROR) return Q5_ENOMEM;
        /* A final block ends the stream; a message may go on with the next one (7.2.3.5). */
        if (rc == Z_STREAM_END && inflateReset(z) == Z_OK) continue;
        if (rc != Z_OK && rc != Z_BUF_ERROR) return Q5_EWS_DATA;
        if (rc == Z_BUF_ERROR && z->avail_in && z->avail_out) return Q5_EWS_DATA;
    } while (z->avail_in || z->avail_out == 0);
    return Q5_OK;
}

int q5_ws_inflater_piece(void *ctx, q5_slice data, bool last, q5_buf *out, size_t out_max) {
    q5_ws_inflater *self = ctx;
    if (!self->open) {
        if (inflateInit2(&self->z, -self->bits) != Z_OK) return Q5_ENOMEM;
        self->open = true;
    }
    int status = Q5_OK;
    for (size_t at = 0; !status && at < data.len;) {
        size_t len = data.len - at < INT_MAX ? data.len - at : INT_MAX;
        status = inflate_some(self, (const uint8_t *)data.base + at, len, out, out_max);
        at += len;
    }
    if (!status && last) status = inflate_some(self, tail, TAIL_LEN, out, out_max);
    if (status || (last && !self->context)) close_inflater(self);
    return status;
}

/* ---- deflating ------------------------------------------------------------------------------- */

q5_ws_deflater *q5_ws_deflater_create(const q5_alloc *alloc, uint8_t bits, bool context) {
    q5_ws_deflater *self = q5_calloc(alloc, sizeof(*self));
    if (!self) return NULL;
    self->alloc = alloc;
    self->context = context;
    set_alloc(&self->z, alloc);
    if (deflateInit2(&self->z, LEVEL, Z_DEFLATED, -bits, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK)
        return self;
    q5_free(alloc, self);
    return NULL;
}

void q5_ws_deflater_destroy(q5_ws_deflater *self) {
    if (!self) return;
    deflateEnd(&self->z);
    q5_free(self->alloc, self);
}

int q5_ws_deflater_message(q5_ws_deflater *self, q5_slice message, q5_buf *out) {
    z_stream *z = &self->z;
    size_t before = out->len;
    if (message.len > INT_MAX) return Q5_EWS_LONG;
    /* The one byte of an empty block (7.2.3.6): zlib does not flush twice. */
    if (message.len == 0) return q5_buf_append(out, "", 1);
    /* Beyond the bound: what a flush adds, an empty block and the bits that are yet to go out. */
    size_t room = deflateBound(z, message.len) + 16;
    int status = q5_buf_reserve(out, room);
    if (status) return status;
    z->next_in = (uint8_t *)(uintptr_t)message.base;
    z->avail_in = (unsigned)message.len;
    z->next_out = (uint8_t *)out->base + before;
    z->avail_out = (unsigned)room;
    int rc = deflate(z, Z_SYNC_FLUSH);
    size_t len = room - z->avail_out;
    bool is_flushed = rc == Z_OK && !z->avail_in && z->avail_out && len > TAIL_LEN &&
                      memcmp(out->base + before + len - TAIL_LEN, tail, TAIL_LEN) == 0;
    if (!self->context) deflateReset(z);
    if (!is_flushed) return Q5_EWS_DATA;
    out->len = before + len - TAIL_LEN;
    return Q5_OK;
}

#else

bool q5_ws_deflate_available(void) {
    return false;
}

q5_ws_inflater *q5_ws_inflater_create(const q5_alloc *alloc, const q5_ws_deflate_terms *terms) {
    (void)alloc;
    (void)terms;
    return NULL;
}

void q5_ws_inflater_destroy(q5_ws_inflater *self) {
    (void)self;
}

int q5_ws_inflater_piece(void *ctx, q5_slice data, bool last, q5_buf *out, size_t out_max) {
    (void)ctx;
    (void)data;
    (void)last;
    (void)out;
    (void)out_max;
    return Q5_ELIBRARY;
}

q5_ws_deflater *q5_ws_deflater_create(const q5_alloc *alloc, uint8_t bits, bool context) {
    (void)alloc;
    (void)bits;
    (void)context;
    return NULL;
}

void q5_ws_deflater_destroy(q5_ws_deflater *self) {
    (void)self;
}

int q5_ws_deflater_message(q5_ws_deflater *self, q5_slice message, q5_buf *out) {
    (void)self;
    (void)message;
    (void)out;
    return Q5_ELIBRARY;
}

#endif
