/* The queue, which connection takes what, deadlines. */
#include <stdio.h>

#include "io/pg_internal.h"
#include "q5/server.h" /* the clock */

#define TEXTS_SIZE_MAX 65536
#define ERROR_TEXT_MAX 1024

q5_pg_config q5_pg_config_default(void) {
    return (q5_pg_config){
        .connections_max = 4,
        .open_at = 8,
        .waiting_max = 4096,
        .in_flight_max = 64,
        .queries_max = 64,
        .prepared_max = 256,
        .bytes_max = 64u << 20,
        .chunk_rows = 256,
        .timeout_msec = 30000,
        .slow_msec = 20,
        .grace_msec = 1000,
        .connect_timeout_msec = 5000,
        .backoff_min_msec = 50,
        .backoff_max_msec = 2000,
        .check_msec = 30000,
        .idle_msec = 300000,
        .lifetime_msec = 3600000,
    };
}

void q5__pg_now(q5_pg_pool *pool) {
    pool->now = q5_clock_msec();
}

uint32_t q5__pg_random(q5_pg_pool *pool, uint32_t below) {
    uint64_t x = pool->random; /* xorshift64, Marsaglia 2003 */
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    pool->random = x;
    return below ? (uint32_t)((x >> 32) % below) : 0;
}

/* ---- lists ----------------------------------------------------------------------------------- */

static void append(q5__pg_list *list, q5_pg_batch *batch) {
    batch->prev = list->last;
    batch->next = NULL;
    if (list->last)
        list->last->next = batch;
    else
        list->first = batch;
    list->last = batch;
}

static void prepend(q5__pg_list *list, q5_pg_batch *batch) {
    batch->prev = NULL;
    batch->next = list->first;
    if (list->first)
        list->first->prev = batch;
    else
        list->last = batch;
    list->first = batch;
}

static void take_out(q5__pg_list *list, q5_pg_batch *batch) {
    if (batch->prev)
        batch->prev->next = batch->next;
    else
        list->first = batch->next;
    if (batch->next)
        batch->next->prev = batch->prev;
    else
        list->last = batch->prev;
    batch->prev = batch->next = NULL;
}

void q5__pg_requeue(q5_pg_pool *pool, q5_pg_batch *batch) {
    prepend(&pool->waiting, batch);
    pool->stats.waiting++;
    pool->stats.retries++;
    pool->work = true;
}

void q5__pg_add_lost(q5_pg_pool *pool, q5_pg_batch *batch) {
    batch->lost = true;
    append(&pool->lost, batch);
}

void q5__pg_tell_lost(q5_pg_pool *pool) {
    while (pool->lost.first)
        q5__pg_finish(pool->lost.first, Q5_EPG_LOST);
}

/* ---- a batch's end --------------------------------------------------------------------------- */

void q5__pg_drop_held(q5_pg_batch *batch) {
    const q5_pg_library *library = batch->pool->library;
    for (unsigned i = 0; batch->held && i < batch->query_count; i++) {
        library->clear(batch->held[i]); /* PQclear takes NULL */
        batch->held[i] = NULL;
    }
}

void q5__pg_detach(q5_pg_batch *batch) {
    q5_pg_pool *pool = batch->pool;
    if (batch->conn) {
        q5__pg_flight_at(batch->conn, batch->flight)->batch = NULL;
        batch->conn = NULL;
        pool->stats.in_flight--;
    } else if (batch->lost) {
        take_out(&pool->lost, batch);
    } else {
        take_out(&pool->waiting, batch);
        pool->stats.waiting--;
    }
    q5_timer_stop(&pool->wheel, &batch->timer);
    q5__pg_drop_held(batch);
    q5_free(pool->config.alloc, batch->held);
    batch->held = NULL;
    pool->stats.bytes -= batch->bytes;
    batch->pool = NULL;
}

void q5__pg_finish(q5_pg_batch *batch, int status) {
    q5_pg_pool *pool = batch->pool;
    q5__pg_detach(batch);
    pool->stats.batches++;
    if (status) pool->stats.errors++;
    batch->on_done(batch, status);
}

bool q5__pg_repeatable(const q5_pg_batch *batch) {
    if (batch->partial) return false;
    if (batch->flags & Q5_PG_SNAPSHOT) return batch->delivered == 0;
    return batch->flags & Q5_PG_READ_ONLY;
}

/* The batch leaves its flight: whatever its statement does from then on, no later than at
 * cancel_at it is cancelled. */
