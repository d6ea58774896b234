/* A batch becomes commands in libpq's buffer, which q5_pg_tick flushes (libpq before 17 writes at
 * each sync by itself). */
#include <stdio.h>

#include "io/pg_internal.h"

#define BINARY 1

/* Of one batch: a Parse and an execution each; begin, sync, commit, end. */
static uint32_t commands_of(uint32_t queries) {
    return 2 * queries + 4;
}

/* What closes statements before it: a close and a sync for each. */
static uint32_t housekeeping(uint32_t doomed) {
    return 2 * doomed;
}

uint32_t q5__pg_commands_max(const q5_pg_config *config, uint32_t doomed_max) {
    uint32_t largest = commands_of(config->queries_max) + housekeeping(doomed_max);
    return q5__pg_power_of_two(largest + commands_of(1) * config->in_flight_max);
}

bool q5__pg_has_room(const q5__pg_conn *conn, uint32_t queries) {
    uint32_t used = conn->command_end - conn->command_first;
    uint32_t need = commands_of(queries) + housekeeping(conn->cache.doomed_count);
    return q5__pg_flights(conn) < conn->pool->config.in_flight_max &&
           conn->commands_mask + 1 - used >= need;
}

/* ---- commands -------------------------------------------------------------------------------- */

static void push(q5__pg_conn *conn, q5__pg_command command) {
    conn->commands[conn->command_end++ & conn->commands_mask] = command;
}

static bool sync_with(q5__pg_conn *conn, q5__pg_kind kind) {
    const q5_pg_library *library = conn->pool->library;
    push(conn, (q5__pg_command){.kind = kind});
    return library->sendPipelineSync ? library->sendPipelineSync(conn->pg)
                                     : library->pipelineSync(conn->pg);
}

static bool plain(q5__pg_conn *conn, q5__pg_kind kind, const char *sql) {
    push(conn, (q5__pg_command){.kind = kind});
    return conn->pool->library->sendQueryParams(conn->pg, sql, 0, NULL, NULL, NULL, NULL, BINARY);
}

static q5__pg_flight *begin_flight(q5__pg_conn *conn, q5_pg_batch *batch) {
    q5__pg_flight *flight = q5__pg_flight_at(conn, conn->flight_end++);
    *flight = (q5__pg_flight){.batch = batch, .since = conn->pool->now};
    conn->unflushed = true;
    return flight;
}

static bool close_statement(q5__pg_conn *conn, uint32_t serial) {
    const q5_pg_library *library = conn->pool->library;
    char name[16], sql[32];
    q5__pg_name(serial, name);
    if (library->sendClosePrepared) {
        push(conn, (q5__pg_command){.kind = Q5__PG_CLOSE});
        return library->sendClosePrepared(conn->pg, name);
    }
    snprintf(sql, sizeof(sql), "DEALLOCATE %s", name);
    return plain(conn, Q5__PG_CLOSE, sql);
}

/* Each with a sync of its own: DEALLOCATE fails for a statement whose Parse was skipped. */
static bool close_doomed(q5__pg_conn *conn) {
    q5__pg_cache *cache = &conn->cache;
    uint32_t count = cache->doomed_count;
    if (count == 0) return true;
    cache->doomed_count = 0;
    begin_flight(conn, NULL);
    for (uint32_t i = 0; i < count; i++)
        if (!close_statement(conn, cache->doomed[i]) ||
            !sync_with(conn, i + 1 < count ? Q5__PG_SYNC : Q5__PG_END))
            return false;
    return true;
}

void q5__pg_send_check(q5__pg_conn *conn) {
    q5__pg_flight *flight = begin_flight(conn, NULL);
    flight->check = true;
    flight->cancel_at = conn->pool->now + conn->pool->config.connect_timeout_msec;
    q5__pg_arm(conn);
    if (!sync_with(conn, Q5__PG_END)) q5__pg_lose(conn);
}

/* ---- a batch --------------------------------------------------------------------------------- */

/* Is the statement to be prepared, or prepared for sure? A batch that changes something must not
 * rely on another's Parse, which may yet be skipped for an error before it: then only the first
 * query could be repeated without doubt. */
