/* _quintette.Server and the requests in flight.
 *
 *   server.c         the type;  server_limits.c: its limits
 *   server_app.c     what the library and the poller call
 *   flight.c         a request under way
 *   job.c            synchronous code in other threads
 *   dispatch.c       from a complete request to a reply
 *   reply.c          from a reply to the response
 *   stream.c         bodies in pieces;  feed.c: from threads, pump.c: from coroutines */
#ifndef Q5PY_SERVER_H
#define Q5PY_SERVER_H

#include "guards/guard.h"
#include "api/plan.h"
#include "loop/poller.h"
#include "reply.h"
#include "loop/task.h"
#include "loop/threads.h"

#include "q5/access_log.h"
#include "q5/ws.h"
#include "q5/line_sink.h"

typedef struct q5py_statics q5py_statics;
typedef struct q5py_hosts q5py_hosts;
typedef struct q5py_metrics q5py_metrics;
typedef struct q5py_proxies q5py_proxies;

typedef struct q5py_server {
    PyObject_HEAD q5py_state *state;
    q5py_poller *poller; /* owned; NULL: connections in memory only */
    q5_server *server;
    q5_app app;
    q5py_poll_hook hook;
    PyObject *router_object; /* owned, keeps router and its plans alive; NULL: none */
    const q5_router *router;
    PyObject *django_sync, *django_async; /* owned or NULL */
    PyObject *executor;                   /* owned or NULL: instead of threads */
    q5py_thread_pool *threads;            /* owned or NULL */
    q5py_sync sync_views;                 /* never DEFAULT */
    PyObject *on_error;                   /* owned or NULL: on_error(exception, request) */
    PyObject *tidy;                       /* owned or NULL: tidy(), around handlers in threads */
    PyObject *on_exhausted;               /* owned or NULL: on_exhausted(errno), see q5/server.h */
    PyObject *memory_loop;                /* owned or NULL: of connections in memory */
    PyObject *context;                    /* owned: copied for each request */
    q5_ws_config ws_config;
    bool compresses;                 /* WebSockets may be compressed */
    struct q5_ws_deflater *deflater; /* owned or NULL: of all WebSockets */
    q5py_hosts *hosts;               /* owned or NULL: typed routes answer any */
    q5py_proxies *proxies;           /* owned or NULL: peers ask for themselves */
    q5py_statics *statics;           /* owned or NULL */
    q5py_metrics *metrics;           /* owned or NULL: see metrics.h */
    struct q5py_scrape *scrape;      /* owned or NULL; with metrics */
    bool counts;                     /* its requests are counted in metrics */
    struct q5py_spans *spans;        /* owned or NULL; with tracing: see spans.h */
    struct q5py_tracing *tracing;    /* owned or NULL: see trace.h */
    q5_access_style log_style;
    q5_line_sink log_sink;
    int32_t log_utc_offset;
    q5_buf log;
    PyObject *event_streams; /* borrowed: the first Stream of events */
    PyObject *unsent;        /* borrowed: the first Stream with pieces that are yet to be written */
    struct q5py_station *stations; /* of the channels that have subscriptions here */
    uint32_t flights;
    bool draining;
    bool closed;      /* `server` stays until the last request and connection in memory have gone */
    bool abort_soon;  /* abort() was called by a handler */
    PyObject *raised; /* owned or NULL: without a poller, what feed() and resume() must raise */
} q5py_server;

/* One request between dispatch and the end of its reply. Lives in the exchange's arena and holds a
 * reference to the exchange, so it ends with q5py_flight_end and nothing else. */
typedef struct q5py_flight q5py_flight;
struct q5py_flight {
    q5py_job job;                  /* run: in a worker; finish: on the loop */
    q5py_server *server;           /* owned */
    q5_exchange *x;                /* one reference */
    q5py_plan *plan;               /* kept by the router; NULL: a Django view */
    PyObject *context;             /* owned */
    PyObject *request;             /* owned or NULL */
    q5py_task *task;               /* owned while a coroutine runs, else NULL */
    PyObject *drained;             /* owned future of an async stream that waits, or NULL */
    PyObject *stream;              /* owned Stream of an async body, or NULL */
    struct q5py_websocket *socket; /* owned; NULL: none, or yet to be made */
    q5py_pass pass;                /* of a plan */
    q5py_args args;
    void (*body)(q5py_flight *flight); /* of synchronous code: makes the reply */
    PyObject *watched;                 /* owned or NULL: see watch.h */
    bool gone;                         /* the client has left: the reply is dropped */
    bool ending;                       /* its stream of events is cancelled for a drain */
    bool in_greenlet; /* task is synchronous code, which is not cancelled when the client leaves */
    bool failed;      /* nobody made a reply: the answer is a bare problem document of 500 */
    PyObject *body_source; /* owned BodySource of a body that is streamed, or NULL */
    struct q5py_subscription *subscription; /* the stream, while a channel writes it; or NULL */
    /* A body that a worker thread produces; see feed.c. */
    struct q5py_feed *feed; /* owned or NULL */
    q5py_reply reply;       /* last: it is not cleared as the rest is */
};

/* ---- server_limits.c */
/* Takes over into *config, and of WebSockets into the server, the limits of a dict. 0, or -1 with
 * an exception. */
int q5py_server_limits(PyObject *given, q5_server_config *config, q5py_server *server);

