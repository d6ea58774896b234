/* A connection that sends one fixed request at a time and says when its answer has come. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "response.h"

typedef struct {
    struct sockaddr_in address;
    int poller;          /* an epoll descriptor */
    const char *request; /* head and body as they are sent */
    size_t request_len;
} client_target;

typedef struct client {
    const client_target *target;
    int fd;
    bool busy;
    bool wants_out;  /* watched for room to write */
    size_t sent;     /* of the request */
    uint64_t due_ns; /* when the request in flight was due */
    struct client *next_idle;
    response answer;
} client;

typedef enum { CLIENT_WAITS, CLIENT_ANSWERED, CLIENT_FAILED } client_outcome;

/* Opens the connection. Returns 0, or -1 with errno. */
int client_open(client *c, const client_target *target);

/* Sends the request that was due at `due_ns`, or as much of it as there is room for. */
client_outcome client_send(client *c, uint64_t due_ns);

/* Goes on after epoll's `events`. On CLIENT_ANSWERED and CLIENT_FAILED the client is idle again,
 * with a fresh connection where the old one is gone; a connection lost between requests is replaced
 * silently (CLIENT_WAITS). */
client_outcome client_go_on(client *c, uint32_t events);

#endif
