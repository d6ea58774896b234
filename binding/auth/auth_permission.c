/* _quintette.PermissionGuard: who may, as tests in a row.
 *
 * auth/compiling.py writes `A & B | ~C` as tests that each say which one is next when they hold and
 * when they do not; the next has always a lower number, so that the way is as long as the row at
 * most. What is known here, whether somebody asks, with which scopes, by which method, is tested
 * here; for the rest a Python function is asked, which may wait. */
#include "auth.h"

#include "convert.h"

#define TESTS_MAX 64

/* Shared with auth/compiling.py. */
typedef enum test_op {
    SOMEBODY, /* asks */
    SAFE,     /* the method changes nothing (RFC 9110, 9.2.1) */
    SCOPES,   /* operand: tuple of str, all of which were granted */
    ASK,      /* operand: (request) -> bool, or an awaitable of it */
    PASS,     /* always holds */
    USER      /* somebody asks, whose user is loaded for the handler */
} test_op;

/* Where a way through the tests ends. */
enum { ALLOW = -1, DENY = -2 };

typedef struct test {
    uint8_t op;
    bool deferred; /* holding means: for some object, perhaps */
    int16_t on_true, on_false;
    PyObject *operand; /* owned or NULL */
} test;

typedef struct permission_guard {
    q5py_guard base;
    int16_t count;
    test *tests;         /* begins with the last */
    PyObject *forbidden; /* owned: the answer of 403 */
    PyObject *scopes_of; /* owned: (auth) -> a container of str */
    /* Owned, or NULL where no test is deferred: (request) -> what knows whether an object was
     * looked at, in its attribute `done`; refused(request) raises when none was. */
    PyObject *defer, *unchecked;
} permission_guard;

/* ---- where a request is ---------------------------------------------------------------------- */

/* The note: while something is waited for, the number of the test, and whether one that was
 * deferred has held; later what defer() made. */
static int stop_at(PyObject **note, int at, bool deferred) {
    PyObject *place = PyLong_FromLong((at + 2) * 2 + deferred);
    if (!place) return -1;
    Py_XSETREF(*note, place);
    return Q5PY_GUARD_WAIT;
}

