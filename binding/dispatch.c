/* From a complete request to a reply: typed handlers on the loop or in a thread, Django views in a
 * thread or, when they are async, on the loop. All callbacks come with the GIL held and must leave
 * no exception behind. */
#include "server.h"

#include "convert.h"
#include "django.h"
#include "request.h"
#include "sync_call.h"
#include "watchdog.h"
#include "watch.h"

/* ---- flights --------------------------------------------------------------------------------- */

static q5py_flight *flight_begin(q5py_server *server, q5_exchange *x) {
    q5py_flight *flight = q5_arena_alloc(&x->arena, sizeof(*flight));
    PyObject *context = flight ? PyContext_Copy(server->context) : NULL;
    if (!context) {
        PyErr_Clear();
        return NULL;
    }
    *flight = (q5py_flight){.context = context};
    flight->server = (q5py_server *)Py_NewRef(server);
    flight->x = q5_exchange_ref(x);
    q5py_reply_init(&flight->reply);
    x->user = flight;
    server->flights++;
    return flight;
}

/* Dropping references may run anything; until the last line the server counts the flight. */
void q5py_flight_end(q5py_flight *flight) {
    q5_exchange *x = flight->x;
    q5py_server *server = flight->server;
    x->user = NULL;
    q5py_watch_end(flight);
    if (flight->job.object) q5py_job_forget(server, &flight->job);
    q5py_stream_detach(flight);
    q5py_args_clear(&flight->args);
    q5py_reply_clear(&flight->reply);
    q5py_feed_free(flight);
    Py_CLEAR(flight->request);
    Py_CLEAR(flight->context);
    Py_CLEAR(flight->task);
    Py_CLEAR(flight->drained);
    q5_exchange_unref(x);
    server->flights--;
    Py_DECREF(server);
}

void q5py_flight_gone(q5py_flight *flight) {
    flight->gone = true;
    if (flight->feed)
        q5py_feed_wake(flight);
    else if (flight->task && !flight->in_greenlet)
        q5py_task_cancel(flight->task, NULL);
}

PyObject *q5py_flight_subject(const q5py_flight *flight) {
    PyObject *subject = flight->plan ? flight->plan->handler : flight->request;
    return Py_NewRef(subject ? subject : Py_None);
}

void q5py_server_error(q5py_server *server, PyObject *request) {
    PyObject *exception = q5py_exception_take();
    if (!exception) return;
    PyObject *done = NULL;
    if (server->on_error)
        done = PyObject_CallFunctionObjArgs(server->on_error, exception,
                                            request ? request : Py_None, NULL);
    if (!done) {
        if (PyErr_Occurred()) PyErr_WriteUnraisable(server->on_error);
        q5py_exception_set(exception);
        PyErr_WriteUnraisable((PyObject *)server);
        return;
    }
    Py_DECREF(done);
    Py_DECREF(exception);
}

void q5py_server_raise(q5py_server *server) {
    if (server->poller)
        q5py_poller_raise(server->poller);
    else
        Py_XSETREF(server->raised, q5py_exception_take());
}

PyObject *q5py_server_loop(q5py_server *server) {
    if (server->poller && server->poller->loop) return Py_NewRef(server->poller->loop);
    PyObject *loop = PyObject_CallNoArgs(server->state->get_running_loop);
    if (loop == Py_None) {
        Py_DECREF(loop);
        PyErr_SetString(PyExc_RuntimeError, "no event loop runs in this thread");
        return NULL;
    }
    return loop;
}

/* ---- jobs in other threads ------------------------------------------------------------------- */

/* _quintette.Job: a job in the hands of a Python executor or loop. Whatever these do with it, a
 * flight must end once, and never while a thread works for it. */
typedef struct job_object {
    PyObject_HEAD q5py_job *job; /* NULL once finished or forgotten */
    q5py_flight *flight;         /* whose job it is; NULL: a feed's */
    bool begun, running, finish_asked;
} job_object;

