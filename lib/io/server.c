/* Listeners, the tick, draining, and the hook between connections and the application. */
#include "io/server_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "q5/date.h"
#include "q5/spool.h"

#define ACCEPT_PAUSE_MSEC 100 /* after the process ran out of descriptors */
#define EXHAUSTED_TELL_MSEC 60000
#define FREE_EXCHANGES_MAX 256

q5_server_config q5_server_config_default(void) {
    return (q5_server_config){
        .conn = q5_conn_config_default(), .connections_max = 50000, .accept_batch = 64};
}

/* ---- hook ------------------------------------------------------------------------------------ */

static void shed(q5_server *server, q5_exchange *x) {
    server->stats.shed++;
    if (q5_response_start(x, 503)) return;
    q5_response_lines(x, Q5_LIT("Retry-After: 1\r\n"));
    q5_response_send(x, q5_slice_make(NULL, 0), NULL, NULL);
}

static void hook_head(void *ctx, q5_exchange *x) {
    q5_server *server = ctx;
    server->stats.requests++;
    if (Q5_UNLIKELY(server->shedding))
        shed(server, x);
    else
        server->app.on_head(server->app.ctx, x);
}

static void hook_fault(void *ctx, q5_conn *conn, int status, size_t offset) {
    q5_server *server = ctx;
    server->stats.faults++;
    if (server->app.on_fault) server->app.on_fault(server->app.ctx, conn, status, offset);
}

static void hook_request(void *ctx, q5_exchange *x) {
    q5_server *server = ctx;
    server->app.on_request(server->app.ctx, x);
}

static void hook_body(void *ctx, q5_exchange *x) {
    q5_server *server = ctx;
    if (server->app.on_body) server->app.on_body(server->app.ctx, x);
}

static bool hook_eof(void *ctx, q5_exchange *x) {
    q5_server *server = ctx;
    return server->app.on_eof && server->app.on_eof(server->app.ctx, x);
}

static void hook_drain(void *ctx, q5_exchange *x) {
    q5_server *server = ctx;
    server->app.on_drain(server->app.ctx, x);
}

static void hook_gone(void *ctx, q5_exchange *x, q5_gone why) {
    q5_server *server = ctx;
    server->app.on_gone(server->app.ctx, x, why);
}

static void hook_done(void *ctx, q5_exchange *x) {
    q5_server *server = ctx;
    server->app.on_done(server->app.ctx, x);
}

/* ---- what is looked at once a second --------------------------------------------------------- */

#ifdef __linux__
static uint64_t resident_bytes(void) {
    char text[128];
    unsigned long long pages = 0;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0) return 0;
    text[n] = '\0';
    if (sscanf(text, "%*u %llu", &pages) != 1) return 0;
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
#else
static uint64_t resident_bytes(void) {
    return 0;
}
#endif

static void look_at_memory(q5_server *server) {
    uint64_t max = server->config.memory_max;
    if (!max) return;
    uint64_t resident = resident_bytes();
    server->shedding = resident >= max / 100 * 90;
    if (resident >= max / 100 * 95) server->accept_after = server->now + 1000;
}

static void each_second(q5_server *server) {
    server->second = server->now;
    q5_http_date_format((int64_t)time(NULL), server->date);
    look_at_memory(server);
}

/* ---- listeners ------------------------------------------------------------------------------- */

static void watch_listeners(q5_server *server, bool on) {
    for (uint32_t i = 0; i < server->listener_count; i++) {
        q5__listener *listener = &server->listeners[i];
        if (listener->watched == on) continue;
        if (on && q5_poller_add(server->poller, &listener->watch, Q5_POLL_READ | Q5_POLL_EXCLUSIVE))
            continue;
        if (!on) q5_poller_remove(server->poller, &listener->watch);
        listener->watched = on;
    }
}

static void pause_accepting(q5_server *server, q5_msec until) {
    server->accept_after = until;
    watch_listeners(server, false);
}

static void exhausted(q5_server *server, int error) {
    pause_accepting(server, server->now + ACCEPT_PAUSE_MSEC);
    if (!server->config.on_exhausted || server->now < server->tell_exhausted_after) return;
    server->tell_exhausted_after = server->now + EXHAUSTED_TELL_MSEC;
    server->config.on_exhausted(server->app.ctx, error);
}

static int accept_one(int fd, struct sockaddr *address, socklen_t *len) {
#ifdef __linux__
    return accept4(fd, address, len, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
    int client = accept(fd, address, len);
    if (client >= 0) {
        int on = 1;
        fcntl(client, F_SETFL, O_NONBLOCK);
        fcntl(client, F_SETFD, FD_CLOEXEC);
        setsockopt(client, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on));
    }
    return client;
#endif
}

