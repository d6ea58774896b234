#include "q5/multipart.h"

#include <stdlib.h>

#include "q5test.h"

static const struct boundary_row {
    const char *why;
    const char *type;
    int status;
    const char *boundary;
} boundary_rows[] = {
    {"a browser", "multipart/form-data; boundary=----WebKitFormBoundaryA1", Q5_OK,
     "----WebKitFormBoundaryA1"},
    {"RFC 9110, 8.3.1: type and parameter names are case-insensitive",
     "Multipart/Form-Data;BOUNDARY=x", Q5_OK, "x"},
    {"RFC 2046, 5.1.1: quoted where it holds a colon", "multipart/form-data; boundary=\"gc0p4:J0\"",
     Q5_OK, "gc0p4:J0"},
    {"other parameters", "multipart/form-data; charset=utf-8; boundary=x; a=\"b;c\"", Q5_OK, "x"},
    {"unquoted though not a token", "multipart/form-data; boundary=a/b=c", Q5_OK, "a/b=c"},
    {"an inner space", "multipart/form-data; boundary=\"a b\"", Q5_OK, "a b"},
    {"70 characters",
     "multipart/form-data; boundary="
     "1234567890123456789012345678901234567890123456789012345678901234567890",
     Q5_OK, "1234567890123456789012345678901234567890123456789012345678901234567890"},
    {"RFC 2046, 5.1.1: must be no longer than 70 characters",
     "multipart/form-data; boundary="
     "12345678901234567890123456789012345678901234567890123456789012345678901",
     Q5_EMULTIPART, ""},
    {"RFC 2046, 5.1.1: not ending with white space", "multipart/form-data; boundary=\"a \"",
     Q5_EMULTIPART, ""},
    {"empty", "multipart/form-data; boundary=", Q5_EMULTIPART, ""},
    {"empty, quoted", "multipart/form-data; boundary=\"\"", Q5_EMULTIPART, ""},
    {"missing", "multipart/form-data", Q5_EMULTIPART, ""},
    {"twice", "multipart/form-data; boundary=a; boundary=b", Q5_EMULTIPART, ""},
    {"an invalid character", "multipart/form-data; boundary=a*b", Q5_EMULTIPART, ""},
    {"quotes left open", "multipart/form-data; boundary=\"a", Q5_EMULTIPART, ""},
    {"no semicolon", "multipart/form-data boundary=a", Q5_EMULTIPART, ""},
    {"a longer type", "multipart/form-data2; boundary=a", Q5_NOT_FOUND, ""},
    {"another type", "multipart/mixed; boundary=a", Q5_NOT_FOUND, ""},
    {"cut off", "multipart/form-dat", Q5_NOT_FOUND, ""},
    {"nothing", "", Q5_NOT_FOUND, ""},
};

static void test_boundary(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(boundary_rows); i++) {
        const struct boundary_row *row = &boundary_rows[i];
        q5_slice got = Q5_LIT("");
        int status = q5_multipart_boundary(q5_slice_make(row->type, strlen(row->type)), &got);
        if (status != row->status) fail_msg("%s: %s", row->why, q5_status_name(status));
        assert_slice(got, row->boundary);
    }
    q5_multipart parser;
    q5_multipart_callbacks none = {0};
    assert_status(q5_multipart_init(&parser, NULL, Q5_LIT(""), NULL, &none, NULL), Q5_EINVAL);
    assert_status(q5_multipart_init(&parser, NULL, Q5_LIT("a\r"), NULL, &none, NULL), Q5_EINVAL);
}

/* What the callbacks saw: "{name|filename|content type:data}", the parts of data joined. */
typedef struct seen {
    char text[1024];
    size_t len;
    int fail_at_data; /* what part_data returns */
} seen;

static void put(seen *s, q5_slice text) {
    assert_true(text.len <= sizeof(s->text) - s->len);
    if (text.len) memcpy(s->text + s->len, text.base, text.len);
    s->len += text.len;
}

static int on_begin(void *ctx, const q5_part *part) {
    put(ctx, Q5_LIT("{"));
    put(ctx, part->name);
    put(ctx, Q5_LIT("|"));
    put(ctx, part->is_file ? part->filename : Q5_LIT("-"));
    put(ctx, Q5_LIT("|"));
    put(ctx, part->content_type);
    put(ctx, Q5_LIT(":"));
    return Q5_OK;
}

