/* process_response() of Django's middleware. Fields go straight into the dict behind
 * response.headers. */
#include "middleware.h"

#include "convert.h"

static bool is_unchanged(q5py_state *state, const q5py_step *step) {
    return q5py_is_own(Py_TYPE(step->instance), state->str_process_response, step->own_response);
}

long q5py_status_of(q5py_state *state, PyObject *response) {
    PyObject *status = PyObject_GetAttr(response, state->str_status_code);
    long number = status ? PyLong_AsLong(status) : -1;
    Py_XDECREF(status);
    return number;
}

/* Each of the tuple's (lower-case name, (name, value)), where the response has no such field. */
static int set_defaults(PyObject *store, PyObject *fields) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(fields); i++) {
        PyObject *field = PyTuple_GET_ITEM(fields, i);
        if (!PyDict_SetDefault(store, PyTuple_GET_ITEM(field, 0), PyTuple_GET_ITEM(field, 1)))
            return -1;
    }
    return 0;
}

static int finish_security(q5py_state *state, q5py_step *step, PyObject *request,
                           PyObject *response, PyObject **store) {
    int has = q5py_response_store(state, response, store);
    if (has <= 0) return has < 0 ? -1 : Q5PY_STEP_PYTHON;
    if (step->secure_fields) {
        PyObject *secure = PyObject_CallMethodNoArgs(request, state->str_is_secure);
        int is = secure ? PyObject_IsTrue(secure) : -1;
        Py_XDECREF(secure);
        if (is < 0 || (is && set_defaults(*store, step->secure_fields))) return -1;
    }
    return set_defaults(*store, step->fields);
}

/* The length of the content; -1 with an exception. */
static Py_ssize_t content_len(q5py_state *state, PyObject *response) {
    PyObject *content = PyObject_GetAttr(response, state->str_content);
    Py_ssize_t len = content ? PyObject_Size(content) : -1;
    Py_XDECREF(content);
    return len;
}

static int is_streaming(q5py_state *state, PyObject *response) {
    return q5py_truth_of(response, state->str_streaming);
}

int q5py_put_content_length(q5py_state *state, PyObject *response, PyObject *store) {
    Py_ssize_t len = content_len(state, response);
    PyObject *text = len < 0 ? NULL : PyUnicode_FromFormat("%zd", len);
    int rc = q5py_store_put(store, state->content_length_lower, state->content_length, text);
    Py_XDECREF(text);
    return rc;
}

static int finish_common(q5py_state *state, PyObject *response, PyObject **store) {
    long status = q5py_status_of(state, response);
    if (status == -1 && PyErr_Occurred()) return -1;
    int has = status == 404 ? 0 : q5py_response_store(state, response, store);
    if (has <= 0) return has < 0 ? -1 : Q5PY_STEP_PYTHON;
    int streaming = is_streaming(state, response);
    if (streaming) return streaming < 0 ? -1 : Q5PY_STEP_DONE;
    has = PyDict_Contains(*store, state->content_length_lower);
    if (has) return has < 0 ? -1 : Q5PY_STEP_DONE;
    return q5py_put_content_length(state, response, *store);
}

/* (name, value) of the setting as it is now. */
static PyObject *frame_field(q5py_state *state, q5py_step *step) {
    PyObject *option = q5py_setting(state, state->str_X_FRAME_OPTIONS);
    if (!option) return NULL;
    if (option != step->frame_option) {
        PyObject *upper = PyObject_CallMethod(option, "upper", NULL);
        PyObject *field = upper ? Py_BuildValue("(sO)", "X-Frame-Options", upper) : NULL;
        Py_XDECREF(upper);
        Py_XSETREF(step->frame_field, field);
        Py_XSETREF(step->frame_option, field ? Py_NewRef(option) : NULL);
    }
    Py_DECREF(option);
    return step->frame_field;
}

static int finish_frame(q5py_state *state, q5py_step *step, PyObject *response, PyObject **store) {
    int has = q5py_response_store(state, response, store);
    if (has <= 0) return has < 0 ? -1 : Q5PY_STEP_PYTHON;
    if (!q5py_is_own(Py_TYPE(step->instance), state->str_get_xframe_options_value,
                     state->django->xframe_options_value))
        return Q5PY_STEP_PYTHON;
    has = PyDict_Contains(*store, state->frame_options_lower);
    if (has) return has < 0 ? -1 : Q5PY_STEP_DONE;
    PyObject *exempt;
    int found = q5py_find_attribute(response, state->str_xframe_options_exempt, &exempt);
    int is_exempt = found > 0 ? PyObject_IsTrue(exempt) : found;
    Py_XDECREF(exempt);
    if (is_exempt) return is_exempt < 0 ? -1 : Q5PY_STEP_DONE;
    PyObject *field = frame_field(state, step);
    if (field) return PyDict_SetItem(*store, state->frame_options_lower, field);
    if (!PyErr_ExceptionMatches(PyExc_AttributeError)) return -1;
    PyErr_Clear(); /* settings without it: the middleware has its own default */
    return Q5PY_STEP_PYTHON;
}

/* Nobody asked for the session: a cookie that may be one stays as it is. */
static int leave_session(q5py_state *state, PyObject *request) {
    PyObject *name = q5py_setting(state, state->str_SESSION_COOKIE_NAME);
    if (!name) return -1;
    q5_slice key = {NULL, 0};
    int found = q5py_wire_cookie(state, request, name, &key);
    Py_DECREF(name);
    if (found <= 0) return found;
    if (found == 2 || key.len < 8) return Q5PY_STEP_PYTHON;
    return q5py_setting_truth(state, state->str_SESSION_SAVE_EVERY_REQUEST);
}

