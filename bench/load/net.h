/* Sockets to the server under test, and where they are watched. */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

/* The server's address on this machine. */
struct sockaddr_in net_address(const char *port);

/* A non-blocking connection that is being made, without Nagle's delay. Returns -1 with errno. */
int net_connect(const struct sockaddr_in *address);

/* Watches for what comes and, if wanted, for room to write, with EPOLL_CTL_ADD or _MOD. */
int net_watch(int poller, int operation, int fd, void *owner, bool wants_out);

/* Sends what there is room for. Returns how many bytes, 0 where there is no room, -1 with errno. */
long net_send(int fd, const void *bytes, size_t len);

#endif
