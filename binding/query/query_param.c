/* One Python value to a parameter, by its type. */
#include "query.h"

#include <datetime.h>

#define USEC_PER_SEC INT64_C(1000000)
#define USEC_PER_DAY (86400 * USEC_PER_SEC)

/* Days since 1970-01-01 in the proleptic Gregorian calendar (H. Hinnant, "chrono-Compatible
 * Low-Level Date Algorithms"). */
static int64_t days_of(int year, int month, int day) {
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int64_t usec_of(int hour, int minute, int second, int usec) {
    return ((hour * 60 + minute) * INT64_C(60) + second) * USEC_PER_SEC + usec;
}

/* False: more than 292,471 years, which 64 bits do not hold. */
static bool delta_usec(PyObject *delta, int64_t *ret) {
    int64_t left = PyDateTime_DELTA_GET_SECONDS(delta) * USEC_PER_SEC +
                   PyDateTime_DELTA_GET_MICROSECONDS(delta);
    return !__builtin_mul_overflow((int64_t)PyDateTime_DELTA_GET_DAYS(delta), USEC_PER_DAY, ret) &&
           !__builtin_add_overflow(*ret, left, ret);
}

static int raise_overflow(void) {
    PyErr_SetString(PyExc_OverflowError, "a parameter exceeds 64 bits");
    return -1;
}

static int datetime_of(PyObject *value, q5_param *ret) {
    int64_t usec =
        days_of(PyDateTime_GET_YEAR(value), PyDateTime_GET_MONTH(value),
                PyDateTime_GET_DAY(value)) *
            USEC_PER_DAY +
        usec_of(PyDateTime_DATE_GET_HOUR(value), PyDateTime_DATE_GET_MINUTE(value),
                PyDateTime_DATE_GET_SECOND(value), PyDateTime_DATE_GET_MICROSECOND(value));
    PyObject *offset = PyObject_CallMethod(value, "utcoffset", NULL);
    if (!offset) return -1;
    int64_t east = 0; /* less than a day */
    if (offset == Py_None)
        *ret = (q5_param){.kind = Q5_PARAM_TIMESTAMP, .int64 = usec};
    else if (delta_usec(offset, &east))
        *ret = (q5_param){.kind = Q5_PARAM_TIMESTAMPTZ, .int64 = usec - east};
    Py_DECREF(offset);
    return 0;
}

static int int_of(PyObject *value, q5_param *ret) {
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (number == -1 && PyErr_Occurred()) return -1;
    if (overflow) return raise_overflow();
    *ret = (q5_param){.kind = Q5_PARAM_INT64, .int64 = number};
    return 0;
}

static int text_of(PyObject *value, q5_param_kind kind, q5_param *ret) {
    Py_ssize_t len;
    const char *base = PyUnicode_AsUTF8AndSize(value, &len);
    if (!base) return -1;
    if (memchr(base, 0, (size_t)len)) {
        PyErr_SetString(PyExc_ValueError, "a parameter contains a NUL character");
        return -1;
    }
    *ret = (q5_param){.kind = kind, .bytes = q5_slice_make(base, (size_t)len)};
    return 0;
}

static int interval_of(PyObject *value, q5_param *ret) {
    int64_t usec;
    if (!delta_usec(value, &usec)) return raise_overflow();
    *ret = (q5_param){.kind = Q5_PARAM_INTERVAL, .int64 = usec};
    return 0;
}

static int moment_of(PyObject *value, q5_param *ret) {
    if (PyDateTime_Check(value)) return datetime_of(value, ret);
    if (PyDate_Check(value))
        *ret = (q5_param){.kind = Q5_PARAM_DATE,
                          .int64 = days_of(PyDateTime_GET_YEAR(value), PyDateTime_GET_MONTH(value),
                                           PyDateTime_GET_DAY(value))};
    else if (PyTime_Check(value))
        *ret = (q5_param){.kind = Q5_PARAM_TIME,
                          .int64 = usec_of(PyDateTime_TIME_GET_HOUR(value),
                                           PyDateTime_TIME_GET_MINUTE(value),
                                           PyDateTime_TIME_GET_SECOND(value),
                                           PyDateTime_TIME_GET_MICROSECOND(value))};
    else
        return interval_of(value, ret);
    return 0;
}

/* Its items in one block of bytes, which the owner keeps beside those that the items need. */
static int list_of(q5py_state *state, PyObject *value, q5_param *ret, PyObject **ret_owner) {
    Py_ssize_t count = PyList_GET_SIZE(value);
    if ((uint64_t)count > Q5PY_LIST_MAX) {
        PyErr_Format(PyExc_ValueError, "a list of more than %u items", Q5PY_LIST_MAX);
        return -1;
    }
    PyObject *block = PyBytes_FromStringAndSize(NULL, count * (Py_ssize_t)sizeof(q5_param) + 1);
    PyObject *owner = block ? PyList_New(0) : NULL;
    int rc = owner && PyList_Append(owner, block) == 0 ? 0 : -1;
    q5_param *items = block ? (q5_param *)(void *)PyBytes_AS_STRING(block) : NULL;
    for (Py_ssize_t i = 0; rc == 0 && i < count && i < PyList_GET_SIZE(value); i++) {
        PyObject *item = PyList_GET_ITEM(value, i), *inner = NULL;
        if (PyList_Check(item)) PyErr_SetString(PyExc_TypeError, "a list within a list");
        rc = PyList_Check(item) ? -1 : q5py_param_of(state, item, &items[i], &inner);
        if (inner && rc == 0) rc = PyList_Append(owner, inner);
        Py_XDECREF(inner);
    }
    Py_XDECREF(block);
    if (rc) {
        Py_XDECREF(owner);
        return -1;
    }
    *ret = (q5_param){.kind = Q5_PARAM_ARRAY, .array = {items, (size_t)count}};
    *ret_owner = owner;
    return 0;
}

/* An Enum's member: what it stands for. */
static int member_of(q5py_state *state, PyObject *member, q5_param *ret, PyObject **ret_owner) {
    PyObject *value = PyObject_GetAttr(member, state->str_value), *inner = NULL;
    if (!value) return -1;
    int rc = -1;
    if (PyType_IsSubtype(Py_TYPE(value), (PyTypeObject *)state->enum_class))
        PyErr_SetString(PyExc_TypeError, "an Enum within an Enum");
    else
        rc = q5py_param_of(state, value, ret, &inner);
    if (rc == 0) *ret_owner = inner ? PyTuple_Pack(2, value, inner) : Py_NewRef(value);
    Py_XDECREF(inner);
    Py_DECREF(value);
    return rc || !*ret_owner ? -1 : 0;
}

/* UUID and Decimal, by what their attribute or str() gives. */
static int other_of(q5py_state *state, PyObject *value, q5_param *ret, PyObject **ret_owner) {
    PyTypeObject *type = Py_TYPE(value);
    if (PyType_IsSubtype(type, (PyTypeObject *)state->uuid_class)) {
        PyObject *bytes = PyObject_GetAttr(value, state->str_bytes);
        if (!bytes) return -1;
        if (!PyBytes_Check(bytes)) {
            Py_DECREF(bytes);
            PyErr_SetString(PyExc_TypeError, "a UUID without bytes");
            return -1;
        }
        *ret = (q5_param){.kind = Q5_PARAM_UUID,
                          .bytes = {PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)}};
        *ret_owner = bytes;
        return 0;
    }
    if (PyType_IsSubtype(type, (PyTypeObject *)state->decimal_class)) {
        PyObject *text = PyObject_Str(value);
        if (!text || text_of(text, Q5_PARAM_DECIMAL, ret)) {
            Py_XDECREF(text);
            return -1;
        }
        *ret_owner = text;
        return 0;
    }
    if (PyType_IsSubtype(type, (PyTypeObject *)state->enum_class))
        return member_of(state, value, ret, ret_owner);
    PyErr_Format(PyExc_TypeError, "%.100s cannot be bound", type->tp_name);
    return -1;
}

