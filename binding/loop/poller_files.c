/* The files that asyncio has registered with the selector: a SelectorKey for each, by descriptor.
 */
#include "poller_internal.h"

#include "convert.h"

#define FD_MAX (1 << 20)

typedef struct q5py_registration {
    q5py_watch base; /* its owner is the poller */
    PyObject *key;   /* owned SelectorKey */
    long events;
} q5py_registration;

static void on_ready(q5_watch *watch, unsigned events) {
    q5py_registration *registration = Q5_CONTAINER_OF(watch, q5py_registration, base.watch);
    q5py_poller *self = registration->base.owner;
    long ready = 0;
    if (!self) return;
    if (events & Q5_POLL_READ) ready |= Q5PY_EVENT_READ;
    if (events & Q5_POLL_WRITE) ready |= Q5PY_EVENT_WRITE;
    ready &= registration->events;
    if (!ready) return;
    /* An allocation may run the collector, and that anything. */
    PyObject *key = Py_NewRef(registration->key), *pair = Py_BuildValue("(Nl)", key, ready);
    if (!pair || PyList_Append(self->ready, pair)) PyErr_WriteUnraisable((PyObject *)self);
    Py_XDECREF(pair);
}

static q5py_registration *find(q5py_poller *self, int fd) {
    return fd >= 0 && fd < self->registrations_cap ? self->registrations[fd] : NULL;
}

static int make_room(q5py_poller *self, int fd) {
    if (fd < self->registrations_cap) return 0;
    if (fd >= FD_MAX) {
        PyErr_SetString(PyExc_ValueError, "file descriptor out of range");
        return -1;
    }
    int cap = self->registrations_cap ? self->registrations_cap : 64;
    while (cap <= fd)
        cap *= 2;
    size_t size = (size_t)cap * sizeof(*self->registrations);
    q5py_registration **grown = PyMem_Realloc(self->registrations, size);
    if (!grown) {
        PyErr_NoMemory();
        return -1;
    }
    memset(grown + self->registrations_cap, 0,
           (size_t)(cap - self->registrations_cap) * sizeof(*grown));
    self->registrations = grown;
    self->registrations_cap = cap;
    return 0;
}

static PyObject *make_key(q5py_poller *self, PyObject *file, int fd, long events, PyObject *data) {
    return PyObject_CallFunction(self->state->selector_key, "OilO", file, fd, events, data);
}

static int check_events(long events) {
    if (events && !(events & ~(Q5PY_EVENT_READ | Q5PY_EVENT_WRITE))) return 0;
    PyErr_Format(PyExc_ValueError, "Invalid events: %ld", events);
    return -1;
}

static int remember(q5py_poller *self, int fd, PyObject *key) {
    PyObject *number = PyLong_FromLong(fd);
    int rc = number ? PyDict_SetItem(self->keys, number, key) : -1;
    Py_XDECREF(number);
    return rc;
}

/* Keeps the current exception. */
static void forget(q5py_poller *self, int fd) {
    PyObject *exception = q5py_exception_take();
    PyObject *number = PyLong_FromLong(fd);
    if (!number || PyDict_DelItem(self->keys, number)) PyErr_Clear();
    Py_XDECREF(number);
    if (exception) q5py_exception_set(exception);
}

/* ---- changing -------------------------------------------------------------------------------- */

PyObject *q5py_poller_register(PyObject *op, PyObject *args) {
    q5py_poller *self = (q5py_poller *)op;
    PyObject *file, *data = Py_None;
    long events;
    if (!PyArg_ParseTuple(args, "Ol|O", &file, &events, &data) || check_events(events)) return NULL;
    int fd = PyObject_AsFileDescriptor(file);
    if (fd < 0 || make_room(self, fd)) return NULL;
    q5py_registration *registration = PyMem_Calloc(1, sizeof(*registration));
    if (!registration) return PyErr_NoMemory();
    *registration = (q5py_registration){
        .base = {.watch = {fd, on_ready}, .owner = self},
        .events = events,
    };
    registration->key = make_key(self, file, fd, events, data);
    if (!registration->key) goto failed;
    if (self->registrations[fd]) {
        PyErr_Format(PyExc_KeyError, "%R (FD %d) is already registered", file, fd);
        goto failed;
    }
    if (remember(self, fd, registration->key)) goto failed;
    if (q5_poller_add(self->poller, &registration->base.watch, q5py_poll_events(events))) {
        PyErr_SetFromErrno(PyExc_OSError);
        forget(self, fd);
        goto failed;
    }
    self->registrations[fd] = registration;
    return Py_NewRef(registration->key);
failed:
    Py_XDECREF(registration->key);
    PyMem_Free(registration);
    return NULL;
}

