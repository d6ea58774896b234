#include "q5/metrics.h"

#include "q5test.h"

#include <stdlib.h>

static const q5_slice routes[] = {
    {"(none)", 6},
    {"/cities/<int:pk>", 16},
    {"/\"\\\n", 4},
};

#define ROUTES 3

typedef struct rig {
    q5_metrics metrics;
    void *memory;
} rig;

static void rig_init(rig *r, uint32_t slots) {
    size_t size = q5_metrics_size(ROUTES, slots);
    assert_true(size > 0);
    r->memory = calloc(1, size);
    assert_non_null(r->memory);
    q5_metrics_init(&r->metrics, r->memory, routes, ROUTES, slots);
}

static char *exposed(const rig *r, q5_metrics_format format) {
    q5_buf buf;
    q5_buf_init(&buf, NULL);
    assert_status(q5_metrics_write(&r->metrics, format, &buf), Q5_OK);
    char *text = calloc(1, buf.len + 1);
    memcpy(text, buf.base, buf.len);
    q5_buf_deinit(&buf);
    return text;
}

static void assert_has(const char *text, const char *line) {
    if (!strstr(text, line)) fail_msg("no %s in:\n%s", line, text);
}

static void test_bounds(void **state) {
    (void)state;
    assert_int_equal(q5_metrics_size(0, 1), 0);
    assert_int_equal(q5_metrics_size(1, 0), 0);
    assert_int_equal(q5_metrics_size(Q5_METRICS_ROUTES_MAX + 1, 1), 0);
    assert_int_equal(q5_metrics_size(1, Q5_METRICS_SLOTS_MAX + 1), 0);
    assert_true(q5_metrics_size(Q5_METRICS_ROUTES_MAX, Q5_METRICS_SLOTS_MAX) > 0);
    for (size_t i = 1; i < Q5_METRICS_BUCKETS; i++)
        assert_true(q5_metrics_bounds_usec[i] > q5_metrics_bounds_usec[i - 1]);
}

/* A bucket holds what is less or equal to its bound (Prometheus's `le`). */
static void test_durations(void **state) {
    (void)state;
    for (size_t i = 0; i <= Q5_METRICS_BUCKETS; i++) {
        rig r;
        uint32_t slot;
        q5_metrics_row row;
        rig_init(&r, 1);
        assert_status(q5_metrics_claim(&r.metrics, 1, 1, &slot), Q5_OK);
        uint64_t usec = i < Q5_METRICS_BUCKETS ? q5_metrics_bounds_usec[i] : 10000001;
        q5_metrics_request request = {1, Q5_METHOD_GET, 200, usec, 0, 0};
        q5_metrics_count(&r.metrics, slot, &request);
        assert_true(q5_metrics_read(&r.metrics, Q5_METRICS_ALL, 1, Q5_METHOD_GET, &row));
        assert_int_equal(row.buckets[i], 1);
        assert_int_equal(row.duration_usec, usec);
        free(r.memory);
    }
}

static void test_statuses(void **state) {
    (void)state;
    static const struct {
        int status;
        size_t class;
    } rows[] = {{0, 0},   {101, 1}, {200, 2}, {304, 3}, {404, 4},
                {503, 5}, {599, 5}, {600, 0}, {-1, 0},  {99, 0}};
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        rig r;
        uint32_t slot;
        q5_metrics_row row;
        rig_init(&r, 1);
        q5_metrics_claim(&r.metrics, 1, 1, &slot);
        q5_metrics_request request = {1, Q5_METHOD_PUT, rows[i].status, 1, 2, 3};
        q5_metrics_count(&r.metrics, slot, &request);
        assert_true(q5_metrics_read(&r.metrics, Q5_METRICS_ALL, 1, Q5_METHOD_PUT, &row));
        assert_int_equal(row.classes[rows[i].class], 1);
        assert_int_equal(row.received, 2);
        assert_int_equal(row.sent, 3);
        assert_false(q5_metrics_read(&r.metrics, Q5_METRICS_ALL, 1, Q5_METHOD_GET, &row));
        free(r.memory);
    }
}

