/* gzip by zlib. */
#include "compress/coder.h"

#ifdef Q5_HAVE_ZLIB
#include <limits.h>
#include <zlib.h>

#define GZIP_WINDOW_BITS (15 + 16) /* 32 KiB; + 16: with gzip's head and end */
#define MEMORY_LEVEL 8             /* zlib's default: 128 KiB */
#define OS_UNKNOWN 255

typedef struct gzip_state {
    const q5_alloc *alloc;
    z_stream stream;
    gz_header header; /* zlib reads it with the first output */
    Bytef name[Q5_COMPRESS_PAD_MAX];
    bool begun;
} gzip_state;

static voidpf zlib_alloc(voidpf alloc, uInt items, uInt size) {
    return q5_malloc(alloc, (size_t)items * size);
}

static void zlib_free(voidpf alloc, voidpf ptr) {
    q5_free(alloc, ptr);
}

static void *gzip_open(const q5_alloc *alloc, int level) {
    gzip_state *state = q5_calloc(alloc, sizeof(*state));
    if (!state) return NULL;
    state->alloc = alloc;
    state->stream.opaque = (voidpf)(uintptr_t)alloc; /* only ever handed back to us */
    state->stream.zalloc = zlib_alloc;
    state->stream.zfree = zlib_free;
    if (deflateInit2(&state->stream, level, Z_DEFLATED, GZIP_WINDOW_BITS, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) == Z_OK)
        return state;
    q5_free(alloc, state);
    return NULL;
}

static void gzip_close(void *arg) {
    gzip_state *state = arg;
    deflateEnd(&state->stream);
    q5_free(state->alloc, state);
}

static int gzip_begin(void *arg, uint64_t size, size_t pad) {
    (void)size;
    gzip_state *state = arg;
    if (deflateReset(&state->stream) != Z_OK) return Q5_ENOMEM;
    state->header = (gz_header){.os = OS_UNKNOWN};
    if (pad) {
        memset(state->name, 'a', pad - 1);
        state->name[pad - 1] = '\0';
        state->header.name = state->name;
    }
    if (deflateSetHeader(&state->stream, &state->header) != Z_OK) return Q5_ENOMEM;
    state->begun = true;
    return Q5_OK;
}

static uInt clip(size_t len) {
    return len > UINT_MAX ? UINT_MAX : (uInt)len;
}

static int gzip_push(void *arg, q5__push push, q5_slice *data, q5__room *room) {
    static const int flushes[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
    gzip_state *state = arg;
    z_stream *stream = &state->stream;
    if (!state->begun) return Q5_ESTATE;
    uInt in = clip(data->len), out = clip(room->len);
    bool is_last = in == data->len;
    stream->next_in = (Bytef *)(uintptr_t)data->base;
    stream->avail_in = in;
    stream->next_out = (Bytef *)room->base;
    stream->avail_out = out;
    int status = deflate(stream, is_last ? flushes[push] : Z_NO_FLUSH);
    q5__slice_skip(data, in - stream->avail_in);
    q5__room_skip(room, out - stream->avail_out);
    if (status == Z_STREAM_END) {
        state->begun = false;
        return Q5_OK;
    }
    /* Z_BUF_ERROR: nothing was to be done, which is well. */
    if (status != Z_OK && status != Z_BUF_ERROR) return Q5_ESTATE;
    bool is_done = push != Q5__PUSH_FINISH && data->len == 0 && stream->avail_out > 0;
    return is_done ? Q5_OK : Q5_AGAIN;
}

const q5__coder q5__coder_gzip = {
    .is_padded = true,
    .nothing = {"\x00\x00\x00\xff\xff", 5}, /* an empty stored block (RFC 1951, 3.2.4) */
    .levels = {5, 1, 2, 3, 4, 5, 6, 7, 8, 9},
    .open = gzip_open,
    .close = gzip_close,
    .begin = gzip_begin,
    .push = gzip_push,
};
#endif
