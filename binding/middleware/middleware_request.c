/* process_request() of Django's middleware. */
#include "middleware.h"

/* Django's method, and nothing that somebody has put in its place since. */
static bool is_unchanged(q5py_state *state, const q5py_step *step) {
    return q5py_is_own(Py_TYPE(step->instance), state->str_process_request, step->own_request);
}

/* True to *rc where one of two questions says so, or fails. */
static int any(int first, int second) {
    return first < 0 || second < 0 ? -1 : first || second;
}

static int has_session(q5py_state *state, PyObject *request) {
    if (((q5py_request *)request)->lazy & Q5PY_LAZY_SESSION) return 1;
    return q5py_has_own(request, state->str_session);
}

static int begin_session(q5py_state *state, q5py_step *step, PyObject *request) {
    int has = q5py_has_own(request, state->str_session);
    if (has) return has;
    q5py_request *self = (q5py_request *)request;
    Py_XSETREF(self->session_store, Py_NewRef(step->store_class));
    self->lazy |= Q5PY_LAZY_SESSION;
    return Q5PY_STEP_DONE;
}

static int check_common(q5py_state *state, PyObject *request) {
    int more = any(q5py_setting_truth(state, state->str_DISALLOWED_USER_AGENTS),
                   q5py_setting_truth(state, state->str_PREPEND_WWW));
    if (more) return more;
    int allowed = q5py_wire_host_allowed(state, request);
    return allowed < 0 ? -1 : !allowed;
}

/* Of what _check_token_format lets pass; 64 characters are a masked secret. */
static bool is_csrf_secret(q5_slice text) {
    if (text.len != 32 && text.len != 64) return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.base[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')))
            return false;
    }
    return true;
}

/* Without a cookie there is nothing to do; a good one is looked at once META is made. */
static int begin_csrf(q5py_state *state, PyObject *request) {
    int sessions = any(q5py_setting_truth(state, state->str_CSRF_USE_SESSIONS),
                       q5py_has_own(request, state->str_META));
    if (sessions) return sessions;
    PyObject *name = q5py_setting(state, state->str_CSRF_COOKIE_NAME);
    if (!name) return -1;
    q5_slice secret = {NULL, 0};
    int found = q5py_wire_cookie(state, request, name, &secret);
    Py_DECREF(name);
    if (found <= 0) return found;
    if (found == 2 || !is_csrf_secret(secret)) return Q5PY_STEP_PYTHON;
    ((q5py_request *)request)->lazy |= Q5PY_LAZY_CSRF;
    return Q5PY_STEP_DONE;
}

static int begin_user(q5py_state *state, PyObject *request) {
    int has = has_session(state, request);
    if (has <= 0) return has < 0 ? -1 : Q5PY_STEP_PYTHON; /* which says what is missing */
    has = any(q5py_has_own(request, state->str_user), q5py_has_own(request, state->str_auser));
    if (has) return has;
    ((q5py_request *)request)->lazy |= Q5PY_LAZY_USER;
    return Q5PY_STEP_DONE;
}

/* Storages of Django's own that do nothing but remember the request when they are made. */
static int is_quiet_storage(q5py_state *state) {
    PyObject *name = q5py_setting(state, state->str_MESSAGE_STORAGE);
    if (!name) return -1;
    bool quiet = PyUnicode_Check(name) &&
                 (PyUnicode_CompareWithASCIIString(
                      name, "django.contrib.messages.storage.fallback.FallbackStorage") == 0 ||
                  PyUnicode_CompareWithASCIIString(
                      name, "django.contrib.messages.storage.cookie.CookieStorage") == 0 ||
                  PyUnicode_CompareWithASCIIString(
                      name, "django.contrib.messages.storage.session.SessionStorage") == 0);
    Py_DECREF(name);
    return quiet;
}

static int begin_messages(q5py_state *state, PyObject *request) {
    int quiet = is_quiet_storage(state);
    int session = quiet > 0 ? has_session(state, request) : quiet;
    if (session <= 0) return session < 0 ? -1 : Q5PY_STEP_PYTHON;
    int has = q5py_has_own(request, state->str__messages);
    if (has) return has;
    ((q5py_request *)request)->lazy |= Q5PY_LAZY_MESSAGES;
    return Q5PY_STEP_DONE;
}

int q5py_step_request(q5py_state *state, q5py_step *step, PyObject *request) {
    if (!step->own_request) return Q5PY_STEP_DONE;
    if (!is_unchanged(state, step) || !q5py_is_wire_request(state, request))
        return Q5PY_STEP_PYTHON;
    switch (step->kind) {
    case Q5PY_STEP_SECURITY:
        return step->redirects ? Q5PY_STEP_PYTHON : Q5PY_STEP_DONE;
    case Q5PY_STEP_SESSION:
        return begin_session(state, step, request);
    case Q5PY_STEP_COMMON:
        return check_common(state, request);
    case Q5PY_STEP_CSRF:
        return begin_csrf(state, request);
    case Q5PY_STEP_AUTH:
        return begin_user(state, request);
    case Q5PY_STEP_MESSAGES:
        return begin_messages(state, request);
    case Q5PY_STEP_LOCALE:
        return q5py_locale_request(state, request);
    default:
        return Q5PY_STEP_PYTHON;
    }
}
