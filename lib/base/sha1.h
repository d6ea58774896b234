/* SHA-1 (RFC 3174), for the handshake of WebSocket, which asks for no secrecy. Not for anything
 * that does. */
#ifndef Q5_BASE_SHA1_H
#define Q5_BASE_SHA1_H

#include "q5/base.h"

#define Q5__SHA1_LEN 20
#define Q5__SHA1_INPUT_MAX 119 /* two blocks of 64, with their padding */

/* The digest of up to Q5__SHA1_INPUT_MAX bytes. */
void q5__sha1(q5_slice data, uint8_t out[Q5__SHA1_LEN]);

#endif
