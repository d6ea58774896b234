#include "metrics.h"

#include "convert.h"
#include "django/django_urls.h"
#include "django/request.h"
#include "loop/watchdog.h"
#include "trace.h"
#include "traffic/client.h"

#define NETWORKS_MAX 64

/* Where a server answers who scrapes, and whom. */
struct q5py_scrape {
    char *path; /* owned */
    size_t path_len;
    bool open_to_all;
    size_t count;
    q5_network networks[];
};

/* ---- configuration --------------------------------------------------------------------------- */

static int read_networks(struct q5py_scrape *scrape, PyObject *allow) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(allow); i++) {
        PyObject *item = PyList_GET_ITEM(allow, i);
        Py_ssize_t len;
        const char *text = PyUnicode_AsUTF8AndSize(item, &len);
        if (!text) return -1;
        if (q5_network_parse(q5_slice_make(text, (size_t)len), &scrape->networks[scrape->count])) {
            PyErr_Format(PyExc_ValueError, "%R is no network", item);
            return -1;
        }
        scrape->count++;
    }
    return 0;
}

static struct q5py_scrape *scrape_new(q5_slice path, PyObject *allow) {
    Py_ssize_t count = allow == Py_None ? 0 : PyList_GET_SIZE(allow);
    if (count > NETWORKS_MAX) {
        PyErr_Format(PyExc_ValueError, "at most %d networks", NETWORKS_MAX);
        return NULL;
    }
    struct q5py_scrape *scrape =
        PyMem_Calloc(1, sizeof(*scrape) + (size_t)count * sizeof(q5_network));
    char *copy = scrape ? PyMem_Malloc(path.len + 1) : NULL;
    if (!copy) {
        PyMem_Free(scrape);
        PyErr_NoMemory();
        return NULL;
    }
    memcpy(copy, path.base, path.len);
    scrape->path = copy;
    scrape->path_len = path.len;
    scrape->open_to_all = allow == Py_None;
    if (count && read_networks(scrape, allow)) {
        q5py_scrape_free(scrape);
        return NULL;
    }
    return scrape;
}

void q5py_scrape_free(struct q5py_scrape *scrape) {
    if (!scrape) return;
    PyMem_Free(scrape->path);
    PyMem_Free(scrape);
}

PyObject *q5py_server_measure(PyObject *op, PyObject *args) {
    q5py_server *self = (q5py_server *)op;
    PyObject *metrics, *allow;
    const char *path;
    Py_ssize_t path_len;
    int counts;
    if (!PyArg_ParseTuple(args, "O!s#Op:measure", self->state->metrics_type, &metrics, &path,
                          &path_len, &allow, &counts))
        return NULL;
    if (allow != Py_None && !PyList_Check(allow)) {
        PyErr_SetString(PyExc_TypeError, "allow must be a list or None");
        return NULL;
    }
    struct q5py_scrape *scrape = scrape_new(q5_slice_make(path, (size_t)path_len), allow);
    if (!scrape) return NULL;
    q5py_scrape_free(self->scrape);
    self->scrape = scrape;
    self->counts = counts;
    Py_XSETREF(self->metrics, (q5py_metrics *)Py_NewRef(metrics));
    Py_RETURN_NONE;
}

/* ---- counting -------------------------------------------------------------------------------- */

static uint32_t route_of(q5py_server *self, const q5_exchange *x) {
    PyObject *route = x->match.route;
    if (route && Py_IS_TYPE(route, self->state->plan_type))
        return ((q5py_plan *)route)->route_number;
    const q5py_note *note = x->note;
    return note ? note->route : Q5PY_ROUTE_NONE;
}

PyObject *q5py_metrics_route(q5py_server *self, const q5_exchange *x) {
    uint32_t number = route_of(self, x);
    bool own = number > Q5PY_ROUTE_METRICS && number < self->metrics->metrics.route_count;
    return own ? PyTuple_GET_ITEM(self->metrics->names, number) : NULL;
}

void q5py_metrics_done(q5py_server *self, q5_exchange *x, uint64_t duration_usec) {
    if (!self->counts || !self->metrics->claimed) return;
    q5_metrics_request request = {
        .route = route_of(self, x),
        .method = x->head.method_id,
        .status = x->status,
        .duration_usec = duration_usec,
        .received = x->body_len,
        .sent = x->sent_len,
    };
    q5_metrics_count(&self->metrics->metrics, self->metrics->slot, &request);
}

/* The URLPattern that a UrlMatch ends in; NULL: Django knows. Borrowed. */
static PyObject *pattern_of(q5py_state *state, PyObject *match) {
    if (!Py_IS_TYPE(match, state->django_match_type)) return NULL;
    const q5py_url_match *found = (const q5py_url_match *)match;
    if (found->inner || Py_SIZE(match) == 0) return NULL;
    const q5py_url_step *step = &found->steps[Py_SIZE(match) - 1];
    return step->urls->children[step->index].item;
}

/* The number of the route that request.resolver_match says. */
static PyObject *number_by_text(q5py_metrics *metrics, PyObject *request) {
    PyObject *match = PyObject_GetAttrString(request, "resolver_match");
    PyObject *text = match ? PyObject_GetAttrString(match, "route") : NULL;
    PyObject *number = text ? PyDict_GetItemWithError(metrics->by_text, text) : NULL;
    Py_XDECREF(text);
    Py_XDECREF(match);
    return number;
}

