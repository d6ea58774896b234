#include "q5/static_file.h"

#include "http/headtest.h"
#include "q5test.h"

#define GET Q5_METHOD_GET
#define HEAD Q5_METHOD_HEAD

#define AT "Sun, 06 Nov 1994 08:49:37 GMT"
#define AT_SECONDS INT64_C(784111777)

#define VALIDATORS "ETag: \"a\"\nLast-Modified: " AT "\nCache-Control: max-age=60\n"
#define CONTENT "Content-Type: text/plain; charset=utf-8\nAccept-Ranges: bytes\n" NOSNIFF
#define NOSNIFF "X-Content-Type-Options: nosniff\n"

static const q5_static_file plain = {.fd = -1,
                                     .size = 1000,
                                     .mtime = AT_SECONDS,
                                     .content_type = {"text/plain; charset=utf-8", 25},
                                     .etag_len = 3,
                                     .etag = "\"a\""};

static const struct row {
    const char *why;
    q5_method method;
    const char *lines;
    int status;
    uint64_t offset;
    uint64_t body; /* bytes sent; 0: none */
    const char *headers;
} rows[] = {
    {"GET", GET, "", 200, 0, 1000, VALIDATORS "Content-Length: 1000\n" CONTENT},
    {"RFC 9110, 9.3.2: HEAD has GET's fields, no content", HEAD, "", 200, 0, 0,
     VALIDATORS "Content-Length: 1000\n" CONTENT},
    {"RFC 9110, 15.5.6: 405 must have Allow", Q5_METHOD_POST, "", 405, 0, 0,
     "Allow: GET, HEAD\nContent-Length: 0\n"},
    {"RFC 9110, 15.4.5: 304 repeats the validators", GET, "If-None-Match: \"a\"", 304, 0, 0,
     VALIDATORS},
    {"304 by date, HEAD", HEAD, "If-Modified-Since: " AT, 304, 0, 0, VALIDATORS},
    {"412", GET, "If-Match: \"b\"", 412, 0, 0, "Content-Length: 0\n"},
    {"RFC 9110, 15.3.7.1: 206", GET, "Range: bytes=10-19", 206, 10, 10,
     VALIDATORS "Content-Length: 10\nContent-Range: bytes 10-19/1000\n" CONTENT},
    {"RFC 9110, 14.2: Range counts for GET only", HEAD, "Range: bytes=10-19", 200, 0, 0,
     VALIDATORS "Content-Length: 1000\n" CONTENT},
    {"several ranges: the whole", GET, "Range: bytes=0-1,5-6", 200, 0, 1000,
     VALIDATORS "Content-Length: 1000\n" CONTENT},
    {"several that are one", GET, "Range: bytes=0-1,2-6", 206, 0, 7,
     VALIDATORS "Content-Length: 7\nContent-Range: bytes 0-6/1000\n" CONTENT},
    {"RFC 9110, 15.5.17: 416 with the size", GET, "Range: bytes=1000-", 416, 0, 0,
     "Content-Range: bytes */1000\nContent-Length: 0\n"},
    {"a malformed range: the whole", GET, "Range: bytes=x", 200, 0, 1000,
     VALIDATORS "Content-Length: 1000\n" CONTENT},
    {"Range twice: the whole", GET, "Range: bytes=0-1\nRange: bytes=0-1", 200, 0, 1000,
     VALIDATORS "Content-Length: 1000\n" CONTENT},
    {"RFC 9110, 13.1.5: If-Range that holds", GET, "Range: bytes=0-1\nIf-Range: \"a\"", 206, 0, 2,
     VALIDATORS "Content-Length: 2\nContent-Range: bytes 0-1/1000\n" CONTENT},
    {"RFC 9110, 13.1.5: If-Range that does not", GET, "Range: bytes=0-1\nIf-Range: \"b\"", 200, 0,
     1000, VALIDATORS "Content-Length: 1000\n" CONTENT},
    {"nor does it make 416", GET, "Range: bytes=1000-\nIf-Range: \"b\"", 200, 0, 1000,
     VALIDATORS "Content-Length: 1000\n" CONTENT},
    {"RFC 9110, 13.2.2: preconditions go before Range", GET,
     "Range: bytes=1000-\nIf-None-Match: \"a\"", 304, 0, 0, VALIDATORS},
};

