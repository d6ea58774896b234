/* A subscriber to a stream of server-sent events (HTML Standard, 9.2), as much of one as a load
 * generator needs: it hands on the data of each event that has just one line of it. */
#ifndef BENCH_SSE_CLIENT_H
#define BENCH_SSE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net.h"
#include "response.h"

#define SSE_LINE_MAX 1024

struct sse_client;

typedef struct {
    struct sockaddr_in address;
    int poller;          /* an epoll descriptor */
    const char *request; /* as it is sent */
    size_t request_len;
    void (*on_event)(void *owner, struct sse_client *c, const char *data, size_t len);
    void *owner;
} sse_target;

typedef struct sse_client {
    const sse_target *target;
    int fd; /* -1: lost */
    bool wants_out;
    bool broken; /* what came is no stream of events of this kind */
    size_t sent;
    uint64_t next; /* the target's owner's: the number of the event that must come next, 0: any */
    size_t line_len, data_len;
    bool has_data;
    char line[SSE_LINE_MAX];
    char data[SSE_LINE_MAX];
    response answer;
} sse_client;

/* Begins to connect. Returns 0, or -1 with errno. */
int sse_open(sse_client *c, const sse_target *target);

/* Goes on after epoll's `events`; calls on_event(). Returns 0, or -1 when the connection is lost,
 * or gives what is no stream of events. */
int sse_go_on(sse_client *c, uint32_t events);

#endif
