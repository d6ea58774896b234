/* A WebSocket connection (RFC 6455) that sends one text message at a time and waits for the same
 * text. Its keys and masks are no secrets: it is a load generator, and no client for the open net.
 */
#ifndef BENCH_WS_CLIENT_H
#define BENCH_WS_CLIENT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "response.h"

#define WS_MESSAGE_MIN 16
#define WS_MESSAGE_MAX 4096
#define WS_FRAME_MAX (WS_MESSAGE_MAX + 8) /* a head of 2 or 4 bytes, and the mask */
#define WS_CONTROL_MAX (125 + 6)

typedef struct {
    struct sockaddr_in address;
    int poller;            /* an epoll descriptor */
    const char *handshake; /* as it is sent: ws_handshake() */
    size_t handshake_len;
    size_t message_bytes; /* WS_MESSAGE_MIN to WS_MESSAGE_MAX */
} ws_target;

typedef struct ws_client {
    const ws_target *target;
    int fd;
    bool wants_out; /* watched for room to write */
    bool upgraded;
    bool busy;       /* a message is on its way */
    uint64_t number; /* of that message */
    uint64_t due_ns; /* when it was due */
    uint32_t mask;
    size_t out_len, sent, in_len;
    struct ws_client *next_idle;
    unsigned char out[WS_FRAME_MAX + WS_CONTROL_MAX];
    unsigned char in[WS_FRAME_MAX];
    response answer; /* to the handshake */
} ws_client;

/* WS_LOST: refused, closed, or answered by what is not the message; the client is done with. */
typedef enum { WS_WAITS, WS_OPENED, WS_ECHOED, WS_LOST } ws_outcome;

/* Writes the request for an upgrade. Returns its length, or -1 if there is no room for it. */
int ws_handshake(char *to, size_t room, const char *port, const char *path);

/* Begins to connect. Returns 0, or -1 with errno. */
int ws_open(ws_client *c, const ws_target *target);

/* Sends the message of a number, which was due at `due_ns`. Not before it is opened, nor while it
 * is busy. */
ws_outcome ws_send(ws_client *c, uint64_t number, uint64_t due_ns);

/* Goes on after epoll's `events`. */
ws_outcome ws_go_on(ws_client *c, uint32_t events);

#endif
