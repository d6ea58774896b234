/* A pool on a real server, and calls that remember what became of them. The server is that of
 * DATABASE_URL, else 127.0.0.1:5432; libpq is Q5_TEST_LIBPQ, else the system's. */
#ifndef Q5_TEST_PG_RIG_H
#define Q5_TEST_PG_RIG_H

#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

#include "q5/pg.h"
#include "q5/pg_library.h"
#include "q5/server.h" /* the clock */
#include "q5test.h"

#define RIG_WAIT_MSEC 60000 /* nothing that is awaited takes so long */
#define RIG_QUERIES_MAX 4
#define RIG_SKIPPED 77

static struct rig_libpq {
    void *handle;
    q5_pg_library library;
    PGconn *(*connectdbParams)(const char *const *, const char *const *, int);
    PGresult *(*exec)(PGconn *, const char *);
    PGconn *admin; /* blocks: for what a test does behind the pool's back */
    char url[512];
} rig_libpq;

static const char *const rig_keywords[] = {"dbname", NULL};
static const char *rig_values[] = {rig_libpq.url, NULL};

static inline void rig_symbol(void *target, const char *name) {
    void *address = dlsym(rig_libpq.handle, name);
    memcpy(target, &address, sizeof(address));
}

/* 0, or RIG_SKIPPED after saying why. */
static inline int rig_begin(void) {
    const char *path = getenv("Q5_TEST_LIBPQ"), *url = getenv("DATABASE_URL");
    rig_libpq.handle = dlopen(path ? path : "libpq.so.5", RTLD_NOW);
    if (!rig_libpq.handle || q5_pg_library_load(&rig_libpq.library, rig_libpq.handle)) {
        printf("skipped: no libpq of version 14 or later is installed\n");
        return RIG_SKIPPED;
    }
    rig_symbol(&rig_libpq.connectdbParams, "PQconnectdbParams");
    rig_symbol(&rig_libpq.exec, "PQexec");
    snprintf(rig_libpq.url, sizeof(rig_libpq.url), "%s",
             url ? url : "host=127.0.0.1 port=5432 dbname=postgres connect_timeout=20");
    rig_libpq.admin = rig_libpq.connectdbParams(rig_keywords, rig_values, 1);
    if (rig_libpq.library.status(rig_libpq.admin) == CONNECTION_OK) return 0;
    printf("skipped: no PostgreSQL answers: %s", rig_libpq.library.errorMessage(rig_libpq.admin));
    rig_libpq.library.finish(rig_libpq.admin);
    return RIG_SKIPPED;
}

static inline int rig_end(int failures) {
    rig_libpq.library.finish(rig_libpq.admin);
    return failures;
}

/* On a connection of the test's own; asserts success. The first value as a number, or 0. */
static inline long rig_admin(const char *sql) {
    PGresult *result = rig_libpq.exec(rig_libpq.admin, sql);
    int status = (int)rig_libpq.library.resultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, rig_libpq.library.errorMessage(rig_libpq.admin));
    long value = rig_libpq.library.ntuples(result) > 0
                     ? strtol(rig_libpq.library.getvalue(result, 0, 0), NULL, 10)
                     : 0;
    rig_libpq.library.clear(result);
    return value;
}

/* ---- a pool ---------------------------------------------------------------------------------- */

typedef struct rig {
    q5_poller *poller;
    q5_pg_pool *pool;
    const q5_pg_stats *stats;
} rig;

static inline q5_pg_config rig_config(void) {
    q5_pg_config config = q5_pg_config_default();
    config.keywords = rig_keywords;
    config.values = rig_values;
    config.connections_max = 1;
    config.timeout_msec = RIG_WAIT_MSEC;
    config.slow_msec = RIG_WAIT_MSEC; /* a busy machine must not change who gets what */
    return config;
}

static inline void rig_init(rig *r, const q5_pg_config *config) {
    r->poller = q5_poller_create(NULL);
    assert_non_null(r->poller);
    r->pool = q5_pg_create(&rig_libpq.library, r->poller, config);
    assert_non_null(r->pool);
    r->stats = q5_pg_get_stats(r->pool);
}

static inline void rig_deinit(rig *r) {
    q5_pg_destroy(r->pool);
    q5_poller_destroy(r->poller);
}

