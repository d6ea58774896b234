/* _quintette.Call: one request to a plan from a host other than our server. The host has parsed
 * the request already; it is put into an exchange without a connection, so that the same code
 * extracts, converts, calls and encodes. */
#include "plan_data.h"

typedef struct q5py_call {
    PyObject_HEAD q5_exchange *x;
    q5py_plan *plan; /* owned */
    q5py_pass pass;
    q5py_reply reply;      /* between leave() and its end */
    PyObject *left_answer; /* owned or NULL: what the reply was made from */
    q5_exchange_pool pool;
    q5_conn_config config; /* outlives x, whose parser points into it */
} q5py_call;

/* ---- construction ---------------------------------------------------------------------------- */

/* The host enforces its own limits; these only bound what a copy may take. */
#define HEAD_MAX (1u << 20)

/* Framing is ours: the body is handed over whole. */
static bool is_framing(q5_slice name) {
    q5_field_id id = q5_field_find(name);
    return id == Q5_FIELD_CONTENT_LENGTH || id == Q5_FIELD_TRANSFER_ENCODING ||
           id == Q5_FIELD_CONNECTION || id == Q5_FIELD_EXPECT || id == Q5_FIELD_UPGRADE ||
           id == Q5_FIELD_HOST;
}

static int append(q5_buf *buf, const char *base, Py_ssize_t len) {
    if (q5_buf_append(buf, base, (size_t)len) == Q5_OK) return 0;
    PyErr_NoMemory();
    return -1;
}

static int append_field(q5_buf *buf, PyObject *field) {
    const char *name, *value;
    Py_ssize_t name_len, value_len;
    if (!PyArg_ParseTuple(field, "y#y#", &name, &name_len, &value, &value_len)) return -1;
    if (is_framing(q5_slice_make(name, (size_t)name_len))) return 0;
    if (append(buf, name, name_len) < 0 || append(buf, ": ", 2) < 0 ||
        append(buf, value, value_len) < 0)
        return -1;
    return append(buf, "\r\n", 2);
}

static int write_head(q5_buf *buf, q5_slice method, q5_slice target, PyObject *fields) {
    if (append(buf, method.base, (Py_ssize_t)method.len) < 0 || append(buf, " ", 1) < 0 ||
        append(buf, target.base, (Py_ssize_t)target.len) < 0 ||
        append(buf, " HTTP/1.1\r\nHost: host\r\n", 23) < 0)
        return -1;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(fields); i++)
        if (append_field(buf, PyList_GET_ITEM(fields, i)) < 0) return -1;
    return append(buf, "\r\n", 2);
}

static int create_exchange(q5py_call *self, q5_slice method, q5_slice target, PyObject *fields,
                           q5_slice body) {
    q5_buf head;
    q5_buf_init(&head, NULL);
    if (write_head(&head, method, target, fields) < 0) {
        q5_buf_deinit(&head);
        return -1;
    }
    self->config = q5_conn_config_default();
    self->config.head_limits.line_max = self->config.head_limits.head_max = HEAD_MAX;
    self->config.head_limits.allow_underscore = true;
    int status = q5_exchange_create_detached(&self->pool, &self->config, q5_buf_slice(&head), body,
                                             &self->x);
    q5_buf_deinit(&head);
    if (status == Q5_OK) return 0;
    self->x = NULL;
    q5py_raise_status(status);
    return -1;
}

/* The host has matched the path: its values, percent-encoded, in the plan's order. */
static int set_params(q5py_call *self, PyObject *params) {
    q5_route_match *match = &self->x->match;
    Py_ssize_t count = PyTuple_GET_SIZE(params);
    if (count > Q5_ROUTE_PARAMS_MAX) {
        PyErr_SetString(PyExc_ValueError, "too many path parameters");
        return -1;
    }
    match->route = self->plan;
    match->param_count = (uint8_t)count;
    for (Py_ssize_t i = 0; i < count; i++) {
        char *value;
        Py_ssize_t len;
        if (PyBytes_AsStringAndSize(PyTuple_GET_ITEM(params, i), &value, &len) < 0) return -1;
        char *copy = q5_arena_dup(&self->x->arena, value, (size_t)len);
        if (!copy) {
            PyErr_NoMemory();
            return -1;
        }
        match->params[i] = (q5_route_param){.value = {copy, (size_t)len}};
    }
    return 0;
}

