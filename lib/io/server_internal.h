/* What server.c (listeners, ticks) and peer.c (one connection's socket) share. */
#ifndef Q5_SERVER_INTERNAL_H
#define Q5_SERVER_INTERNAL_H

#include <netinet/in.h>

#include "q5/server.h"

#define Q5__LISTENERS_MAX 16

typedef struct q5__peer q5__peer;

typedef struct q5__listener {
    q5_watch watch;
    q5_server *server;
    bool watched;
} q5__listener;

struct q5_server {
    q5_server_config config;
    q5_app app;  /* the user's */
    q5_app hook; /* what connections are given: counts, sheds, hands on to app */
    q5_poller *poller;
    q5_exchange_pool pool;
    q5_timer_wheel wheel;
    q5_msec now;
    q5_msec second; /* when date and memory were last looked at */
    q5_msec tell_exhausted_after;
    q5_msec accept_after; /* accepting is paused until then; 0: it is not */
    q5__peer *peers;      /* all connections */
    q5__peer *dirty;      /* those that the next tick must serve */
    q5__peer *serving;    /* those that the running tick has yet to serve */
    q5__peer *spare;      /* memory for the next connections */
    uint32_t spare_count;
    uint32_t listener_count;
    bool draining, shedding, full;
    char date[29];
    q5_server_stats stats;
    q5__listener listeners[Q5__LISTENERS_MAX];
};

/* One connection and its socket. */
struct q5__peer {
    q5_watch watch;
    q5_timer timer;
    q5_server *server;
    q5_conn *conn;
    q5__peer *prev, *next;
    q5__peer *dirty_next;
    q5_msec linger_until; /* 0: not lingering */
    bool is_dirty;
    bool readable; /* bytes may wait in the kernel */
    bool eof;      /* the peer closed its side */
    bool eof_told;
    bool blocked; /* the kernel takes no more output for now */
    bool reset;   /* the client is not worth a proper end */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
};

/* Takes over fd, also on failure. */
void q5__peer_open(q5_server *server, int fd, const struct sockaddr *address, socklen_t len);
/* Reads, resumes, writes; closes when the connection is finished. */
void q5__peer_service(q5__peer *peer);
void q5__peer_close(q5__peer *peer, q5_gone why);
/* Writes. When nothing is left that needs q5__peer_service, the peer is no longer marked. */
void q5__peer_push(q5__peer *peer);
/* Lets tick serve it. */
void q5__peer_mark(q5__peer *peer);

#endif
