/* From a complete request to a reply: typed handlers on the loop or in a thread, Django views in a
 * thread or, when they are async, on the loop. All callbacks come with the GIL held and must leave
 * no exception behind. */
#include "server.h"

#include "api/plan_data.h"
#include "convert.h"
#include "django/django.h"
#include "django/request.h"
#include "greenlets/sync_call.h"
#include "loop/watchdog.h"
#include "middleware/middleware.h"
#include "query/watch.h"
#include "telemetry/metrics.h"
#include "websocket/websocket.h"

/* ---- outcomes -------------------------------------------------------------------------------- */

/* What is logged about an error belongs to its request. False: the calling code is in the context
 * already. Keeps the current exception. */
static bool enter(q5py_flight *flight) {
    PyObject *exception = q5py_exception_take();
    bool entered = PyContext_Enter(flight->context) == 0;
    if (!entered) PyErr_Clear();
    if (exception) q5py_exception_set(exception);
    return entered;
}

/* The current exception becomes the reply; 1: first *ret_awaitable is to be awaited. */
static int excuse(q5py_flight *flight, PyObject **ret_awaitable) {
    q5py_server *server = flight->server;
    int rc = 0;
    q5py_reply_clear(&flight->reply);
    q5py_reply_init(&flight->reply);
    bool entered = enter(flight);
    if (flight->plan) {
        rc = q5py_plan_fail(&flight->pass, &flight->reply, ret_awaitable);
    } else {
        q5py_server_error(server, flight->request);
        flight->failed = true;
    }
    if (entered && PyContext_Exit(flight->context)) PyErr_WriteUnraisable(flight->context);
    return rc;
}

static void fail(q5py_flight *flight) {
    excuse(flight, NULL);
}

/* Runs a coroutine (reference taken over) in the flight's task, whose end called us, or in a first
 * one. 0, or -1 with an exception. The flight may have ended. */
static int run_coroutine(q5py_flight *flight, PyObject *coro, void (*on_end)(q5py_task *, void *)) {
    if (!flight->task || !coro) return q5py_flight_start_task(flight, coro, on_end);
    flight->task->on_end = on_end;
    q5py_task_continue(flight->task, coro);
    Py_DECREF(coro);
    return 0;
}

static void on_plan_task_end(q5py_task *task, void *arg);

/* On the loop's thread. True: the reply is ready. False: an asynchronous exception handler was
 * started, and the flight may have ended. */
