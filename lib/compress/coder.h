/* What a coding's library has to be wrapped into. */
#ifndef Q5_COMPRESS_CODER_H
#define Q5_COMPRESS_CODER_H

#include "q5/compress.h"

typedef enum q5__push { Q5__PUSH_FEED, Q5__PUSH_FLUSH, Q5__PUSH_FINISH } q5__push;

typedef struct q5__room {
    char *base;
    size_t len; /* free; what was written is taken off the front */
} q5__room;

typedef struct q5__coder {
    bool is_padded;
    q5_slice nothing;                      /* behind a flush: no data */
    int levels[Q5_COMPRESS_LEVEL_MAX + 1]; /* the library's number for ours; [0]: the default */
    /* NULL: out of memory. `level` is the library's. */
    void *(*open)(const q5_alloc *alloc, int level);
    void (*close)(void *state);
    /* Q5_OK or Q5_ENOMEM. */
    int (*begin)(void *state, uint64_t size, size_t pad);
    /* Takes from the front of *data, writes to the front of *room. Q5_OK: all is taken and
     * everything that `push` asks for is given; Q5_AGAIN: call again with more room; Q5_ENOMEM;
     * Q5_ESTATE; Q5_EINVAL. */
    int (*push)(void *state, q5__push push, q5_slice *data, q5__room *room);
} q5__coder;

#ifdef Q5_HAVE_ZLIB
extern const q5__coder q5__coder_gzip;
#endif
#ifdef Q5_HAVE_BROTLI
extern const q5__coder q5__coder_br;
#endif
#ifdef Q5_HAVE_ZSTD
extern const q5__coder q5__coder_zstd;
#endif

static inline void q5__slice_skip(q5_slice *slice, size_t n) {
    slice->base += n;
    slice->len -= n;
}

static inline void q5__room_skip(q5__room *room, size_t n) {
    room->base += n;
    room->len -= n;
}

#endif
