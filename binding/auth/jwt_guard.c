/* _quintette.JwtGuard: who asks, by a signed token in the Authorization field (RFC 6750, 2.1) or in
 * a cookie. A token that was verified before costs a digest and a look into a table. */
#include "jwt.h"

#include <time.h>

#include "auth.h"
#include "loop/now.h"
#include "q5/cookie.h"
#include "q5/credentials.h"

/* What renew() is asked for; shared with auth/jwt/renewal.py. */
enum { RENEW_REVOKED = 1, RENEW_KEYS = 2 };

/* Statuses of tokens that are refused, from Q5_ETOKEN down. */
#define REFUSALS (Q5_ETOKEN - Q5_ETOKEN_REVOKED + 1)

typedef struct jwt_guard {
    q5py_auth_guard base;
    q5py_jwt_verifier *verifier;  /* owned */
    PyObject *refusals[REFUSALS]; /* owned answers, by status */
    PyObject *bad_request;        /* owned answer: which token is meant cannot be told */
    PyObject *cross_site;         /* owned answer: a cookie from another site */
    PyObject *cookie;             /* owned bytes: its name; NULL: header only */
    PyObject *same_site;          /* owned or NULL: (request) -> bool */
    PyObject *find_user;          /* owned: (claims) -> LazyUser or None */
    PyObject *renew;              /* owned or NULL: (what, done) -> awaitable of int, or None */
} jwt_guard;

/* ---- finding --------------------------------------------------------------------------------- */

typedef enum finding { NONE, IN_FIELD, IN_COOKIE, AMBIGUOUS } finding;

/* RFC 6750, 2.1. Two fields are ambiguous: a proxy may have judged the other one. */
static finding find_in_field(const q5_head *head, q5_slice *ret_token) {
    const q5_field *field = q5_head_known(head, Q5_FIELD_AUTHORIZATION);
    if (!field) return NONE;
    for (const q5_field *next = field + 1; next < head->fields + head->field_count; next++)
        if (next->id == Q5_FIELD_AUTHORIZATION) return AMBIGUOUS;
    return q5_credentials_find(field->value, Q5_LIT("Bearer"), ret_token) ? IN_FIELD : NONE;
}

/* Two cookies of the name are ambiguous: one may be another subdomain's. */
static finding find_in_cookie(const jwt_guard *self, const q5_head *head, q5_slice *ret_token) {
    q5_slice wanted =
        q5_slice_make(PyBytes_AS_STRING(self->cookie), (size_t)PyBytes_GET_SIZE(self->cookie));
    finding found = NONE;
    for (uint16_t i = 0; i < head->field_count; i++) {
        if (head->fields[i].id != Q5_FIELD_COOKIE) continue;
        q5_cookies it;
        q5_slice name, value;
        q5_cookies_init(&it, head->fields[i].value, 0);
        while (q5_cookies_next(&it, &name, &value) == Q5_OK) {
            if (!q5_slice_eq(name, wanted)) continue;
            if (found != NONE) return AMBIGUOUS;
            found = IN_COOKIE;
            *ret_token = value;
        }
    }
    return found;
}

static finding find_token(const jwt_guard *self, const q5_head *head, q5_slice *ret_token) {
    finding found = find_in_field(head, ret_token);
    if (found != NONE || !self->cookie) return found;
    return find_in_cookie(self, head, ret_token);
}

/* ---- cookies and other sites ----------------------------------------------------------------- */

/* A browser sends a cookie along with what other sites make it send. 1: it is our own page that
 * asks, 0, or -1 with an exception. Sec-Fetch-Site is the browser's own word, which no page can
 * write; without it the origin is compared. */
static int is_same_site(const jwt_guard *self, q5py_pass *pass) {
    const q5_head *head = &pass->x->head;
    if (q5py_is_safe(head)) return 1;
    q5_slice name = Q5_LIT("sec-fetch-site");
    const q5_field *site = q5_head_find(head, name, 0);
    if (site && q5_slice_eq(site->value, Q5_LIT("same-origin")) &&
        !q5_head_find(head, name, (uint16_t)(site - head->fields + 1)))
        return 1;
    PyObject *request = q5py_pass_request(pass);
    PyObject *said = request ? PyObject_CallOneArg(self->same_site, request) : NULL;
    if (!said) return -1;
    int same = q5py_strict_bool(said, "same_site()");
    Py_DECREF(said);
    return same;
}

