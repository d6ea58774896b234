/* _quintette.Channel: events for many at once, and _quintette.Subscription: one who gets them.
 *
 * A channel keeps its last events, encoded once, in a ring. A subscription is a position in it: a
 * slow client costs what waits in its connection and nothing else, and one that falls behind the
 * ring has missed events. Where a subscription is a response's body under our server, the loop
 * writes the ring's bytes to its connection, and no coroutine runs for it.
 *
 *   channel.c       the ring, publishing, the type
 *   subscription.c  positions; bodies of responses
 *
 * All under the GIL; publishing from any thread. */
#ifndef Q5PY_CHANNEL_H
#define Q5PY_CHANNEL_H

#include "server/server.h"

typedef struct q5py_channel q5py_channel;
typedef struct q5py_subscription q5py_subscription;
typedef struct q5py_station q5py_station;

typedef struct q5py_entry {
    PyObject *event; /* owned */
    PyObject *bytes; /* owned; as it is sent */
} q5py_entry;

struct q5py_channel {
    PyObject_HEAD q5py_state *state;
    PyObject *pieces;     /* owned Pieces */
    q5py_entry *ring;     /* owned; [first, next) modulo cap */
    uint32_t cap;         /* a power of two */
    uint32_t history;     /* events that are kept, at most */
    size_t bytes;         /* of them */
    size_t bytes_max;     /* likewise */
    uint64_t first, next; /* numbers of the oldest kept event and of the next one */
    q5py_station *stations;
    PyObject *waiting; /* owned dict: Subscription -> what is called when there is an event */
    uint32_t attached; /* subscriptions that are bodies of responses */
    bool cuts;         /* who has missed an event is cut off; else goes on with the oldest kept */
    bool closed;
};

/* A channel's subscriptions on one server. Exists while there are any; they keep the channel and
 * their flights the server. */
struct q5py_station {
    q5py_job job; /* finish: on the loop, there are new events */
    q5py_channel *channel;
    q5py_server *server;
    q5py_subscription *first;
    q5py_station *next, *next_of_server;
    bool posted, busy;
};

struct q5py_subscription {
    PyObject_HEAD q5py_channel *channel; /* owned */
    uint64_t next;                       /* number of the event that is due */
    uint64_t missed;
    q5py_flight *flight; /* borrowed; NULL: no response's body */
    q5py_station *station;
    q5py_subscription *prev, *after; /* of the station's */
    bool used;                       /* a body, now or once */
    bool full;                       /* the connection takes no more for now */
};

static inline q5py_entry *q5py_channel_at(const q5py_channel *channel, uint64_t number) {
    return &channel->ring[number & (channel->cap - 1)];
}

/* ---- subscription.c */
/* A new Subscription, of the events behind the one with that id; all that are kept when it is not
 * among them; none when it is None. NULL with an exception. */
PyObject *q5py_subscription_new(q5py_channel *channel, PyObject *cls, PyObject *last_event_id);
/* From any thread, before an event is dropped: writes what the loop has not come to yet, lest a
 * burst that is longer than the history be taken for slow clients. Whom that fails for is left to
 * the loop, which is on its way; as is memory's, whose connections call Python. */
void q5py_channel_spill(q5py_channel *channel);
/* From any thread: who has the event still to get is told. */
void q5py_channel_tell(q5py_channel *channel);

int q5py_init_channel(PyObject *module, q5py_state *state);
int q5py_init_subscription(PyObject *module, q5py_state *state);

#endif
