/* The parser beyond the tables: limits, positions, known fields, work done per byte. */
#include "h1_feed.h"

#define GET "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"

typedef struct limit_row {
    const char *why;
    uint32_t line_max;
    uint32_t head_max;
    uint16_t fields_max;
    const char *text;
    int status;
    size_t at;
} limit_row;

static const limit_row limit_rows[] = {
    /* "GET / HTTP/1.1" has 14 bytes */
    {"a line of just the limit", 14, 99, 9, GET HOST "\r\n", Q5_OK, 27},
    {"a line over it by one", 13, 99, 9, GET HOST "\r\n", Q5_ELINE_LONG, 13},
    {"no line end has come", 13, 99, 9, "GET /aaaaaaaaa", Q5_ELINE_LONG, 13},
    {"at the limit, no line end yet", 14, 99, 9, "GET /aaaaaaaaa", Q5_AGAIN, 0},
    {"at the limit and a CR", 14, 99, 9, "GET / HTTP/1.1\r", Q5_AGAIN, 0},
    {"a bare CR at the limit", 14, 99, 9, "GET / HTTP/1.1\rx", Q5_EBARE_CR, 14},
    {"a bare LF at the limit is past it", 14, 99, 9, "GET / HTTP/1.1\n", Q5_ELINE_LONG, 14},
    {"a bare LF just before it", 14, 99, 9, "GET / HTTP/1.\n", Q5_EBARE_LF, 13},
    {"a fault before the limit comes first", 8, 99, 9, "GET /\x7f/aaaaaaaa", Q5_ETARGET, 5},
    {"a fault behind the limit is not seen", 8, 99, 9, "GET /aaa\x7f", Q5_ELINE_LONG, 8},
    {"empty lines before do not count", 14, 99, 9, "\r\n\r\n" GET HOST "\r\n", Q5_OK, 31},
    {"empty lines before, over by one", 13, 99, 9, "\r\n\r\n" GET HOST "\r\n", Q5_ELINE_LONG, 17},
    {"a line of nothing", 0, 99, 9, GET, Q5_ELINE_LONG, 0},
    /* the head */
    {"a head of just the limit", 99, 27, 9, GET HOST "\r\n", Q5_OK, 27},
    {"a head over it by one", 99, 26, 9, GET HOST "\r\n", Q5_EHEAD_LONG, 26},
    {"it ends in a value", 99, 24, 9, GET HOST "\r\n", Q5_EHEAD_LONG, 24},
    {"it ends in a name", 99, 18, 9, GET HOST "\r\n", Q5_EHEAD_LONG, 18},
    {"it ends between CR and LF", 99, 24, 9, GET HOST, Q5_EHEAD_LONG, 24},
    {"it ends in the request line", 99, 9, 9, GET, Q5_EHEAD_LONG, 9},
    {"it is below the line's limit by one", 13, 13, 9, GET, Q5_EHEAD_LONG, 13},
    {"full, and no byte more has come", 99, 20, 9, GET "Host", Q5_EHEAD_LONG, 20},
    {"not quite full", 99, 21, 9, GET "Host", Q5_AGAIN, 0},
    {"a fault before the limit comes first", 99, 24, 9, GET "Ho@t: aaa", Q5_EFIELD_NAME, 18},
    {"a fault behind the limit is not seen", 99, 18, 9, GET "Ho@t: aaa", Q5_EHEAD_LONG, 18},
    {"the limit in empty lines", 99, 3, 9, "\r\n\r\n" GET, Q5_EHEAD_LONG, 3},
    {"a head of nothing", 99, 0, 9, GET, Q5_EHEAD_LONG, 0},
    /* the fields */
    {"as many fields as allowed", 99, 99, 2, GET HOST "X: y\r\n\r\n", Q5_OK, 33},
    {"one field more", 99, 99, 1, GET HOST "X: y\r\n\r\n", Q5_EFIELDS, 25},
    {"one field more, its first byte", 99, 99, 1, GET HOST "X", Q5_EFIELDS, 25},
    {"no field allowed", 99, 99, 0, GET HOST "\r\n", Q5_EFIELDS, 16},
    {"no field allowed, none sent", 99, 99, 0, "GET / HTTP/1.0\r\n\r\n", Q5_OK, 18},
};

