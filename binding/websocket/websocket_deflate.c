/* The compression of a socket's messages: what is agreed on at the handshake, and its state.
 * Without a kept context one deflater serves all connections, as no message is ever half
 * compressed. */
#include "websocket.h"

#include "q5/ws_handshake.h"

static const q5_ws_deflate_wish wishes[] = {
    [Q5PY_COMPRESS_MESSAGE] = {.server_bits = 12, .client_bits = 15},
    [Q5PY_COMPRESS_CONTEXT] = {.server_bits = 12,
                               .client_bits = 12,
                               .server_context = true,
                               .client_context = true},
};

static q5_ws_deflater *shared_deflater(q5py_server *server, uint8_t bits) {
    if (!server->deflater)
        server->deflater = q5_ws_deflater_create(q5_alloc_default(), bits, false);
    return server->deflater;
}

/* NULL: what is sent stays as it is, which is always allowed; a client with a smaller window than
 * ours gets that. */
static q5_ws_deflater *choose_deflater(q5py_websocket *self, const q5_ws_deflate_terms *terms,
                                       uint8_t wished_bits) {
    if (terms->server_context)
        self->own_deflater = q5_ws_deflater_create(q5_alloc_default(), terms->server_bits, true);
    if (terms->server_context) return self->own_deflater;
    if (terms->server_bits != wished_bits) return NULL;
    return shared_deflater(self->flight->server, wished_bits);
}

int q5py_websocket_negotiate(q5py_websocket *self, char out[Q5_WS_EXTENSION_MAX], size_t *ret_len) {
    q5_ws_deflate_terms terms;
    uint8_t mode = q5py_websocket_plan_of(self)->compression;
    *ret_len = 0;
    if (mode == Q5PY_COMPRESS_NOTHING || !self->flight->server->compresses ||
        !q5_ws_deflate_available() ||
        !q5_ws_deflate_negotiate(&self->flight->x->head, &wishes[mode], &terms, out, ret_len))
        return 0;
    self->inflater = q5_ws_inflater_create(q5_alloc_default(), &terms);
    if (!self->inflater) {
        PyErr_NoMemory();
        return -1;
    }
    self->deflater = choose_deflater(self, &terms, wishes[mode].server_bits);
    return 0;
}

int q5py_websocket_deflate(q5py_websocket *self, q5_slice message, q5_buf *out) {
    int status = q5_ws_deflater_message(self->deflater, message, out);
    if (self->own_deflater) return status; /* the client must see what the window has seen */
    return !status && out->len >= message.len ? Q5_AGAIN : status;
}

void q5py_websocket_free_compression(q5py_websocket *self) {
    q5_ws_inflater_destroy(self->inflater);
    q5_ws_deflater_destroy(self->own_deflater);
}