static int place_of(PyObject *note, bool *ret_deferred) {
    long place = PyLong_AsLong(note);
    *ret_deferred = place & 1;
    return (int)(place / 2) - 2;
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* A new reference, or NULL with an exception. */
static PyObject *scopes_of(permission_guard *self, q5py_pass *pass) {
    PyObject *scopes;
    if (q5py_find_attribute(pass->auth, pass->state->str_scopes, &scopes) < 0) return NULL;
    if (scopes && PyFrozenSet_CheckExact(scopes)) return scopes;
    Py_XDECREF(scopes);
    return PyObject_CallOneArg(self->scopes_of, pass->auth);
}

/* 1, 0 or -1. */
static int has_scopes(permission_guard *self, q5py_pass *pass, PyObject *wanted) {
    if (!pass->auth || pass->auth == Py_None) return 0;
    if (PyTuple_GET_SIZE(wanted) == 0) return 1;
    PyObject *granted = scopes_of(self, pass);
    int has = granted ? 1 : -1;
    for (Py_ssize_t i = 0; has == 1 && i < PyTuple_GET_SIZE(wanted); i++)
        has = PySequence_Contains(granted, PyTuple_GET_ITEM(wanted, i));
    Py_XDECREF(granted);
    return has;
}

/* 1, 0 or -1; 2: *ret_awaitable is waited for. */
static int ask(PyObject *function, q5py_pass *pass, PyObject **ret_awaitable) {
    PyObject *request = q5py_pass_request(pass);
    PyObject *said = request ? PyObject_CallOneArg(function, request) : NULL;
    if (!said) return -1;
    if (q5py_is_awaitable(said)) {
        *ret_awaitable = said;
        return 2;
    }
    int value = q5py_strict_bool(said, "what a permission says");
    Py_DECREF(said);
    return value;
}

static int evaluate(permission_guard *self, q5py_pass *pass, const test *t,
                    PyObject **ret_awaitable) {
    switch ((test_op)t->op) {
    case SAFE:
        return q5py_is_safe(&pass->x->head);
    case SCOPES:
        return has_scopes(self, pass, t->operand);
    case ASK:
        return ask(t->operand, pass, ret_awaitable);
    case PASS:
        return 1;
    case SOMEBODY:
        if (pass->auth && pass->auth != Py_None) return 1;
        break;
    case USER:
        break;
    }
    int rc = q5py_pass_load_user(pass, ret_awaitable);
    if (rc == Q5PY_GUARD_WAIT) return 2;
    return rc < 0 ? -1 : pass->user != Py_None;
}

/* ---- the way --------------------------------------------------------------------------------- */

static int allow(permission_guard *self, q5py_pass *pass, bool deferred) {
    PyObject **note = &pass->notes[self->base.index];
    Py_CLEAR(*note);
    if (!self->defer) return Q5PY_GUARD_GO;
    PyObject *request = q5py_pass_request(pass);
    PyObject *check = request ? PyObject_CallOneArg(self->defer, request) : NULL;
    if (!check) return -1;
    if (deferred)
        *note = check;
    else
        Py_DECREF(check);
    return Q5PY_GUARD_GO;
}

/* Nobody is asked to say who they are; somebody may not. */
static int deny(permission_guard *self, q5py_pass *pass, q5py_reply *reply) {
    if (!q5py_pass_is_somebody(pass)) return q5py_pass_refuse(pass, reply);
    return q5py_reply_from_answer(pass->state, self->forbidden, reply, NULL) ? -1
                                                                             : Q5PY_GUARD_ANSWER;
}

static int walk(permission_guard *self, q5py_pass *pass, int at, bool deferred, q5py_reply *reply,
                PyObject **ret_awaitable) {
    PyObject **note = &pass->notes[self->base.index];
    while (at >= 0) {
        const test *t = &self->tests[at];
        int value = evaluate(self, pass, t, ret_awaitable);
        if (value < 0) return -1;
        if (value == 2) return stop_at(note, at, deferred);
        deferred |= value && t->deferred;
        at = value ? t->on_true : t->on_false;
    }
    if (at == ALLOW) return allow(self, pass, deferred);
    int rc = pass->auth ? Q5PY_GUARD_GO : q5py_pass_load_user(pass, ret_awaitable);
    if (rc == Q5PY_GUARD_WAIT) return stop_at(note, DENY, deferred);
    return rc < 0 ? rc : deny(self, pass, reply);
}

static int permission_before(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                             PyObject **ret_awaitable) {
    permission_guard *self = (permission_guard *)guard;
    return walk(self, pass, self->count - 1, false, reply, ret_awaitable);
}

static int permission_resume(q5py_guard *guard, q5py_pass *pass, PyObject *result,
                             q5py_reply *reply, PyObject **ret_awaitable) {
    permission_guard *self = (permission_guard *)guard;
    bool deferred;
    int at = place_of(pass->notes[guard->index], &deferred);
    if (at == DENY) return q5py_pass_take_user(pass, result) ? -1 : deny(self, pass, reply);
    const test *t = &self->tests[at];
    int value;
    if (t->op == SOMEBODY || t->op == USER)
        value = q5py_pass_take_user(pass, result) ? -1 : pass->user != Py_None;
    else
        value = q5py_strict_bool(result, "what a permission says");
    if (value < 0) return -1;
    deferred |= value && t->deferred;
    return walk(self, pass, value ? t->on_true : t->on_false, deferred, reply, ret_awaitable);
}

/* What depends on the object must not leave unless the object was looked at: for this reply, or
 * when it was made for whoever asks. */
static int permission_after(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                            PyObject **ret_awaitable) {
    (void)ret_awaitable;
    permission_guard *self = (permission_guard *)guard;
    PyObject *check = pass->notes[guard->index];
    if (!check || pass->is_repeated || reply->status >= 400) return Q5PY_GUARD_GO;
    PyObject *done = PyObject_GetAttr(check, pass->state->str_done);
    int is_done = done ? PyObject_IsTrue(done) : -1;
    Py_XDECREF(done);
    if (is_done) return is_done < 0 ? -1 : Q5PY_GUARD_GO;
    PyObject *made = PyObject_CallOneArg(self->unchecked, pass->request);
    Py_XDECREF(made);
    if (made) PyErr_SetString(PyExc_SystemError, "unchecked() did not raise");
    return -1;
}

/* ---- construction ---------------------------------------------------------------------------- */

static int read_test(test *t, int16_t number, PyObject *source) {
    int op, on_true, on_false, deferred;
    PyObject *operand;
    if (!PyArg_ParseTuple(source, "iiipO:test", &op, &on_true, &on_false, &deferred, &operand))
        return -1;
    bool right = (op == SCOPES && PyTuple_CheckExact(operand)) ||
                 (op == ASK && PyCallable_Check(operand)) ||
                 ((op == SOMEBODY || op == SAFE || op == PASS || op == USER) && operand == Py_None);
    if (!right || on_true >= number || on_false >= number || on_true < DENY || on_false < DENY) {
        PyErr_SetString(PyExc_ValueError, "malformed test");
        return -1;
    }
    *t = (test){.op = (uint8_t)op,
                .deferred = deferred,
                .on_true = (int16_t)on_true,
                .on_false = (int16_t)on_false,
                .operand = operand == Py_None ? NULL : Py_NewRef(operand)};
    return 0;
}

static int read_tests(permission_guard *self, PyObject *tests) {
    Py_ssize_t count = PyTuple_GET_SIZE(tests);
    if (count > TESTS_MAX) {
        PyErr_Format(PyExc_ValueError, "a permission has %d parts at most", TESTS_MAX);
        return -1;
    }
    self->tests = PyMem_Calloc(count ? (size_t)count : 1, sizeof(*self->tests));
    if (!self->tests) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (read_test(&self->tests[i], self->count, PyTuple_GET_ITEM(tests, i))) return -1;
        self->count++;
    }
    return 0;
}

