#include "client.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"

static int watch(client *c, int operation, bool wants_out) {
    c->wants_out = wants_out;
    return net_watch(c->target->poller, operation, c->fd, c, wants_out);
}

int client_open(client *c, const client_target *target) {
    c->target = target;
    c->busy = false;
    c->sent = 0;
    response_start(&c->answer);
    c->fd = net_connect(&target->address);
    if (c->fd < 0) return -1;
    return watch(c, EPOLL_CTL_ADD, false);
}

static void reopen(client *c) {
    close(c->fd);
    if (client_open(c, c->target) != 0) c->fd = -1;
}

static client_outcome fail(client *c) {
    bool was_busy = c->busy;
    reopen(c);
    return was_busy ? CLIENT_FAILED : CLIENT_WAITS;
}

static client_outcome push(client *c) {
    const client_target *target = c->target;
    while (c->sent < target->request_len) {
        long n = net_send(c->fd, target->request + c->sent, target->request_len - c->sent);
        if (n == 0) {
            if (!c->wants_out && watch(c, EPOLL_CTL_MOD, true) != 0) return fail(c);
            return CLIENT_WAITS;
        }
        if (n < 0) return fail(c);
        c->sent += (size_t)n;
    }
    if (c->wants_out && watch(c, EPOLL_CTL_MOD, false) != 0) return fail(c);
    return CLIENT_WAITS;
}

client_outcome client_send(client *c, uint64_t due_ns) {
    c->busy = true;
    c->due_ns = due_ns;
    c->sent = 0;
    response_start(&c->answer);
    return c->fd < 0 ? fail(c) : push(c);
}

static client_outcome finish(client *c) {
    client_outcome outcome =
        c->answer.status >= 200 && c->answer.status < 300 ? CLIENT_ANSWERED : CLIENT_FAILED;
    if (c->answer.close)
        reopen(c);
    else
        c->busy = false;
    return outcome;
}

static client_outcome pull(client *c) {
    static char bytes[256 * 1024];
    for (;;) {
        ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);
        if (n < 0 && errno == EAGAIN) return CLIENT_WAITS;
        if (n <= 0 || !c->busy) return fail(c);
        if (response_take(&c->answer, bytes, (size_t)n) != n) return fail(c);
        if (c->answer.state == RESPONSE_DONE) return finish(c);
        if ((size_t)n < sizeof(bytes)) return CLIENT_WAITS;
    }
}

client_outcome client_go_on(client *c, uint32_t events) {
    if (events & EPOLLOUT) {
        client_outcome outcome = push(c);
        if (outcome != CLIENT_WAITS) return outcome;
    }
    return events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? pull(c) : CLIENT_WAITS;
}
