/* What guards hand to functions of the project's. */
#include "guard_values.h"

#include "convert.h"
#include "q5/percent.h"

/* As the handler will get it; NULL without an exception where it will refuse it. */
static PyObject *path_value(q5py_pass *pass, const q5py_param *param) {
    const q5_route_match *match = &pass->x->match;
    q5_slice text;
    q5py_fault fault;
    if (param->index >= match->param_count) return NULL;
    if (q5_percent_decode_arena(match->params[param->index].value, Q5_PERCENT_UTF8, &pass->x->arena,
                                &text))
        return NULL;
    PyObject *value = q5py_convert_text(param, text, &fault);
    if (!value && PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_Exception)) PyErr_Clear();
    return value;
}

PyObject *q5py_pass_path(q5py_pass *pass) {
    const q5py_plan_data *data = pass->plan->data;
    PyObject *values = PyDict_New();
    for (uint16_t i = data->first[Q5PY_IN_PATH]; values && i < data->first[Q5PY_IN_PATH + 1]; i++) {
        const q5py_param *param = &data->params[i];
        PyObject *value = path_value(pass, param);
        int rc = 0;
        if (value) {
            PyObject *name = q5py_str(param->key);
            rc = name ? PyDict_SetItem(values, name, value) : -1;
            Py_XDECREF(name);
            Py_DECREF(value);
        }
        if (rc || PyErr_Occurred()) Py_CLEAR(values);
    }
    return values;
}

PyObject *q5py_pass_ask(q5py_pass *pass, PyObject *function) {
    PyObject *request = q5py_pass_request(pass);
    PyObject *values = request ? q5py_pass_path(pass) : NULL;
    PyObject *made = values ? PyObject_CallFunctionObjArgs(function, request, values, NULL) : NULL;
    Py_XDECREF(values);
    return made;
}

void q5py_raise_made(PyObject *maker) {
    PyObject *exception = PyObject_CallNoArgs(maker);
    if (exception) PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_XDECREF(exception);
}
