/* A body that synchronous code produces: its iterator is run by the worker thread or greenlet that
 * made the reply, for the sake of what is bound to it (database connections), and feeds the loop
 * with a bounded number of bytes in between. */
#include "stream.h"

#include "convert.h"
#include "greenlets/sync_call.h"

#define FEED_BYTES_MAX 262144 /* produced but not yet taken by the loop */
#define CHUNK_COST 128        /* what a chunk takes besides its bytes: object, segment, framing */

/* Flags and list are guarded by the GIL; lock and condition only put the worker to sleep. */
typedef struct q5py_feed {
    q5py_job job;
    q5py_flight *flight;
    pthread_mutex_t lock;
    pthread_cond_t awake;
    bool signalled;  /* under the lock */
    q5py_wait *wait; /* owned: of a greenlet that sleeps; or NULL */
    PyObject *chunks;
    size_t bytes;
    bool posted, started, full, ended, failed;
} q5py_feed;

/* ---- feed: the worker's side ----------------------------------------------------------------- */

/* Woken by a client that takes what was sent, or leaves. */
static int feed_wait_here(q5py_feed *feed) {
    PyObject *loop = q5py_server_loop(feed->flight->server);
    feed->wait = loop ? q5py_wait_new_on(feed->flight->server->state, loop) : NULL;
    Py_XDECREF(loop);
    int rc = feed->wait ? q5py_wait_here(feed->wait, -1, NULL) : -1;
    Py_CLEAR(feed->wait);
    return rc;
}

static void feed_sleep(q5py_feed *feed) {
    Py_BEGIN_ALLOW_THREADS
        pthread_mutex_lock(&feed->lock);
        while (!feed->signalled)
            pthread_cond_wait(&feed->awake, &feed->lock);
        feed->signalled = false;
        pthread_mutex_unlock(&feed->lock);
    Py_END_ALLOW_THREADS
}

static void feed_post(q5py_feed *feed) {
    if (feed->posted) return;
    feed->posted = true;
    q5py_server_post(feed->flight->server, &feed->job);
}

/* Bounded by the connection's write deadline: a client that takes nothing is given up, and that
 * wakes us. */
static int feed_chunk(q5py_feed *feed, PyObject *chunk) {
    Py_ssize_t len = PyObject_Size(chunk);
    if (len < 0 || PyList_Append(feed->chunks, chunk)) return -1;
    feed->bytes += (size_t)len + CHUNK_COST;
    feed_post(feed);
    int rc = 0;
    while (rc == 0 && (feed->full || feed->bytes > FEED_BYTES_MAX) && !feed->flight->gone) {
        if (q5py_in_greenlet())
            rc = feed_wait_here(feed);
        else
            feed_sleep(feed);
    }
    return rc;
}

static int feed_all(q5py_feed *feed, PyObject *iterable) {
    PyObject *iterator = PyObject_GetIter(iterable), *chunk;
    if (!iterator) return -1;
    int rc = 0;
    while (rc == 0 && !feed->flight->gone && (chunk = PyIter_Next(iterator))) {
        PyObject *bytes = q5py_stream_piece(&feed->flight->reply, chunk);
        Py_DECREF(chunk);
        rc = bytes ? feed_chunk(feed, bytes) : -1;
        Py_XDECREF(bytes);
    }
    Py_DECREF(iterator);
    return PyErr_Occurred() ? -1 : rc;
}

static void feed_flush(q5py_job *job);

static q5py_feed *feed_new(q5py_flight *flight) {
    q5py_feed *feed = PyMem_Calloc(1, sizeof(*feed));
    if (!feed) return NULL;
    feed->job.finish = feed_flush;
    feed->flight = flight;
    feed->chunks = PyList_New(0);
    if (!feed->chunks) {
        PyMem_Free(feed);
        return NULL;
    }
    pthread_mutex_init(&feed->lock, NULL);
    pthread_cond_init(&feed->awake, NULL);
    return feed;
}

