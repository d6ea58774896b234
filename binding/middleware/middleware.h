/* Django's own middleware in C. A segment is a run of neighbours in settings.MIDDLEWARE that are
 * Django's and unchanged: one callable in the place of their instances and of the closures around
 * each. A step does natively what its middleware does for nearly every request, and calls Django's
 * own method, on Django's own instance, for all else.
 *
 *   middleware_segment.c   the type, the order of things, exceptions
 *   middleware_request.c   process_request;  middleware_response.c: process_response
 *   middleware_fields.c    the fields of a response
 *   middleware_locale.c    both of LocaleMiddleware
 *   middleware_gzip.c      GZipMiddleware;  middleware_conditional.c: ConditionalGetMiddleware
 *   middleware_view.c      CsrfViewMiddleware.process_view
 *   middleware_wire.c      what is known of a request without asking Python
 *
 * What process_request() puts on the request is made when it is asked for: Request has descriptors
 * for these names (quintette/http/lazy.py), which look at q5py_request.lazy. */
#ifndef Q5PY_MIDDLEWARE_H
#define Q5PY_MIDDLEWARE_H

#include "django/django.h"
#include "django/request.h"
#include "server/reply.h"

#define Q5PY_STEPS_MAX 64

/* The numbers are shared with python/quintette/server/middleware.py. */
typedef enum q5py_step_kind {
    Q5PY_STEP_SECURITY,
    Q5PY_STEP_SESSION,
    Q5PY_STEP_COMMON,
    Q5PY_STEP_CSRF,
    Q5PY_STEP_AUTH,
    Q5PY_STEP_MESSAGES,
    Q5PY_STEP_FRAME,
    Q5PY_STEP_GZIP,
    Q5PY_STEP_BROKEN_LINKS,
    Q5PY_STEP_LOCALE,
    Q5PY_STEP_CONDITIONAL,
    Q5PY_STEP_CSP,
    Q5PY_STEP_REMOTE_USER,
    Q5PY_STEP_VIEW_ONLY, /* neither process_request nor process_response */
    Q5PY_STEP_KINDS
} q5py_step_kind;

/* Bits of q5py_request.lazy: attributes that are made when somebody asks. */
enum {
    Q5PY_LAZY_SESSION = 1,
    Q5PY_LAZY_USER = 2,
    Q5PY_LAZY_MESSAGES = 4,
    Q5PY_LAZY_CSRF = 8, /* CsrfViewMiddleware.process_request() waits for META */
    /* Of typed routes: an unsafe request that its session is asked for is checked first */
    Q5PY_LAZY_CSRF_CHECK = 16
};

typedef struct q5py_step {
    q5py_step_kind kind;
    PyObject *instance;                   /* owned */
    PyObject *own_request, *own_response; /* owned or NULL: the methods as the class had them */
    bool redirects;                       /* SECURITY: SECURE_SSL_REDIRECT */
    PyObject *fields;        /* SECURITY: owned tuple of (lower-case name, (name, value)) */
    PyObject *secure_fields; /* SECURITY: owned or NULL, the same where the request is secure */
    PyObject *store_class;   /* SESSION: owned, its SessionStore */
    PyObject *frame_option;  /* FRAME: owned or NULL, the setting that frame_field was made of */
    PyObject *frame_field;   /* FRAME: owned or NULL, (name, value) */
} q5py_step;

typedef struct q5py_segment {
    PyObject_HEAD q5py_state *state;
    PyObject *dict;         /* for markcoroutinefunction() */
    PyObject *get_response; /* owned: the next callable */
    PyObject *handler;      /* owned or NULL: get_response is this handler's _get_response, in C */
    bool raises;            /* get_response may raise what is to become a response */
    uint8_t count;
    q5py_step steps[Q5PY_STEPS_MAX];
} q5py_segment;

/* What a step says of itself. */
enum {
    Q5PY_STEP_DONE = 0,  /* natively, or nothing was to be done */
    Q5PY_STEP_PYTHON = 1 /* Django's method is to be called; -1 is an exception */
};

