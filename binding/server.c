/* The Server type: configuration, the library's callbacks, the access log. */
#include "server.h"

#include <time.h>

#include "convert.h"
#include "router.h"
#include "watchdog.h"

#define LOG_SIZE_MAX (1u << 20) /* lines that nobody takes are dropped past it */
#define LOG_RETRY_MSEC 50

/* ---- callbacks from the library -------------------------------------------------------------- */

static uint64_t now_usec(clockid_t clock) {
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

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
        answer_method(x);
        return true;
    }
    if (status != Q5_EENCODING || self->django_sync) return false;
    q5_response_problem(x, 400, Q5_LIT("invalid percent-encoding in the path"));
    return true;
}

static void on_head(void *ctx, q5_exchange *x) {
    q5py_server *self = ctx;
    if (self->log_style) x->begin_usec = now_usec(CLOCK_MONOTONIC);
    if (answer_special(x)) return;
    if (self->statics && q5py_statics_serve(self, x)) return;
    if (self->router && route(self, x)) return;
    if (!self->django_sync) q5_response_problem(x, 404, q5_slice_make(NULL, 0));
}

static void on_request(void *ctx, q5_exchange *x) {
    q5py_dispatch(ctx, x);
}

static bool on_eof(void *ctx, q5_exchange *x) {
    (void)ctx;
    q5py_flight *flight = x->user;
    return flight && flight->task;
}

static void on_drain(void *ctx, q5_exchange *x) {
    (void)ctx;
    q5py_flight *flight = x->user;
    if (!flight) return;
    if (flight->feed)
        q5py_feed_wake(flight);
    else
        q5py_pump_wake(flight);
}

static void on_gone(void *ctx, q5_exchange *x, q5_gone why) {
    (void)ctx;
    (void)why;
    if (x->user) q5py_flight_gone(x->user);
}

static void log_request(q5py_server *self, q5_exchange *x) {
    char host[46] = "";
    uint16_t port;
    if (x->conn) q5_server_peer(x->conn, host, &port);
    uint64_t now = now_usec(CLOCK_REALTIME);
    /* What was shed never came to on_head. */
    uint64_t duration = x->begin_usec ? now_usec(CLOCK_MONOTONIC) - x->begin_usec : 0;
    q5_access_record record = {
        .client = q5_slice_make(host, strlen(host)),
        .method = x->head.method,
        .target = x->head.target,
        .status = x->status,
        .sent_len = x->sent_len,
        .duration_usec = duration,
        .unix_msec = (int64_t)((now - duration) / 1000),
        .utc_offset_s = self->log_utc_offset,
    };
    if (self->log.len < LOG_SIZE_MAX) q5_access_log_format(&self->log, &record, self->log_style);
}

static void on_done(void *ctx, q5_exchange *x) {
    q5py_server *self = ctx;
    if (self->log_style) log_request(self, x);
}

static void on_exhausted(void *ctx, int error) {
    q5py_server *self = ctx;
    if (!self->on_exhausted) return;
    PyObject *done = PyObject_CallFunction(self->on_exhausted, "i", error);
    if (!done) q5py_server_error(self, NULL);
    Py_XDECREF(done);
}

/* ---- the poller's hook ----------------------------------------------------------------------- */

/* Lines are written once per turn of the loop, or of the threads that stand in for it. A log that
 * is not taken loses lines, never time. */
static void flush_log(q5py_server *self) {
    size_t taken;
    int status = q5_line_sink_write(&self->log_sink, q5_buf_slice(&self->log), &taken);
    q5_buf_consume(&self->log, status == Q5_EIO ? self->log.len : taken);
}

/* Milliseconds until the hook must be called again, -1: it need not. */
static int next_call_msec(q5py_server *self) {
    int timeout = q5_server_timeout_msec(self->server);
    if (!self->log.len) return timeout;
    return timeout < 0 || timeout > LOG_RETRY_MSEC ? LOG_RETRY_MSEC : timeout;
}

static int before_wait(q5py_poll_hook *hook) {
    q5py_server *self = Q5_CONTAINER_OF(hook, q5py_server, hook);
    if (self->abort_soon) {
        self->abort_soon = false;
        q5_server_abort(self->server);
    }
    q5_server_tick(self->server);
    if (self->log.len) flush_log(self);
    return next_call_msec(self);
}

static void after_wait(q5py_poll_hook *hook) {
    q5_server_refresh(Q5_CONTAINER_OF(hook, q5py_server, hook)->server);
}

