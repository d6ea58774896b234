/* Batches of statements on a few PostgreSQL connections in pipeline mode. One thread: the one that
 * runs the poller. Nothing here blocks but the name service, see q5_pg_config.keywords.
 *
 * The owner calls q5_pg_tick before each wait of the poller: what was submitted since the last one
 * leaves in one write per connection. Callbacks come from q5_pg_tick and from q5_poller_deliver,
 * never from inside q5_pg_submit, q5_pg_cancel, q5_pg_pause or q5_pg_resume. They may call all of
 * these, but not q5_pg_destroy.
 *
 * A batch is one implicit transaction (PostgreSQL documentation, "Pipelining" in the protocol's
 * message flow): one sync point ends it, so its error neither harms nor meets another batch's.
 *
 * Which connection: batches are taken in the order in which they were submitted; each goes to the
 * ready connection with the fewest batches in flight. A connection whose first batch runs for
 * longer than slow_msec, or streams, gets no more, so that nothing short waits behind it: the queue
 * waits for another connection or for a new one. */
#ifndef Q5_PG_H
#define Q5_PG_H

#include "q5/arena.h"
#include "q5/poller.h"
#include "q5/timer.h"

struct pg_result;     /* libpq's PGresult; q5/pg_library.h reads it */
struct q5_pg_library; /* q5/pg_library.h */

typedef struct q5_pg_pool q5_pg_pool;
typedef struct q5_pg_batch q5_pg_batch;

/* ---- what is asked --------------------------------------------------------------------------- */

/* The caller's; unchanged while a batch that names it is under way. Its identity is (id,
 * generation): two with equal identity have equal text and types. A connection remembers it by
 * identity alone, so the memory may be freed once no batch names it. */
typedef struct q5_pg_statement {
    uint64_t id; /* such as an address or a counter; a new generation when an id is used again */
    uint32_t generation;
    uint16_t param_count;
    const uint32_t *param_types; /* type OIDs, 0: the server infers it; may be NULL */
    const char *sql;             /* one statement, UTF-8, ends in a NUL */
} q5_pg_statement;

#define Q5_PG_STREAM 1u     /* rows in chunks as they come, instead of one result */
#define Q5_PG_UNPREPARED 2u /* parsed for this once: for statements that will not come again */

/* A statement with its bound values: arrays of param_count, the caller's until on_done, or until
 * q5_pg_cancel returned. All may be NULL when there are no parameters. */
typedef struct q5_pg_query {
    const q5_pg_statement *statement;
    const char *const *values; /* NULL: SQL's NULL. A value in text format ends in a NUL */
    const int *lengths;        /* bytes without that NUL, in text format too */
    const int *formats;        /* 0 text, 1 binary */
    unsigned flags;
} q5_pg_query;

/* Copied into the batch's arena; without one, or when that is full, the texts are empty. */
typedef struct q5_pg_error {
    char sqlstate[6]; /* "" when no server has answered */
    int position;     /* in the statement's text, counted in characters from 1; 0: none */
    int query;        /* index of the query; -1: none in particular */
    q5_slice message, detail, hint, constraint;
} q5_pg_error;

/* The batch changes nothing: it may be run again when its connection was lost or its prepared
 * statement has become invalid. */
#define Q5_PG_READ_ONLY 1u
/* All queries see one snapshot: BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY before
 * them, COMMIT after them. Implies Q5_PG_READ_ONLY. Results come when all are there, but for
 * streams. */
#define Q5_PG_SNAPSHOT 2u

typedef enum q5_pg_take {
    Q5_PG_CLEAR, /* the pool frees the result */
    Q5_PG_KEEP,  /* it is the callback's now, to be freed by library->clear */
} q5_pg_take;

/* Embedded in its owner, zeroed but for what the owner sets; the pool links it from q5_pg_submit
 * to on_done or q5_pg_cancel. */
struct q5_pg_batch {
    const q5_pg_query *queries; /* until on_done, or until q5_pg_cancel returned */
    uint16_t query_count;       /* 1 to q5_pg_config.queries_max */
    uint16_t flags;
    uint32_t timeout_msec; /* from q5_pg_submit to on_done; 0: the pool's */
    q5_arena *arena;       /* for the error's texts, at most 4 * 1 KB; or NULL. Kept until then */
    void *ctx;             /* the owner's */
    /* A result of query `index` in binary format: rows, or a command's outcome. more: a chunk of a
     * stream, another call for this query follows; the last one's result may have no row. Comes in
     * the order of the queries, each result once. Not called for a query that failed, nor for those
     * after it. */
    q5_pg_take (*on_result)(q5_pg_batch *batch, unsigned index, struct pg_result *result,
                            bool more);
    /* The last call for this batch, which may be freed or submitted again in it.
     * Q5_OK            the transaction is committed
     * Q5_ESQL    the server refused a query; nothing of the batch has happened
     * Q5_ETIMEOUT      the deadline has passed: in the queue, or the running statement is being
     *                  cancelled, whose outcome is then unknown
     * Q5_EPG_CONNECT   no connection could be made before the deadline; the error's message has the
     *                  last attempt's
     * Q5_EPG_LOST      the connection was lost after sending: outcome unknown. (A batch that only
     *                  reads runs again; it is told when it was lost twice while its turn was, or
     *                  after rows of a stream were handed out)
     * Q5_ECLOSED       the pool is being destroyed */
    void (*on_done)(q5_pg_batch *batch, int status);
    q5_pg_error error; /* set before on_done when status is not Q5_OK */

