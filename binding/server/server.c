/* The type _quintette.Server: its configuration and its methods. */
#include "server.h"

#include <time.h>

#include "api/router.h"
#include "convert.h"
#include "loop/watchdog.h"
#include "q5/ws_deflate.h"
#include "telemetry/metrics.h"
#include "telemetry/spans.h"
#include "telemetry/trace.h"

/* ---- configuration --------------------------------------------------------------------------- */

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
    self->ws_config = q5_ws_config_default();
    self->compresses = true;
    if (limits && q5py_server_limits(limits, &config, self)) return -1;
    q5py_server_set_callbacks(self, &config);
    q5_poller *poller = self->poller ? self->poller->poller : NULL;
    self->server = q5_server_create(poller, &config, &self->app);
    if (!self->server) {
        PyErr_NoMemory();
        return -1;
    }
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
    ((q5py_server *)op)->draining = true;
    q5_server_drain(server);
    q5py_stations_close((q5py_server *)op);
    q5py_pumps_drain((q5py_server *)op);
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
    q5py_server_flush_log(self);
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

/* Called before there is a connection. */
static PyObject *server_trust(PyObject *op, PyObject *proxies) {
    q5py_server *self = (q5py_server *)op;
    if (check_type(proxies, self->state->proxies_type, "proxies")) return NULL;
    Py_XSETREF(self->proxies, (q5py_proxies *)given(proxies));
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
    return q5py_spans_traverse(self->spans, visit, arg);
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
    PyMem_Free(self->tracing);
    q5py_spans_free(self->spans);
    q5py_scrape_free(self->scrape);
    Py_CLEAR(self->metrics);
    q5_buf_deinit(&self->log);
    q5_ws_deflater_destroy(self->deflater);
    server_clear(op);
    Py_CLEAR(self->proxies);
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
    {"measure", q5py_server_measure, METH_VARARGS,
     "measure(metrics, path, allow, counts)\n\nAnswers `path` with the metrics to clients of the\n"
     "networks of the list `allow` (None: to all), and to others as if it were not there. counts:\n"
     "requests are counted, once metrics.claim() has been called. Before the first request."},
    {"spans", q5py_server_spans, METH_VARARGS,
     "spans(finish, context_class, variable, bound, obeys_parent)\n\nTraces are sampled, all or "
     "(bound)\n"
     "by their id, and finish(list) is called with those that are over. For each request the\n"
     "variable is set to a context_class(), with its attribute trace. After trace() and "
     "measure()."},
    {"trace", q5py_server_trace, METH_VARARGS,
     "trace(name, trust, seed)\n\nRequests get ids, and places in traces. name: the field with "
     "the\n"
     "id, in responses and, with trust, in requests; may be empty. seed: 32 random bytes. Before\n"
     "the first request."},
    {"trust", server_trust, METH_O,
     "trust(proxies)\n\nA Proxies, or None: whom requests are believed whom they are forwarded "
     "for."},
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

int q5py_init_server(PyObject *module, q5py_state *state) {
    state->server_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &server_spec, NULL);
    if (!state->server_type || q5py_init_job(module, state)) return -1;
    return PyModule_AddType(module, state->server_type);
}