static PyObject *call_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"plan", "method",  "target", "fields",
                            "body", "request", "params", NULL};
    q5py_state *state = q5py_state_of_type(type);
    PyObject *plan, *fields, *request, *params;
    const char *method, *target;
    Py_ssize_t method_len, target_len;
    Py_buffer body;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!s#y#O!y*OO!:Call", names, state->plan_type,
                                     &plan, &method, &method_len, &target, &target_len,
                                     &PyList_Type, &fields, &body, &request, &PyTuple_Type,
                                     &params))
        return NULL;
    q5py_call *self = (q5py_call *)type->tp_alloc(type, 0);
    if (self) {
        self->plan = (q5py_plan *)Py_NewRef(plan);
        q5py_reply_init(&self->reply);
        q5_exchange_pool_init(&self->pool, NULL, 0);
        if (create_exchange(self, q5_slice_make(method, (size_t)method_len),
                            q5_slice_make(target, (size_t)target_len), fields,
                            q5_slice_make(body.buf, (size_t)body.len)) < 0 ||
            set_params(self, params) < 0 ||
            q5py_pass_init(&self->pass, state, self->plan, self->x, request) < 0)
            Py_CLEAR(self);
    }
    PyBuffer_Release(&body);
    return (PyObject *)self;
}

/* ---- guards ---------------------------------------------------------------------------------- */

static PyObject *waits_for(PyObject *awaitable) {
    return Py_BuildValue("(iN)", Q5PY_ANSWER_AWAIT, awaitable);
}

/* What before() and resume() tell the host: None, an answer that guards gave, or what they wait
 * for. */
static PyObject *told(q5py_call *self, int rc, PyObject *awaitable) {
    if (rc < 0) return NULL;
    if (rc == Q5PY_GUARD_GO) Py_RETURN_NONE;
    if (rc == Q5PY_GUARD_WAIT) return waits_for(awaitable);
    PyObject *kind = Py_BuildValue("(i)", Q5PY_ANSWER_BODY);
    PyObject *answer = kind ? q5py_reply_as_answer(&self->reply, kind) : NULL;
    Py_XDECREF(kind);
    q5py_reply_clear(&self->reply);
    q5py_reply_init(&self->reply);
    return answer;
}

PyDoc_STRVAR(
    before_doc,
    "before() -> None | answer\n\nThe way through the guards: None when the handler may be\n"
    "called. For (AWAIT, awaitable) call resume() with its result.");

static PyObject *call_before(PyObject *object, PyObject *unused) {
    (void)unused;
    q5py_call *self = (q5py_call *)object;
    PyObject *awaitable = NULL;
    int rc = q5py_pass_before(&self->pass, &self->reply, &awaitable);
    return told(self, rc, awaitable);
}

PyDoc_STRVAR(resume_doc, "resume(result) -> None | answer\n\nGoes on where before() waited.");

static PyObject *call_resume(PyObject *object, PyObject *result) {
    q5py_call *self = (q5py_call *)object;
    PyObject *awaitable = NULL;
    if (self->pass.passed >= self->pass.count) {
        PyErr_SetString(PyExc_RuntimeError, "no guard waits");
        return NULL;
    }
    int rc = q5py_pass_resume(&self->pass, result, &self->reply, &awaitable);
    return told(self, rc, awaitable);
}

PyDoc_STRVAR(
    after_doc,
    "after(answer, may_block) -> answer\n\nThe guards' turn with what is to be answered. For\n"
    "(AWAIT, awaitable) await it and call after(None, may_block).");

static PyObject *call_after(PyObject *object, PyObject *args) {
    q5py_call *self = (q5py_call *)object;
    PyObject *answer, *awaitable = NULL;
    int may_block;
    if (!PyArg_ParseTuple(args, "Op:after", &answer, &may_block)) return NULL;
    if (answer != Py_None) {
        if (!self->pass.passed) return Py_NewRef(answer);
        Py_XSETREF(self->left_answer, Py_NewRef(answer));
        q5py_reply_clear(&self->reply);
        q5py_reply_init(&self->reply);
        if (q5py_reply_from_answer(self->pass.state, answer, &self->reply, NULL)) return NULL;
    }
    self->pass.may_block = may_block;
    if (q5py_pass_after(&self->pass, &self->reply, &awaitable) == Q5PY_GUARD_WAIT)
        return waits_for(awaitable);
    return q5py_reply_as_answer(&self->reply, self->left_answer);
}

/* ---- the way of a request -------------------------------------------------------------------- */

PyDoc_STRVAR(invoke_doc,
             "invoke()\n\nExtracts the parameters and calls the handler: its result, or its\n"
             "coroutine. Raises what either raised.");

