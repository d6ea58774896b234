#include "plan_bind.h"

#include "django/request.h"
#include "q5/percent.h"
#include "websocket/websocket.h"

/* ---- faults ---------------------------------------------------------------------------------- */

static int add_fault(q5py_bind *bind, PyObject *fault) {
    if (!fault) return -1;
    if (!bind->faults && !(bind->faults = PyList_New(0))) {
        Py_DECREF(fault);
        return -1;
    }
    int status = PyList_Append(bind->faults, fault);
    Py_DECREF(fault);
    return status;
}

int q5py_bind_fault(q5py_bind *bind, const q5py_param *param, q5py_fault code, PyObject *text,
                    PyObject *exception, long detail) {
    PyObject *fault = Py_BuildValue("(iiiOOl)", param->source, param->slot, code,
                                    text ? text : Py_None, exception ? exception : Py_None, detail);
    Py_XDECREF(exception);
    return add_fault(bind, fault);
}

int q5py_bind_fault_source(q5py_bind *bind, q5py_source source, q5py_fault code, long detail) {
    return add_fault(bind, Py_BuildValue("(iiiOOl)", source, -1, code, Py_None, Py_None, detail));
}

/* ---- one value ------------------------------------------------------------------------------- */

/* An exception of a converter is a fault of the request, unless it is none of Exception. */
static int take_convert_fault(q5py_bind *bind, const q5py_param *param, PyObject *text) {
    if (!PyErr_ExceptionMatches(PyExc_Exception) || PyErr_ExceptionMatches(PyExc_MemoryError))
        return -1;
    return q5py_bind_fault(bind, param, Q5PY_FAULT_CONVERT, text, q5py_exception_take(), 0);
}

/* Off the hot path: the refused text goes along, so that the message can name it. */
static int refuse_text(q5py_bind *bind, const q5py_param *param, q5_slice text, q5py_fault code) {
    PyObject *exception = NULL;
    if (PyErr_Occurred()) {
        if (code != Q5PY_FAULT_CONVERT || !PyErr_ExceptionMatches(PyExc_Exception) ||
            PyErr_ExceptionMatches(PyExc_MemoryError))
            return -1;
        exception = q5py_exception_take();
    }
    PyObject *copy = PyUnicode_DecodeUTF8(text.base, (Py_ssize_t)text.len, "replace");
    if (!copy) {
        Py_XDECREF(exception);
        return -1;
    }
    int status = q5py_bind_fault(bind, param, code, copy, exception, 0);
    Py_DECREF(copy);
    return status;
}

int q5py_bind_text(q5py_bind *bind, const q5py_param *param, q5_slice text) {
    q5py_fault code = Q5PY_FAULT_TYPE;
    PyObject *value = q5py_convert_text(param, text, &code);
    if (!value) return refuse_text(bind, param, text, code);
    q5py_bind_store(bind, param, value);
    return 0;
}

int q5py_bind_object(q5py_bind *bind, const q5py_param *param, PyObject *object) {
    if (!param->convert) {
        q5py_bind_store(bind, param, object);
        return 0;
    }
    PyObject *value = PyObject_CallOneArg(param->convert, object);
    if (!value) {
        int status = take_convert_fault(bind, param, object);
        Py_DECREF(object);
        return status;
    }
    Py_DECREF(object);
    q5py_bind_store(bind, param, value);
    return 0;
}

/* ---- path and request ------------------------------------------------------------------------ */

static int extract_path(q5py_bind *bind) {
    const q5py_plan_data *data = bind->data;
    const q5_route_match *match = &bind->x->match;
    for (uint16_t i = data->first[Q5PY_IN_PATH]; i < data->first[Q5PY_IN_PATH + 1]; i++) {
        const q5py_param *param = &data->params[i];
        if (param->index >= match->param_count) continue;
        q5_slice raw = match->params[param->index].value, text;
        int status = q5_percent_decode_arena(raw, Q5_PERCENT_STRICT, &bind->x->arena, &text);
        if (status == Q5_ENOMEM) {
            PyErr_NoMemory();
            return -1;
        }
        bool split = status == Q5_OK && text.base != raw.base && !(param->flags & Q5PY_SLASHES) &&
                     memchr(text.base, '/', text.len);
        if (status == Q5_OK && !split)
            status = q5py_bind_text(bind, param, text);
        else
            status = q5py_bind_fault(bind, param, split ? Q5PY_FAULT_PATH : Q5PY_FAULT_ENCODING,
                                     NULL, NULL, 0);
        if (status < 0) return -1;
        bind->found[i].seen = true;
    }
    return 0;
}

static int extract_request(q5py_bind *bind) {
    const q5py_plan_data *data = bind->data;
    for (uint16_t i = data->first[Q5PY_IN_REQUEST]; i < data->first[Q5PY_IN_REQUEST + 1]; i++) {
        PyObject *request = q5py_pass_request(bind->pass);
        if (!request) return -1;
        q5py_bind_store(bind, &data->params[i], Py_NewRef(request));
        bind->found[i].seen = true;
    }
    return 0;
}

/* The user was loaded by a guard of the route; nobody is the fallback, where there is one. */
static int extract_auth(q5py_bind *bind) {
    const q5py_plan_data *data = bind->data;
    for (uint16_t i = data->first[Q5PY_IN_AUTH]; i < data->first[Q5PY_IN_AUTH + 1]; i++) {
        const q5py_param *param = &data->params[i];
        PyObject *value = param->index ? bind->pass->auth : bind->pass->user;
        if (!value || value == Py_None) continue;
        q5py_bind_store(bind, param, Py_NewRef(value));
        bind->found[i].seen = true;
    }
    return 0;
}

