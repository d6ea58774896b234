#include "channel.h"

#include "stream.h"

#define TAKE_MAX 64 /* events handed to Python at a time */

/* ---- stations -------------------------------------------------------------------------------- */

static void on_events(q5py_job *job);

static q5py_station *station_of(q5py_channel *channel, q5py_server *server) {
    q5py_station *station = channel->stations;
    while (station && station->server != server)
        station = station->next;
    if (station) return station;
    station = PyMem_Calloc(1, sizeof(*station));
    if (!station) return NULL;
    station->job.finish = on_events;
    station->channel = channel;
    station->server = server;
    station->next = channel->stations;
    channel->stations = station;
    station->next_of_server = server->stations;
    server->stations = station;
    return station;
}

static void station_free(q5py_station *station) {
    q5py_station **link = &station->channel->stations;
    while (*link != station)
        link = &(*link)->next;
    *link = station->next;
    link = &station->server->stations;
    while (*link != station)
        link = &(*link)->next_of_server;
    *link = station->next_of_server;
    q5py_job_forget(station->server, &station->job);
    PyMem_Free(station);
}

static void join(q5py_station *station, q5py_subscription *self) {
    self->station = station;
    self->after = station->first;
    if (self->after) self->after->prev = self;
    station->first = self;
    station->channel->attached++;
}

/* Frees the station with its last subscription, unless it is being worked off. */
static void leave(q5py_subscription *self) {
    q5py_station *station = self->station;
    if (self->prev)
        self->prev->after = self->after;
    else
        station->first = self->after;
    if (self->after) self->after->prev = self->prev;
    self->prev = self->after = NULL;
    self->station = NULL;
    station->channel->attached--;
    if (!station->first && !station->busy) station_free(station);
}

/* ---- positions ------------------------------------------------------------------------------- */

/* Events that are no longer kept are missed. False: that cuts the subscription off. */
static bool catch_up(q5py_subscription *self) {
    const q5py_channel *channel = self->channel;
    if (self->next >= channel->first) return true;
    self->missed += channel->first - self->next;
    self->next = channel->first;
    return !channel->cuts;
}

static bool is_over(const q5py_subscription *self) {
    return self->channel->closed && self->next == self->channel->next;
}

/* Is that the event's id? -1 with an exception. */
static int has_id(const q5py_channel *channel, PyObject *event, PyObject *id) {
    PyObject *own = PyObject_GetAttr(event, channel->state->str_id);
    if (own && own != Py_None && !PyUnicode_Check(own)) Py_SETREF(own, PyObject_Str(own));
    int rc = own ? PyObject_RichCompareBool(own, id, Py_EQ) : -1;
    Py_XDECREF(own);
    return rc;
}

/* Where the events begin that are behind that id. The newest are looked at first: who connects
 * again has mostly missed few. */
static int find_start(const q5py_channel *channel, PyObject *id, uint64_t *ret_next) {
    *ret_next = channel->next;
    if (id == Py_None) return 0;
    for (uint64_t i = channel->next; i > channel->first; i--) {
        PyObject *event = Py_NewRef(q5py_channel_at(channel, i - 1)->event);
        int found = has_id(channel, event, id);
        Py_DECREF(event);
        if (found < 0) return -1;
        if (found) {
            *ret_next = i;
            return 0;
        }
    }
    *ret_next = channel->first;
    return 0;
}

