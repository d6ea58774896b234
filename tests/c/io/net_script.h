/* A server on a loopback socket, the application of conn_script.h behind it, and clients in the
 * same thread: whatever a client waits for, the server is turned meanwhile. */
#ifndef Q5_TESTS_NET_SCRIPT_H
#define Q5_TESTS_NET_SCRIPT_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "http/conn_script.h"
#include "http/response_read.h"
#include "q5/server.h"

#define NET_PATIENCE_MSEC 60000 /* for what must come, on however busy a machine */

typedef struct net {
    rig r; /* its connection is not used, its application is */
    q5_server_config config;
    q5_poller *poller;
    q5_server *server;
    int listener;
    uint16_t port;
} net;

static inline void net_prepare(net *n) {
    rig_prepare(&n->r, NULL);
    n->config = q5_server_config_default();
}

static inline void net_start(net *n) {
    struct sockaddr_in address;
    socklen_t len = sizeof(address);
    assert_status(q5_listen_tcp("127.0.0.1", 0, 128, false, &n->listener), Q5_OK);
    assert_int_equal(getsockname(n->listener, (struct sockaddr *)&address, &len), 0);
    n->port = ntohs(address.sin_port);
    n->poller = q5_poller_create(NULL);
    assert_non_null(n->poller);
    n->server = q5_server_create(n->poller, &n->config, &n->r.app);
    assert_non_null(n->server);
    assert_status(q5_server_accept_on(n->server, n->listener), Q5_OK);
}

static inline void net_init(net *n) {
    net_prepare(n);
    net_start(n);
}

static inline void net_turn(net *n, int timeout_msec) {
    q5_server_tick(n->server);
    int timeout = q5_server_timeout_msec(n->server);
    if (timeout < 0 || timeout > timeout_msec) timeout = timeout_msec;
    assert_true(q5_poller_wait(n->poller, timeout) >= 0);
    q5_server_refresh(n->server);
    q5_poller_deliver(n->poller);
    q5_server_tick(n->server);
}

static inline const q5_server_stats *net_stats(net *n) {
    return q5_server_get_stats(n->server);
}

static inline void net_deinit(net *n) {
    q5_server_destroy(n->server);
    q5_poller_destroy(n->poller);
    close(n->listener);
    rig_deinit(&n->r);
}

/* A non-blocking client. rcvbuf 0: the system's. */
static inline int net_client_sized(net *n, int rcvbuf) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(n->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    if (rcvbuf) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static inline int net_client(net *n) {
    return net_client_sized(n, 0);
}

/* Sends all of it; returns what was taken before the server closed or reset. */
static inline size_t net_send(net *n, int fd, const char *base, size_t len) {
    q5_msec end = q5_clock_msec() + NET_PATIENCE_MSEC;
    size_t done = 0;
    while (done < len && q5_clock_msec() < end) {
        ssize_t sent = send(fd, base + done, len - done, MSG_NOSIGNAL);
        if (sent > 0)
            done += (size_t)sent;
        else if (errno != EAGAIN && errno != EWOULDBLOCK)
            break;
        net_turn(n, sent > 0 ? 0 : 10);
    }
    return done;
}

static inline void net_say(net *n, int fd, const char *text) {
    assert_int_equal(net_send(n, fd, text, strlen(text)), strlen(text));
}

typedef enum net_end {
    NET_OPEN, /* enough was read */
    NET_EOF,
    NET_RESET,
    NET_SILENT /* nothing came for too long */
} net_end;

/* Reads into r.out until `enough` bytes are there or the connection ends. */
static inline net_end net_read(net *n, int fd, size_t enough, int patience_msec) {
    q5_msec end = q5_clock_msec() + (q5_msec)patience_msec;
    while (n->r.out_len < enough) {
        ssize_t got = recv(fd, n->r.out + n->r.out_len, RIG_OUT_MAX - 1 - n->r.out_len, 0);
        if (got > 0)
            n->r.out_len += (size_t)got;
        else if (got == 0)
            return NET_EOF;
        else if (errno != EAGAIN && errno != EWOULDBLOCK)
            return NET_RESET;
        else if (q5_clock_msec() >= end)
            return NET_SILENT;
        net_turn(n, got > 0 ? 0 : 10);
    }
    return NET_OPEN;
}

/* One whole response; what follows it is left in r.out. Returns its status. */
static inline int net_response(net *n, int fd, response *ret) {
    for (;;) {
        n->r.out[n->r.out_len] = '\0';
        if (n->r.out_len) {
            response_verdict verdict = response_read(n->r.out, n->r.out_len, false, ret);
            assert_int_not_equal(verdict, RESPONSE_BAD);
            if (verdict == RESPONSE_WHOLE) break;
        }
        net_end end = net_read(n, fd, n->r.out_len + 1, NET_PATIENCE_MSEC);
        if (end != NET_OPEN) return -(int)end;
    }
    n->r.out_len -= ret->used;
    memmove(n->r.out, n->r.out + ret->used, n->r.out_len);
    return ret->status;
}

static inline int net_ask(net *n, int fd, const char *request) {
    response got;
    net_say(n, fd, request);
    return net_response(n, fd, &got);
}

/* Turns the server until the condition holds. */
#define net_until(n, condition)                                   \
    do {                                                          \
        q5_msec until_end_ = q5_clock_msec() + NET_PATIENCE_MSEC; \
        while (!(condition) && q5_clock_msec() < until_end_)      \
            net_turn(n, 10);                                      \
        assert_true(condition);                                   \
    } while (0)

#endif