static int on_data(void *ctx, q5_slice data) {
    seen *s = ctx;
    assert_true(data.len > 0);
    put(s, data);
    return s->fail_at_data;
}

static int on_end(void *ctx) {
    put(ctx, Q5_LIT("}"));
    return Q5_OK;
}

static const q5_multipart_callbacks callbacks = {on_begin, on_data, on_end};

#define CD "Content-Disposition: form-data; "
#define PART(params, data) "--B\r\n" CD params "\r\n\r\n" data "\r\n"
#define ONE(params) PART(params, "d") "--B--\r\n"

static const struct row {
    const char *why;
    q5_slice body;
    int status;
    q5_slice seen;
} rows[] = {
    {"two fields", Q5_LIT(PART("name=\"a\"", "1") PART("name=b", "2") "--B--\r\n"), Q5_OK,
     Q5_LIT("{a|-|:1}{b|-|:2}")},
    {"a file",
     Q5_LIT("--B\r\n" CD "name=\"f\"; filename=\"x.txt\"\r\nContent-Type: text/plain\r\n\r\n"
            "hello\r\n--B--\r\n"),
     Q5_OK, Q5_LIT("{f|x.txt|text/plain:hello}")},
    {"no file chosen", Q5_LIT(ONE("name=\"f\"; filename=\"\"")), Q5_OK, Q5_LIT("{f||:d}")},
    {"empty data", Q5_LIT(PART("name=a", "") "--B--"), Q5_OK, Q5_LIT("{a|-|:}")},
    {"no part at all", Q5_LIT("--B--\r\n"), Q5_OK, Q5_LIT("")},
    {"data may hold CR, LF, NUL and half a delimiter",
     Q5_LIT(PART("name=a", "\r\r\n\r\n-\r\n--\r\n--A\n--B\0\r") "--B--"), Q5_OK,
     Q5_LIT("{a|-|:\r\r\n\r\n-\r\n--\r\n--A\n--B\0\r}")},
    {"CRLF before the delimiter belongs to it, a second one to the data",
     Q5_LIT(PART("name=a", "x\r\n") "--B--"), Q5_OK, Q5_LIT("{a|-|:x\r\n}")},
    {"RFC 2046, 5.1.1: preamble and epilogue are to be ignored",
     Q5_LIT("hi\r\n--A\r\n" PART("name=a", "x") "--B--\r\nbye\r\n--B\r\n"), Q5_OK,
     Q5_LIT("{a|-|:x}")},
    {"CRLF before the first delimiter", Q5_LIT("\r\n" ONE("name=a")), Q5_OK, Q5_LIT("{a|-|:d}")},
    {"RFC 2046, 5.1.1: transport padding",
     Q5_LIT("--B \t\r\n" CD "name=a\r\n\r\nx\r\n--B-- \t\r\n"), Q5_OK, Q5_LIT("{a|-|:x}")},
    {"field names in any case, no space behind the colon",
     Q5_LIT("--B\r\ncontent-DISPOSITION:Form-Data;NAME=a\r\n\r\nx\r\n--B--"), Q5_OK,
     Q5_LIT("{a|-|:x}")},

    {"RFC 9110, 5.6.4: quoted pairs", Q5_LIT(ONE("name=\"a\\\"b\\\\c\"")), Q5_OK,
     Q5_LIT("{a\"b\\c|-|:d}")},
    {"a path with bare backslashes", Q5_LIT(ONE("name=f; filename=\"C:\\dir\\x\"")), Q5_OK,
     Q5_LIT("{f|C:\\dir\\x|:d}")},
    {"HTML, 4.10.21.8: '\"' is sent as %22, CR and LF as %0D and %0A",
     Q5_LIT(ONE("name=\"a%22%0D%0A%20\"")), Q5_OK, Q5_LIT("{a\"%0D%0A%20|-|:d}")},
    {"cut off escapes stay", Q5_LIT(ONE("name=\"%2\"; filename=\"%22%\"")), Q5_OK,
     Q5_LIT("{%2|\"%|:d}")},
    {"a semicolon inside quotes", Q5_LIT(ONE("name=\"a;filename=x\"")), Q5_OK,
     Q5_LIT("{a;filename=x|-|:d}")},
    {"raw UTF-8", Q5_LIT(ONE("name=\"\xc3\xa9\"; filename=\xc3\xa9")), Q5_OK,
     Q5_LIT("{\xc3\xa9|\xc3\xa9|:d}")},
    {"RFC 8187, 3.2.3: filename*", Q5_LIT(ONE("name=a; filename*=UTF-8'en'%e2%82%ac%20rates")),
     Q5_OK, Q5_LIT("{a|\xe2\x82\xac rates|:d}")},
    {"RFC 6266, 4.3: filename* is preferred, whatever the order",
     Q5_LIT(ONE("name=a; filename*=utf-8''x; filename=\"y\"")), Q5_OK, Q5_LIT("{a|x|:d}")},
    {"the other order", Q5_LIT(ONE("name=a; filename=y; filename*=utf-8''x")), Q5_OK,
     Q5_LIT("{a|x|:d}")},
    {"unknown parameters", Q5_LIT(ONE("x=y; name=a; name*=z")), Q5_OK, Q5_LIT("{a|-|:d}")},

    {"filename* in another charset", Q5_LIT(ONE("name=a; filename*=iso-8859-1''%e9")),
     Q5_EMULTIPART, Q5_LIT("")},
    {"filename* that is no UTF-8", Q5_LIT(ONE("name=a; filename*=UTF-8''%ff")), Q5_EMULTIPART,
     Q5_LIT("")},
    {"filename* with a bad escape", Q5_LIT(ONE("name=a; filename*=UTF-8''%f")), Q5_EMULTIPART,
     Q5_LIT("")},
    {"CWE-158: filename* with NUL", Q5_LIT(ONE("name=a; filename*=UTF-8''x%00.png")), Q5_EMULTIPART,
     Q5_LIT("")},
    {"filename* with one quote", Q5_LIT(ONE("name=a; filename*=UTF-8'x")), Q5_EMULTIPART,
     Q5_LIT("")},
    {"filename* without quotes", Q5_LIT(ONE("name=a; filename*=x")), Q5_EMULTIPART, Q5_LIT("")},
    {"filename* in double quotes", Q5_LIT(ONE("name=a; filename*=\"UTF-8''x\"")), Q5_EMULTIPART,
     Q5_LIT("")},
    {"name twice", Q5_LIT(ONE("name=a; name=b")), Q5_EMULTIPART, Q5_LIT("")},
    {"filename twice", Q5_LIT(ONE("name=a; filename=a; filename=b")), Q5_EMULTIPART, Q5_LIT("")},
    {"filename* twice", Q5_LIT(ONE("name=a; filename*=utf-8''a; filename*=utf-8''b")),
     Q5_EMULTIPART, Q5_LIT("")},
    {"RFC 7578, 4.2: must contain name", Q5_LIT(ONE("filename=a")), Q5_EMULTIPART, Q5_LIT("")},
    {"quotes left open", Q5_LIT(ONE("name=\"a")), Q5_EMULTIPART, Q5_LIT("")},
    {"quotes closed twice", Q5_LIT(ONE("name=\"a\"b")), Q5_EMULTIPART, Q5_LIT("")},
    {"RFC 7578, 4.2: the disposition type is form-data",
     Q5_LIT("--B\r\nContent-Disposition: attachment; name=a\r\n\r\nx\r\n--B--"), Q5_EMULTIPART,
     Q5_LIT("")},
    {"RFC 7578, 4.2: each part must have one",
     Q5_LIT("--B\r\nContent-Type: text/plain\r\n\r\nx\r\n--B--"), Q5_EMULTIPART, Q5_LIT("")},
    {"no header at all", Q5_LIT("--B\r\n\r\nx\r\n--B--"), Q5_EMULTIPART, Q5_LIT("")},
    {"two dispositions", Q5_LIT("--B\r\n" CD "name=a\r\n" CD "name=b\r\n\r\nx\r\n--B--"),
     Q5_EMULTIPART, Q5_LIT("")},
    {"two types",
     Q5_LIT("--B\r\n" CD "name=a\r\nContent-Type: a/b\r\nContent-Type: c/d\r\n\r\nx\r\n--B--"),
     Q5_EMULTIPART, Q5_LIT("")},
    {"RFC 9112, 5.2: folded", Q5_LIT("--B\r\n" CD "\r\n name=a\r\n\r\nx\r\n--B--"), Q5_EMULTIPART,
     Q5_LIT("")},
    {"a space before the colon", Q5_LIT("--B\r\n" CD "name=a\r\nX : y\r\n\r\nx\r\n--B--"),
     Q5_EMULTIPART, Q5_LIT("")},
    {"no colon", Q5_LIT("--B\r\n" CD "name=a\r\nX\r\n\r\nx\r\n--B--"), Q5_EMULTIPART, Q5_LIT("")},
    {"no field name", Q5_LIT("--B\r\n" CD "name=a\r\n: y\r\n\r\nx\r\n--B--"), Q5_EMULTIPART,
     Q5_LIT("")},
    {"bare LF in a header", Q5_LIT("--B\r\n" CD "name=a\n\r\nx\r\n--B--"), Q5_EMULTIPART,
     Q5_LIT("")},
    {"bare CR in a header", Q5_LIT("--B\r\n" CD "name=\"a\rb\"\r\n\r\nx\r\n--B--"), Q5_EMULTIPART,
     Q5_LIT("")},
    {"NUL in a header", Q5_LIT("--B\r\n" CD "name=\"a\0b\"\r\n\r\nx\r\n--B--"), Q5_EMULTIPART,
     Q5_LIT("")},
    {"a delimiter inside a header", Q5_LIT("--B\r\n" CD "name=a\r\n--B--\r\n\r\n"), Q5_EMULTIPART,
     Q5_LIT("")},
    {"a delimiter with a tail", Q5_LIT("--Bx\r\n" CD "name=a\r\n\r\nx\r\n--B--"), Q5_EMULTIPART,
     Q5_LIT("")},
    {"one closing dash", Q5_LIT("--B-\r\n"), Q5_EMULTIPART, Q5_LIT("")},
    {"a delimiter that ends in CR without LF", Q5_LIT("--B\rx"), Q5_EMULTIPART, Q5_LIT("")},
    {"a delimiter that ends in LF", Q5_LIT("--B\n"), Q5_EMULTIPART, Q5_LIT("")},
    {"no closing delimiter", Q5_LIT(PART("name=a", "x")), Q5_EMULTIPART, Q5_LIT("{a|-|:x")},
    {"cut off in the closing delimiter", Q5_LIT(PART("name=a", "x") "--B-"), Q5_EMULTIPART,
     Q5_LIT("{a|-|:x}")},
    {"an empty body", Q5_LIT(""), Q5_EMULTIPART, Q5_LIT("")},
    {"no delimiter", Q5_LIT("hello"), Q5_EMULTIPART, Q5_LIT("")},
};

