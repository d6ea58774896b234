/* Results become callbacks; what ends how. */
#include "io/pg_internal.h"

#define TUPLES_CHUNK 12       /* PGRES_TUPLES_CHUNK of libpq 17, which an older header lacks */
#define RESULTS_PER_TURN 1024 /* of one connection, then others have their turn */

static q5__pg_command *first_command(const q5__pg_conn *conn) {
    return &conn->commands[conn->command_first & conn->commands_mask];
}

/* ---- handing out ----------------------------------------------------------------------------- */

/* The batch may be gone afterwards. Takes the result. */
static void hand_out(q5__pg_conn *conn, unsigned query, PGresult *result, bool more) {
    const q5_pg_library *library = conn->pool->library;
    q5_pg_batch *batch = q5__pg_first(conn)->batch;
    if (!batch) {
        library->clear(result);
        return;
    }
    batch->partial = more;
    if (!more) batch->delivered = (uint16_t)(query + 1);
    if (batch->on_result(batch, query, result, more) == Q5_PG_CLEAR) library->clear(result);
}

/* Has a statement of the batch's own begun a transaction? libpq tells the state of transactions
 * only when nothing is in flight. */
static bool begins(const q5_pg_library *library, PGresult *result) {
    if (library->resultStatus(result) != PGRES_COMMAND_OK) return false;
    const char *tag = library->cmdStatus(result);
    return strcmp(tag, "BEGIN") == 0 || strcmp(tag, "START TRANSACTION") == 0;
}

static void succeeded(q5__pg_conn *conn, const q5__pg_command *command, PGresult *result) {
    q5_pg_batch *batch = q5__pg_first(conn)->batch;
    if (command->kind == Q5__PG_PREPARE) {
        q5__pg_prepared *entry = q5__pg_cache_get(&conn->cache, command->entry, command->serial);
        if (entry) entry->confirmed = true;
    } else if (command->kind == Q5__PG_QUERY) {
        if (begins(conn->pool->library, result)) q5__pg_first(conn)->left_open = true;
        if (batch && batch->held)
            batch->held[command->query] = result;
        else
            hand_out(conn, command->query, result, false);
        return;
    }
    conn->pool->library->clear(result);
}

static void hand_out_held(q5__pg_conn *conn) {
    for (unsigned i = 0;; i++) {
        q5_pg_batch *batch = q5__pg_first(conn)->batch;
        if (!batch || !batch->held || i >= batch->query_count) return;
        PGresult *result = batch->held[i];
        batch->held[i] = NULL;
        hand_out(conn, i, result, false);
    }
}

/* ---- errors ---------------------------------------------------------------------------------- */

static bool field_is(const q5_pg_library *library, const PGresult *result, int field,
                     const char *text) {
    const char *value = library->resultErrorField(result, field);
    return value && strcmp(value, text) == 0;
}

/* The server does not have the statement (any more). */
static bool is_missing(const q5_pg_library *library, const PGresult *result) {
    return field_is(library, result, PG_DIAG_SQLSTATE, "26000");
}

/* It was prepared for columns that have changed since: "cached plan must not change result type",
 * told by the function that says so, since the text is translated. */
static bool is_outdated(const q5_pg_library *library, const PGresult *result) {
    return field_is(library, result, PG_DIAG_SQLSTATE, "0A000") &&
           field_is(library, result, PG_DIAG_SOURCE_FUNCTION, "RevalidateCachedQuery");
}

/* A request to cancel another batch may have met this one. */
static bool is_stray_cancel(const q5__pg_conn *conn, const PGresult *result) {
    return (int32_t)(conn->at_risk - conn->flight_first) > 0 && !q5__pg_first(conn)->cancels &&
           field_is(conn->pool->library, result, PG_DIAG_SQLSTATE, "57014");
}

static void forget(q5__pg_conn *conn, const q5__pg_command *command, bool doom) {
    q5__pg_prepared *entry = q5__pg_cache_get(&conn->cache, command->entry, command->serial);
    if (entry) q5__pg_cache_remove(&conn->cache, entry, doom);
}

/* What befell one statement has likely befallen the batch's others: one more run has to do. */
static void forget_others(q5__pg_conn *conn, const q5_pg_batch *batch) {
    for (unsigned i = 0; i < batch->query_count; i++) {
        q5__pg_prepared *entry = q5__pg_cache_find(&conn->cache, batch->queries[i].statement);
        if (entry && entry->confirmed) q5__pg_cache_remove(&conn->cache, entry, true);
    }
}

static void failed(q5__pg_conn *conn, const q5__pg_command *command, const PGresult *result) {
    const q5_pg_library *library = conn->pool->library;
    q5__pg_flight *flight = q5__pg_first(conn);
    q5_pg_batch *batch = flight->batch;
    if (command->kind == Q5__PG_CLOSE || command->kind == Q5__PG_COMMIT || flight->failed) return;
    flight->failed = true;
    bool named = command->kind == Q5__PG_QUERY && command->serial;
    bool missing = named && is_missing(library, result);
    bool outdated = named && is_outdated(library, result);
    if (command->kind == Q5__PG_PREPARE || missing || outdated) forget(conn, command, outdated);
    if (!batch) return;
    bool of_query = command->kind == Q5__PG_QUERY || command->kind == Q5__PG_PREPARE;
    q5__pg_set_error(batch, result, of_query ? command->query : -1);
    flight->again = is_stray_cancel(conn, result);
    if (!missing && !outdated) return;
    forget_others(conn, batch);
    flight->again = !batch->retried;
    batch->retried = true;
}

