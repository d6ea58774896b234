/* A django.http.HttpResponseBase as a reply. Nothing is copied: header pairs are the tuples of
 * response.headers, a plain body is the bytes object that the view made. */
#include "django.h"

#include "convert.h"
#include "server/reply.h"

static PyObject *cookie_field(q5py_state *state, PyObject *morsel) {
    PyObject *value = PyObject_CallMethodNoArgs(morsel, state->str_OutputString);
    return value == NULL ? NULL : Py_BuildValue("(sN)", "Set-Cookie", value);
}

static int append_cookies(q5py_state *state, PyObject *cookies, PyObject *fields) {
    /* http.cookies.SimpleCookie is a dict. */
    PyObject *morsels = PyMapping_Values(cookies);
    if (morsels == NULL) return -1;
    int status = 0;
    Py_ssize_t n = PyList_GET_SIZE(morsels);
    for (Py_ssize_t i = 0; i < n && status == 0; i++) {
        PyObject *field = cookie_field(state, PyList_GET_ITEM(morsels, i));
        status = field == NULL ? -1 : PyList_Append(fields, field);
        Py_XDECREF(field);
    }
    Py_DECREF(morsels);
    return status;
}

/* New list of (name, value). */
static PyObject *fields_of(q5py_state *state, PyObject *response) {
    PyObject *fields = NULL, *store = NULL, *cookies = NULL;
    PyObject *headers = PyObject_GetAttr(response, state->str_headers);
    if (headers == NULL) return NULL;
    /* {lower-case name: (name, value)}, and each was checked when it was set. */
    store = PyObject_GetAttr(headers, state->str__store);
    if (store == NULL) goto done;
    fields = PyMapping_Values(store);
    if (fields == NULL) goto done;
    cookies = PyObject_GetAttr(response, state->str_cookies);
    if (cookies == NULL ||
        (PyObject_Size(cookies) != 0 && append_cookies(state, cookies, fields) < 0))
        Py_CLEAR(fields);
done:
    Py_DECREF(headers);
    Py_XDECREF(store);
    Py_XDECREF(cookies);
    return fields;
}

static int status_of(q5py_state *state, PyObject *response) {
    PyObject *value = PyObject_GetAttr(response, state->str_status_code);
    if (value == NULL) return -1;
    long status = PyLong_AsLong(value);
    Py_DECREF(value);
    if (status == -1 && PyErr_Occurred()) return -1;
    if (status < 200 || status > 599) {
        PyErr_Format(PyExc_ValueError, "a response cannot have the status code %ld", status);
        return -1;
    }
    return (int)status;
}

/* Sets reply->reason if the response was given a phrase of its own. 0, or -1 with an exception. */
static int reason_of(q5py_state *state, PyObject *response, q5py_reply *reply) {
    reply->reason = PyObject_GetAttr(response, state->str__reason_phrase);
    if (reply->reason == Py_None) Py_CLEAR(reply->reason);
    if (!PyErr_Occurred()) return 0;
    if (!PyErr_ExceptionMatches(PyExc_AttributeError)) return -1;
    PyErr_Clear();
    return 0;
}

/* Servers of plain callables have not handed over Django's parts. */
static PyObject *ask_sendable(q5py_state *state, PyObject *response) {
    if (state->django) return PyObject_CallOneArg(state->django->sendable, response);
    PyObject *module = PyImport_ImportModule("quintette.http.files");
    PyObject *answer =
        module ? PyObject_CallMethodOneArg(module, state->str_sendable, response) : NULL;
    Py_XDECREF(module);
    return answer;
}

/* A FileResponse's file, where the kernel can send it: 1, and reply->file is set. Else 0, or -1
 * with an exception. quintette.http.files decides. */
static int file_of(q5py_state *state, PyObject *response, q5py_reply *reply) {
    PyObject *file;
    int found = q5py_find_attribute(response, state->str_file_to_stream, &file);
    if (found <= 0) return found;
    found = -1;
    PyObject *answer = NULL;
    if (file == Py_None) {
        found = 0;
        goto done;
    }
    answer = ask_sendable(state, response);
    if (answer == NULL) goto done;
    if (answer == Py_None) {
        found = 0;
        goto done;
    }
    unsigned long long offset, len;
    int fd;
    if (!PyArg_ParseTuple(answer, "iKK", &fd, &offset, &len)) goto done;
    reply->file = Py_NewRef(file);
    reply->file_fd = fd;
    reply->file_offset = offset;
    reply->file_len = len;
    found = 1;
done:
    Py_DECREF(file);
    Py_XDECREF(answer);
    return found;
}

static int stream_of(q5py_state *state, PyObject *response, q5py_reply *reply) {
    int found = file_of(state, response, reply);
    if (found != 0) return found < 0 ? -1 : 0;
    int is_async = q5py_flag_of(response, state->str_is_async);
    if (is_async < 0) return -1;
    reply->stream_is_async = is_async != 0;
    /* Both of the response's iterators encode text to the response's charset. */
    reply->stream = is_async ? PyObject_CallMethodNoArgs(response, state->str___aiter__)
                             : PyObject_GetIter(response);
    return reply->stream == NULL ? -1 : 0;
}

int q5py_reply_from_django(q5py_state *state, PyObject *response, q5py_reply *reply) {
    q5py_reply_init(reply);
    reply->status = status_of(state, response);
    if (reply->status < 0 || reason_of(state, response, reply) < 0) goto fail;
    reply->fields = fields_of(state, response);
    if (reply->fields == NULL) goto fail;
    int streaming = q5py_flag_of(response, state->str_streaming);
    if (streaming < 0) goto fail;
    if (streaming) {
        if (stream_of(state, response, reply) < 0) goto fail;
    } else {
        /* Joins response._container; with one bytes object in it, that is the object itself. */
        reply->body = PyObject_GetAttr(response, state->str_content);
        if (reply->body == NULL) goto fail;
    }
    reply->closer = Py_NewRef(response);
    return 0;
fail:
    q5py_reply_clear(reply);
    q5py_reply_init(reply);
    return -1;
}
