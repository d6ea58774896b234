/* See fd_wait.h. On a loop with our poller, the poller calls us; on another, the loop's
 * add_reader() and add_writer() do. */
#include "fd_wait.h"

#include <errno.h>
#include <poll.h>

#include "convert.h"
#include "sync_call.h"

typedef struct fd_wait {
    PyObject_HEAD q5py_state *module;
    int fd;
    q5py_poller *poller; /* owned; NULL: not registered */
    q5py_watch *watch;   /* owned; of that poller: as long as there is one */
    unsigned interest;   /* Q5_POLL_*, as registered */
    q5py_wait *wait;     /* owned: somebody waits; or NULL */
    long wanted, ready;  /* Q5PY_EVENT_* of that wait */
    bool stirred, closed;
} fd_wait;

/* ---- registration ---------------------------------------------------------------------------- */

static void unregister(fd_wait *self) {
    if (!self->poller) return;
    q5py_poller_drop(self->poller, self->watch);
    self->watch = NULL;
    self->interest = 0;
    Py_CLEAR(self->poller);
}

static void on_ready(q5_watch *watch, unsigned events);

static int register_with(fd_wait *self, q5py_poller *poller, unsigned interest) {
    q5py_watch *watch = PyMem_Malloc(sizeof(*watch));
    if (!watch) {
        PyErr_NoMemory();
        return -1;
    }
    *watch = (q5py_watch){.watch = {self->fd, on_ready}, .owner = self};
    if (q5_poller_add(poller->poller, &watch->watch, interest)) {
        PyErr_SetFromErrno(PyExc_OSError);
        PyMem_Free(watch);
        return -1;
    }
    self->poller = (q5py_poller *)Py_NewRef((PyObject *)poller);
    self->watch = watch;
    self->interest = interest;
    return 0;
}

static int set_interest(fd_wait *self, unsigned interest) {
    if (self->interest == interest) return 0;
    if (q5_poller_modify(self->poller->poller, &self->watch->watch, interest)) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    self->interest = interest;
    return 0;
}

/* While nobody waits, an event (the server has closed, or speaks unasked) is news for later: it is
 * noted, and not asked for again until somebody waits. */
static void on_ready(q5_watch *watch, unsigned events) {
    fd_wait *self = Q5_CONTAINER_OF(watch, q5py_watch, watch)->owner;
    if (!self) return;
    q5py_wait *wait = self->wait;
    if (!wait) {
        self->stirred = true;
        unregister(self);
        return;
    }
    long ready = (events & (Q5_POLL_READ | Q5_POLL_EOF) ? Q5PY_EVENT_READ : 0) |
                 (events & Q5_POLL_WRITE ? Q5PY_EVENT_WRITE : 0);
    ready = events & Q5_POLL_EOF ? self->wanted : ready & self->wanted;
    if (!ready) return;
    self->ready = ready;
    self->wait = NULL;
    /* Being writable is the ordinary state: nothing to be told about all the time. */
    Py_INCREF(self);
    if (self->interest & Q5_POLL_WRITE && set_interest(self, Q5_POLL_READ)) PyErr_Clear();
    q5py_wait_finish_now(wait, NULL);
    Py_DECREF(wait);
    Py_DECREF(self);
}

static void on_cancel(q5py_wait *wait, void *arg) {
    fd_wait *self = arg;
    if (self->wait == wait) Py_CLEAR(self->wait);
}

static int wait_with_poller(fd_wait *self, q5py_poller *poller, double timeout_s) {
    unsigned interest = q5py_poll_events(self->wanted) | Q5_POLL_READ;
    if (self->poller != poller) unregister(self);
    if (self->poller ? set_interest(self, interest) : register_with(self, poller, interest))
        return -1;
    return q5py_wait_here(self->wait, timeout_s, NULL);
}

/* ---- other loops ----------------------------------------------------------------------------- */