PyObject *q5py_subscription_new(q5py_channel *channel, PyObject *cls, PyObject *last_event_id) {
    PyTypeObject *type = (PyTypeObject *)cls;
    uint64_t next;
    if (!PyType_IsSubtype(type, channel->state->subscription_type))
        return PyErr_Format(PyExc_TypeError, "%R is no Subscription", cls);
    if (find_start(channel, last_event_id, &next)) return NULL;
    q5py_subscription *self = (q5py_subscription *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->channel = (q5py_channel *)Py_NewRef((PyObject *)channel);
    self->next = next;
    return (PyObject *)self;
}

/* ---- bodies of responses --------------------------------------------------------------------- */

static void end_flight(q5py_flight *flight) {
    q5_response_end(flight->x);
    q5py_reply_close(flight);
    q5py_flight_end(flight); /* and with it, perhaps, the subscription */
}

/* The response is over. */
static void detach(q5py_subscription *self) {
    q5py_flight *flight = self->flight;
    self->flight = NULL;
    flight->subscription = NULL;
    leave(self);
}

static void finish(q5py_subscription *self) {
    q5py_flight *flight = self->flight;
    detach(self);
    end_flight(flight);
}

/* Events that are kept and due, as far as the connection takes them. A q5_status. */
static int write_due(q5py_subscription *self) {
    const q5py_channel *channel = self->channel;
    while (!self->full && self->next < channel->next) {
        int status =
            q5py_stream_write(self->flight->x, q5py_channel_at(channel, self->next)->bytes);
        if (status && status != Q5_AGAIN) return status;
        self->next++;
        self->full = status == Q5_AGAIN;
    }
    return Q5_OK;
}

static void push(q5py_subscription *self) {
    bool kept_up = catch_up(self);
    if (!kept_up || write_due(self) || (is_over(self) && !self->full)) finish(self);
}

void q5py_channel_spill(q5py_channel *channel) {
    for (q5py_station *it = channel->stations; it; it = it->next) {
        if (!it->posted || it->busy || !it->server->poller) continue;
        for (q5py_subscription *each = it->first; each; each = each->after)
            if (each->next >= channel->first) write_due(each);
    }
}

static q5py_subscription *ref(q5py_subscription *self) {
    return (q5py_subscription *)Py_XNewRef((PyObject *)self);
}

static void post(q5py_station *station) {
    if (station->posted) return;
    station->posted = true;
    q5py_server_post(station->server, &station->job);
}

static void on_events(q5py_job *job) {
    q5py_station *station = Q5_CONTAINER_OF(job, q5py_station, job);
    PyObject *channel = Py_NewRef((PyObject *)station->channel);
    PyObject *server = Py_NewRef((PyObject *)station->server);
    station->posted = false;
    station->busy = true;
    q5py_subscription *it = ref(station->first);
    while (it) {
        q5py_subscription *after = ref(it->after);
        push(it); /* may end the response, and so run anything */
        Py_DECREF((PyObject *)it);
        if (after && after->station != station) {
            Py_CLEAR(after);
            post(station); /* nobody knows who comes next */
        }
        it = after;
    }
    station->busy = false;
    if (!station->first) station_free(station);
    Py_DECREF(channel);
    Py_DECREF(server);
}

static bool is_waited_for(const q5py_flight *flight) {
    return !q5py_stream_is_unwanted(flight->x, flight->reply.status) && !flight->server->draining;
}

bool q5py_subscription_start(q5py_flight *flight) {
    q5py_subscription *self = (q5py_subscription *)flight->reply.stream;
    if (!PyObject_TypeCheck((PyObject *)self, flight->server->state->subscription_type))
        return false;
    q5py_station *station = NULL;
    bool begun = q5py_stream_begin(flight) == Q5_OK;
    if (self->used) {
        PyErr_SetString(PyExc_RuntimeError, "a subscription is the body of one response");
        q5py_server_error(flight->server, NULL);
    } else if (begun && is_waited_for(flight)) {
        station = station_of(self->channel, flight->server);
    }
    if (!station) {
        end_flight(flight);
        return true;
    }
    self->used = true;
    self->flight = flight;
    flight->subscription = self;
    join(station, self);
    push(self);
    return true;
}

void q5py_subscription_drained(q5py_flight *flight) {
    flight->subscription->full = false;
    push(flight->subscription);
}

void q5py_subscription_gone(q5py_flight *flight) {
    detach(flight->subscription);
    q5py_reply_close(flight);
    q5py_flight_end(flight);
}

static q5py_subscription *any_of(const q5py_server *server) {
    q5py_station *station = server->stations;
    while (station && !station->first) /* the last one has left while it is worked off */
        station = station->next_of_server;
    return station ? station->first : NULL;
}

void q5py_stations_close(q5py_server *server) {
    q5py_subscription *any = any_of(server);
    while (any && any->flight) { /* each of a station has one */
        finish(any);
        any = any_of(server);
    }
}

/* ---- telling --------------------------------------------------------------------------------- */

static void call_waiting(q5py_channel *channel) {
    PyObject *waiting = channel->waiting, *key, *wake;
    Py_ssize_t at = 0;
    if (!PyDict_GET_SIZE(waiting)) return;
    channel->waiting = PyDict_New();
    if (!channel->waiting) {
        channel->waiting = waiting;
        PyErr_WriteUnraisable((PyObject *)channel);
        return;
    }
    while (PyDict_Next(waiting, &at, &key, &wake)) {
        PyObject *done = PyObject_CallNoArgs(wake);
        if (!done) PyErr_WriteUnraisable(wake);
        Py_XDECREF(done);
    }
    Py_DECREF(waiting);
}

void q5py_channel_tell(q5py_channel *channel) {
    for (q5py_station *it = channel->stations, *next; it; it = next) {
        next = it->next;
        post(it);
    }
    call_waiting(channel);
}

/* ---- the type: for Python that iterates ------------------------------------------------------ */

PyDoc_STRVAR(take_doc,
             "take() -> list | None\n\nEvents that are due, at most 64; None: no more will "
             "come, or some were\nmissed and the channel cuts off who misses any.");

static PyObject *subscription_take(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_subscription *self = (q5py_subscription *)op;
    const q5py_channel *channel = self->channel;
    if (!catch_up(self) || is_over(self)) Py_RETURN_NONE;
    uint64_t count = channel->next - self->next;
    if (count > TAKE_MAX) count = TAKE_MAX;
    PyObject *events = PyList_New((Py_ssize_t)count);
    for (uint64_t i = 0; events && i < count; i++)
        PyList_SET_ITEM(events, (Py_ssize_t)i,
                        Py_NewRef(q5py_channel_at(channel, self->next++)->event));
    return events;
}

PyDoc_STRVAR(set_wake_doc,
             "set_wake(callable | None) -> bool\n\nTo be called once, from any thread, "
             "when there is an event. False: there is one now.");

static PyObject *subscription_set_wake(PyObject *op, PyObject *wake) {
    q5py_subscription *self = (q5py_subscription *)op;
    PyObject *waiting = self->channel->waiting;
    if (wake == Py_None) {
        int known = PyDict_Contains(waiting, op);
        if (known < 0 || (known && PyDict_DelItem(waiting, op))) return NULL;
        Py_RETURN_TRUE;
    }
    if (self->next < self->channel->next || self->channel->closed) Py_RETURN_FALSE;
    if (PyDict_SetItem(waiting, op, wake)) return NULL;
    Py_RETURN_TRUE;
}

static PyObject *subscription_missed(PyObject *op, void *unused) {
    (void)unused;
    return PyLong_FromUnsignedLongLong(((q5py_subscription *)op)->missed);
}

static PyObject *subscription_pieces(PyObject *op, void *unused) {
    (void)unused;
    return Py_NewRef(((q5py_subscription *)op)->channel->pieces);
}

static int subscription_traverse(PyObject *op, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(op));
    Py_VISIT((PyObject *)((q5py_subscription *)op)->channel);
    return 0;
}

/* The channel is needed by every method; the cycle through its `waiting` is broken there. */
static void subscription_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_XDECREF((PyObject *)((q5py_subscription *)op)->channel);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef subscription_methods[] = {
    {"take", subscription_take, METH_NOARGS, take_doc},
    {"set_wake", subscription_set_wake, METH_O, set_wake_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef subscription_getset[] = {
    {"pieces", subscription_pieces, NULL, "Pieces: how the channel's events are sent", NULL},
    {"missed", subscription_missed, NULL, "int: events that were no longer kept", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot subscription_slots[] = {
    {Py_tp_doc, "One who gets a channel's events; see api/channels.py."},
    {Py_tp_dealloc, subscription_dealloc},
    {Py_tp_traverse, subscription_traverse},
    {Py_tp_methods, subscription_methods},
    {Py_tp_getset, subscription_getset},
    {0, NULL},
};

static PyType_Spec subscription_spec = {
    .name = "quintette._quintette.Subscription",
    .basicsize = sizeof(q5py_subscription),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = subscription_slots,
};

int q5py_init_subscription(PyObject *module, q5py_state *state) {
    state->subscription_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &subscription_spec, NULL);
    return state->subscription_type ? PyModule_AddType(module, state->subscription_type) : -1;
}
