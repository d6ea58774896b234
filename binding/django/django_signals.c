/* request_started and request_finished. As long as only Django's own receivers are connected, what
 * they do is done here; with any other, the signal is sent as Django sends it. */
#include "django.h"

/* ---- who is connected ------------------------------------------------------------------------ */

/* Its key is (id(receiver), id(None)): no dispatch_uid, any sender. */
static q5py_receiver receiver_of(q5py_django *django, PyObject *entry) {
    if (!PyTuple_Check(entry) || PyTuple_GET_SIZE(entry) < 1) return Q5PY_OTHER;
    PyObject *key = PyTuple_GET_ITEM(entry, 0);
    if (!PyTuple_Check(key) || PyTuple_GET_SIZE(key) != 2) return Q5PY_OTHER;
    PyObject *id = PyTuple_GET_ITEM(key, 0), *sender = PyTuple_GET_ITEM(key, 1);
    if (!PyLong_CheckExact(id) || !PyLong_CheckExact(sender)) return Q5PY_OTHER;
    void *receiver = PyLong_AsVoidPtr(id);
    bool any_sender = PyLong_AsVoidPtr(sender) == Py_None;
    PyErr_Clear();
    if (!receiver || !any_sender) return Q5PY_OTHER;
    if (receiver == django->reset_queries) return Q5PY_RESET_QUERIES;
    if (receiver == django->close_old_connections) return Q5PY_CLOSE_OLD_CONNECTIONS;
    if (receiver == django->close_caches) return Q5PY_CLOSE_CACHES;
    if (receiver == django->reset_urlconf) return Q5PY_RESET_URLCONF;
    return Q5PY_OTHER;
}

static void learn(q5py_django *django, q5py_receivers *self, PyObject *list) {
    PyObject *before[Q5PY_RECEIVERS_MAX];
    int count_before = self->count;
    memcpy(before, self->entries, sizeof(before));
    Py_ssize_t count = PyList_GET_SIZE(list);
    self->count = count > Q5PY_RECEIVERS_MAX ? -1 : (int)count;
    self->known = self->count >= 0;
    for (int i = 0; i < self->count; i++) {
        self->entries[i] = Py_NewRef(PyList_GET_ITEM(list, i));
        self->what[i] = receiver_of(django, self->entries[i]);
        self->known &= self->what[i] != Q5PY_OTHER;
    }
    for (int i = 0; i < count_before; i++)
        Py_DECREF(before[i]);
}

static bool is_same(const q5py_receivers *self, PyObject *list) {
    if (self->count != PyList_GET_SIZE(list)) return false;
    for (int i = 0; i < self->count; i++)
        if (self->entries[i] != PyList_GET_ITEM(list, i)) return false;
    return true;
}

/* 1: Django's own receivers are all there are. 0: send it in Python. -1 with an exception. */
static int only_own(q5py_state *state, PyObject *signal, q5py_receivers *self) {
    q5py_django *django = state->django;
    PyTypeObject *type = (PyTypeObject *)django->signal_class;
    if (!Py_IS_TYPE(signal, type) || !q5py_is_own(type, state->str_send, django->signal_send) ||
        !q5py_is_own(type, state->str__live_receivers, django->signal_live))
        return 0;
    PyObject *list = PyObject_GetAttr(signal, state->str_receivers);
    if (!list) return -1;
    bool known = PyList_CheckExact(list);
    if (known && !is_same(self, list)) learn(django, self, list);
    known = known && self->known;
    Py_DECREF(list);
    return known;
}

PyObject *q5py_has_other_receivers(PyObject *module, PyObject *signal) {
    q5py_state *state = q5py_state_of(module);
    q5py_django *django = state->django;
    if (!django || (signal != django->request_started && signal != django->request_finished))
        return PyErr_SetString(PyExc_ValueError, "not a signal of requests"), NULL;
    int own = only_own(state, signal,
                       signal == django->request_started ? &django->started : &django->finished);
    return own < 0 ? NULL : PyBool_FromLong(!own);
}

/* ---- what they do ---------------------------------------------------------------------------- */

/* [handler[alias] for alias in handler if it has been made], from the dict that holds them. */
static PyObject *made(q5py_state *state, PyObject *handler, PyObject *values) {
    PyObject *settings = PyObject_GetAttr(handler, state->str_settings);
    PyObject *aliases = settings ? PyObject_GetIter(settings) : NULL;
    PyObject *list = aliases ? PyList_New(0) : NULL, *alias;
    while (list && (alias = PyIter_Next(aliases))) {
        PyObject *item = PyDict_GetItemWithError(values, alias);
        if (item && PyList_Append(list, item)) Py_CLEAR(list);
        Py_DECREF(alias);
        if (!item && PyErr_Occurred()) Py_CLEAR(list);
    }
    if (PyErr_Occurred()) Py_CLEAR(list);
    Py_XDECREF(aliases);
    Py_XDECREF(settings);
    return list;
}

