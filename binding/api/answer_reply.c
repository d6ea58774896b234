/* A reply as an answer again: guards have worked on it, and another host is to send it. */
#include "plan_data.h"

static PyObject *or_none(PyObject *object) {
    return object ? object : Py_None;
}

/* The answer's own values behind `from`, unchanged. */
static PyObject *joined(PyObject *head, PyObject *answer, Py_ssize_t from) {
    PyObject *rest = head ? PyTuple_GetSlice(answer, from, PyTuple_GET_SIZE(answer)) : NULL;
    PyObject *whole = rest ? PySequence_Concat(head, rest) : NULL;
    Py_XDECREF(head);
    Py_XDECREF(rest);
    return whole;
}

/* (DJANGO, response, status, fields, body, stream, is_async) */
static PyObject *from_django(const q5py_reply *reply, PyObject *response, PyObject *fields) {
    return Py_BuildValue("(iOiOOOi)", Q5PY_ANSWER_DJANGO, response, reply->status, fields,
                         or_none(reply->body), or_none(reply->stream), reply->stream_is_async);
}

static PyObject *from_parts(const q5py_reply *reply, PyObject *answer, PyObject *fields) {
    if (reply->file)
        return joined(Py_BuildValue("(iiOO)", Q5PY_ANSWER_FILE, reply->status, fields, reply->file),
                      answer, 4);
    if (reply->stream)
        return Py_BuildValue("(iiOOiOOIOO)", Q5PY_ANSWER_STREAM, reply->status, fields,
                             reply->stream, reply->stream_is_async, or_none(reply->closer),
                             or_none(reply->pieces), (unsigned int)reply->keep_alive_msec,
                             or_none(reply->prelude), or_none(reply->encoder));
    return Py_BuildValue("(iiOO)", Q5PY_ANSWER_BODY, reply->status, fields, or_none(reply->body));
}

PyObject *q5py_reply_as_answer(q5py_reply *reply, PyObject *answer) {
    bool is_django = PyLong_AsLong(PyTuple_GET_ITEM(answer, 0)) == Q5PY_ANSWER_DJANGO;
    PyObject *fields = q5py_reply_take_fields(reply);
    if (!fields) return NULL;
    PyObject *made = is_django && reply->closer == PyTuple_GET_ITEM(answer, 1)
                         ? from_django(reply, PyTuple_GET_ITEM(answer, 1), fields)
                         : from_parts(reply, answer, fields);
    Py_DECREF(fields);
    return made;
}