static void leave_flight(q5_pg_batch *batch, q5_msec cancel_at) {
    q5__pg_conn *conn = batch->conn;
    if (!conn) return;
    q5__pg_flight *flight = q5__pg_flight_at(conn, batch->flight);
    bool first = batch->flight == conn->flight_first;
    flight->cancel_at = flight->stream ? batch->pool->now : cancel_at;
    if (!first) return;
    if (conn->paused) {
        conn->paused = false;
        conn->stale = true;
        batch->pool->work = true;
    }
    q5__pg_arm(conn);
}

static void expire(q5_timer *timer, q5_msec now) {
    q5_pg_batch *batch = Q5_CONTAINER_OF(timer, q5_pg_batch, timer);
    q5_pg_pool *pool = batch->pool;
    int status = Q5_ETIMEOUT;
    pool->stats.timeouts++;
    leave_flight(batch, now);
    if (!batch->conn && pool->stats.connections == 0) {
        q5__pg_set_error_text(batch, pool->connect_error[0] ? pool->connect_error
                                                            : "the server has not answered yet");
        status = Q5_EPG_CONNECT;
    }
    q5__pg_finish(batch, status);
}

void q5_pg_cancel(q5_pg_batch *batch) {
    q5_pg_pool *pool = batch->pool;
    if (!pool) return;
    q5__pg_now(pool);
    q5_msec grace_ends = pool->now + pool->config.grace_msec;
    leave_flight(batch, grace_ends < batch->timer.due ? grace_ends : batch->timer.due);
    q5__pg_detach(batch);
}

/* ---- errors ---------------------------------------------------------------------------------- */

/* Empty when there is no text or no room. */
static q5_slice copy(q5_pg_batch *batch, const char *text) {
    size_t len = text ? strnlen(text, ERROR_TEXT_MAX) : 0;
    while (len && text[len - 1] == '\n')
        len--;
    char *base = len && batch->arena ? q5_arena_dup(batch->arena, text, len) : NULL;
    return base ? q5_slice_make(base, len) : q5_slice_make("", 0);
}

