/* The limit for rows as JSON: an HTTP server around libpq's pipeline mode and nothing else. Rows
 * come as text, which the server has formatted, so that a value costs a copy; what a limit may
 * leave out is left out (deadlines, reconnecting, other statements).
 *
 *   pg_rows HOST PORT CONNECTION_STRING [CONNECTIONS [LIBPQ]]
 *   curl 'http://127.0.0.1:8000/cities?country=7'    /city/<int>  /cities?country=  /city-names?..
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "q5/json_write.h"
#include "q5/pg_library.h"
#include "q5/server.h"

#define CONNECTIONS_MAX 64
#define IN_FLIGHT_MAX 1024 /* a power of two; per connection, then 503 */
#define TEXT 0

#define COLUMNS                                                                                \
    "id, name, country_id, population, latitude, longitude, area, founded, updated, capital, " \
    "code, motto"

typedef enum format { BARE, QUOTED, ESCAPED, TIMESTAMP, BOOLEAN } format;

typedef struct column {
    const char *key; /* with what stands before the value */
    format format;
} column;

static const column full[] = {
    {"{\"id\":", BARE},         {",\"name\":", ESCAPED},   {",\"country_id\":", BARE},
    {",\"population\":", BARE}, {",\"latitude\":", BARE},  {",\"longitude\":", BARE},
    {",\"area\":", QUOTED},     {",\"founded\":", QUOTED}, {",\"updated\":", TIMESTAMP},
    {",\"capital\":", BOOLEAN}, {",\"code\":", QUOTED},    {",\"motto\":", ESCAPED},
};
static const column mini[] = {{"{\"id\":", BARE}, {",\"name\":", ESCAPED}};

typedef struct statement {
    const char *name, *sql;
    const column *columns;
    int count;
    bool many;
} statement;

static const statement one = {"one", "SELECT " COLUMNS " FROM city WHERE id = $1", full,
                              Q5_ARRAY_LEN(full), false};
static const statement full10 = {
    "full10", "SELECT " COLUMNS " FROM city WHERE country_id = $1 ORDER BY id LIMIT 10", full,
    Q5_ARRAY_LEN(full), true};
static const statement mini10 = {
    "mini10", "SELECT id, name FROM city WHERE country_id = $1 ORDER BY id LIMIT 10", mini,
    Q5_ARRAY_LEN(mini), true};
static const statement *const statements[] = {&one, &full10, &mini10};

typedef struct lane {
    q5_watch watch;
    PGconn *pg;
    q5_exchange *waiting[IN_FLIGHT_MAX]; /* a reference each */
    unsigned first, end;
    bool unflushed;
} lane;

static q5_pg_library pq;
static lane lanes[CONNECTIONS_MAX];
static unsigned lane_count, turn;
static q5_buf out;

/* ---- rows to JSON ---------------------------------------------------------------------------- */

static void add(const char *text, size_t len) {
    memcpy(out.base + out.len, text, len);
    out.len += len;
}

/* 2024-01-07 23:59:53+00 */
static void add_timestamp(const char *text, size_t len) {
    add("\"", 1);
    add(text, 10);
    add("T", 1);
    add(text + 11, len - 14);
    add("Z\"", 2);
}

static int add_value(const column *col, const PGresult *result, int row, int index) {
    q5_slice value = q5_pg_value(&pq, result, row, index);
    size_t key = strlen(col->key);
    if (q5_buf_reserve(&out, key + value.len + 8)) return Q5_ENOMEM;
    add(col->key, key);
    if (!value.base) {
        add("null", 4);
    } else if (col->format == ESCAPED) {
        return q5_json_write_string(&out, value);
    } else if (col->format == TIMESTAMP) {
        add_timestamp(value.base, value.len);
    } else if (col->format == BOOLEAN) {
        bool yes = value.base[0] == 't';
        add(yes ? "true" : "false", yes ? 4 : 5);
    } else {
        if (col->format == QUOTED) add("\"", 1);
        add(value.base, value.len);
        if (col->format == QUOTED) add("\"", 1);
    }
    return Q5_OK;
}

