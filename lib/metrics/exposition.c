/* Prometheus's text formats. Names of requests' series are those of OpenTelemetry's semantic
 * conventions, spelled as Prometheus has them. */
#include "metrics/metrics_memory.h"

#include <stdarg.h>
#include <stdio.h>

#define LINE_MAX_LEN 256 /* without labels that come from elsewhere */

typedef struct writer {
    const q5_metrics *metrics;
    q5_metrics_format format;
    q5_buf *buf;
    int status; /* of the first thing that failed */
} writer;

/* ---- text ------------------------------------------------------------------------------------ */

static void put(writer *w, const char *text, size_t len) {
    if (!w->status) w->status = q5_buf_append(w->buf, text, len);
}

__attribute__((format(printf, 2, 3))) static void print(writer *w, const char *format, ...) {
    char line[LINE_MAX_LEN];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (len > 0) put(w, line, (size_t)len < sizeof(line) ? (size_t)len : sizeof(line) - 1);
}

/* A label's value: backslash, quotation mark and line feed are escaped. */
static void put_value(writer *w, q5_slice text) {
    for (size_t i = 0; i < text.len; i++) {
        char c = text.base[i];
        if (c == '\n')
            put(w, "\\n", 2);
        else if (c == '\\' || c == '"')
            put(w, (char[]){'\\', c}, 2);
        else
            put(w, &c, 1);
    }
}

static void put_seconds(writer *w, uint64_t usec) {
    print(w, " %llu.%06u\n", (unsigned long long)(usec / 1000000), (unsigned)(usec % 1000000));
}

static void put_number(writer *w, uint64_t n) {
    print(w, " %llu\n", (unsigned long long)n);
}

/* In OpenMetrics a counter's family has no "_total", and its unit is told. */
static void begin(writer *w, const char *name, const char *type, const char *unit,
                  const char *help) {
    bool open = w->format == Q5_METRICS_OPENMETRICS;
    const char *total = !open && strcmp(type, "counter") == 0 ? "_total" : "";
    print(w, "# HELP %s%s %s\n", name, total, help);
    print(w, "# TYPE %s%s %s\n", name, total, type);
    if (open && *unit) print(w, "# UNIT %s %s\n", name, unit);
}

/* ---- requests, by route and method ----------------------------------------------------------- */

static void put_series(writer *w, const char *name, uint32_t route, uint8_t method) {
    const char *text = q5_method_name(method);
    print(w, "%s{http_request_method=\"%s\",http_route=\"", name, *text ? text : "_OTHER");
    put_value(w, w->metrics->routes[route]);
    put(w, "\"", 1);
}

typedef void (*row_writer)(writer *w, uint32_t route, uint8_t method, const q5_metrics_row *row);

static void each_row(writer *w, row_writer write) {
    q5_metrics_row row;
    for (uint32_t route = 0; route < w->metrics->route_count; route++)
        for (int method = 0; method < Q5_METHOD_COUNT; method++)
            if (q5_metrics_read(w->metrics, Q5_METRICS_ALL, route, (uint8_t)method, &row))
                write(w, route, (uint8_t)method, &row);
}

