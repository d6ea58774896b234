/* Results and errors to replies: the way of our own server. */
#include "plan_data.h"
#include "request.h"

/* ---- answers -----------------------------------------------------------------------------------
 */

/* A new reference, or NULL for None. */
static PyObject *maybe(PyObject *object) {
    return object == Py_None ? NULL : Py_NewRef(object);
}

static int reply_from_body(PyObject *answer, q5py_reply *reply) {
    int kind;
    PyObject *fields, *body;
    if (!PyArg_ParseTuple(answer, "iiOO", &kind, &reply->status, &fields, &body)) return -1;
    reply->fields = maybe(fields);
    reply->body = maybe(body);
    return 0;
}

static int reply_from_stream(PyObject *answer, q5py_reply *reply) {
    int kind, is_async;
    PyObject *fields, *stream, *closer;
    if (!PyArg_ParseTuple(answer, "iiOOpO", &kind, &reply->status, &fields, &stream, &is_async,
                          &closer))
        return -1;
    reply->fields = maybe(fields);
    reply->stream = Py_NewRef(stream);
    reply->stream_is_async = is_async;
    reply->closer = maybe(closer);
    return 0;
}

static int reply_from_file(PyObject *answer, q5py_reply *reply) {
    int kind;
    PyObject *fields, *file, *closer, *file_tag, *file_time;
    unsigned long long offset, len;
    /* What is left of it, if anything, has been negotiated. */
    if (!PyArg_ParseTuple(answer, "iiOOKKO|OO", &kind, &reply->status, &fields, &file, &offset,
                          &len, &closer, &file_tag, &file_time))
        return -1;
    int fd = PyObject_AsFileDescriptor(file);
    if (fd < 0) return -1;
    reply->fields = maybe(fields);
    reply->file = Py_NewRef(file);
    reply->file_fd = fd;
    reply->file_offset = offset;
    reply->file_len = len;
    reply->closer = maybe(closer);
    return 0;
}

/* 0, -1, or 1 with *ret_awaitable when the caller takes one. */
static int reply_from_answer(q5py_state *state, PyObject *answer, q5py_reply *reply,
                             PyObject **ret_awaitable) {
    switch ((q5py_answer)PyLong_AsLong(PyTuple_GET_ITEM(answer, 0))) {
    case Q5PY_ANSWER_BODY:
        return reply_from_body(answer, reply);
    case Q5PY_ANSWER_STREAM:
        return reply_from_stream(answer, reply);
    case Q5PY_ANSWER_FILE:
        return reply_from_file(answer, reply);
    case Q5PY_ANSWER_DJANGO:
        return q5py_reply_from_django(state, PyTuple_GET_ITEM(answer, 1), reply);
    case Q5PY_ANSWER_AWAIT:
        if (!ret_awaitable) break;
        *ret_awaitable = Py_NewRef(PyTuple_GET_ITEM(answer, 1));
        return 1;
    case Q5PY_ANSWER_VALUE:
        break;
    }
    PyErr_SetString(PyExc_SystemError, "unexpected kind of answer");
    return -1;
}

/* The server runs sync iterators in the worker thread that made the reply. On the loop there is
 * none: the plan's hook makes an async iterator that pulls in a thread. */
static int pull_in_thread(const q5py_plan *plan, q5py_reply *reply) {
    if (plan->kind == Q5PY_THREAD || !reply->stream || reply->stream_is_async) return 0;
    PyObject *pulled = PyObject_CallOneArg(plan->data->pull, reply->stream);
    if (!pulled) return -1;
    Py_SETREF(reply->stream, pulled);
    reply->stream_is_async = true;
    return 0;
}

/* ---- the plan's interface ----------------------------------------------------------------------
 */

static q5_slice slice_of(PyObject *bytes) {
    return q5_slice_make(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
}

int q5py_plan_encode(q5py_state *state, q5py_plan *plan, q5_exchange *x, PyObject *result,
                     q5py_reply *reply, PyObject **ret_awaitable) {
    const q5py_plan_data *data = plan->data;
    PyObject *body, *answer;
    if (q5py_plan_judge(plan, result, &body, &answer) < 0) return -1;
    if (answer) {
        if (q5py_file_negotiate(x, &answer) < 0) return -1;
        int status = reply_from_answer(state, answer, reply,
                                       plan->kind != Q5PY_THREAD ? ret_awaitable : NULL);
        Py_DECREF(answer);
        return status ? status : pull_in_thread(plan, reply);
    }
    reply->body = body;
    reply->status = body ? data->status : data->none_status;
    reply->lines = slice_of(body ? data->lines : data->none_lines);
    return 0;
}

/* When even the error hook fails there is nobody left to ask. */
static void reply_last_resort(q5py_plan *plan, q5py_reply *reply) {
    static const char problem[] =
        "{\"type\":\"about:blank\",\"title\":\"Internal Server Error\",\"status\":500}";
    PyErr_WriteUnraisable(plan->handler);
    q5py_reply_clear(reply);
    q5py_reply_init(reply);
    reply->status = 500;
    reply->lines = Q5_LIT("Content-Type: application/problem+json\r\n");
    reply->body = PyBytes_FromStringAndSize(problem, sizeof(problem) - 1);
    if (!reply->body) PyErr_Clear();
}

int q5py_plan_fail(q5py_state *state, q5py_plan *plan, q5_exchange *x, PyObject *request,
                   q5py_reply *reply, PyObject **ret_awaitable) {
    PyObject *own = NULL;
    if (!request) {
        PyObject *exception, *type, *traceback;
        PyErr_Fetch(&type, &exception, &traceback);
        own = q5py_request_new(state, x);
        if (!own) PyErr_Clear();
        PyErr_Restore(type, exception, traceback);
    }
    PyObject *answer = q5py_plan_excuse(plan, request ? request : own);
    int rc = answer ? reply_from_answer(state, answer, reply, ret_awaitable) : -1;
    if (rc < 0) reply_last_resort(plan, reply);
    Py_XDECREF(answer);
    Py_XDECREF(own);
    return rc > 0;
}
