/* HTML, 9.2.5 "Parsing an event stream" and 9.2.6 "Interpreting an event stream". */
#include "q5/sse.h"

#include "q5test.h"

static void test_events(void **state) {
    (void)state;
    static const struct {
        q5_sse_event event;
        const char *text;
    } rows[] = {
        {{.data = {"x", 1}, .retry_msec = -1}, "data: x\n\n"},
        /* An empty line begins with no field: the client dispatches nothing without data. */
        {{.data = {"", 0}, .retry_msec = -1}, "data: \n\n"},
        {{.retry_msec = -1}, "\n"},
        /* "If the line ends in CR, LF, or CRLF": each is one end. */
        {{.data = {"a\nb\rc\r\nd", 8}, .retry_msec = -1}, "data: a\ndata: b\ndata: c\ndata: d\n\n"},
        {{.data = {"a\n\rb", 4}, .retry_msec = -1}, "data: a\ndata: \ndata: b\n\n"},
        {{.data = {"a\n", 2}, .retry_msec = -1}, "data: a\ndata: \n\n"},
        {{.data = {"a\r", 2}, .retry_msec = -1}, "data: a\ndata: \n\n"},
        /* "If value starts with a U+0020 SPACE character, remove it": only the first. */
        {{.data = {" x: y", 5}, .retry_msec = -1}, "data:  x: y\n\n"},
        /* Data cannot smuggle a field in. */
        {{.data = {"x\nid: 9\nevent: evil", 19}, .retry_msec = -1},
         "data: x\ndata: id: 9\ndata: event: evil\n\n"},
        {{.data = {"x", 1}, .id = {"7", 1}, .name = {"tick", 4}, .retry_msec = 1500},
         "retry: 1500\nid: 7\nevent: tick\ndata: x\n\n"},
        {{.data = {"x", 1}, .id = {"", 0}, .retry_msec = 0}, "retry: 0\nid: \ndata: x\n\n"},
        {{.comment = {"two\nlines", 9}, .retry_msec = -1}, ": two\n: lines\n\n"},
        {{.data = {"\0", 1}, .retry_msec = -1}, NULL},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_buf buf;
        q5_buf_init(&buf, NULL);
        assert_status(q5_sse_write(&buf, &rows[i].event), Q5_OK);
        if (rows[i].text)
            assert_slice(q5_buf_slice(&buf), rows[i].text);
        else
            assert_int_equal(buf.len, sizeof("data: X\n\n") - 1); /* NUL is a byte of data */
        q5_buf_deinit(&buf);
    }
}

/* "If the field value does not contain U+0000 NULL, then set the last event ID buffer". */
static void test_refused(void **state) {
    (void)state;
    static const q5_slice texts[] = {{"1\n", 2}, {"1\rdata: x", 9}, {"\0", 1}, {"1\r\n", 3}};
    for (size_t i = 0; i < Q5_ARRAY_LEN(texts); i++) {
        q5_sse_event with_id = q5_sse_event_make(Q5_LIT("x")), with_name = with_id;
        with_id.id = with_name.name = texts[i];
        q5_buf buf;
        q5_buf_init(&buf, NULL);
        assert_status(q5_buf_append(&buf, "before", 6), Q5_OK);
        assert_status(q5_sse_write(&buf, &with_id), Q5_EINVAL);
        assert_status(q5_sse_write(&buf, &with_name), Q5_EINVAL);
        assert_slice(q5_buf_slice(&buf), "before");
        q5_buf_deinit(&buf);
    }
}

static int scenario(const q5_alloc *alloc, void *ctx) {
    (void)ctx;
    static const char data[1000] = {'\n'};
    q5_sse_event event = q5_sse_event_make(q5_slice_make(data, sizeof(data)));
    event.id = event.name = event.comment = Q5_LIT("text");
    event.retry_msec = 1;
    q5_buf buf;
    q5_buf_init(&buf, alloc);
    int status = q5_buf_append(&buf, "before", 6);
    if (!status) {
        status = q5_sse_write(&buf, &event);
        if (status) assert_slice(q5_buf_slice(&buf), "before");
    }
    q5_buf_deinit(&buf);
    return status;
}

static void test_failing_allocations(void **state) {
    (void)state;
    failmalloc_sweep(scenario, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