/* ---- judging --------------------------------------------------------------------------------- */

static int answer(q5py_pass *pass, PyObject *refusal, q5py_reply *reply) {
    return q5py_reply_from_answer(pass->state, refusal, reply, NULL) ? -1 : Q5PY_GUARD_ANSWER;
}

/* Asks the project's Python for newer keys or revocations. WAIT, GO: there is nothing newer now, or
 * -1. */
static int renew(const jwt_guard *self, int what, int done, PyObject **ret_awaitable) {
    if (!self->renew || (done & what)) return Q5PY_GUARD_GO;
    PyObject *made = PyObject_CallFunction(self->renew, "ii", what, done);
    if (!made) return -1;
    if (made == Py_None) {
        Py_DECREF(made);
        return Q5PY_GUARD_GO;
    }
    *ret_awaitable = made;
    return Q5PY_GUARD_WAIT;
}

static int accept(const jwt_guard *self, q5py_pass *pass, q5py_jwt_facts *facts) {
    PyObject *claims = q5py_jwt_claims_of(self->verifier, facts);
    if (!claims) return -1;
    Py_XSETREF(pass->auth, claims);
    Py_CLEAR(pass->user);
    return q5py_pass_attach(pass);
}

/* done: what was renewed for this request already. */
static int judge(jwt_guard *self, q5py_pass *pass, q5_slice token, int done, q5py_reply *reply,
                 PyObject **ret_awaitable) {
    int rc;
    if (self->renew && q5py_now_seconds() >= self->verifier->fresh_until) {
        rc = renew(self, RENEW_REVOKED, done, ret_awaitable);
        if (rc != Q5PY_GUARD_GO) return rc;
    }
    q5py_jwt_facts *facts;
    int status = q5py_jwt_verify(self->verifier, token, (int64_t)time(NULL), &facts);
    if (status == Q5_OK) return accept(self, pass, facts);
    if (status == Q5_ETOKEN_KEY) {
        rc = renew(self, RENEW_KEYS, done, ret_awaitable);
        if (rc != Q5PY_GUARD_GO) return rc;
    }
    if (status > Q5_ETOKEN || status < Q5_ETOKEN_REVOKED) {
        q5py_raise_status(status);
        return -1;
    }
    return answer(pass, self->refusals[Q5_ETOKEN - status], reply);
}

static int find_and_judge(jwt_guard *self, q5py_pass *pass, int done, q5py_reply *reply,
                          PyObject **ret_awaitable) {
    q5_slice token;
    switch (find_token(self, &pass->x->head, &token)) {
    case NONE:
        return self->base.required ? q5py_pass_refuse(pass, reply) : q5py_pass_attach(pass);
    case AMBIGUOUS:
        return answer(pass, self->bad_request, reply);
    case IN_COOKIE: {
        int same = is_same_site(self, pass);
        if (same < 0) return -1;
        if (!same) return answer(pass, self->cross_site, reply);
        break;
    }
    case IN_FIELD:
        break;
    }
    pass->credentials = token;
    pass->credentials_name = Q5_LIT("token");
    return judge(self, pass, token, done, reply, ret_awaitable);
}

static int jwt_before(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                      PyObject **ret_awaitable) {
    return find_and_judge((jwt_guard *)guard, pass, 0, reply, ret_awaitable);
}

static int jwt_resume(q5py_guard *guard, q5py_pass *pass, PyObject *result, q5py_reply *reply,
                      PyObject **ret_awaitable) {
    long done = PyLong_AsLong(result);
    if (done == -1 && PyErr_Occurred()) return -1;
    return find_and_judge((jwt_guard *)guard, pass, (int)done, reply, ret_awaitable);
}

static int jwt_find_user(q5py_auth_guard *guard, q5py_pass *pass) {
    PyObject *user = PyObject_CallOneArg(((jwt_guard *)guard)->find_user, pass->auth);
    if (!user) return -1;
    Py_XSETREF(pass->user, user);
    return 0;
}

/* ---- the type -------------------------------------------------------------------------------- */

