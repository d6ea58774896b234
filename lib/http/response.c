/* The response writer: head, framing, body segments. Bodies are queued as they are, never copied,
 * unless they are so small that one more segment would cost more than the copy. */
#include "http/conn_internal.h"

#include <stdio.h>

#include "q5/problem.h"
#include "q5/reason.h"

#define HEAD_RESERVE 512
#define COPY_MAX 4096 /* bytes; measured: below it a memcpy beats a second iovec */
#define DATE_LEN 29

/* Memory of our own that a segment points to. */
typedef struct block {
    const q5_alloc *alloc;
    char data[];
} block;

static void block_release(void *ctx) {
    block *b = ctx;
    q5_free(b->alloc, b);
}

static void exchange_release(void *ctx) {
    q5_exchange_unref(ctx);
}

static void release_now(q5_release release, void *ctx) {
    if (release) release(ctx);
}

static bool is_open(const q5_exchange *x) {
    return x->conn && x->conn->state != Q5_CONN_END;
}

/* Q5_OK when x may take the call in that state. */
static int check(const q5_exchange *x, bool right_state) {
    if (!is_open(x)) return Q5_ECLOSED;
    return right_state ? Q5_OK : Q5_ESTATE;
}

static int ended(q5_exchange *x) {
    x->response_state = Q5_RESPONSE_END;
    q5__conn_response_ended(x->conn);
    return Q5_OK;
}

/* After a failure: what is queued may go out, but the client must see that it is cut. */
static int cut(q5_exchange *x, int status) {
    q5_response_abort(x);
    return status;
}

/* ---- head ------------------------------------------------------------------------------------ */

static void put(q5_buf *out, const char *text, size_t len) {
    memcpy(out->base + out->len, text, len);
    out->len += len;
}

static void put_status_line(q5_buf *out, int status, q5_slice reason) {
    char code[4] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10),
                    (char)('0' + status % 10), ' '};
    put(out, "HTTP/1.1 ", 9);
    put(out, code, 4);
    if (reason.len) put(out, reason.base, reason.len);
    put(out, "\r\nDate: ", 8);
}

/* These never have content (RFC 9110, 6.4.1 and 15.3.6), */
static bool status_is_bodiless(int status) {
    return status == 204 || status == 205 || status == 304;
}

/* and these say so by themselves; a 205 needs its Content-Length: 0 (RFC 9112, 6.3). */
static bool status_is_unframed(int status) {
    return status == 204 || status == 304;
}

/* reason NULL: the usual one. */
static int start(q5_exchange *x, int status, const q5_slice *reason) {
    int rc = check(x, x->response_state == Q5_RESPONSE_NONE);
    if (rc) return rc;
    bool is_upgrade = status == 101 && x->head.upgrade;
    if (!is_upgrade && (status < 200 || status > 599)) return Q5_EINVAL;
    rc = q5_buf_reserve(&x->out, HEAD_RESERVE + (reason ? reason->len : 0) + x->own_line.len);
    if (rc) return cut(x, rc);
    if (status == 200 && !reason)
        put(&x->out, "HTTP/1.1 200 OK\r\nDate: ", 23);
    else
        put_status_line(&x->out, status, reason ? *reason : q5_reason_phrase(status));
    put(&x->out, x->conn->config->date, DATE_LEN);
    put(&x->out, "\r\n", 2);
    if (x->own_line.len) put(&x->out, x->own_line.base, x->own_line.len);
    x->status = status;
    x->response_state = Q5_RESPONSE_HEAD;
    if (status_is_bodiless(status)) x->bodiless = true;
    if (x->body_state != Q5_BODY_COMPLETE && !q5__body_skippable(x->conn, x))
        x->response_close = true;
    return Q5_OK;
}

int q5_response_start(q5_exchange *x, int status) {
    return start(x, status, NULL);
}

void q5_response_reset(q5_exchange *x) {
    if (x->response_state != Q5_RESPONSE_HEAD) return;
    x->response_state = Q5_RESPONSE_NONE;
    x->out.len = 0;
    x->length = -1;
    x->bodiless = x->head.method_id == Q5_METHOD_HEAD;
}

static bool token_byte(unsigned char c) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
    return c && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

/* Nothing that ends a line or that a terminal obeys. */
static bool valid_text(q5_slice text) {
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) return false;
    }
    return true;
}

static bool valid_field(q5_slice name, q5_slice value) {
    if (name.len == 0) return false;
    for (size_t i = 0; i < name.len; i++)
        if (!token_byte((unsigned char)name.base[i])) return false;
    return valid_text(value);
}

int q5_response_start_reason(q5_exchange *x, int status, q5_slice reason) {
    return valid_text(reason) ? start(x, status, &reason) : Q5_EHEADER_OUT;
}

