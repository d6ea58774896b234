/* Request bodies on a connection: where they go, how they are cut, and what is refused. */
#include "http/conn_script.h"

#define POST(path, fields) "POST " path " HTTP/1.1\r\n" HOST fields "\r\n"
#define LENGTH(n) "Content-Length: " #n "\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"

/* ---- small bodies, however they are cut ------------------------------------------------------ */

typedef struct row {
    const char *why, *input, *output, *trace;
} row;

#define ECHO(len, body) "HTTP/1.1 200 OK\r\nX-Body: " len "\r\nContent-Length: " len "\r\n\r\n" body
#define ECHOED "H/echo R/echo D200"
#define CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

static const row rows[] = {
    {"RFC 9112, 6.2: a length", POST("/echo", LENGTH(5)) "hello" GET("/"), ECHO("5", "hello") OK_,
     ECHOED " H/ R/ D200"},
    {"no bytes at all", POST("/echo", LENGTH(0)) GET("/"), ECHO("0", "") OK_, ECHOED " H/ R/ D200"},
    {"RFC 9112, 7.1: one chunk", POST("/echo", CHUNKED) "5\r\nhello\r\n0\r\n\r\n" GET("/"),
     ECHO("5", "hello") OK_, ECHOED " H/ R/ D200"},
    {"chunks put together", POST("/echo", CHUNKED) "1\r\nh\r\n2;x=y\r\nel\r\n2\r\nlo\r\n0\r\n\r\n",
     ECHO("5", "hello"), ECHOED},
    {"RFC 9112, 7.1.2: trailers are dropped",
     POST("/echo", CHUNKED) "2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n" GET("/"), ECHO("2", "hi") OK_,
     ECHOED " H/ R/ D200"},
    {"an empty chunked body", POST("/echo", CHUNKED) "0\r\n\r\n" GET("/"), ECHO("0", "") OK_,
     ECHOED " H/ R/ D200"},
    {"as long as on_head allows", POST("/small", LENGTH(4)) "four", ECHO("4", "four"),
     "H/small R/small D200"},
    {"as long in chunks", POST("/small", CHUNKED) "3\r\nfou\r\n1\r\nr\r\n0\r\n\r\n",
     ECHO("4", "four"), "H/small R/small D200"},
    {"a body that looks like a request", POST("/echo", LENGTH(18)) "GET / HTTP/1.1\r\n\r\n",
     ECHO("18", "GET / HTTP/1.1\r\n\r\n"), ECHOED},
    {"two bodies", POST("/echo", LENGTH(1)) "a" POST("/echo", LENGTH(1)) "b",
     ECHO("1", "a") ECHO("1", "b"), ECHOED " " ECHOED},
};

static void test_small(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        for (size_t at = 0; at <= strlen(rows[i].input); at++) {
            rig r;
            rig_init(&r);
            rig_feed(&r, rows[i].input, at);
            rig_say(&r, rows[i].input + at);
            char *got = rig_output(&r);
            if (strcmp(got, rows[i].output) != 0 || strcmp(r.trace, rows[i].trace) != 0)
                fail_msg("%s (split at %zu): \"%s\" [%s]", rows[i].why, at, got, r.trace);
            assert_true(q5_conn_idle(r.conn));
            rig_deinit(&r);
        }
    }
}

/* ---- refused --------------------------------------------------------------------------------- */

typedef struct bad_row {
    const char *why, *input;
    const char *line; /* of the answer */
    const char *trace;
} bad_row;