/* What is out of range is counted under what is not known, not beside the memory. */
static void test_unknown_routes_and_methods(void **state) {
    (void)state;
    rig r;
    uint32_t slot;
    q5_metrics_row row;
    rig_init(&r, 1);
    q5_metrics_claim(&r.metrics, 1, 1, &slot);
    q5_metrics_request request = {UINT32_MAX, 255, 200, 1, 0, 0};
    q5_metrics_count(&r.metrics, slot, &request);
    assert_true(q5_metrics_read(&r.metrics, Q5_METRICS_ALL, 0, Q5_METHOD_OTHER, &row));
    assert_false(q5_metrics_read(&r.metrics, Q5_METRICS_ALL, ROUTES, 0, &row));
    assert_false(q5_metrics_read(&r.metrics, Q5_METRICS_ALL, 0, Q5_METHOD_COUNT, &row));
    free(r.memory);
}

static void test_processes(void **state) {
    (void)state;
    rig r;
    uint32_t first, second, third;
    q5_metrics_row row;
    rig_init(&r, 2);
    assert_status(q5_metrics_claim(&r.metrics, 10, 1, &first), Q5_OK);
    assert_status(q5_metrics_claim(&r.metrics, 20, 1, &second), Q5_OK);
    assert_status(q5_metrics_claim(&r.metrics, 30, 1, &third), Q5_EBUSY);
    q5_metrics_request request = {1, Q5_METHOD_GET, 200, 1, 0, 0};
    q5_metrics_count(&r.metrics, first, &request);
    q5_metrics_count(&r.metrics, second, &request);
    q5_metrics_set(&r.metrics, first, &(q5_metrics_gauges){.connections = 7});
    q5_metrics_set(&r.metrics, second, &(q5_metrics_gauges){.connections = 8});
    q5_metrics_release(&r.metrics, 10);
    /* Its numbers stay, its gauges go, and its successor goes on. */
    char *text = exposed(&r, Q5_METRICS_TEXT);
    assert_null(strstr(text, "worker=\"10\""));
    assert_has(text, "quintette_connections{worker=\"20\"} 8\n");
    free(text);
    assert_status(q5_metrics_claim(&r.metrics, 30, 1, &third), Q5_OK);
    q5_metrics_count(&r.metrics, third, &request);
    text = exposed(&r, Q5_METRICS_TEXT);
    assert_has(text, "quintette_connections{worker=\"30\"} 0\n");
    free(text);
    assert_true(q5_metrics_read(&r.metrics, Q5_METRICS_ALL, 1, Q5_METHOD_GET, &row));
    assert_int_equal(row.classes[2], 3);
    assert_true(q5_metrics_read(&r.metrics, second, 1, Q5_METHOD_GET, &row));
    assert_int_equal(row.classes[2], 1);
    free(r.memory);
}

static void fill(rig *r) {
    uint32_t slot;
    rig_init(r, 1);
    q5_metrics_claim(&r->metrics, 7, 1795228585123, &slot);
    q5_metrics_request request = {1, Q5_METHOD_GET, 200, 1300, 5, 512};
    q5_metrics_count(&r->metrics, slot, &request);
    request = (q5_metrics_request){2, Q5_METHOD_OTHER, 404, 20000000, 0, 0};
    q5_metrics_count(&r->metrics, slot, &request);
    q5_metrics_add(&r->metrics, slot, &(q5_metrics_events){1, 2, 3, 4, 5, 1500});
    q5_metrics_set(&r->metrics, slot, &(q5_metrics_gauges){1, 2, 3, 4, 5});
}