/* Feeds the body in pieces: the first of `first` bytes, then of `step`, each copied to memory of
 * its own size so that reading past one is found out. */
static int run(q5_slice body, const q5_multipart_limits *limits, size_t first, size_t step,
               seen *s) {
    q5_multipart parser;
    assert_status(q5_multipart_init(&parser, NULL, Q5_LIT("B"), limits, &callbacks, s), Q5_OK);
    int status = Q5_OK;
    for (size_t pos = 0; pos < body.len && status == Q5_OK;) {
        size_t len = pos == 0 ? first : step;
        if (len > body.len - pos) len = body.len - pos;
        char *piece = malloc(len ? len : 1);
        memcpy(piece, body.base + pos, len);
        status = q5_multipart_feed(&parser, piece, len);
        free(piece);
        pos += len;
    }
    int finish = q5_multipart_finish(&parser);
    if (status) assert_status(finish, status);
    q5_multipart_deinit(&parser);
    return finish;
}

static void check_row(const struct row *row, size_t first, size_t step) {
    seen s = {0};
    int status = run(row->body, NULL, first, step, &s);
    if (status != row->status) fail_msg("%s: %s", row->why, q5_status_name(status));
    /* Half a delimiter at the end of a body that is cut off is no data yet. */
    if (!q5_slice_eq(q5_slice_make(s.text, s.len), row->seen))
        fail_msg("%s (%zu, %zu): %.*s", row->why, first, step, (int)s.len, s.text);
}

