/* One connection's socket: reading, writing, lingering, deadlines. Edge-triggered, registered once;
 * `readable` and `blocked` remember what the kernel last said. */
#include "io/server_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/sockios.h>
#include <sys/sendfile.h>
#endif

#define SPARE_MAX 128
#define IOV_MAX_OURS 64
#define ROUNDS_MAX 8         /* reads per service, then others get their turn */
#define FLUSH_MAX (1u << 20) /* bytes written per service, likewise */
#define LINGER_MSEC 2000
#define LINGER_ROUND_MAX 262144 /* bytes dropped per service */

/* ---- opening and closing --------------------------------------------------------------------- */

void q5__peer_mark(q5__peer *peer) {
    if (peer->is_dirty) return;
    peer->is_dirty = true;
    peer->dirty_next = peer->server->dirty;
    peer->server->dirty = peer;
}

static void on_wake(q5_conn *conn, void *ctx) {
    (void)conn;
    q5__peer_mark(ctx);
}

static void on_ready(q5_watch *watch, unsigned events) {
    q5__peer *peer = Q5_CONTAINER_OF(watch, q5__peer, watch);
    if (events & Q5_POLL_READ) peer->readable = true;
    if (events & Q5_POLL_WRITE) peer->blocked = false;
    if (events & Q5_POLL_EOF) peer->eof = peer->readable = true;
    q5__peer_service(peer);
}

/* Sent, but not yet taken by the client's system. Without it a client would seem to stand still
 * until so much of the kernel's buffer is free that it asks for more: megabytes. */
static uint64_t held_bytes(int fd) {
    int held = 0;
#if defined(__linux__)
    if (ioctl(fd, SIOCOUTQ, &held)) return 0;
#elif defined(SO_NWRITE)
    socklen_t len = sizeof(held);
    if (getsockopt(fd, SOL_SOCKET, SO_NWRITE, &held, &len)) return 0;
#endif
    return held > 0 ? (uint64_t)held : 0;
}

static void tell_blocked(q5__peer *peer) {
    if (peer->blocked && q5_conn_has_output(peer->conn))
        q5_conn_blocked(peer->conn, held_bytes(peer->watch.fd), peer->server->now);
}

