/* Results and errors to replies: the way of our own server. */
#include "plan_data.h"

#include "django/request.h"
#include "q5/sse.h"

/* ---- answers --------------------------------------------------------------------------------- */

static int reply_from_body(PyObject *answer, q5py_reply *reply) {
    int kind;
    PyObject *fields, *body;
    if (!PyArg_ParseTuple(answer, "iiOO", &kind, &reply->status, &fields, &body)) return -1;
    reply->fields = q5py_maybe(fields);
    reply->body = q5py_maybe(body);
    return 0;
}

static int reply_from_stream(PyObject *answer, q5py_reply *reply) {
    int kind, is_async;
    PyObject *fields, *stream, *closer, *pieces = Py_None, *prelude = Py_None;
    unsigned int keep_alive_msec = 0;
    if (!PyArg_ParseTuple(answer, "iiOOpO|OIO", &kind, &reply->status, &fields, &stream, &is_async,
                          &closer, &pieces, &keep_alive_msec, &prelude))
        return -1;
    reply->pieces = q5py_maybe(pieces);
    reply->prelude = q5py_maybe(prelude);
    reply->keep_alive = Q5_LIT(Q5_SSE_KEEP_ALIVE);
    reply->keep_alive_msec = keep_alive_msec;
    reply->fields = q5py_maybe(fields);
    reply->stream = Py_NewRef(stream);
    reply->stream_is_async = is_async;
    reply->closer = q5py_maybe(closer);
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
    reply->fields = q5py_maybe(fields);
    reply->file = Py_NewRef(file);
    reply->file_fd = fd;
    reply->file_offset = offset;
    reply->file_len = len;
    reply->closer = q5py_maybe(closer);
    return 0;
}

int q5py_reply_from_answer(q5py_state *state, PyObject *answer, q5py_reply *reply,
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

/* ---- the plan's interface -------------------------------------------------------------------- */

int q5py_plan_encode(q5py_state *state, q5py_plan *plan, q5_exchange *x, PyObject *result,
                     q5py_reply *reply, PyObject **ret_awaitable) {
    const q5py_plan_data *data = plan->data;
    PyObject *body, *answer;
    if (q5py_plan_judge(plan, result, &body, &answer) < 0) return -1;
    if (answer) {
        if (q5py_file_negotiate(x, &answer) < 0) return -1;
        int status = q5py_reply_from_answer(state, answer, reply,
                                            plan->kind != Q5PY_THREAD ? ret_awaitable : NULL);
        Py_DECREF(answer);
        return status ? status : pull_in_thread(plan, reply);
    }
    reply->body = body;
    reply->status = body ? data->status : data->none_status;
    reply->lines = q5py_bytes_slice(body ? data->lines : data->none_lines);
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

int q5py_plan_fail(q5py_pass *pass, q5py_reply *reply, PyObject **ret_awaitable) {
    PyObject *exception, *type, *traceback;
    PyErr_Fetch(&type, &exception, &traceback);
    Py_CLEAR(pass->after); /* belongs to what has failed */
    if (!q5py_pass_request(pass)) PyErr_Clear();
    PyErr_Restore(type, exception, traceback);
    PyObject *answer = q5py_plan_excuse(pass->plan, pass->request);
    int rc = answer ? q5py_reply_from_answer(pass->state, answer, reply, ret_awaitable) : -1;
    if (rc < 0) reply_last_resort(pass->plan, reply);
    Py_XDECREF(answer);
    return rc > 0;
}
