/* Responses: heads, field validation, streams, files, back-pressure, misuse. */
#include <fcntl.h>

#include "http/conn_script.h"

#include "http/response_read.h"

/* ---- streams --------------------------------------------------------------------------------- */

#define HEAD_CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

typedef struct row {
    const char *why, *input, *output;
    bool ends;
} row;

static const row rows[] = {
    {"RFC 9112, 7.1: chunked", GET("/chunked"), HEAD_CHUNKED "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
     false},
    {"no piece at all", GET("/empty"), HEAD_CHUNKED "0\r\n\r\n", false},
    {"of known length", GET("/fixed"), "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nabcdefg",
     false},
    {"RFC 9112, 6.3: until close for 1.0", "GET /chunked HTTP/1.0\r\n\r\n",
     "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcdefg", true},
    {"of known length for 1.0", "GET /fixed HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
     "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: keep-alive\r\n\r\nabcdefg", false},
    {"longer than declared: the piece is dropped, the connection cut", GET("/more"),
     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", true},
    {"shorter than declared", GET("/less"), "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcdefg",
     true},
    {"cut: no last chunk", GET("/cut"), HEAD_CHUNKED "3\r\nabc\r\n4\r\ndefg\r\n", true},
    {"HEAD", "HEAD /fixed HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
     false},
    {"HEAD of one that is shorter", "HEAD /less HTTP/1.1\r\n" HOST "\r\n",
     "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", false},
    {"HEAD of unknown length for 1.0", "HEAD /chunked HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
     "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", false},
    {"a file", GET("/file"), "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfile", false},
    {"a file in a chunk", GET("/file-chunked"), HEAD_CHUNKED "4\r\nfile\r\n0\r\n\r\n", false},
    {"HEAD of a file", "HEAD /file HTTP/1.1\r\n" HOST "\r\n",
     "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", false},
    {"taken over, not copied", GET("/taken"), NULL, false},
};

static int make_file(void) {
    char path[] = "/tmp/q5-response-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(write(fd, "a, file!", 8), 8);
    return fd;
}

static void test_streams(void **state) {
    (void)state;
    int fd = make_file();
    assert_int_equal(pwrite(fd, "file", 4, 3), 4);
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows) * 2; i++) {
        const row *want = &rows[i / 2];
        rig r;
        rig_init(&r);
        r.fd = fd;
        if (i % 2) r.send_max = 0;
        rig_say(&r, want->input);
        for (int n = 0; i % 2 && n < 8000 && q5_conn_has_output(r.conn); n++) {
            r.send_max = 1; /* byte by byte */
            rig_flush(&r);
        }
        const char *got = rig_output(&r);
        if (want->output && strcmp(got, want->output) != 0) fail_msg("%s: %s", want->why, got);
        if (q5_conn_finished(r.conn) != want->ends) fail_msg("%s: ends or not", want->why);
        assert_int_equal(r.dones, 1);
        rig_deinit(&r);
    }
    close(fd);
}

/* ---- back-pressure --------------------------------------------------------------------------- */

static void test_back_pressure(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    r.pieces = 100;
    r.send_max = 0;
    rig_say(&r, GET("/pump") GET("/after"));
    /* 256 KiB are 14 pieces of 20,000 bytes. */
    assert_int_equal(r.taken, 14);
    assert_int_equal(r.drains, 0);
    r.send_max = 150000;
    rig_flush(&r);
    assert_int_equal(r.drains, 0); /* more than out_low is left */
    r.send_max = 70000;
    rig_flush(&r);
    assert_int_equal(r.drains, 1);
    assert_true(r.taken > 14 && r.pieces > 0);
    r.send_max = SIZE_MAX;
    rig_flush(&r);
    assert_int_equal(r.pieces, 0);
    assert_int_equal(r.taken, 100);
    assert_true(r.drains <= 12);
    /* The request behind the stream, which ended inside on_drain, has its turn too. */
    assert_int_equal(r.requests, 2);
    response got;
    r.out[r.out_len] = '\0';
    assert_int_equal(response_read(r.out, r.out_len, false, &got), RESPONSE_WHOLE);
    assert_int_equal(got.body_len, 2000000);
    assert_int_equal(response_read(r.out + got.used, r.out_len - got.used, false, &got),
                     RESPONSE_WHOLE);
    assert_int_equal(got.body_len, 2);
    assert_true(q5_conn_idle(r.conn));
    rig_deinit(&r);
}

