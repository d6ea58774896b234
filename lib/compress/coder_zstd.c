/* zstd by libzstd's stable interface, which allocates by itself. */
#include "compress/coder.h"

#ifdef Q5_HAVE_ZSTD
#include <zstd.h>
#include <zstd_errors.h>

#define WINDOW_BITS 18 /* 256 KiB; RFC 9659 allows content codings 8 MiB */

typedef struct zstd_state {
    const q5_alloc *alloc;
    ZSTD_CCtx *context;
    bool begun;
} zstd_state;

static void zstd_close(void *arg) {
    zstd_state *state = arg;
    ZSTD_freeCCtx(state->context);
    q5_free(state->alloc, state);
}

static void *zstd_open(const q5_alloc *alloc, int level) {
    zstd_state *state = q5_calloc(alloc, sizeof(*state));
    if (!state) return NULL;
    state->alloc = alloc;
    state->context = ZSTD_createCCtx();
    if (state->context &&
        !ZSTD_isError(ZSTD_CCtx_setParameter(state->context, ZSTD_c_compressionLevel, level)) &&
        !ZSTD_isError(ZSTD_CCtx_setParameter(state->context, ZSTD_c_windowLog, WINDOW_BITS)))
        return state;
    zstd_close(state);
    return NULL;
}

static int zstd_begin(void *arg, uint64_t size, size_t pad) {
    (void)pad;
    zstd_state *state = arg;
    ZSTD_CCtx_reset(state->context, ZSTD_reset_session_only);
    /* Both constants for "unknown" are ~0. */
    if (ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(state->context, size))) return Q5_ENOMEM;
    state->begun = true;
    return Q5_OK;
}

static int status_of(size_t code) {
    return ZSTD_getErrorCode(code) == ZSTD_error_srcSize_wrong ? Q5_EINVAL : Q5_ENOMEM;
}

static int zstd_push(void *arg, q5__push push, q5_slice *data, q5__room *room) {
    static const ZSTD_EndDirective directives[] = {ZSTD_e_continue, ZSTD_e_flush, ZSTD_e_end};
    zstd_state *state = arg;
    if (!state->begun) return Q5_ESTATE;
    ZSTD_inBuffer in = {data->base, data->len, 0};
    ZSTD_outBuffer out = {room->base, room->len, 0};
    size_t left = ZSTD_compressStream2(state->context, &out, &in, directives[push]);
    if (ZSTD_isError(left)) return status_of(left);
    q5__slice_skip(data, in.pos);
    q5__room_skip(room, out.pos);
    bool is_done = data->len == 0 && (push == Q5__PUSH_FEED || left == 0);
    if (is_done && push == Q5__PUSH_FINISH) state->begun = false;
    return is_done ? Q5_OK : Q5_AGAIN;
}

const q5__coder q5__coder_zstd = {
    .is_padded = false,
    .nothing = {"\x00\x00\x00", 3}, /* an empty raw block (RFC 8878, 3.1.1.2) */
    .levels = {1, 1, 1, 2, 2, 3, 3, 4, 5, 6},
    .open = zstd_open,
    .close = zstd_close,
    .begin = zstd_begin,
    .push = zstd_push,
};
#endif
