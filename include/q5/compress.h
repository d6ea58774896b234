/* Content codings that make bodies smaller: gzip (RFC 1952), br (RFC 7932), zstd (RFC 8878), each
 * where the library was built with it. One stream at a time per compressor, in pieces of any size;
 * no clock, no random numbers, one thread at a time. */
#ifndef Q5_COMPRESS_H
#define Q5_COMPRESS_H

#include "q5/accept.h"
#include "q5/buf.h"

/* Levels, whichever the coding: 1 is the fastest, 9 the smallest, 0 the coding's own default. */
#define Q5_COMPRESS_LEVEL_MAX 9

/* Longest padding of a stream, in bytes. */
#define Q5_COMPRESS_PAD_MAX 100

/* The length of a body that is not known beforehand. */
#define Q5_COMPRESS_UNKNOWN UINT64_MAX

/* Private to lib/compress. */
struct q5__coder;

typedef struct q5_compressor {
    const q5_alloc *alloc;
    const struct q5__coder *coder;
    void *state; /* owned */
} q5_compressor;

/* Whether the library was built with the coding; false for identity. */
Q5_EXTERN bool q5_compress_supported(q5_coding coding);

/* Whether the coding can be padded: see q5_compressor_begin. */
Q5_EXTERN bool q5_compress_padded(q5_coding coding);

/* Bytes that add nothing to what is decoded, and may be sent wherever the stream has just been
 * flushed, to break a silence. Empty for what is not supported. Static storage. */
Q5_EXTERN q5_slice q5_compress_nothing(q5_coding coding);

/* Makes what is needed for streams of the coding. Windows are 256 KiB at most; memory, taken with
 * the first stream, is 0.3 MB for gzip, up to 2.5 MB by default and 5 MB at the highest level for
 * br and zstd (zstd's outside of `alloc`, by the process's malloc).
 * Q5_EINVAL: a coding that is not supported, or a level past Q5_COMPRESS_LEVEL_MAX; Q5_ENOMEM. On
 * failure there is nothing to deinit. */
Q5_EXTERN int q5_compressor_init(q5_compressor *compressor, const q5_alloc *alloc, q5_coding coding,
                                 int level);
Q5_EXTERN void q5_compressor_deinit(q5_compressor *compressor);

/* Begins a stream; the memory of the last one is used again, what that one left over is dropped.
 * `size` is the length of all data to come, or Q5_COMPRESS_UNKNOWN. `pad` (at most
 * Q5_COMPRESS_PAD_MAX, clipped) bytes of no meaning are put in where the coding has a place for
 * them (br's metadata, which has a head of its own, and gzip's file name, which is letters "a" and
 * a NUL), so that the length of the output tells less about the data. Q5_OK or Q5_ENOMEM (fatal).
 */
Q5_EXTERN int q5_compressor_begin(q5_compressor *compressor, uint64_t size, size_t pad);

/* Each takes all of `data` (which may be empty) and appends what can be given of the output.
 *
 * feed: whatever is most compact. flush: everything so far can be decoded from what was given.
 * finish: the stream ends; begin the next one before the next data.
 *
 * Q5_OK; Q5_ENOMEM (fatal, *out keeps what was appended); Q5_ESTATE: nothing was begun; Q5_EINVAL:
 * other than `size` bytes came (noticed by zstd only). */
Q5_EXTERN int q5_compressor_feed(q5_compressor *compressor, q5_slice data, q5_buf *out);
Q5_EXTERN int q5_compressor_flush(q5_compressor *compressor, q5_slice data, q5_buf *out);
Q5_EXTERN int q5_compressor_finish(q5_compressor *compressor, q5_slice data, q5_buf *out);

#endif