static bool parse_length(q5_slice value, int64_t *ret) {
    int64_t length = 0;
    if (value.len == 0 || value.len > 18) return false;
    for (size_t i = 0; i < value.len; i++) {
        if (value.base[i] < '0' || value.base[i] > '9') return false;
        length = length * 10 + (value.base[i] - '0');
    }
    *ret = length;
    return true;
}

/* Fields that frame the message belong to the library. True: the field was taken care of. */
static bool take_framing_field(q5_exchange *x, q5_slice name, q5_slice value, int *ret_status) {
    *ret_status = Q5_OK;
    switch (name.len) {
    case 10:
        if (q5_slice_ieq(name, Q5_LIT("keep-alive"))) return true;
        if (!q5_slice_ieq(name, Q5_LIT("connection"))) return false;
        if (q5_slice_ieq(value, Q5_LIT("close"))) x->response_close = true;
        return true;
    case 14:
        if (!q5_slice_ieq(name, Q5_LIT("content-length"))) return false;
        if (!parse_length(value, &x->length)) *ret_status = Q5_EHEADER_OUT;
        return true;
    case 17:
        return q5_slice_ieq(name, Q5_LIT("transfer-encoding"));
    case 4:
        return q5_slice_ieq(name, Q5_LIT("date"));
    default:
        return false;
    }
}

/* Takes the line of that name out of the head that was begun with it. */
static void replace_own_line(q5_exchange *x, q5_slice name) {
    q5_slice line = x->own_line;
    if (line.len <= name.len || line.base[name.len] != ':' ||
        !q5_slice_ieq(q5_slice_make(line.base, name.len), name))
        return;
    char *at = memmem(x->out.base, x->out.len, line.base, line.len);
    x->own_line.len = 0;
    if (!at) return;
    char *rest = at + line.len;
    memmove(at, rest, (size_t)(x->out.base + x->out.len - rest));
    x->out.len -= line.len;
}

int q5_response_field(q5_exchange *x, q5_slice name, q5_slice value) {
    int rc = check(x, x->response_state == Q5_RESPONSE_HEAD);
    if (rc) return rc;
    if (!valid_field(name, value)) return Q5_EHEADER_OUT;
    if (take_framing_field(x, name, value, &rc)) return rc;
    if (x->own_line.len) replace_own_line(x, name);
    rc = q5_buf_reserve(&x->out, name.len + value.len + 4);
    if (rc) return rc;
    put(&x->out, name.base, name.len);
    put(&x->out, ": ", 2);
    if (value.len) put(&x->out, value.base, value.len);
    put(&x->out, "\r\n", 2);
    return Q5_OK;
}

int q5_response_lines(q5_exchange *x, q5_slice lines) {
    int rc = check(x, x->response_state == Q5_RESPONSE_HEAD);
    return rc ? rc : q5_buf_append(&x->out, lines.base, lines.len);
}

