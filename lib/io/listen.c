#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "q5/server.h"

static int set_flag(int fd, int level, int name) {
    int on = 1;
    return setsockopt(fd, level, name, &on, sizeof(on));
}

static int prepare(int fd, const struct addrinfo *ai, int backlog, bool reuse_port) {
    if (fcntl(fd, F_SETFL, O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC)) return -1;
    if (set_flag(fd, SOL_SOCKET, SO_REUSEADDR)) return -1;
    if (reuse_port && set_flag(fd, SOL_SOCKET, SO_REUSEPORT)) return -1;
    /* Accepted sockets inherit it on Linux: one system call less per connection. */
    if (set_flag(fd, IPPROTO_TCP, TCP_NODELAY)) return -1;
    if (ai->ai_family == AF_INET6) set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen)) return -1;
    return listen(fd, backlog);
}

int q5_listen_tcp(const char *host, uint16_t port, int backlog, bool reuse_port, int *ret_fd) {
    char service[6];
    snprintf(service, sizeof(service), "%u", (unsigned)port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    if (getaddrinfo(host, service, &hints, &list)) {
        errno = EADDRNOTAVAIL;
        return Q5_EADDR;
    }
    int status = Q5_EADDR;
    for (const struct addrinfo *ai = list; ai && status; ai = ai->ai_next) {
        int fd = socket(ai->ai_family, ai->ai_socktype, ai->ai_protocol);
        if (fd < 0) continue;
        if (prepare(fd, ai, backlog, reuse_port) == 0) {
            *ret_fd = fd;
            status = Q5_OK;
        } else {
            int saved = errno;
            close(fd);
            errno = saved;
        }
    }
    int saved = errno;
    freeaddrinfo(list);
    errno = saved;
    return status;
}
