#include "plan_data.h"

#include <stddef.h>

#include "websocket/websocket.h"

/* ---- construction ---------------------------------------------------------------------------- */

static int read_result(q5py_plan_data *data, PyObject *result) {
    PyObject *shape;
    int none_is_empty;
    if (!PyArg_ParseTuple(result, "iipSSO!O!OO!OO:result", &data->status, &data->none_status,
                          &none_is_empty, &data->lines, &data->none_lines, &PyTuple_Type,
                          &data->fields, &PyTuple_Type, &data->none_fields, &data->encode,
                          &PyTuple_Type, &shape, &data->finish, &data->pull)) {
        data->lines = data->none_lines = data->fields = data->none_fields = NULL;
        data->encode = data->finish = data->pull = NULL;
        return -1;
    }
    data->none_is_empty = none_is_empty;
    Py_INCREF(data->lines);
    Py_INCREF(data->none_lines);
    Py_INCREF(data->fields);
    Py_INCREF(data->none_fields);
    Py_INCREF(data->encode);
    Py_INCREF(data->finish);
    Py_INCREF(data->pull);
    return q5py_shape_read(&data->shape, shape);
}

static int read_body(q5py_plan *plan, PyObject *body) {
    q5py_plan_data *data = plan->data;
    int media, allow_big_int, copy_body;
    unsigned long long body_max;
    PyObject *open_file;
    if (!PyArg_ParseTuple(body, "iKppO:body", &media, &body_max, &allow_big_int, &copy_body,
                          &open_file))
        return -1;
    if (media < Q5PY_MEDIA_NONE || media > Q5PY_MEDIA_STREAM) {
        PyErr_SetString(PyExc_ValueError, "unknown media");
        return -1;
    }
    data->media = (q5py_media)media;
    data->allow_big_int = allow_big_int;
    data->copy_body = copy_body;
    data->open_file = Py_NewRef(open_file);
    plan->body_max = body_max;
    plan->accepts_body = media != Q5PY_MEDIA_NONE;
    plan->streams_body = media == Q5PY_MEDIA_STREAM;
    return 0;
}

