/* A selectors.BaseSelector for asyncio whose wait also serves our connections. Requests are read,
 * handled and answered inside select(); it returns to asyncio only when asyncio has work: one of
 * its own descriptors is ready, a handle was scheduled, or its timeout has passed. */
#include "poller.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <time.h>
#include <unistd.h>

#include "convert.h"
#include "threads.h"
#include "watchdog.h"

#define EVENT_READ 1 /* selectors.EVENT_READ, EVENT_WRITE */
#define EVENT_WRITE 2
#define FD_MAX (1 << 20)
#define HOLD_SECONDS 0.0005

typedef struct q5py_registration {
    q5py_watch base; /* its owner is the poller */
    PyObject *key;   /* owned SelectorKey */
    long events;
} q5py_registration;

static double now_seconds(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* ---- hooks and inbox ------------------------------------------------------------------------- */

void q5py_poller_add_hook(q5py_poller *self, q5py_poll_hook *hook) {
    hook->prev = NULL;
    hook->next = self->hooks;
    if (hook->next) hook->next->prev = hook;
    self->hooks = hook;
    Py_INCREF(hook->owner);
}

void q5py_poller_remove_hook(q5py_poller *self, q5py_poll_hook *hook) {
    if (!hook->owner) return;
    if (hook->prev)
        hook->prev->next = hook->next;
    else
        self->hooks = hook->next;
    if (hook->next) hook->next->prev = hook->prev;
    hook->prev = hook->next = NULL;
    Py_CLEAR(hook->owner);
}

bool q5py_poller_is_waiting(q5py_poller *self) {
    if (!self->in_wait) return false;
    PyErr_SetString(PyExc_RuntimeError,
                    "the loop runs in another thread; use loop.call_soon_threadsafe");
    return true;
}

void q5py_poller_raise(q5py_poller *self) {
    PyObject *exception = q5py_exception_take();
    Py_XSETREF(self->raised, exception);
}

static void wake(q5py_poller *self) {
    if (!atomic_exchange(&self->waiting, false)) return;
    ssize_t n = write(self->wake_fds[1], "", 1);
    (void)n; /* a full pipe wakes as well */
}

void q5py_poller_post(q5py_poller *self, q5py_job *job) {
    job->next = NULL;
    pthread_mutex_lock(&self->lock);
    if (self->inbox_last)
        self->inbox_last->next = job;
    else
        self->inbox_first = job;
    self->inbox_last = job;
    pthread_mutex_unlock(&self->lock);
    wake(self);
}

/* Ends a wait that would outlast this many milliseconds; -1: none would. */
static void hurry(q5py_poller *self, int msec) {
    if (msec < 0) return;
    if (self->wait_until < 0 || now_seconds() + msec * 1e-3 < self->wait_until) wake(self);
}

static void send_held(q5py_poller *self) {
    self->held_since = 0;
    for (q5py_poll_hook *hook = self->hooks; hook; hook = hook->next)
        hurry(self, hook->stand_in(hook));
}

void q5py_poller_stand_in(q5py_poller *self) {
    if (self->in_wait && self->held_since > 0) send_held(self);
}

static void hold(q5py_poller *self) {
    double now = now_seconds();
    if (self->held_since == 0) {
        self->held_since = now;
        wake(self); /* should the next job wait for something, the loop's thread sends instead */
    } else if (now - self->held_since > HOLD_SECONDS) {
        send_held(self);
    }
}

void q5py_poller_settle(q5py_poller *self, q5py_job *job, bool more) {
    if (!self->in_wait || !job->finish_here || !job->finish_here(job))
        q5py_poller_post(self, job);
    else if (more)
        hold(self);
    else
        send_held(self);
}

bool q5py_poller_will_wake(q5py_poller *self, q5py_thread_pool *pool) {
    if (!self->serving || (self->to_wake && self->to_wake != pool)) return false;
    if (!self->to_wake) self->to_wake = (q5py_thread_pool *)Py_NewRef((PyObject *)pool);
    return true;
}

void q5py_poller_wake_thread(q5py_poller *self) {
    q5py_thread_pool *pool = self->to_wake;
    if (!pool) return;
    self->to_wake = NULL;
    q5py_thread_pool_wake(pool);
    Py_DECREF(pool);
}

static bool inbox_empty(q5py_poller *self) {
    pthread_mutex_lock(&self->lock);
    bool empty = self->inbox_first == NULL;
    pthread_mutex_unlock(&self->lock);
    return empty;
}

static q5py_job *take_from_inbox(q5py_poller *self) {
    pthread_mutex_lock(&self->lock);
    q5py_job *job = self->inbox_first;
    if (job) self->inbox_first = job->next;
    if (!self->inbox_first) self->inbox_last = NULL;
    pthread_mutex_unlock(&self->lock);
    return job;
}

/* Those that are there now: what is posted meanwhile waits for the next turn. */
static void work_off_inbox(q5py_poller *self) {
    pthread_mutex_lock(&self->lock);
    q5py_job *last = self->inbox_last, *job = NULL;
    pthread_mutex_unlock(&self->lock);
    while (last && job != last && (job = take_from_inbox(self)))
        job->finish(job);
}

void q5py_poller_forget(q5py_poller *self, q5py_job *job) {
    q5py_job *before = NULL;
    pthread_mutex_lock(&self->lock);
    for (q5py_job *it = self->inbox_first; it; before = it, it = it->next) {
        if (it != job) continue;
        if (before)
            before->next = job->next;
        else
            self->inbox_first = job->next;
        if (self->inbox_last == job) self->inbox_last = before;
        break;
    }
    pthread_mutex_unlock(&self->lock);
}

static void on_wake(q5_watch *watch, unsigned events) {
    (void)events;
    char sink[64];
    while (read(watch->fd, sink, sizeof(sink)) == sizeof(sink))
        continue;
}

/* ---- watches that other threads may drop ------------------------------------------------------
 */

/* Between the return of the kernel's wait and the moment when the poller knows of its events, none
 * of them can be taken back. */
void q5py_poller_drop(q5py_poller *self, q5py_watch *watch) {
    q5_poller_remove(self->poller, &watch->watch);
    if (!self->in_wait) {
        PyMem_Free(watch);
        return;
    }
    watch->owner = NULL;
    watch->next_dropped = self->dropped;
    self->dropped = watch;
}

static void free_dropped(q5py_poller *self) {
    q5py_watch *watch;
    while ((watch = self->dropped)) {
        self->dropped = watch->next_dropped;
        PyMem_Free(watch);
    }
}

/* ---- registrations --------------------------------------------------------------------------- */

static void on_ready(q5_watch *watch, unsigned events) {
    q5py_registration *registration = Q5_CONTAINER_OF(watch, q5py_registration, base.watch);
    q5py_poller *self = registration->base.owner;
    long ready = 0;
    if (!self) return;
    if (events & Q5_POLL_READ) ready |= EVENT_READ;
    if (events & Q5_POLL_WRITE) ready |= EVENT_WRITE;
    ready &= registration->events;
    if (!ready) return;
    /* An allocation may run the collector, and that anything. */
    PyObject *key = Py_NewRef(registration->key), *pair = Py_BuildValue("(Nl)", key, ready);
    if (!pair || PyList_Append(self->ready, pair)) PyErr_WriteUnraisable((PyObject *)self);
    Py_XDECREF(pair);
}

static unsigned poll_events(long events) {
    return (events & EVENT_READ ? Q5_POLL_READ : 0) | (events & EVENT_WRITE ? Q5_POLL_WRITE : 0);
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
    if (events && !(events & ~(EVENT_READ | EVENT_WRITE))) return 0;
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

static PyObject *poller_register(PyObject *op, PyObject *args) {
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
    if (q5_poller_add(self->poller, &registration->base.watch, poll_events(events))) {
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

static PyObject *poller_unregister(PyObject *op, PyObject *file) {
    q5py_poller *self = (q5py_poller *)op;
    q5py_registration *registration = find_file(self, file);
    if (!registration) return NULL;
    PyObject *key = Py_NewRef(registration->key);
    forget(self, registration->base.watch.fd);
    drop(self, registration);
    return key;
}

static PyObject *poller_modify(PyObject *op, PyObject *args) {
    q5py_poller *self = (q5py_poller *)op;
    PyObject *file, *data = Py_None;
    long events;
    if (!PyArg_ParseTuple(args, "Ol|O", &file, &events, &data) || check_events(events)) return NULL;
    int fd = find_fd(self, file);
    PyObject *key = make_key(self, file, fd, events, data);
    q5py_registration *registration = key ? find_file(self, file) : NULL;
    if (!registration) goto failed;
    if (events != registration->events &&
        q5_poller_modify(self->poller, &registration->base.watch, poll_events(events))) {
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

/* ---- waiting --------------------------------------------------------------------------------- */

static int sooner(int a, int b) {
    if (a < 0) return b;
    return b < 0 || a < b ? a : b;
}

static int call_before_hooks(q5py_poller *self) {
    int timeout = -1;
    self->serving = true;
    for (q5py_poll_hook *hook = self->hooks; hook; hook = hook->next)
        timeout = sooner(timeout, hook->before_wait(hook));
    self->serving = false;
    q5py_poller_wake_thread(self);
    return timeout;
}

/* A handler has called loop.stop(), which only sets a flag. -1 with an exception. */
static int loop_stopping(q5py_poller *self) {
    PyObject *stopping = PyObject_GetAttr(self->loop, self->state->str__stopping);
    int rc = stopping ? PyObject_IsTrue(stopping) : -1;
    Py_XDECREF(stopping);
    return rc;
}

/* A timer was scheduled that is due before the one for which select was called. */
static bool timer_came_first(q5py_poller *self) {
    PyObject *timers = self->loop_timers;
    return timers && PyList_GET_SIZE(timers) && PyList_GET_ITEM(timers, 0) != self->loop_next;
}

/* 1, 0, or -1 with an exception. Without a bound loop each wait is handed back. */
static int asyncio_has_work(q5py_poller *self) {
    if (PyList_GET_SIZE(self->ready) || !self->loop_ready) return 1;
    Py_ssize_t handles = PyObject_Size(self->loop_ready);
    if (handles) return handles < 0 ? -1 : 1;
    return timer_came_first(self) ? 1 : loop_stopping(self);
}

/* The loop replaces its heap now and then, but not while it waits. */
static int look_at_timers(q5py_poller *self) {
    if (!self->loop) return 0;
    PyObject *timers = PyObject_GetAttr(self->loop, self->state->str__scheduled);
    if (!timers) return -1;
    Py_XSETREF(self->loop_timers, timers);
    if (!PyList_CheckExact(timers)) {
        PyErr_SetString(PyExc_TypeError, "the loop's timers are not in a list");
        return -1;
    }
    PyObject *next = PyList_GET_SIZE(timers) ? PyList_GET_ITEM(timers, 0) : NULL;
    Py_XSETREF(self->loop_next, Py_XNewRef(next));
    return 0;
}

static q5py_watchdog *watchdog_of(q5py_poller *self) {
    q5py_watchdog *watchdog = self->state->watchdog;
    return watchdog && watchdog->poller == self ? watchdog : NULL;
}

static int wait_once(q5py_poller *self, int timeout) {
    int n;
    atomic_store(&self->waiting, true);
    if (!inbox_empty(self)) timeout = 0;
    self->wait_until = timeout < 0 ? -1 : now_seconds() + timeout * 1e-3;
    self->in_wait = true;
    q5py_watchdog *watchdog = watchdog_of(self);
    q5py_watchdog_wait(watchdog, true);
    Py_BEGIN_ALLOW_THREADS
        n = q5_poller_wait(self->poller, timeout);
    Py_END_ALLOW_THREADS
    if (watchdog == watchdog_of(self)) q5py_watchdog_wait(watchdog, false);
    self->in_wait = false;
    self->held_since = 0; /* the tick will send it */
    atomic_store(&self->waiting, false);
    if (n < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    self->serving = true;
    for (q5py_poll_hook *hook = self->hooks; hook; hook = hook->next)
        hook->after_wait(hook);
    q5_poller_deliver(self->poller);
    free_dropped(self);
    work_off_inbox(self);
    self->serving = false;
    q5py_poller_wake_thread(self);
    if (self->raised) {
        q5py_exception_set(self->raised);
        self->raised = NULL;
        return -1;
    }
    /* A signal without a Python-level wake-up descriptor must still raise. */
    return PyErr_CheckSignals();
}

/* Milliseconds left until due (0: unknown, wait for ever), rounded up. */
static int msec_until(double due) {
    double left = due - now_seconds();
    if (left <= 0) return 0;
    return left > 86400 ? 86400000 : (int)ceil(left * 1000);
}

static int parse_timeout(PyObject *arg, double *ret_due) {
    *ret_due = -1;
    if (arg == Py_None) return 0;
    double timeout = PyFloat_AsDouble(arg);
    if (timeout == -1.0 && PyErr_Occurred()) return -1;
    if (!(timeout > 0)) {
        *ret_due = 0;
        return 0;
    }
    *ret_due = now_seconds() + timeout;
    return 0;
}

/* Waits until asyncio has work or `due`: monotonic seconds; -1: never; 0: does not wait. */
static int serve_until(q5py_poller *self, double due) {
    bool over;
    int work;
    do {
        int hooks = call_before_hooks(self);
        int left = due < 0 ? -1 : due == 0 ? 0 : msec_until(due);
        work = self->loop_ready ? asyncio_has_work(self) : 0;
        if (work < 0 || wait_once(self, work || self->raised ? 0 : sooner(left, hooks))) return -1;
        over = due >= 0 && (due == 0 || msec_until(due) == 0);
        work = asyncio_has_work(self);
    } while (!over && work == 0);
    return work < 0 ? -1 : 0;
}

static PyObject *poller_select(PyObject *op, PyObject *const *args, Py_ssize_t nargs) {
    q5py_poller *self = (q5py_poller *)op;
    double due;
    if (self->ready) {
        PyErr_SetString(PyExc_RuntimeError, "select() is running already");
        return NULL;
    }
    if (parse_timeout(nargs ? args[0] : Py_None, &due)) return NULL;
    if (!(self->ready = PyList_New(0))) return NULL;
    int rc = look_at_timers(self);
    if (rc == 0) rc = serve_until(self, due);
    PyObject *ready = self->ready;
    self->ready = NULL;
    Py_CLEAR(self->loop_timers);
    Py_CLEAR(self->loop_next);
    if (rc) Py_CLEAR(ready);
    return ready;
}

/* ---- the rest of BaseSelector ---------------------------------------------------------------- */

static PyObject *poller_get(PyObject *op, PyObject *args) {
    q5py_poller *self = (q5py_poller *)op;
    PyObject *file, *otherwise = Py_None;
    if (!PyArg_ParseTuple(args, "O|O", &file, &otherwise)) return NULL;
    q5py_registration *registration = find(self, find_fd(self, file));
    return Py_NewRef(registration ? registration->key : otherwise);
}

static PyObject *poller_subscript(PyObject *op, PyObject *file) {
    q5py_registration *registration = find_file((q5py_poller *)op, file);
    return registration ? Py_NewRef(registration->key) : NULL;
}

static Py_ssize_t poller_length(PyObject *op) {
    return PyDict_GET_SIZE(((q5py_poller *)op)->keys);
}

static int poller_contains(PyObject *op, PyObject *file) {
    q5py_poller *self = (q5py_poller *)op;
    return find(self, find_fd(self, file)) != NULL;
}

static PyObject *poller_iter(PyObject *op) {
    return PyObject_GetIter(((q5py_poller *)op)->keys);
}

static PyObject *poller_get_map(PyObject *op, PyObject *unused) {
    (void)unused;
    return Py_NewRef(op);
}

static PyObject *poller_values(PyObject *op, PyObject *unused) {
    (void)unused;
    return PyDict_Values(((q5py_poller *)op)->keys);
}

static PyObject *poller_fileno(PyObject *op, PyObject *unused) {
    (void)unused;
    return PyLong_FromLong(q5_poller_fd(((q5py_poller *)op)->poller));
}

static PyObject *poller_bind_loop(PyObject *op, PyObject *loop) {
    q5py_poller *self = (q5py_poller *)op;
    PyObject *ready = PyObject_GetAttr(loop, self->state->str__ready);
    if (!ready) return NULL;
    Py_XSETREF(self->loop_ready, ready);
    Py_XSETREF(self->loop, Py_NewRef(loop));
    Py_RETURN_NONE;
}

static void drop_all(q5py_poller *self) {
    for (int i = 0; i < self->registrations_cap; i++)
        if (self->registrations[i]) drop(self, self->registrations[i]);
}

static PyObject *poller_close(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_poller *self = (q5py_poller *)op;
    for (q5py_poll_hook *hook = self->hooks, *next; hook; hook = next) {
        next = hook->next;
        if (hook->on_close) hook->on_close(hook);
    }
    drop_all(self);
    PyDict_Clear(self->keys);
    Py_CLEAR(self->loop_ready);
    Py_CLEAR(self->loop);
    Py_RETURN_NONE;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int open_wake(q5py_poller *self) {
    if (pipe(self->wake_fds)) return -1;
    for (int i = 0; i < 2; i++) {
        fcntl(self->wake_fds[i], F_SETFL, O_NONBLOCK);
        fcntl(self->wake_fds[i], F_SETFD, FD_CLOEXEC);
    }
    self->wake_watch = (q5_watch){self->wake_fds[0], on_wake};
    return q5_poller_add(self->poller, &self->wake_watch, Q5_POLL_READ);
}

static PyObject *poller_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "", keywords)) return NULL;
    q5py_poller *self = (q5py_poller *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->state = q5py_state_of_type(type);
    self->wake_fds[0] = self->wake_fds[1] = -1;
    pthread_mutex_init(&self->lock, NULL);
    self->keys = PyDict_New();
    self->poller = q5_poller_create(NULL);
    if (!self->keys || !self->poller || open_wake(self)) {
        if (!PyErr_Occurred()) PyErr_SetFromErrno(PyExc_OSError);
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int poller_traverse(PyObject *op, visitproc visit, void *arg) {
    q5py_poller *self = (q5py_poller *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->keys);
    Py_VISIT(self->ready);
    Py_VISIT(self->loop);
    Py_VISIT(self->loop_ready);
    Py_VISIT(self->loop_timers);
    Py_VISIT(self->loop_next);
    Py_VISIT(self->raised);
    for (int i = 0; i < self->registrations_cap; i++)
        if (self->registrations[i]) Py_VISIT(self->registrations[i]->key);
    for (q5py_poll_hook *hook = self->hooks; hook; hook = hook->next)
        Py_VISIT(hook->owner);
    return 0;
}

/* What is cleared here may still be called by what is being collected with it: all stays usable.
 */
static int poller_clear(PyObject *op) {
    q5py_poller *self = (q5py_poller *)op;
    if (self->poller) drop_all(self);
    if (self->keys) PyDict_Clear(self->keys);
    Py_CLEAR(self->loop);
    Py_CLEAR(self->loop_ready);
    Py_CLEAR(self->raised);
    while (self->hooks)
        q5py_poller_remove_hook(self, self->hooks);
    return 0;
}

static void poller_dealloc(PyObject *op) {
    q5py_poller *self = (q5py_poller *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    poller_clear(op);
    Py_CLEAR(self->keys);
    if (self->poller) q5_poller_destroy(self->poller);
    for (int i = 0; i < 2; i++)
        if (self->wake_fds[i] >= 0) close(self->wake_fds[i]);
    free_dropped(self);
    PyMem_Free(self->registrations);
    pthread_mutex_destroy(&self->lock);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef poller_methods[] = {
    {"register", poller_register, METH_VARARGS, "register(fileobj, events, data=None)"},
    {"unregister", poller_unregister, METH_O, "unregister(fileobj)"},
    {"modify", poller_modify, METH_VARARGS, "modify(fileobj, events, data=None)"},
    {"select", (PyCFunction)(void (*)(void))poller_select, METH_FASTCALL, "select(timeout=None)"},
    {"get", poller_get, METH_VARARGS, "get(fileobj, default=None)"},
    {"get_key", poller_subscript, METH_O, "get_key(fileobj)"},
    {"get_map", poller_get_map, METH_NOARGS, "get_map(): the mapping of file objects to keys"},
    {"values", poller_values, METH_NOARGS, "values(): the keys"},
    {"fileno", poller_fileno, METH_NOARGS, "fileno(): of the kernel's poller"},
    {"bind_loop", poller_bind_loop, METH_O,
     "bind_loop(loop)\n\nselect() then returns only when that loop has work."},
    {"close", poller_close, METH_NOARGS, "close()"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot poller_slots[] = {
    {Py_tp_doc, "A selector for asyncio.SelectorEventLoop that also drives servers."},
    {Py_tp_new, poller_new},
    {Py_tp_dealloc, poller_dealloc},
    {Py_tp_traverse, poller_traverse},
    {Py_tp_clear, poller_clear},
    {Py_tp_methods, poller_methods},
    {Py_tp_iter, poller_iter},
    {Py_mp_subscript, poller_subscript},
    {Py_mp_length, poller_length},
    {Py_sq_contains, poller_contains},
    {0, NULL},
};

static PyType_Spec poller_spec = {
    .name = "quintette._quintette.Poller",
    .basicsize = sizeof(q5py_poller),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = poller_slots,
};

int q5py_init_poller(PyObject *module, q5py_state *state) {
    state->poller_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &poller_spec, NULL);
    return state->poller_type ? PyModule_AddType(module, state->poller_type) : -1;
}