static int call_method(PyObject *object, PyObject *name) {
    PyObject *done = PyObject_CallMethodNoArgs(object, name);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static int clear_queries(q5py_state *state, PyObject *connection) {
    PyObject *log = PyObject_GetAttr(connection, state->str_queries_log);
    int rc = log ? call_method(log, state->str_clear) : -1;
    Py_XDECREF(log);
    return rc;
}

static int carry_out(q5py_state *state, q5py_receiver what, PyObject *item) {
    switch (what) {
    case Q5PY_RESET_QUERIES:
        return clear_queries(state, item);
    case Q5PY_CLOSE_OLD_CONNECTIONS:
        return call_method(item, state->str_close_if_unusable_or_obsolete);
    default:
        return call_method(item, state->str_close);
    }
}

static int for_each(q5py_state *state, PyObject *handler, PyObject *values, q5py_receiver what) {
    if (!PyDict_GET_SIZE(values)) return 0;
    PyObject *list = made(state, handler, values);
    int rc = list ? 0 : -1;
    for (Py_ssize_t i = 0; rc == 0 && i < PyList_GET_SIZE(list); i++)
        rc = carry_out(state, what, PyList_GET_ITEM(list, i));
    Py_XDECREF(list);
    return rc;
}

static int close_caches(q5py_state *state) {
    PyObject *values = NULL;
    int found = q5py_local_values(state, state->django->caches_storage, &values);
    if (found <= 0) return found;
    int rc = for_each(state, state->django->caches, values, Q5PY_CLOSE_CACHES);
    Py_DECREF(values);
    return rc;
}

/* True: handler._connections is what was handed over. */
static int is_still(q5py_state *state, PyObject *handler, PyObject *local) {
    PyObject *now = PyObject_GetAttr(handler, state->str__connections);
    int still = now ? now == local : -1;
    Py_XDECREF(now);
    return still;
}

/* Where an event loop runs, the thread's dict has a _CVar with the context's connections. */
static int connections_of_context(q5py_state *state, PyObject *thread_values, PyObject **ret) {
    PyObject *cvar = PyDict_GetItemWithError(thread_values, state->str_cvar);
    if (!cvar) {
        *ret = PyErr_Occurred() ? NULL : PyDict_New();
        return *ret ? 1 : -1;
    }
    PyObject *variable = PyObject_GetAttr(cvar, state->str__data);
    if (!variable) return -1;
    int found = PyContextVar_CheckExact(variable) ? q5py_local_values(state, variable, ret) : -2;
    Py_DECREF(variable);
    if (found == 0) found = (*ret = PyDict_New()) ? 1 : -1;
    return found == -2 ? 0 : found;
}

/* In Django's own storage. As connections_here(). */
static int connections_of_thread(q5py_state *state, PyObject **ret) {
    PyObject *storage = state->django->connections_storage;
    PyObject *loop = PyObject_CallNoArgs(state->get_running_loop);
    PyObject *values = loop ? PyObject_GetAttr(storage, state->str___dict__) : NULL;
    Py_XDECREF(loop);
    if (!values) return -1;
    if (loop == Py_None) {
        *ret = values;
        return 1;
    }
    int found = connections_of_context(state, values, ret);
    Py_DECREF(values);
    return found;
}

/* The connections that are visible here. 1: *ret is a new reference to their dict; 0: they are not
 * kept as known; -1 with an exception. */
static int connections_here(q5py_state *state, PyObject **ret) {
    q5py_django *django = state->django;
    if (!(django->connections_storage || django->connections_here) || !django->caches_storage)
        return 0;
    int still = is_still(state, django->connections, django->connections_local);
    if (still > 0) still = is_still(state, django->caches, django->caches_local);
    if (still <= 0) return still;
    if (!django->connections_here) return connections_of_thread(state, ret);
    *ret = PyObject_CallNoArgs(django->connections_here);
    return *ret ? 1 : -1;
}

static int do_all(q5py_state *state, const q5py_receivers *self, PyObject *values) {
    /* A receiver may connect others: what was connected when the signal was sent is called. */
    int count = self->count, rc = 0;
    q5py_receiver what[Q5PY_RECEIVERS_MAX];
    memcpy(what, self->what, sizeof(what));
    for (int i = 0; i < count && rc == 0; i++) {
        switch (what[i]) {
        case Q5PY_CLOSE_CACHES:
            rc = close_caches(state);
            break;
        case Q5PY_RESET_URLCONF:
            rc = q5py_set_urlconf(state, NULL);
            break;
        default:
            rc = for_each(state, state->django->connections, values, what[i]);
        }
    }
    return rc;
}

/* 1: done; 0: send it in Python; -1 with an exception. */
static int send_in_c(q5py_state *state, PyObject *signal, q5py_receivers *self) {
    PyObject *values = NULL;
    int own = only_own(state, signal, self);
    int here = own == 1 ? connections_here(state, &values) : own;
    if (here == 1) here = do_all(state, self, values) ? -1 : 1;
    Py_XDECREF(values);
    return here;
}

static int send(q5py_state *state, PyObject *signal, PyObject *sender, PyObject *environ) {
    PyObject *method = PyObject_GetAttr(signal, state->str_send);
    PyObject *args[2] = {sender, environ};
    PyObject *names = environ ? PyTuple_Pack(2, state->str_sender, state->str_environ)
                              : PyTuple_Pack(1, state->str_sender);
    PyObject *done = method && names ? PyObject_Vectorcall(method, args, 0, names) : NULL;
    Py_XDECREF(names);
    Py_XDECREF(method);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

int q5py_send_started(q5py_state *state, PyObject *sender, PyObject *request) {
    q5py_django *django = state->django;
    int done = send_in_c(state, django->request_started, &django->started);
    if (done) return done < 0 ? -1 : 0;
    PyObject *environ = PyObject_GetAttr(request, state->str_environ);
    int rc = environ ? send(state, django->request_started, sender, environ) : -1;
    Py_XDECREF(environ);
    return rc;
}

int q5py_send_finished(q5py_state *state, PyObject *sender) {
    q5py_django *django = state->django;
    int done = send_in_c(state, django->request_finished, &django->finished);
    if (done) return done < 0 ? -1 : 0;
    return send(state, django->request_finished, sender, NULL);
}