static const bad_row bad_rows[] = {
    {"declared too long: before a byte of it", POST("/small", LENGTH(5)), "413 Content Too Large",
     "H/small FEBODY_LONG D413"},
    {"declared too long, with Expect: no 100", POST("/small", LENGTH(5) "Expect: 100-continue\r\n"),
     "413 Content Too Large", "H/small FEBODY_LONG D413"},
    {"the configured limit", POST("/", LENGTH(10485761)), "413 Content Too Large",
     "H/ FEBODY_LONG D413"},
    {"chunks: over midway", POST("/small", CHUNKED) "3\r\nabc\r\n2\r\nde\r\n",
     "413 Content Too Large", "H/small FEBODY_LONG D413"},
    {"chunks: one that is too long", POST("/small", CHUNKED) "ffffffffffffffff\r\nabcde",
     "413 Content Too Large", "H/small FEBODY_LONG D413"},
    {"RFC 9112, 7.1: no size", POST("/", CHUNKED) "x\r\n", "400 Bad Request",
     "H/ FECHUNK_SIZE D400"},
    {"h11 CVE-2025-43859: not CRLF behind a chunk", POST("/", CHUNKED) "1\r\naXX0\r\n\r\n",
     "400 Bad Request", "H/ FECHUNK_END D400"},
    {"bare LF behind a size", POST("/", CHUNKED) "1\na\r\n", "400 Bad Request",
     "H/ FEBARE_LF D400"},
    {"RFC 9110, 6.5.1: framing in a trailer", POST("/", CHUNKED) "0\r\nContent-Length: 1\r\n\r\n",
     "400 Bad Request", "H/ FETRAILER D400"},
    {"RFC 9110, 10.1.1: unknown expectation", POST("/", LENGTH(1) "Expect: 200-ok\r\n"),
     "417 Expectation Failed", "FEEXPECT"},
    {"a malformed head", "GET / HTTP/1.1\nHost: h\n\n", "400 Bad Request", "FEBARE_LF"},
    {"an unknown version", "GET / HTTP/3.0\r\n\r\n", "505 HTTP Version Not Supported", "FEVERSION"},
    {"CVE-2024-1135: length and coding", POST("/", LENGTH(1) CHUNKED) "0\r\n\r\n",
     "400 Bad Request", "FELENGTH_CODING"},
    {"a coding that we do not know", POST("/", "Transfer-Encoding: gzip, chunked\r\n"),
     "501 Not Implemented", "FECODING"},
};

static void test_refused(void **state) {
    (void)state;
    static const size_t cuts[] = {0, 1, 7};
    for (size_t i = 0; i < Q5_ARRAY_LEN(bad_rows) * Q5_ARRAY_LEN(cuts); i++) {
        const bad_row *want = &bad_rows[i / Q5_ARRAY_LEN(cuts)];
        rig r;
        rig_init(&r);
        r.cut = cuts[i % Q5_ARRAY_LEN(cuts)];
        rig_say(&r, want->input);
        char line[64];
        char *got = rig_output(&r);
        snprintf(line, sizeof(line), "HTTP/1.1 %s\r\n", want->line);
        if (strncmp(got, line, strlen(line)) != 0 || strcmp(r.trace, want->trace) != 0 ||
            !strstr(got, "\r\nConnection: close\r\n") ||
            !strstr(got, "\r\nContent-Type: application/problem+json\r\n"))
            fail_msg("%s: \"%s\" [%s]", want->why, got, r.trace);
        assert_true(q5_conn_finished(r.conn));
        assert_true(q5_conn_lingers(r.conn));
        assert_int_equal(r.gones, 0);
        rig_deinit(&r);
    }
}

/* ---- 100-continue ---------------------------------------------------------------------------- */

static void test_expect(void **state) {
    (void)state;
    static const struct {
        const char *why, *head, *body, *before, *after;
    } cases[] = {
        {"RFC 9110, 10.1.1: accepted", POST("/echo", LENGTH(2) "Expect: 100-continue\r\n"), "hi",
         CONTINUE, ECHO("2", "hi")},
        {"any case", POST("/echo", LENGTH(2) "expect: 100-Continue\r\n"), "hi", CONTINUE,
         ECHO("2", "hi")},
        {"chunked", POST("/echo", CHUNKED "Expect: 100-continue\r\n"), "2\r\nhi\r\n0\r\n\r\n",
         CONTINUE, ECHO("2", "hi")},
        {"some of the body came along", POST("/echo", LENGTH(2) "Expect: 100-continue\r\n") "h",
         "i", "", ECHO("2", "hi")},
        {"no body: nothing to wait for", POST("/echo", "Expect: 100-continue\r\n"), "",
         ECHO("0", ""), ""},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(cases); i++) {
        rig r;
        rig_init(&r);
        rig_say(&r, cases[i].head);
        if (strcmp(rig_output(&r), cases[i].before) != 0)
            fail_msg("%s: before: %s", cases[i].why, r.out);
        rig_say(&r, cases[i].body);
        if (strcmp(rig_output(&r), cases[i].after) != 0)
            fail_msg("%s: after: %s", cases[i].why, r.out);
        rig_deinit(&r);
    }
}

