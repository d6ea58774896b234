/* The pool's threads are ordinary threading.Threads (names, py-spy, thread-locals, interpreter
 * exit), but what they run is a loop in C. */
#include "threads.h"

#include <errno.h>
#include <math.h>

#include "condition.h"

#define THREADS_DEFAULT 16
#define THREADS_LIMIT 1024
#define IDLE_SECONDS 60
#define STOP_SECONDS_MAX 86400

typedef struct queued {
    q5py_job *job;
    q5py_poller *poller; /* owned */
} queued;

/* A thread without work, on its own stack. The pool calls the one that came last: few threads see
 * all the work, so few database connections are opened, and they stay warm. */
typedef struct seat {
    struct seat *below;
    pthread_cond_t call;
    bool called;
} seat;

/* A job runs under the GIL, so a second thread is of use only once the first one waits for
 * something. Hence while there is work one thread is "coming": it was called or started, and waits
 * for the GIL like any other Python thread. When it gets it, be it that the one before gave it up
 * in a wait or that the switch interval was over, it takes a job and calls the next one. A thread
 * that has finished a job goes on with the next at once, without giving up the GIL or waking
 * anybody. */
struct q5py_thread_pool {
    PyObject_HEAD q5py_state *state;
    pthread_mutex_t lock; /* never held while waiting for the GIL */
    pthread_cond_t quiet;
    /* A ring; its bound is the number of connections, each of which has one job at a time. */
    queued *ring;
    size_t first, count, cap;
    seat *idle_top;
    int threads, threads_max, idle;
    int starting;          /* threads that were started and have not come to their loop yet */
    bool coming;           /* a thread was called or started and has not looked for work yet */
    seat *unwoken;         /* it was called, but still sleeps: see q5py_thread_pool_wake */
    unsigned long started; /* for names */
    bool stopping;
};

/* ---- the queue: under the lock --------------------------------------------------------------- */

static int push(q5py_thread_pool *self, q5py_job *job, q5py_poller *poller) {
    if (self->count == self->cap) {
        size_t cap = self->cap ? self->cap * 2 : 64;
        queued *ring = PyMem_RawMalloc(cap * sizeof(*ring));
        if (!ring) return -1;
        for (size_t i = 0; i < self->count; i++)
            ring[i] = self->ring[(self->first + i) % self->cap];
        PyMem_RawFree(self->ring);
        self->ring = ring;
        self->cap = cap;
        self->first = 0;
    }
    self->ring[(self->first + self->count++) % self->cap] = (queued){job, poller};
    return 0;
}

static bool take(q5py_thread_pool *self, queued *ret) {
    if (!self->count) return false;
    *ret = self->ring[self->first];
    self->first = (self->first + 1) % self->cap;
    self->count--;
    return true;
}

/* There is work: sees to it that a thread is coming. True: the caller must start one, for which a
 * place has been taken. */
static bool call_one(q5py_thread_pool *self) {
    if (self->coming) return false;
    seat *top = self->idle_top;
    if (top) {
        self->idle_top = top->below;
        self->idle--;
        self->coming = top->called = true;
        self->unwoken = top;
        return false;
    }
    if (self->threads == self->threads_max) return false;
    self->threads++;
    self->starting++;
    return self->coming = true;
}

/* Under the lock. */
static void wake(q5py_thread_pool *self) {
    if (self->unwoken) pthread_cond_signal(&self->unwoken->call);
    self->unwoken = NULL;
}

/* ---- threads --------------------------------------------------------------------------------- */

static int start_thread(q5py_thread_pool *self) {
    PyObject *target = PyObject_GetAttrString((PyObject *)self, "_work");
    PyObject *name = PyUnicode_FromFormat("quintette-%lu", ++self->started);
    PyObject *kwargs = target && name ? Py_BuildValue("{sOsOsO}", "target", target, "name", name,
                                                      "daemon", Py_True)
                                      : NULL;
    PyObject *none = PyTuple_New(0);
    PyObject *thread =
        kwargs && none ? PyObject_Call(self->state->thread_class, none, kwargs) : NULL;
    PyObject *started = thread ? PyObject_CallMethodNoArgs(thread, self->state->str_start) : NULL;
    Py_XDECREF(target);
    Py_XDECREF(name);
    Py_XDECREF(kwargs);
    Py_XDECREF(none);
    Py_XDECREF(thread);
    Py_XDECREF(started);
    return started ? 0 : -1;
}