int q5py_param_of(q5py_state *state, PyObject *value, q5_param *ret, PyObject **ret_owner) {
    if (value == Py_None) {
        *ret = (q5_param){.kind = Q5_PARAM_NULL};
        return 0;
    }
    if (PyBool_Check(value)) {
        *ret = (q5_param){.kind = Q5_PARAM_BOOL, .int64 = value == Py_True};
        return 0;
    }
    if (PyLong_Check(value)) return int_of(value, ret);
    if (PyUnicode_Check(value)) return text_of(value, Q5_PARAM_TEXT, ret);
    if (PyFloat_Check(value)) {
        *ret = (q5_param){.kind = Q5_PARAM_DOUBLE, .real = PyFloat_AS_DOUBLE(value)};
        return 0;
    }
    if (PyBytes_Check(value)) {
        *ret = (q5_param){.kind = Q5_PARAM_BYTES,
                          .bytes = {PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value)}};
        return 0;
    }
    if (PyList_Check(value)) return list_of(state, value, ret, ret_owner);
    if (PyDate_Check(value) || PyTime_Check(value) || PyDelta_Check(value))
        return moment_of(value, ret);
    return other_of(state, value, ret, ret_owner);
}

int q5py_init_param(PyObject *module, q5py_state *state) {
    (void)module;
    (void)state;
    PyDateTime_IMPORT;
    return PyErr_Occurred() ? -1 : 0;
}
