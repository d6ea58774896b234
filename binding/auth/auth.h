/* Who asks. What authentication guards find out, and what permissions, parameters and the request
 * make of it.
 *
 *   pass->auth   what was verified: claims, a key. NULL: nothing, or a session, which is only its
 * user pass->user   the user, or one that is loaded when somebody looks (LazyUser in
 * auth/users.py); None: nobody; NULL: not looked for yet (q5py_pass_user)
 *
 *   auth.c              the base type, users, refusals;  auth_credentials.c: header fields
 *   auth_session.c      Django's session;                auth_any.c: the first that finds something
 *   auth_permission.c   permissions;                     auth_cache.c: what was verified lately */
#ifndef Q5PY_AUTH_H
#define Q5PY_AUTH_H

#include "guards/guard.h"
#include "api/plan_data.h"

typedef struct q5py_auth_guard q5py_auth_guard;

/* The head of every authentication guard's objects. One whose before() finds no credentials of its
 * kind leaves pass->auth and pass->user NULL or None and is GO, unless it is required. */
struct q5py_auth_guard {
    q5py_guard base;
    PyObject *unauthorized; /* owned: the answer of 401 with the challenge; see api/answer.py */
    bool required;          /* nobody is refused */
    /* Sets pass->user for the pass->auth that before() left. 0, or -1 with an exception. NULL:
     * before() has set the user. */
    int (*find_user)(q5py_auth_guard *self, q5py_pass *pass);
};

/* ---- auth.c */
/* The route's, or NULL: there is one at most. */
q5py_auth_guard *q5py_auth_guard_of(const q5py_pass *pass);
/* The user, borrowed; None for nobody. May be a LazyUser. NULL with an exception. */
PyObject *q5py_pass_user(q5py_pass *pass);
/* Sees to it that pass->user is a user, or None. GO; WAIT: call q5py_pass_take_user with the
 * result; -1. */
int q5py_pass_load_user(q5py_pass *pass, PyObject **ret_awaitable);
/* 0, or -1 with an exception. */
int q5py_pass_take_user(q5py_pass *pass, PyObject *user);
/* Whether somebody asks. Sure with pass->auth or behind q5py_pass_load_user; a user that is not
 * loaded yet, of a session say, may turn out to be nobody. */
bool q5py_pass_is_somebody(const q5py_pass *pass);
/* Whether the authentication guard has done its work. */
bool q5py_auth_is_through(const q5py_pass *pass);
/* The request, if there is one by now, gets the attributes auth, user and auser. To be called by
 * guards that set pass->auth or pass->user; the request's maker does it, too. GO or -1. */
int q5py_pass_attach(q5py_pass *pass);
/* The route's answer to nobody. ANSWER or -1. */
int q5py_pass_refuse(q5py_pass *pass, q5py_reply *reply);
/* A truth value that must be True or False: 1, 0, or -1 with TypeError. */
int q5py_strict_bool(PyObject *value, const char *what);
/* Whether it can be awaited. */
bool q5py_is_awaitable(const PyObject *object);

/* Common to the types derived from AuthGuard. */
int q5py_auth_guard_traverse(PyObject *self, visitproc visit, void *arg);
int q5py_auth_guard_clear(PyObject *self);
int q5py_auth_guard_add_type(PyObject *module, q5py_state *state, PyType_Spec *spec,
                             PyTypeObject **ret_type);
/* set_auth(lazy_user, load, nobody, attach): quintette.auth.users hands over what it is made of. */
PyObject *q5py_set_auth(PyObject *module, PyObject *args);

/* ---- auth_cache.c: what was verified lately, by a digest */
/* A new reference, or NULL without an exception: nothing is known. */
PyObject *q5py_auth_cache_get(PyObject *cache, PyObject *digest);

/* Each adds its types to the module; 0 or -1. */
int q5py_init_auth(PyObject *module, q5py_state *state);
int q5py_init_auth_cache(PyObject *module, q5py_state *state);
int q5py_init_auth_credentials(PyObject *module, q5py_state *state);
int q5py_init_auth_session(PyObject *module, q5py_state *state);
int q5py_init_auth_any(PyObject *module, q5py_state *state);
int q5py_init_auth_permission(PyObject *module, q5py_state *state);

#endif