static int extract_socket(q5py_bind *bind) {
    const q5py_plan_data *data = bind->data;
    for (uint16_t i = data->first[Q5PY_IN_SOCKET]; i < data->first[Q5PY_IN_SOCKET + 1]; i++) {
        PyObject *socket = q5py_websocket_of(bind->x);
        if (!socket) return -1;
        q5py_bind_store(bind, &data->params[i], socket);
        bind->found[i].seen = true;
    }
    return 0;
}

/* One for the request, whoever takes it. */
static int extract_after(q5py_bind *bind) {
    const q5py_plan_data *data = bind->data;
    for (uint16_t i = data->first[Q5PY_IN_AFTER]; i < data->first[Q5PY_IN_AFTER + 1]; i++) {
        PyObject **after = &bind->pass->after;
        if (!*after) *after = PyObject_CallNoArgs(data->params[i].convert);
        if (!*after) return -1;
        q5py_bind_store(bind, &data->params[i], Py_NewRef(*after));
        bind->found[i].seen = true;
    }
    return 0;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int fill_fallbacks(q5py_bind *bind) {
    const q5py_plan_data *data = bind->data;
    for (uint16_t i = 0; i < data->param_count; i++) {
        const q5py_param *param = &data->params[i];
        if (bind->found[i].seen) continue;
        if (!param->fallback) {
            if (param->source >= Q5PY_IN_FORM && bind->body_refused) continue;
            if (q5py_bind_fault(bind, param, Q5PY_FAULT_MISSING, NULL, NULL, 0) < 0) return -1;
            continue;
        }
        PyObject *value =
            param->is_factory ? PyObject_CallNoArgs(param->fallback) : Py_NewRef(param->fallback);
        if (!value) return -1;
        q5py_bind_store(bind, param, value);
    }
    return 0;
}

static bool asks(const q5py_plan_data *data, q5py_source source) {
    return data->first[source] != data->first[source + 1];
}

static int extract(q5py_bind *bind) {
    const q5py_plan_data *data = bind->data;
    if (asks(data, Q5PY_IN_PATH) && extract_path(bind) < 0) return -1;
    if (asks(data, Q5PY_IN_QUERY) && q5py_extract_query(bind) < 0) return -1;
    if (asks(data, Q5PY_IN_HEADER) && q5py_extract_headers(bind) < 0) return -1;
    if (asks(data, Q5PY_IN_COOKIE) && q5py_extract_cookies(bind) < 0) return -1;
    if (data->media != Q5PY_MEDIA_NONE && q5py_extract_body(bind) < 0) return -1;
    if (asks(data, Q5PY_IN_REQUEST) && extract_request(bind) < 0) return -1;
    if (asks(data, Q5PY_IN_AUTH) && extract_auth(bind) < 0) return -1;
    if (asks(data, Q5PY_IN_SOCKET) && extract_socket(bind) < 0) return -1;
    if (asks(data, Q5PY_IN_AFTER) && extract_after(bind) < 0) return -1;
    return fill_fallbacks(bind);
}

/* The hook raises what stands for the faults; JSON goes along for a closer look. */
static void reject(q5py_bind *bind) {
    PyObject *body = bind->data->media == Q5PY_MEDIA_JSON ? q5py_body_bytes(bind->x)
                                                          : PyBytes_FromStringAndSize(NULL, 0);
    if (!body) return;
    PyObject *answer = PyObject_CallFunctionObjArgs(bind->data->reject, bind->faults, body, NULL);
    Py_DECREF(body);
    if (!answer) return;
    Py_DECREF(answer);
    PyErr_SetString(PyExc_SystemError, "the plan's reject did not raise");
}

int q5py_plan_bind(q5py_pass *pass, q5py_args *ret_args) {
    const q5py_plan_data *data = pass->plan->data;
    q5_exchange *x = pass->x;
    PyObject **slots = q5_arena_alloc(&x->arena, (data->slot_count + 1u) * sizeof(*slots));
    if (!slots) {
        PyErr_NoMemory();
        return -1;
    }
    memset(slots, 0, (data->slot_count + 1u) * sizeof(*slots));
    *ret_args = (q5py_args){.slots = slots, .count = data->slot_count};
    if (data->param_count == 0 && data->media == Q5PY_MEDIA_NONE) return 0;

    q5py_bind bind;
    bind.pass = pass;
    bind.state = pass->state;
    bind.data = data;
    bind.x = x;
    bind.values = slots + 1;
    bind.faults = bind.body = NULL;
    bind.body_refused = false;
    memset(bind.found, 0, data->param_count * sizeof(bind.found[0]));
    q5_arena_init(&bind.scratch, NULL, SIZE_MAX);

    int status = extract(&bind);
    if (status == 0 && bind.faults) {
        reject(&bind);
        status = -1;
    }
    q5_arena_deinit(&bind.scratch);
    for (uint16_t i = 0; i < data->param_count; i++)
        Py_XDECREF(bind.found[i].objects);
    Py_XDECREF(bind.faults);
    Py_XDECREF(bind.body);
    if (status < 0) q5py_args_clear(ret_args);
    return status;
}

void q5py_args_clear(q5py_args *args) {
    for (Py_ssize_t i = 1; i <= args->count; i++)
        Py_CLEAR(args->slots[i]);
    args->count = 0;
}

PyObject *q5py_plan_call(q5py_plan *plan, q5py_args *args) {
    const q5py_plan_data *data = plan->data;
    size_t positional = data->positional_count | PY_VECTORCALL_ARGUMENTS_OFFSET;
    PyObject *result =
        PyObject_Vectorcall(plan->handler, args->slots + 1, positional, data->kwnames);
    q5py_args_clear(args);
    return result;
}