static int add_rows(const statement *s, const PGresult *result) {
    int rows = pq.ntuples(result);
    out.len = 0;
    if (s->many && q5_buf_append(&out, "[", 1)) return Q5_ENOMEM;
    for (int row = 0; row < rows; row++) {
        if (row && q5_buf_append(&out, ",", 1)) return Q5_ENOMEM;
        for (int i = 0; i < s->count; i++)
            if (add_value(&s->columns[i], result, row, i)) return Q5_ENOMEM;
        if (q5_buf_append(&out, "}", 1)) return Q5_ENOMEM;
    }
    return s->many ? q5_buf_append(&out, "]", 1) : Q5_OK;
}

/* ---- libpq ----------------------------------------------------------------------------------- */

static void answer(q5_exchange *x, const PGresult *result) {
    const statement *s = x->user;
    if (pq.resultStatus(result) != PGRES_TUPLES_OK || add_rows(s, result)) {
        q5_response_problem(x, 500, q5_slice_make(NULL, 0));
        return;
    }
    q5_response_start(x, 200);
    q5_response_lines(x, Q5_LIT("Content-Type: application/json\r\n"));
    q5_response_send(x, q5_buf_slice(&out), NULL, NULL);
}

static void on_readable(q5_watch *watch, unsigned events) {
    (void)events;
    lane *l = Q5_CONTAINER_OF(watch, lane, watch);
    if (!pq.consumeInput(l->pg)) {
        fprintf(stderr, "%s", pq.errorMessage(l->pg));
        exit(1);
    }
    while (l->first != l->end && !pq.isBusy(l->pg)) {
        PGresult *result = pq.getResult(l->pg);
        if (!result) continue;
        if (pq.resultStatus(result) == PGRES_PIPELINE_SYNC) {
            q5_exchange_unref(l->waiting[l->first++ % IN_FLIGHT_MAX]);
        } else {
            answer(l->waiting[l->first % IN_FLIGHT_MAX], result);
        }
        pq.clear(result);
    }
}

static void query(q5_exchange *x, const statement *s, const char *value) {
    lane *l = &lanes[turn++ % lane_count];
    const char *values[] = {value};
    int sent = l->end - l->first < IN_FLIGHT_MAX &&
               pq.sendQueryPrepared(l->pg, s->name, 1, values, NULL, NULL, TEXT) &&
               (pq.sendPipelineSync ? pq.sendPipelineSync(l->pg) : pq.pipelineSync(l->pg));
    if (!sent) {
        q5_response_problem(x, 503, q5_slice_make(NULL, 0));
        return;
    }
    x->user = (void *)s;
    l->waiting[l->end++ % IN_FLIGHT_MAX] = q5_exchange_ref(x);
    l->unflushed = true;
}

/* What the kernel does not take is left to the next turn: requests are short. */
static void flush_lanes(void) {
    for (unsigned i = 0; i < lane_count; i++)
        if (lanes[i].unflushed) lanes[i].unflushed = pq.flush(lanes[i].pg) > 0;
}

/* The functions that wait, which a server's loop has no use for otherwise. */
static PGresult *wait_for(PGconn *pg, int sent) {
    PGresult *result = sent ? pq.getResult(pg) : NULL;
    PGresult *rest = sent ? pq.getResult(pg) : NULL;
    pq.clear(rest);
    return result;
}

static bool prepare(PGconn *pg) {
    for (size_t i = 0; i < Q5_ARRAY_LEN(statements); i++) {
        const statement *s = statements[i];
        PGresult *result = wait_for(pg, pq.sendPrepare(pg, s->name, s->sql, 1, NULL));
        bool good = result && pq.resultStatus(result) == PGRES_COMMAND_OK;
        pq.clear(result);
        if (!good) return false;
    }
    return true;
}

static bool connect_to(lane *l, const char *connection) {
    const char *const keywords[] = {"dbname", "options", NULL};
    const char *const values[] = {connection, "-c TimeZone=UTC", NULL};
    l->pg = pq.connectStartParams(keywords, values, 1);
    PostgresPollingStatusType step = PGRES_POLLING_WRITING;
    while (step != PGRES_POLLING_OK && step != PGRES_POLLING_FAILED)
        step = pq.connectPoll(l->pg);
    if (step == PGRES_POLLING_OK && prepare(l->pg) && !pq.setnonblocking(l->pg, 1) &&
        pq.enterPipelineMode(l->pg))
        return true;
    fprintf(stderr, "%s", pq.errorMessage(l->pg));
    return false;
}

/* ---- HTTP ------------------------------------------------------------------------------------ */

