#include "q5/trace_context.h"

#include "http/headtest.h"
#include "q5test.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"
#define GOOD "00-" TRACE "-" SPAN "-01"

static q5_slice slice(const char *text) {
    return q5_slice_make(text, strlen(text));
}

static q5_random seeded(uint8_t first) {
    uint8_t seed[Q5_RANDOM_SEED_SIZE] = {first};
    q5_random random;
    q5_random_init(&random, seed);
    return random;
}

/* W3C Trace Context, level 2: 3.2 and 4; flags -1: invalid. */
static void test_traceparent(void **state) {
    (void)state;
    static const struct {
        const char *label, *value;
        int flags;
    } rows[] = {
        {"sampled", GOOD, 1},
        {"not sampled", "00-" TRACE "-" SPAN "-00", 0},
        {"random", "00-" TRACE "-" SPAN "-03", 3},
        {"bits without a meaning are not passed on (3.2.2.5.3)", "00-" TRACE "-" SPAN "-ff", 3},
        {"a later version", "cc-" TRACE "-" SPAN "-01", 1},
        {"a later version with more", "01-" TRACE "-" SPAN "-01-what-the-future", 1},
        {"a later version with more, without its dash", "01-" TRACE "-" SPAN "-01.x", -1},
        {"a later version with more digits", "01-" TRACE "-" SPAN "-011", -1},
        {"version ff", "ff-" TRACE "-" SPAN "-01", -1},
        {"version 00 with more", "00-" TRACE "-" SPAN "-01-x", -1},
        {"too short", "00-" TRACE "-" SPAN "-0", -1},
        {"empty", "", -1},
        {"upper case (3.2.2.3)", "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01", -1},
        {"upper case in the span", "00-" TRACE "-00F067AA0BA902B7-01", -1},
        {"no digit in the flags", "00-" TRACE "-" SPAN "-0x", -1},
        {"no digit in the version", "0g-" TRACE "-" SPAN "-01", -1},
        {"a trace of zeroes", "00-00000000000000000000000000000000-" SPAN "-01", -1},
        {"a span of zeroes", "00-" TRACE "-0000000000000000-01", -1},
        {"other dashes", "00_" TRACE "-" SPAN "-01", -1},
        {"no dash before the span", "00-" TRACE "0" SPAN "-01", -1},
        {"no dash before the flags", "00-" TRACE "-" SPAN "001", -1},
        {"bytes that are no ASCII", "00-" TRACE "-" SPAN "-\xff\xff", -1},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_trace trace = {.flags = 77};
        int status = q5_traceparent_parse(slice(rows[i].value), &trace);
        if ((status == Q5_OK) != (rows[i].flags >= 0)) fail_msg("%s", rows[i].label);
        assert_int_equal(trace.flags, status == Q5_OK ? rows[i].flags : 77);
        if (status) continue;
        char text[2 * Q5_TRACE_ID_SIZE];
        q5_hex_write(trace.trace_id, Q5_TRACE_ID_SIZE, text);
        assert_slice(q5_slice_make(text, sizeof(text)), TRACE);
        q5_hex_write(trace.parent_id, Q5_SPAN_ID_SIZE, text);
        assert_slice(q5_slice_make(text, 2 * Q5_SPAN_ID_SIZE), SPAN);
    }
}

static void test_format(void **state) {
    (void)state;
    q5_trace trace;
    char out[Q5_TRACEPARENT_LEN];
    assert_status(q5_traceparent_parse(slice(GOOD), &trace), Q5_OK);
    memcpy(trace.span_id, trace.parent_id, Q5_SPAN_ID_SIZE);
    q5_traceparent_format(&trace, out);
    assert_slice(q5_slice_make(out, sizeof(out)), GOOD);
}

