/* Jobs that end in other threads: the poller's inbox, what wakes the loop's thread for it, and
 * worker threads that stand in for the loop while it is inside the kernel's wait. */
#include "poller_internal.h"

#include <fcntl.h>
#include <unistd.h>

#include "now.h"
#include "threads.h"

#define HOLD_SECONDS 0.0005

/* ---- waking the loop's thread ---------------------------------------------------------------- */

static void wake(q5py_poller *self) {
    if (!atomic_exchange(&self->waiting, false)) return;
    ssize_t n = write(self->wake_fds[1], "", 1);
    (void)n; /* a full pipe wakes as well */
}

static void on_wake(q5_watch *watch, unsigned events) {
    (void)events;
    char sink[64];
    while (read(watch->fd, sink, sizeof(sink)) == sizeof(sink))
        continue;
}

int q5py_poller_open_wake(q5py_poller *self) {
    if (pipe(self->wake_fds)) return -1;
    for (int i = 0; i < 2; i++) {
        fcntl(self->wake_fds[i], F_SETFL, O_NONBLOCK);
        fcntl(self->wake_fds[i], F_SETFD, FD_CLOEXEC);
    }
    self->wake_watch = (q5_watch){self->wake_fds[0], on_wake};
    return q5_poller_add(self->poller, &self->wake_watch, Q5_POLL_READ);
}

/* ---- the inbox ------------------------------------------------------------------------------- */

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

bool q5py_poller_inbox_empty(q5py_poller *self) {
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

void q5py_poller_work_off_inbox(q5py_poller *self) {
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

/* ---- standing in ----------------------------------------------------------------------------- */

/* Ends a wait that would outlast this many milliseconds; -1: none would. */
static void hurry(q5py_poller *self, int msec) {
    if (msec < 0) return;
    if (self->wait_until < 0 || q5py_now_seconds() + msec * 1e-3 < self->wait_until) wake(self);
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
    double now = q5py_now_seconds();
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

/* ---- threads to wake ------------------------------------------------------------------------- */

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