PyDoc_STRVAR(
    permission_doc,
    "PermissionGuard(tests, *, forbidden, scopes_of, defer=None, unchecked=None)\n\n"
    "tests are (op, on_true, on_false, deferred, operand), the first to be made last; a way\n"
    "ends at -1, which allows, or -2.");

static PyObject *permission_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"tests", "forbidden", "scopes_of", "defer", "unchecked", NULL};
    PyObject *tests, *forbidden = NULL, *scopes_of = NULL, *defer = Py_None, *unchecked = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!|$O!OOO:PermissionGuard", names,
                                     &PyTuple_Type, &tests, &PyTuple_Type, &forbidden, &scopes_of,
                                     &defer, &unchecked))
        return NULL;
    if (!forbidden || !scopes_of || (defer == Py_None) != (unchecked == Py_None)) {
        PyErr_SetString(PyExc_ValueError, "malformed PermissionGuard");
        return NULL;
    }
    permission_guard *self = (permission_guard *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->forbidden = Py_NewRef(forbidden);
    self->scopes_of = Py_NewRef(scopes_of);
    self->base.before = permission_before;
    self->base.resume = permission_resume;
    if (defer != Py_None) {
        self->defer = Py_NewRef(defer);
        self->unchecked = Py_NewRef(unchecked);
        self->base.after = permission_after;
    }
    if (read_tests(self, tests)) Py_CLEAR(self);
    return (PyObject *)self;
}

/* ---- the type -------------------------------------------------------------------------------- */

static int permission_traverse(PyObject *object, visitproc visit, void *arg) {
    permission_guard *self = (permission_guard *)object;
    for (int16_t i = 0; i < self->count; i++)
        Py_VISIT(self->tests[i].operand);
    Py_VISIT(self->forbidden);
    Py_VISIT(self->scopes_of);
    Py_VISIT(self->defer);
    Py_VISIT(self->unchecked);
    return q5py_guard_traverse(object, visit, arg);
}

static int permission_clear(PyObject *object) {
    permission_guard *self = (permission_guard *)object;
    for (int16_t i = 0; i < self->count; i++)
        Py_CLEAR(self->tests[i].operand);
    Py_CLEAR(self->forbidden);
    Py_CLEAR(self->scopes_of);
    Py_CLEAR(self->defer);
    Py_CLEAR(self->unchecked);
    return 0;
}

static void permission_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    permission_clear(object);
    PyMem_Free(((permission_guard *)object)->tests);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot permission_slots[] = {
    {Py_tp_doc, (void *)permission_doc},   {Py_tp_new, permission_new},
    {Py_tp_traverse, permission_traverse}, {Py_tp_clear, permission_clear},
    {Py_tp_dealloc, permission_dealloc},   {0, NULL},
};

static PyType_Spec permission_spec = {
    .name = "_quintette.PermissionGuard",
    .basicsize = sizeof(permission_guard),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = permission_slots,
};

int q5py_init_auth_permission(PyObject *module, q5py_state *state) {
    return q5py_guard_add_type(module, state, &permission_spec, &state->permission_type);
}
