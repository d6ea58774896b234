/* _quintette.Segment: Django's middleware that stand next to each other, as one callable. */
#include "middleware.h"

#include "convert.h"

/* ---- steps ----------------------------------------------------------------------------------- */

/* New reference, or NULL without an exception. */
static PyObject *own_method(PyObject *instance, PyObject *name) {
    return Py_XNewRef(_PyType_Lookup(Py_TYPE(instance), name));
}

static int get_truth(PyObject *object, const char *name, bool *ret) {
    PyObject *value = PyObject_GetAttrString(object, name);
    int truth = value ? PyObject_IsTrue(value) : -1;
    Py_XDECREF(value);
    *ret = truth > 0;
    return truth < 0 ? -1 : 0;
}

/* (kind, instance, fields, secure fields) */
static int read_step(q5py_state *state, PyObject *given, q5py_step *step) {
    int kind;
    PyObject *instance, *fields, *secure_fields;
    if (!PyArg_ParseTuple(given, "iOOO:step", &kind, &instance, &fields, &secure_fields)) return -1;
    if (kind < 0 || kind >= Q5PY_STEP_KINDS) {
        PyErr_SetString(PyExc_ValueError, "no such kind of step");
        return -1;
    }
    step->kind = (q5py_step_kind)kind;
    step->instance = Py_NewRef(instance);
    step->fields = PyTuple_Check(fields) ? Py_NewRef(fields) : NULL;
    step->secure_fields = PyTuple_Check(secure_fields) ? Py_NewRef(secure_fields) : NULL;
    step->own_request = own_method(instance, state->str_process_request);
    step->own_response = own_method(instance, state->str_process_response);
    if (kind == Q5PY_STEP_SECURITY) {
        if (!step->fields) {
            PyErr_SetString(PyExc_TypeError, "this step has fields");
            return -1;
        }
        return get_truth(instance, "redirect", &step->redirects);
    }
    if (kind != Q5PY_STEP_SESSION) return 0;
    step->store_class = PyObject_GetAttrString(instance, "SessionStore");
    return step->store_class ? 0 : -1;
}