static const char *const lines[] = {
    "http_server_requests_total{http_request_method=\"GET\",http_route=\"/cities/<int:pk>\","
    "status=\"2xx\"} 1\n",
    "http_server_requests_total{http_request_method=\"_OTHER\",http_route=\"/\\\"\\\\\\n\","
    "status=\"4xx\"} 1\n",
    "_bucket{http_request_method=\"GET\",http_route=\"/cities/<int:pk>\",le=\"0.0005\"} 0\n",
    "_bucket{http_request_method=\"GET\",http_route=\"/cities/<int:pk>\",le=\"0.0025\"} 1\n",
    "_bucket{http_request_method=\"GET\",http_route=\"/cities/<int:pk>\",le=\"10.0\"} 1\n",
    "_bucket{http_request_method=\"_OTHER\",http_route=\"/\\\"\\\\\\n\",le=\"10.0\"} 0\n",
    "_bucket{http_request_method=\"_OTHER\",http_route=\"/\\\"\\\\\\n\",le=\"+Inf\"} 1\n",
    "_sum{http_request_method=\"GET\",http_route=\"/cities/<int:pk>\"} 0.001300\n",
    "_count{http_request_method=\"GET\",http_route=\"/cities/<int:pk>\"} 1\n",
    "http_server_request_body_bytes_total{http_request_method=\"GET\","
    "http_route=\"/cities/<int:pk>\"} 5\n",
    "http_server_response_body_bytes_total{http_request_method=\"GET\","
    "http_route=\"/cities/<int:pk>\"} 512\n",
    "http_server_active_requests{worker=\"7\"} 1\n",
    "quintette_connections{worker=\"7\"} 2\n",
    "quintette_threads{worker=\"7\"} 3\n",
    "quintette_threads_busy{worker=\"7\"} 4\n",
    "quintette_jobs_queued{worker=\"7\"} 5\n",
    "quintette_worker_start_time_seconds{worker=\"7\"} 1795228585.123000\n",
    "quintette_connections_accepted_total 1\n",
    "quintette_requests_rejected_total{reason=\"malformed\"} 2\n",
    "quintette_requests_rejected_total{reason=\"timeout\"} 3\n",
    "quintette_requests_rejected_total{reason=\"memory\"} 4\n",
    "quintette_loop_held_total 5\n",
    "quintette_loop_held_seconds_total 1.500000\n",
};

static void test_exposition(void **state) {
    (void)state;
    rig r;
    fill(&r);
    for (int format = Q5_METRICS_TEXT; format <= Q5_METRICS_OPENMETRICS; format++) {
        char *text = exposed(&r, (q5_metrics_format)format);
        for (size_t i = 0; i < Q5_ARRAY_LEN(lines); i++)
            assert_has(text, lines[i]);
        bool open = format == Q5_METRICS_OPENMETRICS;
        assert_has(text, open ? "# TYPE http_server_requests counter\n"
                              : "# TYPE http_server_requests_total counter\n");
        assert_int_equal(strstr(text, "# UNIT http_server_request_duration_seconds seconds\n") != 0,
                         open);
        assert_int_equal(strcmp(text + strlen(text) - 6, "# EOF\n") == 0, open);
        free(text);
    }
    free(r.memory);
}

static void test_accept(void **state) {
    (void)state;
    assert_int_equal(q5_metrics_accepted(Q5_LIT("")), Q5_METRICS_TEXT);
    assert_int_equal(q5_metrics_accepted(Q5_LIT("text/plain;version=0.0.4")), Q5_METRICS_TEXT);
    assert_int_equal(
        q5_metrics_accepted(Q5_LIT("application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1")),
        Q5_METRICS_OPENMETRICS);
}

static int scenario(const q5_alloc *alloc, void *ctx) {
    q5_buf buf;
    q5_buf_init(&buf, alloc);
    int status = q5_metrics_write(&((rig *)ctx)->metrics, Q5_METRICS_TEXT, &buf);
    q5_buf_deinit(&buf);
    return status;
}

static void test_failing_allocations(void **state) {
    (void)state;
    rig r;
    fill(&r);
    failmalloc_sweep(scenario, &r);
    free(r.memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),    cmocka_unit_test(test_durations),
        cmocka_unit_test(test_statuses),  cmocka_unit_test(test_unknown_routes_and_methods),
        cmocka_unit_test(test_processes), cmocka_unit_test(test_exposition),
        cmocka_unit_test(test_accept),    cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
