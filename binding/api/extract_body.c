/* The body of a request: JSON for a decoder, bytes as they are. Forms are in extract_form.c. */
#include "plan_bind.h"

#include "q5/json_guard.h"
#include "q5/percent.h"
#include "q5/spool.h"
#include "streams/body_source.h"

/* ---- media types ----------------------------------------------------------------------------- */

static q5_slice media_type(const q5_exchange *x) {
    const q5_field *field = q5_head_known(&x->head, Q5_FIELD_CONTENT_TYPE);
    if (!field) return q5_slice_make("", 0);
    q5_slice type = field->value;
    const char *semicolon = memchr(type.base, ';', type.len);
    if (semicolon) type.len = (size_t)(semicolon - type.base);
    while (type.len && (type.base[type.len - 1] == ' ' || type.base[type.len - 1] == '\t'))
        type.len--;
    return type;
}

/* application/json and application/...+json (RFC 6839, 3.1). */
static bool is_json(q5_slice type) {
    static const q5_slice application = {"application/", 12}, suffix = {"+json", 5};
    if (q5_slice_ieq(type, Q5_LIT("application/json"))) return true;
    return type.len > application.len + suffix.len &&
           q5_slice_ieq(q5_slice_make(type.base, application.len), application) &&
           q5_slice_ieq(q5_slice_make(type.base + type.len - suffix.len, suffix.len), suffix);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

PyObject *q5py_body_bytes(const q5_exchange *x) {
    if (!x->spool) return PyBytes_FromStringAndSize(x->body.base, (Py_ssize_t)x->body.len);
    if (x->body_len > PY_SSIZE_T_MAX) return PyErr_NoMemory();
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)x->body_len);
    if (!bytes) return NULL;
    size_t len;
    int status = q5_spool_read(x->spool, 0, PyBytes_AS_STRING(bytes), (size_t)x->body_len, &len);
    if (status == Q5_OK && len == x->body_len) return bytes;
    Py_DECREF(bytes);
    return q5py_raise_status(Q5_EIO);
}

static int extract_any(q5py_bind *bind, uint16_t at) {
    const q5py_param *param = &bind->data->params[at];
    PyObject *bytes = q5py_body_bytes(bind->x);
    if (!bytes) return -1;
    bind->found[at].seen = true;
    return q5py_bind_object(bind, param, bytes);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* What the decoder would not notice, or only at a price. 1: refused, 0: go on, -1: exception. */
static int guard(q5py_bind *bind, const q5py_param *param, q5_slice text) {
    q5_json_limits limits = q5_json_limits_default();
    limits.allow_big_int = bind->data->allow_big_int;
    size_t error = 0;
    q5py_fault code = Q5PY_FAULT_GUARD;
    int status = Q5_OK;
    if (!q5_utf8_valid(text)) /* RFC 8259, 8.1 */
        status = Q5_EENCODING;
    else
        status = q5_json_guard(text.base, text.len, &limits, &error);
    if (status == Q5_OK) return 0;
    PyObject *offset = PyLong_FromSize_t(error);
    if (!offset) return -1;
    int added = q5py_bind_fault(bind, param, code, offset, NULL, status);
    Py_DECREF(offset);
    return added < 0 ? -1 : 1;
}

/* The decoder reads the exchange's memory through a view. Should it keep the view, which none that
 * api/plan.py chooses does, then the view is closed under its hands instead of dangling. */
static PyObject *decode_view(PyObject *decode, q5_slice text) {
    PyObject *view = PyMemoryView_FromMemory((char *)text.base, (Py_ssize_t)text.len, PyBUF_READ);
    if (!view) return NULL;
    PyObject *value = PyObject_CallOneArg(decode, view);
    if (Q5_UNLIKELY(Py_REFCNT(view) != 1)) {
        PyObject *exception = q5py_exception_take();
        PyObject *released = PyObject_CallMethod(view, "release", NULL);
        if (!released) {
            Py_XDECREF(exception);
            Py_CLEAR(value);
        } else if (exception) {
            q5py_exception_set(exception);
        }
        Py_XDECREF(released);
    }
    Py_DECREF(view);
    return value;
}

static PyObject *decode(q5py_bind *bind, const q5py_param *param, q5_slice text) {
    if (!bind->data->copy_body) return decode_view(param->convert, text);
    PyObject *bytes = PyBytes_FromStringAndSize(text.base, (Py_ssize_t)text.len);
    if (!bytes) return NULL;
    PyObject *value = PyObject_CallOneArg(param->convert, bytes);
    Py_DECREF(bytes);
    return value;
}

static int decode_text(q5py_bind *bind, const q5py_param *param, q5_slice text) {
    int refused = guard(bind, param, text);
    if (refused) {
        bind->body_refused = true;
        return refused < 0 ? -1 : 0;
    }
    PyObject *value = decode(bind, param, text);
    if (value) {
        q5py_bind_store(bind, param, value);
        return 0;
    }
    if (!PyErr_ExceptionMatches(PyExc_Exception) || PyErr_ExceptionMatches(PyExc_MemoryError))
        return -1;
    bind->body_refused = true;
    return q5py_bind_fault(bind, param, Q5PY_FAULT_CONVERT, NULL, q5py_exception_take(), 0);
}

static int extract_json(q5py_bind *bind, uint16_t at) {
    const q5py_param *param = &bind->data->params[at];
    const q5_exchange *x = bind->x;
    if (x->body_len == 0) {
        /* Its fields are reported missing one by one, where they have no defaults. */
        bind->found[at].seen = param->slot == bind->data->slot_count;
        return 0;
    }
    bind->found[at].seen = true;
    if (!is_json(media_type(x))) {
        bind->body_refused = true;
        return q5py_bind_fault(bind, param, Q5PY_FAULT_MEDIA, NULL, NULL, 0);
    }
    if (!x->spool) return decode_text(bind, param, x->body);
    PyObject *bytes = q5py_body_bytes(x);
    if (!bytes) return -1;
    int status = decode_text(
        bind, param, q5_slice_make(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)));
    Py_DECREF(bytes);
    return status;
}