/* A dict of answers, by the names of statuses. */
static int take_refusals(jwt_guard *self, PyObject *answers) {
    for (int i = 0; i < REFUSALS; i++) {
        PyObject *made = PyDict_GetItemString(answers, q5_status_name(Q5_ETOKEN - i));
        if (!made) {
            PyErr_Format(PyExc_KeyError, "%s", q5_status_name(Q5_ETOKEN - i));
            return -1;
        }
        self->refusals[i] = Py_NewRef(made);
    }
    return 0;
}

static PyObject *jwt_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"verifier",    "unauthorized", "required",  "refusals",
                            "bad_request", "cross_site",   "find_user", "cookie",
                            "same_site",   "renew",        NULL};
    q5py_state *state = q5py_state_of_type(type);
    PyObject *verifier, *unauthorized, *refusals, *bad_request, *cross_site, *find_user;
    PyObject *cookie, *same_site, *renewer;
    int required;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "O!O!pO!O!O!OOOO:JwtGuard", names, state->jwt_verifier_type, &verifier,
            &PyTuple_Type, &unauthorized, &required, &PyDict_Type, &refusals, &PyTuple_Type,
            &bad_request, &PyTuple_Type, &cross_site, &find_user, &cookie, &same_site, &renewer))
        return NULL;
    if (cookie != Py_None && (!PyBytes_Check(cookie) || !PyCallable_Check(same_site))) {
        PyErr_SetString(PyExc_TypeError, "a cookie is bytes, and needs same_site()");
        return NULL;
    }
    jwt_guard *self = (jwt_guard *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->base.unauthorized = Py_NewRef(unauthorized);
    self->base.required = required;
    self->base.find_user = jwt_find_user;
    self->base.base.before = jwt_before;
    self->base.base.resume = jwt_resume;
    self->verifier = (q5py_jwt_verifier *)Py_NewRef(verifier);
    self->bad_request = Py_NewRef(bad_request);
    self->cross_site = Py_NewRef(cross_site);
    self->find_user = Py_NewRef(find_user);
    self->cookie = q5py_maybe(cookie);
    self->same_site = q5py_maybe(same_site);
    self->renew = q5py_maybe(renewer);
    if (take_refusals(self, refusals)) Py_CLEAR(self);
    return (PyObject *)self;
}

static int jwt_traverse(PyObject *object, visitproc visit, void *arg) {
    jwt_guard *self = (jwt_guard *)object;
    Py_VISIT((PyObject *)self->verifier);
    Py_VISIT(self->find_user);
    Py_VISIT(self->same_site);
    Py_VISIT(self->renew);
    return q5py_auth_guard_traverse(object, visit, arg);
}

static int jwt_clear(PyObject *object) {
    jwt_guard *self = (jwt_guard *)object;
    Py_CLEAR(self->find_user);
    Py_CLEAR(self->same_site);
    Py_CLEAR(self->renew);
    return q5py_auth_guard_clear(object);
}

static void jwt_dealloc(PyObject *object) {
    jwt_guard *self = (jwt_guard *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    jwt_clear(object);
    Py_XDECREF((PyObject *)self->verifier);
    for (int i = 0; i < REFUSALS; i++)
        Py_XDECREF(self->refusals[i]);
    Py_XDECREF(self->bad_request);
    Py_XDECREF(self->cross_site);
    Py_XDECREF(self->cookie);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot jwt_slots[] = {
    {Py_tp_doc,
     "JwtGuard(verifier, unauthorized, required, refusals, bad_request, cross_site, find_user,\n"
     "cookie, same_site, renew)\n\nAnswers are those of api/answer.py; refusals "
     "has\n"
     "one for each status of tokens. renew(what, done) gives None, or an awaitable of what was\n"
     "renewed by now; what: 1 the revocations, 2 the keys."},
    {Py_tp_new, jwt_new},
    {Py_tp_traverse, jwt_traverse},
    {Py_tp_clear, jwt_clear},
    {Py_tp_dealloc, jwt_dealloc},
    {0, NULL},
};

static PyType_Spec jwt_spec = {
    .name = "_quintette.JwtGuard",
    .basicsize = sizeof(jwt_guard),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = jwt_slots,
};

int q5py_init_jwt_guard(PyObject *module, q5py_state *state) {
    return q5py_auth_guard_add_type(module, state, &jwt_spec, &state->jwt_guard_type);
}
