/* What the files of the PostgreSQL pool share.
 *
 *   pg_pool.c      the queue, which connection takes what, deadlines
 *   pg_conn.c      one connection's life: opening, idling, flushing, losing
 *   pg_send.c      a batch becomes commands
 *   pg_receive.c   results become callbacks; what ends how
 *   pg_prepared.c  which statements a connection has prepared
 *   pg_cancel.c    a running statement is cancelled
 *
 * A flight is what stands between two ends of a connection's pipeline: a batch, or something of our
 * own (statements closed, a check). A batch that its owner or its deadline has taken out leaves its
 * flight behind, whose results are dropped. */
#ifndef Q5_PG_INTERNAL_H
#define Q5_PG_INTERNAL_H

#include "q5/pg.h"
#include "q5/pg_library.h"

/* ---- prepared statements --------------------------------------------------------------------- */

#define Q5__PG_NONE UINT32_MAX

typedef struct q5__pg_prepared {
    uint64_t id;
    uint32_t generation;
    uint32_t serial; /* 0: unused. In its name; never used twice on a connection */
    uint32_t chain;  /* next in the bucket, or free */
    uint32_t newer, older;
    uint32_t flight; /* that prepares it */
    bool confirmed;  /* the server has said so */
    char name[16];
} q5__pg_prepared;

/* A hash table over a fixed array, in order of use. */
typedef struct q5__pg_cache {
    q5__pg_prepared *entries; /* owned, max of them */
    uint32_t *buckets;        /* owned, mask + 1 of them: index or Q5__PG_NONE */
    uint32_t *doomed;         /* owned: serials that the server shall forget */
    uint32_t max, mask, count, free, newest, oldest, serial;
    uint32_t doomed_count;
} q5__pg_cache;

/* The smallest one that is not below `least`. */
uint32_t q5__pg_power_of_two(uint32_t least);
/* doomed_max: the caller sees to it that no more are doomed before it sets doomed_count to 0. */
int q5__pg_cache_init(q5__pg_cache *cache, const q5_alloc *alloc, uint32_t max,
                      uint32_t doomed_max);
void q5__pg_cache_deinit(q5__pg_cache *cache, const q5_alloc *alloc);
/* Forgets everything: the connection is a new one. */
void q5__pg_cache_reset(q5__pg_cache *cache);
/* The entry, now the most recently used one, or NULL. */
q5__pg_prepared *q5__pg_cache_find(q5__pg_cache *cache, const q5_pg_statement *statement);
/* A new entry; the least recently used one is doomed for it when there is no room (*ret_evicted).
 */
q5__pg_prepared *q5__pg_cache_insert(q5__pg_cache *cache, const q5_pg_statement *statement,
                                     bool *ret_evicted);
/* The entry at an index if it still is the one with this serial, or NULL. */
q5__pg_prepared *q5__pg_cache_get(q5__pg_cache *cache, uint32_t index, uint32_t serial);
/* doom: the server has it and shall forget it too. */
void q5__pg_cache_remove(q5__pg_cache *cache, q5__pg_prepared *entry, bool doom);
/* A name for a serial, with its NUL. */
void q5__pg_name(uint32_t serial, char name[16]);

/* ---- a connection ---------------------------------------------------------------------------- */

typedef struct q5__pg_conn q5__pg_conn;

typedef enum q5__pg_state {
    Q5__PG_CLOSED,
    Q5__PG_CONNECTING,
    Q5__PG_STARTUP, /* startup_sql runs */
    Q5__PG_READY,
} q5__pg_state;

typedef enum q5__pg_kind {
    Q5__PG_BEGIN,
    Q5__PG_PREPARE,
    Q5__PG_QUERY,
    Q5__PG_COMMIT,
    Q5__PG_CLOSE,
    Q5__PG_SYNC, /* more of the flight follows */
    Q5__PG_END,  /* a sync that ends the flight */
} q5__pg_kind;

/* Something that the server will answer. */
typedef struct q5__pg_command {
    uint8_t kind;
    bool stream;            /* QUERY: rows are to come in chunks; libpq has not been told yet */
    uint16_t query;         /* PREPARE, QUERY: index in the batch */
    uint32_t entry, serial; /* PREPARE, QUERY: q5__pg_cache_get; serial 0: none */
} q5__pg_command;

typedef struct q5__pg_flight {
    q5_pg_batch *batch; /* NULL: nobody wants the results */
    q5_msec since;      /* when it came to be the first */
    q5_msec cancel_at;  /* when it shall be cancelled, once it is the first; 0: not */
    uint8_t cancels;    /* requests sent */
    bool stream;
    bool check;     /* asks whether the connection lives */
    bool failed;    /* the server has reported an error */
    bool left_open; /* a transaction, by a BEGIN of its own */
    bool again;     /* for a reason that another run does away with */
} q5__pg_flight;

/* A request to cancel on its way: its own connection. */
typedef struct q5__pg_cancel {
    q5_watch watch;
    q5_timer timer;
    struct pg_cancel_conn *request; /* owned: libpq 17 and later */
    PGconn *helper;                 /* owned: before, a session that calls pg_cancel_backend */
    bool watched, asked;
} q5__pg_cancel;