/* ---- fields ---------------------------------------------------------------------------------- */

typedef struct field_row {
    const char *why;
    q5_slice name, value;
    int status;
    const char *line; /* in the head; NULL: nothing */
} field_row;

/* Q5_LIT in a table of constants. */
#define T(text) \
    { text, sizeof(text) - 1 }

static const field_row field_rows[] = {
    {"a field", T("X-A"), T("b"), Q5_OK, "X-A: b\r\n"},
    {"no value", T("X-A"), T(""), Q5_OK, "X-A: \r\n"},
    {"RFC 9110, 5.6.2: any token", T("!#$%&'*+-.^_`|~09azAZ"), T("1"), Q5_OK,
     "!#$%&'*+-.^_`|~09azAZ: 1\r\n"},
    {"RFC 9110, 5.5: tabs and bytes past ASCII", T("X-A"), T("a\tb\xc3\xa9"), Q5_OK,
     "X-A: a\tb\xc3\xa9\r\n"},
    {"uvicorn CVE-2020-7695: CRLF in a value", T("X-A"), T("a\r\nSet-Cookie: b"), Q5_EHEADER_OUT,
     NULL},
    {"LF", T("X-A"), T("a\nb"), Q5_EHEADER_OUT, NULL},
    {"CR", T("X-A"), T("a\r"), Q5_EHEADER_OUT, NULL},
    {"NUL", T("X-A"), T("a\0b"), Q5_EHEADER_OUT, NULL},
    {"ESC", T("X-A"), T("\x1b[2J"), Q5_EHEADER_OUT, NULL},
    {"DEL", T("X-A"), T("\x7f"), Q5_EHEADER_OUT, NULL},
    {"no name", T(""), T("a"), Q5_EHEADER_OUT, NULL},
    {"CRLF in a name", T("X\r\nY"), T("a"), Q5_EHEADER_OUT, NULL},
    {"a colon in a name", T("X:"), T("a"), Q5_EHEADER_OUT, NULL},
    {"a space in a name", T("X A"), T("a"), Q5_EHEADER_OUT, NULL},
    {"NUL in a name", T("X\0"), T("a"), Q5_EHEADER_OUT, NULL},
    {"a byte past ASCII in a name", T("X\xe9"), T("a"), Q5_EHEADER_OUT, NULL},
    {"the framing is ours", T("Transfer-Encoding"), T("gzip"), Q5_OK, NULL},
    {"the framing is ours, in any case", T("TRANSFER-ENCODING"), T("chunked"), Q5_OK, NULL},
    {"hop-by-hop", T("Keep-Alive"), T("timeout=5"), Q5_OK, NULL},
    {"hop-by-hop options", T("Connection"), T("X-Secret"), Q5_OK, NULL},
    {"the date is ours", T("date"), T("now"), Q5_OK, NULL},
    {"a length that differs from the body's", T("Content-Length"), T("99"), Q5_OK, NULL},
    {"no length", T("Content-Length"), T("-1"), Q5_EHEADER_OUT, NULL},
    {"a listed length", T("content-length"), T("1, 1"), Q5_EHEADER_OUT, NULL},
    {"a length past 2^59", T("Content-Length"), T("9999999999999999999"), Q5_EHEADER_OUT, NULL},
};

/* An exchange that waits for its answer. */
static q5_exchange *waiting(rig *r, const char *input) {
    rig_init(r);
    rig_say(r, input);
    assert_int_equal(r->later_count, 1);
    return r->later[0];
}

static void test_fields(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(field_rows); i++) {
        const field_row *want = &field_rows[i];
        char output[256];
        rig r;
        q5_exchange *x = waiting(&r, GET("/later"));
        assert_status(q5_response_start(x, 200), Q5_OK);
        int status = q5_response_field(x, want->name, want->value);
        if (status != want->status) fail_msg("%s: %s", want->why, q5_status_name(status));
        assert_status(q5_response_send(x, Q5_LIT("ok"), NULL, NULL), Q5_OK);
        rig_flush(&r);
        snprintf(output, sizeof(output), "HTTP/1.1 200 OK\r\n%sContent-Length: 2\r\n\r\nok",
                 want->line ? want->line : "");
        if (strcmp(rig_output(&r), output) != 0) fail_msg("%s: %s", want->why, r.out);
        rig_deinit(&r);
    }
}

