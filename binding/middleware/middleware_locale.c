/* LocaleMiddleware. Which language a request gets is decided by Django's own functions
 * (quintette/server/languages.py), once for each first segment of a path or pair of cookie and
 * Accept-Language; what they said is kept in dicts of bounded size, as long as all that it was made
 * of is the same. */
#include "middleware.h"

#include "convert.h"

/* Longer ones are Django's, which cuts them at 500. */
#define ASKED_LEN_MAX 500
#define KEPT_MAX 1000

/* The tuple that languages_known() gives: quintette.server.languages.Known. */
enum { RELIED, VARIABLE, IS_OWN, CHOICES, PATHS, FIELDS, KNOWN_COUNT };

/* ---- what is known --------------------------------------------------------------------------- */

/* Of each (dict, name, value): the value is still there. 1, 0, or -1 with an exception. */
static int still_holds(PyObject *relied) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(relied); i++) {
        PyObject *item = PyTuple_GET_ITEM(relied, i);
        PyObject *now =
            PyDict_GetItemWithError(PyTuple_GET_ITEM(item, 0), PyTuple_GET_ITEM(item, 1));
        if (now != PyTuple_GET_ITEM(item, 2)) return PyErr_Occurred() ? -1 : 0;
    }
    return 1;
}

/* New reference, or NULL with an exception. */
static PyObject *get_known(q5py_state *state) {
    q5py_django *django = state->django;
    PyObject *known = Py_XNewRef(django->languages);
    int holds = known ? still_holds(PyTuple_GET_ITEM(known, RELIED)) : 0;
    if (holds > 0) return known;
    Py_XDECREF(known);
    known = holds < 0 ? NULL : PyObject_CallNoArgs(django->languages_known);
    if (!known) return NULL;
    if (!PyTuple_Check(known) || PyTuple_GET_SIZE(known) != KNOWN_COUNT) {
        PyErr_SetString(PyExc_TypeError, "languages_known() gives a Known");
        Py_DECREF(known);
        return NULL;
    }
    Py_XSETREF(django->languages, Py_NewRef(known));
    return known;
}

static bool is_usual(PyObject *known) {
    return PyTuple_GET_ITEM(known, IS_OWN) == Py_True &&
           PyTuple_GET_ITEM(known, VARIABLE) != Py_None;
}

int q5py_language_carry(q5py_state *state) {
    PyObject *known = get_known(state);
    if (!known) return -1;
    PyObject *variable = PyTuple_GET_ITEM(known, VARIABLE);
    int rc = variable == Py_None ? 0 : q5py_local_rehome(state, variable);
    Py_DECREF(known);
    return rc;
}

/* ---- answers that are kept ------------------------------------------------------------------- */

/* kept[key], which is function(*args) where it is new; args is taken over. New reference, or NULL
 * with an exception. */
static PyObject *ask(PyObject *kept, PyObject *key, PyObject *function, PyObject *args) {
    PyObject *answer = args ? PyObject_CallObject(function, args) : NULL;
    Py_XDECREF(args);
    if (!answer) return NULL;
    if (PyDict_GET_SIZE(kept) >= KEPT_MAX) PyDict_Clear(kept);
    if (PyDict_SetItem(kept, key, answer)) Py_CLEAR(answer);
    return answer;
}

/* kept[key]: new reference, or NULL with or without an exception. */
static PyObject *find(PyObject *kept, PyObject *key) {
    return Py_XNewRef(PyDict_GetItemWithError(kept, key));
}

/* ---- in the path ----------------------------------------------------------------------------- */

/* What the pattern of language prefixes lets pass, of ASCII; all else is no prefix, or Django's. */
static bool is_name(Py_UCS4 c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '@';
}