static void test_rows_cut_anywhere(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        for (size_t step = 1; step < 8; step++)
            check_row(&rows[i], step, step);
        for (size_t first = 1; first <= rows[i].body.len; first++)
            check_row(&rows[i], first, SIZE_MAX);
    }
}

static void test_limits(void **state) {
    (void)state;
    const char body[] = "pre\r\n" PART("name=a", "1") PART("name=b; filename=b", "2")
        PART("name=c", "3") "--B--\r\n";
    q5_slice text = q5_slice_make(body, sizeof(body) - 1);
    q5_multipart_limits exact = {.fields_max = 2,
                                 .files_max = 1,
                                 .head_max = sizeof(CD "name=b; filename=b\r\n\r\n") - 1,
                                 .headers_max = 1,
                                 .slack_max =
                                     7}; /* "pre", the CRLF imagined before it, the last CRLF */
    q5_multipart_limits fields = exact, files = exact, head = exact, headers = exact, slack = exact;
    fields.fields_max--;
    files.files_max--;
    head.head_max--;
    headers.headers_max--;
    slack.slack_max = 3;
    const struct {
        const q5_multipart_limits *limits;
        int status;
    } table[] = {
        {&exact, Q5_OK},       {&fields, Q5_ETOO_MANY},  {&files, Q5_ETOO_MANY},
        {&head, Q5_ETOO_MANY}, {&headers, Q5_ETOO_MANY}, {&slack, Q5_EMULTIPART},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(table); i++) {
        seen whole = {0}, bytewise = {0};
        assert_status(run(text, table[i].limits, SIZE_MAX, 1, &whole), table[i].status);
        assert_status(run(text, table[i].limits, 1, 1, &bytewise), table[i].status);
    }
}

