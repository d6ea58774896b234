/* _quintette.SessionGuard: Django's session, its user, and the check of unsafe methods against
 * CSRF. What Django does is Django's own code, in auth/session.py; here is seen that it is not
 * needed. */
#include "auth.h"

#include "q5/cookie.h"

typedef struct session_guard {
    q5py_auth_guard base;
    PyObject *cookie; /* owned bytes: its name */
    PyObject *begin;  /* owned: see session_doc */
    PyObject *finish; /* owned */
    bool in_any;      /* among others: without the cookie it finds nothing and checks nothing */
    bool always;      /* the handler may begin a session */
} session_guard;

/* RFC 9110, 9.2.1, as Django has it: QUERY is not among them. */
static bool is_safe(const q5_head *head) {
    return head->method_id == Q5_METHOD_GET || head->method_id == Q5_METHOD_HEAD ||
           head->method_id == Q5_METHOD_OPTIONS || head->method_id == Q5_METHOD_TRACE;
}

static bool has_cookie(const q5_head *head, PyObject *wanted) {
    q5_slice want = {PyBytes_AS_STRING(wanted), (size_t)PyBytes_GET_SIZE(wanted)};
    for (uint16_t i = 0; i < head->field_count; i++) {
        if (head->fields[i].id != Q5_FIELD_COOKIE) continue;
        q5_cookies it;
        q5_slice name, value;
        q5_cookies_init(&it, head->fields[i].value, 0);
        while (q5_cookies_next(&it, &name, &value) == Q5_OK)
            if (q5_slice_eq(name, want)) return true;
    }
    return false;
}

/* ---- before ---------------------------------------------------------------------------------- */

/* Behind begin(): the user is known as a LazyUser, who must be somebody where one is required. */
static int require(session_guard *self, q5py_pass *pass, q5py_reply *reply,
                   PyObject **ret_awaitable) {
    if (!self->base.required) return q5py_pass_attach(pass);
    int rc = q5py_pass_load_user(pass, ret_awaitable);
    if (rc != Q5PY_GUARD_GO) return rc;
    return q5py_pass_is_somebody(pass) ? q5py_pass_attach(pass) : q5py_pass_refuse(pass, reply);
}

/* What begin() gave: an answer, which refuses the request, or the user. */
static int take(session_guard *self, q5py_pass *pass, PyObject *made, q5py_reply *reply,
                PyObject **ret_awaitable) {
    if (PyTuple_Check(made))
        return q5py_reply_from_answer(pass->state, made, reply, NULL) ? -1 : Q5PY_GUARD_ANSWER;
    Py_XSETREF(pass->user, Py_NewRef(made));
    return require(self, pass, reply, ret_awaitable);
}

static int session_before(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                          PyObject **ret_awaitable) {
    session_guard *self = (session_guard *)guard;
    const q5_head *head = &pass->x->head;
    if (!has_cookie(head, self->cookie)) {
        if (self->base.required) return q5py_pass_refuse(pass, reply);
        if (self->in_any || (is_safe(head) && !self->always)) return q5py_pass_attach(pass);
    }
    PyObject *request = q5py_pass_request(pass);
    PyObject *made = request ? PyObject_CallOneArg(self->begin, request) : NULL;
    if (!made) return -1;
    /* The note until the user was loaded, and then until the session was kept. */
    Py_XSETREF(pass->notes[guard->index], Py_NewRef(Py_False));
    if (q5py_is_awaitable(made)) {
        *ret_awaitable = made;
        return Q5PY_GUARD_WAIT;
    }
    Py_XSETREF(pass->notes[guard->index], Py_NewRef(Py_True));
    int rc = take(self, pass, made, reply, ret_awaitable);
    Py_DECREF(made);
    return rc;
}

static int session_resume(q5py_guard *guard, q5py_pass *pass, PyObject *result, q5py_reply *reply,
                          PyObject **ret_awaitable) {
    session_guard *self = (session_guard *)guard;
    if (pass->notes[guard->index] == Py_False) {
        Py_XSETREF(pass->notes[guard->index], Py_NewRef(Py_True));
        return take(self, pass, result, reply, ret_awaitable);
    }
    if (q5py_pass_take_user(pass, result)) return -1;
    return q5py_pass_is_somebody(pass) ? q5py_pass_attach(pass) : q5py_pass_refuse(pass, reply);
}

/* ---- after ----------------------------------------------------------------------------------- */

static int session_after(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                         PyObject **ret_awaitable) {
    PyObject *note = pass->notes[guard->index];
    if (!note) return Q5PY_GUARD_GO;
    if (PyList_Check(note)) return q5py_reply_merge_fields(reply, note);
    return q5py_pass_finish(guard, pass, ((session_guard *)guard)->finish, reply, ret_awaitable);
}

/* ---- the type -------------------------------------------------------------------------------- */

PyDoc_STRVAR(
    session_doc,
    "SessionGuard(*, cookie, begin, finish, unauthorized, required, in_any=False,\n"
    "             always=False)\n\n"
    "begin(request) gives the user, an answer that refuses the request, or an awaitable of\n"
    "these. finish(request, status, fields, may_block) adds to the list of (name, value), or\n"
    "gives an awaitable behind which it has.");

static PyObject *session_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"cookie",   "begin",  "finish", "unauthorized",
                            "required", "in_any", "always", NULL};
    PyObject *cookie = NULL, *begin = NULL, *finish = NULL, *unauthorized = NULL;
    int required = 1, in_any = 0, always = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$SOOO!ppp:SessionGuard", names, &cookie,
                                     &begin, &finish, &PyTuple_Type, &unauthorized, &required,
                                     &in_any, &always))
        return NULL;
    if (!cookie || !begin || !finish || !unauthorized) {
        PyErr_SetString(PyExc_TypeError, "malformed SessionGuard");
        return NULL;
    }
    session_guard *self = (session_guard *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->cookie = Py_NewRef(cookie);
    self->begin = Py_NewRef(begin);
    self->finish = Py_NewRef(finish);
    self->in_any = in_any;
    self->always = always;
    self->base.unauthorized = Py_NewRef(unauthorized);
    self->base.required = required;
    self->base.base.before = session_before;
    self->base.base.resume = session_resume;
    self->base.base.after = session_after;
    return (PyObject *)self;
}

static int session_traverse(PyObject *object, visitproc visit, void *arg) {
    session_guard *self = (session_guard *)object;
    Py_VISIT(self->begin);
    Py_VISIT(self->finish);
    return q5py_auth_guard_traverse(object, visit, arg);
}

static int session_clear(PyObject *object) {
    session_guard *self = (session_guard *)object;
    Py_CLEAR(self->cookie);
    Py_CLEAR(self->begin);
    Py_CLEAR(self->finish);
    return q5py_auth_guard_clear(object);
}

static void session_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    session_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot session_slots[] = {
    {Py_tp_doc, (void *)session_doc},   {Py_tp_new, session_new},
    {Py_tp_traverse, session_traverse}, {Py_tp_clear, session_clear},
    {Py_tp_dealloc, session_dealloc},   {0, NULL},
};

static PyType_Spec session_spec = {
    .name = "_quintette.SessionGuard",
    .basicsize = sizeof(session_guard),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = session_slots,
};

int q5py_init_auth_session(PyObject *module, q5py_state *state) {
    return q5py_auth_guard_add_type(module, state, &session_spec, &state->auth_session_type);
}
