/* A request between dispatch and the end of its reply: what it holds, the task that works for it,
 * and whom its errors are told. */
#include "server.h"

#include "convert.h"
#include "loop/watchdog.h"
#include "query/watch.h"
#include "streams/after.h"
#include "streams/body_source.h"
#include "telemetry/trace.h"
#include "websocket/websocket.h"

q5py_flight *q5py_flight_begin(q5py_server *server, q5_exchange *x) {
    q5py_flight *flight = q5_arena_alloc(&x->arena, sizeof(*flight));
    PyObject *context = flight ? PyContext_Copy(server->context) : NULL;
    if (!context) {
        PyErr_Clear();
        return NULL;
    }
    memset(flight, 0, offsetof(q5py_flight, reply));
    flight->context = context;
    flight->server = (q5py_server *)Py_NewRef(server);
    flight->x = q5_exchange_ref(x);
    q5py_reply_init(&flight->reply);
    x->user = flight;
    server->flights++;
    if (server->tracing && q5py_trace_tell(flight)) PyErr_WriteUnraisable((PyObject *)server);
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
    q5py_body_source_detach(flight);
    q5py_after_start(flight);
    q5py_websocket_detach(flight);
    q5py_args_clear(&flight->args);
    q5py_pass_clear(&flight->pass);
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
    q5py_body_source_wake(flight); /* a thread may wait for more of it */
    if (flight->socket && q5py_websocket_gone(flight)) return;
    if (flight->feed)
        q5py_feed_wake(flight);
    else if (flight->subscription)
        q5py_subscription_gone(flight);
    else if (flight->task && !flight->in_greenlet)
        q5py_task_cancel(flight->task, NULL);
}

PyObject *q5py_flight_subject(const q5py_flight *flight) {
    PyObject *subject = flight->plan ? flight->plan->handler : flight->request;
    return Py_NewRef(subject ? subject : Py_None);
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
