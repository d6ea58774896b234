/* What sqlite3 has fetched, a list of tuples, as cells. */
#include "query.h"

#include <datetime.h>

/* The converters that Django registers with sqlite3 have made objects of what stands in the file:
 * back to the text that libq5 reads. False: a moment with a zone, or no moment. */
static bool moment_text(PyObject *value, char *text, q5_cell *ret) {
    int len = 0;
    bool date = PyDate_CheckExact(value), moment = PyDateTime_CheckExact(value);
    if (date || moment)
        len = snprintf(text, Q5PY_MOMENT_SIZE, "%04d-%02d-%02d", PyDateTime_GET_YEAR(value),
                       PyDateTime_GET_MONTH(value), PyDateTime_GET_DAY(value));
    if (moment && PyDateTime_DATE_GET_TZINFO(value) == Py_None)
        len += snprintf(text + len, Q5PY_MOMENT_SIZE - (size_t)len, " %02d:%02d:%02d.%06d",
                        PyDateTime_DATE_GET_HOUR(value), PyDateTime_DATE_GET_MINUTE(value),
                        PyDateTime_DATE_GET_SECOND(value), PyDateTime_DATE_GET_MICROSECOND(value));
    else if (PyTime_CheckExact(value) && PyDateTime_TIME_GET_TZINFO(value) == Py_None)
        len = snprintf(text, Q5PY_MOMENT_SIZE, "%02d:%02d:%02d.%06d",
                       PyDateTime_TIME_GET_HOUR(value), PyDateTime_TIME_GET_MINUTE(value),
                       PyDateTime_TIME_GET_SECOND(value), PyDateTime_TIME_GET_MICROSECOND(value));
    else if (!date)
        return false;
    *ret = q5_cell_text(text, (size_t)len);
    return true;
}

/* Q5_OK; Q5_ECELL_RANGE: a value that the cells of SQLite cannot be, for Python. */
static int cell_of(PyObject *value, char *moment, q5_cell *ret) {
    if (value == Py_None) {
        *ret = q5_cell_null();
    } else if (PyLong_Check(value)) { /* bool too */
        int overflow;
        *ret = q5_cell_int64(PyLong_AsLongLongAndOverflow(value, &overflow));
        if (overflow) return Q5_ECELL_RANGE;
    } else if (PyFloat_CheckExact(value)) {
        *ret = q5_cell_double(PyFloat_AS_DOUBLE(value));
    } else if (PyUnicode_CheckExact(value)) {
        Py_ssize_t len;
        const char *text = PyUnicode_AsUTF8AndSize(value, &len);
        if (!text) {
            PyErr_Clear();
            return Q5_ECELL_RANGE;
        }
        *ret = q5_cell_text(text, (size_t)len);
    } else if (PyBytes_CheckExact(value)) {
        *ret = q5_cell_bytes(PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value));
    } else if (!moment_text(value, moment, ret)) {
        return Q5_ECELL_RANGE;
    }
    return Q5_OK;
}

static int tuples_next(void *ctx, q5_cell *cells, uint32_t columns) {
    q5py_tuples *self = ctx;
    if (self->next >= self->end || self->next >= PyList_GET_SIZE(self->rows)) return Q5_DONE;
    PyObject *row = PyList_GET_ITEM(self->rows, self->next++);
    if (!PyTuple_Check(row) || PyTuple_GET_SIZE(row) < (Py_ssize_t)columns) return Q5_ECELL_RANGE;
    for (uint32_t i = 0; i < columns; i++) {
        int status = cell_of(PyTuple_GET_ITEM(row, i), self->moments[i], &cells[i]);
        if (status) return status;
    }
    return Q5_OK;
}

int q5py_tuples_begin(q5py_tuples *self, PyObject *rows, Py_ssize_t first, Py_ssize_t end,
                      uint32_t columns) {
    *self = (q5py_tuples){.rows = rows, .next = first, .end = end};
    self->moments = PyMem_Calloc(columns + 1U, Q5PY_MOMENT_SIZE);
    if (self->moments) return 0;
    PyErr_NoMemory();
    return -1;
}

q5_row_source q5py_tuples_source(q5py_tuples *self) {
    return (q5_row_source){.ctx = self, .next = tuples_next};
}

void q5py_tuples_end(q5py_tuples *self) {
    PyMem_Free(self->moments);
}

int q5py_init_tuples(PyObject *module, q5py_state *state) {
    (void)module;
    (void)state;
    PyDateTime_IMPORT;
    return PyErr_Occurred() ? -1 : 0;
}
