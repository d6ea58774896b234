/* The opening handshake of WebSocket, a server's side (RFC 6455, 4.2; RFC 7692, 7): pure functions
 * over a request's head. */
#ifndef Q5_WS_HANDSHAKE_H
#define Q5_WS_HANDSHAKE_H

#include "q5/head.h"

#define Q5_WS_ACCEPT_LEN 28
#define Q5_WS_EXTENSION_MAX 160

/* Q5_OK: the request asks for a WebSocket and may have one; *ret_key is its key. Q5_EWS_UPGRADE: it
 * asks for none. Q5_EWS_VERSION: for one of another version than 13, which the answer (426) should
 * name. Q5_EWS_HANDSHAKE: it is malformed (no GET, a body, no key, two of a field). */
Q5_EXTERN int q5_ws_handshake_check(const q5_head *head, q5_slice *ret_key);

/* What Sec-WebSocket-Accept says to that key (4.2.2, 5.4). */
Q5_EXTERN void q5_ws_accept(q5_slice key, char out[Q5_WS_ACCEPT_LEN]);

/* The client offers this subprotocol (names are case-sensitive). */
Q5_EXTERN bool q5_ws_offers_protocol(const q5_head *head, q5_slice protocol);

/* The page of that Origin is of the same host and port as the request is for. The scheme may be
 * another, since a proxy may have taken TLS away; but where the request is known to be by https, no
 * page is the same that came without it, and that anybody on the network may have written. */
Q5_EXTERN bool q5_ws_same_origin(q5_slice origin, q5_slice host, bool is_https);
/* The same against one that is allowed, whose host may begin with "*." for all below it. */
Q5_EXTERN bool q5_ws_origin_matches(q5_slice origin, q5_slice pattern);

/* What of permessage-deflate a server would have. */
typedef struct q5_ws_deflate_wish {
    uint8_t server_bits; /* 9 to 15: the window of what is sent */
    uint8_t client_bits; /* 8 to 15: of what is received, where the client lets us choose */
    bool server_context; /* keep the window from message to message */
    bool client_context;
} q5_ws_deflate_wish;

/* What was agreed on. */
typedef struct q5_ws_deflate_terms {
    uint8_t server_bits, client_bits;
    bool server_context, client_context;
} q5_ws_deflate_terms;

/* Takes the first offer that can be met (RFC 7692, 5.1 and 7.1). True: *ret_terms, and the value of
 * Sec-WebSocket-Extensions in out, *ret_len bytes of it. False: the connection does without; no
 * offer is an error. */
Q5_EXTERN bool q5_ws_deflate_negotiate(const q5_head *head, const q5_ws_deflate_wish *wish,
                                       q5_ws_deflate_terms *ret_terms,
                                       char out[Q5_WS_EXTENSION_MAX], size_t *ret_len);

#endif
