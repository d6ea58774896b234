/* One connection's life: opening, idling, flushing, losing.
 *
 * The watch is level-triggered: PQconsumeInput reads once and does not say whether the kernel has
 * more. So a query costs no call beside its write, the wait and its read. */
#include <stdio.h>

#include "io/pg_internal.h"

#define CANCELS_MAX 2 /* requests for one statement */

/* ---- watching -------------------------------------------------------------------------------- */

void q5__pg_watch(q5__pg_conn *conn, unsigned events) {
    q5_poller *poller = conn->pool->poller;
    int status = Q5_OK;
    if (events == conn->events) return;
    if (events == 0)
        q5_poller_remove(poller, &conn->watch);
    else if (conn->events == 0)
        status = q5_poller_add(poller, &conn->watch, events);
    else
        status = q5_poller_modify(poller, &conn->watch, events);
    /* Not watched, the connection would hang until its batches' deadlines: its timer ends it. */
    conn->events = status ? 0 : events;
}

/* False: the connection is broken. */
static bool push(q5__pg_conn *conn) {
    int rc = conn->pool->library->flush(conn->pg);
    conn->unflushed = conn->blocked = rc > 0;
    if (rc < 0) return false;
    if (!conn->paused)
        q5__pg_watch(conn, conn->blocked ? Q5_POLL_READ | Q5_POLL_WRITE : Q5_POLL_READ);
    return true;
}

void q5__pg_flush(q5__pg_conn *conn) {
    if (!push(conn)) q5__pg_lose(conn);
}

/* ---- closing --------------------------------------------------------------------------------- */

static void shut(q5__pg_conn *conn) {
    q5_pg_pool *pool = conn->pool;
    q5__pg_cancel_stop(conn);
    q5_timer_stop(&pool->wheel, &conn->timer);
    q5__pg_watch(conn, 0);
    if (conn->pg) pool->library->finish(conn->pg);
    conn->pg = NULL;
    if (conn->state == Q5__PG_READY)
        pool->stats.connections--;
    else if (conn->state != Q5__PG_CLOSED)
        pool->stats.connecting--;
    conn->state = Q5__PG_CLOSED;
    conn->unflushed = conn->blocked = conn->paused = conn->stale = conn->retiring = conn->proven =
        false;
    pool->work = true;
}

/* Equal jitter: half of the pause is random, so that processes which lost the same server do not
 * come back together. */
static void back_off(q5_pg_pool *pool) {
    const q5_pg_config *config = &pool->config;
    uint32_t pause = pool->backoff_msec * 2;
    if (pause < config->backoff_min_msec) pause = config->backoff_min_msec;
    if (pause > config->backoff_max_msec) pause = config->backoff_max_msec;
    pool->backoff_msec = pause;
    q5_timer_start(&pool->wheel, &pool->retry,
                   pool->now + pause / 2 + q5__pg_random(pool, pause / 2 + 1));
}

/* The batch is out of its flight: another run, or the owner is told. Only the first one may be why
 * the connection was lost, so only for it does this count: a batch that ends its session is not
 * sent a third time, and its neighbours do not suffer. */
static void settle(q5_pg_pool *pool, q5_pg_batch *batch, bool first, const char *why) {
    if (q5__pg_repeatable(batch) && !batch->retried) {
        batch->retried |= first;
        q5__pg_drop_held(batch);
        q5__pg_requeue(pool, batch);
        return;
    }
    if (!batch->error.sqlstate[0]) q5__pg_set_error_text(batch, why);
    q5__pg_add_lost(pool, batch);
}

