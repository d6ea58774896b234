/* Counting requests (q5/metrics.h), and answering who scrapes.
 *
 *   metrics.c        _quintette.Metrics: the memory that the processes of a server share
 *   server_metrics.c a server's part: what it counts, and its /metrics */
#ifndef Q5PY_METRICS_H
#define Q5PY_METRICS_H

#include "server/server.h"

#include "q5/address.h"
#include "q5/metrics.h"

/* Routes that are none of the project's. */
enum { Q5PY_ROUTE_NONE, Q5PY_ROUTE_STATIC, Q5PY_ROUTE_METRICS };

struct q5py_metrics {
    PyObject_HEAD q5_metrics metrics;
    size_t size;        /* of the mapping */
    PyObject *names;    /* owned tuple of str: what `routes` point into */
    q5_slice *routes;   /* owned */
    PyObject *patterns; /* owned dict: URLPattern -> number; None: it stands at several places */
    PyObject *by_text;  /* owned dict: ResolverMatch.route -> number */
    uint32_t slot;      /* this process's */
    bool claimed;
    q5_metrics_events told; /* what this process has added so far, of its server's own numbers */
};

/* Adds what has happened since the last call, and says what there is now. */
void q5py_metrics_publish(q5py_server *server);

/* ---- server_metrics.c */
/* Server.measure(): see server.c. */
PyObject *q5py_server_measure(PyObject *server, PyObject *args);
void q5py_scrape_free(struct q5py_scrape *scrape);
/* True: the request was for the metrics' path, and is answered. */
bool q5py_scrape_serve(q5py_server *server, q5_exchange *x);
/* The name of the request's route, NULL where it is none of the project's. Borrowed. */
PyObject *q5py_metrics_route(q5py_server *server, const q5_exchange *x);
/* In on_done. duration_usec 0: not known. */
void q5py_metrics_done(q5py_server *server, q5_exchange *x, uint64_t duration_usec);
/* A Django view's request has its response: its route is noted. */
void q5py_metrics_resolved(q5py_flight *flight);

#endif