static int call_loop(q5py_wait *wait, const char *method, int fd, PyObject *callback) {
    PyObject *done = callback ? PyObject_CallMethod(wait->loop, method, "iO", fd, callback)
                              : PyObject_CallMethod(wait->loop, method, "i", fd);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static int watch_by_loop(fd_wait *self, q5py_wait *wait, long events, PyObject *callback) {
    int fd = self->fd;
    if (events & Q5PY_EVENT_READ &&
        call_loop(wait, callback ? "add_reader" : "remove_reader", fd, callback))
        return -1;
    if (events & Q5PY_EVENT_WRITE &&
        call_loop(wait, callback ? "add_writer" : "remove_writer", fd, callback))
        return -1;
    return 0;
}

/* Which of them are there, without waiting: Q5PY_EVENT_*, or -1 with OSError. */
static long look(fd_wait *self, long events) {
    struct pollfd fd = {.fd = self->fd};
    if (events & Q5PY_EVENT_READ) fd.events |= POLLIN;
    if (events & Q5PY_EVENT_WRITE) fd.events |= POLLOUT;
    int n;
    do
        n = poll(&fd, 1, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    if (fd.revents & (POLLERR | POLLHUP | POLLNVAL)) return events;
    return (fd.revents & POLLIN ? Q5PY_EVENT_READ : 0) |
           (fd.revents & POLLOUT ? Q5PY_EVENT_WRITE : 0);
}

static int wait_with_loop(fd_wait *self, double timeout_s) {
    q5py_wait *wait = self->wait;
    PyObject *finish = PyObject_GetAttr((PyObject *)wait, self->module->str_finish);
    if (!finish || watch_by_loop(self, wait, self->wanted, finish)) {
        Py_XDECREF(finish);
        return -1;
    }
    Py_DECREF(finish);
    Py_INCREF(wait);
    int rc = q5py_wait_here(wait, timeout_s, NULL);
    PyObject *error = q5py_exception_take();
    if (watch_by_loop(self, wait, self->wanted, NULL)) PyErr_WriteUnraisable((PyObject *)self);
    if (error) q5py_exception_set(error);
    Py_DECREF(wait);
    if (rc) return rc;
    long ready = look(self, self->wanted);
    self->ready = ready > 0 ? ready : self->wanted;
    return ready < 0 ? -1 : 0;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static int check_usable(fd_wait *self) {
    if (self->closed) {
        PyErr_SetString(PyExc_ValueError, "the FdWait is closed");
        return -1;
    }
    if (self->wait) {
        PyErr_SetString(PyExc_RuntimeError, "another greenlet waits for this descriptor");
        return -1;
    }
    return 0;
}

/* Q5PY_EVENT_*, 0 when the time is over, or -1 with an exception. */
static long wait_here(fd_wait *self, long events, double timeout_s) {
    if (check_usable(self) || !(self->wait = q5py_wait_new(self->module))) return -1;
    self->wait->on_cancel = on_cancel;
    self->wait->arg = self;
    self->wanted = events;
    self->ready = 0;
    Py_INCREF(self);
    q5py_poller *poller = q5py_running_poller(self->module);
    int rc = poller ? wait_with_poller(self, poller, timeout_s) : wait_with_loop(self, timeout_s);
    if (self->wait) self->wait->on_cancel = NULL;
    Py_CLEAR(self->wait);
    long ready = rc < 0 ? -1 : rc > 0 ? 0 : self->ready;
    Py_DECREF(self);
    return ready;
}

static int parse_timeout(PyObject *timeout, double *ret) {
    *ret = -1;
    if (!timeout || timeout == Py_None) return 0;
    *ret = PyFloat_AsDouble(timeout);
    if (*ret == -1 && PyErr_Occurred()) return -1;
    if (*ret < 0) *ret = 0;
    return 0;
}

static PyObject *fd_wait_wait(PyObject *op, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"events", "timeout", NULL};
    long events;
    PyObject *timeout = NULL;
    double timeout_s;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "l|O", keywords, &events, &timeout) ||
        parse_timeout(timeout, &timeout_s))
        return NULL;
    if (!events || events & ~(Q5PY_EVENT_READ | Q5PY_EVENT_WRITE)) {
        PyErr_Format(PyExc_ValueError, "Invalid events: %ld", events);
        return NULL;
    }
    long ready = wait_here((fd_wait *)op, events, timeout_s);
    return ready < 0 ? NULL : PyLong_FromLong(ready);
}

/* ---- psycopg's generators -------------------------------------------------------------------- */

/* Sending needs no wait as a rule: the kernel is asked first. */
static long wait_for_server(fd_wait *self, long events, double interval_s) {
    if (events & Q5PY_EVENT_WRITE) {
        long ready = look(self, events);
        if (ready) return ready;
    }
    return wait_here(self, events, interval_s);
}

