/* _quintette.AnyGuard: several ways to say who one is. The first that finds credentials decides:
 * wrong ones are refused, and no other way is tried. */
#include "auth.h"

#define WAYS_MAX 8

typedef struct any_guard {
    q5py_auth_guard base;
    uint8_t count;
    q5py_auth_guard *ways[WAYS_MAX]; /* owned */
} any_guard;

/* pass->auth_way is the one at work, and pass->notes[index] its own. */

static int require(any_guard *self, q5py_pass *pass, q5py_reply *reply) {
    if (q5py_pass_is_somebody(pass) || !self->base.required) return q5py_pass_attach(pass);
    return q5py_pass_refuse(pass, reply);
}

/* Behind a way that found something: a session's user is loaded where somebody is required. */
static int check(any_guard *self, q5py_pass *pass, q5py_reply *reply, PyObject **ret_awaitable) {
    if (!self->base.required || (pass->auth && pass->auth != Py_None))
        return q5py_pass_attach(pass);
    int rc = q5py_pass_load_user(pass, ret_awaitable);
    return rc == Q5PY_GUARD_GO ? require(self, pass, reply) : rc;
}

static int any_before(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                      PyObject **ret_awaitable) {
    any_guard *self = (any_guard *)guard;
    for (uint8_t i = 0; i < self->count; i++) {
        q5py_guard *way = &self->ways[i]->base;
        way->index = guard->index;
        pass->auth_way = self->ways[i];
        int rc = way->before(way, pass, reply, ret_awaitable);
        if (rc != Q5PY_GUARD_GO) return rc;
        if (q5py_pass_is_somebody(pass)) return check(self, pass, reply, ret_awaitable);
    }
    return require(self, pass, reply);
}

static int any_resume(q5py_guard *guard, q5py_pass *pass, PyObject *result, q5py_reply *reply,
                      PyObject **ret_awaitable) {
    any_guard *self = (any_guard *)guard;
    if (q5py_pass_is_somebody(pass)) { /* check() waited */
        if (q5py_pass_take_user(pass, result)) return -1;
        return require(self, pass, reply);
    }
    q5py_guard *way = &pass->auth_way->base;
    int rc = way->resume ? way->resume(way, pass, result, reply, ret_awaitable) : Q5PY_GUARD_GO;
    return rc == Q5PY_GUARD_GO ? check(self, pass, reply, ret_awaitable) : rc;
}

static int any_after(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                     PyObject **ret_awaitable) {
    (void)guard;
    q5py_guard *way = pass->auth_way ? &pass->auth_way->base : NULL;
    return way && way->after ? way->after(way, pass, reply, ret_awaitable) : Q5PY_GUARD_GO;
}

/* ---- the type -------------------------------------------------------------------------------- */

PyDoc_STRVAR(any_doc, "AnyGuard(ways, *, unauthorized, required)\n\n"
                      "The first of the ways, none of them required, that finds credentials.");

static int take_ways(any_guard *self, q5py_state *state, PyObject *ways) {
    Py_ssize_t count = PyTuple_GET_SIZE(ways);
    if (count < 1 || count > WAYS_MAX) {
        PyErr_Format(PyExc_ValueError, "between 1 and %d ways of authentication", WAYS_MAX);
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *way = PyTuple_GET_ITEM(ways, i);
        if (!PyObject_TypeCheck(way, state->auth_guard_type) ||
            Py_IS_TYPE(way, state->auth_any_type)) {
            PyErr_Format(PyExc_TypeError, "%R is no way of authentication", way);
            return -1;
        }
        q5py_auth_guard *guard = (q5py_auth_guard *)way;
        if (guard->required || guard->base.index != UINT8_MAX || !guard->base.before) {
            PyErr_SetString(PyExc_ValueError, "a way among others is new, and not required");
            return -1;
        }
        self->ways[self->count++] = (q5py_auth_guard *)Py_NewRef(way);
    }
    return 0;
}

static PyObject *any_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"ways", "unauthorized", "required", NULL};
    PyObject *ways, *unauthorized = NULL;
    int required = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!|$O!p:AnyGuard", names, &PyTuple_Type, &ways,
                                     &PyTuple_Type, &unauthorized, &required))
        return NULL;
    if (!unauthorized) {
        PyErr_SetString(PyExc_TypeError, "malformed AnyGuard");
        return NULL;
    }
    any_guard *self = (any_guard *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->base.unauthorized = Py_NewRef(unauthorized);
    self->base.required = required;
    self->base.base.before = any_before;
    self->base.base.resume = any_resume;
    self->base.base.after = any_after;
    if (take_ways(self, q5py_state_of_type(type), ways)) Py_CLEAR(self);
    return (PyObject *)self;
}

static int any_traverse(PyObject *object, visitproc visit, void *arg) {
    any_guard *self = (any_guard *)object;
    for (uint8_t i = 0; i < self->count; i++)
        Py_VISIT((PyObject *)self->ways[i]);
    return q5py_auth_guard_traverse(object, visit, arg);
}

static int any_clear(PyObject *object) {
    any_guard *self = (any_guard *)object;
    while (self->count > 0) {
        self->count--;
        Py_CLEAR(self->ways[self->count]);
    }
    return q5py_auth_guard_clear(object);
}

static void any_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    any_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot any_slots[] = {
    {Py_tp_doc, (void *)any_doc}, {Py_tp_new, any_new},         {Py_tp_traverse, any_traverse},
    {Py_tp_clear, any_clear},     {Py_tp_dealloc, any_dealloc}, {0, NULL},
};

static PyType_Spec any_spec = {
    .name = "_quintette.AnyGuard",
    .basicsize = sizeof(any_guard),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = any_slots,
};

int q5py_init_auth_any(PyObject *module, q5py_state *state) {
    return q5py_auth_guard_add_type(module, state, &any_spec, &state->auth_any_type);
}
