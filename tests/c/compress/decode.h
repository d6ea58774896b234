/* What a client does with a coded body: the codings' own decoders, the whole input at once. Each
 * returns false unless the input is one complete stream of which nothing is left. */
#ifndef Q5_TEST_DECODE_H
#define Q5_TEST_DECODE_H

#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

#include "q5/compress.h"

static inline bool decode_gzip(q5_slice in, char *out, size_t room, size_t *ret_len, bool is_part) {
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)in.base,
                       .avail_in = (uInt)in.len,
                       .next_out = (Bytef *)out,
                       .avail_out = (uInt)room};
    if (inflateInit2(&stream, 15 + 16) != Z_OK) return false;
    int status = inflate(&stream, Z_SYNC_FLUSH);
    *ret_len = stream.total_out;
    bool is_whole = status == Z_STREAM_END && stream.avail_in == 0;
    inflateEnd(&stream);
    return is_part ? status == Z_OK || status == Z_BUF_ERROR : is_whole;
}

static inline bool decode_br(q5_slice in, char *out, size_t room, size_t *ret_len, bool is_part) {
    BrotliDecoderState *decoder = BrotliDecoderCreateInstance(NULL, NULL, NULL);
    const uint8_t *next = (const uint8_t *)in.base;
    uint8_t *to = (uint8_t *)out;
    size_t left = in.len, space = room;
    BrotliDecoderResult result =
        BrotliDecoderDecompressStream(decoder, &left, &next, &space, &to, NULL);
    *ret_len = room - space;
    BrotliDecoderDestroyInstance(decoder);
    if (is_part) return result == BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT;
    return result == BROTLI_DECODER_RESULT_SUCCESS && left == 0;
}

static inline bool decode_zstd(q5_slice in, char *out, size_t room, size_t *ret_len, bool is_part) {
    ZSTD_DCtx *context = ZSTD_createDCtx();
    ZSTD_inBuffer from = {in.base, in.len, 0};
    ZSTD_outBuffer to = {out, room, 0};
    size_t status = 1;
    while (from.pos < from.size && to.pos < to.size && !ZSTD_isError(status) && status)
        status = ZSTD_decompressStream(context, &to, &from);
    *ret_len = to.pos;
    ZSTD_freeDCtx(context);
    if (is_part) return !ZSTD_isError(status) && from.pos == from.size;
    return status == 0 && from.pos == from.size;
}

static inline bool decode(q5_coding coding, q5_slice in, char *out, size_t room, size_t *ret_len,
                          bool is_part) {
    switch (coding) {
    case Q5_CODING_GZIP:
        return decode_gzip(in, out, room, ret_len, is_part);
    case Q5_CODING_BR:
        return decode_br(in, out, room, ret_len, is_part);
    case Q5_CODING_ZSTD:
        return decode_zstd(in, out, room, ret_len, is_part);
    default:
        return false;
    }
}

#endif