/* ---- server_app.c */
/* Sets server->app, server->hook and the callbacks of *config. */
void q5py_server_set_callbacks(q5py_server *server, q5_server_config *config);
/* Lines are written once per turn of the loop, or of the threads that stand in for it. A log that
 * is not taken loses lines, never time. */
void q5py_server_flush_log(q5py_server *server);

/* ---- dispatch.c */
void q5py_dispatch(q5py_server *server, q5_exchange *x);

/* ---- flight.c */
/* Begins the exchange's flight. NULL, without an exception: out of memory. */
q5py_flight *q5py_flight_begin(q5py_server *server, q5_exchange *x);
/* Runs a coroutine (reference taken over) as the flight's task. 0, or -1 with an exception. */
int q5py_flight_start_task(q5py_flight *flight, PyObject *coro,
                           void (*on_end)(q5py_task *task, void *flight));
/* The client has left: whatever works for the flight is told. */
void q5py_flight_gone(q5py_flight *flight);
/* Frees everything the flight holds, and with its exchange itself. */
void q5py_flight_end(q5py_flight *flight);
/* New reference to the loop that requests run on, or NULL with an exception. */
PyObject *q5py_server_loop(q5py_server *server);
/* Takes the current exception (KeyboardInterrupt, SystemExit): whoever runs the loop gets it. */
void q5py_server_raise(q5py_server *server);
/* Reports the current exception to on_error (else as unraisable) and clears it. */
void q5py_server_error(q5py_server *server, PyObject *request);

/* ---- job.c */
/* Runs flight->job in the pool or executor; 0 or -1 with an exception. */
int q5py_server_submit(q5py_server *server, q5py_flight *flight);
/* From any thread, under the GIL: job->finish is to be called on the loop's thread. */
void q5py_server_post(q5py_server *server, q5py_job *job);
/* The job is about to be freed: what was posted of it, or is held by an executor, does nothing. */
void q5py_job_forget(q5py_server *server, q5py_job *job);
int q5py_init_job(PyObject *module, q5py_state *state);

/* ---- memory.c */
/* Server.memory_connection(). */
PyObject *q5py_memory_connection(PyObject *server, PyObject *unused);

/* ---- reply.c: on the loop's thread, where nothing else is said */
/* Sends flight->reply and ends the flight, now or when the stream has ended. */
void q5py_reply_send(q5py_flight *flight);
/* The same in a worker thread while the loop's is inside its wait. False: it is the loop's to do.
 */
bool q5py_reply_send_here(q5py_flight *flight);
/* Status, lines and fields. 0, or -1: nothing was begun and an exception is set. */
int q5py_reply_start(q5py_flight *flight);
/* Calls reply->closer.close() on the loop's behalf and drops it. */
void q5py_reply_close(q5py_flight *flight);
/* The same in a worker thread, at once. */
void q5py_reply_close_here(q5py_flight *flight);

/* ---- feed.c */
/* In the worker or greenlet, behind a reply with a sync iterator: feeds the response until the
 * iterator ends or the client leaves, then closes. */
void q5py_feed_run(q5py_flight *flight);
/* On the loop: the response may go on, or the client has left. */
void q5py_feed_wake(q5py_flight *flight);
/* On the loop, once the worker is done: writes what is left, should the loop not have come to it.
 */
void q5py_feed_finish(q5py_flight *flight);
void q5py_feed_free(q5py_flight *flight);

/* ---- pump.c */
/* A function of quintette._streams: new reference, or NULL with an exception. */
PyObject *q5py_streams_attribute(const char *name);
/* On the loop: begins the body and starts the coroutine that pumps an async iterator. */
void q5py_pump_start(q5py_flight *flight);
/* The Stream object, if any, outlives the flight: it must know. */
void q5py_stream_detach(q5py_flight *flight);
/* On the loop: the response may go on. */
void q5py_pump_wake(q5py_flight *flight);
/* On the loop: ends the streams of events, by cancelling what makes them. */
void q5py_pumps_drain(q5py_server *server);
/* On the loop, before it waits: writes what streams have collected. */
void q5py_pump_flush(q5py_server *server);

/* ---- subscription.c, on the loop */
/* True: the body of the reply, which has begun, is a Subscription, and is taken care of. */
bool q5py_subscription_start(q5py_flight *flight);
/* Where flight->subscription is set: the response may go on, or the client has left. The latter
 * ends the flight. */
void q5py_subscription_drained(q5py_flight *flight);
void q5py_subscription_gone(q5py_flight *flight);
/* Ends the responses that are subscriptions: their clients connect again, to another worker. */
void q5py_stations_close(q5py_server *server);

/* ---- hosts.c */
/* Takes patterns in the spelling of ALLOWED_HOSTS; 0 or -1 with an exception. */
int q5py_hosts_set(q5py_server *server, PyObject *list, bool forwarded);
void q5py_hosts_free(q5py_hosts *hosts);
/* The host that a request is for. */
q5_slice q5py_hosts_name(const q5py_server *server, const q5_exchange *x);
/* True: the request's host is none of them and 400 was answered. Only with server->hosts. */
bool q5py_hosts_refuse(q5py_server *server, q5_exchange *x);

/* ---- static.c */
/* Takes (prefix, root, options) triples; 0 or -1 with an exception. */
int q5py_statics_set(q5py_server *server, PyObject *list);
void q5py_statics_free(q5py_statics *statics);
/* True: the request was below one of the prefixes and is answered. */
bool q5py_statics_serve(q5py_server *server, q5_exchange *x);

#endif
