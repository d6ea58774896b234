/* Texts to Python values, and what Python 3.11 lacks. */
#ifndef Q5PY_CONVERT_H
#define Q5PY_CONVERT_H

#include "api/plan_data.h"

/* The text as a value of param, NULL and *ret_fault when it is refused, or NULL with an exception
 * set (out of memory, or anything that param->convert raised: *ret_fault is Q5PY_FAULT_CONVERT). */
PyObject *q5py_convert_text(const q5py_param *param, q5_slice text, q5py_fault *ret_fault);

/* A str of UTF-8, or NULL with UnicodeDecodeError. */
static inline PyObject *q5py_str(q5_slice text) {
    return PyUnicode_DecodeUTF8(text.base, (Py_ssize_t)text.len, NULL);
}

/* A str of Latin-1, as Django reads field values. */
static inline PyObject *q5py_latin1(q5_slice text) {
    return PyUnicode_DecodeLatin1(text.base, (Py_ssize_t)text.len, NULL);
}

/* Digits with an optional sign, within 64 bits. */
bool q5py_parse_int(q5_slice text, int64_t *ret_value);

/* Takes the current exception: a new reference, normalised, or NULL. */
PyObject *q5py_exception_take(void);
/* Sets it again; steals the reference. */
void q5py_exception_set(PyObject *exception);

/* Ends an iterator with that value; steals the reference. */
void q5py_stop_iteration(PyObject *value);
/* What am_send has given, as __next__ gives it; steals the value. */
PyObject *q5py_next_of(PySendResult sent, PyObject *value);

/* The attribute, if there is one. 1: *ret is a new reference; 0: *ret is NULL; -1 with an
 * exception, and *ret is NULL. */
static inline int q5py_find_attribute(PyObject *object, PyObject *name, PyObject **ret) {
#if PY_VERSION_HEX >= 0x030D0000
    return PyObject_GetOptionalAttr(object, name, ret);
#else
    return _PyObject_LookupAttr(object, name, ret);
#endif
}

/* The truth of an attribute; -1 with an exception. */
static inline int q5py_truth_of(PyObject *object, PyObject *name) {
    PyObject *value = PyObject_GetAttr(object, name);
    int truth = value ? PyObject_IsTrue(value) : -1;
    Py_XDECREF(value);
    return truth;
}

/* The same of one that may be missing, which is 0. */
static inline int q5py_flag_of(PyObject *object, PyObject *name) {
    PyObject *value;
    int found = q5py_find_attribute(object, name, &value);
    if (found <= 0) return found;
    int truth = PyObject_IsTrue(value);
    Py_DECREF(value);
    return truth;
}

#endif