static PyObject *job_object_new(q5py_state *state, q5py_job *job, q5py_flight *flight) {
    job_object *self = (job_object *)state->job_type->tp_alloc(state->job_type, 0);
    if (!self) return NULL;
    self->job = job;
    self->flight = flight;
    Py_XSETREF(job->object, Py_NewRef((PyObject *)self));
    return (PyObject *)self;
}

static void job_object_forget(job_object *self) {
    q5py_job *job = self->job;
    self->job = NULL;
    if (job && job->object == (PyObject *)self) Py_CLEAR(job->object);
}

static void finish_job(job_object *self) {
    q5py_job *job = self->job;
    if (!job) return;
    job_object_forget(self);
    job->finish(job);
}

void q5py_job_forget(q5py_server *server, q5py_job *job) {
    if (job->object) job_object_forget((job_object *)job->object);
    if (server->poller) q5py_poller_forget(server->poller, job);
}

static PyObject *job_run(PyObject *op, PyObject *unused) {
    (void)unused;
    job_object *self = (job_object *)op;
    if (!self->job || self->begun) Py_RETURN_NONE;
    self->begun = self->running = true;
    self->job->run(self->job);
    self->running = false;
    if (self->finish_asked) finish_job(self);
    Py_RETURN_NONE;
}

/* On the loop's thread, while another runs the job: that one goes on and ends the flight; the
 * client sees its connection cut. */
static void finish_behind(job_object *self) {
    self->finish_asked = true;
    q5_response_abort(self->flight->x);
    q5py_flight_gone(self->flight);
}

static PyObject *job_finish(PyObject *op, PyObject *unused) {
    (void)unused;
    job_object *self = (job_object *)op;
    if (self->running)
        finish_behind(self); /* whoever waited for run() was cancelled */
    else
        finish_job(self);
    Py_RETURN_NONE;
}