void q5__pg_set_error(q5_pg_batch *batch, const PGresult *result, int query) {
    const q5_pg_library *library = batch->pool->library;
    const char *state = library->resultErrorField(result, PG_DIAG_SQLSTATE);
    const char *position = library->resultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    q5_pg_error *error = &batch->error;
    memset(error, 0, sizeof(*error));
    if (state) snprintf(error->sqlstate, sizeof(error->sqlstate), "%s", state);
    for (; position && *position >= '0' && *position <= '9' && error->position < 100000000;)
        error->position = error->position * 10 + (*position++ - '0');
    error->query = query;
    error->message = copy(batch, library->resultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
    error->detail = copy(batch, library->resultErrorField(result, PG_DIAG_MESSAGE_DETAIL));
    error->hint = copy(batch, library->resultErrorField(result, PG_DIAG_MESSAGE_HINT));
    error->constraint = copy(batch, library->resultErrorField(result, PG_DIAG_CONSTRAINT_NAME));
}

void q5__pg_set_error_text(q5_pg_batch *batch, const char *text) {
    q5_slice none = q5_slice_make("", 0);
    batch->error = (q5_pg_error){.query = -1,
                                 .message = copy(batch, text),
                                 .detail = none,
                                 .hint = none,
                                 .constraint = none};
}

/* ---- submitting ------------------------------------------------------------------------------ */

static bool valid(const q5_pg_pool *pool, q5_pg_batch *batch) {
    if (batch->query_count == 0 || batch->query_count > pool->config.queries_max) return false;
    batch->bytes = 0;
    for (unsigned i = 0; i < batch->query_count; i++) {
        const q5_pg_query *query = &batch->queries[i];
        unsigned count = query->statement->param_count;
        if (count && (!query->values || !query->lengths || !query->formats)) return false;
        for (unsigned p = 0; p < count; p++) {
            if (!query->values[p]) continue;
            if (query->lengths[p] < 0) return false;
            batch->bytes += (size_t)query->lengths[p];
        }
    }
    return true;
}

/* A snapshot's results wait for each other, so that another run may still replace them all. */
static bool holds(const q5_pg_batch *batch) {
    if (!(batch->flags & Q5_PG_SNAPSHOT) || batch->query_count == 1) return false;
    for (unsigned i = 0; i < batch->query_count; i++)
        if (batch->queries[i].flags & Q5_PG_STREAM) return false;
    return true;
}

int q5_pg_submit(q5_pg_pool *pool, q5_pg_batch *batch) {
    const q5_pg_config *config = &pool->config;
    if (pool->closing) return Q5_ECLOSED;
    if (!valid(pool, batch)) return Q5_EINVAL;
    if (pool->stats.waiting >= config->waiting_max ||
        batch->bytes > config->bytes_max - pool->stats.bytes) {
        pool->stats.refused++;
        return Q5_EPG_BUSY;
    }
    batch->held = NULL;
    if (holds(batch)) {
        batch->held = q5_calloc(config->alloc, batch->query_count * sizeof(*batch->held));
        if (!batch->held) return Q5_ENOMEM;
    }
    q5__pg_now(pool);
    batch->pool = pool;
    batch->conn = NULL;
    batch->delivered = 0;
    batch->retried = batch->partial = batch->lost = false;
    q5__pg_set_error_text(batch, NULL);
    append(&pool->waiting, batch);
    pool->stats.waiting++;
    pool->stats.bytes += batch->bytes;
    uint32_t timeout = batch->timeout_msec ? batch->timeout_msec : config->timeout_msec;
    q5_timer_init(&batch->timer, expire);
    q5_timer_start(&pool->wheel, &batch->timer, pool->now + timeout);
    pool->work = true;
    return Q5_OK;
}

/* ---- pausing --------------------------------------------------------------------------------- */

static bool is_first(const q5_pg_batch *batch) {
    return batch->pool && batch->conn && batch->flight == batch->conn->flight_first;
}

void q5_pg_pause(q5_pg_batch *batch) {
    if (is_first(batch)) batch->conn->paused = true;
}

void q5_pg_resume(q5_pg_batch *batch) {
    if (!is_first(batch) || !batch->conn->paused) return;
    batch->conn->paused = false;
    batch->conn->stale = true;
    batch->pool->work = true;
}

/* ---- dispatch -------------------------------------------------------------------------------- */

static bool streams(const q5_pg_batch *batch) {
    for (unsigned i = 0; i < batch->query_count; i++)
        if (batch->queries[i].flags & Q5_PG_STREAM) return true;
    return false;
}

static bool accepts(const q5_pg_pool *pool, const q5__pg_conn *conn, const q5_pg_batch *batch,
                    bool stream) {
    if (conn->state != Q5__PG_READY || conn->blocked || conn->retiring || q5__pg_cancelling(conn))
        return false;
    if (q5__pg_flights(conn) == 0) return true;
    const q5__pg_flight *first = q5__pg_first(conn);
    if (stream || q5__pg_flight_at(conn, conn->flight_end - 1)->stream) return false;
    if (first->cancel_at || pool->now - first->since > pool->config.slow_msec) return false;
    return q5__pg_has_room(conn, batch->query_count);
}

static q5__pg_conn *choose(q5_pg_pool *pool, const q5_pg_batch *batch, bool stream) {
    q5__pg_conn *best = NULL;
    for (uint32_t i = 0; i < pool->config.connections_max; i++) {
        q5__pg_conn *conn = &pool->conns[i];
        if (accepts(pool, conn, batch, stream) &&
            (!best || q5__pg_flights(conn) < q5__pg_flights(best)))
            best = conn;
    }
    return best;
}

/* One at a time, and only when the ones that are there are not enough. */
static void open_another(q5_pg_pool *pool) {
    q5__pg_conn *closed = NULL;
    uint32_t least = UINT32_MAX;
    if (pool->stats.connecting || q5_timer_active(&pool->retry)) return;
    for (uint32_t i = 0; i < pool->config.connections_max; i++) {
        q5__pg_conn *conn = &pool->conns[i];
        if (conn->state == Q5__PG_CLOSED)
            closed = conn;
        else if (!conn->retiring && q5__pg_flights(conn) < least)
            least = q5__pg_flights(conn);
    }
    if (closed && (pool->waiting.first || (least >= pool->config.open_at && least < UINT32_MAX)))
        q5__pg_open(closed);
}

/* In the order of the queue. One connection is kept from streams, where there are several: a
 * stream that has to wait for that reason is passed by, for any other it is waited for. */
static void dispatch(q5_pg_pool *pool) {
    uint32_t streams_max = pool->config.connections_max > 1 ? pool->config.connections_max - 1 : 1;
    q5_pg_batch *batch = pool->waiting.first, *next;
    for (; batch; batch = next) {
        next = batch->next;
        bool stream = streams(batch);
        if (stream && pool->streams >= streams_max) continue;
        q5__pg_conn *conn = choose(pool, batch, stream);
        if (!conn) break;
        take_out(&pool->waiting, batch);
        pool->stats.waiting--;
        q5__pg_send(conn, batch);
    }
}

static void flush(q5_pg_pool *pool) {
    for (uint32_t i = 0; i < pool->config.connections_max; i++)
        if (pool->conns[i].unflushed && !pool->conns[i].blocked) q5__pg_flush(&pool->conns[i]);
}

static void receive_stale(q5_pg_pool *pool) {
    for (uint32_t i = 0; i < pool->config.connections_max; i++)
        if (pool->conns[i].stale) q5__pg_receive(&pool->conns[i]);
}

void q5_pg_tick(q5_pg_pool *pool) {
    q5__pg_now(pool);
    pool->work = false;
    q5_timer_wheel_advance(&pool->wheel, pool->now);
    receive_stale(pool);
    dispatch(pool);
    open_another(pool);
    flush(pool);
    q5__pg_tell_lost(pool);
}

int q5_pg_timeout_msec(q5_pg_pool *pool) {
    if (pool->work) return 0;
    return q5_timer_wheel_timeout_msec(&pool->wheel, q5_clock_msec());
}

/* ---- life ------------------------------------------------------------------------------------ */

static void allow_connecting(q5_timer *timer, q5_msec now) {
    (void)now;
    Q5_CONTAINER_OF(timer, q5_pg_pool, retry)->work = true;
}

static size_t count_parameters(const q5_pg_config *config) {
    size_t count = 0;
    while (config->keywords && config->keywords[count])
        count++;
    return count;
}

/* Into the pool's arena; client_encoding last, where it wins. */
static int copy_texts(q5_pg_pool *pool) {
    q5_pg_config *config = &pool->config;
    q5_arena *arena = &pool->texts;
    size_t count = count_parameters(config);
    const char **keywords = q5_arena_alloc(arena, (count + 2) * sizeof(*keywords));
    const char **values = q5_arena_alloc(arena, (count + 2) * sizeof(*values));
    if (!keywords || !values) return Q5_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const char *value = config->values[i] ? config->values[i] : "";
        keywords[i] = q5_arena_dup(arena, config->keywords[i], strlen(config->keywords[i]));
        values[i] = q5_arena_dup(arena, value, strlen(value));
        if (!keywords[i] || !values[i]) return Q5_ENOMEM;
    }
    keywords[count] = "client_encoding";
    values[count] = "UTF8";
    keywords[count + 1] = values[count + 1] = NULL;
    config->keywords = keywords;
    config->values = values;
    if (!config->startup_sql) return Q5_OK;
    config->startup_sql = q5_arena_dup(arena, config->startup_sql, strlen(config->startup_sql));
    return config->startup_sql ? Q5_OK : Q5_ENOMEM;
}