void q5__pg_lose(q5__pg_conn *conn) {
    q5_pg_pool *pool = conn->pool;
    char why[512];
    snprintf(why, sizeof(why), "%s", pool->library->errorMessage(conn->pg));
    pool->stats.lost++;
    /* From the last to the first, so that those queued again keep their order. */
    while (conn->flight_end != conn->flight_first) {
        q5__pg_flight *flight = q5__pg_flight_at(conn, --conn->flight_end);
        q5_pg_batch *batch = flight->batch;
        if (flight->stream) pool->streams--;
        flight->batch = NULL;
        if (!batch) continue;
        batch->conn = NULL;
        pool->stats.in_flight--;
        settle(pool, batch, conn->flight_end == conn->flight_first, why);
    }
    conn->command_first = conn->command_end;
    if (!conn->proven) back_off(pool); /* lets us in, and out again */
    shut(conn);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void fail(q5__pg_conn *conn, const char *why) {
    q5_pg_pool *pool = conn->pool;
    snprintf(pool->connect_error, sizeof(pool->connect_error), "%s", why);
    pool->stats.connect_failures++;
    shut(conn);
    back_off(pool);
}

static void fail_as_libpq_says(q5__pg_conn *conn) {
    fail(conn, conn->pool->library->errorMessage(conn->pg));
}

static void become_ready(q5__pg_conn *conn) {
    q5_pg_pool *pool = conn->pool;
    if (!pool->library->enterPipelineMode(conn->pg)) {
        fail_as_libpq_says(conn);
        return;
    }
    conn->state = Q5__PG_READY;
    conn->born = conn->checked = pool->now;
    conn->lifetime = pool->config.lifetime_msec;
    conn->lifetime -= q5__pg_random(pool, pool->config.lifetime_msec / 10 + 1);
    conn->flight_first = conn->flight_end = conn->at_risk = 0;
    conn->command_first = conn->command_end = 0;
    q5__pg_cache_reset(&conn->cache);
    pool->stats.connecting--;
    pool->stats.connections++;
    pool->stats.connects++;
    pool->connect_error[0] = '\0';
    pool->work = true;
    q5__pg_watch(conn, Q5_POLL_READ);
    q5__pg_idle(conn, false);
}

static void connected(q5__pg_conn *conn) {
    const q5_pg_library *library = conn->pool->library;
    const char *sql = conn->pool->config.startup_sql;
    if (library->setnonblocking(conn->pg, 1)) {
        fail_as_libpq_says(conn);
    } else if (!sql) {
        become_ready(conn);
    } else if (!library->sendQuery(conn->pg, sql) || !push(conn)) {
        fail_as_libpq_says(conn);
    } else {
        conn->state = Q5__PG_STARTUP;
    }
}

static void connecting(q5__pg_conn *conn) {
    q5__pg_watch(conn, 0); /* libpq may close this socket and open another */
    PostgresPollingStatusType step = conn->pool->library->connectPoll(conn->pg);
    conn->watch.fd = conn->pool->library->socket(conn->pg);
    if (step == PGRES_POLLING_OK)
        connected(conn);
    else if (step == PGRES_POLLING_FAILED)
        fail_as_libpq_says(conn);
    else
        q5__pg_watch(conn, step == PGRES_POLLING_READING ? Q5_POLL_READ : Q5_POLL_WRITE);
}

static void starting_up(q5__pg_conn *conn) {
    const q5_pg_library *library = conn->pool->library;
    if (!library->consumeInput(conn->pg) || !push(conn)) {
        fail_as_libpq_says(conn);
        return;
    }
    while (!library->isBusy(conn->pg)) {
        PGresult *result = library->getResult(conn->pg);
        if (!result) {
            become_ready(conn);
            return;
        }
        ExecStatusType status = library->resultStatus(result);
        library->clear(result);
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
            fail_as_libpq_says(conn);
            return;
        }
    }
}

/* ---- events ---------------------------------------------------------------------------------- */

static void ready(q5__pg_conn *conn, unsigned events) {
    if (events & Q5_POLL_WRITE && conn->blocked) {
        q5__pg_flush(conn);
        conn->pool->work = true;
    }
    if (conn->state != Q5__PG_READY || !(events & (Q5_POLL_READ | Q5_POLL_EOF))) return;
    if (conn->paused) {
        q5__pg_watch(conn, 0); /* until it is resumed */
        return;
    }
    bool alive = conn->pool->library->consumeInput(conn->pg);
    q5__pg_receive(conn); /* what came before the end */
    if (!alive && conn->state == Q5__PG_READY) q5__pg_lose(conn);
}

static void on_event(q5_watch *watch, unsigned events) {
    q5__pg_conn *conn = Q5_CONTAINER_OF(watch, q5__pg_conn, watch);
    q5_pg_pool *pool = conn->pool;
    q5__pg_now(pool);
    if (conn->state == Q5__PG_CONNECTING)
        connecting(conn);
    else if (conn->state == Q5__PG_STARTUP)
        starting_up(conn);
    else
        ready(conn, events);
    q5__pg_tell_lost(pool);
    if (pool->waiting.first) pool->work = true;
}

/* ---- timers ---------------------------------------------------------------------------------- */

/* a: 0 stands for never. */
static q5_msec sooner(q5_msec a, q5_msec b) {
    return a && a < b ? a : b;
}

/* When the connection must be looked at; 0: never. */
static q5_msec ready_due(const q5__pg_conn *conn) {
    const q5_pg_config *config = &conn->pool->config;
    q5_msec due = 0;
    if (config->lifetime_msec && !conn->retiring) due = conn->born + conn->lifetime;
    if (q5__pg_flights(conn)) {
        q5_msec cancel_at = q5__pg_first(conn)->cancel_at;
        return cancel_at && !q5__pg_cancelling(conn) ? sooner(due, cancel_at) : due;
    }
    if (conn->retiring) return conn->pool->now;
    if (config->idle_msec) due = sooner(due, conn->idle_since + config->idle_msec);
    if (config->check_msec) due = sooner(due, conn->checked + config->check_msec);
    return due;
}