/* For a client that does not take what it asked for: the kernel would keep that for it. */
static void reset_at_close(q5__peer *peer) {
    struct linger none = {.l_onoff = 1};
    (void)setsockopt(peer->watch.fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    peer->reset = true;
}

static void on_timer(q5_timer *timer, q5_msec now) {
    q5__peer *peer = Q5_CONTAINER_OF(timer, q5__peer, timer);
    if (peer->linger_until) {
        q5__peer_close(peer, Q5_GONE_TIMEOUT);
        return;
    }
    tell_blocked(peer);
    q5_msec due = q5_conn_deadline(peer->conn);
    if (due && due <= now) {
        if (peer->blocked) reset_at_close(peer);
        if (q5_conn_expire(peer->conn, now)) peer->server->stats.timeouts++;
    }
    q5__peer_service(peer);
}

static q5__peer *peer_alloc(q5_server *server) {
    q5__peer *peer = server->spare;
    if (peer) {
        server->spare = peer->next;
        server->spare_count--;
    } else {
        peer = q5_malloc(server->config.conn.alloc, sizeof(*peer));
    }
    if (peer) memset(peer, 0, sizeof(*peer));
    return peer;
}

static void peer_free(q5__peer *peer) {
    q5_server *server = peer->server;
    if (server->spare_count >= SPARE_MAX) {
        q5_free(server->config.conn.alloc, peer);
        return;
    }
    peer->next = server->spare;
    server->spare = peer;
    server->spare_count++;
}

static void link_peer(q5_server *server, q5__peer *peer) {
    peer->next = server->peers;
    if (peer->next) peer->next->prev = peer;
    server->peers = peer;
    server->stats.connections++;
}

static void unlink_peer(q5_server *server, q5__peer *peer) {
    if (peer->prev)
        peer->prev->next = peer->next;
    else
        server->peers = peer->next;
    if (peer->next) peer->next->prev = peer->prev;
    server->stats.connections--;
}

static void take_from(q5__peer **list, const q5__peer *peer) {
    while (*list && *list != peer)
        list = &(*list)->dirty_next;
    if (*list) *list = peer->dirty_next;
}

static void unmark(q5__peer *peer) {
    if (!peer->is_dirty) return;
    take_from(&peer->server->dirty, peer);
    take_from(&peer->server->serving, peer);
    peer->is_dirty = false;
}

void q5__peer_open(q5_server *server, int fd, const struct sockaddr *address, socklen_t len) {
    q5__peer *peer = peer_alloc(server);
    q5_conn *conn =
        peer ? q5_conn_create(&server->config.conn, &server->hook, &server->pool, server->now)
             : NULL;
    if (!conn) {
        if (peer) q5_free(server->config.conn.alloc, peer);
        close(fd);
        return;
    }
    peer->server = server;
    peer->conn = conn;
    peer->watch = (q5_watch){fd, on_ready};
    if (len <= sizeof(peer->address)) memcpy(&peer->address, address, len);
    q5_timer_init(&peer->timer, on_timer);
    q5_conn_set_transport(conn, peer);
    q5_conn_set_wake(conn, on_wake, peer);
    link_peer(server, peer);
    if (q5_poller_add(server->poller, &peer->watch, Q5_POLL_READ | Q5_POLL_WRITE | Q5_POLL_EDGE)) {
        q5__peer_close(peer, Q5_GONE_PEER);
        return;
    }
    /* What came with the handshake is often there already: saves a turn of the poller. */
    peer->readable = true;
    q5__peer_service(peer);
}

void q5__peer_close(q5__peer *peer, q5_gone why) {
    q5_server *server = peer->server;
    q5_poller_remove(server->poller, &peer->watch);
    q5_timer_stop(&server->wheel, &peer->timer);
    q5_conn_destroy(peer->conn, why);
    unmark(peer);
    close(peer->watch.fd);
    unlink_peer(server, peer);
    peer_free(peer);
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef enum progress { STUCK, MOVED, DEAD } progress;

static progress tell_eof(q5__peer *peer) {
    peer->eof_told = true;
    q5_conn_eof(peer->conn, peer->server->now);
    return MOVED;
}

/* The poller has seen the end, but nothing may be received now: the connection is told only when
 * nothing lies before the end, else it would leave unread what a pipelining client had sent. */
static progress look_for_eof(q5__peer *peer) {
    char byte;
    if (!peer->eof || peer->eof_told) return STUCK;
    ssize_t n = recv(peer->watch.fd, &byte, 1, MSG_PEEK);
    if (n == 0) return tell_eof(peer);
    return n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR ? DEAD : STUCK;
}

static progress read_some(q5__peer *peer) {
    char *base;
    size_t len;
    if (!peer->readable) return STUCK;
    int status = q5_conn_recv_space(peer->conn, &base, &len);
    if (status == Q5_AGAIN) return look_for_eof(peer);
    if (status == Q5_ENOMEM) return DEAD;
    if (status) return STUCK;
    ssize_t n = recv(peer->watch.fd, base, len, 0);
    if (n > 0) {
        /* A short read has emptied the kernel's buffer; an end of file is yet to be read. */
        if ((size_t)n < len && !peer->eof) peer->readable = false;
        q5_conn_received(peer->conn, (size_t)n, peer->server->now);
        return MOVED;
    }
    if (n < 0 && errno == EINTR) return MOVED;
    peer->readable = false;
    if (n == 0) return peer->eof_told ? STUCK : tell_eof(peer);
    if (errno != EAGAIN && errno != EWOULDBLOCK) return DEAD;
    q5_conn_release_idle(peer->conn, peer->server->now);
    return STUCK;
}

/* ---- writing --------------------------------------------------------------------------------- */

static ssize_t send_file(int out, const q5_segment *segment, size_t max) {
    size_t len = segment->len < max ? segment->len : max;
    off_t offset = (off_t)segment->offset;
#ifdef __linux__
    return sendfile(out, segment->fd, &offset, len);
#else
    off_t sent = (off_t)len;
    int rc = sendfile(segment->fd, out, offset, &sent, NULL, 0);
    return rc == 0 || sent > 0 ? (ssize_t)sent : -1;
#endif
}

static ssize_t send_memory(int out, const q5_segment *segments, size_t count) {
    struct iovec iov[IOV_MAX_OURS];
    int n = 0;
    while (n < IOV_MAX_OURS && (size_t)n < count && segments[n].fd < 0) {
        iov[n] = (struct iovec){(void *)segments[n].base, segments[n].len};
        n++;
    }
    if (n == 1 && count == 1) return send(out, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL);
    int flags = MSG_NOSIGNAL;
#ifdef MSG_MORE
    if ((size_t)n < count) flags |= MSG_MORE; /* a file's head travels with the file */
#endif
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)n};
    return sendmsg(out, &message, flags);
}

static progress write_some(q5__peer *peer) {
    size_t total = 0;
    while (!peer->blocked && q5_conn_has_output(peer->conn)) {
        size_t count;
        const q5_segment *segments = q5_conn_output(peer->conn, &count);
        ssize_t n = segments[0].fd >= 0 ? send_file(peer->watch.fd, segments, FLUSH_MAX)
                                        : send_memory(peer->watch.fd, segments, count);
        if (n < 0) {
            if (errno == EINTR) continue;
            if (errno != EAGAIN && errno != EWOULDBLOCK) return DEAD;
            peer->blocked = true;
            tell_blocked(peer);
            break;
        }
        if (n == 0) return DEAD; /* the file is shorter than was promised */
        q5_conn_sent(peer->conn, (uint64_t)n);
        total += (size_t)n;
        if (total >= FLUSH_MAX) break;
    }
    return total ? MOVED : STUCK;
}

