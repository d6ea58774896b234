#include "q5/access_log.h"

#include "q5test.h"

typedef struct row {
    const char *label;
    q5_access_style style;
    q5_access_record record;
    const char *expect;
} row;

/* 2026-11-21 02:36:25.123 UTC */
#define NOW INT64_C(1795228585123)
#define CLIENT Q5_LIT("127.0.0.1")
#define GET Q5_LIT("GET")
#define NO_IDS              \
    {NULL, 0}, {NULL, 0}, { \
        NULL, 0             \
    }

static const row rows[] = {
    {"text",
     Q5_ACCESS_TEXT,
     {CLIENT, GET, Q5_LIT("/cities?q=x"), 200, 512, 1300, NOW, 0, NO_IDS},
     "2026-11-21 02:36:25.123 127.0.0.1 GET /cities?q=x 200 512 B 1.3 ms\n"},
    {"local time, a day later",
     Q5_ACCESS_TEXT,
     {CLIENT, GET, Q5_LIT("/"), 200, 1024, 0, NOW, 23 * 3600, NO_IDS},
     "2026-11-22 01:36:25.123 127.0.0.1 GET / 200 1.0 KiB 0.0 ms\n"},
    {"local time, a day earlier",
     Q5_ACCESS_TEXT,
     {CLIENT, GET, Q5_LIT("/"), 304, 1048575, 10000000, NOW, -5 * 3600, NO_IDS},
     "2026-11-20 21:36:25.123 127.0.0.1 GET / 304 1.0 MiB 10.0 s\n"},
    {"leap day",
     Q5_ACCESS_TEXT,
     {CLIENT, GET, Q5_LIT("/"), 200, 0, 0, INT64_C(951782400000), 0, NO_IDS},
     "2000-02-29 00:00:00.000 127.0.0.1 GET / 200 0 B 0.0 ms\n"},
    {"before the epoch",
     Q5_ACCESS_TEXT,
     {CLIENT, GET, Q5_LIT("/"), 200, 0, 0, 0, -1, NO_IDS},
     "1969-12-31 23:59:59.000 127.0.0.1 GET / 200 0 B 0.0 ms\n"},
    {"no client, none answered",
     Q5_ACCESS_TEXT,
     {{NULL, 0}, GET, Q5_LIT("/"), 0, 0, 900, NOW, 0, NO_IDS},
     "2026-11-21 02:36:25.123 - GET / --- 0 B 0.9 ms\n"},
    {"CVE-2020-7694: escape sequences and line feeds",
     Q5_ACCESS_TEXT,
     {CLIENT, GET, Q5_LIT("/\x1b[31m\n1.2.3.4 \\\"\x7f\xc3\xa9\0z"), 404, 9, 0, NOW, 0, NO_IDS},
     "2026-11-21 02:36:25.123 127.0.0.1 GET "
     "/\\x1b[31m\\x0a1.2.3.4\\x20\\x5c\\x22\\x7f\\xc3\\xa9\\x00z 404 9 B 0.0 ms\n"},
    {"json",
     Q5_ACCESS_JSON,
     {CLIENT, GET, Q5_LIT("/cities?q=x"), 200, 512, 1300, NOW, 3600, NO_IDS},
     "{\"time\":\"2026-11-21T02:36:25.123Z\",\"logger\":\"access\",\"client\":\"127.0.0.1\","
     "\"method\":\"GET\",\"target\":\"/cities?q=x\",\"status\":200,\"bytes\":512,"
     "\"duration_ms\":1.300}\n"},
    {"json with ids",
     Q5_ACCESS_JSON,
     {CLIENT, GET, Q5_LIT("/"), 200, 0, 0, NOW, 0, Q5_LIT("r\"1"), Q5_LIT("0af7"), Q5_LIT("b7ad")},
     "{\"time\":\"2026-11-21T02:36:25.123Z\",\"logger\":\"access\",\"client\":\"127.0.0.1\","
     "\"method\":\"GET\",\"target\":\"/\",\"status\":200,\"bytes\":0,\"duration_ms\":0.000,"
     "\"request_id\":\"r\\u00221\",\"trace_id\":\"0af7\",\"span_id\":\"b7ad\"}\n"},
    {"json escapes",
     Q5_ACCESS_JSON,
     {{NULL, 0}, GET, Q5_LIT("/\"\\\x1b\n\xe9"), 500, UINT64_MAX, UINT64_MAX, NOW, 0, NO_IDS},
     "{\"time\":\"2026-11-21T02:36:25.123Z\",\"logger\":\"access\",\"client\":\"\","
     "\"method\":\"GET\",\"target\":\"/\\u0022\\u005c\\u001b\\u000a\\u00e9\",\"status\":500,"
     "\"bytes\":18446744073709551615,\"duration_ms\":18446744073709551.615}\n"},
    {"colour",
     Q5_ACCESS_COLOUR,
     {CLIENT, GET, Q5_LIT("/\x1b"), 500, 2048, 1500, NOW, 0, NO_IDS},
     "\x1b[2m02:36:25\x1b[0m \x1b[1;31m500\x1b[0m \x1b[1mGET\x1b[0m /\\x1b "
     "\x1b[2m2.0 KiB, 1.5 ms, 127.0.0.1\x1b[0m\n"},
    {"off", Q5_ACCESS_OFF, {CLIENT, GET, Q5_LIT("/"), 200, 0, 0, NOW, 0, NO_IDS}, ""},
};

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_buf buf;
        q5_buf_init(&buf, NULL);
        assert_int_equal(q5_access_log_format(&buf, &rows[i].record, rows[i].style), Q5_OK);
        size_t len = strlen(rows[i].expect);
        if (buf.len != len || (len != 0 && memcmp(buf.base, rows[i].expect, len) != 0))
            fail_msg("%s: got %.*s", rows[i].label, (int)buf.len, buf.base ? buf.base : "");
        q5_buf_deinit(&buf);
    }
}

/* Every byte, in every style, stays inside what was reserved and on one line. */
static void test_all_bytes(void **state) {
    (void)state;
    char bytes[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    q5_slice all = q5_slice_make(bytes, sizeof(bytes));
    q5_access_record record = {all, all, all, 599, UINT64_MAX, UINT64_MAX, NOW, -43200, NO_IDS};
    for (int style = Q5_ACCESS_TEXT; style <= Q5_ACCESS_COLOUR; style++) {
        q5_buf buf;
        q5_buf_init(&buf, NULL);
        assert_int_equal(q5_buf_append(&buf, "before", 6), Q5_OK);
        assert_int_equal(q5_access_log_format(&buf, &record, (q5_access_style)style), Q5_OK);
        assert_memory_equal(buf.base, "before", 6);
        assert_ptr_equal(memchr(buf.base, '\n', buf.len), buf.base + buf.len - 1);
        for (size_t i = 6; i + 1 < buf.len; i++) {
            unsigned char c = (unsigned char)buf.base[i];
            assert_true(c < 0x7f && (c >= 0x20 || (c == 0x1b && style == Q5_ACCESS_COLOUR)));
        }
        q5_buf_deinit(&buf);
    }
}

static int scenario(const q5_alloc *alloc, void *ctx) {
    (void)ctx;
    q5_buf buf;
    q5_buf_init(&buf, alloc);
    int status = q5_access_log_format(&buf, &rows[0].record, Q5_ACCESS_TEXT);
    if (status != Q5_OK) assert_int_equal(buf.len, 0);
    q5_buf_deinit(&buf);
    return status;
}

static void test_out_of_memory(void **state) {
    (void)state;
    failmalloc_sweep(scenario, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_all_bytes),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
