/* _quintette.StackGuard: the project's middleware before a typed route, where all of it is Django's
 * own. Fields that never change are lines; sessions, users and messages are promised to the request
 * should one be made, and kept where they were used. */
#include "guard.h"

#include "middleware/middleware.h"

#define STACK_LINES_MAX 16

typedef struct stack_line {
    PyObject *name; /* owned bytes, lower case */
    PyObject *line; /* owned bytes: "Name: value\r\n" */
    bool secure;    /* only where the request is */
} stack_line;

typedef struct stack_guard {
    q5py_guard base;
    PyObject *asks;          /* owned tuple of process_request methods to be called */
    PyObject *session_store; /* owned or NULL */
    PyObject *locale;        /* owned or NULL: that of `asks` which is LocaleMiddleware's */
    PyObject *locale_request, *locale_response; /* owned or NULL: its methods, Django's own */
    PyObject *finish;   /* owned: (request, status, fields, may_block) -> None | awaitable */
    bool always_finish; /* some process_response looks at every response */
    unsigned lazy;
    uint8_t count;
    stack_line lines[STACK_LINES_MAX];
} stack_guard;

/* ---- before ---------------------------------------------------------------------------------- */

static void promise(stack_guard *self, q5py_pass *pass) {
    pass->lazy = self->lazy;
    pass->session_store = self->session_store;
    if (pass->request)
        q5py_request_promise(pass->state, pass->request, self->lazy, self->session_store);
}

/* In C, where that will do. */
static int has_language(stack_guard *self, q5py_state *state, PyObject *request) {
    PyTypeObject *type = Py_TYPE(PyMethod_GET_SELF(self->locale));
    if (!q5py_is_wire_request(state, request) ||
        !q5py_is_own(type, state->str_process_request, self->locale_request))
        return Q5PY_STEP_PYTHON;
    return q5py_locale_request(state, request);
}

/* One of `asks`: what its process_request() gives, None as a rule, or NULL with an exception. */
static PyObject *call_ask(stack_guard *self, q5py_pass *pass, PyObject *ask) {
    PyObject *request = q5py_pass_request(pass);
    if (!request) return NULL;
    int rc = ask == self->locale ? has_language(self, pass->state, request) : Q5PY_STEP_PYTHON;
    if (rc == Q5PY_STEP_PYTHON) return PyObject_CallOneArg(ask, request);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

static int stack_before(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                        PyObject **ret_awaitable) {
    (void)ret_awaitable;
    stack_guard *self = (stack_guard *)guard;
    promise(self, pass);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self->asks); i++) {
        PyObject *made = call_ask(self, pass, PyTuple_GET_ITEM(self->asks, i));
        if (!made) return -1;
        int rc = made == Py_None ? Q5PY_GUARD_GO : Q5PY_GUARD_ANSWER;
        if (rc && q5py_reply_from_django(pass->state, made, reply)) rc = -1;
        Py_DECREF(made);
        if (rc > 0) { /* its fields are for its own answers, too; there is nothing to keep */
            pass->passed++;
            pass->notes[guard->index] = Py_NewRef(Py_None);
        }
        if (rc) return rc;
    }
    return Q5PY_GUARD_GO;
}

/* ---- after ----------------------------------------------------------------------------------- */

static int is_secure(q5py_pass *pass) {
    PyObject *request = q5py_pass_request(pass);
    PyObject *answer =
        request ? PyObject_CallMethodNoArgs(request, pass->state->str_is_secure) : NULL;
    int truth = answer ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(answer);
    return truth;
}

/* A Django response that a view decorator has exempted. */
static bool is_frame_exempt(q5py_pass *pass, const q5py_reply *reply) {
    PyObject *exempt = reply->closer
                           ? PyObject_GetAttr(reply->closer, pass->state->str_xframe_options_exempt)
                           : NULL;
    bool is = exempt && PyObject_IsTrue(exempt) > 0;
    Py_XDECREF(exempt);
    PyErr_Clear();
    return is;
}

static int add_lines(stack_guard *self, q5py_pass *pass, q5py_reply *reply) {
    q5_slice found;
    for (uint8_t i = 0; i < self->count; i++) {
        stack_line *line = &self->lines[i];
        q5_slice name = q5py_bytes_slice(line->name);
        if (q5py_reply_find(reply, name, &found)) continue;
        if (reply->closer && q5_slice_eq(name, Q5_LIT("x-frame-options")) &&
            is_frame_exempt(pass, reply))
            continue;
        int secure = line->secure ? is_secure(pass) : 1;
        if (secure < 0) return -1;
        if (secure && q5py_reply_add_lines(reply, q5py_bytes_slice(line->line))) return -1;
    }
    return 0;
}

/* What the handler has done to the request's session, messages or token is to be kept. 1, 0, or
 * -1. */
static int is_touched(stack_guard *self, q5py_pass *pass) {
    if (self->always_finish) return 1;
    PyObject *request = pass->request;
    if (!request || !self->lazy || !PyObject_TypeCheck(request, pass->state->request_type))
        return 0;
    PyObject *dict = PyObject_GenericGetDict(request, NULL);
    if (!dict) return -1;
    q5py_state *state = pass->state;
    int touched = PyDict_Contains(dict, state->str_session);
    if (touched == 0) touched = PyDict_Contains(dict, state->str__messages);
    PyObject *meta = touched ? NULL : PyDict_GetItemWithError(dict, state->str_META);
    if (meta && PyDict_CheckExact(meta))
        touched = PyDict_Contains(meta, state->str_CSRF_COOKIE_NEEDS_UPDATE);
    Py_DECREF(dict);
    return touched;
}