/* Parameters that are members of one JSON object. A missing member is the decoder's fault to find,
 * or None of our business: then the fallback is what the decoder put there. */
static int extract_fields(q5py_bind *bind) {
    const q5py_plan_data *data = bind->data;
    uint16_t to = data->first[Q5PY_IN_BODY_FIELD + 1];
    if (!bind->body) return 0;
    for (uint16_t i = data->first[Q5PY_IN_BODY_FIELD]; i < to; i++) {
        PyObject *value = PyObject_GetAttr(bind->body, data->params[i].attribute);
        if (!value) return -1;
        q5py_bind_store(bind, &data->params[i], value);
        bind->found[i].seen = true;
    }
    return 0;
}

/* ---- streams --------------------------------------------------------------------------------- */

static int extract_stream(q5py_bind *bind, uint16_t at) {
    PyObject *source = bind->x->is_detached ? Py_XNewRef(q5py_pass_request(bind->pass))
                                            : q5py_body_source_new(bind->state, bind->x);
    PyObject *value = source ? PyObject_CallOneArg(bind->data->params[at].convert, source) : NULL;
    Py_XDECREF(source);
    if (!value) return -1;
    q5py_bind_store(bind, &bind->data->params[at], value);
    bind->found[at].seen = true;
    return 0;
}

/* ---- all of them ----------------------------------------------------------------------------- */

int q5py_extract_body(q5py_bind *bind) {
    const q5py_plan_data *data = bind->data;
    uint16_t at = data->first[Q5PY_IN_BODY];
    bool has_body = at != data->first[Q5PY_IN_BODY + 1];
    switch (data->media) {
    case Q5PY_MEDIA_JSON:
        if (has_body && extract_json(bind, at) < 0) return -1;
        return extract_fields(bind);
    case Q5PY_MEDIA_FORM:
        return q5py_extract_form(bind, media_type(bind->x));
    case Q5PY_MEDIA_ANY:
        return has_body ? extract_any(bind, at) : 0;
    case Q5PY_MEDIA_STREAM:
        return extract_stream(bind, at);
    case Q5PY_MEDIA_NONE:
        break;
    }
    return 0;
}