static bool fail_or_await(q5py_flight *flight) {
    PyObject *awaitable = NULL;
    if (!excuse(flight, &awaitable)) return true;
    if (run_coroutine(flight, awaitable, on_plan_task_end) == 0) return false;
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

/* A guard's task, whose end we are called from, is still in the context, which another thread
 * cannot enter meanwhile: it gets a copy. */
static int leave_context(q5py_flight *flight) {
    if (!flight->task) return 0;
    PyObject *copy = PyContext_Copy(flight->context);
    if (!copy) return -1;
    Py_SETREF(flight->context, copy);
    return 0;
}

static void submit(q5py_flight *flight) {
    flight->job.run = run_in_thread;
    flight->job.finish_here = finish_in_thread;
    flight->job.finish = finish_on_loop;
    /* An executor may end the flight within. */
    q5py_server *server = (q5py_server *)Py_NewRef((PyObject *)flight->server);
    int rc = leave_context(flight) ? -1 : q5py_server_submit(server, flight);
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
    if (run_coroutine(flight, call, on_greenlet_end) == 0) return;
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

/* Guards of the project's run in the request's context. At the end of a task we are in it. */
static bool enter_context(q5py_flight *flight) {
    if (flight->task || !flight->plan->data->guards_in_context) return false;
    if (PyContext_Enter(flight->context) == 0) return true;
    PyErr_Clear();
    return false;
}

static void exit_context(q5py_flight *flight, bool entered) {
    if (!entered) return;
    PyObject *error = q5py_exception_take();
    if (PyContext_Exit(flight->context)) PyErr_Clear();
    if (error) q5py_exception_set(error);
}

static void on_after_end(q5py_task *task, void *arg);

/* On the loop's thread: the guards' turn with the reply, then it is sent. */
static void send_plan(q5py_flight *flight) {
    PyObject *awaitable = NULL;
    bool entered = enter_context(flight);
    int rc = q5py_pass_after(&flight->pass, &flight->reply, &awaitable);
    exit_context(flight, entered);
    if (rc == Q5PY_GUARD_WAIT) {
        if (run_coroutine(flight, awaitable, on_after_end) == 0) return;
        fail(flight);
    }
    q5py_reply_send(flight);
}

static void on_after_end(q5py_task *task, void *arg) {
    q5py_flight *flight = arg;
    if (task->exception) {
        raise_outcome(task);
        fail(flight);
    }
    send_plan(flight);
}

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
    if (flight->socket && q5py_websocket_handler_ended(flight, task)) return;
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
    send_plan(flight);
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
    if (flight->task) { /* at its end, in the context */
        result = call_on_loop(flight);
    } else if (PyContext_Enter(flight->context) == 0) {
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
    if (rc > 0 && run_coroutine(flight, awaitable, on_plan_task_end) == 0) return;
    if (rc == 0 || fail_on_loop(flight)) send_plan(flight);
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

/* The handler in its thread. A language that guards have chosen belongs to theirs. */
static PyObject *call_here(q5py_flight *flight) {
    q5py_state *state = flight->server->state;
    if (flight->plan->data->guards_in_context && state->django && q5py_language_carry(state))
        return NULL;
    return q5py_plan_call(flight->plan, &flight->args);
}

static void plan_body(q5py_flight *flight) {
    PyObject *awaitable = NULL;
    tidy(flight->server);
    PyObject *result = call_here(flight);
    if (!result || q5py_plan_encode(flight->server->state, flight->plan, flight->x, result,
                                    &flight->reply, &awaitable))
        fail(flight);
    Py_XDECREF(awaitable);
    Py_XDECREF(result);
    flight->pass.may_block = true;
    q5py_pass_after(&flight->pass, &flight->reply, NULL);
    settle(flight);
    tidy(flight->server);
}

/* The guards are through. */
static void call_plan(q5py_flight *flight) {
    q5py_plan *plan = flight->plan;
    if (q5py_plan_bind(&flight->pass, &flight->args)) {
        if (fail_on_loop(flight)) send_plan(flight);
        return;
    }
    switch (plan->kind) {
    case Q5PY_ASYNC: {
        PyObject *coro = q5py_plan_call(plan, &flight->args);
        if ((!coro || run_coroutine(flight, coro, on_plan_task_end)) && fail_on_loop(flight))
            send_plan(flight);
        break;
    }
    case Q5PY_LOOP:
        run_on_loop(flight);
        break;
    case Q5PY_THREAD:
        dispatch_sync(flight, plan->sync, plan_body);
        break;
    }
}

static void on_before_end(q5py_task *task, void *arg);

/* What q5py_pass_before or _resume has said. */
static void go_on(q5py_flight *flight, int rc, PyObject *awaitable) {
    if (rc == Q5PY_GUARD_WAIT && run_coroutine(flight, awaitable, on_before_end)) rc = -1;
    if (rc == Q5PY_GUARD_GO)
        call_plan(flight);
    else if (rc == Q5PY_GUARD_ANSWER || (rc < 0 && fail_on_loop(flight)))
        send_plan(flight);
}

static void on_before_end(q5py_task *task, void *arg) {
    q5py_flight *flight = arg;
    if (flight->gone) {
        q5py_flight_end(flight);
        return;
    }
    PyObject *awaitable = NULL;
    int rc = -1;
    if (task->exception)
        raise_outcome(task);
    else
        rc = q5py_pass_resume(&flight->pass, task->result, &flight->reply, &awaitable);
    go_on(flight, rc, awaitable);
}

static void dispatch_plan(q5py_flight *flight) {
    PyObject *awaitable = NULL;
    int rc = q5py_pass_init(&flight->pass, flight->server->state, flight->plan, flight->x, NULL);
    if (rc == 0 && flight->plan->websocket) rc = q5py_websocket_check(flight);
    if (rc == 0) {
        bool entered = enter_context(flight);
        rc = q5py_pass_before(&flight->pass, &flight->reply, &awaitable);
        exit_context(flight, entered);
    }
    go_on(flight, rc, awaitable);
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
    if (flight->server->metrics) q5py_metrics_resolved(flight);
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
    if (flight->server->metrics) q5py_metrics_resolved(flight);
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
    q5py_flight *flight = q5py_flight_begin(server, x);
    if (!flight) {
        q5_response_problem(x, 503, q5_slice_make(NULL, 0));
        return;
    }
    PyObject *route = x->match.route;
    if (route && Py_IS_TYPE(route, server->state->plan_type)) {
        flight->plan = (q5py_plan *)route;
        /* A WebSocket's messages would all count as one request's. */
        if (server->state->watch_request && !flight->plan->websocket) q5py_watch_request(flight);
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
