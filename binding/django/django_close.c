/* response.close(): what HttpResponseBase.close does, as long as that is what it would call. */
#include "django.h"

/* Whatever it raises below BaseException is of no interest, to Django neither. */
static int run_closer(PyObject *closer) {
    PyObject *done = PyObject_CallNoArgs(closer);
    Py_XDECREF(done);
    if (done) return 0;
    if (!PyErr_ExceptionMatches(PyExc_Exception)) return -1;
    PyErr_Clear();
    return 0;
}

static int run_closers(q5py_state *state, PyObject *response) {
    PyObject *closers = PyObject_GetAttr(response, state->str__resource_closers);
    if (!closers) return -1;
    int rc = 0;
    if (!PyList_Check(closers)) {
        PyErr_SetString(PyExc_TypeError, "_resource_closers is not a list");
        rc = -1;
    }
    /* A closer may add others. */
    for (Py_ssize_t i = 0; rc == 0 && i < PyList_GET_SIZE(closers); i++) {
        PyObject *closer = Py_NewRef(PyList_GET_ITEM(closers, i));
        rc = run_closer(closer);
        Py_DECREF(closer);
    }
    if (rc == 0) rc = PyList_SetSlice(closers, 0, PyList_GET_SIZE(closers), NULL);
    Py_DECREF(closers);
    return rc;
}

static int close_plain(q5py_state *state, PyObject *response) {
    if (run_closers(state, response) || PyObject_SetAttr(response, state->str_closed, Py_True))
        return -1;
    PyObject *sender = PyObject_GetAttr(response, state->str__handler_class);
    int rc = sender ? q5py_send_finished(state, sender) : -1;
    Py_XDECREF(sender);
    return rc;
}

int q5py_response_close(q5py_state *state, PyObject *response) {
    PyObject *method = PyObject_GetAttr(response, state->str_close);
    if (!method) return -1;
    q5py_django *django = state->django;
    int rc;
    if (django && PyMethod_Check(method) && PyMethod_GET_SELF(method) == response &&
        PyMethod_GET_FUNCTION(method) == django->response_close) {
        rc = close_plain(state, response);
    } else {
        PyObject *done = PyObject_CallNoArgs(method);
        rc = done ? 0 : -1;
        Py_XDECREF(done);
    }
    Py_DECREF(method);
    return rc;
}

PyObject *q5py_close_response(PyObject *module, PyObject *response) {
    if (q5py_response_close(q5py_state_of(module), response)) return NULL;
    Py_RETURN_NONE;
}