static int init(q5_pg_pool *pool, q5_poller *poller) {
    pool->poller = poller;
    q5__pg_now(pool);
    pool->random = (pool->now ^ (uint64_t)(uintptr_t)pool) | 1;
    q5_timer_wheel_init(&pool->wheel, pool->now);
    q5_timer_init(&pool->retry, allow_connecting);
    q5_arena_init(&pool->texts, pool->config.alloc, TEXTS_SIZE_MAX);
    int status = copy_texts(pool);
    for (uint32_t i = 0; i < pool->config.connections_max && !status; i++)
        status = q5__pg_conn_init(&pool->conns[i], pool);
    return status;
}

static void free_pool(q5_pg_pool *pool) {
    for (uint32_t i = 0; i < pool->config.connections_max; i++)
        q5__pg_conn_deinit(&pool->conns[i]);
    q5_arena_deinit(&pool->texts);
    q5_free(pool->config.alloc, pool);
}

q5_pg_pool *q5_pg_create(const q5_pg_library *library, q5_poller *poller,
                         const q5_pg_config *config) {
    const q5_alloc *alloc = config->alloc ? config->alloc : q5_alloc_default();
    uint32_t count = config->connections_max ? config->connections_max : 1;
    q5_pg_pool *pool = q5_calloc(alloc, sizeof(*pool) + count * sizeof(pool->conns[0]));
    if (!pool) return NULL;
    pool->library = library;
    pool->config = *config;
    pool->config.alloc = alloc;
    pool->config.connections_max = count;
    if (pool->config.prepared_max < config->queries_max)
        pool->config.prepared_max = config->queries_max;
    if (init(pool, poller)) {
        free_pool(pool);
        return NULL;
    }
    return pool;
}

void q5_pg_destroy(q5_pg_pool *pool) {
    pool->closing = true;
    for (uint32_t i = 0; i < pool->config.connections_max; i++) {
        q5__pg_conn *conn = &pool->conns[i];
        for (uint32_t n = conn->flight_first; n != conn->flight_end; n++) {
            q5_pg_batch *batch = q5__pg_flight_at(conn, n)->batch;
            if (batch) q5__pg_finish(batch, Q5_ECLOSED);
        }
    }
    while (pool->waiting.first)
        q5__pg_finish(pool->waiting.first, Q5_ECLOSED);
    free_pool(pool);
}

const q5_pg_stats *q5_pg_get_stats(const q5_pg_pool *pool) {
    return &pool->stats;
}