static bool named(const q5_pg_batch *batch, const q5_pg_query *query,
                  const q5__pg_prepared *entry) {
    if (query->flags & Q5_PG_UNPREPARED) return false;
    if (!entry || entry->confirmed || entry->flight == batch->flight) return true;
    return batch->flags & (Q5_PG_READ_ONLY | Q5_PG_SNAPSHOT);
}

static bool prepare(q5__pg_conn *conn, q5_pg_batch *batch, unsigned index) {
    const q5_pg_statement *statement = batch->queries[index].statement;
    bool evicted;
    q5__pg_prepared *entry = q5__pg_cache_insert(&conn->cache, statement, &evicted);
    entry->flight = batch->flight;
    conn->pool->stats.prepares++;
    conn->pool->stats.evictions += evicted;
    push(conn, (q5__pg_command){.kind = Q5__PG_PREPARE,
                                .query = (uint16_t)index,
                                .entry = (uint32_t)(entry - conn->cache.entries),
                                .serial = entry->serial});
    return conn->pool->library->sendPrepare(conn->pg, entry->name, statement->sql,
                                            statement->param_count, statement->param_types);
}

/* First those that are there become the most recently used, then the others may evict. */
static bool prepare_all(q5__pg_conn *conn, q5_pg_batch *batch) {
    for (unsigned i = batch->delivered; i < batch->query_count; i++)
        q5__pg_cache_find(&conn->cache, batch->queries[i].statement);
    for (unsigned i = batch->delivered; i < batch->query_count; i++) {
        const q5_pg_query *query = &batch->queries[i];
        if (query->flags & Q5_PG_UNPREPARED) continue;
        if (!q5__pg_cache_find(&conn->cache, query->statement) && !prepare(conn, batch, i))
            return false;
    }
    return true;
}

static bool run(q5__pg_conn *conn, const q5_pg_batch *batch, unsigned index) {
    const q5_pg_library *library = conn->pool->library;
    const q5_pg_query *query = &batch->queries[index];
    const q5_pg_statement *statement = query->statement;
    q5__pg_prepared *entry = q5__pg_cache_find(&conn->cache, statement);
    q5__pg_command command = {
        .kind = Q5__PG_QUERY, .stream = query->flags & Q5_PG_STREAM, .query = (uint16_t)index};
    conn->pool->stats.queries++;
    if (!entry || !named(batch, query, entry)) {
        push(conn, command);
        return library->sendQueryParams(conn->pg, statement->sql, statement->param_count,
                                        statement->param_types, query->values, query->lengths,
                                        query->formats, BINARY);
    }
    command.entry = (uint32_t)(entry - conn->cache.entries);
    command.serial = entry->serial;
    push(conn, command);
    return library->sendQueryPrepared(conn->pg, entry->name, statement->param_count, query->values,
                                      query->lengths, query->formats, BINARY);
}

static bool send_batch(q5__pg_conn *conn, q5_pg_batch *batch) {
    bool snapshot = batch->flags & Q5_PG_SNAPSHOT;
    /* Before any Parse, which would take a snapshot already. */
    if (snapshot &&
        !plain(conn, Q5__PG_BEGIN, "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        return false;
    if (!prepare_all(conn, batch)) return false;
    for (unsigned i = batch->delivered; i < batch->query_count; i++)
        if (!run(conn, batch, i)) return false;
    /* After an error the server skips all up to the sync: the transaction is ended behind it. */
    if (snapshot && (!sync_with(conn, Q5__PG_SYNC) || !plain(conn, Q5__PG_COMMIT, "COMMIT")))
        return false;
    return sync_with(conn, Q5__PG_END);
}

void q5__pg_send(q5__pg_conn *conn, q5_pg_batch *batch) {
    bool good = close_doomed(conn);
    q5__pg_flight *flight = begin_flight(conn, batch);
    batch->conn = conn;
    batch->flight = conn->flight_end - 1;
    q5__pg_set_error_text(batch, NULL);
    conn->pool->stats.in_flight++;
    for (unsigned i = batch->delivered; i < batch->query_count; i++)
        flight->stream |= batch->queries[i].flags & Q5_PG_STREAM;
    if (flight->stream) conn->pool->streams++;
    if (!good || !send_batch(conn, batch)) q5__pg_lose(conn);
}
