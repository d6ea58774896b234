/* GZipMiddleware.process_response. Streams are Django's to compress. */
#include "middleware.h"

#include "convert.h"
#include "greenlets/sync_call.h"
#include "responses/encoder.h"

#define LEN_MIN 200 /* Django leaves shorter ones alone */
#define LEVEL 6     /* Django's */
/* The longest body that is compressed on the loop's thread: less than a millisecond. */
#define ON_LOOP_MAX 32768

static bool is_word_char(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

/* What r"\bgzip\b" finds in ASCII: a coding that is refused by q=0 too, as Django has it. */
static bool names_gzip(q5_slice value) {
    static const q5_slice word = {"gzip", 4};
    for (size_t i = 0; i + word.len <= value.len; i++) {
        if (memcmp(value.base + i, word.base, word.len) != 0) continue;
        size_t end = i + word.len;
        if ((i == 0 || !is_word_char(value.base[i - 1])) &&
            (end == value.len || !is_word_char(value.base[end])))
            return true;
    }
    return false;
}

/* The client takes gzip: 1, 0; 2: it takes META to know; -1. */
static int accepts_gzip(q5py_state *state, PyObject *request) {
    q5_slice value;
    int found = q5py_wire_field(state, request, Q5_FIELD_ACCEPT_ENCODING,
                                state->str_HTTP_ACCEPT_ENCODING, &value);
    return found == 1 ? names_gzip(value) : found;
}

/* Against BREACH (CVE-2013-3587) Django puts a file name of random length into gzip's head. 1: *ret
 * is how many bytes that takes; 0: more than ours has room for; -1. */
static int choose_pad(q5py_state *state, const q5py_step *step, size_t *ret) {
    PyObject *max = PyObject_GetAttr(step->instance, state->str_max_random_bytes);
    int is_wanted = max ? PyObject_IsTrue(max) : -1;
    PyObject *name =
        is_wanted > 0 ? PyObject_CallOneArg(state->django->random_filename, max) : NULL;
    Py_XDECREF(max);
    *ret = 0;
    if (is_wanted <= 0) return is_wanted < 0 ? -1 : 1;
    if (!name) return -1;
    bool fits = PyBytes_Check(name) && PyBytes_GET_SIZE(name) < Q5_COMPRESS_PAD_MAX;
    if (fits) *ret = (size_t)PyBytes_GET_SIZE(name) + 1; /* and a NUL */
    Py_DECREF(name);
    return fits;
}

static int weaken_etag(q5py_state *state, PyObject *store) {
    q5_slice etag;
    int has = q5py_store_get(store, state->etag_lower, &etag);
    if (has <= 0 || etag.len == 0 || etag.base[0] != '"') return has < 0 ? -1 : 0;
    PyObject *strong = PyUnicode_FromStringAndSize(etag.base, (Py_ssize_t)etag.len);
    PyObject *weak = strong ? PyUnicode_FromFormat("W/%U", strong) : NULL;
    Py_XDECREF(strong);
    int rc = q5py_store_put(store, state->etag_lower, state->etag, weak);
    Py_XDECREF(weak);
    return rc;
}

/* The fields of a response that is compressed now. */
static int set_fields(q5py_state *state, PyObject *response, PyObject *store) {
    if (q5py_put_content_length(state, response, store) || weaken_etag(state, store)) return -1;
    return q5py_store_put(store, state->content_encoding_lower, state->content_encoding,
                          state->gzip);
}

static int compress(q5py_state *state, const q5py_step *step, q5py_leaving *leaving,
                    PyObject *content) {
    size_t pad;
    int rc = choose_pad(state, step, &pad);
    if (rc <= 0) return rc < 0 ? -1 : Q5PY_STEP_PYTHON;
    q5_slice body = q5_slice_make(PyBytes_AS_STRING(content), (size_t)PyBytes_GET_SIZE(content));
    bool may_block = !leaving->on_loop && !q5py_in_greenlet();
    PyObject *made = q5py_encode_whole(state, Q5_CODING_GZIP, LEVEL, pad, body, may_block);
    if (!made) return -1;
    rc = Q5PY_STEP_DONE;
    if (PyBytes_GET_SIZE(made) < PyBytes_GET_SIZE(content)) {
        rc = PyObject_SetAttr(leaving->response, state->str_content, made);
        if (rc == 0) rc = set_fields(state, leaving->response, leaving->store);
    }
    Py_DECREF(made);
    return rc;
}

/* What is to be compressed here; all else is Django's. */
static bool is_usual(q5py_state *state, const q5py_leaving *leaving, PyObject *content) {
    q5_slice etag;
    if (!content || !state->django->random_filename || !q5_compress_supported(Q5_CODING_GZIP))
        return false;
    if (leaving->on_loop && PyBytes_GET_SIZE(content) > ON_LOOP_MAX) return false;
    return q5py_store_get(leaving->store, state->etag_lower, &etag) < 2;
}

/* `content` is bytes, or NULL of a stream. */
static int finish(q5py_state *state, const q5py_step *step, q5py_leaving *leaving,
                  PyObject *content) {
    if (!q5py_is_wire_request(state, leaving->request)) return Q5PY_STEP_PYTHON;
    int has = q5py_response_store(state, leaving->response, &leaving->store);
    if (has <= 0) return has < 0 ? -1 : Q5PY_STEP_PYTHON;
    has = PyDict_Contains(leaving->store, state->content_encoding_lower);
    if (has) return has < 0 ? -1 : Q5PY_STEP_DONE;
    int rc = q5py_patch_vary(state, leaving->store, state->accept_encoding);
    if (rc) return rc;
    int accepts = accepts_gzip(state, leaving->request);
    if (accepts <= 0) return accepts < 0 ? -1 : Q5PY_STEP_DONE;
    if (accepts == 2 || !is_usual(state, leaving, content)) return Q5PY_STEP_PYTHON;
    return compress(state, step, leaving, content);
}

int q5py_finish_gzip(q5py_state *state, const q5py_step *step, q5py_leaving *leaving) {
    int streaming = q5py_truth_of(leaving->response, state->str_streaming);
    if (streaming) return streaming < 0 ? -1 : finish(state, step, leaving, NULL);
    PyObject *content = PyObject_GetAttr(leaving->response, state->str_content);
    if (!content) return -1;
    int rc = Q5PY_STEP_PYTHON;
    if (PyBytes_CheckExact(content))
        rc = PyBytes_GET_SIZE(content) < LEN_MIN ? Q5PY_STEP_DONE
                                                 : finish(state, step, leaving, content);
    Py_DECREF(content);
    return rc;
}
