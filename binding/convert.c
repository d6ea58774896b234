#include "convert.h"

/* ---- numbers --------------------------------------------------------------------------------- */

bool q5py_parse_int(q5_slice text, int64_t *ret_value) {
    size_t i = 0;
    bool negative = false;
    if (text.len > 0 && (text.base[0] == '-' || text.base[0] == '+')) {
        negative = text.base[0] == '-';
        i = 1;
    }
    if (i == text.len) return false;
    int64_t value = 0; /* kept negative: the negative range is the longer one */
    for (; i < text.len; i++) {
        int unit = text.base[i] - '0';
        if (unit < 0 || unit > 9) return false;
        if (__builtin_mul_overflow(value, 10, &value)) return false;
        if (__builtin_sub_overflow(value, unit, &value)) return false;
    }
    if (!negative && __builtin_sub_overflow(0, value, &value)) return false;
    *ret_value = value;
    return true;
}

/* PyOS_string_to_double reads a NUL-terminated text and takes "inf", "nan" and hexadecimal apart:
 * only what a JSON number could be, with an optional plus, is passed on. */
#define FLOAT_TEXT_MAX 64

static bool parse_float(q5_slice text, double *ret_value) {
    char copy[FLOAT_TEXT_MAX + 1];
    if (text.len == 0 || text.len > FLOAT_TEXT_MAX) return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.base[i];
        if (!((c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E'))
            return false;
        copy[i] = c;
    }
    copy[text.len] = '\0';
    char *end;
    double value = PyOS_string_to_double(copy, &end, NULL);
    if (PyErr_Occurred()) {
        PyErr_Clear();
        return false;
    }
    if (end != copy + text.len || value - value != 0) return false; /* overflowed to infinity */
    *ret_value = value;
    return true;
}

/* ---- one text -------------------------------------------------------------------------------- */

static PyObject *to_int(const q5py_param *param, q5_slice text, q5py_fault *ret_fault) {
    int64_t value;
    if (!q5py_parse_int(text, &value)) {
        *ret_fault = Q5PY_FAULT_TYPE;
        return NULL;
    }
    if (((param->flags & Q5PY_LOW) && value < param->low.i) ||
        ((param->flags & Q5PY_HIGH) && value > param->high.i)) {
        *ret_fault = Q5PY_FAULT_BOUNDS;
        return NULL;
    }
    return PyLong_FromLongLong(value);
}

static bool float_in_bounds(const q5py_param *param, double value) {
    if (param->flags & Q5PY_LOW) {
        if (value < param->low.f) return false;
        if ((param->flags & Q5PY_LOW_OPEN) && value <= param->low.f) return false;
    }
    if (param->flags & Q5PY_HIGH) {
        if (value > param->high.f) return false;
        if ((param->flags & Q5PY_HIGH_OPEN) && value >= param->high.f) return false;
    }
    return true;
}

static PyObject *to_float(const q5py_param *param, q5_slice text, q5py_fault *ret_fault) {
    double value;
    if (!parse_float(text, &value)) {
        *ret_fault = Q5PY_FAULT_TYPE;
        return NULL;
    }
    if (!float_in_bounds(param, value)) {
        *ret_fault = Q5PY_FAULT_BOUNDS;
        return NULL;
    }
    return PyFloat_FromDouble(value);
}

static PyObject *to_bool(q5_slice text, q5py_fault *ret_fault) {
    static const struct {
        q5_slice text;
        bool value;
    } words[] = {
        {{"true", 4}, true},   {{"1", 1}, true},  {{"on", 2}, true},
        {{"false", 5}, false}, {{"0", 1}, false}, {{"off", 3}, false},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(words); i++)
        if (q5_slice_ieq(text, words[i].text))
            return Py_NewRef(words[i].value ? Py_True : Py_False);
    *ret_fault = Q5PY_FAULT_TYPE;
    return NULL;
}

/* Header values are Latin-1, as Django takes them; everything else is UTF-8. */
static PyObject *to_text(const q5py_param *param, q5_slice text, q5py_fault *ret_fault) {
    if (param->source == Q5PY_IN_HEADER) return q5py_latin1(text);
    PyObject *value = q5py_str(text);
    if (!value && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        PyErr_Clear();
        *ret_fault = Q5PY_FAULT_ENCODING;
    }
    return value;
}

static PyObject *to_str(const q5py_param *param, q5_slice text, q5py_fault *ret_fault) {
    PyObject *value = to_text(param, text, ret_fault);
    if (!value || !(param->flags & (Q5PY_LOW | Q5PY_HIGH))) return value;
    Py_ssize_t len = PyUnicode_GET_LENGTH(value);
    if (((param->flags & Q5PY_LOW) && len < param->low.i) ||
        ((param->flags & Q5PY_HIGH) && len > param->high.i)) {
        Py_DECREF(value);
        *ret_fault = Q5PY_FAULT_BOUNDS;
        return NULL;
    }
    return value;
}

PyObject *q5py_convert_text(const q5py_param *param, q5_slice text, q5py_fault *ret_fault) {
    switch (param->conversion) {
    case Q5PY_TO_STR:
        return to_str(param, text, ret_fault);
    case Q5PY_TO_INT:
        return to_int(param, text, ret_fault);
    case Q5PY_TO_FLOAT:
        return to_float(param, text, ret_fault);
    case Q5PY_TO_BOOL:
        return to_bool(text, ret_fault);
    default:
        break;
    }
    PyObject *value = to_text(param, text, ret_fault);
    if (!value) return NULL;
    PyObject *converted = PyObject_CallOneArg(param->convert, value);
    Py_DECREF(value);
    if (!converted) *ret_fault = Q5PY_FAULT_CONVERT;
    return converted;
}

/* ---- exceptions ------------------------------------------------------------------------------ */

#if PY_VERSION_HEX >= 0x030C0000

PyObject *q5py_exception_take(void) {
    return PyErr_GetRaisedException();
}

void q5py_exception_set(PyObject *exception) {
    PyErr_SetRaisedException(exception);
}

#else

PyObject *q5py_exception_take(void) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (!type) return NULL;
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback) PyException_SetTraceback(value, traceback);
    Py_DECREF(type);
    Py_XDECREF(traceback);
    return value;
}

void q5py_exception_set(PyObject *exception) {
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(exception)), exception,
                  PyException_GetTraceback(exception));
}

#endif

void q5py_stop_iteration(PyObject *value) {
    /* Made here: a tuple or an exception would otherwise be taken apart. */
    PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, value);
    if (stop) PyErr_SetObject(PyExc_StopIteration, stop);
    Py_XDECREF(stop);
    Py_DECREF(value);
}

PyObject *q5py_next_of(PySendResult sent, PyObject *value) {
    if (sent != PYGEN_RETURN) return value; /* NULL: an exception is set */
    q5py_stop_iteration(value);
    return NULL;
}
