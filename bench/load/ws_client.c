#include "ws_client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"

/* The pair of RFC 6455, 1.3. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define FIN_TEXT 0x81
#define FIN_PING 0x89
#define FIN_PONG 0x8a
#define MASKED 0x80
#define LENGTH_16 126 /* RFC 6455, 5.2: the length is in the next two bytes */
#define LENGTH_64 127
#define NUMBER_DIGITS 10
#define RECEIVED_MAX 65536

int ws_handshake(char *to, size_t room, const char *port, const char *path) {
    int len = snprintf(to, room,
                       "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Key: " KEY "\r\n"
                       "Sec-WebSocket-Version: 13\r\nOrigin: http://127.0.0.1:%s\r\n\r\n",
                       path, port, port);
    return len < 0 || (size_t)len >= room ? -1 : len;
}

static int watch(ws_client *c, int operation, bool wants_out) {
    c->wants_out = wants_out;
    return net_watch(c->target->poller, operation, c->fd, c, wants_out);
}

static ws_outcome lose(ws_client *c) {
    close(c->fd);
    c->fd = -1;
    return WS_LOST;
}

static ws_outcome push(ws_client *c, const void *bytes, size_t len) {
    while (c->sent < len) {
        long n = net_send(c->fd, (const char *)bytes + c->sent, len - c->sent);
        if (n < 0) return lose(c);
        if (n == 0) {
            if (!c->wants_out && watch(c, EPOLL_CTL_MOD, true) != 0) return lose(c);
            return WS_WAITS;
        }
        c->sent += (size_t)n;
    }
    if (c->wants_out && watch(c, EPOLL_CTL_MOD, false) != 0) return lose(c);
    return WS_WAITS;
}

static ws_outcome push_what_is_left(ws_client *c) {
    if (!c->upgraded) return push(c, c->target->handshake, c->target->handshake_len);
    return push(c, c->out, c->out_len);
}

int ws_open(ws_client *c, const ws_target *target) {
    *c = (ws_client){.target = target, .fd = net_connect(&target->address)};
    if (c->fd < 0 || watch(c, EPOLL_CTL_ADD, true) != 0) return -1;
    c->mask = (uint32_t)c->fd * UINT32_C(0x9e3779b9);
    response_start(&c->answer);
    return 0;
}

/* Appends a masked frame to what is to be sent. Its content is there already, unmasked, behind the
 * room for its head. */
static void seal(ws_client *c, unsigned char first, size_t head_len, size_t len) {
    unsigned char *frame = c->out + c->out_len;
    frame[0] = first;
    frame[1] = (unsigned char)(MASKED | (len < LENGTH_16 ? len : LENGTH_16));
    if (len >= LENGTH_16) {
        frame[2] = (unsigned char)(len >> 8);
        frame[3] = (unsigned char)len;
    }
    c->mask = c->mask * 1664525 + 1013904223;
    memcpy(frame + head_len - 4, &c->mask, 4);
    for (size_t i = 0; i < len; i++)
        frame[head_len + i] ^= frame[head_len - 4 + i % 4];
    c->out_len += head_len + len;
}

static size_t head_len_of(size_t len) {
    return len < LENGTH_16 ? 6 : 8;
}

/* Ten digits, and letters up to the length of a message. */
static void write_message(unsigned char *to, uint64_t number, size_t len) {
    for (size_t i = NUMBER_DIGITS; i-- > 0; number /= 10)
        to[i] = (unsigned char)('0' + number % 10);
    for (size_t i = NUMBER_DIGITS; i < len; i++)
        to[i] = (unsigned char)('a' + i % 26);
}

static bool is_message(const ws_client *c, const unsigned char *bytes, size_t len) {
    unsigned char right[WS_MESSAGE_MAX];
    write_message(right, c->number, c->target->message_bytes);
    return len == c->target->message_bytes && memcmp(bytes, right, len) == 0;
}

