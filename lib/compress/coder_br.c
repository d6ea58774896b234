/* br by the brotli encoder. */
#include "compress/coder.h"

#ifdef Q5_HAVE_BROTLI
#include <brotli/encode.h>
#include <setjmp.h>

#define WINDOW_BITS 18 /* 256 KiB */
#define METADATA_MIN 2 /* the encoder writes a block of one byte wrongly */

/* In front of each piece of memory that the encoder has. */
typedef struct br_block {
    struct br_block *prev, *next;
} br_block;

typedef struct br_state {
    const q5_alloc *alloc;
    int quality;
    BrotliEncoderState *encoder; /* NULL between two streams: an encoder cannot be used again */
    size_t pad;                  /* metadata yet to be put in */
    bool pads;                   /* the encoder has begun to */
    br_block blocks;             /* head of a ring */
    jmp_buf out_of_memory;
} br_state;

/* ---- memory: the encoder ends the process when it is handed NULL. Instead of that it is left
 * where it stands; since it holds nothing but memory from here, all of that is given back.
 * ------------ */

_Static_assert(sizeof(br_block) % _Alignof(max_align_t) == 0, "memory behind it must be aligned");

static void *br_alloc(void *arg, size_t size) {
    br_state *state = arg;
    br_block *block =
        size > SIZE_MAX - sizeof(*block) ? NULL : q5_malloc(state->alloc, sizeof(*block) + size);
    if (!block) longjmp(state->out_of_memory, 1);
    *block = (br_block){&state->blocks, state->blocks.next};
    block->next->prev = block;
    state->blocks.next = block;
    return block + 1;
}

static void br_free(void *arg, void *ptr) {
    br_state *state = arg;
    if (!ptr) return;
    br_block *block = (br_block *)ptr - 1;
    block->prev->next = block->next;
    block->next->prev = block->prev;
    q5_free(state->alloc, block);
}

static void drop_encoder(br_state *state) {
    while (state->blocks.next != &state->blocks)
        br_free(state, state->blocks.next + 1);
    state->encoder = NULL;
}

static void *br_open(const q5_alloc *alloc, int quality) {
    br_state *state = q5_calloc(alloc, sizeof(*state));
    if (!state) return NULL;
    state->alloc = alloc;
    state->quality = quality;
    state->blocks = (br_block){&state->blocks, &state->blocks};
    return state;
}

static void br_close(void *arg) {
    br_state *state = arg;
    drop_encoder(state);
    q5_free(state->alloc, state);
}

/* ---- a stream -------------------------------------------------------------------------------- */

static int make_encoder(br_state *state) {
    if (setjmp(state->out_of_memory)) {
        drop_encoder(state);
        return Q5_ENOMEM;
    }
    state->encoder = BrotliEncoderCreateInstance(br_alloc, br_free, state);
    return state->encoder ? Q5_OK : Q5_ENOMEM;
}

static int br_begin(void *arg, uint64_t size, size_t pad) {
    br_state *state = arg;
    drop_encoder(state);
    int status = make_encoder(state);
    if (status) return status;
    BrotliEncoderSetParameter(state->encoder, BROTLI_PARAM_QUALITY, (uint32_t)state->quality);
    BrotliEncoderSetParameter(state->encoder, BROTLI_PARAM_LGWIN, WINDOW_BITS);
    if (size < UINT32_MAX / 2)
        BrotliEncoderSetParameter(state->encoder, BROTLI_PARAM_SIZE_HINT, (uint32_t)size);
    state->pad = pad && pad < METADATA_MIN ? METADATA_MIN : pad;
    state->pads = false;
    return Q5_OK;
}

static int step(br_state *state, BrotliEncoderOperation operation, q5_slice *data, q5__room *room) {
    const uint8_t *in = (const uint8_t *)data->base;
    uint8_t *out = (uint8_t *)room->base;
    size_t in_len = data->len, out_len = room->len;
    /* It fails for want of memory only; input and output are as it asks for them. */
    if (!BrotliEncoderCompressStream(state->encoder, operation, &in_len, &in, &out_len, &out, NULL))
        return Q5_ENOMEM;
    q5__slice_skip(data, data->len - in_len);
    q5__room_skip(room, room->len - out_len);
    return data->len || BrotliEncoderHasMoreOutput(state->encoder) ? Q5_AGAIN : Q5_OK;
}

/* RFC 7932, 9.2: a decoder skips metadata. The encoder wants the same block until it is out. */
static int put_pad(br_state *state, q5__room *room) {
    static const char filler[Q5_COMPRESS_PAD_MAX] = {0};
    q5_slice rest = q5_slice_make(filler, state->pad);
    state->pads = true;
    int status = step(state, BROTLI_OPERATION_EMIT_METADATA, &rest, room);
    state->pad = rest.len;
    if (status == Q5_OK) state->pads = false;
    return status;
}

static int br_push(void *arg, q5__push push, q5_slice *data, q5__room *room) {
    static const BrotliEncoderOperation operations[] = {
        BROTLI_OPERATION_PROCESS, BROTLI_OPERATION_FLUSH, BROTLI_OPERATION_FINISH};
    br_state *state = arg;
    if (!state->encoder) return Q5_ESTATE;
    if (setjmp(state->out_of_memory)) {
        drop_encoder(state);
        return Q5_ENOMEM;
    }
    if (state->pad || state->pads) {
        int status = put_pad(state, room);
        if (status) return status;
    }
    int status = step(state, operations[push], data, room);
    if (push == Q5__PUSH_FINISH && status == Q5_OK) drop_encoder(state);
    return status;
}

const q5__coder q5__coder_br = {
    .is_padded = true,
    .nothing = {"\x06", 1}, /* an empty metadata block (RFC 7932, 9.2) */
    .levels = {4, 1, 2, 3, 4, 4, 5, 5, 6, 6},
    .open = br_open,
    .close = br_close,
    .begin = br_begin,
    .push = br_push,
};
#endif