struct q5__pg_conn {
    q5_watch watch;
    q5_timer timer;
    q5_pg_pool *pool;
    PGconn *pg; /* owned */
    q5__pg_state state;
    unsigned events; /* that the watch asks for; 0: not watched */
    bool unflushed;  /* something may stand in libpq's buffer */
    bool blocked;    /* the kernel takes no more for now */
    bool paused;     /* by the first flight's owner */
    bool stale;      /* read input is to be worked off */
    bool proven;     /* has answered a batch */
    bool retiring;   /* has lived long enough: gets no more batches */
    q5_msec connect_due, born, idle_since, checked, lifetime;
    q5__pg_cancel cancel;
    uint32_t at_risk; /* flights before this number may be hit by a request to cancel another */
    /* Rings; numbers grow without end, index is number & mask. */
    q5__pg_flight *flights; /* owned */
    uint32_t flights_mask, flight_first, flight_end;
    q5__pg_command *commands; /* owned */
    uint32_t commands_mask, command_first, command_end;
    q5__pg_cache cache;
};

static inline uint32_t q5__pg_flights(const q5__pg_conn *conn) {
    return conn->flight_end - conn->flight_first;
}

static inline q5__pg_flight *q5__pg_flight_at(const q5__pg_conn *conn, uint32_t number) {
    return &conn->flights[number & conn->flights_mask];
}

static inline q5__pg_flight *q5__pg_first(const q5__pg_conn *conn) {
    return q5__pg_flight_at(conn, conn->flight_first);
}

int q5__pg_conn_init(q5__pg_conn *conn, q5_pg_pool *pool);
void q5__pg_conn_deinit(q5__pg_conn *conn);
/* Begins to connect. */
void q5__pg_open(q5__pg_conn *conn);
/* Sends what stands in libpq's buffer; may lose the connection. */
void q5__pg_flush(q5__pg_conn *conn);
/* Closes the connection; its batches are queued again, or wait for q5__pg_tell_lost. */
void q5__pg_lose(q5__pg_conn *conn);
/* Watches for these events, 0: none. */
void q5__pg_watch(q5__pg_conn *conn, unsigned events);
/* Sets the timer by what is due next. Call when the first flight or its cancel_at has changed. */
void q5__pg_arm(q5__pg_conn *conn);
/* After the end of the last flight; checked: it was only a check. */
void q5__pg_idle(q5__pg_conn *conn, bool checked);
/* A power of two that holds the largest batch behind as many small ones as may be in flight. */
uint32_t q5__pg_commands_max(const q5_pg_config *config, uint32_t doomed_max);
/* Is there room for a batch of so many queries beside what must fit anyway? */
bool q5__pg_has_room(const q5__pg_conn *conn, uint32_t queries);
/* Puts the batch on the connection; may lose it. */
void q5__pg_send(q5__pg_conn *conn, q5_pg_batch *batch);
/* Asks the server for an answer; may lose the connection. */
void q5__pg_send_check(q5__pg_conn *conn);
/* Works off what has been read. Callbacks are called; may lose the connection. The caller calls
 * q5__pg_tell_lost later. */
void q5__pg_receive(q5__pg_conn *conn);
/* Requests that the running statement be cancelled. */
void q5__pg_cancel_start(q5__pg_conn *conn);
/* Ends the request, if there is one. */
void q5__pg_cancel_stop(q5__pg_conn *conn);
static inline bool q5__pg_cancelling(const q5__pg_conn *conn) {
    return conn->cancel.request || conn->cancel.helper;
}

/* ---- the pool -------------------------------------------------------------------------------- */

typedef struct q5__pg_list {
    q5_pg_batch *first, *last;
} q5__pg_list;

struct q5_pg_pool {
    const q5_pg_library *library;
    q5_poller *poller;
    q5_pg_config config; /* its texts are in `texts` */
    q5_arena texts;
    q5_timer_wheel wheel;
    q5_timer retry; /* runs while no attempt to connect is allowed */
    q5_msec now;
    uint32_t backoff_msec;
    uint64_t random;
    bool work; /* q5_pg_tick has something to do */
    bool closing;
    char connect_error[512]; /* the last attempt's; "" when that succeeded */
    uint32_t streams;        /* connections that stream */
    q5__pg_list waiting, lost;
    q5_pg_stats stats;
    q5__pg_conn conns[]; /* config.connections_max of them */
};

/* Reads the clock. Call first in whatever the poller or another library calls. */
void q5__pg_now(q5_pg_pool *pool);
/* A number below `below`, for jitter. */
uint32_t q5__pg_random(q5_pg_pool *pool, uint32_t below);
/* In front of the queue. The batch is in no list. */
void q5__pg_requeue(q5_pg_pool *pool, q5_pg_batch *batch);
/* Its on_done with Q5_EPG_LOST is due at the next q5__pg_tell_lost. */
void q5__pg_add_lost(q5_pg_pool *pool, q5_pg_batch *batch);
void q5__pg_tell_lost(q5_pg_pool *pool);
/* Takes the batch out of wherever it is, its flight included. */
void q5__pg_detach(q5_pg_batch *batch);
/* Detaches, then on_done, after which the batch is the owner's. */
void q5__pg_finish(q5_pg_batch *batch, int status);
/* May the batch run again from its first query that was not handed out? */
bool q5__pg_repeatable(const q5_pg_batch *batch);
/* Gives back what a snapshot holds. */
void q5__pg_drop_held(q5_pg_batch *batch);
/* Fills batch->error: from a result, or from a text (no server's); NULL: without an error. */
void q5__pg_set_error(q5_pg_batch *batch, const PGresult *result, int query);
void q5__pg_set_error_text(q5_pg_batch *batch, const char *text);

#endif
