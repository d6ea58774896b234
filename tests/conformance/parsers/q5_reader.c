/* Reads a stream of requests as a server on libq5 does and tells what it read, piece by piece. */
#include <string.h>

#include "q5/conn.h"

#define NOW_MSEC 1000

/* In this order for each request, up to the point where it is refused or the stream ends. */
typedef enum told {
    TOLD_METHOD,
    TOLD_TARGET,
    TOLD_VERSION, /* "0" or "1", the minor one */
    TOLD_NAME,
    TOLD_VALUE,
    TOLD_PERSISTS, /* "0" or "1"; the head is complete */
    TOLD_BODY,     /* the request is complete */
    TOLD_FAULT     /* the status's name; nothing more is read */
} told;

/* `taken` is how many bytes of the stream were received by then. */
typedef void (*tell_fn)(int what, const char *base, size_t len, size_t taken);

typedef struct reader {
    q5_conn_config config;
    q5_app app;
    q5_exchange_pool pool;
    q5_conn *conn;
    tell_fn tell;
    size_t taken;
} reader;

/* Reads the stream in pieces of `cut` bytes, 0: whole. Returns the number of bytes that were taken
 * before the connection closed, or -1 when memory is short. */
long q5_reader_read(const char *data, size_t len, size_t cut, tell_fn tell);

static void say(const reader *r, told what, q5_slice slice) {
    r->tell(what, slice.base, slice.len, r->taken);
}

static q5_slice flag(bool value) {
    return value ? Q5_LIT("1") : Q5_LIT("0");
}

static void on_head(void *ctx, q5_exchange *x) {
    reader *r = ctx;
    say(r, TOLD_METHOD, x->head.method);
    say(r, TOLD_TARGET, x->head.target);
    say(r, TOLD_VERSION, flag(x->head.version_minor == 1));
    for (size_t i = 0; i < x->head.field_count; i++) {
        say(r, TOLD_NAME, x->head.fields[i].name);
        say(r, TOLD_VALUE, x->head.fields[i].value);
    }
    say(r, TOLD_PERSISTS, flag(x->head.keep_alive));
}

static void on_request(void *ctx, q5_exchange *x) {
    say(ctx, TOLD_BODY, x->body);
    q5_response_start(x, 204);
    q5_response_send(x, q5_slice_make(NULL, 0), NULL, NULL);
}

static void on_fault(void *ctx, q5_conn *conn, int status, size_t offset) {
    (void)conn;
    (void)offset;
    const char *name = q5_status_name(status);
    say(ctx, TOLD_FAULT, q5_slice_make(name, strlen(name)));
}

static void ignore(void *ctx, q5_exchange *x) {
    (void)ctx;
    (void)x;
}

static void ignore_gone(void *ctx, q5_exchange *x, q5_gone why) {
    (void)why;
    ignore(ctx, x);
}

static bool reader_init(reader *r, tell_fn tell) {
    *r = (reader){.config = q5_conn_config_default(), .tell = tell};
    r->config.date = "Sun, 06 Nov 1994 08:49:37 GMT";
    r->config.requests_max = UINT32_MAX;
    r->app = (q5_app){.ctx = r,
                      .on_head = on_head,
                      .on_request = on_request,
                      .on_drain = ignore,
                      .on_gone = ignore_gone,
                      .on_done = ignore,
                      .on_fault = on_fault};
    q5_exchange_pool_init(&r->pool, NULL, 4);
    r->conn = q5_conn_create(&r->config, &r->app, &r->pool, NOW_MSEC);
    return r->conn != NULL;
}

static void reader_deinit(reader *r) {
    if (r->conn) q5_conn_destroy(r->conn, Q5_GONE_PEER);
    q5_exchange_pool_deinit(&r->pool);
}

static void take_output(reader *r) {
    size_t count;
    do {
        uint64_t total = 0;
        const q5_segment *segments = q5_conn_output(r->conn, &count);
        for (size_t i = 0; i < count; i++)
            total += segments[i].len;
        q5_conn_sent(r->conn, total);
    } while (q5_conn_resume(r->conn, NOW_MSEC) || q5_conn_has_output(r->conn));
}

long q5_reader_read(const char *data, size_t len, size_t cut, tell_fn tell) {
    reader r;
    int status = reader_init(&r, tell) ? Q5_OK : Q5_ENOMEM;
    while (status == Q5_OK && r.taken < len) {
        char *base;
        size_t space;
        status = q5_conn_recv_space(r.conn, &base, &space);
        if (status) break;
        if (cut && space > cut) space = cut;
        if (space > len - r.taken) space = len - r.taken;
        memcpy(base, data + r.taken, space);
        r.taken += space;
        q5_conn_received(r.conn, space, NOW_MSEC);
        take_output(&r);
    }
    reader_deinit(&r);
    return status == Q5_ENOMEM ? -1 : (long)r.taken;
}