/* A closed file's fileno() is -1; it is then looked for among the registered. */
static int find_fd(q5py_poller *self, PyObject *file) {
    int fd = PyObject_AsFileDescriptor(file);
    if (fd >= 0) return fd;
    PyErr_Clear();
    for (int i = 0; i < self->registrations_cap; i++) {
        q5py_registration *registration = self->registrations[i];
        if (registration && PyTuple_GET_ITEM(registration->key, 0) == file) return i;
    }
    return -1;
}

static q5py_registration *find_file(q5py_poller *self, PyObject *file) {
    q5py_registration *registration = find(self, find_fd(self, file));
    if (!registration) PyErr_Format(PyExc_KeyError, "%R is not registered", file);
    return registration;
}

static void drop(q5py_poller *self, q5py_registration *registration) {
    PyObject *key = registration->key;
    self->registrations[registration->base.watch.fd] = NULL;
    q5py_poller_drop(self, &registration->base);
    Py_DECREF(key); /* may run anything */
}

PyObject *q5py_poller_unregister(PyObject *op, PyObject *file) {
    q5py_poller *self = (q5py_poller *)op;
    q5py_registration *registration = find_file(self, file);
    if (!registration) return NULL;
    PyObject *key = Py_NewRef(registration->key);
    forget(self, registration->base.watch.fd);
    drop(self, registration);
    return key;
}

PyObject *q5py_poller_modify(PyObject *op, PyObject *args) {
    q5py_poller *self = (q5py_poller *)op;
    PyObject *file, *data = Py_None;
    long events;
    if (!PyArg_ParseTuple(args, "Ol|O", &file, &events, &data) || check_events(events)) return NULL;
    int fd = find_fd(self, file);
    PyObject *key = make_key(self, file, fd, events, data);
    q5py_registration *registration = key ? find_file(self, file) : NULL;
    if (!registration) goto failed;
    if (events != registration->events &&
        q5_poller_modify(self->poller, &registration->base.watch, q5py_poll_events(events))) {
        /* As selectors does: what the kernel refuses to watch is not registered. */
        PyErr_SetFromErrno(PyExc_OSError);
        forget(self, fd);
        drop(self, registration);
        goto failed;
    }
    registration->events = events;
    Py_SETREF(registration->key, Py_NewRef(key));
    if (remember(self, fd, key)) goto failed;
    return key;
failed:
    Py_XDECREF(key);
    return NULL;
}

void q5py_poller_drop_files(q5py_poller *self) {
    for (int i = 0; i < self->registrations_cap; i++)
        if (self->registrations[i]) drop(self, self->registrations[i]);
}

void q5py_poller_free_files(q5py_poller *self) {
    PyMem_Free(self->registrations);
    self->registrations = NULL;
    self->registrations_cap = 0;
}

int q5py_poller_visit_files(q5py_poller *self, visitproc visit, void *arg) {
    for (int i = 0; i < self->registrations_cap; i++)
        if (self->registrations[i]) Py_VISIT(self->registrations[i]->key);
    return 0;
}

/* ---- looking up ------------------------------------------------------------------------------ */

PyObject *q5py_poller_get(PyObject *op, PyObject *args) {
    q5py_poller *self = (q5py_poller *)op;
    PyObject *file, *otherwise = Py_None;
    if (!PyArg_ParseTuple(args, "O|O", &file, &otherwise)) return NULL;
    q5py_registration *registration = find(self, find_fd(self, file));
    return Py_NewRef(registration ? registration->key : otherwise);
}

PyObject *q5py_poller_get_key(PyObject *op, PyObject *file) {
    q5py_registration *registration = find_file((q5py_poller *)op, file);
    return registration ? Py_NewRef(registration->key) : NULL;
}

Py_ssize_t q5py_poller_length(PyObject *op) {
    return PyDict_GET_SIZE(((q5py_poller *)op)->keys);
}

int q5py_poller_contains(PyObject *op, PyObject *file) {
    q5py_poller *self = (q5py_poller *)op;
    return find(self, find_fd(self, file)) != NULL;
}

PyObject *q5py_poller_iter(PyObject *op) {
    return PyObject_GetIter(((q5py_poller *)op)->keys);
}

PyObject *q5py_poller_values(PyObject *op, PyObject *unused) {
    (void)unused;
    return PyDict_Values(((q5py_poller *)op)->keys);
}
