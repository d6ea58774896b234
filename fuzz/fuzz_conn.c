/* A connection and an application that answers as the input says. The first bytes choose the
 * answers and the cuts, the rest is what the client sends. Demanded: nothing leaks, every exchange
 * is told its end once, every release is called once, what comes out is a row of responses, and
 * none of it depends on how the input was cut. */
#include <stdlib.h>

#include "../tests/c/http/response_read.h"
#include "q5/conn.h"

#define REQUIRE(condition)         \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

#define OUT_MAX (2u << 20) /* REQUESTS_MAX times the longest answer, and more */
#define CHOICES 8
#define BODY_MAX 3000
#define REQUESTS_MAX 200

typedef enum answer {
    AT_ONCE,
    BY_HEAD,
    LATER,
    CHUNKED,
    DECLARED,
    TAKEN_OVER,
    CUT_OFF,
    ECHO_BACK,
    STREAMED,
    ANSWERS
} answer;

typedef struct outcome {
    char *out;
    size_t len;
    size_t heads, dones, gones, taken, released;
    bool to_head[REQUESTS_MAX];
    size_t response_count; /* that to_head is known of */
    int fault;
    bool is_finished;
} outcome;

typedef struct host {
    q5_conn *conn;
    const uint8_t *choices;
    q5_exchange *later;
    q5_exchange *streamed; /* its body is being taken: */
    char body[BODY_MAX];
    size_t body_len;
    outcome result;
} host;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static answer choice(const host *h) {
    return (answer)(h->choices[(h->result.heads - 1) % CHOICES] % ANSWERS);
}

static void release(void *ctx) {
    ((outcome *)ctx)->released++;
}

static void answer_text(q5_exchange *x, const char *text) {
    if (q5_response_start(x, 200) == Q5_OK)
        q5_response_send(x, q5_slice_make(text, strlen(text)), NULL, NULL);
}

static void answer_stream(q5_exchange *x, int64_t length, bool cut) {
    if (q5_response_start(x, 200) || q5_response_stream(x, length)) return;
    q5_response_write(x, Q5_LIT("first"), NULL, NULL);
    if (cut) {
        q5_response_abort(x);
        return;
    }
    q5_response_write(x, Q5_LIT("second"), NULL, NULL);
    q5_response_end(x);
}

static void on_head(void *ctx, q5_exchange *x) {
    host *h = ctx;
    REQUIRE(h->result.heads < REQUESTS_MAX);
    h->result.to_head[h->result.heads++] = x->head.method_id == Q5_METHOD_HEAD;
    x->body_max = BODY_MAX;
    x->stream_body = choice(h) == STREAMED;
    if (choice(h) == BY_HEAD) answer_text(x, "by head");
}

static void answer_taken(host *h, q5_exchange *x) {
    static const char text[5000] = "taken";
    h->result.taken++;
    if (q5_response_start(x, 299))
        release(&h->result);
    else
        q5_response_send(x, q5_slice_make(text, sizeof(text)), release, &h->result);
}

static void forget_streamed(host *h) {
    q5_exchange *x = h->streamed;
    h->streamed = NULL;
    if (x) q5_exchange_unref(x);
}

/* As the connection answers a fault that comes before the request is handed over. */
static void answer_fault(host *h, q5_exchange *x) {
    const char *text = q5_status_text(x->body_error);
    REQUIRE(h->result.fault == Q5_OK);
    h->result.fault = x->body_error;
    q5_response_problem(x, q5_status_http(x->body_error), q5_slice_make(text, strlen(text)));
}

/* Takes what is there; answers with all of it, or with the fault. */
static void on_body(void *ctx, q5_exchange *x) {
    host *h = ctx;
    if (x != h->streamed) return; /* answered with a fault already */
    q5_slice data = q5_body_peek(x);
    REQUIRE(data.len <= BODY_MAX - h->body_len);
    if (data.len) memcpy(h->body + h->body_len, data.base, data.len);
    h->body_len += data.len;
    q5_body_consume(x, data.len);
    if (!q5_body_complete(x) && !x->body_error) return;
    REQUIRE(x->body_error || h->body_len == x->body_len);
    if (x->body_error)
        answer_fault(h, x);
    else if (q5_response_start(x, 200) == Q5_OK)
        q5_response_send(x, q5_slice_make(h->body, h->body_len), NULL, NULL);
    forget_streamed(h);
}

static void begin_streamed(host *h, q5_exchange *x) {
    REQUIRE(!h->streamed);
    h->streamed = q5_exchange_ref(x);
    h->body_len = 0;
    on_body(h, x);
}

static void on_request(void *ctx, q5_exchange *x) {
    host *h = ctx;
    REQUIRE(x->stream_body || (x->body.len == x->body_len && x->body_len <= BODY_MAX));
    switch (choice(h)) {
    case STREAMED:
        begin_streamed(h, x);
        break;
    case LATER:
        REQUIRE(!h->later);
        h->later = q5_exchange_ref(x);
        break;
    case CHUNKED:
        answer_stream(x, -1, false);
        break;
    case DECLARED:
        answer_stream(x, 11, false);
        break;
    case TAKEN_OVER:
        answer_taken(h, x);
        break;
    case CUT_OFF:
        answer_stream(x, -1, true);
        break;
    case ECHO_BACK:
        if (q5_response_start(x, 200) == Q5_OK) q5_response_send(x, x->body, NULL, NULL);
        break;
    default:
        answer_text(x, "at once");
    }
}

static void on_drain(void *ctx, q5_exchange *x) {
    (void)ctx;
    (void)x;
}

static void on_gone(void *ctx, q5_exchange *x, q5_gone why) {
    host *h = ctx;
    (void)why;
    REQUIRE(q5_response_start(x, 200) == Q5_ECLOSED);
    h->result.gones++;
    if (x == h->streamed) forget_streamed(h);
}

