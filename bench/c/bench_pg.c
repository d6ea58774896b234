/* Queries per second and this process's CPU per query: a loop of PQexecPrepared, and the pool on
 * one connection with 1, 16 and 64 batches in flight. Ten rows of three columns, which nobody
 * reads.
 *
 *   bench_pg CONNECTION_STRING [LIBPQ [SECONDS [IN_FLIGHT]]]      the last: the pool alone
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "q5/pg.h"
#include "q5/pg_library.h"
#include "q5/server.h" /* the clock */

#define SQL "SELECT g, g * $1::int8, 'São Paulo' FROM generate_series(1, 10) g"
#define BATCHES_MAX 64
#define BINARY 1

static q5_pg_library pq;
static const char wire[8] = {0, 0, 0, 0, 0, 0, 0, 7};
static const char *const values[] = {wire};
static const int lengths[] = {sizeof(wire)}, formats[] = {BINARY};

static uint64_t cpu_usec(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void report(const char *name, uint64_t queries, q5_msec msec, uint64_t cpu) {
    printf("%-24s %8.0f queries/s %8.2f us of CPU per query\n", name,
           (double)queries * 1000 / (double)msec, (double)cpu / (double)queries);
}

/* ---- one at a time --------------------------------------------------------------------------- */

typedef PGresult *exec_prepared(PGconn *, const char *, int, const char *const *, const int *,
                                const int *, int);
typedef PGresult *prepare(PGconn *, const char *, const char *, int, const Oid *);
typedef PGconn *connect_params(const char *const *, const char *const *, int);

static void *symbol(void *handle, const char *name) {
    void *address = dlsym(handle, name);
    if (!address) exit(2);
    return address;
}

static int loop(void *handle, const char *const *keywords, const char *const *texts,
                q5_msec duration) {
    connect_params *connect_to = (connect_params *)symbol(handle, "PQconnectdbParams");
    exec_prepared *exec = (exec_prepared *)symbol(handle, "PQexecPrepared");
    prepare *prepare_one = (prepare *)symbol(handle, "PQprepare");
    PGconn *pg = connect_to(keywords, texts, 1);
    if (pq.status(pg) != CONNECTION_OK) {
        fprintf(stderr, "%s", pq.errorMessage(pg));
        return 1;
    }
    pq.clear(prepare_one(pg, "s", SQL, 1, NULL));
    uint64_t queries = 0, cpu = cpu_usec();
    q5_msec start = q5_clock_msec(), now = start;
    for (; now < start + duration; now = q5_clock_msec(), queries++) {
        PGresult *result = exec(pg, "s", 1, values, lengths, formats, BINARY);
        if (pq.ntuples(result) != 10) return 1;
        pq.clear(result);
    }
    report("PQexecPrepared", queries, now - start, cpu_usec() - cpu);
    pq.finish(pg);
    return 0;
}

/* ---- the pool -------------------------------------------------------------------------------- */

typedef struct run {
    q5_pg_pool *pool;
    uint64_t done;
    bool failed;
} run;

static q5_pg_take on_result(q5_pg_batch *batch, unsigned index, struct pg_result *result,
                            bool more) {
    (void)index;
    (void)more;
    run *r = batch->ctx;
    if (pq.ntuples(result) != 10) r->failed = true;
    return Q5_PG_CLEAR;
}

static void on_done(q5_pg_batch *batch, int status) {
    run *r = batch->ctx;
    r->done++;
    if (status || q5_pg_submit(r->pool, batch)) r->failed = true;
}

static void turn(run *r, q5_poller *poller) {
    q5_pg_tick(r->pool);
    q5_poller_wait(poller, q5_pg_timeout_msec(r->pool));
    q5_poller_deliver(poller);
}

static int pool(const q5_pg_config *config, unsigned in_flight, q5_msec duration) {
    static const q5_pg_statement statement = {.id = 1, .param_count = 1, .sql = SQL};
    static const q5_pg_query query = {&statement, values, lengths, formats, 0};
    static q5_pg_batch batches[BATCHES_MAX];
    q5_poller *poller = q5_poller_create(NULL);
    run r = {.pool = q5_pg_create(&pq, poller, config)};
    for (unsigned i = 0; i < in_flight; i++) {
        batches[i] = (q5_pg_batch){.queries = &query,
                                   .query_count = 1,
                                   .flags = Q5_PG_READ_ONLY,
                                   .ctx = &r,
                                   .on_result = on_result,
                                   .on_done = on_done};
        q5_pg_submit(r.pool, &batches[i]);
    }
    while (r.done < 1000 && !r.failed)
        turn(&r, poller);
    uint64_t before = r.done, cpu = cpu_usec();
    q5_msec start = q5_clock_msec(), now = start;
    for (; now < start + duration && !r.failed; now = q5_clock_msec())
        turn(&r, poller);
    char name[40];
    snprintf(name, sizeof(name), "pool, %u in flight", in_flight);
    report(name, r.done - before, now - start, cpu_usec() - cpu);
    bool failed = r.failed;
    for (unsigned i = 0; i < in_flight; i++)
        q5_pg_cancel(&batches[i]);
    q5_pg_destroy(r.pool);
    q5_poller_destroy(poller);
    return failed;
}

int main(int argc, char **argv) {
    static const unsigned in_flight[] = {1, 16, BATCHES_MAX};
    if (argc < 2) return 2;
    void *handle = dlopen(argc > 2 ? argv[2] : "libpq.so.5", RTLD_NOW);
    q5_msec duration = (q5_msec)(argc > 3 ? atoi(argv[3]) : 3) * 1000;
    if (!handle || q5_pg_library_load(&pq, handle)) return 2;
    const char *const keywords[] = {"dbname", NULL};
    const char *const texts[] = {argv[1], NULL};
    q5_pg_config config = q5_pg_config_default();
    config.keywords = keywords;
    config.values = texts;
    config.connections_max = 1;
    printf("libpq %d\n", pq.libVersion());
    if (argc > 4) {
        unsigned count = (unsigned)atoi(argv[4]);
        return pool(&config, count < BATCHES_MAX ? count : BATCHES_MAX, duration);
    }
    int failed = loop(handle, keywords, texts, duration);
    for (size_t i = 0; i < Q5_ARRAY_LEN(in_flight) && !failed; i++)
        failed = pool(&config, in_flight[i], duration);
    return failed;
}
