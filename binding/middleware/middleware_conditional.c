/* ConditionalGetMiddleware.process_response. What browsers and caches send is compared here, where
 * RFC 9110 and Django say the same. Where they might not (a malformed tag or date, "*" without a
 * tag, If-Match), Django is asked. */
#include "middleware.h"

#include "convert.h"
#include "q5/conditional.h"
#include "q5/date.h"

/* The longest body whose digest is made on the loop's thread: less than a millisecond. */
#define ON_LOOP_MAX 262144
#define NOT_MODIFIED 304 /* beside a step's statuses */

/* ---- the tag of the content ------------------------------------------------------------------ */

/* needs_etag(): 1: Cache-Control has the directive no-store; 0: it has not; 2: Django is to look.
 */
static int is_never_stored(q5_slice value) {
    static const q5_slice word = {"no-store", 8};
    int found = 0;
    for (size_t i = 0; i + word.len <= value.len; i++) {
        if (!q5_slice_ieq(q5_slice_make(value.base + i, word.len), word)) continue;
        size_t start = i, end = i + word.len;
        if (start > 1 && value.base[start - 1] == ' ') start--;
        if ((start == 0 || value.base[start - 1] == ',') &&
            (end == value.len || value.base[end] == ','))
            return 1;
        found = 2;
    }
    return found;
}

/* quote_etag(md5(content, usedforsecurity=False).hexdigest()) */
static PyObject *make_tag(q5py_state *state, PyObject *content) {
    PyObject *args[2] = {content, Py_False};
    PyObject *hash = PyObject_Vectorcall(state->django->md5, args, 1, state->kw_usedforsecurity);
    PyObject *digits = hash ? PyObject_CallMethodNoArgs(hash, state->str_hexdigest) : NULL;
    PyObject *tag = digits ? PyUnicode_FromFormat("\"%U\"", digits) : NULL;
    Py_XDECREF(hash);
    Py_XDECREF(digits);
    return tag;
}

/* set_response_etag() */
static int set_tag(q5py_state *state, q5py_leaving *leaving) {
    int streaming = q5py_truth_of(leaving->response, state->str_streaming);
    if (streaming) return streaming < 0 ? -1 : Q5PY_STEP_DONE;
    PyObject *content = PyObject_GetAttr(leaving->response, state->str_content);
    if (!content) return -1;
    int rc = Q5PY_STEP_PYTHON;
    if (PyBytes_CheckExact(content) &&
        !(leaving->on_loop && PyBytes_GET_SIZE(content) > ON_LOOP_MAX)) {
        rc = Q5PY_STEP_DONE;
        if (PyBytes_GET_SIZE(content) > 0) {
            PyObject *tag = make_tag(state, content);
            rc = q5py_store_put(leaving->store, state->etag_lower, state->etag, tag);
            Py_XDECREF(tag);
        }
    }
    Py_DECREF(content);
    return rc;
}

/* Puts a tag on a response that has none. */
static int add_tag(q5py_state *state, q5py_leaving *leaving) {
    int has = PyDict_Contains(leaving->store, state->etag_lower);
    if (has) return has < 0 ? -1 : Q5PY_STEP_DONE;
    q5_slice cache_control;
    has = q5py_store_get(leaving->store, state->cache_control_lower, &cache_control);
    int never = has == 1 ? is_never_stored(cache_control) : has;
    if (never) return never < 0 ? -1 : never == 1 ? Q5PY_STEP_DONE : Q5PY_STEP_PYTHON;
    return set_tag(state, leaving);
}

/* ---- what the request asks ------------------------------------------------------------------- */

static bool is_tag_char(char c) {
    return c > ' ' && c < 0x7f && c != '"' && c != ',';
}

/* Where the entity tag at `at` ends; 0: none is there, or not one that everybody reads the same. */
static size_t tag_end(q5_slice text, size_t at) {
    if (text.len - at >= 2 && memcmp(text.base + at, "W/", 2) == 0) at += 2;
    if (at == text.len || text.base[at++] != '"') return 0;
    while (at < text.len && is_tag_char(text.base[at]))
        at++;
    return at < text.len && text.base[at] == '"' ? at + 1 : 0;
}

static size_t skip_blanks(q5_slice text, size_t at) {
    while (at < text.len && text.base[at] == ' ')
        at++;
    return at;
}

static bool is_tag_list(q5_slice text) {
    for (size_t at = 0;;) {
        at = tag_end(text, at);
        if (!at) return false;
        at = skip_blanks(text, at);
        if (at == text.len) return true;
        if (text.base[at] != ',') return false;
        at = skip_blanks(text, at + 1);
    }
}

/* An IMF-fixdate behind 1970, which Django reads as the library does; that has leap seconds. */
static bool read_date(q5_slice text, int64_t *ret) {
    return text.len == Q5_HTTP_DATE_LEN && text.base[23] != '6' &&
           q5_http_date_parse(text, ret) == Q5_OK && *ret > 0;
}