/* ---- lingering ------------------------------------------------------------------------------- */

/* Everything is sent; the client may still be sending: what comes is dropped until it stops or its
 * time is over. */
static void linger(q5__peer *peer) {
    char sink[16384];
    if (!peer->linger_until) {
        peer->linger_until = peer->server->now + LINGER_MSEC;
        shutdown(peer->watch.fd, SHUT_WR);
        q5_timer_start(&peer->server->wheel, &peer->timer, peer->linger_until);
    }
    for (size_t total = 0; total < LINGER_ROUND_MAX;) {
        ssize_t n = recv(peer->watch.fd, sink, sizeof(sink), 0);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (n <= 0) {
            q5__peer_close(peer, Q5_GONE_PEER);
            return;
        }
        total += (size_t)n;
    }
    q5__peer_mark(peer);
}

/* ---- the round ------------------------------------------------------------------------------- */

static void arm(q5__peer *peer) {
    q5_msec due = q5_conn_deadline(peer->conn);
    /* A timer that fires too early looks again; only an earlier deadline must move it. */
    if (due && (!q5_timer_active(&peer->timer) || peer->timer.due > due))
        q5_timer_start(&peer->server->wheel, &peer->timer, due);
}

/* Another round would find something to do. */
static bool may_move(const q5__peer *peer) {
    return peer->readable || (!peer->blocked && q5_conn_has_output(peer->conn)) ||
           q5_conn_pending(peer->conn);
}

void q5__peer_service(q5__peer *peer) {
    q5_msec now = peer->server->now;
    bool moved = true;
    if (peer->linger_until) {
        linger(peer);
        return;
    }
    for (int round = 0; moved && round < ROUNDS_MAX; round++) {
        progress read = read_some(peer);
        /* With what came ahead taken up there may be room to read. */
        bool resumed = q5_conn_pending(peer->conn);
        while (q5_conn_resume(peer->conn, now))
            continue;
        progress written = write_some(peer);
        if (read == DEAD || written == DEAD) {
            q5__peer_close(peer, Q5_GONE_PEER);
            return;
        }
        moved = read == MOVED || resumed || written == MOVED;
        if (moved && !may_move(peer)) moved = false;
    }
    if (q5_conn_finished(peer->conn)) {
        /* Closing a socket with unread bytes resets it, and may destroy the answer on its way. */
        bool unread = q5_conn_lingers(peer->conn) || (peer->readable && !peer->eof_told);
        if (unread && !peer->reset)
            linger(peer);
        else
            q5__peer_close(peer, Q5_GONE_PEER);
        return;
    }
    if (moved) q5__peer_mark(peer);
    arm(peer);
}

/* Nothing but a reader would find something to do: no byte to write, no request that came ahead, no
 * connection to close. */
static bool is_settled(const q5__peer *peer) {
    return !peer->linger_until && !peer->readable && !q5_conn_pending(peer->conn) &&
           !q5_conn_finished(peer->conn) && (peer->blocked || !q5_conn_has_output(peer->conn));
}

void q5__peer_push(q5__peer *peer) {
    if (write_some(peer) == DEAD || !is_settled(peer)) return;
    unmark(peer);
    arm(peer);
}

/* ---- addresses ------------------------------------------------------------------------------- */

static bool format(const struct sockaddr *any, char host[46], uint16_t *ret_port) {
    if (any->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)any;
        *ret_port = ntohs(v4->sin_port);
        return inet_ntop(AF_INET, &v4->sin_addr, host, 46) != NULL;
    }
    if (any->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)any;
        *ret_port = ntohs(v6->sin6_port);
        return inet_ntop(AF_INET6, &v6->sin6_addr, host, 46) != NULL;
    }
    return false;
}

bool q5_server_peer(const q5_conn *conn, char host[46], uint16_t *ret_port) {
    const q5__peer *peer = q5_conn_transport(conn);
    return peer && format(&peer->address.any, host, ret_port);
}

bool q5_server_peer_address(const q5_conn *conn, q5_address *ret_address, uint16_t *ret_port) {
    const q5__peer *peer = q5_conn_transport(conn);
    *ret_address = (q5_address){0};
    if (!peer) return false;
    const struct sockaddr *any = &peer->address.any;
    if (any->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)any;
        q5_address_make(ret_address, &v4->sin_addr, 4);
        *ret_port = ntohs(v4->sin_port);
    } else if (any->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)any;
        q5_address_make(ret_address, &v6->sin6_addr, 16);
        *ret_port = ntohs(v6->sin6_port);
    }
    return ret_address->len != 0;
}

bool q5_server_local(const q5_conn *conn, char host[46], uint16_t *ret_port) {
    const q5__peer *peer = q5_conn_transport(conn);
    struct sockaddr_in6 address = {0};
    socklen_t len = sizeof(address);
    struct sockaddr *any = (struct sockaddr *)(void *)&address;
    return peer && getsockname(peer->watch.fd, any, &len) == 0 && format(any, host, ret_port);
}