    /* The pool's own. */
    q5_pg_pool *pool;         /* NULL: not under way */
    struct q5__pg_conn *conn; /* NULL: in one of the pool's lists */
    q5_pg_batch *prev, *next;
    struct pg_result **held; /* owned; results of a snapshot until all are there, or NULL */
    q5_timer timer;
    size_t bytes;
    uint32_t flight;    /* number of its place in flight on conn */
    uint16_t delivered; /* queries whose results were handed out */
    bool retried;
    bool partial; /* rows of query `delivered` were handed out */
    bool lost;    /* in the list of those whose on_done with Q5_EPG_LOST is due */
};

/* ---- the pool -------------------------------------------------------------------------------- */

typedef struct q5_pg_config {
    const q5_alloc *alloc; /* NULL: malloc */
    /* Connection parameters of PQconnectdbParams, NULL-terminated arrays, copied; dbname may be a
     * whole connection string. client_encoding is UTF8 whatever they say. TimeZone, role and
     * search_path go into `options` ("-c TimeZone=UTC") or startup_sql. A host name is looked up by
     * getaddrinfo, which blocks: give hostaddr (and host, for the certificate), or a socket's
     * directory. */
    const char *const *keywords;
    const char *const *values;
    const char *startup_sql; /* run once on each new connection; several statements; or NULL. Copied
                              */
    uint32_t connections_max;
    uint32_t open_at;       /* another is opened when the least loaded has so many in flight */
    uint32_t waiting_max;   /* batches in the queue */
    uint32_t in_flight_max; /* batches per connection */
    uint32_t queries_max;   /* per batch */
    uint32_t prepared_max;  /* statements per connection, the least recently used goes first; not
                               below queries_max */
    size_t bytes_max;       /* of bound values, queued and in flight */
    uint32_t chunk_rows;    /* of a stream's results; libpq before 17 gives single rows */
    uint32_t timeout_msec;  /* of batches that set none */
    uint32_t slow_msec;     /* a connection is left alone when its first batch takes longer */
    uint32_t grace_msec;    /* a batch whose owner left may run so long before it is cancelled */
    uint32_t connect_timeout_msec;               /* per attempt, startup_sql included */
    uint32_t backoff_min_msec, backoff_max_msec; /* between attempts, doubling, half of it random */
    uint32_t check_msec;    /* an idle connection is asked whether it lives; 0: never */
    uint32_t idle_msec;     /* an idle connection is closed; 0: never */
    uint32_t lifetime_msec; /* a connection is replaced, a tenth less for some; 0: never */
} q5_pg_config;

/* Every bound set; keywords and values are still missing. */
Q5_EXTERN q5_pg_config q5_pg_config_default(void);

typedef struct q5_pg_stats {
    uint32_t connections, connecting;          /* now: ready; being opened */
    uint32_t waiting, in_flight;               /* batches now */
    size_t bytes;                              /* of them */
    uint64_t batches, queries;                 /* done, with whatever status; sent */
    uint64_t prepares, evictions;              /* statements prepared; given up for others */
    uint64_t connects, connect_failures, lost; /* attempts that succeeded and failed; connections */
    uint64_t retries, errors, timeouts, cancels, refused; /* batches; cancels: requests sent */
} q5_pg_stats;

/* NULL when out of memory. library and poller outlive the pool; config is copied. Connects when the
 * first batch comes. A child of fork must not touch its parent's pool, q5_pg_destroy included. */
Q5_EXTERN q5_pg_pool *q5_pg_create(const struct q5_pg_library *library, q5_poller *poller,
                                   const q5_pg_config *config);
/* on_done with Q5_ECLOSED for each batch; closes the connections, whose statements the server may
 * run to their end. Not from a callback. */
Q5_EXTERN void q5_pg_destroy(q5_pg_pool *pool);
/* Takes the batch into the queue. Q5_EPG_BUSY when the queue or bytes_max is full, Q5_EINVAL when
 * the batch breaks a bound of the configuration, Q5_ENOMEM, Q5_ECLOSED inside q5_pg_destroy: then
 * nothing was taken. */
Q5_EXTERN int q5_pg_submit(q5_pg_pool *pool, q5_pg_batch *batch);
/* Gives the batch back to its owner at once, without on_done; what it was sent for may still
 * happen, and its results are dropped. Does nothing to a batch that is not under way. */
Q5_EXTERN void q5_pg_cancel(q5_pg_batch *batch);
/* From on_result of a stream on: no more results, and its connection reads no more from the
 * kernel. The deadline goes on. */
Q5_EXTERN void q5_pg_pause(q5_pg_batch *batch);
Q5_EXTERN void q5_pg_resume(q5_pg_batch *batch);
/* Milliseconds until q5_pg_tick must be called; 0: at once; -1: no need. */
Q5_EXTERN int q5_pg_timeout_msec(q5_pg_pool *pool);
/* Deadlines, connecting, sending. Reads the clock. */
Q5_EXTERN void q5_pg_tick(q5_pg_pool *pool);
Q5_EXTERN const q5_pg_stats *q5_pg_get_stats(const q5_pg_pool *pool);

#endif