typedef struct reason_row {
    const char *why;
    int status;
    q5_slice reason;
    int want;
    const char *line;
} reason_row;

static const reason_row reason_rows[] = {
    {"RFC 9112, 4: words, spaces, tabs", 200, T("Fine by\tme"), Q5_OK, "200 Fine by\tme"},
    {"obs-text", 404, T("Nichts da f\xfcr Sie"), Q5_OK, "404 Nichts da f\xfcr Sie"},
    {"none", 500, T(""), Q5_OK, "500 "},
    {"the status decides about the body", 204, T("Nothing"), Q5_OK, "204 Nothing"},
    {"CRLF: CWE-113", 200, T("OK\r\nSet-Cookie: a=b"), Q5_EHEADER_OUT, NULL},
    {"LF", 200, T("OK\nX: y"), Q5_EHEADER_OUT, NULL},
    {"CR", 200, T("OK\rX"), Q5_EHEADER_OUT, NULL},
    {"NUL", 200, T("O\0K"), Q5_EHEADER_OUT, NULL},
    {"escape", 200, T("\x1b[2J"), Q5_EHEADER_OUT, NULL},
    {"DEL", 200, T("\x7f"), Q5_EHEADER_OUT, NULL},
    {"status out of range", 199, T("Odd"), Q5_EINVAL, NULL},
};

static void test_reason(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(reason_rows); i++) {
        const reason_row *want = &reason_rows[i];
        char output[256];
        rig r;
        q5_exchange *x = waiting(&r, GET("/later"));
        int status = q5_response_start_reason(x, want->status, want->reason);
        if (status != want->want) fail_msg("%s: %s", want->why, q5_status_name(status));
        if (status) assert_status(q5_response_start(x, 204), Q5_OK); /* nothing was begun */
        assert_status(q5_response_send(x, q5_slice_make(NULL, 0), NULL, NULL), Q5_OK);
        rig_flush(&r);
        snprintf(output, sizeof(output), "HTTP/1.1 %s\r\n%s\r\n",
                 want->line ? want->line : "204 No Content",
                 status || want->status == 204 ? "" : "Content-Length: 0\r\n");
        if (strcmp(rig_output(&r), output) != 0) fail_msg("%s: %s", want->why, r.out);
        rig_deinit(&r);
    }
}

/* A phrase has no bound but memory: it must not run over the room that heads have. */
static void test_long_reason(void **state) {
    (void)state;
    static char text[5000];
    memset(text, 'x', sizeof(text));
    rig r;
    q5_exchange *x = waiting(&r, GET("/later"));
    assert_status(q5_response_start_reason(x, 200, q5_slice_make(text, sizeof(text))), Q5_OK);
    assert_status(q5_response_send(x, q5_slice_make(NULL, 0), NULL, NULL), Q5_OK);
    rig_flush(&r);
    assert_memory_equal(rig_output(&r), "HTTP/1.1 200 xxx", 16);
    assert_int_equal(strspn(r.out + 13, "x"), sizeof(text));
    rig_deinit(&r);
}