/* After a thread did not start, or a signal's handler raised while we waited for it. When there is
 * another, that one will come round to the work: 0. Else the last job is dropped: -1, with the
 * exception. */
static int take_back(q5py_thread_pool *self) {
    q5py_poller *poller = NULL;
    pthread_mutex_lock(&self->lock);
    if (self->starting) {
        self->starting--;
        self->threads--;
        self->coming = false;
    }
    if (self->threads == 0 && self->count)
        poller = self->ring[(self->first + --self->count) % self->cap].poller;
    pthread_mutex_unlock(&self->lock);
    if (!poller) PyErr_WriteUnraisable((PyObject *)self);
    Py_XDECREF(poller);
    return poller ? -1 : 0;
}

static void leave_seat(q5py_thread_pool *self, const seat *mine) {
    seat **at = &self->idle_top;
    while (*at != mine)
        at = &(*at)->below;
    *at = mine->below;
    self->idle--;
}

/* Gives up the GIL until called. False: nobody called for long, or the pool stops. Under the lock,
 * which is let go in between. */
static bool wait_for_call(q5py_thread_pool *self) {
    seat mine = {.below = self->idle_top};
    struct timespec until = q5py_condition_until(IDLE_SECONDS);
    q5py_condition_init(&mine.call);
    self->idle_top = &mine;
    self->idle++;
    pthread_mutex_unlock(&self->lock);
    PyThreadState *thread = PyEval_SaveThread();
    pthread_mutex_lock(&self->lock);
    int rc = 0;
    while (!mine.called && !self->stopping && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&mine.call, &self->lock, &until);
    if (!mine.called) leave_seat(self, &mine);
    if (self->unwoken == &mine) self->unwoken = NULL;
    pthread_mutex_unlock(&self->lock);
    PyEval_RestoreThread(thread);
    pthread_cond_destroy(&mine.call);
    pthread_mutex_lock(&self->lock);
    if (mine.called) self->coming = false;
    return mine.called;
}

/* Under the lock, which is let go meanwhile. */
static void work_on(q5py_thread_pool *self, queued next) {
    bool more = self->count != 0;
    bool start = more && call_one(self);
    wake(self);
    pthread_mutex_unlock(&self->lock);
    if (!more) q5py_poller_stand_in(next.poller);     /* this one may take long */
    if (start && start_thread(self)) take_back(self); /* we are one: 0 */
    next.job->run(next.job);
    pthread_mutex_lock(&self->lock);
    more = self->count != 0;
    pthread_mutex_unlock(&self->lock);
    q5py_poller_settle(next.poller, next.job, more);
    Py_DECREF(next.poller);
    pthread_mutex_lock(&self->lock);
}

/* The body of a worker thread, under the GIL. */
static PyObject *pool_work(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_thread_pool *self = (q5py_thread_pool *)op;
    queued next;
    pthread_mutex_lock(&self->lock);
    bool seated = self->starting > 0; /* no: it was taken for a thread that did not start */
    if (seated) {
        self->starting--;
        self->coming = false;
    }
    while (seated) {
        if (take(self, &next))
            work_on(self, next);
        else if (!wait_for_call(self) && !self->count)
            break;
    }
    if (seated) self->threads--;
    pthread_cond_broadcast(&self->quiet);
    pthread_mutex_unlock(&self->lock);
    Py_RETURN_NONE;
}

/* ---- methods --------------------------------------------------------------------------------- */

int q5py_thread_pool_submit(q5py_thread_pool *self, q5py_job *job, q5py_poller *poller) {
    pthread_mutex_lock(&self->lock);
    if (self->stopping || push(self, job, (q5py_poller *)Py_NewRef(poller))) {
        bool stopping = self->stopping;
        pthread_mutex_unlock(&self->lock);
        if (stopping)
            PyErr_SetString(PyExc_RuntimeError, "the thread pool is stopped");
        else
            Py_DECREF(poller), PyErr_NoMemory();
        return -1;
    }
    bool start = call_one(self);
    if (!self->unwoken || !q5py_poller_will_wake(poller, self)) wake(self);
    pthread_mutex_unlock(&self->lock);
    if (!start || start_thread(self) == 0) return 0;
    return take_back(self);
}

