/* Where an HTTP/1.1 response ends: just enough of a client's parser for a load generator.
 * It trusts the server under test: it is no parser for the open net. */
#ifndef BENCH_RESPONSE_H
#define BENCH_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESPONSE_HEAD_MAX 16384

typedef enum {
    RESPONSE_HEAD,
    RESPONSE_BODY, /* `left` bytes of it, or of the chunk and its CRLF */
    RESPONSE_CHUNK_SIZE,
    RESPONSE_LAST_LINE, /* of the trailers, which must be empty */
    RESPONSE_DONE,
} response_state;

typedef struct {
    response_state state;
    size_t head_len; /* of what `head` holds; then of the line of a chunk's size */
    uint64_t left;
    int status;
    bool chunked;
    bool close; /* the server closes the connection behind it */
    /* Who reads the body as it comes, or NULL; then it may end with the connection. Set once,
     * before response_start(). */
    void (*on_body)(void *owner, const char *bytes, size_t len);
    void *owner;
    char head[RESPONSE_HEAD_MAX + 1];
} response;

void response_start(response *r);

/* Takes bytes until the response is at its end (`state` is RESPONSE_DONE): with status 101 or
 * 204, at the end of its head. Returns how many it took, or -1 if they are no response that ends by
 * a length or by chunks. */
long response_take(response *r, const char *bytes, size_t len);

#endif
