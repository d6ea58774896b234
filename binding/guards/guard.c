/* _quintette.Guard, the base of all guards, and PythonGuard: functions of the project's. */
#include "guard.h"

#include "api/plan_data.h"

/* ---- a plan's guards ------------------------------------------------------------------------- */

static int take(q5py_plan_data *data, PyObject *object) {
    q5py_guard *guard = (q5py_guard *)object;
    if (guard->index != UINT8_MAX) {
        PyErr_SetString(PyExc_ValueError, "this guard stands before another handler already");
        return -1;
    }
    guard->index = data->guard_count;
    data->guards_in_context |= guard->in_context;
    data->preflights |= guard->preflights;
    data->guards[data->guard_count++] = (q5py_guard *)Py_NewRef(object);
    return 0;
}

int q5py_guards_read(q5py_plan_data *data, PyObject *guards) {
    Py_ssize_t count = PyTuple_GET_SIZE(guards);
    if (count > Q5PY_GUARDS_MAX) {
        PyErr_Format(PyExc_ValueError, "a handler has %d guards at most", Q5PY_GUARDS_MAX);
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *object = PyTuple_GET_ITEM(guards, i);
        q5py_state *state = q5py_state_of_type(Py_TYPE(object));
        if (!state || !PyObject_TypeCheck(object, state->guard_type)) {
            PyErr_Format(PyExc_TypeError, "%R is no guard", object);
            return -1;
        }
        if (take(data, object)) return -1;
    }
    return 0;
}

/* ---- the base type --------------------------------------------------------------------------- */

int q5py_guard_traverse(PyObject *self, visitproc visit, void *arg) {
    (void)arg;
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static PyObject *guard_alloc(PyTypeObject *type, Py_ssize_t count) {
    PyObject *self = PyType_GenericAlloc(type, count);
    if (self) ((q5py_guard *)self)->index = UINT8_MAX;
    return self;
}

static void guard_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot guard_slots[] = {
    {Py_tp_doc, "What stands before a typed handler; the base of the types that do something."},
    {Py_tp_alloc, guard_alloc},
    {Py_tp_traverse, q5py_guard_traverse},
    {Py_tp_dealloc, guard_dealloc},
    {0, NULL},
};

static PyType_Spec guard_spec = {
    .name = "_quintette.Guard",
    .basicsize = sizeof(q5py_guard),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = guard_slots,
};

int q5py_guard_add_type(PyObject *module, q5py_state *state, PyType_Spec *spec,
                        PyTypeObject **ret_type) {
    *ret_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, (PyObject *)state->guard_type);
    return *ret_type ? PyModule_AddType(module, *ret_type) : -1;
}

/* ---- functions of the project's -------------------------------------------------------------- */

typedef struct python_guard {
    q5py_guard base;
    PyObject *before; /* owned or NULL: (request) -> None, an answer, or an awaitable of these */
    PyObject *after;  /* owned or NULL: (request, status, [(name, value)]) */
} python_guard;

static int python_before(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                         PyObject **ret_awaitable) {
    PyObject *request = q5py_pass_request(pass);
    PyObject *made = request ? PyObject_CallOneArg(((python_guard *)guard)->before, request) : NULL;
    if (!made) return -1;
    if (made == Py_None) {
        Py_DECREF(made);
        return Q5PY_GUARD_GO;
    }
    if (!PyTuple_Check(made)) {
        *ret_awaitable = made;
        return Q5PY_GUARD_WAIT;
    }
    int rc = q5py_reply_from_answer(pass->state, made, reply, NULL);
    Py_DECREF(made);
    return rc ? -1 : Q5PY_GUARD_ANSWER;
}

static int python_after(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                        PyObject **ret_awaitable) {
    (void)ret_awaitable;
    PyObject *request = q5py_pass_request(pass);
    PyObject *fields = request ? q5py_reply_take_fields(reply) : NULL;
    if (!fields) return -1;
    PyObject *done = PyObject_CallFunction(((python_guard *)guard)->after, "OiO", request,
                                           reply->status, fields);
    Py_DECREF(fields);
    Py_XDECREF(done);
    return done ? Q5PY_GUARD_GO : -1;
}

static PyObject *python_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"before", "after", NULL};
    PyObject *before = Py_None, *after = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OO:PythonGuard", names, &before, &after))
        return NULL;
    python_guard *self = (python_guard *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->before = q5py_maybe(before);
    self->after = q5py_maybe(after);
    self->base.in_context = true;
    if (self->before) self->base.before = python_before;
    if (self->after) self->base.after = python_after;
    return (PyObject *)self;
}

static int python_traverse(PyObject *object, visitproc visit, void *arg) {
    python_guard *self = (python_guard *)object;
    Py_VISIT(self->before);
    Py_VISIT(self->after);
    return q5py_guard_traverse(object, visit, arg);
}

static int python_clear(PyObject *object) {
    python_guard *self = (python_guard *)object;
    Py_CLEAR(self->before);
    Py_CLEAR(self->after);
    return 0;
}

static void python_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    python_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot python_slots[] = {
    {Py_tp_doc,
     "PythonGuard(*, before=None, after=None)\n\nbefore(request) gives None, an answer (see\n"
     "api/answer.py) or an awaitable of these; after(request, status, fields) may change the\n"
     "list of (name, value)."},
    {Py_tp_new, python_new},
    {Py_tp_traverse, python_traverse},
    {Py_tp_clear, python_clear},
    {Py_tp_dealloc, python_dealloc},
    {0, NULL},
};

static PyType_Spec python_spec = {
    .name = "_quintette.PythonGuard",
    .basicsize = sizeof(python_guard),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = python_slots,
};

int q5py_init_guard(PyObject *module, q5py_state *state) {
    state->guard_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &guard_spec, NULL);
    if (!state->guard_type || PyModule_AddType(module, state->guard_type)) return -1;
    return q5py_guard_add_type(module, state, &python_spec, &state->python_guard_type);
}
