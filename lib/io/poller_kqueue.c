#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__OpenBSD__) || defined(__NetBSD__)

#include <errno.h>
#include <fcntl.h>
#include <sys/event.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "q5/poller.h"

#define EVENTS_MAX 256

struct q5_poller {
    const q5_alloc *alloc;
    int fd;
    int fetched, delivered;
    struct kevent events[EVENTS_MAX];
};

q5_poller *q5_poller_create(const q5_alloc *alloc) {
    if (!alloc) alloc = q5_alloc_default();
    q5_poller *poller = q5_malloc(alloc, sizeof(*poller));
    if (!poller) return NULL;
    poller->alloc = alloc;
    poller->fetched = poller->delivered = 0;
    poller->fd = kqueue();
    if (poller->fd < 0) {
        q5_free(alloc, poller);
        return NULL;
    }
    fcntl(poller->fd, F_SETFD, FD_CLOEXEC);
    return poller;
}

void q5_poller_destroy(q5_poller *poller) {
    close(poller->fd);
    q5_free(poller->alloc, poller);
}

int q5_poller_fd(const q5_poller *poller) {
    return poller->fd;
}

/* One filter on, or off; switching off what is not there is no error. */
static int control(q5_poller *poller, q5_watch *watch, short filter, bool on, bool edge) {
    struct kevent change;
    unsigned short flags = on ? (unsigned short)(EV_ADD | (edge ? EV_CLEAR : 0)) : EV_DELETE;
    EV_SET(&change, watch->fd, filter, flags, 0, 0, watch);
    if (kevent(poller->fd, &change, 1, NULL, 0, NULL) == 0) return Q5_OK;
    return !on && errno == ENOENT ? Q5_OK : Q5_EIO;
}

int q5_poller_add(q5_poller *poller, q5_watch *watch, unsigned events) {
    return q5_poller_modify(poller, watch, events);
}

int q5_poller_modify(q5_poller *poller, q5_watch *watch, unsigned events) {
    bool edge = events & Q5_POLL_EDGE;
    int status = control(poller, watch, EVFILT_READ, events & Q5_POLL_READ, edge);
    if (status) return status;
    return control(poller, watch, EVFILT_WRITE, events & Q5_POLL_WRITE, edge);
}

void q5_poller_remove(q5_poller *poller, q5_watch *watch) {
    q5_poller_modify(poller, watch, 0);
    for (int i = poller->delivered; i < poller->fetched; i++)
        if (poller->events[i].udata == watch) poller->events[i].udata = NULL;
}

int q5_poller_wait(q5_poller *poller, int timeout_msec) {
    struct timespec ts = {timeout_msec / 1000, timeout_msec % 1000 * 1000000L};
    poller->delivered = poller->fetched = 0;
    int n = kevent(poller->fd, NULL, 0, poller->events, EVENTS_MAX, timeout_msec < 0 ? NULL : &ts);
    if (n < 0) return errno == EINTR ? 0 : Q5_EIO;
    poller->fetched = n;
    return n;
}

void q5_poller_deliver(q5_poller *poller) {
    while (poller->delivered < poller->fetched) {
        struct kevent *event = &poller->events[poller->delivered++];
        q5_watch *watch = event->udata;
        if (!watch) continue;
        unsigned events = event->filter == EVFILT_READ ? Q5_POLL_READ : Q5_POLL_WRITE;
        if (event->flags & EV_EOF) events |= Q5_POLL_EOF;
        watch->ready(watch, events);
    }
}

#endif
