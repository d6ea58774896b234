/* Guards: what stands between a typed route and its handler (authentication, limits, headers,
 * compression, ...). A plan has an array of them, outermost first. One code serves our own server
 * and other hosts: guards see an exchange, a request and a reply, never a socket.
 *
 * guard.c: the base type, and guards in Python;  guard_run.c: a request's way through them. */
#ifndef Q5PY_GUARD_H
#define Q5PY_GUARD_H

#include "api/plan.h"
#include "q5py.h"
#include "server/reply.h"

#define Q5PY_GUARDS_MAX 32

typedef struct q5py_guard q5py_guard;

/* One request on its way through the guards of its route. Lives in the flight or the Call. */
typedef struct q5py_pass {
    q5py_state *state;
    q5py_plan *plan;   /* borrowed */
    q5_exchange *x;    /* borrowed */
    PyObject *request; /* owned or NULL: what handler, guards and error handlers share */
    PyObject *auth;    /* owned or NULL: what the authentication guard found out about who asks */
    PyObject *user;    /* owned or NULL: whom it takes them for; None where nobody */
    PyObject *after; /* owned or NULL: work for behind the response, where the handler takes any */
    struct q5py_auth_guard *auth_way; /* borrowed: of several that stand for one, that at work */
    q5_slice credentials, credentials_name; /* what it has read, of the head, and under which name;
                                               empty: no credentials of the request's own */
    PyObject **notes; /* owned or NULL each: what a guard keeps from before() to after(); one per
                         guard of the plan, in the exchange's arena. NULL: no guards */
    /* What a StackGuard has promised to the request: see q5py_request_promise. */
    unsigned lazy;
    PyObject *session_store; /* borrowed or NULL */
    uint8_t count;           /* guards of the plan */
    uint8_t passed;          /* guards whose before() is through: those whose after() runs */
    bool may_block;          /* this is a thread or greenlet of the request's own */
    bool is_repeated;        /* the reply is one that was made for the same asker before */
} q5py_pass;

/* What before(), resume() and after() say. -1 is an exception, answered as one of the handler's. */
enum {
    Q5PY_GUARD_GO = 0,     /* on to the next */
    Q5PY_GUARD_ANSWER = 1, /* before(): the reply is filled in, and the handler is not called */
    Q5PY_GUARD_WAIT = 2    /* *ret_awaitable is a new reference: resume() gets its result */
};

/* The head of every guard type's objects. NULL functions do nothing. All are called under the GIL,
 * on the loop's thread but for after() of a plan of kind THREAD, which runs where the handler ran
 * (pass->may_block). Objects are shared by all requests and threads. */
struct q5py_guard {
    PyObject_HEAD uint8_t index; /* among the plan's: of pass->notes */
    bool in_context; /* its functions are the project's Python, to run in the request's context */
    bool preflights; /* before() answers each q5py_cors_is_preflight: they may be sent here */
    int (*before)(q5py_guard *self, q5py_pass *pass, q5py_reply *reply, PyObject **ret_awaitable);
    /* NULL: a result of None is GO, any other is an answer as api/answer.py has them. */
    int (*resume)(q5py_guard *self, q5py_pass *pass, PyObject *result, q5py_reply *reply,
                  PyObject **ret_awaitable);
    /* The reply is there, whoever made it: the handler, an error or an inner guard. In the
     * opposite order. WAIT is for !pass->may_block only; its result is ignored, but a guard that
     * counts itself among pass->passed again is called once more. */
    int (*after)(q5py_guard *self, q5py_pass *pass, q5py_reply *reply, PyObject **ret_awaitable);
};

/* RFC 9110, 9.2.1, and QUERY by its registry. */
static inline bool q5py_is_safe(const q5_head *head) {
    return head->method_id == Q5_METHOD_GET || head->method_id == Q5_METHOD_HEAD ||
           head->method_id == Q5_METHOD_OPTIONS || head->method_id == Q5_METHOD_TRACE ||
           head->method_id == Q5_METHOD_QUERY;
}

/* ---- guard.c */
/* Reads the plan's tuple of guards, each of which must be new. 0, or -1 with an exception. */
int q5py_guards_read(struct q5py_plan_data *data, PyObject *guards);
/* Common to the types derived from Guard: visits and drops nothing but the type. */
int q5py_guard_traverse(PyObject *self, visitproc visit, void *arg);
/* Makes `spec` a type derived from Guard and adds it to the module. 0, or -1 with an exception. */
int q5py_guard_add_type(PyObject *module, q5py_state *state, PyType_Spec *spec,
                        PyTypeObject **ret_type);
int q5py_init_guard(PyObject *module, q5py_state *state);
/* guard_stack.c */
int q5py_init_stack(PyObject *module, q5py_state *state);

/* ---- guard_run.c */
/* Begins the way of a request; `request` (NULL: made when needed) is taken a reference of. 0, or -1
 * with an exception. */
int q5py_pass_init(q5py_pass *pass, q5py_state *state, q5py_plan *plan, q5_exchange *x,
                   PyObject *request);
void q5py_pass_clear(q5py_pass *pass);
/* GO, ANSWER, WAIT or -1, of all guards that are left. */
int q5py_pass_before(q5py_pass *pass, q5py_reply *reply, PyObject **ret_awaitable);
/* The same, from the guard on that waited: `result` is what it got. */
int q5py_pass_resume(q5py_pass *pass, PyObject *result, q5py_reply *reply,
                     PyObject **ret_awaitable);
/* Of the guards that were passed. GO or WAIT (then to be called again); a guard that raises has
 * made the reply an error. */
int q5py_pass_after(q5py_pass *pass, q5py_reply *reply, PyObject **ret_awaitable);
/* For after(): finish(request, status, fields, may_block) adds to the list of (name, value), which
 * becomes the guard's note and goes into the reply; GO. Or it gives an awaitable behind which it
 * has: WAIT, and the guard is called once more, to merge its note. -1 with an exception. */
int q5py_pass_finish(q5py_guard *guard, q5py_pass *pass, PyObject *finish, q5py_reply *reply,
                     PyObject **ret_awaitable);
/* The request, borrowed: made if there is none yet. NULL with an exception. */
PyObject *q5py_pass_request(q5py_pass *pass);
/* The client's address as text without its port: 0; "" where the host does not know. -1 with an
 * exception. */
int q5py_pass_client(q5py_pass *pass, char host[46]);

#endif