void q5__pg_arm(q5__pg_conn *conn) {
    q5_msec due = conn->state == Q5__PG_READY ? ready_due(conn) : conn->connect_due;
    if (due)
        q5_timer_start(&conn->pool->wheel, &conn->timer, due);
    else
        q5_timer_stop(&conn->pool->wheel, &conn->timer);
}

void q5__pg_idle(q5__pg_conn *conn, bool checked) {
    conn->checked = conn->pool->now;
    if (!checked) conn->idle_since = conn->pool->now;
    q5__pg_arm(conn);
}

/* The first flight's time may be up: cancel it, or give the connection up when it is a check that
 * nobody answers or a statement that does not obey. */
static void look_after_first(q5__pg_conn *conn) {
    q5__pg_flight *first = q5__pg_first(conn);
    bool due = first->cancel_at && first->cancel_at <= conn->pool->now;
    if (!due || q5__pg_cancelling(conn))
        q5__pg_arm(conn);
    else if (first->check || first->cancels == CANCELS_MAX)
        q5__pg_lose(conn);
    else
        q5__pg_cancel_start(conn);
}

static void look_after_idle(q5__pg_conn *conn) {
    const q5_pg_config *config = &conn->pool->config;
    q5_msec now = conn->pool->now;
    if (conn->retiring || (config->idle_msec && now >= conn->idle_since + config->idle_msec))
        shut(conn);
    else if (config->check_msec && now >= conn->checked + config->check_msec)
        q5__pg_send_check(conn);
    else
        q5__pg_arm(conn);
}

static void on_timer(q5_timer *timer, q5_msec now) {
    q5__pg_conn *conn = Q5_CONTAINER_OF(timer, q5__pg_conn, timer);
    if (conn->state != Q5__PG_READY) {
        fail(conn, "the server took too long to let us in");
        return;
    }
    if (conn->pool->config.lifetime_msec && now >= conn->born + conn->lifetime)
        conn->retiring = true;
    if (q5__pg_flights(conn))
        look_after_first(conn);
    else
        look_after_idle(conn);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void ignore_notice(void *ctx, const PGresult *result) {
    (void)ctx;
    (void)result;
}

void q5__pg_open(q5__pg_conn *conn) {
    q5_pg_pool *pool = conn->pool;
    const q5_pg_library *library = pool->library;
    conn->state = Q5__PG_CONNECTING;
    pool->stats.connecting++;
    conn->pg = library->connectStartParams(pool->config.keywords, pool->config.values, 1);
    if (!conn->pg) {
        fail(conn, "libpq is out of memory");
        return;
    }
    library->setNoticeReceiver(conn->pg, ignore_notice, NULL);
    if (library->status(conn->pg) == CONNECTION_BAD) {
        fail_as_libpq_says(conn);
        return;
    }
    conn->connect_due = pool->now + pool->config.connect_timeout_msec;
    conn->watch.fd = library->socket(conn->pg);
    q5__pg_watch(conn, Q5_POLL_WRITE);
    q5__pg_arm(conn);
}

int q5__pg_conn_init(q5__pg_conn *conn, q5_pg_pool *pool) {
    const q5_pg_config *config = &pool->config;
    /* Each send empties the list of the doomed, then dooms one for each that it prepares; in
     * between, no more than all can fail. */
    uint32_t doomed = config->prepared_max + config->queries_max;
    uint32_t commands = q5__pg_commands_max(config, doomed);
    /* A batch, and what closes statements before it. */
    uint32_t flights = q5__pg_power_of_two(config->in_flight_max + 2);
    conn->pool = pool;
    conn->watch.ready = on_event;
    conn->flights_mask = flights - 1;
    conn->commands_mask = commands - 1;
    q5_timer_init(&conn->timer, on_timer);
    conn->flights = q5_malloc(config->alloc, flights * sizeof(*conn->flights));
    conn->commands = q5_malloc(config->alloc, commands * sizeof(*conn->commands));
    int status = q5__pg_cache_init(&conn->cache, config->alloc, config->prepared_max, doomed);
    return conn->flights && conn->commands ? status : Q5_ENOMEM;
}

void q5__pg_conn_deinit(q5__pg_conn *conn) {
    if (!conn->pool) return; /* its turn had not come */
    const q5_alloc *alloc = conn->pool->config.alloc;
    shut(conn);
    q5__pg_cache_deinit(&conn->cache, alloc);
    q5_free(alloc, conn->flights);
    q5_free(alloc, conn->commands);
}