static void on_acceptable(q5_watch *watch, unsigned events) {
    (void)events;
    q5__listener *listener = Q5_CONTAINER_OF(watch, q5__listener, watch);
    q5_server *server = listener->server;
    for (uint32_t i = 0; i < server->config.accept_batch; i++) {
        if (server->draining) return; /* the last one's request asked for it */
        if (server->stats.connections >= server->config.connections_max) {
            server->full = true;
            watch_listeners(server, false);
            return;
        }
        struct sockaddr_storage address;
        socklen_t len = sizeof(address);
        int fd = accept_one(watch->fd, (struct sockaddr *)&address, &len);
        if (fd >= 0) {
            server->stats.accepted++;
            q5__peer_open(server, fd, (struct sockaddr *)&address, len);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            exhausted(server, errno);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

static void resume_accepting(q5_server *server) {
    if (server->draining) return;
    if (server->accept_after) {
        watch_listeners(server, false);
        if (server->now < server->accept_after) return;
        server->accept_after = 0;
    }
    if (server->full && server->stats.connections < server->config.connections_max)
        server->full = false;
    if (!server->full) watch_listeners(server, true);
}

int q5_server_accept_on(q5_server *server, int fd) {
    if (server->listener_count == Q5__LISTENERS_MAX) return Q5_EINVAL;
    q5__listener *listener = &server->listeners[server->listener_count];
    *listener = (q5__listener){.watch = {fd, on_acceptable}, .server = server};
    int status = q5_poller_add(server->poller, &listener->watch, Q5_POLL_READ | Q5_POLL_EXCLUSIVE);
    if (status) return status;
    listener->watched = true;
    server->listener_count++;
    return Q5_OK;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void *spool_open(void *ctx) {
    const q5_alloc *alloc = ctx;
    q5_spool *spool = q5_malloc(alloc, sizeof(*spool));
    if (spool && q5_spool_open(spool, NULL)) {
        q5_free(alloc, spool);
        return NULL;
    }
    return spool;
}

static int spool_write(void *spool, q5_slice data) {
    return q5_spool_write(spool, data.base, data.len);
}

static void spool_close(void *ctx, void *spool) {
    q5_spool_close(spool);
    q5_free(ctx, spool);
}

q5_server *q5_server_create(q5_poller *poller, const q5_server_config *config, const q5_app *app) {
    q5_server *server = q5_calloc(config->conn.alloc, sizeof(*server));
    if (!server) return NULL;
    server->config = *config;
    server->config.conn.date = server->date;
    if (!config->conn.spool.open)
        server->config.conn.spool =
            (q5_spool_ops){spool_open, spool_write, spool_close, (void *)config->conn.alloc};
    server->app = *app;
    server->hook = (q5_app){.ctx = server,
                            .on_head = hook_head,
                            .on_request = hook_request,
                            .on_body = hook_body,
                            .on_eof = hook_eof,
                            .on_drain = hook_drain,
                            .on_gone = hook_gone,
                            .on_done = hook_done,
                            .on_fault = hook_fault};
    server->poller = poller;
    server->now = q5_clock_msec();
    q5_exchange_pool_init(&server->pool, config->conn.alloc, FREE_EXCHANGES_MAX);
    q5_timer_wheel_init(&server->wheel, server->now);
    each_second(server);
    return server;
}

static void free_server(void *ctx) {
    q5_server *server = ctx;
    q5_free(server->config.conn.alloc, server);
}

void q5_server_destroy(q5_server *server) {
    const q5_alloc *alloc = server->config.conn.alloc;
    watch_listeners(server, false);
    q5_server_abort(server);
    while (server->spare) {
        q5__peer *peer = server->spare;
        server->spare = peer->next;
        q5_free(alloc, peer);
    }
    /* Whoever still holds an exchange needs its pool and spool_ops. */
    q5_exchange_pool_retire(&server->pool, free_server, server);
}

void q5_server_abort(q5_server *server) {
    while (server->peers)
        q5__peer_close(server->peers, Q5_GONE_SHUTDOWN);
}

void q5_server_drain(q5_server *server) {
    server->draining = true;
    watch_listeners(server, false);
    for (q5__peer *peer = server->peers; peer; peer = peer->next) {
        q5_conn_drain(peer->conn);
        q5__peer_mark(peer);
    }
}

bool q5_server_drained(const q5_server *server) {
    return server->draining && !server->peers;
}

/* ---- tick ------------------------------------------------------------------------------------ */

int q5_server_timeout_msec(q5_server *server) {
    if (server->dirty) return 0;
    int timeout = q5_timer_wheel_timeout_msec(&server->wheel, q5_clock_msec());
    if (server->accept_after && (timeout < 0 || timeout > ACCEPT_PAUSE_MSEC))
        timeout = ACCEPT_PAUSE_MSEC;
    return timeout;
}

void q5_server_refresh(q5_server *server) {
    server->now = q5_clock_msec();
    if (server->now - server->second >= 1000) each_second(server);
}

void q5_server_tick(q5_server *server) {
    /* A peer may mark itself anew while it is served: that is for the next tick. */
    server->serving = server->dirty;
    server->dirty = NULL;
    while (server->serving) {
        q5__peer *peer = server->serving;
        server->serving = peer->dirty_next;
        peer->is_dirty = false;
        q5__peer_service(peer);
    }
    q5_timer_wheel_advance(&server->wheel, server->now);
    if (Q5_UNLIKELY(server->full || server->accept_after)) resume_accepting(server);
}

bool q5_server_push(q5_server *server) {
    for (q5__peer *peer = server->dirty, *next; peer; peer = next) {
        next = peer->dirty_next;
        q5__peer_push(peer);
    }
    return !server->dirty;
}

const q5_server_stats *q5_server_get_stats(const q5_server *server) {
    return &server->stats;
}

q5_exchange_pool *q5_server_pool(q5_server *server) {
    return &server->pool;
}

const q5_conn_config *q5_server_conn_config(const q5_server *server) {
    return &server->config.conn;
}