/* Calls the method of that name on the middleware, whatever is there now. */
static PyObject *ask(const q5py_step *step, PyObject *name, PyObject *request, PyObject *response) {
    PyObject *args[3] = {step->instance, request, response};
    return PyObject_VectorcallMethod(name, args,
                                     (response ? 3 : 2) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

/* ---- exceptions ------------------------------------------------------------------------------ */

/* What convert_exception_to_response() around a middleware does with the current exception. */
static PyObject *convert(q5py_state *state, PyObject *request) {
    if (!PyErr_ExceptionMatches(PyExc_Exception)) return NULL;
    PyObject *error = q5py_exception_take(), *handled = PyErr_GetHandledException();
    PyErr_SetHandledException(error);
    PyObject *args[2] = {request, error};
    PyObject *response = PyObject_Vectorcall(state->django->response_for_exception, args, 2, NULL);
    PyErr_SetHandledException(handled);
    Py_XDECREF(handled);
    Py_DECREF(error);
    return response;
}

/* ---- in order -------------------------------------------------------------------------------- */

/* The steps from *at on: a response that one gave, or None when all are through; NULL with the
 * exception of the step *at. Steps before *at, and with a response the one at it, see the response.
 * With `todo` what may block is not called but given back as *todo, a method of the step *at. */
static PyObject *enter(q5py_segment *self, PyObject *request, int *at, PyObject **todo) {
    q5py_state *state = self->state;
    for (; *at < self->count; (*at)++) {
        q5py_step *step = &self->steps[*at];
        int rc = q5py_step_request(state, step, request);
        if (rc == Q5PY_STEP_DONE) continue;
        if (rc < 0) return NULL;
        if (todo && q5py_step_blocks(state, step, true)) {
            *todo = PyObject_GetAttr(step->instance, state->str_process_request);
            return *todo ? Py_NewRef(Py_None) : NULL;
        }
        PyObject *response = ask(step, state->str_process_request, request, NULL);
        int truth = response && response != Py_None ? PyObject_IsTrue(response) : 0;
        if (!response || truth < 0 || (truth > 0 && step->kind != Q5PY_STEP_REMOTE_USER)) {
            if (truth < 0) Py_CLEAR(response);
            return response;
        }
        Py_DECREF(response);
    }
    return Py_NewRef(Py_None);
}

/* The steps below *at, the last first, with the response, which is taken over. NULL with the
 * exception of the step *at, which is then the one that raised. */
static PyObject *leave(q5py_segment *self, PyObject *request, PyObject *response, int *at,
                       PyObject **todo) {
    q5py_state *state = self->state;
    q5py_leaving leaving = {.request = request, .response = response, .on_loop = todo != NULL};
    while (leaving.response && *at > 0) {
        q5py_step *step = &self->steps[--*at];
        int rc = q5py_step_response(state, step, &leaving);
        if (rc == Q5PY_STEP_DONE) continue;
        if (rc < 0) {
            Py_CLEAR(leaving.response);
            break;
        }
        Py_CLEAR(leaving.store);
        if (todo && q5py_step_blocks(state, step, false)) {
            *todo = PyObject_GetAttr(step->instance, state->str_process_response);
            if (!*todo) Py_CLEAR(leaving.response);
            break;
        }
        Py_SETREF(leaving.response,
                  ask(step, state->str_process_response, request, leaving.response));
    }
    Py_XDECREF(leaving.store);
    return leaving.response;
}

static PyObject *get_response(q5py_segment *self, PyObject *request) {
    PyObject *response = self->handler ? q5py_handler_response(self->handler, request)
                                       : PyObject_CallOneArg(self->get_response, request);
    return response || !self->raises ? response : convert(self->state, request);
}

static PyObject *run(q5py_segment *self, PyObject *request) {
    int at = 0;
    PyObject *response = enter(self, request, &at, NULL);
    if (!response) {
        response = convert(self->state, request);
    } else if (response == Py_None) {
        Py_DECREF(response);
        response = get_response(self, request);
    } else {
        at++;
    }
    while (response && at > 0) {
        response = leave(self, request, response, &at, NULL);
        if (!response) response = convert(self->state, request);
    }
    return response;
}

static PyObject *segment_call(PyObject *object, PyObject *args, PyObject *kwargs) {
    q5py_segment *self = (q5py_segment *)object;
    PyObject *request;
    static char *names[] = {"request", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:get_response", names, &request)) return NULL;
    if (!self->state->django) {
        PyErr_SetString(PyExc_RuntimeError, "set_django() has not been called");
        return NULL;
    }
    return run(self, request);
}

/* ---- for coroutines -------------------------------------------------------------------------- */

/* (at, response | exception | None, todo | None) */
static PyObject *told(int at, PyObject *response, PyObject *todo) {
    if (!response) {
        if (!PyErr_ExceptionMatches(PyExc_Exception)) return NULL;
        response = q5py_exception_take();
    }
    return Py_BuildValue("(iNN)", at, response, todo ? todo : Py_NewRef(Py_None));
}

PyDoc_STRVAR(
    enter_doc,
    "enter(request, at) -> (at, response | exception | None, todo | None)\n\n"
    "process_request() of the steps from `at` on; todo is one that may block, of the step\n"
    "at `at`.");

static PyObject *segment_enter(PyObject *object, PyObject *args) {
    PyObject *request, *todo = NULL;
    int at;
    if (!PyArg_ParseTuple(args, "Oi:enter", &request, &at)) return NULL;
    PyObject *response = enter((q5py_segment *)object, request, &at, &todo);
    return told(at, response, todo);
}

PyDoc_STRVAR(leave_doc,
             "leave(request, response, at) -> (at, response | exception, todo | None)\n\n"
             "process_response() of the steps below `at`, the last first.");

static PyObject *segment_leave(PyObject *object, PyObject *args) {
    PyObject *request, *response, *todo = NULL;
    int at;
    if (!PyArg_ParseTuple(args, "OOi:leave", &request, &response, &at)) return NULL;
    response = leave((q5py_segment *)object, request, Py_NewRef(response), &at, &todo);
    return told(at, response, todo);
}

/* ---- the type -------------------------------------------------------------------------------- */

static PyObject *segment_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"steps", "get_response", "handler", "raises", NULL};
    PyObject *steps, *next, *handler;
    int raises;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!OOp:Segment", names, &PyTuple_Type, &steps,
                                     &next, &handler, &raises))
        return NULL;
    if (PyTuple_GET_SIZE(steps) > Q5PY_STEPS_MAX) {
        PyErr_SetString(PyExc_ValueError, "too many middleware");
        return NULL;
    }
    q5py_segment *self = (q5py_segment *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->state = q5py_state_of_type(type);
    self->get_response = Py_NewRef(next);
    self->raises = raises;
    if (handler != Py_None && PyObject_TypeCheck(handler, self->state->django_handler_type))
        self->handler = Py_NewRef(handler);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(steps); i++) {
        self->count++;
        if (read_step(self->state, PyTuple_GET_ITEM(steps, i), &self->steps[i])) {
            Py_DECREF(self);
            return NULL;
        }
    }
    return (PyObject *)self;
}

static int segment_traverse(PyObject *object, visitproc visit, void *arg) {
    q5py_segment *self = (q5py_segment *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->get_response);
    Py_VISIT(self->handler);
    for (uint8_t i = 0; i < self->count; i++) {
        Py_VISIT(self->steps[i].instance);
        Py_VISIT(self->steps[i].store_class);
    }
    return 0;
}

static void clear_step(q5py_step *step) {
    Py_CLEAR(step->instance);
    Py_CLEAR(step->own_request);
    Py_CLEAR(step->own_response);
    Py_CLEAR(step->fields);
    Py_CLEAR(step->secure_fields);
    Py_CLEAR(step->store_class);
    Py_CLEAR(step->frame_option);
    Py_CLEAR(step->frame_field);
}

static int segment_clear(PyObject *object) {
    q5py_segment *self = (q5py_segment *)object;
    for (; self->count; self->count--)
        clear_step(&self->steps[self->count - 1]);
    Py_CLEAR(self->get_response);
    Py_CLEAR(self->handler);
    return 0;
}

static void segment_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    segment_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef segment_methods[] = {
    {"enter", segment_enter, METH_VARARGS, enter_doc},
    {"leave", segment_leave, METH_VARARGS, leave_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot segment_slots[] = {
    {Py_tp_doc, "Neighbouring middleware of Django's as one get_response(request)."},
    {Py_tp_new, segment_new},
    {Py_tp_call, segment_call},
    {Py_tp_traverse, segment_traverse},
    {Py_tp_clear, segment_clear},
    {Py_tp_dealloc, segment_dealloc},
    {Py_tp_methods, segment_methods},
    {0, NULL},
};

static PyType_Spec segment_spec = {
    .name = "_quintette.Segment",
    .basicsize = sizeof(q5py_segment),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = segment_slots,
};

int q5py_init_segment(PyObject *module, q5py_state *state) {
    state->segment_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &segment_spec, NULL);
    return state->segment_type ? PyModule_AddType(module, state->segment_type) : -1;
}