static PyObject *call_invoke(PyObject *object, PyObject *unused) {
    (void)unused;
    q5py_call *self = (q5py_call *)object;
    q5py_args args;
    if (q5py_plan_bind(&self->pass, &args) < 0) return NULL;
    return q5py_plan_call(self->plan, &args);
}

PyDoc_STRVAR(
    encode_doc,
    "encode(result) -> answer\n\nWhat a result is to be answered with; see api/answer.py.");

static PyObject *call_encode(PyObject *object, PyObject *result) {
    q5py_plan *plan = ((q5py_call *)object)->plan;
    const q5py_plan_data *data = plan->data;
    PyObject *body, *answer;
    if (q5py_plan_judge(plan, result, &body, &answer) < 0) return NULL;
    if (answer && q5py_file_negotiate(((q5py_call *)object)->x, &answer) < 0) return NULL;
    if (answer) return answer;
    if (body) return Py_BuildValue("(iiON)", Q5PY_ANSWER_BODY, data->status, data->fields, body);
    return Py_BuildValue("(iiOO)", Q5PY_ANSWER_BODY, data->none_status, data->none_fields, Py_None);
}

PyDoc_STRVAR(fail_doc, "fail(exception) -> answer\n\nWhat an exception is to be answered with.");

static PyObject *call_fail(PyObject *object, PyObject *exception) {
    q5py_call *self = (q5py_call *)object;
    if (!PyExceptionInstance_Check(exception)) {
        PyErr_SetString(PyExc_TypeError, "an exception is needed");
        return NULL;
    }
    PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_CLEAR(self->pass.after);
    return q5py_plan_excuse(self->plan, self->pass.request);
}

static PyObject *call_get_kind(PyObject *object, void *closure) {
    (void)closure;
    return PyLong_FromLong(((q5py_call *)object)->plan->kind);
}

/* ---- the type -------------------------------------------------------------------------------- */

static int call_traverse(PyObject *object, visitproc visit, void *arg) {
    q5py_call *self = (q5py_call *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT((PyObject *)self->plan);
    Py_VISIT(self->pass.request);
    Py_VISIT(self->pass.after);
    Py_VISIT(self->pass.auth);
    Py_VISIT(self->pass.user);
    Py_VISIT(self->left_answer);
    return 0;
}

/* The plan is needed by every method and cannot be part of a cycle through this object alone. */
static int call_clear(PyObject *object) {
    q5py_call *self = (q5py_call *)object;
    q5py_pass_clear(&self->pass);
    q5py_reply_clear(&self->reply);
    Py_CLEAR(self->left_answer);
    return 0;
}

static void call_dealloc(PyObject *object) {
    q5py_call *self = (q5py_call *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    call_clear(object);
    if (self->x) q5_exchange_unref(self->x);
    q5_exchange_pool_deinit(&self->pool);
    Py_XDECREF((PyObject *)self->plan);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef call_methods[] = {
    {"before", call_before, METH_NOARGS, before_doc},
    {"resume", call_resume, METH_O, resume_doc},
    {"after", call_after, METH_VARARGS, after_doc},
    {"invoke", call_invoke, METH_NOARGS, invoke_doc},
    {"encode", call_encode, METH_O, encode_doc},
    {"fail", call_fail, METH_O, fail_doc},
    {NULL, NULL, 0, NULL},
};

static PyObject *call_get_later(PyObject *object, void *closure) {
    (void)closure;
    PyObject *after = ((q5py_call *)object)->pass.after;
    return Py_NewRef(after ? after : Py_None);
}

static PyGetSetDef call_getset[] = {
    {"kind", call_get_kind, NULL, "Of the plan.", NULL},
    {"later", call_get_later, NULL, "Work for behind the response, or None.", NULL},
    {0},
};

static PyType_Slot call_slots[] = {
    {Py_tp_doc, "One request to a plan from a host other than our server."},
    {Py_tp_new, call_new},
    {Py_tp_traverse, call_traverse},
    {Py_tp_clear, call_clear},
    {Py_tp_dealloc, call_dealloc},
    {Py_tp_methods, call_methods},
    {Py_tp_getset, call_getset},
    {0, NULL},
};

static PyType_Spec call_spec = {
    .name = "_quintette.Call",
    .basicsize = sizeof(q5py_call),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = call_slots,
};

int q5py_init_call(PyObject *module, q5py_state *state) {
    state->call_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &call_spec, NULL);
    if (!state->call_type) return -1;
    return PyModule_AddType(module, state->call_type);
}
