/* What a server does when the library or the poller calls it: which requests are answered without
 * Python, the access log, its part in each turn of the loop. */
#include "server.h"

#include <time.h>

#include "api/plan_data.h"
#include "convert.h"
#include "streams/body_source.h"
#include "telemetry/metrics.h"
#include "telemetry/spans.h"
#include "telemetry/trace.h"
#include "traffic/client.h"
#include "traffic/cors.h"
#include "websocket/websocket.h"

#define LOG_SIZE_MAX (1u << 20) /* lines that nobody takes are dropped past it */
#define LOG_RETRY_MSEC 50

/* ---- a request's head ------------------------------------------------------------------------ */

static void answer_method(q5_exchange *x) {
    if (x->head.method_id == Q5_METHOD_OPTIONS) {
        if (q5_response_start(x, 204)) return;
        q5_response_allow(x, x->match.allow);
        q5_response_send(x, q5_slice_make(NULL, 0), NULL, NULL);
        return;
    }
    q5_response_not_allowed(x, x->match.allow);
}

/* OPTIONS * asks about the server as a whole (RFC 9110, 9.3.7); a tunnel is not ours to open. */
static bool answer_special(q5_exchange *x) {
    if (x->head.method_id == Q5_METHOD_CONNECT) {
        q5_response_problem(x, 501, q5_slice_make(NULL, 0));
        return true;
    }
    if (x->head.path.len != 1 || x->head.path.base[0] != '*') return false;
    if (q5_response_start(x, 204) == Q5_OK) q5_response_send(x, q5_slice_make(NULL, 0), NULL, NULL);
    return true;
}

/* A typed route was found; an async Django view is guarded by its middleware. */
static void take_route(q5py_server *self, q5_exchange *x) {
    PyObject *route = x->match.route;
    if (!Py_IS_TYPE(route, self->state->plan_type)) return;
    if (self->hosts && q5py_hosts_refuse(self, x)) return;
    uint64_t body_max = ((q5py_plan *)route)->body_max;
    if (body_max) x->body_max = body_max;
    x->stream_body = ((q5py_plan *)route)->streams_body;
}

/* A browser asks whether a script may send a request (Fetch, 3.2.2): the guards of the route that
 * would get it say so. */
static bool route_preflight(q5py_server *self, q5_exchange *x) {
    q5_slice method;
    q5_route_match match;
    if (!q5py_cors_is_preflight(&x->head, &method)) return false;
    if (q5_router_match(self->router, q5_method_find(method), x->head.path, &match) ||
        !Py_IS_TYPE(match.route, self->state->plan_type) ||
        !((q5py_plan *)match.route)->data->preflights)
        return false;
    x->match = match;
    take_route(self, x);
    return true;
}

/* Django's resolver sees them as slashes: what such a path leads to is for it to say. */
static bool has_escaped_slash(q5_slice path) {
    const char *end = path.base + path.len;
    for (const char *at = path.base; (at = memchr(at, '%', (size_t)(end - at))); at++)
        if (end - at >= 3 && at[1] == '2' && (at[2] | 0x20) == 'f') return true;
    return false;
}

/* True: the router knows the path, and the request is on its way or answered. */
static bool route(q5py_server *self, q5_exchange *x) {
    if (self->django_sync && has_escaped_slash(x->head.path)) return false;
    int status = q5_router_match(self->router, x->head.method_id, x->head.path, &x->match);
    if (status == Q5_OK) {
        take_route(self, x);
        return true;
    }
    x->match.route = NULL;
    if (status == Q5_NOT_FOUND && x->match.allow) {
        if (!route_preflight(self, x)) answer_method(x);
        return true;
    }
    if (status != Q5_EENCODING || self->django_sync) return false;
    q5_response_problem(x, 400, Q5_LIT("invalid percent-encoding in the path"));
    return true;
}

/* ---- the access log -------------------------------------------------------------------------- */