/* Nothing here runs Python code: that could let the loop's thread go on in the midst of it. */
static int stand_in(q5py_poll_hook *hook) {
    q5py_server *self = Q5_CONTAINER_OF(hook, q5py_server, hook);
    q5_server_push(self->server);
    if (self->log.len) flush_log(self);
    return next_call_msec(self);
}

/* ---- configuration --------------------------------------------------------------------------- */

static int take_limit(PyObject *limits, const char *name, uint64_t max, uint64_t *ret) {
    PyObject *value = PyDict_GetItemString(limits, name);
    if (!value) return 0;
    uint64_t number = PyLong_AsUnsignedLongLong(value);
    if (number == (uint64_t)-1 && PyErr_Occurred()) return -1;
    if (number > max) {
        PyErr_Format(PyExc_ValueError, "limit %s: %llu is more than %llu", name, number, max);
        return -1;
    }
    *ret = number;
    if (PyDict_DelItemString(limits, name)) return -1;
    return 1;
}

/* Each limit once: its name, its field, its ceiling. */
#define LIMITS(XX)                                               \
    XX("body_max", conn.body_max, UINT64_MAX / 2)                \
    XX("spool_min", conn.spool_min, UINT64_MAX / 2)              \
    XX("line_max", conn.head_limits.line_max, 1u << 20)          \
    XX("head_max", conn.head_limits.head_max, 1u << 24)          \
    XX("fields_max", conn.head_limits.fields_max, Q5_FIELDS_MAX) \
    XX("allow_underscore", conn.head_limits.allow_underscore, 1) \
    XX("head_timeout_msec", conn.head_timeout_msec, 86400000)    \
    XX("body_idle_msec", conn.body_idle_msec, 86400000)          \
    XX("body_floor_per_s", conn.body_floor_per_s, 1u << 30)      \
    XX("keep_alive_msec", conn.keep_alive_msec, 86400000)        \
    XX("write_idle_msec", conn.write_idle_msec, 86400000)        \
    XX("write_floor_per_s", conn.write_floor_per_s, 1u << 30)    \
    XX("requests_max", conn.requests_max, UINT32_MAX)            \
    XX("connections_max", connections_max, 1u << 20)             \
    XX("memory_max", memory_max, UINT64_MAX / 2)

static int take_limits(PyObject *given, q5_server_config *config) {
    PyObject *limits = PyDict_Copy(given);
    if (!limits) return -1;
    int rc = 0;
    uint64_t value;
#define XX(name, field, max) \
    if (rc >= 0 && (rc = take_limit(limits, name, max, &value)) > 0) config->field = value;
    LIMITS(XX)
#undef XX
    if (rc >= 0 && PyDict_GET_SIZE(limits)) {
        PyErr_Format(PyExc_ValueError, "unknown limits: %R", limits);
        rc = -1;
    }
    Py_DECREF(limits);
    return rc < 0 ? -1 : 0;
}

static PyObject *given(PyObject *value) {
    return value && value != Py_None ? Py_NewRef(value) : NULL;
}

static int32_t utc_offset(void) {
    time_t now = time(NULL);
    struct tm local;
    return localtime_r(&now, &local) ? (int32_t)local.tm_gmtoff : 0;
}

static int check_type(PyObject *value, PyTypeObject *type, const char *name) {
    if (!value || value == Py_None || PyObject_TypeCheck(value, type)) return 0;
    PyErr_Format(PyExc_TypeError, "%s must be a %s or None, not %R", name, type->tp_name, value);
    return -1;
}

static int server_open(q5py_server *self, PyObject *limits) {
    q5_server_config config = q5_server_config_default();
    if (limits && take_limits(limits, &config)) return -1;
    config.on_exhausted = on_exhausted;
    self->app = (q5_app){.ctx = self,
                         .on_head = on_head,
                         .on_request = on_request,
                         .on_eof = on_eof,
                         .on_drain = on_drain,
                         .on_gone = on_gone,
                         .on_done = on_done};
    q5_poller *poller = self->poller ? self->poller->poller : NULL;
    self->server = q5_server_create(poller, &config, &self->app);
    if (!self->server) {
        PyErr_NoMemory();
        return -1;
    }
    self->hook = (q5py_poll_hook){.before_wait = before_wait,
                                  .after_wait = after_wait,
                                  .stand_in = stand_in,
                                  .owner = (PyObject *)self};
    if (self->poller) q5py_poller_add_hook(self->poller, &self->hook);
    return 0;
}

