#include "compress/coder.h"

/* What a call of a coding's library may write at a time: small bodies fit at once. */
#define ROOM_MIN 512
#define ROOM_MAX 16384

static const q5__coder *const coders[Q5_CODING_COUNT] = {
#ifdef Q5_HAVE_ZLIB
    [Q5_CODING_GZIP] = &q5__coder_gzip,
#endif
#ifdef Q5_HAVE_BROTLI
    [Q5_CODING_BR] = &q5__coder_br,
#endif
#ifdef Q5_HAVE_ZSTD
    [Q5_CODING_ZSTD] = &q5__coder_zstd,
#endif
};

bool q5_compress_supported(q5_coding coding) {
    return coders[coding] != NULL;
}

bool q5_compress_padded(q5_coding coding) {
    return coders[coding] && coders[coding]->is_padded;
}

q5_slice q5_compress_nothing(q5_coding coding) {
    return coders[coding] ? coders[coding]->nothing : q5_slice_make("", 0);
}

int q5_compressor_init(q5_compressor *compressor, const q5_alloc *alloc, q5_coding coding,
                       int level) {
    const q5__coder *coder = coders[coding];
    if (!coder || level < 0 || level > Q5_COMPRESS_LEVEL_MAX) return Q5_EINVAL;
    if (!alloc) alloc = q5_alloc_default();
    void *state = coder->open(alloc, coder->levels[level]);
    if (!state) return Q5_ENOMEM;
    *compressor = (q5_compressor){.alloc = alloc, .coder = coder, .state = state};
    return Q5_OK;
}

void q5_compressor_deinit(q5_compressor *compressor) {
    if (compressor->state) compressor->coder->close(compressor->state);
    compressor->state = NULL;
}

int q5_compressor_begin(q5_compressor *compressor, uint64_t size, size_t pad) {
    if (pad > Q5_COMPRESS_PAD_MAX) pad = Q5_COMPRESS_PAD_MAX;
    return compressor->coder->begin(compressor->state, size, pad);
}

static size_t room_for(size_t data_len) {
    return data_len < ROOM_MIN ? ROOM_MIN : data_len > ROOM_MAX ? ROOM_MAX : data_len;
}

/* Each turn fills its room or is the last one, so there are no more turns than output. */
static int push_all(q5_compressor *compressor, q5__push push, q5_slice data, q5_buf *out) {
    int status = Q5_AGAIN;
    while (status == Q5_AGAIN) {
        int reserved = q5_buf_reserve(out, room_for(data.len));
        if (reserved) return reserved;
        q5__room room = {out->base + out->len, out->cap - out->len};
        size_t before = room.len, data_before = data.len;
        status = compressor->coder->push(compressor->state, push, &data, &room);
        out->len += before - room.len;
        if (status == Q5_AGAIN && room.len == before && data.len == data_before) return Q5_ESTATE;
    }
    return status;
}

int q5_compressor_feed(q5_compressor *compressor, q5_slice data, q5_buf *out) {
    return push_all(compressor, Q5__PUSH_FEED, data, out);
}

int q5_compressor_flush(q5_compressor *compressor, q5_slice data, q5_buf *out) {
    return push_all(compressor, Q5__PUSH_FLUSH, data, out);
}

int q5_compressor_finish(q5_compressor *compressor, q5_slice data, q5_buf *out) {
    return push_all(compressor, Q5__PUSH_FINISH, data, out);
}