void q5py_thread_pool_wake(q5py_thread_pool *self) {
    pthread_mutex_lock(&self->lock);
    wake(self);
    pthread_mutex_unlock(&self->lock);
}

static PyObject *pool_stop(PyObject *op, PyObject *args) {
    q5py_thread_pool *self = (q5py_thread_pool *)op;
    double seconds = 5;
    if (!PyArg_ParseTuple(args, "|d", &seconds)) return NULL;
    struct timespec until = q5py_condition_until(seconds > 0 ? fmin(seconds, STOP_SECONDS_MAX) : 0);
    bool quiet;
    Py_BEGIN_ALLOW_THREADS
        pthread_mutex_lock(&self->lock);
        self->stopping = true;
        for (seat *it = self->idle_top; it; it = it->below)
            pthread_cond_signal(&it->call);
        int rc = 0;
        while (self->threads && rc != ETIMEDOUT)
            rc = pthread_cond_timedwait(&self->quiet, &self->lock, &until);
        quiet = self->threads == 0;
        pthread_mutex_unlock(&self->lock);
    Py_END_ALLOW_THREADS
    return PyBool_FromLong(quiet);
}

q5py_thread_pool_counts q5py_thread_pool_count(q5py_thread_pool *self) {
    pthread_mutex_lock(&self->lock);
    q5py_thread_pool_counts now = {.threads = (uint32_t)self->threads,
                                   .idle = (uint32_t)self->idle,
                                   .queued = (uint32_t)self->count};
    pthread_mutex_unlock(&self->lock);
    return now;
}

static PyObject *pool_stats(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_thread_pool *self = (q5py_thread_pool *)op;
    q5py_thread_pool_counts now = q5py_thread_pool_count(self);
    return Py_BuildValue("{sIsIsI}", "threads", now.threads, "idle", now.idle, "queued",
                         now.queued);
}

static PyObject *pool_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"threads_max", NULL};
    int threads_max = THREADS_DEFAULT;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|i", keywords, &threads_max)) return NULL;
    if (threads_max < 1 || threads_max > THREADS_LIMIT) {
        PyErr_Format(PyExc_ValueError, "threads_max must be from 1 to %d", THREADS_LIMIT);
        return NULL;
    }
    q5py_thread_pool *self = (q5py_thread_pool *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->state = q5py_state_of_type(type);
    self->threads_max = threads_max;
    pthread_mutex_init(&self->lock, NULL);
    q5py_condition_init(&self->quiet);
    return (PyObject *)self;
}

/* Each thread holds a reference through its target, so no thread is left here. */
static void pool_dealloc(PyObject *op) {
    q5py_thread_pool *self = (q5py_thread_pool *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyMem_RawFree(self->ring);
    pthread_mutex_destroy(&self->lock);
    pthread_cond_destroy(&self->quiet);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef pool_methods[] = {
    {"_work", pool_work, METH_NOARGS, NULL},
    {"stop", pool_stop, METH_VARARGS,
     "stop(timeout=5) -> bool\n\nNo further jobs; waits for the queued ones. False: some still "
     "run."},
    {"stats", pool_stats, METH_NOARGS, "stats() -> dict: threads, idle, queued"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot pool_slots[] = {
    {Py_tp_doc, "ThreadPool(threads_max=16)\n\nThreads in which synchronous handlers run."},
    {Py_tp_new, pool_new},
    {Py_tp_dealloc, pool_dealloc},
    {Py_tp_methods, pool_methods},
    {0, NULL},
};

static PyType_Spec pool_spec = {
    .name = "quintette._quintette.ThreadPool",
    .basicsize = sizeof(q5py_thread_pool),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = pool_slots,
};

int q5py_init_threads(PyObject *module, q5py_state *state) {
    state->thread_pool_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &pool_spec, NULL);
    return state->thread_pool_type ? PyModule_AddType(module, state->thread_pool_type) : -1;
}