static PyObject *server_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {
        "poller",         "router",  "django_sync",  "django_async",  "threads",  "executor",
        "limits",         "statics", "access_log",   "access_log_fd", "on_error", "allowed_hosts",
        "forwarded_host", "tidy",    "on_exhausted", "sync_views",    NULL};
    PyObject *poller = NULL, *router = NULL, *sync = NULL, *async = NULL, *threads = NULL,
             *executor = NULL, *limits = NULL, *statics = NULL, *on_error = NULL, *hosts = NULL,
             *tidy = NULL, *exhausted = NULL;
    int log_style = 0, log_fd = STDOUT_FILENO, forwarded = 0, sync_views = Q5PY_SYNC_THREAD;
    q5py_state *state = q5py_state_of_type(type);
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O$OOOOOO!OiiOOpOOi", keywords, &poller,
                                     &router, &sync, &async, &threads, &executor, &PyDict_Type,
                                     &limits, &statics, &log_style, &log_fd, &on_error, &hosts,
                                     &forwarded, &tidy, &exhausted, &sync_views) ||
        check_type(poller, state->poller_type, "poller") ||
        check_type(router, state->router_type, "router") ||
        check_type(threads, state->thread_pool_type, "threads"))
        return NULL;
    if (sync_views < Q5PY_SYNC_THREAD || sync_views > Q5PY_SYNC_INLINE) {
        PyErr_SetString(PyExc_ValueError, "sync_views must be from 1 to 3");
        return NULL;
    }
    q5py_server *self = (q5py_server *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->state = state;
    self->poller = (q5py_poller *)given(poller);
    self->router_object = given(router);
    self->router = self->router_object ? q5py_router_freeze(self->router_object) : NULL;
    self->django_sync = given(sync);
    self->django_async = given(async);
    self->threads = (q5py_thread_pool *)given(threads);
    self->executor = given(executor);
    self->on_error = given(on_error);
    self->tidy = given(tidy);
    self->on_exhausted = given(exhausted);
    self->sync_views = (q5py_sync)sync_views;
    self->log_style = (q5_access_style)log_style;
    self->log_sink = q5_line_sink_make(log_fd);
    self->log_utc_offset = utc_offset();
    q5_buf_init(&self->log, NULL);
    self->context = PyContext_CopyCurrent();
    if (!self->context || server_open(self, limits) ||
        (statics && statics != Py_None && q5py_statics_set(self, statics)) ||
        (hosts && hosts != Py_None && q5py_hosts_set(self, hosts, forwarded))) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* ---- methods --------------------------------------------------------------------------------- */

static q5_server *open_server(PyObject *op) {
    q5py_server *self = (q5py_server *)op;
    if (!self->closed) return self->server;
    PyErr_SetString(PyExc_RuntimeError, "the server is closed");
    return NULL;
}

/* For calls that close connections. */
static q5_server *idle_server(PyObject *op) {
    q5py_server *self = (q5py_server *)op;
    if (self->poller && q5py_poller_is_waiting(self->poller)) return NULL;
    return open_server(op);
}

static PyObject *server_accept_on(PyObject *op, PyObject *arg) {
    q5_server *server = open_server(op);
    int fd = server ? PyObject_AsFileDescriptor(arg) : -1;
    if (fd < 0) return NULL;
    if (!((q5py_server *)op)->poller) {
        PyErr_SetString(PyExc_RuntimeError, "a server without a poller has no sockets");
        return NULL;
    }
    int status = q5_server_accept_on(server, fd);
    if (status) return q5py_raise_status(status);
    Py_RETURN_NONE;
}

static PyObject *server_drain(PyObject *op, PyObject *unused) {
    (void)unused;
    q5_server *server = idle_server(op);
    if (!server) return NULL;
    q5_server_drain(server);
    Py_RETURN_NONE;
}

static PyObject *server_stats(PyObject *op, PyObject *unused) {
    (void)unused;
    q5_server *server = open_server(op);
    if (!server) return NULL;
    const q5_server_stats *stats = q5_server_get_stats(server);
    const q5py_server *self = (q5py_server *)op;
    q5py_watchdog_stats held = q5py_watchdog_get_stats(self->state, self->poller);
    return Py_BuildValue("{sKsKsKsKsKsIsIsKsKsK}", "accepted", stats->accepted, "requests",
                         stats->requests, "faults", stats->faults, "timeouts", stats->timeouts,
                         "shed", stats->shed, "connections", stats->connections, "in_flight",
                         self->flights, "held", held.count, "held_msec", held.total_msec,
                         "held_longest_msec", held.longest_msec);
}

/* Requests that Python still holds and connections in memory need the library's server: it ends
 * with the object. The poller's reference to us is dropped. */
static void close_server(q5py_server *self) {
    if (self->closed) return;
    self->closed = true;
    q5_server_drain(self->server);
    q5_server_abort(self->server);
    flush_log(self);
    if (self->poller) q5py_poller_remove_hook(self->poller, &self->hook);
}

/* A handler may run inside the very call of the library that must not lose its server. */
static bool in_handler(q5py_server *self) {
    return self->poller && self->poller->serving;
}

static PyObject *server_close(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_server *self = (q5py_server *)op;
    if (self->closed) Py_RETURN_NONE;
    if (!idle_server(op)) return NULL;
    if (self->flights || in_handler(self)) {
        PyErr_Format(PyExc_RuntimeError, "%u requests are still being handled", self->flights);
        return NULL;
    }
    close_server(self);
    Py_RETURN_NONE;
}

static PyObject *server_abort(PyObject *op, PyObject *unused) {
    (void)unused;
    q5_server *server = idle_server(op);
    if (!server) return NULL;
    if (in_handler((q5py_server *)op))
        ((q5py_server *)op)->abort_soon = true;
    else
        q5_server_abort(server);
    Py_RETURN_NONE;
}

static PyObject *server_drained(PyObject *op, void *unused) {
    (void)unused;
    q5py_server *self = (q5py_server *)op;
    return PyBool_FromLong(self->closed || q5_server_drained(self->server));
}

static int server_traverse(PyObject *op, visitproc visit, void *arg) {
    q5py_server *self = (q5py_server *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->poller);
    Py_VISIT(self->router_object);
    Py_VISIT(self->django_sync);
    Py_VISIT(self->django_async);
    Py_VISIT(self->threads);
    Py_VISIT(self->executor);
    Py_VISIT(self->on_error);
    Py_VISIT(self->tidy);
    Py_VISIT(self->on_exhausted);
    Py_VISIT(self->memory_loop);
    Py_VISIT(self->context);
    Py_VISIT(self->raised);
    return 0;
}

static int server_clear(PyObject *op) {
    q5py_server *self = (q5py_server *)op;
    Py_CLEAR(self->django_sync);
    Py_CLEAR(self->django_async);
    Py_CLEAR(self->executor);
    Py_CLEAR(self->on_error);
    Py_CLEAR(self->tidy);
    Py_CLEAR(self->on_exhausted);
    Py_CLEAR(self->memory_loop);
    Py_CLEAR(self->context);
    Py_CLEAR(self->raised);
    return 0;
}

/* No flight is left here: each holds a reference. */
static void server_dealloc(PyObject *op) {
    q5py_server *self = (q5py_server *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    PyObject *exception = q5py_exception_take();
    if (self->server) {
        close_server(self);
        q5_server_destroy(self->server);
    }
    q5py_statics_free(self->statics);
    q5py_hosts_free(self->hosts);
    q5_buf_deinit(&self->log);
    server_clear(op);
    Py_CLEAR(self->router_object);
    Py_CLEAR(self->threads);
    Py_CLEAR(self->poller);
    if (exception) q5py_exception_set(exception);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef server_methods[] = {
    {"accept_on", server_accept_on, METH_O,
     "accept_on(fd)\n\nStarts to accept on a listening socket, which stays the caller's."},
    {"drain", server_drain, METH_NOARGS,
     "drain()\n\nNo more connections; present ones end with their request."},
    {"abort", server_abort, METH_NOARGS,
     "abort()\n\nCloses all connections now; their handlers are told that the client has left."},
    {"stats", server_stats, METH_NOARGS, "stats() -> dict[str, int]"},
    {"close", server_close, METH_NOARGS, "close()\n\nRuntimeError while requests are handled."},
    {"memory_connection", q5py_memory_connection, METH_NOARGS,
     "memory_connection() -> MemoryConnection: a client without a socket"},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef server_getset[] = {
    {"drained", server_drained, NULL, "bool: after drain(), no connection is left", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot server_slots[] = {
    {Py_tp_doc, "Accepts connections and answers requests, driven by a Poller."},
    {Py_tp_new, server_new},
    {Py_tp_dealloc, server_dealloc},
    {Py_tp_traverse, server_traverse},
    {Py_tp_clear, server_clear},
    {Py_tp_methods, server_methods},
    {Py_tp_getset, server_getset},
    {0, NULL},
};

static PyType_Spec server_spec = {
    .name = "quintette._quintette.Server",
    .basicsize = sizeof(q5py_server),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = server_slots,
};

extern PyType_Spec q5py_job_spec;

int q5py_init_server(PyObject *module, q5py_state *state) {
    state->server_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &server_spec, NULL);
    state->job_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &q5py_job_spec, NULL);
    if (!state->server_type || !state->job_type) return -1;
    return PyModule_AddType(module, state->server_type);
}