static PyObject *plan_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"handler", "kind",      "params", "positional", "kwnames",
                            "body",    "result",    "reject", "on_error",   "sync",
                            "guards",  "websocket", NULL};
    PyObject *handler, *params, *kwnames, *body, *result, *reject, *on_error, *guards = NULL,
                                                                              *websocket = Py_None;
    int kind, positional, sync = Q5PY_SYNC_DEFAULT;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OiO!iO!O!O!OO|iO!O:Plan", names, &handler,
                                     &kind, &PyTuple_Type, &params, &positional, &PyTuple_Type,
                                     &kwnames, &PyTuple_Type, &body, &PyTuple_Type, &result,
                                     &reject, &on_error, &sync, &PyTuple_Type, &guards, &websocket))
        return NULL;
    Py_ssize_t keywords = PyTuple_GET_SIZE(kwnames);
    if (kind < Q5PY_ASYNC || kind > Q5PY_THREAD || positional < 0 || sync < Q5PY_SYNC_DEFAULT ||
        sync > Q5PY_SYNC_INLINE || positional + keywords >= Q5PY_ARGS_MAX)
        return PyErr_Format(PyExc_ValueError, "malformed plan");
    q5py_plan *plan = (q5py_plan *)type->tp_alloc(type, 0);
    if (!plan) return NULL;
    plan->data = PyMem_Calloc(1, sizeof(*plan->data));
    if (!plan->data) {
        Py_DECREF(plan);
        return PyErr_NoMemory();
    }
    plan->kind = (q5py_kind)kind;
    plan->sync = (q5py_sync)sync;
    plan->handler = Py_NewRef(handler);
    q5py_plan_data *data = plan->data;
    data->positional_count = (uint16_t)positional;
    data->slot_count = (uint16_t)(positional + keywords);
    data->kwnames = keywords ? Py_NewRef(kwnames) : NULL;
    data->reject = Py_NewRef(reject);
    data->on_error = Py_NewRef(on_error);
    if (q5py_params_read(data, params) < 0 || read_body(plan, body) < 0 ||
        read_result(data, result) < 0 || (guards && q5py_guards_read(data, guards) < 0) ||
        (websocket != Py_None && !(plan->websocket = q5py_websocket_plan_new(websocket)))) {
        Py_DECREF(plan);
        return NULL;
    }
    return (PyObject *)plan;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static int plan_traverse(PyObject *self, visitproc visit, void *arg) {
    q5py_plan *plan = (q5py_plan *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(plan->handler);
    int rc = q5py_websocket_plan_traverse(plan->websocket, visit, arg);
    if (rc) return rc;
    q5py_plan_data *data = plan->data;
    if (!data) return 0;
    for (uint16_t i = 0; i < data->param_count; i++) {
        Py_VISIT(data->params[i].convert);
        Py_VISIT(data->params[i].fields);
        Py_VISIT(data->params[i].fallback);
    }
    for (uint8_t i = 0; i < data->guard_count; i++)
        Py_VISIT(data->guards[i]);
    Py_VISIT(data->kwnames);
    Py_VISIT(data->open_file);
    Py_VISIT(data->fields);
    Py_VISIT(data->none_fields);
    Py_VISIT(data->encode);
    Py_VISIT(data->finish);
    Py_VISIT(data->pull);
    Py_VISIT(data->reject);
    Py_VISIT(data->on_error);
    return q5py_shape_traverse(&data->shape, visit, arg);
}

static int plan_clear(PyObject *self) {
    q5py_plan *plan = (q5py_plan *)self;
    Py_CLEAR(plan->handler);
    q5py_websocket_plan_free(plan->websocket);
    plan->websocket = NULL;
    q5py_plan_data *data = plan->data;
    if (!data) return 0;
    plan->data = NULL;
    for (uint16_t i = 0; i < data->param_count; i++)
        q5py_param_clear(&data->params[i]);
    for (uint8_t i = 0; i < data->guard_count; i++)
        Py_CLEAR(data->guards[i]);
    PyMem_Free(data->params);
    Py_CLEAR(data->kwnames);
    Py_CLEAR(data->open_file);
    Py_CLEAR(data->lines);
    Py_CLEAR(data->none_lines);
    Py_CLEAR(data->fields);
    Py_CLEAR(data->none_fields);
    Py_CLEAR(data->encode);
    Py_CLEAR(data->finish);
    Py_CLEAR(data->pull);
    Py_CLEAR(data->reject);
    Py_CLEAR(data->on_error);
    q5py_shape_clear(&data->shape);
    PyMem_Free(data);
    return 0;
}

static void plan_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    plan_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- the type -------------------------------------------------------------------------------- */

static PyObject *plan_get_kind(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromLong(((q5py_plan *)self)->kind);
}

static PyObject *plan_get_handler(PyObject *self, void *closure) {
    (void)closure;
    return Py_NewRef(((q5py_plan *)self)->handler);
}

static PyObject *plan_get_body_max(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromUnsignedLongLong(((q5py_plan *)self)->body_max);
}

static PyObject *plan_get_accepts_body(PyObject *self, void *closure) {
    (void)closure;
    return PyBool_FromLong(((q5py_plan *)self)->accepts_body);
}

static PyObject *plan_get_preflights(PyObject *self, void *closure) {
    (void)closure;
    return PyBool_FromLong(((q5py_plan *)self)->data->preflights);
}

static PyObject *plan_get_streams_body(PyObject *self, void *closure) {
    (void)closure;
    return PyBool_FromLong(((q5py_plan *)self)->streams_body);
}

static PyObject *plan_get_route_number(PyObject *object, void *closure) {
    (void)closure;
    return PyLong_FromUnsignedLong(((q5py_plan *)object)->route_number);
}

static int plan_set_route_number(PyObject *object, PyObject *value, void *closure) {
    (void)closure;
    unsigned long number = value ? PyLong_AsUnsignedLong(value) : 0;
    if (number == (unsigned long)-1 && PyErr_Occurred()) return -1;
    ((q5py_plan *)object)->route_number = (uint32_t)number;
    return 0;
}

static PyGetSetDef plan_getset[] = {
    {"kind", plan_get_kind, NULL, "0 async, 1 on the loop, 2 in a thread.", NULL},
    {"handler", plan_get_handler, NULL, "The function that is called.", NULL},
    {"body_max", plan_get_body_max, NULL, "Bytes; 0: the server's default.", NULL},
    {"preflights", plan_get_preflights, NULL, "A guard answers browsers' OPTIONS.", NULL},
    {"streams_body", plan_get_streams_body, NULL, "Whether the handler takes it while it comes.",
     NULL},
    {"route_number", plan_get_route_number, plan_set_route_number,
     "int: of its path in Metrics; set before it serves.", NULL},
    {"accepts_body", plan_get_accepts_body, NULL, "Whether a body is read.", NULL},
    {0},
};

static PyType_Slot plan_slots[] = {
    {Py_tp_doc, "What C does for one typed route. Made by quintette.api; immutable."},
    {Py_tp_new, plan_new},
    {Py_tp_traverse, plan_traverse},
    {Py_tp_clear, plan_clear},
    {Py_tp_dealloc, plan_dealloc},
    {Py_tp_getset, plan_getset},
    {0, NULL},
};

static PyType_Spec plan_spec = {
    .name = "_quintette.Plan",
    .basicsize = sizeof(q5py_plan),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = plan_slots,
};

int q5py_init_plan(PyObject *module, q5py_state *state) {
    state->plan_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &plan_spec, NULL);
    if (!state->plan_type) return -1;
    return PyModule_AddType(module, state->plan_type);
}
