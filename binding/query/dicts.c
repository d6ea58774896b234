/* Rows become dicts, as QuerySet.values() gives them. */
#include "q5py.h"

/* A copy of `blank`, which has the names as keys, is cheaper than growing a dict name by name. */
static PyObject *make_dict(PyObject *blank, PyObject *names, PyObject *row) {
    Py_ssize_t count = PyTuple_GET_SIZE(names);
    if (PySequence_Fast_GET_SIZE(row) < count) {
        PyErr_SetString(PyExc_IndexError, "a row with too few columns");
        return NULL;
    }
    PyObject *dict = PyDict_Copy(blank);
    for (Py_ssize_t i = 0; dict && i < count; i++)
        if (PyDict_SetItem(dict, PyTuple_GET_ITEM(names, i), PySequence_Fast_GET_ITEM(row, i)))
            Py_CLEAR(dict);
    return dict;
}

static PyObject *blank_of(PyObject *names) {
    PyObject *blank = PyDict_New();
    for (Py_ssize_t i = 0; blank && i < PyTuple_GET_SIZE(names); i++)
        if (PyDict_SetItem(blank, PyTuple_GET_ITEM(names, i), Py_None)) Py_CLEAR(blank);
    return blank;
}

static int append_dict(PyObject *dicts, PyObject *blank, PyObject *names, PyObject *source) {
    PyObject *row = PySequence_Fast(source, "a row must be a sequence");
    PyObject *dict = row ? make_dict(blank, names, row) : NULL;
    int rc = dict ? PyList_Append(dicts, dict) : -1;
    Py_XDECREF(dict);
    Py_XDECREF(row);
    return rc;
}

PyObject *q5py_make_dicts(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 2 || !PyTuple_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "make_dicts(names: tuple, rows)");
        return NULL;
    }
    PyObject *blank = blank_of(args[0]);
    PyObject *rows = blank ? PyObject_GetIter(args[1]) : NULL;
    PyObject *dicts = rows ? PyList_New(0) : NULL, *row;
    while (dicts && (row = PyIter_Next(rows))) {
        if (append_dict(dicts, blank, args[0], row)) Py_CLEAR(dicts);
        Py_DECREF(row);
    }
    Py_XDECREF(rows);
    Py_XDECREF(blank);
    if (PyErr_Occurred()) Py_CLEAR(dicts);
    return dicts;
}