/* middleware_request.c */
int q5py_step_request(q5py_state *state, q5py_step *step, PyObject *request);
/* A response on its way out through the steps. */
typedef struct q5py_leaving {
    PyObject *request;  /* borrowed */
    PyObject *response; /* owned; a step that puts another in its place clears `store` */
    PyObject *store;    /* owned or NULL: the dict of its fields, kept from step to step */
    bool on_loop;       /* in an asynchronous chain: what takes long goes to a thread */
} q5py_leaving;

/* middleware_response.c */
int q5py_step_response(q5py_state *state, q5py_step *step, q5py_leaving *leaving);
/* Whether Django's method may wait for something: not for a loop's thread. */
bool q5py_step_blocks(q5py_state *state, const q5py_step *step, bool is_request);

/* middleware_locale.c: as q5py_step_request and _response, for a request that is the server's. */
int q5py_locale_request(q5py_state *state, PyObject *request);
int q5py_locale_response(q5py_state *state, PyObject *request, PyObject *response,
                         PyObject **store);
int q5py_locale_reply(q5py_state *state, PyObject *request, q5py_reply *reply);
/* The context's language is this thread's from now on. 0, or -1 with an exception. */
int q5py_language_carry(q5py_state *state);

/* middleware_wire.c. All of them for instances of Request that are the server's. */
bool q5py_is_wire_request(q5py_state *state, PyObject *request);
/* The instance has an attribute of that name: 1, 0, or -1 with an exception. */
int q5py_has_own(PyObject *request, PyObject *name);
/* The value of a cookie: 1 and *ret; 0: it was not sent; 2: it takes request.COOKIES to know; -1.
 */
int q5py_wire_cookie(q5py_state *state, PyObject *request, PyObject *name, q5_slice *ret);
/* A field that is read from META: 1 and *ret, which is good until Python runs; 0: it was not sent;
 * 2: it takes META to know; -1. */
int q5py_wire_field(q5py_state *state, PyObject *request, q5_field_id id, PyObject *key,
                    q5_slice *ret);
/* Whether get_host() would give the Host as it was sent: 1; 0: it takes get_host() to know; -1. */
int q5py_wire_host_allowed(q5py_state *state, PyObject *request);
/* settings.NAME is true: 1, 0, or -1 with an exception. */
int q5py_setting_truth(q5py_state *state, PyObject *name);

/* response.status_code, or -1 with an exception. */
long q5py_status_of(q5py_state *state, PyObject *response);
/* response.headers["Content-Length"] = str(len(response.content)) */
int q5py_put_content_length(q5py_state *state, PyObject *response, PyObject *store);

/* ---- middleware_gzip.c */
int q5py_finish_gzip(q5py_state *state, const q5py_step *step, q5py_leaving *leaving);
/* ---- middleware_conditional.c */
int q5py_finish_conditional(q5py_state *state, const q5py_step *step, q5py_leaving *leaving);

/* ---- middleware_fields.c */
/* 1: *store, if it was NULL, is the response's, owned; 0: it takes Django to look at the fields and
 * to change them; -1 with an exception. */
int q5py_response_store(q5py_state *state, PyObject *response, PyObject **store);
/* The value of a field by its lower-case name: 1 and *ret, which lives as long as the field; 0:
 * there is none; 2: it is no plain ASCII text; -1. */
int q5py_store_get(PyObject *store, PyObject *key, q5_slice *ret);
/* response.headers[name] = value, where `value` is plain ASCII; for a NULL its exception is passed
 * on. 0 or -1. */
int q5py_store_put(PyObject *store, PyObject *key, PyObject *name, PyObject *value);
/* patch_vary_headers(response, [name]): a step's status. */
int q5py_patch_vary(q5py_state *state, PyObject *store, PyObject *name);
/* True: an ASCII str, whose characters *ret is as long as it lives. Never raises. */
bool q5py_ascii(PyObject *text, q5_slice *ret);

int q5py_init_middleware_fields(PyObject *module, q5py_state *state);
int q5py_init_segment(PyObject *module, q5py_state *state);
int q5py_init_csrf_view(PyObject *module, q5py_state *state);

#endif