void q5py_feed_free(q5py_flight *flight) {
    q5py_feed *feed = flight->feed;
    if (!feed) return;
    flight->feed = NULL;
    q5py_job_forget(flight->server, &feed->job);
    Py_DECREF(feed->chunks);
    Py_XDECREF((PyObject *)feed->wait);
    pthread_mutex_destroy(&feed->lock);
    pthread_cond_destroy(&feed->awake);
    PyMem_Free(feed);
}

void q5py_feed_run(q5py_flight *flight) {
    q5py_feed *feed = flight->feed = feed_new(flight);
    if (!feed) {
        PyErr_Clear();
        return;
    }
    feed_post(feed); /* the head need not wait for the first chunk */
    if (!q5py_stream_is_unwanted(flight->x, flight->reply.status) &&
        feed_all(feed, flight->reply.stream)) {
        feed->failed = true;
        q5py_server_error(flight->server, flight->request);
    }
    feed->ended = true;
    feed_post(feed);
    Py_CLEAR(flight->reply.stream);
    q5py_reply_close_here(flight);
}

/* ---- feed: the loop's side ------------------------------------------------------------------- */

void q5py_feed_wake(q5py_flight *flight) {
    q5py_feed *feed = flight->feed;
    feed->full = false;
    if (feed->wait) q5py_wait_finish(feed->wait, NULL);
    pthread_mutex_lock(&feed->lock);
    feed->signalled = true;
    pthread_cond_signal(&feed->awake);
    pthread_mutex_unlock(&feed->lock);
}

static bool feed_start(q5py_feed *feed) {
    q5py_flight *flight = feed->flight;
    feed->started = true;
    if (q5py_reply_start(flight) == 0 && q5py_stream_begin(flight) == Q5_OK) return true;
    if (PyErr_Occurred()) q5py_server_error(flight->server, flight->request);
    q5_response_problem(flight->x, 500, q5_slice_make(NULL, 0));
    return false;
}

/* What the worker has produced since. 0, or -1: nobody takes it. */
static int write_chunks(q5py_feed *feed, bool *ret_full) {
    q5py_flight *flight = feed->flight;
    q5_buf batch;
    q5_buf_init(&batch, NULL);
    int status = Q5_OK;
    Py_ssize_t count = PyList_GET_SIZE(feed->chunks);
    for (Py_ssize_t i = 0; i <= count && (status == Q5_OK || status == Q5_AGAIN); i++) {
        if (i == count)
            status = q5py_batch_flush(&batch, flight);
        else if (flight->reply.pieces)
            status = q5py_batch_add(&batch, flight, PyList_GET_ITEM(feed->chunks, i));
        else
            status = q5py_stream_write(flight->x, PyList_GET_ITEM(feed->chunks, i));
        if (status == Q5_AGAIN) *ret_full = true;
    }
    q5_buf_deinit(&batch);
    return status == Q5_OK || status == Q5_AGAIN ? 0 : -1;
}

static void feed_flush(q5py_job *job) {
    q5py_feed *feed = Q5_CONTAINER_OF(job, q5py_feed, job);
    q5py_flight *flight = feed->flight;
    feed->posted = false;
    if (!feed->started && !flight->gone && !feed_start(feed)) flight->gone = true;
    bool full = false;
    if (!flight->gone && write_chunks(feed, &full)) flight->gone = true;
    if (PyList_SetSlice(feed->chunks, 0, PyList_GET_SIZE(feed->chunks), NULL)) PyErr_Clear();
    feed->bytes = 0;
    if (feed->ended && !flight->gone) {
        if (feed->failed)
            q5_response_abort(flight->x);
        else
            q5py_stream_end(flight);
    }
    q5py_feed_wake(flight);
    feed->full = full;
}

void q5py_feed_finish(q5py_flight *flight) {
    q5py_feed *feed = flight->feed;
    if (!feed->posted || flight->gone) return;
    q5py_job_forget(flight->server, &feed->job);
    feed_flush(&feed->job);
}