/* The first segment of request.path_info as a str: 1; 0: it takes Django to know; or -1. */
static int first_segment(q5py_state *state, PyObject *request, PyObject **ret) {
    PyObject *path = q5py_path_info(state, request);
    if (!path) return -1;
    int rc = 0;
    Py_ssize_t len = PyUnicode_Check(path) ? PyUnicode_GET_LENGTH(path) : 0, end = 1;
    if (len > 0 && PyUnicode_READ_CHAR(path, 0) == '/') {
        while (end < len && is_name(PyUnicode_READ_CHAR(path, end)))
            end++;
        if (end <= ASKED_LEN_MAX && (end == len || PyUnicode_READ_CHAR(path, end) == '/')) {
            *ret = PyUnicode_Substring(path, 1, end);
            rc = *ret ? 1 : -1;
        }
    }
    Py_DECREF(path);
    return rc;
}

/* What the path says, None where it says nothing: new reference. 1, 0 or -1 as first_segment(). */
static int choice_in_path(q5py_state *state, PyObject *known, PyObject *request, PyObject **ret) {
    PyObject *segment, *paths = PyTuple_GET_ITEM(known, PATHS);
    int rc = first_segment(state, request, &segment);
    if (rc <= 0) return rc;
    *ret = find(paths, segment);
    if (!*ret && !PyErr_Occurred())
        *ret = ask(paths, segment, state->django->language_in_path, PyTuple_Pack(1, segment));
    Py_DECREF(segment);
    return *ret ? 1 : -1;
}

/* is_language_prefix_patterns_used() of the project's URLconf. 0, or -1 with an exception. */
static int get_prefixes(q5py_state *state, bool *ret_used, bool *ret_default_too) {
    PyObject *urlconf = q5py_setting(state, state->str_ROOT_URLCONF);
    PyObject *found =
        urlconf ? PyObject_CallOneArg(state->django->prefix_patterns_used, urlconf) : NULL;
    int used = -1, default_too = -1;
    if (found && PyArg_ParseTuple(found, "pp", &used, &default_too)) {
        *ret_used = used;
        *ret_default_too = default_too;
    }
    Py_XDECREF(urlconf);
    Py_XDECREF(found);
    return default_too < 0 ? -1 : 0;
}

/* ---- in the head ----------------------------------------------------------------------------- */

/* META has both under one key. */
static bool is_accept_language(q5_slice name) {
    return q5_slice_ieq(name, Q5_LIT("accept-language")) ||
           q5_slice_ieq(name, Q5_LIT("accept_language"));
}

/* The one Accept-Language, "" where there is none; false: there are several. */
static bool get_accepted(const q5_head *head, q5_slice *ret) {
    bool found = false;
    *ret = q5_slice_make("", 0);
    for (uint16_t i = 0; i < head->field_count; i++) {
        if (head->fields[i].id != Q5_FIELD_OTHER || !is_accept_language(head->fields[i].name))
            continue;
        if (found) return false;
        found = true;
        *ret = head->fields[i].value;
    }
    return true;
}

/* The cookie, a zero byte, which no field contains, and Accept-Language. */
static PyObject *make_key(bool has_cookie, q5_slice cookie, q5_slice accepted) {
    size_t front = has_cookie ? cookie.len + 1 : 0;
    PyObject *key = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(front + accepted.len));
    if (!key) return NULL;
    char *at = PyBytes_AS_STRING(key);
    if (has_cookie) {
        memcpy(at, cookie.base, cookie.len);
        at[cookie.len] = '\0';
    }
    if (accepted.len) memcpy(at + front, accepted.base, accepted.len);
    return key;
}

static PyObject *ask_by_head(q5py_state *state, PyObject *choices, PyObject *key, bool has_cookie,
                             q5_slice cookie, q5_slice accepted) {
    PyObject *one = has_cookie ? q5py_latin1(cookie) : Py_NewRef(Py_None),
             *other = q5py_latin1(accepted);
    PyObject *args = one && other ? PyTuple_Pack(2, one, other) : NULL;
    Py_XDECREF(one);
    Py_XDECREF(other);
    return ask(choices, key, state->django->language_asked, args);
}