static void test_tracestate(void **state) {
    (void)state;
    static const struct {
        const char *label, *value;
        bool valid;
    } rows[] = {
        {"the specification's", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", true},
        {"a tenant (level 1)", "fw529a3039@dt=FfAj", true},
        {"a key that begins with a digit (level 2)", "0a=1", true},
        {"all characters of keys", "a_-*/@z=1", true},
        {"spaces around members", " a=1 ,\tb=2 ", true},
        {"empty members (3.3.1.2)", "a=1,,b=2,", true},
        {"a space within a value", "a=b c", true},
        {"only empty members", " , ", false},
        {"empty", "", false},
        {"a key twice (3.3.1.3)", "a=1,a=2", false},
        {"upper case in a key", "A=1", false},
        {"a key that begins with a dash", "-a=1", false},
        {"no key", "=1", false},
        {"no value", "a=", false},
        {"no equals sign", "a", false},
        {"two equals signs", "a=1=2", false},
        {"a space behind the key", "a =1", false},
        {"a byte that is no ASCII", "a=\xc3\xa9", false},
        {"a control byte", "a=\x01", false},
        {"a tab within a value", "a=b\tc", false},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++)
        if (q5_tracestate_valid(slice(rows[i].value)) != rows[i].valid)
            fail_msg("%s", rows[i].label);
}

/* 3.3.1.1, and the lengths of keys, values and the whole. */
static void test_tracestate_bounds(void **state) {
    (void)state;
    char text[Q5_TRACE_STATE_MAX + 2];
    size_t len = 0;
    for (int i = 0; i <= Q5_TRACE_STATE_MEMBERS; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%sk%d=v", i ? "," : "", i);
        bool fits = i < Q5_TRACE_STATE_MEMBERS;
        assert_int_equal(q5_tracestate_valid(q5_slice_make(text, len)), fits);
    }
    for (int n = 255; n <= 257; n++) {
        memset(text, 'k', (size_t)n);
        memcpy(text + n, "=v", 2);
        assert_int_equal(q5_tracestate_valid(q5_slice_make(text, (size_t)n + 2)), n <= 256);
        memcpy(text, "k=", 2);
        memset(text + 2, 'v', (size_t)n);
        assert_int_equal(q5_tracestate_valid(q5_slice_make(text, (size_t)n + 2)), n <= 256);
    }
    memset(text, ' ', sizeof(text));
    memcpy(text, "a=1", 3);
    assert_true(q5_tracestate_valid(q5_slice_make(text, Q5_TRACE_STATE_MAX)));
    assert_false(q5_tracestate_valid(q5_slice_make(text, Q5_TRACE_STATE_MAX + 1)));
}

static void test_requests(void **state) {
    (void)state;
    static const struct {
        const char *label, *head;
        bool has_parent;
        const char *trace_state;
    } rows[] = {
        {"nothing", "", false, ""},
        {"a parent", "traceparent: " GOOD "\n", true, ""},
        {"any case (RFC 9110, 5.1)", "TraceParent: " GOOD "\nTRACESTATE: a=1\n", true, "a=1"},
        {"two parents are none", "traceparent: " GOOD "\ntraceparent: " GOOD "\n", false, ""},
        {"a broken parent", "traceparent: 00-x\ntracestate: a=1\n", false, ""},
        {"a state without a parent", "tracestate: a=1\n", false, ""},
        {"a broken state", "traceparent: " GOOD "\ntracestate: A\n", true, ""},
        {"two states", "traceparent: " GOOD "\ntracestate: a=1\ntracestate: b=1\n", true, ""},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_head head;
        q5_trace trace;
        q5_random random = seeded((uint8_t)i);
        char id[Q5_REQUEST_ID_LEN], text[2 * Q5_TRACE_ID_SIZE];
        head_from_lines(&head, Q5_METHOD_GET, rows[i].head);
        q5_trace_begin(&trace, &head, &random);
        if (trace.has_parent != rows[i].has_parent) fail_msg("%s", rows[i].label);
        assert_slice(q5_trace_state(&trace, &head), rows[i].trace_state);
        q5_hex_write(trace.trace_id, Q5_TRACE_ID_SIZE, text);
        q5_request_id_make(&trace, &random, id);
        bool same = memcmp(text, id, sizeof(id)) == 0;
        assert_int_equal(same, !rows[i].has_parent);
        assert_true(q5_request_id_valid(q5_slice_make(id, sizeof(id))));
    }
}

static void test_request_ids(void **state) {
    (void)state;
    char text[Q5_REQUEST_ID_MAX + 1];
    memset(text, 'a', sizeof(text));
    static const struct {
        const char *id;
        bool valid;
    } rows[] = {
        {"f81d4fae-7dec-11d0-a765-00a0c91e6bf6", true},
        {"Root=1-67891233-abcdef012345678912345678", true},
        {"AZaz09._~:@=+/-", true},
        {"", false},
        {"a b", false},
        {"a\r\nX: y", false},
        {"\"}", false},
        {"\\u0000", false},
        {"<script>", false},
        {"%0a", false},
        {"\xc3\xa9", false},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++)
        if (q5_request_id_valid(slice(rows[i].id)) != rows[i].valid) fail_msg("%s", rows[i].id);
    assert_true(q5_request_id_valid(q5_slice_make(text, Q5_REQUEST_ID_MAX)));
    assert_false(q5_request_id_valid(q5_slice_make(text, Q5_REQUEST_ID_MAX + 1)));
    assert_false(q5_request_id_valid(q5_slice_make("a\0b", 3)));
}

/* The first numbers of the published reference for the state 1, 2, 3, 4. */
static void test_random(void **state) {
    (void)state;
    uint8_t seed[Q5_RANDOM_SEED_SIZE] = {0};
    q5_random random;
    uint64_t words[4] = {1, 2, 3, 4};
    memcpy(seed, words, sizeof(words));
    q5_random_init(&random, seed);
    static const uint64_t expect[] = {11520, 0, 1509978240, 1215971899390074240};
    for (size_t i = 0; i < Q5_ARRAY_LEN(expect); i++)
        assert_true(q5_random_next(&random) == expect[i]);
    memset(seed, 0, sizeof(seed));
    q5_random_init(&random, seed);
    uint64_t any = 0;
    for (int i = 0; i < 8; i++)
        any |= q5_random_next(&random);
    assert_true(any != 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traceparent), cmocka_unit_test(test_format),
        cmocka_unit_test(test_tracestate),  cmocka_unit_test(test_tracestate_bounds),
        cmocka_unit_test(test_requests),    cmocka_unit_test(test_request_ids),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