static void write_classes(writer *w, uint32_t route, uint8_t method, const q5_metrics_row *row) {
    static const char *const names[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    for (size_t i = 0; i < Q5_METRICS_CLASSES; i++) {
        if (!row->classes[i]) continue;
        put_series(w, "http_server_requests_total", route, method);
        print(w, ",status=\"%s\"}", names[i]);
        put_number(w, row->classes[i]);
    }
}

/* 500 microseconds are "0.0005": no zeroes behind, which would make another label of it. */
static void put_bound(writer *w, uint32_t usec) {
    char text[16];
    int len = snprintf(text, sizeof(text), "%u.%06u", usec / 1000000, usec % 1000000);
    while (text[len - 1] == '0' && text[len - 2] != '.')
        len--;
    put(w, text, (size_t)len);
}

static void write_durations(writer *w, uint32_t route, uint8_t method, const q5_metrics_row *row) {
    static const char bucket[] = "http_server_request_duration_seconds_bucket";
    uint64_t count = 0;
    for (size_t i = 0; i < Q5_METRICS_BUCKETS; i++) {
        count += row->buckets[i];
        put_series(w, bucket, route, method);
        put(w, ",le=\"", 5);
        put_bound(w, q5_metrics_bounds_usec[i]);
        put(w, "\"}", 2);
        put_number(w, count);
    }
    count += row->buckets[Q5_METRICS_BUCKETS];
    put_series(w, bucket, route, method);
    put(w, ",le=\"+Inf\"}", 11);
    put_number(w, count);
    put_series(w, "http_server_request_duration_seconds_sum", route, method);
    put(w, "}", 1);
    put_seconds(w, row->duration_usec);
    put_series(w, "http_server_request_duration_seconds_count", route, method);
    put(w, "}", 1);
    put_number(w, count);
}

static void write_received(writer *w, uint32_t route, uint8_t method, const q5_metrics_row *row) {
    put_series(w, "http_server_request_body_bytes_total", route, method);
    put(w, "}", 1);
    put_number(w, row->received);
}

static void write_sent(writer *w, uint32_t route, uint8_t method, const q5_metrics_row *row) {
    put_series(w, "http_server_response_body_bytes_total", route, method);
    put(w, "}", 1);
    put_number(w, row->sent);
}

static void write_requests(writer *w) {
    begin(w, "http_server_requests", "counter", "", "Requests, by the class of their status.");
    each_row(w, write_classes);
    begin(w, "http_server_request_duration_seconds", "histogram", "seconds",
          "From a request's head to the last byte of its response.");
    each_row(w, write_durations);
    begin(w, "http_server_request_body_bytes", "counter", "bytes", "Bodies received.");
    each_row(w, write_received);
    begin(w, "http_server_response_body_bytes", "counter", "bytes", "Bodies sent.");
    each_row(w, write_sent);
}

/* ---- processes ------------------------------------------------------------------------------- */

/* Of every process that lives, by the offset of one of its slot's numbers. */
static void write_gauge(writer *w, const char *name, size_t offset, const char *help) {
    begin(w, name, "gauge", "", help);
    for (uint32_t i = 0; i < w->metrics->slot_count; i++) {
        const q5_metrics_slot *slot = q5__metrics_slot(w->metrics, i);
        uint64_t pid = q5__metrics_load(&slot->pid);
        if (!pid) continue;
        const uint64_t *at = (const uint64_t *)(const void *)((const char *)slot + offset);
        print(w, "%s{worker=\"%llu\"}", name, (unsigned long long)pid);
        put_number(w, q5__metrics_load(at));
    }
}

static void write_start(writer *w) {
    begin(w, "quintette_worker_start_time_seconds", "gauge", "seconds", "When the worker began.");
    for (uint32_t i = 0; i < w->metrics->slot_count; i++) {
        const q5_metrics_slot *slot = q5__metrics_slot(w->metrics, i);
        uint64_t pid = q5__metrics_load(&slot->pid);
        if (!pid) continue;
        print(w, "quintette_worker_start_time_seconds{worker=\"%llu\"}", (unsigned long long)pid);
        put_seconds(w, q5__metrics_load(&slot->start_unix_msec) * 1000);
    }
}

#define GAUGE(field) (offsetof(q5_metrics_slot, gauges) + offsetof(q5_metrics_gauges, field))

static void write_gauges(writer *w) {
    write_gauge(w, "http_server_active_requests", GAUGE(active_requests),
                "Requests that are being handled.");
    write_gauge(w, "quintette_connections", GAUGE(connections), "Open connections.");
    write_gauge(w, "quintette_threads", GAUGE(threads), "Threads for synchronous code.");
    write_gauge(w, "quintette_threads_busy", GAUGE(threads_busy), "Those that run some.");
    write_gauge(w, "quintette_jobs_queued", GAUGE(jobs_queued), "Requests that wait for a thread.");
    write_start(w);
}

static uint64_t sum(writer *w, size_t offset) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < w->metrics->slot_count; i++) {
        const char *slot = (const char *)q5__metrics_slot(w->metrics, i);
        total += q5__metrics_load((const uint64_t *)(const void *)(slot + offset));
    }
    return total;
}

#define EVENT(field) (offsetof(q5_metrics_slot, events) + offsetof(q5_metrics_events, field))

static void write_events(writer *w) {
    begin(w, "quintette_connections_accepted", "counter", "", "Connections accepted.");
    print(w, "quintette_connections_accepted_total");
    put_number(w, sum(w, EVENT(accepted)));
    begin(w, "quintette_requests_rejected", "counter", "", "Requests that no handler was given.");
    print(w, "quintette_requests_rejected_total{reason=\"malformed\"}");
    put_number(w, sum(w, EVENT(faults)));
    print(w, "quintette_requests_rejected_total{reason=\"timeout\"}");
    put_number(w, sum(w, EVENT(timeouts)));
    print(w, "quintette_requests_rejected_total{reason=\"memory\"}");
    put_number(w, sum(w, EVENT(shed)));
    begin(w, "quintette_loop_held", "counter", "", "Times that code held the event loop too long.");
    print(w, "quintette_loop_held_total");
    put_number(w, sum(w, EVENT(held)));
    begin(w, "quintette_loop_held_seconds", "counter", "seconds", "For how long, together.");
    print(w, "quintette_loop_held_seconds_total");
    put_seconds(w, sum(w, EVENT(held_msec)) * 1000);
}

/* ---- all of it ------------------------------------------------------------------------------- */

const char *q5_metrics_content_type(q5_metrics_format format) {
    return format == Q5_METRICS_OPENMETRICS
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}

q5_metrics_format q5_metrics_accepted(q5_slice accept) {
    static const char name[] = "application/openmetrics-text";
    bool named = accept.len && memmem(accept.base, accept.len, name, sizeof(name) - 1);
    return named ? Q5_METRICS_OPENMETRICS : Q5_METRICS_TEXT;
}

int q5_metrics_write(const q5_metrics *metrics, q5_metrics_format format, q5_buf *buf) {
    writer w = {.metrics = metrics, .format = format, .buf = buf};
    write_requests(&w);
    write_gauges(&w);
    write_events(&w);
    if (format == Q5_METRICS_OPENMETRICS) print(&w, "# EOF\n");
    return w.status;
}