/* RFC 9110, 10.1.1: HTTP/1.0 clients are not told to go on. */
static void test_expect_old(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, "POST /echo HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_output(&r, "");
    rig_say(&r, "hi");
    assert_non_null(strstr(rig_output(&r), "\r\n\r\nhi"));
    rig_deinit(&r);
}

/* ---- large bodies, and the spool ------------------------------------------------------------- */

typedef struct spool {
    char *base;
    size_t len;
} spool;

typedef struct spools {
    int opened, closed, writes;
    int fail_open, fail_write; /* index of the call that fails, counted from 1 */
    spool last;
} spools;

static spool *last_spool;

static void *spool_open(void *ctx) {
    spools *s = ctx;
    if (s->opened + 1 == s->fail_open) return NULL;
    s->opened++;
    last_spool = calloc(1, sizeof(spool));
    assert_non_null(last_spool);
    return last_spool;
}

static spools *the_spools;

static int spool_write(void *handle, q5_slice data) {
    spool *s = handle;
    assert_true(data.len > 0);
    if (++the_spools->writes == the_spools->fail_write) return Q5_EIO;
    s->base = realloc(s->base, s->len + data.len);
    assert_non_null(s->base);
    memcpy(s->base + s->len, data.base, data.len);
    s->len += data.len;
    return Q5_OK;
}

static void spool_close(void *ctx, void *handle) {
    spools *s = ctx;
    s->closed++;
    free(s->last.base);
    s->last = *(spool *)handle;
    free(handle);
}

static char *body_make(size_t len) {
    char *body = malloc(len + 1);
    assert_non_null(body);
    for (size_t i = 0; i < len; i++)
        body[i] = (char)('a' + i % 23);
    body[len] = '\0';
    return body;
}

/* Sends a body of len bytes, declared or in chunks of 1,000; the text of the request is freed. */
static void say_body(rig *r, const char *path, const char *body, size_t len, bool chunked) {
    size_t room = len + len / 1000 * 10 + 500, at;
    char *text = malloc(room);
    assert_non_null(text);
    at = (size_t)snprintf(text, room, "POST %s HTTP/1.1\r\n" HOST, path);
    if (!chunked) {
        at += (size_t)snprintf(text + at, room - at, "Content-Length: %zu\r\n\r\n", len);
        memcpy(text + at, body, len);
        at += len;
    } else {
        at += (size_t)snprintf(text + at, room - at, CHUNKED "\r\n");
        for (size_t done = 0; done < len;) {
            size_t part = len - done < 1000 ? len - done : 1000;
            at += (size_t)snprintf(text + at, room - at, "%zx\r\n", part);
            memcpy(text + at, body + done, part);
            memcpy(text + at + part, "\r\n", 2);
            done += part;
            at += part + 2;
        }
        at += (size_t)snprintf(text + at, room - at, "0\r\n\r\n");
    }
    rig_feed(r, text, at);
    free(text);
}

static void spooled_rig(rig *r, spools *s) {
    rig_prepare(r, NULL);
    the_spools = s;
    r->config.spool_min = 10000;
    r->config.spool = (q5_spool_ops){spool_open, spool_write, spool_close, s};
    assert_status(rig_connect(r), Q5_OK);
}

