/* The pool's threads are ordinary threading.Threads (names, py-spy, thread-locals, interpreter
 * exit), but what they run is a loop in C that takes the GIL once per job. */
#include "threads.h"

#include <errno.h>
#include <math.h>
#include <time.h>

#define THREADS_DEFAULT 16
#define THREADS_LIMIT 1024
#define IDLE_SECONDS 60
#define STOP_SECONDS_MAX 86400

typedef struct queued {
    q5py_job *job;
    q5py_poller *poller; /* owned */
} queued;

struct q5py_thread_pool {
    PyObject_HEAD q5py_state *state;
    pthread_mutex_t lock;
    pthread_cond_t work, quiet;
    /* A ring; its bound is the number of connections, each of which has one job at a time. */
    queued *ring;
    size_t first, count, cap;
    int threads, threads_max, idle;
    int seats;             /* threads that were asked for and have not come to their loop yet */
    unsigned long started; /* for names */
    bool stopping;
};

/* Under the lock. */
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

static struct timespec from_now(double seconds) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    double whole = floor(seconds);
    until.tv_sec += (time_t)whole;
    until.tv_nsec += (long)((seconds - whole) * 1e9);
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    return until;
}

static bool wait_for_work(q5py_thread_pool *self) {
    struct timespec until = from_now(IDLE_SECONDS);
    self->idle++;
    int rc = 0;
    while (!self->count && !self->stopping && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&self->work, &self->lock, &until);
    self->idle--;
    return self->count != 0;
}

/* The body of a worker thread. Entered and left with the GIL. */
static PyObject *pool_work(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_thread_pool *self = (q5py_thread_pool *)op;
    PyThreadState *thread = PyEval_SaveThread();
    pthread_mutex_lock(&self->lock);
    bool seated = self->seats > 0; /* no: it was taken for a thread that did not start */
    if (seated) self->seats--;
    while (seated && (self->count || wait_for_work(self))) {
        queued next = self->ring[self->first];
        self->first = (self->first + 1) % self->cap;
        self->count--;
        pthread_mutex_unlock(&self->lock);
        PyEval_RestoreThread(thread);
        next.job->run(next.job);
        q5py_poller_post(next.poller, next.job);
        Py_DECREF(next.poller);
        thread = PyEval_SaveThread();
        pthread_mutex_lock(&self->lock);
    }
    if (seated) self->threads--;
    pthread_cond_broadcast(&self->quiet);
    pthread_mutex_unlock(&self->lock);
    PyEval_RestoreThread(thread);
    Py_RETURN_NONE;
}

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
 * another, that one will come round to the job: 0. Else the job, which is the last, is dropped: -1,
 * with the exception. */
static int take_back(q5py_thread_pool *self) {
    q5py_poller *poller = NULL;
    pthread_mutex_lock(&self->lock);
    if (self->seats) {
        self->seats--;
        self->threads--;
    }
    if (self->threads == 0 && self->count)
        poller = self->ring[(self->first + --self->count) % self->cap].poller;
    pthread_mutex_unlock(&self->lock);
    if (!poller) PyErr_WriteUnraisable((PyObject *)self);
    Py_XDECREF(poller);
    return poller ? -1 : 0;
}

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
    bool grow = self->count > (size_t)self->idle && self->threads < self->threads_max;
    if (grow) {
        self->threads++;
        self->seats++;
    }
    pthread_cond_signal(&self->work);
    pthread_mutex_unlock(&self->lock);
    if (!grow || start_thread(self) == 0) return 0;
    return take_back(self);
}

static PyObject *pool_stop(PyObject *op, PyObject *args) {
    q5py_thread_pool *self = (q5py_thread_pool *)op;
    double seconds = 5;
    if (!PyArg_ParseTuple(args, "|d", &seconds)) return NULL;
    struct timespec until = from_now(seconds > 0 ? fmin(seconds, STOP_SECONDS_MAX) : 0);
    bool quiet;
    Py_BEGIN_ALLOW_THREADS
        pthread_mutex_lock(&self->lock);
        self->stopping = true;
        pthread_cond_broadcast(&self->work);
        int rc = 0;
        while (self->threads && rc != ETIMEDOUT)
            rc = pthread_cond_timedwait(&self->quiet, &self->lock, &until);
        quiet = self->threads == 0;
        pthread_mutex_unlock(&self->lock);
    Py_END_ALLOW_THREADS
    return PyBool_FromLong(quiet);
}

static PyObject *pool_stats(PyObject *op, PyObject *unused) {
    (void)unused;
    q5py_thread_pool *self = (q5py_thread_pool *)op;
    pthread_mutex_lock(&self->lock);
    int threads = self->threads, idle = self->idle;
    size_t count = self->count;
    pthread_mutex_unlock(&self->lock);
    return Py_BuildValue("{sisisn}", "threads", threads, "idle", idle, "queued", (Py_ssize_t)count);
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
    pthread_cond_init(&self->work, NULL);
    pthread_cond_init(&self->quiet, NULL);
    return (PyObject *)self;
}

/* Each thread holds a reference through its target, so no thread is left here. */
static void pool_dealloc(PyObject *op) {
    q5py_thread_pool *self = (q5py_thread_pool *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyMem_RawFree(self->ring);
    pthread_mutex_destroy(&self->lock);
    pthread_cond_destroy(&self->work);
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
