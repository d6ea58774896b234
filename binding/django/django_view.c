/* BaseHandler._get_response: resolve, view middleware, the view, deferred rendering. Methods that a
 * subclass or somebody's patch has replaced are called; what is rare is left to Django's own. */
#include "django.h"

#include "convert.h"

/* ---- resolving ------------------------------------------------------------------------------- */

static void target_clear(q5py_target *self) {
    Py_CLEAR(self->callback);
    Py_CLEAR(self->args);
    Py_CLEAR(self->kwargs);
}

static int resolve(q5py_state *state, PyObject *handler, PyObject *request, q5py_target *ret) {
    q5py_django *django = state->django;
    PyObject *ours = _PyType_Lookup(state->django_handler_type, state->str_resolve_request);
    if (q5py_is_own(Py_TYPE(handler), state->str_resolve_request, ours) &&
        q5py_is_own((PyTypeObject *)django->base_handler, state->str_resolve_request,
                    django->handler_resolve_request))
        return q5py_resolve_request(state, request, ret);
    PyObject *found = PyObject_CallMethodOneArg(handler, state->str_resolve_request, request);
    int rc = found ? q5py_take_target(found, ret) : -1;
    Py_XDECREF(found);
    return rc;
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* function(request, *args, **kwargs) */
static PyObject *call_with(PyObject *function, PyObject *request, PyObject *args,
                           PyObject *kwargs) {
    if (PyTuple_CheckExact(args) && PyTuple_GET_SIZE(args) == 0 && PyDict_CheckExact(kwargs)) {
        PyObject *stack[2] = {NULL, request};
        return PyObject_VectorcallDict(function, stack + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                       PyDict_GET_SIZE(kwargs) ? kwargs : NULL);
    }
    PyObject *list = PyList_New(0), *all = NULL, *result = NULL;
    PyObject *dict = PyDict_New();
    if (list && dict && PyList_Append(list, request) == 0 &&
        PyList_SetSlice(list, 1, 1, args) == 0 && PyDict_Update(dict, kwargs) == 0)
        all = PyList_AsTuple(list);
    if (all) result = PyObject_Call(function, all, dict);
    Py_XDECREF(all);
    Py_XDECREF(list);
    Py_XDECREF(dict);
    return result;
}

/* The list of that name that load_middleware() made; new reference. */
static PyObject *middleware(PyObject *handler, PyObject *name) {
    PyObject *list = PyObject_GetAttr(handler, name);
    if (!list || PyList_Check(list)) return list;
    PyErr_Format(PyExc_TypeError, "%U is not a list", name);
    Py_DECREF(list);
    return NULL;
}

/* ---- exceptions ------------------------------------------------------------------------------ */

static PyObject *ask_middleware(q5py_state *state, PyObject *handler, PyObject *error,
                                PyObject *request) {
    PyObject *args[3] = {handler, error, request};
    return PyObject_VectorcallMethod(state->str_process_exception_by_middleware, args,
                                     3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

/* The view or the rendering has raised: what the exception middleware answers, or NULL with the
 * exception, which it sees as the one that is being handled. */
static PyObject *recover(q5py_state *state, PyObject *handler, PyObject *request) {
    if (!PyErr_ExceptionMatches(PyExc_Exception)) return NULL;
    /* Before any look-up in a type: one that misses its cache takes the exception for its own. */
    PyObject *error = q5py_exception_take();
    if (q5py_is_own(Py_TYPE(handler), state->str_process_exception_by_middleware,
                    state->django->handler_process_exception_by_middleware)) {
        PyObject *list = middleware(handler, state->str__exception_middleware);
        if (!list) return Py_DECREF(error), NULL;
        bool none = PyList_GET_SIZE(list) == 0;
        Py_DECREF(list);
        if (none) {
            q5py_exception_set(error);
            return NULL;
        }
    }
    PyObject *handled = PyErr_GetHandledException();
    PyErr_SetHandledException(error);
    PyObject *response = ask_middleware(state, handler, error, request);
    PyErr_SetHandledException(handled);
    Py_XDECREF(handled);
    if (response != Py_None) {
        Py_DECREF(error);
        return response;
    }
    Py_DECREF(response);
    q5py_exception_set(error);
    return NULL;
}

/* ---- the view -------------------------------------------------------------------------------- */

/* Coroutine functions have the code's flag, or a mark in their dict. A plain function without
 * either is none; Django's way of asking knows about all else. */
static int is_coroutine_function(q5py_state *state, PyObject *view) {
    if (PyFunction_Check(view)) {
        PyFunctionObject *function = (PyFunctionObject *)view;
        PyObject *dict = function->func_dict;
        bool flagged = ((PyCodeObject *)function->func_code)->co_flags & CO_COROUTINE;
        int marked = dict ? PyDict_Contains(dict, state->str__is_coroutine_mark) : 0;
        if (marked == 0 && dict) marked = PyDict_Contains(dict, state->str__is_coroutine);
        if (marked < 0) return -1;
        if (!flagged && !marked) return 0;
    }
    PyObject *answer = PyObject_CallOneArg(state->django->iscoroutinefunction, view);
    int is = answer ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(answer);
    return is;
}

/* 1: some database has ATOMIC_REQUESTS, or one cannot tell; 0: none; -1 with an exception. */
static int is_any_atomic(q5py_state *state) {
    PyObject *settings = PyObject_GetAttr(state->django->connections, state->str_settings);
    if (!settings) return -1;
    PyObject *alias, *database;
    Py_ssize_t at = 0;
    int any = !PyDict_CheckExact(settings);
    while (!any && PyDict_Next(settings, &at, &alias, &database)) {
        PyObject *value = PyDict_CheckExact(database)
                              ? PyDict_GetItemWithError(database, state->str_ATOMIC_REQUESTS)
                              : NULL;
        any = value != Py_False;
        if (PyErr_Occurred()) any = -1;
    }
    Py_DECREF(settings);
    return any;
}

static PyObject *make_atomic(q5py_state *state, PyObject *handler, PyObject *view) {
    int any = q5py_is_own(Py_TYPE(handler), state->str_make_view_atomic,
                          state->django->handler_make_view_atomic)
                  ? is_any_atomic(state)
                  : 1;
    if (any < 0) return NULL;
    return any ? PyObject_CallMethodOneArg(handler, state->str_make_view_atomic, view)
               : Py_NewRef(view);
}

static PyObject *call_view(q5py_state *state, PyObject *handler, PyObject *request,
                           const q5py_target *to) {
    PyObject *view = make_atomic(state, handler, to->callback);
    int is_async = view ? is_coroutine_function(state, view) : -1;
    if (is_async > 0) Py_SETREF(view, PyObject_CallOneArg(state->django->async_to_sync, view));
    if (is_async < 0 || !view) {
        Py_XDECREF(view);
        return NULL;
    }
    PyObject *response = call_with(view, request, to->args, to->kwargs);
    Py_DECREF(view);
    return response ? response : recover(state, handler, request);
}

/* What the first view middleware answers that answers at all; Py_None: none did, or there is none.
 * As in Django, the last one's answer may also be something empty that is not None. */
static PyObject *ask_view_middleware(q5py_state *state, PyObject *handler, PyObject *request,
                                     const q5py_target *to) {
    PyObject *list = middleware(handler, state->str__view_middleware);
    PyObject *response = list ? Py_NewRef(Py_None) : NULL;
    int truth = 0;
    for (Py_ssize_t i = 0; response && truth == 0 && i < PyList_GET_SIZE(list); i++) {
        PyObject *args[4] = {request, to->callback, to->args, to->kwargs};
        PyObject *method = Py_NewRef(PyList_GET_ITEM(list, i));
        Py_SETREF(response, PyObject_Vectorcall(method, args, 4, NULL));
        Py_DECREF(method);
        truth = response && response != Py_None ? PyObject_IsTrue(response) : 0;
        if (truth < 0) Py_CLEAR(response);
    }
    Py_XDECREF(list);
    return response;
}

/* ---- the response ---------------------------------------------------------------------------- */

/* Raises for None and for coroutines; Django words it. */
static int check(q5py_state *state, PyObject *handler, PyObject *response, PyObject *culprit,
                 PyObject *name) {
    q5py_django *django = state->django;
    bool own =
        q5py_is_own(Py_TYPE(handler), state->str_check_response, django->handler_check_response);
    if (own && PyObject_TypeCheck(response, (PyTypeObject *)django->response_class)) return 0;
    PyObject *args[4] = {handler, response, culprit, name};
    PyObject *done = PyObject_VectorcallMethod(
        state->str_check_response, args, (name ? 4 : 3) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* "Class.process_template_response" */
static PyObject *name_of(PyObject *method) {
    PyObject *self = PyObject_GetAttrString(method, "__self__");
    PyObject *cls = self ? PyObject_GetAttrString(self, "__class__") : NULL;
    PyObject *name = cls ? PyObject_GetAttrString(cls, "__name__") : NULL;
    PyObject *text = name ? PyUnicode_FromFormat("%S.process_template_response", name) : NULL;
    Py_XDECREF(self);
    Py_XDECREF(cls);
    Py_XDECREF(name);
    return text;
}

static int run_template_middleware(q5py_state *state, PyObject *handler, PyObject *request,
                                   PyObject **response) {
    PyObject *list = middleware(handler, state->str__template_response_middleware);
    int rc = list ? 0 : -1;
    for (Py_ssize_t i = 0; rc == 0 && i < PyList_GET_SIZE(list); i++) {
        PyObject *method = Py_NewRef(PyList_GET_ITEM(list, i));
        PyObject *args[2] = {request, *response};
        Py_SETREF(*response, PyObject_Vectorcall(method, args, 2, NULL));
        PyObject *name = *response ? name_of(method) : NULL;
        rc = name ? check(state, handler, *response, method, name) : -1;
        Py_XDECREF(name);
        Py_DECREF(method);
    }
    Py_XDECREF(list);
    return rc;
}

/* The attribute "render", if it can be called; 1, 0, or -1 with an exception. */
static int is_deferred(q5py_state *state, PyObject *response) {
    PyObject *render = NULL;
    if (q5py_find_attribute(response, state->str_render, &render) < 0) return -1;
    int deferred = render && PyCallable_Check(render);
    Py_XDECREF(render);
    return deferred;
}

/* Takes the response over. */
static PyObject *render(q5py_state *state, PyObject *handler, PyObject *request,
                        PyObject *response) {
    int deferred = is_deferred(state, response);
    if (deferred == 0) return response;
    if (deferred < 0 || run_template_middleware(state, handler, request, &response)) {
        Py_XDECREF(response);
        return NULL;
    }
    PyObject *rendered = PyObject_CallMethodNoArgs(response, state->str_render);
    Py_DECREF(response);
    return rendered ? rendered : recover(state, handler, request);
}

PyObject *q5py_view_response(q5py_state *state, PyObject *handler, PyObject *request) {
    q5py_target to = {NULL, NULL, NULL};
    if (resolve(state, handler, request, &to)) return NULL;
    PyObject *response = ask_view_middleware(state, handler, request, &to);
    if (response == Py_None) {
        Py_DECREF(response);
        response = call_view(state, handler, request, &to);
    }
    if (response && check(state, handler, response, to.callback, NULL)) Py_CLEAR(response);
    target_clear(&to);
    return response ? render(state, handler, request, response) : NULL;
}