static int choice_in_head(q5py_state *state, PyObject *known, PyObject *request, PyObject **ret) {
    q5_slice cookie = {NULL, 0}, accepted;
    PyObject *name = q5py_setting(state, state->str_LANGUAGE_COOKIE_NAME);
    int has = name ? q5py_wire_cookie(state, request, name, &cookie) : -1;
    Py_XDECREF(name);
    if (has < 0 || has > 1) return has < 0 ? -1 : 0;
    if (!get_accepted(&((q5py_request *)request)->x->head, &accepted)) return 0;
    if (cookie.len + accepted.len > ASKED_LEN_MAX) return 0;
    PyObject *choices = PyTuple_GET_ITEM(known, CHOICES), *key = make_key(has, cookie, accepted);
    if (!key) return -1;
    *ret = find(choices, key);
    if (!*ret && !PyErr_Occurred()) *ret = ask_by_head(state, choices, key, has, cookie, accepted);
    Py_DECREF(key);
    return *ret ? 1 : -1;
}

static int default_choice(q5py_state *state, PyObject *known, PyObject **ret) {
    PyObject *choices = PyTuple_GET_ITEM(known, CHOICES);
    *ret = find(choices, Py_None);
    if (!*ret && !PyErr_Occurred())
        *ret = ask(choices, Py_None, state->django->language_default, PyTuple_New(0));
    return *ret ? 1 : -1;
}

/* ---- process_request() ----------------------------------------------------------------------- */

static int choose(q5py_state *state, PyObject *known, PyObject *request, PyObject **ret) {
    bool used, default_too;
    if (get_prefixes(state, &used, &default_too)) return -1;
    if (!used) return choice_in_head(state, known, request, ret);
    int rc = choice_in_path(state, known, request, ret);
    if (rc <= 0 || *ret != Py_None) return rc;
    Py_CLEAR(*ret);
    return default_too ? choice_in_head(state, known, request, ret)
                       : default_choice(state, known, ret);
}

/* translation.activate(), request.LANGUAGE_CODE. */
static int activate(q5py_state *state, PyObject *known, PyObject *request, PyObject *choice) {
    if (!PyTuple_Check(choice)) return Q5PY_STEP_PYTHON;
    PyObject *catalogue = PyTuple_GET_ITEM(choice, 0), *code = PyTuple_GET_ITEM(choice, 1);
    int put = q5py_local_put(state, PyTuple_GET_ITEM(known, VARIABLE), catalogue);
    if (put <= 0) return put < 0 ? -1 : Q5PY_STEP_PYTHON;
    return PyObject_SetAttr(request, state->str_LANGUAGE_CODE, code);
}

/* A URLconf of its own is asked by Django. */
static int is_plain_request(q5py_state *state, PyObject *known, PyObject *request) {
    if (!is_usual(known)) return 0;
    int has = q5py_has_own(request, state->str_urlconf);
    return has < 0 ? -1 : !has;
}

int q5py_locale_request(q5py_state *state, PyObject *request) {
    PyObject *known = get_known(state), *choice = NULL;
    if (!known) return -1;
    int rc = is_plain_request(state, known, request);
    if (rc > 0) rc = choose(state, known, request, &choice);
    if (rc > 0)
        rc = activate(state, known, request, choice);
    else if (rc == 0)
        rc = Q5PY_STEP_PYTHON;
    Py_XDECREF(choice);
    Py_DECREF(known);
    return rc;
}

/* ---- process_response() ---------------------------------------------------------------------- */

/* get_language(), as a str of a catalogue of Django's: 1 and a new reference; 0: it takes Django to
 * know; -1. */
static int get_language(q5py_state *state, PyObject *known, PyObject **ret) {
    PyObject *values;
    int found = q5py_local_values(state, PyTuple_GET_ITEM(known, VARIABLE), &values);
    if (found <= 0) return found;
    PyObject *catalogue = Py_XNewRef(PyDict_GetItemWithError(values, state->str_value));
    Py_DECREF(values);
    int rc = PyErr_Occurred() ? -1 : 0;
    if (catalogue && (PyObject *)Py_TYPE(catalogue) == state->django->catalogue_class) {
        *ret = PyObject_CallMethodNoArgs(catalogue, state->str_to_language);
        rc = !*ret ? -1 : PyUnicode_Check(*ret);
        if (rc == 0) Py_CLEAR(*ret);
    }
    Py_XDECREF(catalogue);
    return rc;
}