void q5py_metrics_resolved(q5py_flight *flight) {
    q5py_metrics *metrics = flight->server->metrics;
    q5py_note *note = flight->x->note;
    q5py_request *request = (q5py_request *)flight->request;
    if (!note || !request || !request->resolver_match) return;
    PyObject *exception = q5py_exception_take();
    PyObject *pattern = pattern_of(flight->server->state, request->resolver_match);
    PyObject *number = pattern ? PyDict_GetItemWithError(metrics->patterns, pattern) : NULL;
    if (!number || number == Py_None) number = number_by_text(metrics, flight->request);
    if (number) note->route = (uint32_t)PyLong_AsUnsignedLong(number);
    PyErr_Clear();
    if (exception) q5py_exception_set(exception);
}

static uint64_t since(uint64_t now, uint64_t *told) {
    uint64_t more = now - *told;
    *told = now;
    return more;
}

void q5py_metrics_publish(q5py_server *self) {
    q5py_metrics *metrics = self->metrics;
    if (!self->counts || !metrics->claimed) return;
    const q5_server_stats *stats = q5_server_get_stats(self->server);
    q5py_watchdog_stats held = q5py_watchdog_get_stats(self->state, self->poller);
    q5_metrics_events *told = &metrics->told;
    q5_metrics_events events = {
        .accepted = since(stats->accepted, &told->accepted),
        .faults = since(stats->faults, &told->faults),
        .timeouts = since(stats->timeouts, &told->timeouts),
        .shed = since(stats->shed, &told->shed),
        .held = since(held.count, &told->held),
        .held_msec = since(held.total_msec, &told->held_msec),
    };
    q5_metrics_add(&metrics->metrics, metrics->slot, &events);
    q5py_thread_pool_counts threads = {0};
    if (self->threads) threads = q5py_thread_pool_count(self->threads);
    q5_metrics_gauges gauges = {
        .active_requests = self->flights,
        .connections = stats->connections,
        .threads = threads.threads,
        .threads_busy = threads.threads - threads.idle,
        .jobs_queued = threads.queued,
    };
    q5_metrics_set(&metrics->metrics, metrics->slot, &gauges);
}

/* ---- answering ------------------------------------------------------------------------------- */

/* A proxy that is not trusted forwards for somebody else: its address says nothing. */
static bool is_forwarded(const q5_exchange *x) {
    static const char *const names[] = {"forwarded", "x-forwarded-for", "x-real-ip", "via"};
    if (x->client) return x->client->doubted;
    for (size_t i = 0; i < Q5_ARRAY_LEN(names); i++)
        if (q5_head_find(&x->head, q5_slice_make(names[i], strlen(names[i])), 0)) return true;
    return false;
}

static bool is_allowed(const struct q5py_scrape *scrape, const q5_exchange *x) {
    char text[Q5_ADDRESS_TEXT_MAX];
    uint16_t port;
    q5_address address;
    if (scrape->open_to_all) return true;
    if (is_forwarded(x)) return false;
    q5py_client_text(x, text, &port);
    if (q5_address_parse(q5_slice_make(text, strlen(text)), &address)) return false;
    for (size_t i = 0; i < scrape->count; i++)
        if (q5_network_has(&scrape->networks[i], &address)) return true;
    return false;
}

static void answer(q5py_server *self, q5_exchange *x) {
    const q5_field *accept = q5_head_known(&x->head, Q5_FIELD_ACCEPT);
    q5_metrics_format format = accept ? q5_metrics_accepted(accept->value) : Q5_METRICS_TEXT;
    const char *type = q5_metrics_content_type(format);
    q5_buf buf;
    q5_buf_init(&buf, NULL);
    q5py_metrics_publish(self);
    if (q5_metrics_write(&self->metrics->metrics, format, &buf)) {
        q5_response_problem(x, 503, q5_slice_make(NULL, 0));
    } else if (q5_response_start(x, 200) == Q5_OK) {
        q5_response_field(x, Q5_LIT("Content-Type"), q5_slice_make(type, strlen(type)));
        q5_response_lines(x, Q5_LIT("Cache-Control: no-store\r\n"));
        q5_response_send(x, q5_buf_slice(&buf), NULL, NULL);
    }
    q5_buf_deinit(&buf);
}

bool q5py_scrape_serve(q5py_server *self, q5_exchange *x) {
    const struct q5py_scrape *scrape = self->scrape;
    if (!q5_slice_eq(x->head.path, q5_slice_make(scrape->path, scrape->path_len))) return false;
    bool reads = x->head.method_id == Q5_METHOD_GET || x->head.method_id == Q5_METHOD_HEAD;
    if (!is_allowed(scrape, x)) {
        q5_response_problem(x, 404, q5_slice_make(NULL, 0));
        return true;
    }
    q5py_note *note = x->note;
    if (note) note->route = Q5PY_ROUTE_METRICS;
    if (reads)
        answer(self, x);
    else
        q5_response_not_allowed(x, 1u << Q5_METHOD_GET);
    return true;
}