static void test_large(void **state) {
    (void)state;
    static const size_t lens[] = {3900, 4096, 5000, 9999, 10000, 10001, 65536, 70001, 300000};
    static const size_t cuts[] = {0, 999, 50000};
    for (size_t i = 0; i < Q5_ARRAY_LEN(lens) * Q5_ARRAY_LEN(cuts) * 2; i++) {
        size_t len = lens[i / 2 / Q5_ARRAY_LEN(cuts)];
        bool spooled = len > 10000;
        spools s = {0};
        rig r;
        spooled_rig(&r, &s);
        r.cut = cuts[i / 2 % Q5_ARRAY_LEN(cuts)];
        char *body = body_make(len), head[128];
        say_body(&r, "/echo", body, len, i % 2);
        say_body(&r, "/echo", "next", 4, false);
        int head_len = snprintf(head, sizeof(head),
                                "HTTP/1.1 200 OK\r\nX-Body: %s%zu\r\nContent-Length: %zu\r\n\r\n",
                                spooled ? "spooled " : "", len, spooled ? (size_t)0 : len);
        const char *got = rig_output(&r);
        assert_memory_equal(got, head, (size_t)head_len);
        if (!spooled) assert_memory_equal(got + head_len, body, len);
        assert_string_equal(got + head_len + (spooled ? 0 : len), ECHO("4", "next"));
        assert_int_equal(s.opened, spooled);
        assert_int_equal(s.closed, spooled);
        if (spooled) {
            assert_int_equal(s.last.len, len);
            assert_memory_equal(s.last.base, body, len);
        }
        free(s.last.base);
        free(body);
        rig_deinit(&r);
    }
}

/* The memory that a body takes follows what came, not what was announced. */
static void test_announced_buys_no_memory(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, POST("/echo", LENGTH(10000000)));
    for (size_t got = 0; got < 200000;) {
        char *base;
        size_t room;
        assert_status(q5_conn_recv_space(r.conn, &base, &room), Q5_OK);
        assert_true(room <= 65536 && room <= 4096 + 4 * got);
        memset(base, 'b', room);
        q5_conn_received(r.conn, room, r.now);
        got += room;
    }
    rig_deinit(&r);
}

/* A spool that fails is our fault, not the client's; whatever was opened is closed once. */
static void test_failing_spool(void **state) {
    (void)state;
    char *body = body_make(200000);
    for (int chunked = 0; chunked < 2; chunked++) {
        for (int at = 0; at < 5; at++) {
            spools s = {.fail_open = at == 0, .fail_write = at};
            rig r;
            spooled_rig(&r, &s);
            r.cut = 30000;
            say_body(&r, "/echo", body, 200000, chunked);
            const char *got = rig_output(&r);
            if (at > s.writes) {
                assert_non_null(strstr(got, "spooled 200000"));
            } else {
                assert_int_equal(strncmp(got, "HTTP/1.1 500 ", 13), 0);
                assert_trace(&r, "H/echo FEIO D500");
                assert_true(q5_conn_finished(r.conn));
            }
            rig_deinit(&r);
            assert_int_equal(s.opened, s.closed);
            free(s.last.base);
        }
    }
    free(body);
}

/* The spool lives as long as the exchange, which may be longer than the connection. */
static void test_spool_outlives_the_connection(void **state) {
    (void)state;
    spools s = {0};
    rig r;
    spooled_rig(&r, &s);
    char *body = body_make(50000);
    say_body(&r, "/later", body, 50000, false);
    rig_destroy_conn(&r, Q5_GONE_PEER);
    assert_int_equal(s.closed, 0);
    assert_int_equal(r.later_count, 1);
    q5_exchange *x = r.later[0];
    assert_null(x->conn);
    assert_ptr_equal(x->spool, last_spool);
    assert_slice(x->head.path, "/later");
    assert_status(q5_response_start(x, 200), Q5_ECLOSED);
    rig_deinit(&r);
    assert_int_equal(s.closed, 1);
    free(s.last.base);
    free(body);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small),         cmocka_unit_test(test_refused),
        cmocka_unit_test(test_expect),        cmocka_unit_test(test_expect_old),
        cmocka_unit_test(test_large),         cmocka_unit_test(test_announced_buys_no_memory),
        cmocka_unit_test(test_failing_spool), cmocka_unit_test(test_spool_outlives_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