/* A session that was read, is not empty and need not be saved: the response varies with it. */
static int leave_read_session(q5py_state *state, const q5py_step *step, PyObject *session,
                              PyObject *response, PyObject **store) {
    if ((PyObject *)Py_TYPE(session) != step->store_class) return Q5PY_STEP_PYTHON;
    int save = q5py_truth_of(session, state->str_modified);
    if (save == 0) save = q5py_setting_truth(state, state->str_SESSION_SAVE_EVERY_REQUEST);
    if (save) return save;
    int has_key = q5py_truth_of(session, state->str_session_key);
    if (has_key <= 0) return has_key < 0 ? -1 : Q5PY_STEP_PYTHON;
    int read = q5py_truth_of(session, state->str_accessed);
    if (read <= 0) return read;
    int has = q5py_response_store(state, response, store);
    if (has <= 0) return has < 0 ? -1 : Q5PY_STEP_PYTHON;
    return q5py_patch_vary(state, *store, state->cookie);
}

static int finish_session(q5py_state *state, q5py_step *step, PyObject *request, PyObject *response,
                          PyObject **store) {
    PyObject *dict = PyObject_GenericGetDict(request, NULL);
    if (!dict) return -1;
    PyObject *session = Py_XNewRef(PyDict_GetItemWithError(dict, state->str_session));
    Py_DECREF(dict);
    if (session) {
        int rc = leave_read_session(state, step, session, response, store);
        Py_DECREF(session);
        return rc;
    }
    if (PyErr_Occurred()) return -1;
    bool is_lazy = ((q5py_request *)request)->lazy & Q5PY_LAZY_SESSION;
    return is_lazy ? leave_session(state, request) : Q5PY_STEP_PYTHON;
}

static int finish_csrf(q5py_state *state, PyObject *request) {
    PyObject *dict = PyObject_GenericGetDict(request, NULL);
    if (!dict) return -1;
    PyObject *meta = PyDict_GetItemWithError(dict, state->str_META), *flag = NULL;
    int rc = meta ? Q5PY_STEP_PYTHON : Q5PY_STEP_DONE;
    if (meta && PyDict_CheckExact(meta)) {
        flag = PyDict_GetItemWithError(meta, state->str_CSRF_COOKIE_NEEDS_UPDATE);
        rc = flag ? PyObject_IsTrue(flag) : Q5PY_STEP_DONE;
    }
    Py_DECREF(dict);
    return PyErr_Occurred() ? -1 : rc;
}

static int finish_messages(q5py_state *state, PyObject *request) {
    return q5py_has_own(request, state->str__messages);
}

static int finish_broken_links(q5py_state *state, PyObject *response) {
    long status = q5py_status_of(state, response);
    return status == -1 && PyErr_Occurred() ? -1 : status == 404;
}

int q5py_step_response(q5py_state *state, q5py_step *step, q5py_leaving *leaving) {
    if (!step->own_response) return Q5PY_STEP_DONE;
    if (!is_unchanged(state, step)) return Q5PY_STEP_PYTHON;
    PyObject *request = leaving->request, *response = leaving->response, **store = &leaving->store;
    bool wire = q5py_is_wire_request(state, request);
    switch (step->kind) {
    case Q5PY_STEP_SECURITY:
        return finish_security(state, step, request, response, store);
    case Q5PY_STEP_COMMON:
        return finish_common(state, response, store);
    case Q5PY_STEP_FRAME:
        return finish_frame(state, step, response, store);
    case Q5PY_STEP_GZIP:
        return q5py_finish_gzip(state, step, leaving);
    case Q5PY_STEP_CONDITIONAL:
        return q5py_finish_conditional(state, step, leaving);
    case Q5PY_STEP_BROKEN_LINKS:
        return finish_broken_links(state, response);
    case Q5PY_STEP_SESSION:
        return wire ? finish_session(state, step, request, response, store) : Q5PY_STEP_PYTHON;
    case Q5PY_STEP_LOCALE:
        return wire ? q5py_locale_response(state, request, response, store) : Q5PY_STEP_PYTHON;
    case Q5PY_STEP_CSRF:
        return wire ? finish_csrf(state, request) : Q5PY_STEP_PYTHON;
    case Q5PY_STEP_MESSAGES:
        return wire ? finish_messages(state, request) : Q5PY_STEP_PYTHON;
    default:
        return Q5PY_STEP_PYTHON;
    }
}

bool q5py_step_blocks(q5py_state *state, const q5py_step *step, bool is_request) {
    switch (step->kind) {
    case Q5PY_STEP_SESSION:
    case Q5PY_STEP_MESSAGES:
    case Q5PY_STEP_GZIP:
    case Q5PY_STEP_CONDITIONAL:
        return !is_request;
    case Q5PY_STEP_BROKEN_LINKS:
    case Q5PY_STEP_REMOTE_USER:
        return true;
    case Q5PY_STEP_CSRF: {
        int sessions = q5py_setting_truth(state, state->str_CSRF_USE_SESSIONS);
        if (sessions < 0) PyErr_Clear();
        return sessions != 0;
    }
    default:
        return false;
    }
}