static void test_limits(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(limit_rows); i++) {
        const limit_row *r = &limit_rows[i];
        q5_h1_limits limits = {r->line_max, r->head_max, r->fields_max, false};
        size_t len = strlen(r->text);
        h1_result want = {.status = r->status, .at = r->at};
        if (r->status == Q5_OK)
            want = h1_feed(&limits, r->text, len, len, 1); /* the others must dump the same */
        assert_status(want.status, r->status);
        assert_int_equal(want.at, r->at);
        if (r->status == Q5_AGAIN) {
            h1_expect(r->why, "whole", h1_feed(&limits, r->text, len, len, 1), want);
            h1_expect(r->why, "bytes", h1_feed(&limits, r->text, len, 0, 1), want);
        } else {
            h1_check(&limits, r->why, r->text, len, want);
        }
    }
}

static void test_defaults(void **state) {
    (void)state;
    q5_h1_limits limits = q5_h1_limits_default();
    assert_int_equal(limits.line_max, 8192);
    assert_int_equal(limits.head_max, 32768);
    assert_int_equal(limits.fields_max, 100);
    assert_false(limits.allow_underscore);
    assert_int_equal(q5_status_http(Q5_ELINE_LONG), 414);
    assert_int_equal(q5_status_http(Q5_EHEAD_LONG), 431);
    assert_int_equal(q5_status_http(Q5_EFIELDS), 431);
    assert_int_equal(q5_status_http(Q5_EVERSION), 505);
    assert_int_equal(q5_status_http(Q5_ECODING), 501);
    assert_int_equal(q5_status_http(Q5_ECODING_ORDER), 400);
    assert_int_equal(q5_status_http(Q5_EEXPECT), 417);
}

/* fields_max past the array's end is cut to it. */
static void test_field_ceiling(void **state) {
    (void)state;
    q5_h1_limits limits = {99, 1 << 20, UINT16_MAX, false};
    char text[4096] = GET HOST;
    size_t len = strlen(text);
    for (size_t i = 1; i < Q5_FIELDS_MAX; i++) {
        memcpy(text + len, "X: y\r\n", 6);
        len += 6;
    }
    q5_head head;
    q5_h1_parser parser;
    size_t head_len = 0;
    q5_h1_init(&parser, &limits, &head);
    memcpy(text + len, "\r\n", 2);
    assert_status(q5_h1_parse(&parser, text, len + 2, &head_len), Q5_OK);
    assert_int_equal(head.field_count, Q5_FIELDS_MAX);
    assert_int_equal(head_len, len + 2);
    q5_h1_init(&parser, &limits, &head);
    memcpy(text + len, "X: y\r\n\r\n", 8);
    assert_status(q5_h1_parse(&parser, text, len + 8, &head_len), Q5_EFIELDS);
    assert_int_equal(parser.error, len);
}

static void test_underscores_allowed(void **state) {
    (void)state;
    q5_h1_limits limits = q5_h1_limits_default();
    limits.allow_underscore = true;
    const char text[] = GET HOST "X_Y: 1\r\n_: 2\r\n\r\n";
    h1_result want = {.status = Q5_OK, .at = sizeof(text) - 1};
    strcpy(want.dump, "GET 1.1 / @a keep n=3 [Host=a] [X_Y=1] [_=2]");
    h1_check(&limits, "underscore", text, sizeof(text) - 1, want);
}

/* A head of 30 KB that comes byte by byte: the search never goes back before what it has seen
 * (h1_feed asserts it at each call), and the verdict is the same. */
