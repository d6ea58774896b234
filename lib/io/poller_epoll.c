#ifdef __linux__

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "q5/poller.h"

#define EVENTS_MAX 256

struct q5_poller {
    const q5_alloc *alloc;
    int fd;
    int fetched, delivered; /* indexes into events */
    struct epoll_event events[EVENTS_MAX];
};

q5_poller *q5_poller_create(const q5_alloc *alloc) {
    if (!alloc) alloc = q5_alloc_default();
    q5_poller *poller = q5_malloc(alloc, sizeof(*poller));
    if (!poller) return NULL;
    poller->alloc = alloc;
    poller->fetched = poller->delivered = 0;
    poller->fd = epoll_create1(EPOLL_CLOEXEC);
    if (poller->fd < 0) {
        q5_free(alloc, poller);
        return NULL;
    }
    return poller;
}

void q5_poller_destroy(q5_poller *poller) {
    close(poller->fd);
    q5_free(poller->alloc, poller);
}

int q5_poller_fd(const q5_poller *poller) {
    return poller->fd;
}

static int control(q5_poller *poller, int op, q5_watch *watch, unsigned events) {
    struct epoll_event event = {.data.ptr = watch};
    if (events & Q5_POLL_READ) event.events |= EPOLLIN;
    if (events & Q5_POLL_WRITE) event.events |= EPOLLOUT;
    if (events & Q5_POLL_EDGE) event.events |= EPOLLET | EPOLLRDHUP;
#ifdef EPOLLEXCLUSIVE
    if (events & Q5_POLL_EXCLUSIVE) event.events |= EPOLLEXCLUSIVE;
#endif
    return epoll_ctl(poller->fd, op, watch->fd, &event) ? Q5_EIO : Q5_OK;
}

int q5_poller_add(q5_poller *poller, q5_watch *watch, unsigned events) {
    return control(poller, EPOLL_CTL_ADD, watch, events);
}

int q5_poller_modify(q5_poller *poller, q5_watch *watch, unsigned events) {
    return control(poller, EPOLL_CTL_MOD, watch, events);
}

void q5_poller_remove(q5_poller *poller, q5_watch *watch) {
    struct epoll_event unused = {0};
    epoll_ctl(poller->fd, EPOLL_CTL_DEL, watch->fd, &unused);
    for (int i = poller->delivered; i < poller->fetched; i++)
        if (poller->events[i].data.ptr == watch) poller->events[i].data.ptr = NULL;
}

int q5_poller_wait(q5_poller *poller, int timeout_msec) {
    poller->delivered = poller->fetched = 0;
    int n = epoll_wait(poller->fd, poller->events, EVENTS_MAX, timeout_msec);
    if (n < 0) return errno == EINTR ? 0 : Q5_EIO;
    poller->fetched = n;
    return n;
}

void q5_poller_deliver(q5_poller *poller) {
    while (poller->delivered < poller->fetched) {
        struct epoll_event *event = &poller->events[poller->delivered++];
        q5_watch *watch = event->data.ptr;
        if (!watch) continue;
        unsigned events = 0;
        if (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) events |= Q5_POLL_READ;
        if (event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) events |= Q5_POLL_WRITE;
        if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) events |= Q5_POLL_EOF;
        watch->ready(watch, events);
    }
}

#endif