/* RFC 9110, 9.3.2: what GET would have said, without the body being made. */
static void test_head_with_declared_length(void **state) {
    (void)state;
    rig r;
    q5_exchange *x = waiting(&r, "HEAD /later HTTP/1.1\r\n" HOST "\r\n");
    q5_response_start(x, 200);
    q5_response_field(x, Q5_LIT("Content-Length"), Q5_LIT("1234"));
    q5_response_send(x, q5_slice_make(NULL, 0), NULL, NULL);
    rig_flush(&r);
    assert_output(&r, "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
    assert_true(q5_conn_idle(r.conn));
    rig_deinit(&r);
}

static void test_declared_length_of_a_stream(void **state) {
    (void)state;
    rig r;
    q5_exchange *x = waiting(&r, GET("/later"));
    q5_response_start(x, 200);
    q5_response_field(x, Q5_LIT("Content-Length"), Q5_LIT("3"));
    q5_response_stream(x, -1);
    assert_status(q5_response_write(x, Q5_LIT("abcd"), NULL, NULL), Q5_EINVAL);
    assert_status(q5_response_write(x, Q5_LIT("abc"), NULL, NULL), Q5_OK);
    assert_status(q5_response_write(x, Q5_LIT("d"), NULL, NULL), Q5_EINVAL);
    assert_int_equal(x->sent_len, 3);
    assert_status(q5_response_end(x), Q5_OK);
    rig_flush(&r);
    assert_output(&r, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    assert_true(q5_conn_idle(r.conn));
    rig_deinit(&r);
}

/* ---- whole answers of the library's own ------------------------------------------------------ */

static void test_problem(void **state) {
    (void)state;
    rig r;
    q5_exchange *x = waiting(&r, GET("/later"));
    assert_status(q5_response_problem(x, 404, Q5_LIT("no \"such\" city")), Q5_OK);
    rig_flush(&r);
    assert_output(&r, "HTTP/1.1 404 Not Found\r\nContent-Type: application/problem+json\r\n"
                      "Content-Length: 83\r\n\r\n{\"type\":\"about:blank\",\"title\":"
                      "\"Not Found\",\"status\":404,\"detail\":\"no \\\"such\\\" city\"}");
    rig_deinit(&r);
}

/* What the application has for every head, and what it says once more. */
static void test_own_line(void **state) {
    (void)state;
    static const struct {
        const char *name, *head;
    } own_lines[] = {
        {"Other", "X-Id: 7\r\nOther: value\r\n"},
        {"x-ID", "x-ID: value\r\n"},
        {"X", "X-Id: 7\r\nX: value\r\n"},
        {"X-Id-Else", "X-Id: 7\r\nX-Id-Else: value\r\n"},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(own_lines); i++) {
        rig r;
        char want[128];
        q5_exchange *x = waiting(&r, GET("/later"));
        x->own_line = Q5_LIT("X-Id: 7\r\n");
        q5_response_start(x, 204);
        q5_slice name = q5_slice_make(own_lines[i].name, strlen(own_lines[i].name));
        assert_status(q5_response_field(x, name, Q5_LIT("value")), Q5_OK);
        q5_response_send(x, q5_slice_make(NULL, 0), NULL, NULL);
        rig_flush(&r);
        snprintf(want, sizeof(want), "HTTP/1.1 204 No Content\r\n%s\r\n", own_lines[i].head);
        assert_output(&r, want);
        rig_deinit(&r);
    }
}

static void test_problem_of_5xx_names_the_request(void **state) {
    (void)state;
    for (int status = 404; status <= 504; status += 100) {
        rig r;
        q5_exchange *x = waiting(&r, GET("/later"));
        x->request_id = Q5_LIT("a-1");
        assert_status(q5_response_problem(x, status, q5_slice_make(NULL, 0)), Q5_OK);
        rig_flush(&r);
        bool named = strstr(rig_output(&r), ",\"request_id\":\"a-1\"}") != NULL;
        assert_int_equal(named, status == 504);
        rig_deinit(&r);
    }
}

static void test_not_allowed(void **state) {
    (void)state;
    rig r;
    q5_exchange *x = waiting(&r, "DELETE /later HTTP/1.1\r\n" HOST "\r\n");
    assert_status(q5_response_not_allowed(x, 1u << Q5_METHOD_GET | 1u << Q5_METHOD_POST), Q5_OK);
    rig_flush(&r);
    const char *got = rig_output(&r);
    assert_int_equal(strncmp(got, "HTTP/1.1 405 Method Not Allowed\r\n", 33), 0);
    assert_non_null(strstr(got, "\r\nAllow: GET, HEAD, POST, OPTIONS\r\n"));
    rig_deinit(&r);
}

static void test_allow_of_all_methods_fits(void **state) {
    (void)state;
    rig r;
    q5_exchange *x = waiting(&r, GET("/later"));
    assert_status(q5_response_start(x, 204), Q5_OK);
    assert_status(q5_response_allow(x, UINT32_MAX), Q5_OK);
    assert_status(q5_response_send(x, q5_slice_make(NULL, 0), NULL, NULL), Q5_OK);
    rig_flush(&r);
    assert_non_null(strstr(rig_output(&r), "\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, "
                                           "OPTIONS, TRACE, CONNECT, QUERY\r\n"));
    rig_deinit(&r);
}

/* ---- misuse ---------------------------------------------------------------------------------- */

static void test_states(void **state) {
    (void)state;
    rig r;
    q5_exchange *x = waiting(&r, GET("/later"));
    assert_status(q5_response_field(x, Q5_LIT("A"), Q5_LIT("b")), Q5_ESTATE);
    assert_status(q5_response_stream(x, -1), Q5_ESTATE);
    r.taken += 2;
    assert_status(q5_response_send(x, Q5_LIT("b"), rig_release, &r), Q5_ESTATE);
    assert_status(q5_response_write(x, Q5_LIT("b"), rig_release, &r), Q5_ESTATE);
    assert_status(q5_response_end(x), Q5_ESTATE);
    static const int bad[] = {0, 100, 101, 199, 600, 1000, -200};
    for (size_t i = 0; i < Q5_ARRAY_LEN(bad); i++)
        assert_status(q5_response_start(x, bad[i]), Q5_EINVAL);
    assert_status(q5_response_start(x, 599), Q5_OK);
    assert_status(q5_response_start(x, 200), Q5_ESTATE);
    assert_status(q5_response_stream(x, 1), Q5_OK);
    assert_status(q5_response_start(x, 200), Q5_ESTATE);
    assert_status(q5_response_stream(x, 1), Q5_ESTATE);
    assert_status(q5_response_lines(x, Q5_LIT("A: b\r\n")), Q5_ESTATE);
    q5_response_reset(x); /* too late */
    r.taken++;
    assert_status(q5_response_file(x, -1, 0, 1, rig_release, &r), Q5_EINVAL);
    assert_status(q5_response_write(x, Q5_LIT("b"), NULL, NULL), Q5_OK);
    assert_status(q5_response_end(x), Q5_OK);
    assert_null(x->conn);
    assert_status(q5_response_end(x), Q5_ECLOSED);
    q5_response_abort(x);
    rig_flush(&r);
    assert_output(&r, "HTTP/1.1 599 Unknown\r\nContent-Length: 1\r\n\r\nb");
    assert_true(q5_conn_idle(r.conn));
    rig_deinit(&r);
}

/* What was begun can be taken back as long as none of it was queued. */
static void test_reset(void **state) {
    (void)state;
    rig r;
    q5_exchange *x = waiting(&r, GET("/later"));
    q5_response_start(x, 204);
    q5_response_field(x, Q5_LIT("X-Secret"), Q5_LIT("1"));
    q5_response_field(x, Q5_LIT("Content-Length"), Q5_LIT("9"));
    q5_response_reset(x);
    assert_status(rig_text(x, 500, "oops"), Q5_OK);
    rig_flush(&r);
    assert_output(&r, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops");
    rig_deinit(&r);
}

/* A stream that is begun before the body has come: the body is not read, the connection ends. */
static void test_abort_releases_and_cuts(void **state) {
    (void)state;
    rig r;
    q5_exchange *x = waiting(&r, GET("/later"));
    r.send_max = 0;
    r.taken++;
    q5_response_start(x, 200);
    q5_response_stream(x, 100000);
    assert_status(q5_response_write(x, q5_slice_make(rig_big().base, 50000), rig_release, &r),
                  Q5_OK);
    q5_response_abort(x);
    assert_false(q5_conn_finished(r.conn)); /* what is queued goes out first */
    assert_int_equal(r.released, 0);
    r.send_max = SIZE_MAX;
    rig_flush(&r);
    assert_int_equal(r.released, 1);
    assert_true(q5_conn_finished(r.conn));
    response got;
    r.out[r.out_len] = '\0';
    assert_int_equal(response_read(r.out, r.out_len, false, &got), RESPONSE_CUT);
    rig_deinit(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_reason),
        cmocka_unit_test(test_long_reason),
        cmocka_unit_test(test_head_with_declared_length),
        cmocka_unit_test(test_declared_length_of_a_stream),
        cmocka_unit_test(test_problem),
        cmocka_unit_test(test_own_line),
        cmocka_unit_test(test_problem_of_5xx_names_the_request),
        cmocka_unit_test(test_not_allowed),
        cmocka_unit_test(test_allow_of_all_methods_fits),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_abort_releases_and_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