static void job_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef job_methods[] = {
    {"run", job_run, METH_NOARGS, "run(): in a worker thread"},
    {"finish", job_finish, METH_NOARGS, "finish(): afterwards, on the loop's thread"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot job_slots[] = {
    {Py_tp_doc, "Work for an executor: call run(), then finish()."},
    {Py_tp_dealloc, job_dealloc},
    {Py_tp_methods, job_methods},
    {0, NULL},
};

PyType_Spec q5py_job_spec = {
    .name = "quintette._quintette.Job",
    .basicsize = sizeof(job_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = job_slots,
};

/* The executor may have begun or finished the job before it failed. */
static int execute(q5py_server *server, q5py_flight *flight) {
    job_object *op = (job_object *)job_object_new(server->state, &flight->job, flight);
    if (!op) return -1;
    PyObject *done = PyObject_CallOneArg(server->executor, (PyObject *)op);
    bool taken = done || !op->job || op->running;
    if (!done && taken) q5py_server_error(server, NULL);
    if (!done && op->job && op->running) finish_behind(op);
    if (!taken) job_object_forget(op);
    Py_XDECREF(done);
    Py_DECREF(op);
    return taken ? 0 : -1;
}

int q5py_server_submit(q5py_server *server, q5py_flight *flight) {
    if (server->executor) return execute(server, flight);
    if (!server->threads || !server->poller) {
        PyErr_SetString(PyExc_RuntimeError, "the server has no threads for synchronous handlers");
        return -1;
    }
    return q5py_thread_pool_submit(server->threads, &flight->job, server->poller);
}

void q5py_server_post(q5py_server *server, q5py_job *job) {
    if (server->poller) {
        q5py_poller_post(server->poller, job);
        return;
    }
    PyObject *loop = server->memory_loop;
    PyObject *op = job_object_new(server->state, job, NULL);
    PyObject *finish = op ? PyObject_GetAttr(op, server->state->str_finish) : NULL;
    PyObject *done =
        finish && loop ? PyObject_CallMethod(loop, "call_soon_threadsafe", "O", finish) : NULL;
    Py_XDECREF(done);
    Py_XDECREF(finish);
    Py_XDECREF(op);
    if (!done) q5py_server_error(server, NULL);
}

/* ---- outcomes -------------------------------------------------------------------------------- */

/* The current exception becomes the reply; 1: first *ret_awaitable is to be awaited. */
static int excuse(q5py_flight *flight, PyObject **ret_awaitable) {
    q5py_server *server = flight->server;
    q5py_reply_clear(&flight->reply);
    q5py_reply_init(&flight->reply);
    if (flight->plan)
        return q5py_plan_fail(server->state, flight->plan, flight->x, flight->request,
                              &flight->reply, ret_awaitable);
    q5py_server_error(server, flight->request);
    flight->failed = true;
    return 0;
}

static void fail(q5py_flight *flight) {
    excuse(flight, NULL);
}

static void on_plan_task_end(q5py_task *task, void *arg);

/* On the loop's thread. True: the reply is ready. False: an asynchronous exception handler was
 * started, and the flight may have ended. */
static bool fail_or_await(q5py_flight *flight) {
    PyObject *awaitable = NULL;
    if (!excuse(flight, &awaitable)) return true;
    if (flight->task) {
        flight->task->on_end = on_plan_task_end;
        q5py_task_continue(flight->task, awaitable);
        Py_DECREF(awaitable);
        return false;
    }
    if (q5py_flight_start_task(flight, awaitable, on_plan_task_end) == 0) return false;
    fail(flight);
    return true;
}

/* The same where an exit is not for the client alone. */
static bool fail_on_loop(q5py_flight *flight) {
    if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt) ||
        PyErr_ExceptionMatches(PyExc_SystemExit)) {
        PyObject *exception = q5py_exception_take();
        q5py_exception_set(Py_NewRef(exception));
        q5py_server_raise(flight->server);
        q5py_exception_set(exception);
    }
    return fail_or_await(flight);
}

static void finish_on_loop(q5py_job *job) {
    q5py_flight *flight = Q5_CONTAINER_OF(job, q5py_flight, job);
    q5py_reply_send(flight);
}

static bool finish_in_thread(q5py_job *job) {
    return q5py_reply_send_here(Q5_CONTAINER_OF(job, q5py_flight, job));
}

/* ---- synchronous code ------------------------------------------------------------------------ */

static void run_in_thread(q5py_job *job) {
    q5py_flight *flight = Q5_CONTAINER_OF(job, q5py_flight, job);
    q5py_state *state = flight->server->state;
    if (flight->gone) return; /* while it was queued */
    if (PyContext_Enter(flight->context)) {
        fail(flight);
        return;
    }
    q5py_caches_restore(state);
    flight->body(flight);
    q5py_caches_keep(state);
    if (PyContext_Exit(flight->context)) PyErr_WriteUnraisable(flight->context);
}

static void submit(q5py_flight *flight) {
    flight->job.run = run_in_thread;
    flight->job.finish_here = finish_in_thread;
    flight->job.finish = finish_on_loop;
    /* An executor may end the flight within. */
    q5py_server *server = (q5py_server *)Py_NewRef((PyObject *)flight->server);
    int rc = q5py_server_submit(server, flight);
    Py_DECREF(server);
    if (rc == 0) return;
    fail(flight);
    q5py_reply_send(flight);
}

/* The task has entered the context. */
static PyObject *run_in_greenlet(void *arg) {
    q5py_flight *flight = arg;
    q5py_state *state = flight->server->state;
    q5py_caches_restore(state);
    flight->body(flight);
    q5py_caches_keep(state);
    Py_RETURN_NONE;
}

static void raise_outcome(q5py_task *task) {
    PyObject *exception = task->exception;
    PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
}

static void on_greenlet_end(q5py_task *task, void *arg) {
    q5py_flight *flight = arg;
    flight->in_greenlet = false;
    if (task->exception) {
        raise_outcome(task);
        fail(flight);
    }
    q5py_reply_send(flight);
}

static void start_greenlet(q5py_flight *flight, bool stands_still) {
    flight->in_greenlet = true;
    PyObject *call =
        q5py_sync_call_new(flight->server->state, run_in_greenlet, flight, stands_still);
    if (q5py_flight_start_task(flight, call, on_greenlet_end) == 0) return;
    flight->in_greenlet = false;
    fail(flight);
    q5py_reply_send(flight);
}

/* Runs body(flight), which makes the reply, where `sync` says; an executor goes before it. */
static void dispatch_sync(q5py_flight *flight, q5py_sync sync, void (*body)(q5py_flight *)) {
    flight->body = body;
    if (sync == Q5PY_SYNC_DEFAULT) sync = flight->server->sync_views;
    if (sync == Q5PY_SYNC_THREAD || flight->server->executor)
        submit(flight);
    else
        start_greenlet(flight, sync == Q5PY_SYNC_INLINE);
}

/* ---- typed handlers -------------------------------------------------------------------------- */

/* Encodes a result on the loop; true: a reply is ready, false: a coroutine was started for it. */
static bool encode_on_loop(q5py_flight *flight, PyObject *result) {
    PyObject *awaitable = NULL;
    q5py_state *state = flight->server->state;
    int rc = q5py_plan_encode(state, flight->plan, flight->x, result, &flight->reply, &awaitable);
    if (rc < 0) return fail_on_loop(flight);
    if (rc == 0) return true;
    q5py_task *task = flight->task;
    task->on_end = on_plan_task_end;
    q5py_task_continue(task, awaitable);
    Py_DECREF(awaitable);
    return false;
}

static void on_plan_task_end(q5py_task *task, void *arg) {
    q5py_flight *flight = arg;
    if (flight->gone) {
        q5py_flight_end(flight);
        return;
    }
    if (task->exception) {
        raise_outcome(task);
        if (!fail_or_await(flight)) return;
    } else if (!encode_on_loop(flight, task->result)) {
        return;
    }
    q5py_reply_send(flight);
}

int q5py_flight_start_task(q5py_flight *flight, PyObject *coro,
                           void (*on_end)(q5py_task *, void *)) {
    q5py_server *server = flight->server;
    PyObject *loop = coro ? q5py_server_loop(server) : NULL;
    q5py_task *task = loop ? q5py_task_new(server->state, loop, coro, flight->context) : NULL;
    Py_XDECREF(loop);
    Py_XDECREF(coro);
    if (!task) return -1;
    Py_XSETREF(flight->task, task);
    task->on_end = on_end;
    task->arg = flight;
    if (server->poller) q5py_poller_wake_thread(server->poller);
    /* The flight, and with it its references to task and server, may end within. */
    Py_INCREF(task);
    Py_INCREF(server);
    if (q5py_task_start(task)) q5py_server_raise(server);
    Py_DECREF(task);
    Py_DECREF(server);
    return 0;
}

/* The handler's result, or NULL with an exception. */
static PyObject *call_on_loop(q5py_flight *flight) {
    q5py_watchdog *watchdog = flight->server->state->watchdog;
    if (!watchdog || watchdog->poller != flight->server->poller)
        return q5py_plan_call(flight->plan, &flight->args);
    const q5py_flight *outer = q5py_watchdog_enter(watchdog, flight);
    PyObject *result = q5py_plan_call(flight->plan, &flight->args);
    if (watchdog == flight->server->state->watchdog) q5py_watchdog_leave(watchdog, outer);
    return result;
}

static void run_on_loop(q5py_flight *flight) {
    PyObject *result = NULL;
    if (flight->server->poller) q5py_poller_wake_thread(flight->server->poller);
    if (PyContext_Enter(flight->context) == 0) {
        result = call_on_loop(flight);
        PyObject *error = result ? NULL : q5py_exception_take();
        if (PyContext_Exit(flight->context)) PyErr_Clear();
        if (error) q5py_exception_set(error);
    }
    PyObject *awaitable = NULL;
    int rc = result ? q5py_plan_encode(flight->server->state, flight->plan, flight->x, result,
                                       &flight->reply, &awaitable)
                    : -1;
    Py_XDECREF(result);
    if (rc > 0 && q5py_flight_start_task(flight, awaitable, on_plan_task_end) == 0) return;
    if (rc == 0 || fail_on_loop(flight)) q5py_reply_send(flight);
}

/* The rest of a run of synchronous code: what must happen where the reply was made. */
static void settle(q5py_flight *flight) {
    q5py_reply *reply = &flight->reply;
    if (reply->stream && !reply->stream_is_async)
        q5py_feed_run(flight);
    else if (!reply->stream)
        q5py_reply_close_here(flight);
}

/* What Django's signals around a request do for its thread. */
static void tidy(q5py_server *server) {
    PyObject *done = server->tidy ? PyObject_CallNoArgs(server->tidy) : NULL;
    if (!done && server->tidy) q5py_server_error(server, NULL);
    Py_XDECREF(done);
}

static void plan_body(q5py_flight *flight) {
    PyObject *awaitable = NULL;
    tidy(flight->server);
    PyObject *result = q5py_plan_call(flight->plan, &flight->args);
    if (!result || q5py_plan_encode(flight->server->state, flight->plan, flight->x, result,
                                    &flight->reply, &awaitable))
        fail(flight);
    Py_XDECREF(awaitable);
    Py_XDECREF(result);
    settle(flight);
    tidy(flight->server);
}

static void dispatch_plan(q5py_flight *flight) {
    q5py_plan *plan = flight->plan;
    if (q5py_plan_bind(flight->server->state, plan, flight->x, NULL, &flight->args)) {
        if (fail_on_loop(flight)) q5py_reply_send(flight);
        return;
    }
    switch (plan->kind) {
    case Q5PY_ASYNC:
        if (q5py_flight_start_task(flight, q5py_plan_call(plan, &flight->args), on_plan_task_end) &&
            fail_on_loop(flight))
            q5py_reply_send(flight);
        break;
    case Q5PY_LOOP:
        run_on_loop(flight);
        break;
    case Q5PY_THREAD:
        dispatch_sync(flight, plan->sync, plan_body);
        break;
    }
}

/* ---- Django views ---------------------------------------------------------------------------- */

static void take_django_response(q5py_flight *flight, PyObject *response) {
    if (!response || q5py_reply_from_django(flight->server->state, response, &flight->reply))
        fail(flight);
}

static void django_body(q5py_flight *flight) {
    flight->request = q5py_request_new(flight->server->state, flight->x);
    PyObject *response =
        flight->request ? PyObject_CallOneArg(flight->server->django_sync, flight->request) : NULL;
    take_django_response(flight, response);
    Py_XDECREF(response);
    settle(flight);
    Py_CLEAR(flight->request);
}

static void on_django_task_end(q5py_task *task, void *arg) {
    q5py_flight *flight = arg;
    if (flight->gone && task->exception) {
        q5py_flight_end(flight);
        return;
    }
    /* A response that came all the same is not sent, but must be closed. */
    if (task->exception) raise_outcome(task);
    take_django_response(flight, task->exception ? NULL : task->result);
    q5py_reply_send(flight);
}

static void dispatch_django_async(q5py_flight *flight) {
    q5py_server *server = flight->server;
    flight->request = q5py_request_new(server->state, flight->x);
    PyObject *coro =
        flight->request ? PyObject_CallOneArg(server->django_async, flight->request) : NULL;
    if (q5py_flight_start_task(flight, coro, on_django_task_end) == 0) return;
    if (fail_on_loop(flight)) q5py_reply_send(flight);
}

void q5py_dispatch(q5py_server *server, q5_exchange *x) {
    q5py_flight *flight = flight_begin(server, x);
    if (!flight) {
        q5_response_problem(x, 503, q5_slice_make(NULL, 0));
        return;
    }
    PyObject *route = x->match.route;
    if (route && Py_IS_TYPE(route, server->state->plan_type)) {
        flight->plan = (q5py_plan *)route;
        if (server->state->watch_request) q5py_watch_request(flight);
        dispatch_plan(flight);
        return;
    }
    if (server->state->watch_request) q5py_watch_request(flight);
    q5py_sync sync = route ? (q5py_sync)PyLong_AsLong(route) : Q5PY_SYNC_DEFAULT;
    if (route && sync == Q5PY_SYNC_DEFAULT && server->django_async)
        dispatch_django_async(flight);
    else
        dispatch_sync(flight, sync, django_body);
}