/* The language's fields, where Django's methods need not be called for them or others. */
static int add_language(stack_guard *self, q5py_pass *pass, q5py_reply *reply) {
    q5py_state *state = pass->state;
    PyTypeObject *type = Py_TYPE(PyMethod_GET_SELF(self->locale));
    PyObject *request = q5py_pass_request(pass);
    if (!request) return -1;
    if (!q5py_is_wire_request(state, request) ||
        !q5py_is_own(type, state->str_process_response, self->locale_response))
        return Q5PY_STEP_PYTHON;
    return q5py_locale_reply(state, request, reply);
}

static int stack_after(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                       PyObject **ret_awaitable) {
    stack_guard *self = (stack_guard *)guard;
    PyObject *kept = pass->notes[guard->index];
    if (kept && kept != Py_None) return q5py_reply_merge_fields(reply, kept);
    if (add_lines(self, pass, reply)) return -1;
    if (kept) return Q5PY_GUARD_GO;
    int touched = is_touched(self, pass);
    if (touched == 0 && self->locale) touched = add_language(self, pass, reply);
    return touched > 0 ? q5py_pass_finish(guard, pass, self->finish, reply, ret_awaitable)
                       : touched;
}

/* ---- the type -------------------------------------------------------------------------------- */

PyDoc_STRVAR(stack_doc,
             "StackGuard(*, asks, lines, lazy, session_store, finish, always_finish, locale)\n\n"
             "asks are process_request methods that are called in their order; locale is the one\n"
             "of them that is LocaleMiddleware's. lines are\n"
             "(lower-case name, line, is_secure). finish(request, status, fields, may_block) adds\n"
             "to the list of (name, value), or gives an awaitable behind which it has.");

static int read_lines(stack_guard *self, PyObject *lines) {
    if (PyTuple_GET_SIZE(lines) > STACK_LINES_MAX) {
        PyErr_SetString(PyExc_ValueError, "too many lines");
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(lines); i++) {
        PyObject *name, *line;
        int secure;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(lines, i), "SSp:line", &name, &line, &secure))
            return -1;
        self->lines[self->count++] = (stack_line){Py_NewRef(name), Py_NewRef(line), (bool)secure};
    }
    return 0;
}

static void take_locale(stack_guard *self, PyObject *method) {
    PyTypeObject *type = Py_TYPE(PyMethod_GET_SELF(method));
    q5py_state *state = q5py_state_of_type(Py_TYPE(self));
    self->locale = Py_NewRef(method);
    self->locale_request = Py_XNewRef(_PyType_Lookup(type, state->str_process_request));
    self->locale_response = Py_XNewRef(_PyType_Lookup(type, state->str_process_response));
}

static PyObject *stack_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"asks",   "lines",         "lazy",   "session_store",
                            "finish", "always_finish", "locale", NULL};
    PyObject *asks = NULL, *lines = NULL, *session_store = Py_None, *finish = NULL;
    PyObject *locale = Py_None;
    unsigned lazy = 0;
    int always = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$O!O!IOOpO:StackGuard", names, &PyTuple_Type,
                                     &asks, &PyTuple_Type, &lines, &lazy, &session_store, &finish,
                                     &always, &locale))
        return NULL;
    if (!asks || !lines || !finish || !(locale == Py_None || PyMethod_Check(locale))) {
        PyErr_SetString(PyExc_TypeError, "malformed StackGuard");
        return NULL;
    }
    stack_guard *self = (stack_guard *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->base.before = stack_before;
    self->base.after = stack_after;
    self->base.in_context = PyTuple_GET_SIZE(asks) > 0 || always;
    self->asks = Py_NewRef(asks);
    self->finish = Py_NewRef(finish);
    self->session_store = session_store == Py_None ? NULL : Py_NewRef(session_store);
    self->lazy = lazy;
    self->always_finish = always;
    if (locale != Py_None) take_locale(self, locale);
    if (read_lines(self, lines)) Py_CLEAR(self);
    return (PyObject *)self;
}

static int stack_traverse(PyObject *object, visitproc visit, void *arg) {
    stack_guard *self = (stack_guard *)object;
    Py_VISIT(self->asks);
    Py_VISIT(self->session_store);
    Py_VISIT(self->locale);
    Py_VISIT(self->finish);
    return q5py_guard_traverse(object, visit, arg);
}

/* Lines stay: replies point to them as long as the plan is there. */
static int stack_clear(PyObject *object) {
    stack_guard *self = (stack_guard *)object;
    Py_CLEAR(self->session_store);
    Py_CLEAR(self->finish);
    return 0;
}

static void stack_dealloc(PyObject *object) {
    stack_guard *self = (stack_guard *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    stack_clear(object);
    Py_CLEAR(self->asks);
    Py_CLEAR(self->locale);
    Py_CLEAR(self->locale_request);
    Py_CLEAR(self->locale_response);
    for (; self->count; self->count--) {
        Py_DECREF(self->lines[self->count - 1].name);
        Py_DECREF(self->lines[self->count - 1].line);
    }
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot stack_slots[] = {
    {Py_tp_doc, (void *)stack_doc},   {Py_tp_new, stack_new},
    {Py_tp_traverse, stack_traverse}, {Py_tp_clear, stack_clear},
    {Py_tp_dealloc, stack_dealloc},   {0, NULL},
};

static PyType_Spec stack_spec = {
    .name = "_quintette.StackGuard",
    .basicsize = sizeof(stack_guard),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = stack_slots,
};

int q5py_init_stack(PyObject *module, q5py_state *state) {
    return q5py_guard_add_type(module, state, &stack_spec, &state->stack_guard_type);
}
