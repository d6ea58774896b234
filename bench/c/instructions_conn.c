/* The whole of libq5's way of a request, without a socket. */
#include <string.h>

#include "heads.h"
#include "instructions.h"
#include "q5/conn.h"

#define NOW_MSEC 1000

static const char hello_text[] = "{\"message\":\"Hello, world!\"}";
#define POST_BODY                                                  \
    "{\"name\":\"A quite readable name\",\"tags\":[\"a\",\"bb\"]," \
    "\"price\":12.5,\"stock\":42,\"note\":\"sixty bytes are not much of a note\"}"
static const char post_text[] = "POST /api/items HTTP/1.1\r\n"
                                "Host: localhost:8000\r\n"
                                "Content-Type: application/json\r\n"
                                "Content-Length: 118\r\n"
                                "\r\n" POST_BODY;
_Static_assert(sizeof(POST_BODY) - 1 == 118, "Content-Length above");

typedef struct rig {
    q5_conn_config config;
    q5_app app;
    q5_exchange_pool pool;
    q5_router *router;
    q5_conn *conn;
    size_t answered;
} rig;

static void hello(q5_exchange *x) {
    q5_response_start(x, 200);
    q5_response_lines(x, Q5_LIT("Content-Type: application/json\r\n"));
    q5_response_send(x, q5_slice_make(hello_text, sizeof(hello_text) - 1), NULL, NULL);
}

static void echo(q5_exchange *x) {
    q5_response_start(x, 200);
    q5_response_lines(x, Q5_LIT("Content-Type: application/json\r\n"));
    q5_response_send(x, x->body, NULL, NULL);
}

typedef void (*handler)(q5_exchange *x);

static void on_head(void *ctx, q5_exchange *x) {
    rig *r = ctx;
    if (q5_router_match(r->router, x->head.method_id, x->head.path, &x->match))
        bench_fail("no route");
}

static void on_request(void *ctx, q5_exchange *x) {
    (void)ctx;
    handler *route = x->match.route;
    (*route)(x);
}

static void on_done(void *ctx, q5_exchange *x) {
    rig *r = ctx;
    if (x->status != 200) bench_fail("not answered with 200");
    r->answered++;
}

static void ignore(void *ctx, q5_exchange *x) {
    (void)ctx;
    (void)x;
}

static void ignore_gone(void *ctx, q5_exchange *x, q5_gone why) {
    (void)why;
    ignore(ctx, x);
}

static void rig_init(rig *r) {
    static handler routes[] = {hello, echo};
    *r = (rig){.config = q5_conn_config_default()};
    r->config.requests_max = UINT32_MAX;
    r->config.date = "Sun, 06 Nov 1994 08:49:37 GMT";
    r->app = (q5_app){.ctx = r,
                      .on_head = on_head,
                      .on_request = on_request,
                      .on_drain = ignore,
                      .on_gone = ignore_gone,
                      .on_done = on_done};
    q5_exchange_pool_init(&r->pool, NULL, 4);
    r->router = q5_router_create(NULL);
    if (!r->router ||
        q5_router_add(r->router, Q5_METHOD_GET, Q5_LIT("/api/items/<int:id>"), &routes[0], NULL) ||
        q5_router_add(r->router, Q5_METHOD_POST, Q5_LIT("/api/items"), &routes[1], NULL))
        bench_fail("no router");
    r->conn = q5_conn_create(&r->config, &r->app, &r->pool, NOW_MSEC);
    if (!r->conn) bench_fail("no connection");
}

static void rig_deinit(rig *r) {
    q5_conn_destroy(r->conn, Q5_GONE_PEER);
    q5_router_destroy(r->router);
    q5_exchange_pool_deinit(&r->pool);
}

/* As a transport does with a request that comes in one piece and an answer that leaves in one. */
static void exchange(rig *r, const char *text, size_t len) {
    char *base;
    size_t space, count;
    if (q5_conn_recv_space(r->conn, &base, &space) || space < len) bench_fail("no space");
    memcpy(base, text, len);
    q5_conn_received(r->conn, len, NOW_MSEC);
    uint64_t total = 0;
    const q5_segment *segments = q5_conn_output(r->conn, &count);
    for (size_t i = 0; i < count; i++)
        total += segments[i].len;
    q5_conn_sent(r->conn, total);
    if (q5_conn_resume(r->conn, NOW_MSEC)) bench_fail("more than one request");
}

static void run(size_t count, const char *text, size_t len) {
    rig r;
    rig_init(&r);
    for (size_t i = 0; i < count; i++)
        exchange(&r, text, len);
    if (r.answered != count) bench_fail("not all requests were answered");
    rig_deinit(&r);
}

void bench_conn_get(size_t count) {
    run(count, bench_head_small, sizeof(bench_head_small) - 1);
}

void bench_conn_post(size_t count) {
    run(count, post_text, sizeof(post_text) - 1);
}
