/* Listening sockets, their connections and deadlines, on a poller. Everything runs on the thread
 * that calls the poller, but for q5_server_push. */
#ifndef Q5_SERVER_H
#define Q5_SERVER_H

#include "q5/address.h"
#include "q5/conn.h"
#include "q5/poller.h"
#include "q5/timer.h"

typedef struct q5_server q5_server;

typedef struct q5_server_config {
    q5_conn_config conn;
    uint32_t connections_max; /* accepting pauses at it */
    uint32_t accept_batch;    /* connections accepted per event, so that others get their turn */
    /* Accepting fails for want of descriptors or of memory (an errno), and is tried again ten times
     * a second; told once a minute at most, with the app's ctx. May be NULL. */
    void (*on_exhausted)(void *ctx, int error);
    uint64_t memory_max; /* bytes of RSS: 503 from 90 % on, no accepting from 95 % on; 0: off */
} q5_server_config;

Q5_EXTERN q5_server_config q5_server_config_default(void);

typedef struct q5_server_stats {
    uint64_t accepted, requests, faults, timeouts, shed;
    uint32_t connections;
} q5_server_stats;

/* A bound, listening, non-blocking TCP socket in *ret_fd. host may be an IPv4 or IPv6 address or a
 * name; port 0 lets the kernel choose. reuse_port: one of several sockets on the port, among which
 * the kernel spreads connections. Q5_EADDR or Q5_EIO with errno set. */
Q5_EXTERN int q5_listen_tcp(const char *host, uint16_t port, int backlog, bool reuse_port,
                            int *ret_fd);

/* NULL when out of memory. app and poller outlive the server. */
Q5_EXTERN q5_server *q5_server_create(q5_poller *poller, const q5_server_config *config,
                                      const q5_app *app);
/* Closes what is still open. */
Q5_EXTERN void q5_server_destroy(q5_server *server);
/* Starts to accept on a listening socket, which stays the caller's. */
Q5_EXTERN int q5_server_accept_on(q5_server *server, int fd);
/* Stops accepting, closes idle connections, lets the others finish their request. */
Q5_EXTERN void q5_server_drain(q5_server *server);
/* Closes all connections now. Not from a callback. */
Q5_EXTERN void q5_server_abort(q5_server *server);
/* After a drain: true once no connection is left. */
Q5_EXTERN bool q5_server_drained(const q5_server *server);
/* Milliseconds until q5_server_tick must be called; -1: no need. */
Q5_EXTERN int q5_server_timeout_msec(q5_server *server);
/* Reads the clock. Call between q5_poller_wait and q5_poller_deliver. */
Q5_EXTERN void q5_server_refresh(q5_server *server);
/* Deadlines, queued output, resumed connections. Call after each q5_poller_deliver, and before each
 * wait when responses were given since. */
Q5_EXTERN void q5_server_tick(q5_server *server);
/* Writes at once what responses have left in their connections. Another thread may call it while
 * one is inside q5_poller_wait, when both hold one lock around everything else. It reads nothing,
 * closes nothing and hands on no request; on_drain and on_done may be called. False: something is
 * left for the next tick, so the waiting thread must be woken. */
Q5_EXTERN bool q5_server_push(q5_server *server);
Q5_EXTERN const q5_server_stats *q5_server_get_stats(const q5_server *server);
/* The pool and configuration, for connections over other transports on the same thread. */
Q5_EXTERN q5_exchange_pool *q5_server_pool(q5_server *server);
Q5_EXTERN const q5_conn_config *q5_server_conn_config(const q5_server *server);
/* Address of the client: "203.0.113.7" or "2001:db8::1" into host[46], and its port. False when the
 * connection has no socket. */
Q5_EXTERN bool q5_server_peer(const q5_conn *conn, char host[46], uint16_t *ret_port);
/* The same as an address, which is not known where it returns false; *ret_port is untouched then.
 */
Q5_EXTERN bool q5_server_peer_address(const q5_conn *conn, q5_address *ret_address,
                                      uint16_t *ret_port);
Q5_EXTERN bool q5_server_local(const q5_conn *conn, char host[46], uint16_t *ret_port);
/* Monotonic clock, as the server reads it once per tick. */
Q5_EXTERN q5_msec q5_clock_msec(void);

#endif
