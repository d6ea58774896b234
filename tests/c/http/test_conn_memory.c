/* Each allocation of a connection's life failing in turn, once and from then on: nothing leaks, no
 * release is forgotten or called twice, each exchange is told its end, and what the client got is a
 * row of whole answers, or one cut short before the end of the connection. */
#include "http/conn_script.h"
#include "http/response_read.h"

typedef struct scenario {
    const char *why;
    const char *input;
    int later; /* requests that are answered from outside */
    size_t cut;
} scenario;

static const scenario scenarios[] = {
    {"a request", GET("/"), 0, 0},
    {"a head that grows", NULL, 0, 1000},
    {"pipelining", GET("/1") GET("/taken") GET("/3"), 0, 0},
    {"deferred", GET("/later") GET("/later") GET("/2"), 2, 0},
    {"a body behind the head",
     "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello" GET("/"), 0, 7},
    {"chunks",
     "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
     "5\r\nhello\r\n0\r\n\r\n" GET("/"),
     0, 0},
    {"refused", "POST /small HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", 0, 0},
    {"answered at the head",
     "POST /refuse HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello" GET("/"), 0, 0},
    {"answered before the body",
     "POST /refuse HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello" GET("/"), 0, 60},
    {"malformed", "GET / HTTP/9.9\r\n\r\n", 0, 0},
    {"100-continue",
     "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\nExpect: 100-continue\r\n\r\nhi", 0, 90},
    {"a stream", GET("/chunked") GET("/fixed"), 0, 0},
    {"a stream of many pieces", GET("/pump"), 0, 0},
    {"a large answer", GET("/big") GET("/"), 0, 0},
};

static char *long_request(void) {
    char *text = malloc(30000);
    assert_non_null(text);
    size_t len = (size_t)sprintf(text, "POST /echo HTTP/1.1\r\n" HOST);
    for (int i = 0; i < 50; i++)
        len += (size_t)sprintf(text + len, "X-%d: %0200d\r\n", i, i);
    len += (size_t)sprintf(text + len, "Content-Length: 10000\r\n\r\n%010000d", 7);
    return text;
}

/* Answers that cannot be made cut the connection; what is whole must be well-formed. */
static int read_answers(rig *r) {
    size_t at = 0;
    r->out[r->out_len] = '\0';
    while (at < r->out_len) {
        response got;
        response_verdict verdict = response_read(r->out + at, r->out_len - at, false, &got);
        assert_int_not_equal(verdict, RESPONSE_BAD);
        if (verdict == RESPONSE_CUT) {
            assert_true(q5_conn_finished(r->conn));
            return Q5_ENOMEM;
        }
        if (got.status == 503) return Q5_ENOMEM;
        at += got.used;
    }
    return Q5_OK;
}

static int run(const q5_alloc *alloc, void *ctx) {
    const scenario *s = ctx;
    char *text = s->input ? NULL : long_request();
    rig r;
    rig_prepare(&r, alloc);
    r.cut = s->cut;
    r.pieces = 30;
    int status = rig_connect(&r);
    if (!status) {
        const char *input = s->input ? s->input : text;
        size_t used = rig_say(&r, input);
        int at_head = strstr(input, "/refuse") ? 1 : 0;
        for (int i = 0; i < s->later && r.later_count; i++)
            if (rig_answer_later(&r, "late")) status = Q5_ENOMEM;
        if (used == SIZE_MAX || used < strlen(input)) status = Q5_ENOMEM;
        if (read_answers(&r)) status = Q5_ENOMEM;
        if (r.dones != r.requests + at_head || q5_conn_finished(r.conn)) status = Q5_ENOMEM;
        if (r.faults) status = r.fault_status == Q5_ENOMEM ? Q5_ENOMEM : Q5_OK;
        /* Whatever failed, the client is never left waiting. */
        assert_true(used == SIZE_MAX || q5_conn_idle(r.conn) || q5_conn_finished(r.conn));
    }
    rig_deinit(&r);
    free(text);
    return status;
}

static void test_failing_allocations(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(scenarios); i++) {
        scenario s = scenarios[i];
        failmalloc_sweep(run, &s);
    }
}

/* One allocation fails, and memory is there again for the answer that says so. */
static void *once_malloc(void *ctx, size_t size) {
    failmalloc *fm = ctx;
    if (fm->count++ == fm->fail_at) return NULL;
    void *ptr = malloc(size);
    if (ptr) fm->live++;
    return ptr;
}

static void *once_realloc(void *ctx, void *ptr, size_t size) {
    failmalloc *fm = ctx;
    if (!ptr) return once_malloc(ctx, size);
    return fm->count++ == fm->fail_at ? NULL : realloc(ptr, size);
}

static void test_single_failures(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(scenarios); i++) {
        bool is_over = false;
        for (size_t at = 0; !is_over; at++) {
            assert_true(at < 10000);
            failmalloc fm;
            failmalloc_init(&fm, at);
            fm.alloc.malloc = once_malloc;
            fm.alloc.realloc = once_realloc;
            scenario s = scenarios[i];
            int status = run(&fm.alloc, &s);
            is_over = fm.count <= at;
            if (is_over) assert_status(status, Q5_OK);
            assert_int_equal(fm.live, 0);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_failing_allocations),
                                       cmocka_unit_test(test_single_failures)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
