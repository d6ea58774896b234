#include "sse_client.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVED_MAX 65536

static const char DATA[] = "data:";

/* A whole line, without its end. Fields other than data, and comments, say nothing here. */
static void take_line(sse_client *c) {
    if (c->line_len && c->line[c->line_len - 1] == '\r') c->line_len--;
    size_t len = c->line_len, field = sizeof(DATA) - 1;
    c->line_len = 0;
    if (len == 0) {
        if (c->has_data) c->target->on_event(c->target->owner, c, c->data, c->data_len);
        c->has_data = false;
        return;
    }
    if (len < field || memcmp(c->line, DATA, field) != 0) return;
    if (len > field && c->line[field] == ' ') field++;
    c->broken |= c->has_data;
    c->has_data = true;
    c->data_len = len - field;
    memcpy(c->data, c->line + field, c->data_len);
}

static void take_body(void *owner, const char *bytes, size_t len) {
    sse_client *c = owner;
    while (len && !c->broken) {
        const char *end = memchr(bytes, '\n', len);
        size_t part = end ? (size_t)(end - bytes) : len;
        if (part > sizeof(c->line) - c->line_len) {
            c->broken = true;
            return;
        }
        memcpy(c->line + c->line_len, bytes, part);
        c->line_len += part;
        if (!end) return;
        take_line(c);
        bytes = end + 1;
        len -= part + 1;
    }
}

static int watch(sse_client *c, int operation, bool wants_out) {
    c->wants_out = wants_out;
    return net_watch(c->target->poller, operation, c->fd, c, wants_out);
}

int sse_open(sse_client *c, const sse_target *target) {
    *c = (sse_client){.target = target, .fd = net_connect(&target->address)};
    c->answer.on_body = take_body;
    c->answer.owner = c;
    response_start(&c->answer);
    return c->fd < 0 ? -1 : watch(c, EPOLL_CTL_ADD, true);
}

static int lose(sse_client *c) {
    close(c->fd);
    c->fd = -1;
    return -1;
}

static int push(sse_client *c) {
    const sse_target *target = c->target;
    while (c->sent < target->request_len) {
        long n = net_send(c->fd, target->request + c->sent, target->request_len - c->sent);
        if (n < 0) return -1;
        if (n == 0) return 0;
        c->sent += (size_t)n;
    }
    return watch(c, EPOLL_CTL_MOD, false);
}

static int pull(sse_client *c) {
    static char bytes[RECEIVED_MAX];
    for (;;) {
        ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);
        if (n < 0 && errno == EAGAIN) return 0;
        if (n <= 0 || response_take(&c->answer, bytes, (size_t)n) != n) return -1;
        if (c->broken || (c->answer.status && c->answer.status != 200)) return -1;
        if ((size_t)n < sizeof(bytes)) return 0;
    }
}

int sse_go_on(sse_client *c, uint32_t events) {
    if (events & EPOLLOUT && push(c) != 0) return lose(c);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && pull(c) != 0) return lose(c);
    return 0;
}
