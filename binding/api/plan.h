/* A plan: what C does for one typed route. Built in Python at import time, read only afterwards.
 *
 * Way of a request: q5py_plan_bind on the loop's thread; the handler is called where plan->kind
 * says; q5py_plan_encode on that same thread; the reply is written by the loop's thread. Whenever
 * one of them fails with an exception, q5py_plan_fail turns it into a reply. */
#ifndef Q5PY_PLAN_H
#define Q5PY_PLAN_H

#include "q5py.h"
#include "server/reply.h"

typedef enum q5py_kind {
    Q5PY_ASYNC, /* `async def`: stepped on the loop */
    Q5PY_LOOP,  /* `def` marked @in_loop: called on the loop */
    Q5PY_THREAD /* `def`: called where plan->sync says */
} q5py_kind;

/* Where synchronous code runs. */
typedef enum q5py_sync {
    Q5PY_SYNC_DEFAULT,  /* as the server says */
    Q5PY_SYNC_THREAD,   /* in the thread pool */
    Q5PY_SYNC_GREENLET, /* on the loop's thread, switched away from when it waits */
    Q5PY_SYNC_INLINE    /* on the loop's thread, which stands still meanwhile */
} q5py_sync;

#define Q5PY_ARGS_MAX 64

/* Arguments of one call: owned references, in the order of plan->kwnames behind npos positional
 * ones. Slot 0 is scratch for vectorcall's PY_VECTORCALL_ARGUMENTS_OFFSET. */
typedef struct q5py_args {
    PyObject **slots; /* from the exchange's arena */
    Py_ssize_t count;
} q5py_args;

struct q5py_pass; /* guard.h */

typedef struct q5py_plan {
    PyObject_HEAD q5py_kind kind;
    q5py_sync sync;
    uint64_t body_max;     /* bytes; 0: the server's default */
    uint32_t route_number; /* of its path, in the server's metrics; 0: of none */
    bool streams_body;     /* the handler takes the body while it comes */
    bool accepts_body;     /* a body may be sent; else it is read within the limit and ignored */
    PyObject *handler;
    struct q5py_websocket_plan *websocket; /* owned; NULL: a plain route */
    struct q5py_plan_data *data;           /* plan.c's own */
} q5py_plan;

/* Extracts and converts parameters and body of the exchange (see x->match, x->head, x->body,
 * x->spool) into arguments; a handler that asks for the request gets the pass's. 0, or -1 with an
 * exception (all faults in one). */
int q5py_plan_bind(struct q5py_pass *pass, q5py_args *ret_args);
/* Calls the handler; consumes args in every case. A new reference (for ASYNC: the coroutine), or
 * NULL with an exception. */
PyObject *q5py_plan_call(q5py_plan *plan, q5py_args *args);
/* Drops args that were bound but not called. */
void q5py_args_clear(q5py_args *args);
/* Turns the handler's result into a reply. 0; -1 with an exception; 1: the result must first be
 * awaited (an async evaluation, say of a QuerySet): *ret_awaitable is a new reference to a
 * coroutine whose result is to be encoded in its turn. Plans of kind THREAD never answer 1. */
int q5py_plan_encode(q5py_state *state, q5py_plan *plan, q5_exchange *x, PyObject *result,
                     q5py_reply *reply, PyObject **ret_awaitable);
/* Takes the current exception and lets the API's exception handlers answer it; leaves no exception.
 * 0: the reply is filled in (500 as the last resort). 1: as for q5py_plan_encode, of an
 * asynchronous exception handler; never where ret_awaitable is NULL. */
int q5py_plan_fail(struct q5py_pass *pass, q5py_reply *reply, PyObject **ret_awaitable);

#endif