static int compare_tags(q5_slice sent, q5_slice tag) {
    if (tag.len == 0 || tag_end(tag, 0) != tag.len) return Q5PY_STEP_PYTHON;
    if (q5_slice_eq(sent, Q5_LIT("*"))) return NOT_MODIFIED;
    if (!is_tag_list(sent)) return Q5PY_STEP_PYTHON;
    return q5_etag_in_list(sent, tag) ? NOT_MODIFIED : Q5PY_STEP_DONE;
}

static int compare_dates(q5_slice sent, q5_slice modified) {
    int64_t since, last;
    if (modified.len == 0) return Q5PY_STEP_DONE;
    if (!read_date(sent, &since) || !read_date(modified, &last)) return Q5PY_STEP_PYTHON;
    return last <= since ? NOT_MODIFIED : Q5PY_STEP_DONE;
}

/* A field of the request: as q5py_wire_field. */
static int find_sent(q5py_state *state, PyObject *request, q5_field_id id, q5_slice *ret) {
    PyObject *key = id == Q5_FIELD_IF_MATCH              ? state->str_HTTP_IF_MATCH
                    : id == Q5_FIELD_IF_UNMODIFIED_SINCE ? state->str_HTTP_IF_UNMODIFIED_SINCE
                    : id == Q5_FIELD_IF_NONE_MATCH       ? state->str_HTTP_IF_NONE_MATCH
                                                         : state->str_HTTP_IF_MODIFIED_SINCE;
    return q5py_wire_field(state, request, id, key, ret);
}

/* get_conditional_response() of a response of 2xx: NOT_MODIFIED, or a step's status. */
static int evaluate(q5py_state *state, PyObject *request, q5_slice tag, q5_slice modified) {
    static const q5_field_id refused[] = {Q5_FIELD_IF_MATCH, Q5_FIELD_IF_UNMODIFIED_SINCE};
    q5_slice sent;
    for (size_t i = 0; i < Q5_ARRAY_LEN(refused); i++) {
        int found = find_sent(state, request, refused[i], &sent);
        if (found) return found < 0 ? -1 : Q5PY_STEP_PYTHON;
    }
    int found = find_sent(state, request, Q5_FIELD_IF_NONE_MATCH, &sent);
    if (found == 1) return compare_tags(sent, tag);
    if (found == 0) found = find_sent(state, request, Q5_FIELD_IF_MODIFIED_SINCE, &sent);
    if (found == 1) return compare_dates(sent, modified);
    return found <= 0 ? found : Q5PY_STEP_PYTHON;
}

/* ---- the response ---------------------------------------------------------------------------- */

/* The value of a field: 0 and an empty slice where there is none; Q5PY_STEP_PYTHON; -1. */
static int find_validator(PyObject *store, PyObject *key, q5_slice *ret) {
    *ret = q5_slice_make("", 0);
    int has = q5py_store_get(store, key, ret);
    return has == 2 ? Q5PY_STEP_PYTHON : has < 0 ? -1 : 0;
}

static int replace_response(q5py_state *state, q5py_leaving *leaving) {
    PyObject *response = PyObject_CallFunctionObjArgs(state->django->not_modified, leaving->request,
                                                      leaving->response, NULL);
    if (!response) return -1;
    Py_CLEAR(leaving->store);
    Py_SETREF(leaving->response, response);
    return Q5PY_STEP_DONE;
}

static int finish(q5py_state *state, q5py_leaving *leaving) {
    int rc = add_tag(state, leaving);
    if (rc) return rc;
    q5_slice tag, modified;
    rc = find_validator(leaving->store, state->etag_lower, &tag);
    if (rc == 0) rc = find_validator(leaving->store, state->last_modified_lower, &modified);
    if (rc) return rc;
    int is_true = PyObject_IsTrue(leaving->response);
    if (is_true <= 0) return is_true < 0 ? -1 : Q5PY_STEP_PYTHON;
    long status = q5py_status_of(state, leaving->response);
    if (status == -1 && PyErr_Occurred()) return -1;
    if ((tag.len == 0 && modified.len == 0) || status < 200 || status > 299) return Q5PY_STEP_DONE;
    rc = evaluate(state, leaving->request, tag, modified);
    return rc == NOT_MODIFIED ? replace_response(state, leaving) : rc;
}

int q5py_finish_conditional(q5py_state *state, const q5py_step *step, q5py_leaving *leaving) {
    q5py_django *django = state->django;
    if (!q5py_is_wire_request(state, leaving->request) || !django->md5 || !django->not_modified ||
        !q5py_is_own(Py_TYPE(step->instance), state->str_needs_etag, django->needs_etag))
        return Q5PY_STEP_PYTHON;
    PyObject *method = PyObject_GetAttr(leaving->request, state->str_method);
    if (!method) return -1;
    bool is_get = PyUnicode_Check(method) && PyUnicode_CompareWithASCIIString(method, "GET") == 0;
    Py_DECREF(method);
    if (!is_get) return Q5PY_STEP_DONE;
    int has = q5py_response_store(state, leaving->response, &leaving->store);
    if (has <= 0) return has < 0 ? -1 : Q5PY_STEP_PYTHON;
    return finish(state, leaving);
}