ws_outcome ws_send(ws_client *c, uint64_t number, uint64_t due_ns) {
    size_t len = c->target->message_bytes;
    c->busy = true;
    c->number = number;
    c->due_ns = due_ns;
    c->out_len = c->sent = 0;
    write_message(c->out + head_len_of(len), number, len);
    seal(c, FIN_TEXT, head_len_of(len), len);
    return push(c, c->out, c->out_len);
}

/* RFC 6455, 5.5.2: a pong with the ping's content. */
static int answer_ping(ws_client *c, const unsigned char *content, size_t len) {
    if (c->sent == c->out_len) c->out_len = c->sent = 0;
    if (len >= LENGTH_16 || sizeof(c->out) - c->out_len < len + 6) return -1;
    memcpy(c->out + c->out_len + 6, content, len);
    seal(c, FIN_PONG, 6, len);
    return push(c, c->out, c->out_len) == WS_LOST ? -1 : 0;
}

/* The frame that `in` begins with. Returns its length, 0 if it is not whole yet, -1 if it is none
 * that a server may send here. */
static long take_frame(ws_client *c, ws_outcome *ret_outcome) {
    const unsigned char *in = c->in;
    if (c->in_len < 2) return 0;
    size_t head = 2, len = in[1];
    if (len & MASKED || len == LENGTH_64) return -1;
    if (len == LENGTH_16) {
        if (c->in_len < 4) return 0;
        head = 4;
        len = (size_t)in[2] << 8 | in[3];
    }
    if (head + len > sizeof(c->in)) return -1;
    if (c->in_len < head + len) return 0;
    switch (in[0]) {
    case FIN_TEXT:
        if (!c->busy || !is_message(c, in + head, len)) return -1;
        c->busy = false;
        *ret_outcome = WS_ECHOED;
        break;
    case FIN_PING:
        if (answer_ping(c, in + head, len) != 0) return -1;
        break;
    case FIN_PONG:
        break;
    default:
        return -1;
    }
    return (long)(head + len);
}

static int take_frames(ws_client *c, const char *bytes, size_t len, ws_outcome *ret_outcome) {
    if (len > sizeof(c->in) - c->in_len) return -1;
    memcpy(c->in + c->in_len, bytes, len);
    c->in_len += len;
    long took;
    while ((took = take_frame(c, ret_outcome)) > 0) {
        c->in_len -= (size_t)took;
        memmove(c->in, c->in + took, c->in_len);
    }
    return took < 0 ? -1 : 0;
}

/* Returns how many of the bytes are the answer to the handshake, or -1. */
static long take_answer(ws_client *c, const char *bytes, size_t len, ws_outcome *ret_outcome) {
    long took = response_take(&c->answer, bytes, len);
    if (took < 0 || c->answer.state != RESPONSE_DONE) return took;
    if (c->answer.status != 101 || !strstr(c->answer.head, ACCEPT)) return -1;
    c->upgraded = true;
    c->sent = 0;
    *ret_outcome = WS_OPENED;
    return took;
}

static ws_outcome pull(ws_client *c) {
    static char bytes[RECEIVED_MAX];
    ws_outcome outcome = WS_WAITS;
    for (;;) {
        ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);
        if (n < 0 && errno == EAGAIN) return outcome;
        if (n <= 0) return lose(c);
        long took = c->upgraded ? 0 : take_answer(c, bytes, (size_t)n, &outcome);
        if (took < 0) return lose(c);
        if (c->upgraded && take_frames(c, bytes + took, (size_t)(n - took), &outcome) != 0)
            return c->fd < 0 ? WS_LOST : lose(c);
        if ((size_t)n < sizeof(bytes)) return outcome;
    }
}

ws_outcome ws_go_on(ws_client *c, uint32_t events) {
    if (events & EPOLLOUT && push_what_is_left(c) == WS_LOST) return WS_LOST;
    return events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? pull(c) : WS_WAITS;
}
