/* _quintette.AuthGuard, the base of all that say who asks, and what is asked of them. */
#include "auth.h"

q5py_auth_guard *q5py_auth_guard_of(const q5py_pass *pass) {
    const q5py_plan_data *data = pass->plan->data;
    for (uint8_t i = 0; i < data->guard_count; i++) {
        PyObject *guard = (PyObject *)data->guards[i];
        if (PyObject_TypeCheck(guard, pass->state->auth_guard_type))
            return (q5py_auth_guard *)guard;
    }
    return NULL;
}

/* ---- users ----------------------------------------------------------------------------------- */

PyObject *q5py_pass_user(q5py_pass *pass) {
    if (!pass->user && pass->auth) {
        q5py_auth_guard *guard = pass->auth_way ? pass->auth_way : q5py_auth_guard_of(pass);
        if (guard && guard->find_user && guard->find_user(guard, pass)) return NULL;
    }
    if (!pass->user) pass->user = Py_NewRef(Py_None);
    return pass->user;
}

int q5py_pass_take_user(q5py_pass *pass, PyObject *user) {
    int is_somebody = 0;
    if (user != Py_None) {
        PyObject *value = PyObject_GetAttr(user, pass->state->str_is_authenticated);
        is_somebody = value ? PyObject_IsTrue(value) : -1;
        Py_XDECREF(value);
    }
    if (is_somebody < 0) return -1;
    Py_XSETREF(pass->user, Py_NewRef(is_somebody ? user : Py_None));
    return 0;
}

int q5py_pass_load_user(q5py_pass *pass, PyObject **ret_awaitable) {
    PyObject *user = q5py_pass_user(pass);
    if (!user) return -1;
    if (!pass->state->lazy_user || (PyObject *)Py_TYPE(user) != pass->state->lazy_user)
        return Q5PY_GUARD_GO;
    PyObject *loaded = PyObject_CallOneArg(pass->state->load_user, user);
    if (!loaded) return -1;
    if (PyCoro_CheckExact(loaded)) {
        *ret_awaitable = loaded;
        return Q5PY_GUARD_WAIT;
    }
    int rc = q5py_pass_take_user(pass, loaded);
    Py_DECREF(loaded);
    return rc;
}

bool q5py_pass_is_somebody(const q5py_pass *pass) {
    return (pass->auth && pass->auth != Py_None) || (pass->user && pass->user != Py_None);
}

/* ---- the request ----------------------------------------------------------------------------- */

bool q5py_auth_is_through(const q5py_pass *pass) {
    const q5py_auth_guard *guard = q5py_auth_guard_of(pass);
    return guard && guard->base.index < pass->passed;
}

int q5py_pass_attach(q5py_pass *pass) {
    q5py_state *state = pass->state;
    if (!pass->request || !state->attach_user) return Q5PY_GUARD_GO;
    PyObject *user = q5py_pass_user(pass);
    if (!user) return -1;
    PyObject *auth = pass->auth ? pass->auth : Py_None;
    PyObject *nobody = user == Py_None ? PyObject_CallNoArgs(state->nobody) : NULL;
    if (user == Py_None && !nobody) return -1;
    int rc = PyObject_SetAttr(pass->request, state->str_auth, auth) ||
             PyObject_SetAttr(pass->request, state->str_user, nobody ? nobody : user);
    Py_XDECREF(nobody);
    if (rc) return -1;
    /* Our own class has auser() itself. */
    if (PyObject_TypeCheck(pass->request, state->request_type)) return Q5PY_GUARD_GO;
    PyObject *done = PyObject_CallOneArg(state->attach_user, pass->request);
    Py_XDECREF(done);
    return done ? Q5PY_GUARD_GO : -1;
}

/* ---- refusals -------------------------------------------------------------------------------- */

int q5py_pass_refuse(q5py_pass *pass, q5py_reply *reply) {
    q5py_auth_guard *guard = q5py_auth_guard_of(pass);
    if (!guard) {
        PyErr_SetString(PyExc_SystemError, "nobody says who asks");
        return -1;
    }
    return q5py_reply_from_answer(pass->state, guard->unauthorized, reply, NULL)
               ? -1
               : Q5PY_GUARD_ANSWER;
}

int q5py_strict_bool(PyObject *value, const char *what) {
    if (value == Py_True) return 1;
    if (value == Py_False) return 0;
    PyErr_Format(PyExc_TypeError, "%s must be True or False, not %R", what, value);
    return -1;
}

bool q5py_is_awaitable(const PyObject *object) {
    const PyAsyncMethods *as_async = Py_TYPE(object)->tp_as_async;
    return PyCoro_CheckExact(object) || (as_async && as_async->am_await);
}

/* ---- the type -------------------------------------------------------------------------------- */

int q5py_auth_guard_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(((q5py_auth_guard *)self)->unauthorized);
    return q5py_guard_traverse(self, visit, arg);
}

int q5py_auth_guard_clear(PyObject *self) {
    Py_CLEAR(((q5py_auth_guard *)self)->unauthorized);
    return 0;
}

static void auth_guard_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    q5py_auth_guard_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot auth_guard_slots[] = {
    {Py_tp_doc, "The base of the guards that say who asks."},
    {Py_tp_traverse, q5py_auth_guard_traverse},
    {Py_tp_clear, q5py_auth_guard_clear},
    {Py_tp_dealloc, auth_guard_dealloc},
    {0, NULL},
};

static PyType_Spec auth_guard_spec = {
    .name = "_quintette.AuthGuard",
    .basicsize = sizeof(q5py_auth_guard),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = auth_guard_slots,
};

int q5py_auth_guard_add_type(PyObject *module, q5py_state *state, PyType_Spec *spec,
                             PyTypeObject **ret_type) {
    PyObject *base = (PyObject *)state->auth_guard_type;
    *ret_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, base);
    return *ret_type ? PyModule_AddType(module, *ret_type) : -1;
}

PyObject *q5py_set_auth(PyObject *module, PyObject *args) {
    PyObject *lazy_user, *load, *nobody, *attach;
    if (!PyArg_ParseTuple(args, "OOOO:set_auth", &lazy_user, &load, &nobody, &attach)) return NULL;
    q5py_state *state = q5py_state_of(module);
    Py_XSETREF(state->lazy_user, Py_NewRef(lazy_user));
    Py_XSETREF(state->load_user, Py_NewRef(load));
    Py_XSETREF(state->nobody, Py_NewRef(nobody));
    Py_XSETREF(state->attach_user, Py_NewRef(attach));
    Py_RETURN_NONE;
}

int q5py_init_auth(PyObject *module, q5py_state *state) {
    if (q5py_guard_add_type(module, state, &auth_guard_spec, &state->auth_guard_type)) return -1;
    return q5py_init_auth_cache(module, state) || q5py_init_auth_credentials(module, state) ||
                   q5py_init_auth_session(module, state) || q5py_init_auth_any(module, state) ||
                   q5py_init_auth_permission(module, state)
               ? -1
               : 0;
}