static void on_done(void *ctx, q5_exchange *x) {
    host *h = ctx;
    REQUIRE(x->conn == h->conn);
    h->result.dones++;
}

static void on_fault(void *ctx, q5_conn *conn, int status, size_t offset) {
    host *h = ctx;
    (void)conn;
    (void)offset;
    REQUIRE(h->result.fault == Q5_OK && q5_status_http(status) != 0);
    h->result.fault = status;
}

static void flush(host *h, size_t step) {
    for (;;) {
        while (q5_conn_resume(h->conn, 1000))
            continue;
        if (h->later) {
            q5_exchange *x = h->later;
            h->later = NULL;
            answer_text(x, "later");
            q5_exchange_unref(x);
            continue;
        }
        size_t count;
        const q5_segment *segment = q5_conn_output(h->conn, &count);
        if (!count && q5_conn_pending(h->conn)) continue;
        if (!count) return;
        size_t len = segment->len < step ? (size_t)segment->len : step;
        REQUIRE(h->result.len + len < OUT_MAX);
        memcpy(h->result.out + h->result.len, segment->base, len);
        h->result.len += len;
        q5_conn_sent(h->conn, len);
    }
}

/* Receives in steps and sends in others. */
static outcome run(const uint8_t *choices, const char *text, size_t len, size_t in, size_t out,
                   char *room_for_out) {
    host h = {.choices = choices, .result = {.out = room_for_out}};
    q5_conn_config config = q5_conn_config_default();
    config.requests_max = REQUESTS_MAX;
    config.out_high = 8192;
    config.out_low = 2048;
    q5_app app = {.ctx = &h,
                  .on_head = on_head,
                  .on_request = on_request,
                  .on_body = on_body,
                  .on_drain = on_drain,
                  .on_gone = on_gone,
                  .on_done = on_done,
                  .on_fault = on_fault};
    q5_exchange_pool pool;
    q5_exchange_pool_init(&pool, NULL, 2);
    h.conn = q5_conn_create(&config, &app, &pool, 1000);
    REQUIRE(h.conn);
    for (size_t used = 0; used < len;) {
        char *base;
        size_t room;
        int status = q5_conn_recv_space(h.conn, &base, &room);
        if (status) {
            REQUIRE(status == Q5_DONE);
            break;
        }
        REQUIRE(room > 0);
        if (room > in) room = in;
        if (room > len - used) room = len - used;
        memcpy(base, text + used, room);
        used += room;
        q5_conn_received(h.conn, room, 1000);
        flush(&h, out);
    }
    h.result.is_finished = q5_conn_finished(h.conn);
    q5_conn_eof(h.conn, 1000);
    flush(&h, out);
    REQUIRE(q5_conn_finished(h.conn));
    q5_conn_destroy(h.conn, Q5_GONE_PEER);
    REQUIRE(h.result.heads == h.result.dones && h.result.gones <= h.result.dones);
    REQUIRE(h.result.taken == h.result.released);
    REQUIRE(pool.live_count == 0);
    q5_exchange_pool_deinit(&pool);
    return h.result;
}

static void require_responses(outcome *result) {
    size_t at = 0, count = 0;
    result->out[result->len] = '\0';
    while (at < result->len) {
        response got;
        bool to_head = count < result->heads && result->to_head[count];
        response_verdict verdict = response_read(result->out + at, result->len - at, to_head, &got);
        REQUIRE(verdict != RESPONSE_BAD);
        if (verdict == RESPONSE_CUT) {
            REQUIRE(result->is_finished);
            return;
        }
        at += got.used;
        if (got.status == 100) continue;
        count++;
        if (got.is_close) REQUIRE(at == result->len && result->is_finished);
    }
    REQUIRE(count <= result->heads + 1);
}

/* Whether 100 (Continue) is sent depends on whether the body has begun to come (RFC 9110,
 * 10.1.1); nothing else may differ. */
static size_t without_continues(const outcome *result, char *out) {
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    size_t len = 0, size = sizeof(text) - 1;
    for (size_t at = 0; at < result->len;) {
        const char *from = result->out + at;
        const char *hit = memmem(from, result->len - at, text, size);
        size_t keep = hit ? (size_t)(hit - from) : result->len - at;
        memmove(out + len, from, keep);
        len += keep;
        at += keep + (hit ? size : 0);
    }
    return len;
}

/* want is without its continues: what an echoed body looks like without them may hold one anew. */
static void require_same(const outcome *want, outcome got) {
    REQUIRE(want->heads == got.heads && want->gones == got.gones && want->fault == got.fault);
    REQUIRE(want->is_finished == got.is_finished);
    got.len = without_continues(&got, got.out);
    REQUIRE(want->len == got.len && memcmp(want->out, got.out, got.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < CHOICES + 2 || size > 6000) return 0;
    /* A fault in a line may be told before the line ends, but need not be: so the last one ends. */
    size_t len = size - CHOICES;
    char *text = malloc(len);
    REQUIRE(text);
    memcpy(text, data + CHOICES + 2, len - 2);
    memcpy(text + len - 2, "\r\n", 2);
    size_t in = data[CHOICES] + 1u, out = data[CHOICES + 1] + 1u;
    static char first[OUT_MAX], other[OUT_MAX];
    outcome want = run(data, text, len, SIZE_MAX, SIZE_MAX, first);
    require_responses(&want);
    want.len = without_continues(&want, first);
    require_same(&want, run(data, text, len, in, SIZE_MAX, other));
    require_same(&want, run(data, text, len, in, out, other));
    require_same(&want, run(data, text, len, 1, 100, other));
    free(text);
    return 0;
}