/* The server has skipped it. */
static void skipped(q5__pg_conn *conn, const q5__pg_command *command) {
    if (command->kind == Q5__PG_PREPARE) forget(conn, command, false);
}

/* ---- ends ------------------------------------------------------------------------------------ */

/* An error undoes the whole batch (its transaction is implicit, or reads only). So one that failed
 * at its first query, of which nothing was handed out, can be run again even if it changes
 * something. */
static bool runs_again(const q5__pg_flight *flight) {
    const q5_pg_batch *batch = flight->batch;
    if (!flight->again) return false;
    return q5__pg_repeatable(batch) ||
           (batch->error.query == 0 && batch->delivered == 0 && !batch->partial);
}

static void run_again(q5_pg_pool *pool, q5_pg_batch *batch) {
    batch->conn = NULL;
    pool->stats.in_flight--;
    q5__pg_drop_held(batch);
    q5__pg_requeue(pool, batch);
}

static void next_flight(q5__pg_conn *conn, bool checked) {
    conn->flight_first++;
    if (q5__pg_flights(conn) == 0) {
        q5__pg_idle(conn, checked);
        return;
    }
    q5__pg_flight *first = q5__pg_first(conn);
    first->since = conn->pool->now;
    if (first->cancel_at) q5__pg_arm(conn);
}

/* False: the connection is no use any more. */
static bool end_flight(q5__pg_conn *conn) {
    q5_pg_pool *pool = conn->pool;
    if (!q5__pg_first(conn)->failed) hand_out_held(conn);
    q5__pg_flight flight = *q5__pg_first(conn);
    if (flight.stream) pool->streams--;
    conn->paused = false;
    if (!conn->proven) {
        conn->proven = true;
        pool->backoff_msec = 0;
    }
    if (flight.batch && runs_again(&flight)) {
        run_again(pool, flight.batch);
        flight.batch = NULL;
    }
    if (flight.batch) q5__pg_finish(flight.batch, flight.failed ? Q5_ESQL : Q5_OK);
    next_flight(conn, flight.check);
    /* Others must not come into a transaction that the batch has left open. */
    PGTransactionStatusType open = pool->library->transactionStatus(conn->pg);
    return !flight.left_open && open != PQTRANS_INTRANS && open != PQTRANS_INERROR;
}

/* ---- results --------------------------------------------------------------------------------- */

/* Tells libpq to hand out the rows of the first command in chunks. */
static void begin_stream(q5__pg_conn *conn, q5__pg_command *command) {
    const q5_pg_library *library = conn->pool->library;
    command->stream = false;
    if (library->setChunkedRowsMode)
        library->setChunkedRowsMode(conn->pg, (int)conn->pool->config.chunk_rows);
    else
        library->setSingleRowMode(conn->pg);
}

/* The end of a command's results; a sync has none, unless an error came in its place. */
static bool on_null(q5__pg_conn *conn, const q5__pg_command *command) {
    if (command->kind == Q5__PG_SYNC || command->kind == Q5__PG_END)
        return conn->pool->library->status(conn->pg) == CONNECTION_OK;
    conn->command_first++;
    return true;
}

/* Takes the result. False: the connection is no use any more. */
static bool on_result(q5__pg_conn *conn, PGresult *result) {
    const q5_pg_library *library = conn->pool->library;
    q5__pg_command command = *first_command(conn);
    switch ((int)library->resultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        library->clear(result);
        conn->command_first++;
        return command.kind == Q5__PG_SYNC || (command.kind == Q5__PG_END && end_flight(conn));
    case PGRES_SINGLE_TUPLE:
    case TUPLES_CHUNK:
        hand_out(conn, command.query, result, true);
        return true;
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
        succeeded(conn, &command, result);
        return true;
    case PGRES_PIPELINE_ABORTED:
        library->clear(result);
        skipped(conn, &command);
        return true;
    case PGRES_FATAL_ERROR:
        failed(conn, &command, result);
        library->clear(result);
        return true;
    default: /* COPY, which a pipeline cannot carry, now or in another run */
        library->clear(result);
        if (q5__pg_first(conn)->batch) q5__pg_first(conn)->batch->retried = true;
        return false;
    }
}

void q5__pg_receive(q5__pg_conn *conn) {
    const q5_pg_library *library = conn->pool->library;
    conn->stale = false;
    if (conn->events == 0) q5__pg_watch(conn, Q5_POLL_READ); /* it was paused */
    for (int left = RESULTS_PER_TURN; conn->state == Q5__PG_READY && !conn->paused; left--) {
        if (conn->command_first == conn->command_end) {
            library->isBusy(conn->pg); /* notices and parameters have their place here too */
            return;
        }
        q5__pg_command *command = first_command(conn);
        if (command->stream) begin_stream(conn, command);
        if (library->isBusy(conn->pg)) return;
        if (left == 0) {
            conn->stale = conn->pool->work = true;
            return;
        }
        PGresult *result = library->getResult(conn->pg);
        bool good = result ? on_result(conn, result) : on_null(conn, command);
        if (!good) q5__pg_lose(conn);
    }
}