static void test_percent22_as_django(void **state) {
    (void)state;
    q5_multipart_limits limits = q5_multipart_limits_default();
    limits.decode_quote = false;
    seen s = {0};
    assert_status(run(Q5_LIT(ONE("name=\"a%22\\\"\"")), &limits, SIZE_MAX, 1, &s), Q5_OK);
    assert_slice(q5_slice_make(s.text, s.len), "{a%22\"|-|:d}");
}

static int keep_part(void *ctx, const q5_part *part) {
    *(q5_part *)ctx = *part;
    return Q5_OK;
}

static int ignore_data(void *ctx, q5_slice data) {
    (void)ctx;
    (void)data;
    return Q5_OK;
}

static int check_part_at_end(void *ctx) {
    q5_part *part = ctx;
    assert_slice(part->name, "a\"b");
    assert_int_equal(part->header_count, 2);
    assert_slice(part->headers[0].value, "form-data; name=\"a%22b\"");
    assert_slice(part->headers[1].name, "Content-Transfer-Encoding");
    assert_slice(part->headers[1].value, "base64");
    return Q5_OK;
}

/* Slices of a part live until its end; headers are given as they were sent. */
static void test_part_outlives_feed(void **state) {
    (void)state;
    const char body[] = "--B\r\n" CD "name=\"a%22b\"\r\nContent-Transfer-Encoding: base64 \r\n\r\n"
                        "eA==\r\n--B--\r\n";
    q5_part part;
    q5_multipart parser;
    const q5_multipart_callbacks keep = {keep_part, ignore_data, check_part_at_end};
    assert_status(q5_multipart_init(&parser, NULL, Q5_LIT("B"), NULL, &keep, &part), Q5_OK);
    for (size_t i = 0; i < sizeof(body) - 1; i++) {
        char c = body[i];
        assert_status(q5_multipart_feed(&parser, &c, 1), Q5_OK);
    }
    assert_status(q5_multipart_finish(&parser), Q5_OK);
    q5_multipart_deinit(&parser);
}

static void test_callback_stops_the_parser(void **state) {
    (void)state;
    seen s = {.fail_at_data = Q5_EBODY_LONG};
    assert_status(run(Q5_LIT(ONE("name=a")), NULL, SIZE_MAX, 1, &s), Q5_EBODY_LONG);
    assert_slice(q5_slice_make(s.text, s.len), "{a|-|:d");
}

static int scenario(const q5_alloc *alloc, void *ctx) {
    (void)ctx;
    seen s = {0};
    q5_multipart parser;
    int status = q5_multipart_init(&parser, alloc, Q5_LIT("B"), NULL, &callbacks, &s);
    char body[2048];
    int len =
        snprintf(body, sizeof(body), "--B\r\n" CD "name=a\r\nX: %01000d\r\n\r\nx\r\n--B--\r\n", 0);
    for (int i = 0; i < len && status == Q5_OK; i++)
        status = q5_multipart_feed(&parser, body + i, 1);
    if (status == Q5_OK) status = q5_multipart_finish(&parser);
    q5_multipart_deinit(&parser);
    return status;
}

static void test_failing_allocations(void **state) {
    (void)state;
    failmalloc_sweep(scenario, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boundary),
        cmocka_unit_test(test_rows_cut_anywhere),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_percent22_as_django),
        cmocka_unit_test(test_part_outlives_feed),
        cmocka_unit_test(test_callback_stops_the_parser),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