/* One turn of the loop, which waits 50 ms at most. */
static inline void rig_turn(rig *r) {
    q5_pg_tick(r->pool);
    int timeout = q5_pg_timeout_msec(r->pool);
    assert_true(q5_poller_wait(r->poller, timeout < 0 || timeout > 50 ? 50 : timeout) >= 0);
    q5_poller_deliver(r->poller);
}

#define rig_until(r, condition)                                        \
    do {                                                               \
        q5_msec rig_due = q5_clock_msec() + RIG_WAIT_MSEC;             \
        while (!(condition)) {                                         \
            if (q5_clock_msec() > rig_due) fail_msg("%s", #condition); \
            rig_turn(r);                                               \
        }                                                              \
    } while (0)

/* ---- a call ---------------------------------------------------------------------------------- */

typedef struct call {
    q5_pg_batch batch;
    q5_pg_statement statements[RIG_QUERIES_MAX];
    q5_pg_query queries[RIG_QUERIES_MAX];
    q5_arena arena;
    int done, status;
    int results;
    long rows;
    long long value; /* first value of the last result with rows */
    int order;       /* of its end among all calls */
} call;

static int rig_order;

/* A binary integer. */
static inline long long rig_integer(const PGresult *result, int row, int column) {
    q5_slice wire = q5_pg_value(&rig_libpq.library, result, row, column);
    long long value = wire.len && (wire.base[0] & 0x80) ? -1 : 0;
    for (size_t i = 0; i < wire.len; i++)
        value = (long long)((unsigned long long)value << 8 | (unsigned char)wire.base[i]);
    return value;
}

static inline q5_pg_take call_result(q5_pg_batch *batch, unsigned index, struct pg_result *result,
                                     bool more) {
    call *c = batch->ctx;
    assert_int_equal(c->done, 0);
    if (!more) assert_int_equal(index, c->results++);
    int count = rig_libpq.library.ntuples(result);
    c->rows += count;
    if (count && rig_libpq.library.getlength(result, 0, 0) <= 8)
        c->value = rig_integer(result, 0, 0);
    return Q5_PG_CLEAR;
}

static inline void call_done(q5_pg_batch *batch, int status) {
    call *c = batch->ctx;
    c->done++;
    c->status = status;
    c->order = ++rig_order;
}

/* Without parameters; queries end with a NULL. Statements are the same when their text is. */
static inline void call_init(call *c, unsigned flags, const char *const *sql) {
    memset(c, 0, sizeof(*c));
    q5_arena_init(&c->arena, q5_alloc_default(), 65536);
    c->batch = (q5_pg_batch){.queries = c->queries,
                             .flags = (uint16_t)flags,
                             .arena = &c->arena,
                             .ctx = c,
                             .on_result = call_result,
                             .on_done = call_done};
    for (int i = 0; sql[i]; i++) {
        uint64_t id = 5381; /* Bernstein's hash: one id per text */
        for (const char *p = sql[i]; *p; p++)
            id = id * 33 + (unsigned char)*p;
        c->statements[i] = (q5_pg_statement){.id = id, .sql = sql[i]};
        c->queries[i] = (q5_pg_query){.statement = &c->statements[i]};
        c->batch.query_count++;
    }
}

#define call_sql(c, flags, ...) call_init(c, flags, (const char *const[]){__VA_ARGS__, NULL})

static inline void call_deinit(call *c) {
    q5_arena_deinit(&c->arena);
}

static inline void call_submit(rig *r, call *c) {
    assert_status(q5_pg_submit(r->pool, &c->batch), Q5_OK);
}

/* Submits and waits. */
static inline void call_run(rig *r, call *c) {
    call_submit(r, c);
    rig_until(r, c->done);
}

/* Runs one query without parameters; its value, or asserts. */
static inline long long rig_value(rig *r, const char *sql) {
    call c;
    call_sql(&c, 0, sql);
    call_run(r, &c);
    if (c.status)
        fail_msg("%s: %.*s", sql, (int)c.batch.error.message.len, c.batch.error.message.base);
    call_deinit(&c);
    return c.value;
}

/* The session of the pool's only connection. */
static inline long rig_pid(rig *r) {
    return (long)rig_value(r, "SELECT pg_backend_pid()");
}

#endif