static void test_slow_head(void **state) {
    (void)state;
    q5_h1_limits limits = q5_h1_limits_default();
    size_t len = 30000;
    char *text = malloc(len);
    memset(text, 'v', len);
    memcpy(text, GET HOST "X: ", 28);
    memcpy(text + len - 4, "\r\n\r\n", 4);
    q5_head head;
    q5_h1_parser parser;
    q5_h1_init(&parser, &limits, &head);
    size_t head_len = 0;
    for (size_t have = 0; have < len; have++) {
        assert_status(q5_h1_parse(&parser, text, have, &head_len), Q5_AGAIN);
        assert_true(parser.scanned + 1 >= have);
    }
    assert_status(q5_h1_parse(&parser, text, len, &head_len), Q5_OK);
    assert_int_equal(head_len, len);
    assert_int_equal(head.fields[1].value.len, len - 28 - 4);
    free(text);
}

static void test_known(void **state) {
    (void)state;
    const char text[] = "GET / HTTP/1.1\r\nX: 1\r\nCookie: a\r\nHOST: h\r\ncookie: b\r\n\r\n";
    q5_h1_limits limits = q5_h1_limits_default();
    q5_head head;
    q5_h1_parser parser;
    size_t head_len = 0;
    q5_h1_init(&parser, &limits, &head);
    assert_status(q5_h1_parse(&parser, text, sizeof(text) - 1, &head_len), Q5_OK);
    assert_int_equal(head.method_id, Q5_METHOD_GET);
    for (int id = 1; id < Q5_FIELD_COUNT; id++) {
        int want = id == Q5_FIELD_COOKIE ? 1 : id == Q5_FIELD_HOST ? 2 : -1;
        assert_int_equal(head.known[id], want);
    }
    assert_slice(q5_head_known(&head, Q5_FIELD_COOKIE)->value, "a");
    assert_null(q5_head_known(&head, Q5_FIELD_RANGE));
    assert_int_equal(head.fields[0].id, Q5_FIELD_OTHER);
    assert_int_equal(head.fields[3].id, Q5_FIELD_COOKIE);
    assert_ptr_equal(q5_head_find(&head, Q5_LIT("COOKIE"), 0), &head.fields[1]);
    assert_ptr_equal(q5_head_find(&head, Q5_LIT("COOKIE"), 2), &head.fields[3]);
    assert_ptr_equal(q5_head_find(&head, Q5_LIT("x"), 0), &head.fields[0]);
    assert_null(q5_head_find(&head, Q5_LIT("x"), 1));
    assert_null(q5_head_find(&head, Q5_LIT("y"), 0));
    assert_null(q5_head_find(&head, Q5_LIT("x"), UINT16_MAX));
}

/* Two heads in one buffer: the second begins where the first ended. */
static void test_pipeline(void **state) {
    (void)state;
    const char text[] = "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                        "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
    q5_h1_limits limits = q5_h1_limits_default();
    q5_head head;
    q5_h1_parser parser;
    size_t first = 0, second = 0;
    q5_h1_init(&parser, &limits, &head);
    assert_status(q5_h1_parse(&parser, text, sizeof(text) - 1, &first), Q5_OK);
    assert_slice(head.path, "/1");
    assert_false(head.keep_alive);
    q5_h1_init(&parser, &limits, &head);
    assert_status(q5_h1_parse(&parser, text + first, sizeof(text) - 1 - first, &second), Q5_OK);
    assert_slice(head.path, "/2");
    assert_true(head.keep_alive); /* nothing is left of the first */
    assert_int_equal(head.known[Q5_FIELD_CONNECTION], -1);
    assert_int_equal(first + second, sizeof(text) - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_field_ceiling), cmocka_unit_test(test_underscores_allowed),
        cmocka_unit_test(test_slow_head),     cmocka_unit_test(test_known),
        cmocka_unit_test(test_pipeline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