/* ("Content-Language", language): new reference, or NULL with an exception. */
static PyObject *field_of(PyObject *known, PyObject *language) {
    PyObject *fields = PyTuple_GET_ITEM(known, FIELDS), *pair = find(fields, language);
    if (!pair && !PyErr_Occurred()) {
        pair = Py_BuildValue("(sO)", "Content-Language", language);
        if (PyDict_GET_SIZE(fields) >= KEPT_MAX) PyDict_Clear(fields);
        if (pair && PyDict_SetItem(fields, language, pair)) Py_CLEAR(pair);
    }
    return pair;
}

static int set_language(q5py_state *state, PyObject *known, PyObject *language, PyObject *store) {
    PyObject *pair = field_of(known, language);
    int rc = pair && PyDict_SetDefault(store, state->content_language_lower, pair) ? 0 : -1;
    Py_XDECREF(pair);
    return rc;
}

/* Whether the response depends on what the request accepts: *ret; then as get_language(). */
static int depends(q5py_state *state, PyObject *known, PyObject *request, long status, bool *ret) {
    bool used, default_too;
    *ret = true;
    if (get_prefixes(state, &used, &default_too)) return -1;
    if (!used) return 1;
    if (status == 404) return 0; /* it may become a redirect */
    PyObject *choice;
    int rc = choice_in_path(state, known, request, &choice);
    if (rc <= 0) return rc;
    *ret = choice == Py_None;
    Py_DECREF(choice);
    return 1;
}

static int finish(q5py_state *state, PyObject *known, PyObject *request, PyObject *response,
                  PyObject **store) {
    bool varies;
    PyObject *language;
    long status = q5py_status_of(state, response);
    if (status == -1 && PyErr_Occurred()) return -1;
    int rc = depends(state, known, request, status, &varies);
    if (rc > 0) rc = q5py_response_store(state, response, store);
    if (rc > 0) rc = get_language(state, known, &language);
    if (rc <= 0) return rc < 0 ? -1 : Q5PY_STEP_PYTHON;
    rc = varies ? q5py_patch_vary(state, *store, state->accept_language) : 0;
    if (rc == 0) rc = set_language(state, known, language, *store);
    Py_DECREF(language);
    return rc;
}

int q5py_locale_response(q5py_state *state, PyObject *request, PyObject *response,
                         PyObject **store) {
    PyObject *known = get_known(state);
    if (!known) return -1;
    int rc = is_plain_request(state, known, request);
    if (rc > 0)
        rc = finish(state, known, request, response, store);
    else if (rc == 0)
        rc = Q5PY_STEP_PYTHON;
    Py_DECREF(known);
    return rc;
}

/* ---- the same for a reply of a typed route --------------------------------------------------- */

static int set_reply_language(PyObject *known, PyObject *language, q5py_reply *reply) {
    q5_slice found;
    if (q5py_reply_find(reply, Q5_LIT("content-language"), &found)) return 0;
    PyObject *pair = field_of(known, language);
    int rc = pair
                 ? q5py_reply_add_field(reply, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1))
                 : -1;
    Py_XDECREF(pair);
    return rc;
}

static int finish_reply(q5py_state *state, PyObject *known, PyObject *request, q5py_reply *reply) {
    bool varies;
    PyObject *language;
    int rc = depends(state, known, request, reply->status, &varies);
    if (rc > 0) rc = get_language(state, known, &language);
    if (rc <= 0) return rc < 0 ? -1 : Q5PY_STEP_PYTHON;
    rc = varies ? q5py_reply_vary(reply, Q5_LIT("Accept-Language")) : 0;
    if (rc == 0) rc = set_reply_language(known, language, reply);
    Py_DECREF(language);
    return rc;
}

int q5py_locale_reply(q5py_state *state, PyObject *request, q5py_reply *reply) {
    PyObject *known = get_known(state);
    if (!known) return -1;
    int rc = is_plain_request(state, known, request);
    if (rc > 0)
        rc = finish_reply(state, known, request, reply);
    else if (rc == 0)
        rc = Q5PY_STEP_PYTHON;
    Py_DECREF(known);
    return rc;
}