typedef struct route {
    const char *pattern;
    const statement *statement;
} route;

static const route routes[] = {
    {"/city/<int:id>", &one}, {"/cities", &full10}, {"/city-names", &mini10}};

static void on_head(void *router, q5_exchange *x) {
    int status = q5_router_match(router, x->head.method_id, x->head.path, &x->match);
    if (status) q5_response_problem(x, q5_status_http(status), q5_slice_make(NULL, 0));
}

/* country=7, or the path's number. */
static void on_request(void *router, q5_exchange *x) {
    (void)router;
    const route *r = x->match.route;
    char value[24] = "";
    q5_slice text = x->head.query;
    if (r->statement->many) {
        static const char name[] = "country=";
        if (text.len < sizeof(name) || memcmp(text.base, name, sizeof(name) - 1)) text.len = 0;
        if (text.len)
            text = q5_slice_make(text.base + sizeof(name) - 1, text.len - sizeof(name) + 1);
    } else {
        text = x->match.params[0].value;
    }
    if (text.len == 0 || text.len >= sizeof(value)) {
        q5_response_problem(x, 422, q5_slice_make(NULL, 0));
        return;
    }
    memcpy(value, text.base, text.len);
    query(x, r->statement, value);
}

static void ignore(void *ctx, q5_exchange *x) {
    (void)ctx;
    (void)x;
}

static void ignore_gone(void *ctx, q5_exchange *x, q5_gone why) {
    (void)why;
    ignore(ctx, x);
}

static volatile sig_atomic_t stopping;

static void on_signal(int number) {
    (void)number;
    stopping = 1;
}

static void serve(q5_poller *poller, q5_server *server) {
    while (!stopping) {
        flush_lanes();
        q5_server_tick(server);
        if (q5_poller_wait(poller, q5_server_timeout_msec(server)) < 0) return;
        q5_server_refresh(server);
        q5_poller_deliver(poller);
    }
}

static bool open_lanes(q5_poller *poller, const char *connection, unsigned count) {
    lane_count = count;
    for (unsigned i = 0; i < count; i++) {
        lane *l = &lanes[i];
        if (!connect_to(l, connection)) return false;
        l->watch = (q5_watch){pq.socket(l->pg), on_readable};
        if (q5_poller_add(poller, &l->watch, Q5_POLL_READ)) return false;
    }
    return true;
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    unsigned count = argc > 4 ? (unsigned)atoi(argv[4]) : 4;
    void *handle = dlopen(argc > 5 ? argv[5] : "libpq.so.5", RTLD_NOW);
    if (!handle || q5_pg_library_load(&pq, handle) || !count || count > CONNECTIONS_MAX) return 2;
    q5_buf_init(&out, q5_alloc_default());
    q5_poller *poller = q5_poller_create(NULL);
    q5_router *router = q5_router_create(NULL);
    if (!poller || !router || !open_lanes(poller, argv[3], count)) return 1;
    for (size_t i = 0; i < Q5_ARRAY_LEN(routes); i++) {
        q5_slice pattern = q5_slice_make(routes[i].pattern, strlen(routes[i].pattern));
        if (q5_router_add(router, Q5_METHOD_GET, pattern, (void *)&routes[i], NULL)) return 1;
    }
    int fd;
    if (q5_listen_tcp(argv[1], (uint16_t)atoi(argv[2]), 1024, false, &fd)) return 1;
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    q5_app app = {.ctx = router,
                  .on_head = on_head,
                  .on_request = on_request,
                  .on_drain = ignore,
                  .on_gone = ignore_gone,
                  .on_done = ignore};
    q5_server_config config = q5_server_config_default();
    q5_server *server = q5_server_create(poller, &config, &app);
    if (!server || q5_server_accept_on(server, fd)) return 1;
    serve(poller, server);
    q5_server_destroy(server);
    for (unsigned i = 0; i < lane_count; i++) {
        q5_poller_remove(poller, &lanes[i].watch);
        pq.finish(lanes[i].pg);
        while (lanes[i].first != lanes[i].end)
            q5_exchange_unref(lanes[i].waiting[lanes[i].first++ % IN_FLIGHT_MAX]);
    }
    q5_poller_destroy(poller);
    q5_router_destroy(router);
    q5_buf_deinit(&out);
    return 0;
}
