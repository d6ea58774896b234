#include "plan_data.h"

#include "convert.h"
#include "query/query.h"

/* ---- judging a result ------------------------------------------------------------------------ */

static int answer_kind(PyObject *answer) {
    if (PyTuple_CheckExact(answer) && PyTuple_GET_SIZE(answer) > 1) {
        long kind = PyLong_AsLong(PyTuple_GET_ITEM(answer, 0));
        if (kind >= Q5PY_ANSWER_BODY && kind <= Q5PY_ANSWER_VALUE) return (int)kind;
    }
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_SystemError, "malformed answer");
    return -1;
}

/* The plan's Python side looks at what is none of the declared type. */
static int judge_slowly(const q5py_plan_data *data, PyObject *result, PyObject **ret_body,
                        PyObject **ret_answer) {
    PyObject *answer = PyObject_CallOneArg(data->finish, result);
    if (!answer) return -1;
    int kind = answer_kind(answer);
    if (kind == Q5PY_ANSWER_VALUE) {
        *ret_body = PyObject_CallOneArg(data->encode, PyTuple_GET_ITEM(answer, 1));
        Py_DECREF(answer);
        return *ret_body ? 0 : -1;
    }
    if (kind < 0) {
        Py_DECREF(answer);
        return -1;
    }
    *ret_answer = answer;
    return 0;
}

static int judge_value(q5py_plan *plan, PyObject *result, PyObject **ret_body,
                       PyObject **ret_answer) {
    const q5py_plan_data *data = plan->data;
    int matches = q5py_shape_matches(&data->shape, result);
    if (matches < 0) return -1;
    if (!matches) return judge_slowly(data, result, ret_body, ret_answer);
    *ret_body = PyObject_CallOneArg(data->encode, result);
    return *ret_body ? 0 : -1;
}

/* A compiled query: it runs now, or is to be awaited. */
static int judge_pending(q5py_plan *plan, PyObject *pending, PyObject **ret_body,
                         PyObject **ret_answer) {
    PyObject *awaitable = NULL, *result = NULL;
    if (q5py_pending_judge(pending, plan->kind == Q5PY_THREAD, ret_body, &result, &awaitable))
        return -1;
    if (result) {
        int rc = judge_value(plan, result, ret_body, ret_answer);
        Py_DECREF(result);
        return rc;
    }
    if (!awaitable) return 0;
    *ret_answer = Py_BuildValue("(iN)", Q5PY_ANSWER_AWAIT, awaitable);
    return *ret_answer ? 0 : -1;
}

int q5py_plan_judge(q5py_plan *plan, PyObject *result, PyObject **ret_body, PyObject **ret_answer) {
    const q5py_plan_data *data = plan->data;
    *ret_body = *ret_answer = NULL;
    if (result == Py_None && data->none_is_empty) return 0;
    if (q5py_is_pending(result)) return judge_pending(plan, result, ret_body, ret_answer);
    return judge_value(plan, result, ret_body, ret_answer);
}

PyObject *q5py_plan_excuse(q5py_plan *plan, PyObject *request) {
    PyObject *exception = q5py_exception_take();
    if (!exception) {
        PyErr_SetString(PyExc_SystemError, "a failure without an exception");
        return NULL;
    }
    PyObject *answer = PyObject_CallFunctionObjArgs(plan->data->on_error, exception,
                                                    request ? request : Py_None, NULL);
    Py_DECREF(exception);
    if (answer && answer_kind(answer) < 0) Py_CLEAR(answer);
    return answer;
}
