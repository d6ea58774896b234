/* Readiness of file descriptors: epoll or kqueue, edge-triggered for our own sockets. One thread.
 */
#ifndef Q5_POLLER_H
#define Q5_POLLER_H

#include "q5/alloc.h"
#include "q5/status.h"

#define Q5_POLL_READ 1u
#define Q5_POLL_WRITE 2u
#define Q5_POLL_EOF 4u        /* reported, never asked for: the peer closed its side or reset */
#define Q5_POLL_EDGE 8u       /* asked for: report changes only */
#define Q5_POLL_EXCLUSIVE 16u /* asked for: wake one of the processes that share the socket */

typedef struct q5_poller q5_poller;
typedef struct q5_watch q5_watch;

/* Embedded in its owner, which removes it before freeing itself. */
struct q5_watch {
    int fd;
    void (*ready)(q5_watch *watch, unsigned events);
};

/* NULL with errno set. */
Q5_EXTERN q5_poller *q5_poller_create(const q5_alloc *alloc);
Q5_EXTERN void q5_poller_destroy(q5_poller *poller);
/* The kernel object's descriptor, to be nested into another loop. */
Q5_EXTERN int q5_poller_fd(const q5_poller *poller);
/* Q5_OK or Q5_EIO with errno set. */
Q5_EXTERN int q5_poller_add(q5_poller *poller, q5_watch *watch, unsigned events);
Q5_EXTERN int q5_poller_modify(q5_poller *poller, q5_watch *watch, unsigned events);
/* Events of this watch that were fetched but not yet delivered are dropped. */
Q5_EXTERN void q5_poller_remove(q5_poller *poller, q5_watch *watch);
/* Waits up to timeout_msec (-1: for ever) and fetches events without delivering them. Touches
 * nothing but the poller, so a host may drop its lock around it. Number of events, or Q5_EIO. */
Q5_EXTERN int q5_poller_wait(q5_poller *poller, int timeout_msec);
/* Calls ready for each event that the last wait fetched. */
Q5_EXTERN void q5_poller_deliver(q5_poller *poller);

#endif