static PyObject *drive(fd_wait *self, PyObject *generator, double interval_s) {
    PyObject *send = Py_NewRef(Py_None), *yielded;
    for (;;) {
        PySendResult sent = PyIter_Send(generator, send, &yielded);
        Py_DECREF(send);
        if (sent != PYGEN_NEXT) return yielded; /* NULL: an exception is set */
        long events = PyLong_AsLong(yielded);
        Py_DECREF(yielded);
        if (events == -1 && PyErr_Occurred()) return NULL;
        long ready = wait_for_server(self, events, interval_s);
        send = ready < 0 ? NULL : PyLong_FromLong(ready);
        if (!send) return NULL;
    }
}

static PyObject *fd_wait_drive(PyObject *op, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"generator", "interval", NULL};
    PyObject *generator, *interval = NULL;
    double interval_s;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O", keywords, &generator, &interval) ||
        parse_timeout(interval, &interval_s))
        return NULL;
    if (!PyIter_Check(generator)) {
        PyErr_SetString(PyExc_TypeError, "a generator is needed");
        return NULL;
    }
    return drive((fd_wait *)op, generator, interval_s);
}

/* ---- the type -------------------------------------------------------------------------------- */

static PyObject *fd_wait_close(PyObject *op, PyObject *unused) {
    (void)unused;
    fd_wait *self = (fd_wait *)op;
    self->closed = true;
    unregister(self);
    if (self->wait) q5py_wait_cancel(self->wait);
    Py_RETURN_NONE;
}

static PyObject *fd_wait_get_stirred(PyObject *op, void *unused) {
    (void)unused;
    return PyBool_FromLong(((fd_wait *)op)->stirred);
}

static PyObject *fd_wait_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"fd", NULL};
    int fd;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i", keywords, &fd)) return NULL;
    if (fd < 0) {
        PyErr_SetString(PyExc_ValueError, "Invalid file descriptor");
        return NULL;
    }
    fd_wait *self = (fd_wait *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->module = q5py_state_of_type(type);
    self->fd = fd;
    return (PyObject *)self;
}

static int fd_wait_traverse(PyObject *op, visitproc visit, void *arg) {
    fd_wait *self = (fd_wait *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->poller);
    Py_VISIT(self->wait);
    return 0;
}

static int fd_wait_clear(PyObject *op) {
    fd_wait *self = (fd_wait *)op;
    unregister(self);
    if (self->wait) self->wait->on_cancel = NULL;
    Py_CLEAR(self->wait);
    return 0;
}

static void fd_wait_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    fd_wait_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef fd_wait_methods[] = {
    {"wait", (PyCFunction)(void (*)(void))fd_wait_wait, METH_VARARGS | METH_KEYWORDS,
     "wait(events, timeout=None) -> int\n\n"
     "selectors.Q5PY_EVENT_* that are ready; 0 when the time (seconds) is over. In a greenlet."},
    {"drive", (PyCFunction)(void (*)(void))fd_wait_drive, METH_VARARGS | METH_KEYWORDS,
     "drive(generator, interval=None)\n\n"
     "Runs a generator that yields the events to wait for and is sent those that are ready, 0\n"
     "after each interval (seconds) without any; gives what it returns. In a greenlet."},
    {"close", fd_wait_close, METH_NOARGS,
     "close()\n\nBefore the descriptor is closed. Whoever waits is cancelled."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef fd_wait_getset[] = {
    {"stirred", fd_wait_get_stirred, NULL,
     "Something came, or the peer closed, while nobody waited.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot fd_wait_slots[] = {
    {Py_tp_doc, "FdWait(fd)\n\nReadiness of a descriptor, for code in greenlets."},
    {Py_tp_new, fd_wait_new},
    {Py_tp_dealloc, fd_wait_dealloc},
    {Py_tp_traverse, fd_wait_traverse},
    {Py_tp_clear, fd_wait_clear},
    {Py_tp_methods, fd_wait_methods},
    {Py_tp_getset, fd_wait_getset},
    {0, NULL},
};

static PyType_Spec fd_wait_spec = {
    .name = "quintette._quintette.FdWait",
    .basicsize = sizeof(fd_wait),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = fd_wait_slots,
};

int q5py_init_fd_wait(PyObject *module, q5py_state *state) {
    state->fd_wait_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &fd_wait_spec, NULL);
    return state->fd_wait_type ? PyModule_AddType(module, state->fd_wait_type) : -1;
}