static size_t format_length(char out[20], uint64_t n) {
    char digits[20];
    size_t len = 0;
    do {
        digits[len++] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    for (size_t i = 0; i < len; i++)
        out[i] = digits[len - 1 - i];
    return len;
}

/* Ends the head: framing, connection option, empty line. length -1: unknown. */
static int end_head(q5_exchange *x, int64_t length) {
    int rc = q5_buf_reserve(&x->out, 128);
    if (rc) return rc;
    q5_buf *out = &x->out;
    bool old = x->head.version_minor == 0;
    x->response_state = Q5_RESPONSE_FIXED;
    if (x->status == 205) length = 0;
    if (length >= 0) {
        /* A 304 may carry the length of what it stands for, but none is needed (RFC 9110, 15.4.5);
         * a 204 must not. */
        if (!status_is_unframed(x->status)) {
            char digits[20];
            put(out, "Content-Length: ", 16);
            put(out, digits, format_length(digits, (uint64_t)length));
            put(out, "\r\n", 2);
        }
    } else if (x->bodiless) {
        if (!old && !status_is_unframed(x->status)) put(out, "Transfer-Encoding: chunked\r\n", 28);
    } else if (old) {
        x->response_state = Q5_RESPONSE_UNTIL_CLOSE;
        x->response_close = true;
    } else {
        x->response_state = Q5_RESPONSE_CHUNKED;
        put(out, "Transfer-Encoding: chunked\r\n", 28);
    }
    /* "A sender of Upgrade MUST also send an "Upgrade" connection option" (RFC 9110, 7.8). */
    if (x->status == 426) put(out, "Connection: Upgrade\r\n", 21);
    if (x->conn->drain) x->response_close = true;
    if (x->response_close)
        put(out, "Connection: close\r\n", 19);
    else if (old)
        put(out, "Connection: keep-alive\r\n", 24);
    put(out, "\r\n", 2);
    x->length = length;
    return Q5_OK;
}

/* 101 is for q5_response_upgrade. */
static bool may_end_head(const q5_exchange *x) {
    return x->response_state == Q5_RESPONSE_HEAD && x->status >= 200;
}

static int queue_head(q5_exchange *x) {
    q5_segment segment = {.base = x->out.base,
                          .len = x->out.len,
                          .fd = -1,
                          .release = exchange_release,
                          .ctx = q5_exchange_ref(x)};
    return q5__conn_queue(x->conn, &segment);
}

/* ---- body ------------------------------------------------------------------------------------ */

/* The answer to a HEAD may tell the length of the body that it leaves out (RFC 9110, 9.3.2). */
static int64_t whole_length(const q5_exchange *x, q5_slice body) {
    bool is_told = x->head.method_id == Q5_METHOD_HEAD && body.len == 0 && x->length >= 0;
    return is_told ? x->length : (int64_t)body.len;
}

int q5_response_send(q5_exchange *x, q5_slice body, q5_release release, void *ctx) {
    int rc = check(x, may_end_head(x));
    if (!rc) rc = end_head(x, whole_length(x, body));
    if (rc) {
        release_now(release, ctx);
        return rc == Q5_ENOMEM ? cut(x, rc) : rc;
    }
    bool drop = x->bodiless || body.len == 0;
    bool copy = !drop && (body.len <= COPY_MAX || !release);
    if (copy) rc = q5_buf_append(&x->out, body.base, body.len);
    if (!rc) rc = queue_head(x);
    if (!rc && !drop && !copy) {
        q5_segment segment = {
            .base = body.base, .len = body.len, .fd = -1, .release = release, .ctx = ctx};
        rc = q5__conn_queue(x->conn, &segment);
    } else {
        release_now(release, ctx);
    }
    if (rc) return cut(x, rc);
    if (!drop) x->sent_len = body.len;
    return ended(x);
}

int q5_response_stream(q5_exchange *x, int64_t length) {
    int rc = check(x, may_end_head(x));
    if (rc) return rc;
    rc = end_head(x, length >= 0 ? length : x->length);
    if (!rc) rc = queue_head(x);
    if (rc) return cut(x, rc);
    q5__conn_wake(x->conn);
    return Q5_OK;
}

static bool streaming(const q5_exchange *x) {
    return x->response_state >= Q5_RESPONSE_FIXED && x->response_state < Q5_RESPONSE_END;
}

/* Chunk head, data and CRLF in one block. */
static int queue_small_chunk(q5_conn *conn, q5_slice data) {
    block *b = q5_malloc(conn->config->alloc, sizeof(*b) + Q5_CHUNK_HEAD_MAX + data.len + 2);
    if (!b) return Q5_ENOMEM;
    b->alloc = conn->config->alloc;
    size_t len = q5_chunk_head(b->data, data.len);
    memcpy(b->data + len, data.base, data.len);
    memcpy(b->data + len + data.len, "\r\n", 2);
    q5_segment segment = {
        .base = b->data, .len = len + data.len + 2, .fd = -1, .release = block_release, .ctx = b};
    return q5__conn_queue(conn, &segment);
}

static int queue_chunk_head(q5_conn *conn, size_t data_len) {
    block *b = q5_malloc(conn->config->alloc, sizeof(*b) + Q5_CHUNK_HEAD_MAX);
    if (!b) return Q5_ENOMEM;
    b->alloc = conn->config->alloc;
    q5_segment segment = {.base = b->data,
                          .len = q5_chunk_head(b->data, data_len),
                          .fd = -1,
                          .release = block_release,
                          .ctx = b};
    return q5__conn_queue(conn, &segment);
}

/* Queues `segment` (len > 0) as a chunk; its release is called in every case. */
static int queue_large_chunk(q5_conn *conn, const q5_segment *segment) {
    int rc = queue_chunk_head(conn, segment->len);
    if (rc) {
        release_now(segment->release, segment->ctx);
        return rc;
    }
    rc = q5__conn_queue(conn, segment);
    if (rc) return rc;
    static const q5_segment crlf = {.base = "\r\n", .len = 2, .fd = -1};
    return q5__conn_queue(conn, &crlf);
}

static int queue_copy(q5_conn *conn, q5_slice data) {
    block *b = q5_malloc(conn->config->alloc, sizeof(*b) + data.len);
    if (!b) return Q5_ENOMEM;
    b->alloc = conn->config->alloc;
    memcpy(b->data, data.base, data.len);
    q5_segment segment = {
        .base = b->data, .len = data.len, .fd = -1, .release = block_release, .ctx = b};
    return q5__conn_queue(conn, &segment);
}

/* Takes over the segment's release. */
static int queue_body(q5_exchange *x, const q5_segment *segment) {
    q5_conn *conn = x->conn;
    bool chunked = x->response_state == Q5_RESPONSE_CHUNKED;
    bool copy = segment->fd < 0 && (segment->len <= COPY_MAX || !segment->release);
    if (copy) {
        q5_slice data = q5_slice_make(segment->base, segment->len);
        int rc = chunked ? queue_small_chunk(conn, data) : queue_copy(conn, data);
        release_now(segment->release, segment->ctx);
        return rc;
    }
    return chunked ? queue_large_chunk(conn, segment) : q5__conn_queue(conn, segment);
}

static int write_segment(q5_exchange *x, const q5_segment *segment) {
    int rc = check(x, streaming(x));
    if (!rc && !x->bodiless && x->length >= 0 && segment->len > (uint64_t)x->length - x->sent_len)
        rc = Q5_EINVAL;
    if (rc || segment->len == 0 || x->bodiless) {
        release_now(segment->release, segment->ctx);
        return rc;
    }
    rc = queue_body(x, segment);
    if (rc) return cut(x, rc);
    x->sent_len += segment->len;
    if (x->keep_alive_msec) x->conn->since_is_stale = true;
    bool full = x->conn->full;
    q5__conn_wake(x->conn);
    return full ? Q5_AGAIN : Q5_OK;
}

int q5_response_write(q5_exchange *x, q5_slice data, q5_release release, void *ctx) {
    q5_segment segment = {
        .base = data.base, .len = data.len, .fd = -1, .release = release, .ctx = ctx};
    return write_segment(x, &segment);
}

int q5_response_keep_alive(q5_exchange *x, q5_slice text, q5_msec after) {
    int rc = check(x, streaming(x) && x->length < 0);
    if (rc || x->bodiless) return rc;
    x->keep_alive = text;
    x->keep_alive_msec = after;
    x->conn->since_is_stale = true;
    q5__conn_wake(x->conn);
    return Q5_OK;
}

int q5_response_file(q5_exchange *x, int fd, uint64_t offset, uint64_t len, q5_release release,
                     void *ctx) {
    if (fd < 0) {
        release_now(release, ctx);
        return Q5_EINVAL;
    }
    q5_segment segment = {.len = len, .offset = offset, .fd = fd, .release = release, .ctx = ctx};
    return write_segment(x, &segment);
}

int q5_response_end(q5_exchange *x) {
    int rc = check(x, streaming(x));
    if (rc) return rc;
    if (x->response_state == Q5_RESPONSE_CHUNKED) {
        static const q5_segment last = {.base = "0\r\n\r\n", .len = 5, .fd = -1};
        rc = q5__conn_queue(x->conn, &last);
        if (rc) return cut(x, rc);
    }
    if (x->length >= 0 && !x->bodiless && x->sent_len < (uint64_t)x->length)
        x->response_close = true;
    return ended(x);
}

void q5_response_abort(q5_exchange *x) {
    if (!is_open(x)) return;
    x->response_close = true;
    ended(x);
}

static int send_problem(q5_exchange *x, q5_slice detail) {
    q5_buf body;
    q5_buf_init(&body, x->alloc);
    q5_slice id = x->status >= 500 ? x->request_id : q5_slice_make(NULL, 0);
    int rc = q5_problem_write(&body, x->status, q5_reason_phrase(x->status), detail, id);
    if (!rc) rc = q5_response_lines(x, Q5_LIT("Content-Type: application/problem+json\r\n"));
    if (rc)
        q5_response_abort(x);
    else
        rc = q5_response_send(x, q5_buf_slice(&body), NULL, NULL);
    q5_buf_deinit(&body);
    return rc;
}

int q5_response_problem(q5_exchange *x, int status, q5_slice detail) {
    int rc = q5_response_start(x, status);
    return rc ? rc : send_problem(x, detail);
}

int q5_response_allow(q5_exchange *x, uint32_t methods) {
    char text[128];
    size_t len = 0;
    methods |= 1u << Q5_METHOD_OPTIONS;
    if (methods & (1u << Q5_METHOD_GET)) methods |= 1u << Q5_METHOD_HEAD;
    for (int method = Q5_METHOD_GET; method < Q5_METHOD_COUNT; method++) {
        if (!(methods & (1u << method))) continue;
        const char *name = q5_method_name(method);
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", len ? ", " : "", name);
    }
    return q5_response_field(x, Q5_LIT("Allow"), q5_slice_make(text, len));
}

int q5_response_not_allowed(q5_exchange *x, uint32_t methods) {
    int rc = q5_response_start(x, 405);
    if (!rc) rc = q5_response_allow(x, methods);
    return rc ? rc : send_problem(x, q5_slice_make(NULL, 0));
}