static void headers_text(const q5_static_plan *plan, char *out, size_t size) {
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < plan->header_count; i++) {
        const q5_static_header *h = &plan->headers[i];
        len += (size_t)snprintf(out + len, size - len, "%.*s: %.*s\n", (int)h->name.len,
                                h->name.base, (int)h->value.len, h->value.base);
    }
}

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        q5_head head;
        head_from_lines(&head, row->method, row->lines);
        q5_static_plan plan;
        q5_static_plan_make(&head, &plain, Q5_LIT("max-age=60"), AT_SECONDS + 100, &plan);
        uint64_t body = plan.send_body ? plan.length : 0;
        char text[1024];
        headers_text(&plan, text, sizeof(text));
        if (plan.status != row->status || body != row->body || plan.offset != row->offset ||
            strcmp(text, row->headers) != 0)
            fail_msg("%s: %d\n%s", row->why, plan.status, text);
    }
}

static void test_encoded(void **state) {
    (void)state;
    q5_static_file file = plain;
    file.coding = Q5_CODING_BR;
    file.vary = true;
    file.size = UINT64_MAX;
    q5_head head;
    head_from_lines(&head, GET, "Range: bytes=1-");
    q5_static_plan plan;
    q5_static_plan_make(&head, &file, Q5_LIT("no-cache"), AT_SECONDS + 1, &plan);
    char text[1024];
    headers_text(&plan, text, sizeof(text));
    assert_string_equal(text, "ETag: \"a\"\nLast-Modified: " AT "\nVary: Accept-Encoding\n"
                              "Cache-Control: no-cache\nContent-Length: 18446744073709551614\n"
                              "Content-Range: bytes 1-18446744073709551614/18446744073709551615\n"
                              "Content-Type: text/plain; charset=utf-8\nContent-Encoding: br\n"
                              "Accept-Ranges: bytes\n" NOSNIFF);
    assert_int_equal(plan.header_count, Q5_STATIC_HEADERS_MAX);
}

static void test_modified_in_the_future(void **state) {
    (void)state;
    q5_static_file file = plain;
    file.mtime = AT_SECONDS + 1000;
    q5_head head;
    head_from_lines(&head, HEAD, "");
    q5_static_plan plan;
    q5_static_plan_make(&head, &file, Q5_LIT(""), AT_SECONDS, &plan);
    assert_int_equal(plan.header_count, 6);  /* no Cache-Control */
    assert_slice(plan.headers[1].value, AT); /* RFC 9110, 8.8.2.1: must not be later than Date */
}

static void test_no_file_needed_for_405(void **state) {
    (void)state;
    q5_head head;
    head_from_lines(&head, Q5_METHOD_DELETE, "Range: bytes=0-1");
    q5_static_plan plan;
    q5_static_plan_make(&head, NULL, Q5_LIT("no-cache"), AT_SECONDS, &plan);
    assert_int_equal(plan.status, 405);
    assert_false(plan.send_body);
}

static void test_empty_file(void **state) {
    (void)state;
    q5_static_file file = plain;
    file.size = 0;
    q5_head head;
    head_from_lines(&head, GET, "Range: bytes=-5");
    q5_static_plan plan;
    q5_static_plan_make(&head, &file, Q5_LIT(""), AT_SECONDS, &plan);
    assert_int_equal(plan.status, 200);
    assert_int_equal(plan.length, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_encoded),
        cmocka_unit_test(test_modified_in_the_future),
        cmocka_unit_test(test_no_file_needed_for_405),
        cmocka_unit_test(test_empty_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
