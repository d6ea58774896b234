/* Awaiting in synchronous code: wait_for() steps an awaitable in a greenlet, which waits for what
 * it yields. */
#include "sync_call.h"

#include "convert.h"

static PyObject *throw_into(q5py_state *state, PyObject *awaited, PyObject **ret_yielded) {
    PyObject *exception = q5py_exception_take(), *throw = NULL, *result = NULL;
    if (q5py_find_attribute(awaited, state->str_throw, &throw) > 0) {
        *ret_yielded = PyObject_CallOneArg(throw, exception);
        Py_DECREF(throw);
        Py_DECREF(exception);
    } else {
        q5py_exception_set(exception);
    }
    if (!*ret_yielded && PyErr_ExceptionMatches(PyExc_StopIteration)) {
        PyObject *stop = q5py_exception_take();
        result = Py_NewRef(((PyStopIterationObject *)stop)->value);
        Py_DECREF(stop);
    }
    return result;
}

/* Steps what was got from __await__ here, and hands on what it yields. */
static PyObject *step_here(q5py_state *state, PyObject *awaited) {
    PyObject *yielded = NULL, *result;
    PySendResult sent = PyIter_Send(awaited, Py_None, &yielded);
    while (sent == PYGEN_NEXT) {
        int rc = q5py_yield(yielded);
        Py_CLEAR(yielded);
        if (rc == 0) {
            sent = PyIter_Send(awaited, Py_None, &yielded);
            continue;
        }
        result = throw_into(state, awaited, &yielded);
        if (!yielded) return result;
    }
    return sent == PYGEN_RETURN ? yielded : NULL;
}

static PyObject *awaited_of(PyObject *awaitable) {
    if (PyCoro_CheckExact(awaitable)) return Py_NewRef(awaitable);
    PyAsyncMethods *methods = Py_TYPE(awaitable)->tp_as_async;
    if (methods && methods->am_await) return methods->am_await(awaitable);
    PyErr_Format(PyExc_TypeError, "object %.100s can't be used in wait_for()",
                 Py_TYPE(awaitable)->tp_name);
    return NULL;
}

PyObject *q5py_wait_for(PyObject *module, PyObject *awaitable) {
    if (!q5py_can_wait()) {
        PyErr_SetString(PyExc_RuntimeError, "only code in a greenlet can wait here");
        return NULL;
    }
    PyObject *awaited = awaited_of(awaitable);
    PyObject *result = awaited ? step_here(q5py_state_of(module), awaited) : NULL;
    Py_XDECREF(awaited);
    return result;
}

PyObject *q5py_can_wait_py(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    return PyBool_FromLong(q5py_can_wait());
}
