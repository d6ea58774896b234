/* The first byte chooses how the rest is cut; the parser must see the same whole and in pieces. */
#include "q5/multipart.h"

#include <stdlib.h>

typedef struct digest {
    uint64_t hash; /* FNV-1a over everything the callbacks were given */
    int open;
} digest;

static void mix(digest *d, q5_slice s) {
    for (size_t i = 0; i < s.len; i++) {
        d->hash ^= (unsigned char)s.base[i];
        d->hash *= UINT64_C(1099511628211);
    }
}

static int on_begin(void *ctx, const q5_part *part) {
    digest *d = ctx;
    if (d->open++) abort();
    mix(d, part->name);
    mix(d, part->filename);
    mix(d, part->content_type);
    for (size_t i = 0; i < part->header_count; i++)
        mix(d, part->headers[i].value);
    return Q5_OK;
}

static int on_data(void *ctx, q5_slice data) {
    digest *d = ctx;
    if (d->open != 1 || data.len == 0) abort();
    mix(d, data);
    return Q5_OK;
}

static int on_end(void *ctx) {
    digest *d = ctx;
    if (d->open-- != 1) abort();
    mix(d, Q5_LIT("}"));
    return Q5_OK;
}

static int run(const char *body, size_t len, size_t step, digest *d) {
    static const q5_multipart_callbacks callbacks = {on_begin, on_data, on_end};
    q5_multipart parser;
    *d = (digest){.hash = UINT64_C(14695981039346656037)};
    if (q5_multipart_init(&parser, NULL, Q5_LIT("B"), NULL, &callbacks, d)) abort();
    for (size_t pos = 0; pos < len; pos += step) {
        size_t n = len - pos < step ? len - pos : step;
        char *piece = malloc(n);
        memcpy(piece, body + pos, n);
        int status = q5_multipart_feed(&parser, piece, n);
        free(piece);
        if (status) break;
    }
    int status = q5_multipart_finish(&parser);
    q5_multipart_deinit(&parser);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    q5_slice boundary;
    q5_multipart_boundary(q5_slice_make((const char *)data, size), &boundary);
    if (size < 2) return 0;
    digest whole, pieces;
    int status = run((const char *)data + 1, size - 1, size, &whole);
    if (run((const char *)data + 1, size - 1, 1U + data[0] % 32U, &pieces) != status) abort();
    /* After an error data that came before it may have been passed on or not. */
    if (status == Q5_OK && whole.hash != pieces.hash) abort();
    if (status == Q5_OK && whole.open) abort();
    return 0;
}
