/* _quintette.ThreadPool: Python threads that run jobs in C. A thread is started when a job finds
 * none idle, up to the bound; an idle one ends after a while. */
#ifndef Q5PY_THREADS_H
#define Q5PY_THREADS_H

#include "poller.h"

/* Queues the job; its run is called in a worker thread and then it is finished there or by
 * `poller`. Under the GIL. 0; -1 with an exception when the pool is stopped or no thread could be
 * started. */
int q5py_thread_pool_submit(q5py_thread_pool *pool, q5py_job *job, q5py_poller *poller);
/* Under the GIL: wakes the thread that was called for such a job, should it still sleep. */
void q5py_thread_pool_wake(q5py_thread_pool *pool);

typedef struct q5py_thread_pool_counts {
    uint32_t threads, idle, queued;
} q5py_thread_pool_counts;

q5py_thread_pool_counts q5py_thread_pool_count(q5py_thread_pool *pool);

#endif