static uint64_t now_usec(clockid_t clock) {
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static q5_slice hex(const uint8_t *bytes, size_t size, char *room) {
    q5_hex_write(bytes, size, room);
    return q5_slice_make(room, 2 * size);
}

static void log_request(q5py_server *self, q5_exchange *x, uint64_t duration) {
    char trace_id[2 * Q5_TRACE_ID_SIZE], span_id[2 * Q5_SPAN_ID_SIZE];
    const q5py_note *note = x->note;
    char host[Q5_ADDRESS_TEXT_MAX];
    uint16_t port;
    q5py_client_text(x, host, &port);
    uint64_t now = now_usec(CLOCK_REALTIME);
    q5_access_record record = {
        .client = q5_slice_make(host, strlen(host)),
        .method = x->head.method,
        .target = x->head.target,
        .status = x->status,
        .sent_len = x->sent_len,
        .duration_usec = duration,
        .unix_msec = (int64_t)((now - duration) / 1000),
        .utc_offset_s = self->log_utc_offset,
        .request_id = x->request_id,
    };
    if (x->request_id.len) {
        record.trace_id = hex(note->trace.trace_id, Q5_TRACE_ID_SIZE, trace_id);
        record.span_id = hex(note->trace.span_id, Q5_SPAN_ID_SIZE, span_id);
    }
    if (self->log.len < LOG_SIZE_MAX) q5_access_log_format(&self->log, &record, self->log_style);
}

void q5py_server_flush_log(q5py_server *self) {
    size_t taken;
    int status = q5_line_sink_write(&self->log_sink, q5_buf_slice(&self->log), &taken);
    q5_buf_consume(&self->log, status == Q5_EIO ? self->log.len : taken);
}

/* ---- callbacks from the library -------------------------------------------------------------- */

static void note_static(q5_exchange *x) {
    q5py_note *note = x->note;
    if (note) note->route = Q5PY_ROUTE_STATIC;
}

static void on_head(void *ctx, q5_exchange *x) {
    q5py_server *self = ctx;
    if (self->log_style || self->metrics) x->begin_usec = now_usec(CLOCK_MONOTONIC);
    if (self->tracing || self->metrics) q5py_trace_head(self, x);
    if (self->proxies && q5py_proxies_refuse(self->proxies, x)) return;
    if (answer_special(x)) return;
    if (self->scrape && q5py_scrape_serve(self, x)) return;
    if (self->statics && q5py_statics_serve(self, x)) {
        note_static(x);
        return;
    }
    if (self->router && route(self, x)) return;
    if (!self->django_sync) q5_response_problem(x, 404, q5_slice_make(NULL, 0));
}

static void on_request(void *ctx, q5_exchange *x) {
    q5py_dispatch(ctx, x);
}

static void on_body(void *ctx, q5_exchange *x) {
    (void)ctx;
    if (x->user) q5py_body_source_wake(x->user);
}

static bool on_eof(void *ctx, q5_exchange *x) {
    (void)ctx;
    q5py_flight *flight = x->user;
    return flight && (flight->task || flight->subscription);
}

static void on_drain(void *ctx, q5_exchange *x) {
    (void)ctx;
    q5py_flight *flight = x->user;
    if (!flight) return;
    if (flight->socket)
        q5py_websocket_drained(flight->socket);
    else if (flight->feed)
        q5py_feed_wake(flight);
    else if (flight->subscription)
        q5py_subscription_drained(flight);
    else
        q5py_pump_wake(flight);
}

static void on_gone(void *ctx, q5_exchange *x, q5_gone why) {
    (void)ctx;
    (void)why;
    if (x->user) q5py_flight_gone(x->user);
}

static void on_done(void *ctx, q5_exchange *x) {
    q5py_server *self = ctx;
    if (!self->log_style && !self->metrics) return; /* spans go with metrics */
    /* What was shed never came to on_head. */
    uint64_t duration = x->begin_usec ? now_usec(CLOCK_MONOTONIC) - x->begin_usec : 0;
    if (self->log_style) log_request(self, x, duration);
    if (self->metrics) q5py_metrics_done(self, x, duration);
    if (self->spans) q5py_spans_done(self, x, duration);
}

static void on_exhausted(void *ctx, int error) {
    q5py_server *self = ctx;
    if (!self->on_exhausted) return;
    PyObject *done = PyObject_CallFunction(self->on_exhausted, "i", error);
    if (!done) q5py_server_error(self, NULL);
    Py_XDECREF(done);
}

/* ---- the poller's hook ----------------------------------------------------------------------- */

/* Milliseconds until the hook must be called again, -1: it need not. */
static int next_call_msec(q5py_server *self) {
    int timeout = q5_server_timeout_msec(self->server);
    if (!self->log.len && !q5py_spans_pending(self->spans)) return timeout;
    return timeout < 0 || timeout > LOG_RETRY_MSEC ? LOG_RETRY_MSEC : timeout;
}

static int before_wait(q5py_poll_hook *hook) {
    q5py_server *self = Q5_CONTAINER_OF(hook, q5py_server, hook);
    if (self->abort_soon) {
        self->abort_soon = false;
        q5_server_abort(self->server);
    }
    if (self->unsent) q5py_pump_flush(self);
    q5_server_tick(self->server);
    if (self->log.len) q5py_server_flush_log(self);
    if (self->metrics) q5py_metrics_publish(self);
    if (q5py_spans_pending(self->spans)) q5py_spans_flush(self->spans);
    return next_call_msec(self);
}

static void after_wait(q5py_poll_hook *hook) {
    q5_server_refresh(Q5_CONTAINER_OF(hook, q5py_server, hook)->server);
}

/* Nothing here runs Python code: that could let the loop's thread go on in the midst of it. */
static int stand_in(q5py_poll_hook *hook) {
    q5py_server *self = Q5_CONTAINER_OF(hook, q5py_server, hook);
    q5_server_push(self->server);
    if (self->log.len) q5py_server_flush_log(self);
    return next_call_msec(self);
}

void q5py_server_set_callbacks(q5py_server *self, q5_server_config *config) {
    config->on_exhausted = on_exhausted;
    self->app = (q5_app){.ctx = self,
                         .on_head = on_head,
                         .on_request = on_request,
                         .on_body = on_body,
                         .on_eof = on_eof,
                         .on_drain = on_drain,
                         .on_gone = on_gone,
                         .on_done = on_done};
    self->hook = (q5py_poll_hook){.before_wait = before_wait,
                                  .after_wait = after_wait,
                                  .stand_in = stand_in,
                                  .owner = (PyObject *)self};
}
