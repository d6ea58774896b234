/* The header fields of a reply that is not written yet. */
#include "reply.h"

#include "convert.h"

int q5py_field_slice(PyObject *text, q5_slice *ret) {
    if (PyBytes_Check(text)) {
        *ret = q5_slice_make(PyBytes_AS_STRING(text), (size_t)PyBytes_GET_SIZE(text));
        return 0;
    }
    /* ASCII and latin-1 strs store the very bytes that go out. */
    if (PyUnicode_Check(text) && PyUnicode_KIND(text) == PyUnicode_1BYTE_KIND) {
        *ret = q5_slice_make(PyUnicode_DATA(text), (size_t)PyUnicode_GET_LENGTH(text));
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "what a head has is latin-1 str or bytes, not %R", text);
    return -1;
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* The line at *at, which moves on behind it; false at the end. */
static bool next_line(q5_slice lines, size_t *at, q5_slice *ret_name, q5_slice *ret_value) {
    const char *base = lines.base + *at, *end = lines.base + lines.len;
    const char *stop = *at < lines.len ? memchr(base, '\r', (size_t)(end - base)) : NULL;
    const char *colon = stop ? memchr(base, ':', (size_t)(stop - base)) : NULL;
    if (!colon) return false;
    *ret_name = q5_slice_make(base, (size_t)(colon - base));
    const char *value = colon + 1;
    while (value < stop && *value == ' ')
        value++;
    *ret_value = q5_slice_make(value, (size_t)(stop - value));
    *at += (size_t)(stop + 2 - base);
    return true;
}

static bool find_in_lines(q5_slice lines, q5_slice name, q5_slice *ret) {
    size_t at = 0;
    q5_slice found;
    while (next_line(lines, &at, &found, ret))
        if (q5_slice_ieq(found, name)) return true;
    return false;
}

int q5py_reply_add_lines(q5py_reply *reply, q5_slice lines) {
    if (reply->more_count == Q5PY_REPLY_LINES_MAX) {
        PyErr_SetString(PyExc_RuntimeError, "too many guards add lines");
        return -1;
    }
    reply->more_lines[reply->more_count++] = lines;
    return 0;
}

/* ---- pairs ----------------------------------------------------------------------------------- */

static bool pair_is(PyObject *pair, q5_slice name) {
    q5_slice found;
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) return false;
    if (q5py_field_slice(PyTuple_GET_ITEM(pair, 0), &found)) {
        PyErr_Clear(); /* whoever writes the head will say so */
        return false;
    }
    return q5_slice_ieq(found, name);
}

static bool find_in_pairs(PyObject *fields, q5_slice name, q5_slice *ret) {
    if (!fields || !(PyList_Check(fields) || PyTuple_Check(fields))) return false;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(fields); i++) {
        PyObject *pair = PySequence_Fast_GET_ITEM(fields, i);
        if (!pair_is(pair, name)) continue;
        if (q5py_field_slice(PyTuple_GET_ITEM(pair, 1), ret)) {
            PyErr_Clear();
            return false;
        }
        return true;
    }
    return false;
}

bool q5py_reply_find(const q5py_reply *reply, q5_slice name, q5_slice *ret) {
    if (find_in_lines(reply->lines, name, ret)) return true;
    for (uint8_t i = 0; i < reply->more_count; i++)
        if (find_in_lines(reply->more_lines[i], name, ret)) return true;
    return find_in_pairs(reply->fields, name, ret);
}

static uint32_t bit_of(q5_slice name, const q5_slice *names, uint8_t count) {
    for (uint8_t i = 0; i < count; i++)
        if (q5_slice_ieq(name, names[i])) return UINT32_C(1) << i;
    return 0;
}

static uint32_t present_in_lines(q5_slice lines, const q5_slice *names, uint8_t count) {
    uint32_t present = 0;
    size_t at = 0;
    q5_slice name, value;
    while (next_line(lines, &at, &name, &value))
        present |= bit_of(name, names, count);
    return present;
}

uint32_t q5py_reply_present(const q5py_reply *reply, const q5_slice *names, uint8_t count) {
    PyObject *fields = reply->fields;
    uint32_t present = present_in_lines(reply->lines, names, count);
    for (uint8_t i = 0; i < reply->more_count; i++)
        present |= present_in_lines(reply->more_lines[i], names, count);
    if (!fields || !(PyList_Check(fields) || PyTuple_Check(fields))) return present;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(fields); i++)
        for (uint8_t k = 0; k < count; k++)
            if (pair_is(PySequence_Fast_GET_ITEM(fields, i), names[k])) present |= UINT32_C(1) << k;
    return present;
}

/* Lines come from what outlives the reply; as pairs they may be changed. */
static int append_lines(PyObject *list, q5_slice lines) {
    size_t at = 0;
    q5_slice name, value;
    while (next_line(lines, &at, &name, &value)) {
        PyObject *pair = Py_BuildValue("(NN)", q5py_latin1(name), q5py_latin1(value));
        int rc = pair ? PyList_Append(list, pair) : -1;
        Py_XDECREF(pair);
        if (rc) return -1;
    }
    return 0;
}

/* A list that is the reply's alone. */
static int own_fields(q5py_reply *reply) {
    if (reply->fields_are_ours) return 0;
    PyObject *list = reply->fields ? PySequence_List(reply->fields) : PyList_New(0);
    if (!list) return -1;
    Py_XSETREF(reply->fields, list);
    reply->fields_are_ours = true;
    return 0;
}

PyObject *q5py_reply_take_fields(q5py_reply *reply) {
    PyObject *list = PyList_New(0);
    int rc = list ? append_lines(list, reply->lines) : -1;
    for (uint8_t i = 0; rc == 0 && i < reply->more_count; i++)
        rc = append_lines(list, reply->more_lines[i]);
    if (rc == 0 && reply->fields)
        rc = PyList_SetSlice(list, PyList_GET_SIZE(list), PyList_GET_SIZE(list), reply->fields);
    if (rc) {
        Py_XDECREF(list);
        return NULL;
    }
    Py_XSETREF(reply->fields, list);
    reply->fields_are_ours = true;
    reply->lines = q5_slice_make(NULL, 0);
    reply->more_count = 0;
    return Py_NewRef(list);
}

int q5py_reply_add_field(q5py_reply *reply, PyObject *name, PyObject *value) {
    if (own_fields(reply)) return -1;
    PyObject *pair = PyTuple_Pack(2, name, value);
    int rc = pair ? PyList_Append(reply->fields, pair) : -1;
    Py_XDECREF(pair);
    return rc;
}

int q5py_reply_remove(q5py_reply *reply, q5_slice name) {
    q5_slice value;
    if (!q5py_reply_find(reply, name, &value)) return 0;
    PyObject *list = q5py_reply_take_fields(reply);
    if (!list) return -1;
    int rc = 0;
    for (Py_ssize_t i = PyList_GET_SIZE(list) - 1; rc == 0 && i >= 0; i--)
        if (pair_is(PyList_GET_ITEM(list, i), name)) rc = PyList_SetSlice(list, i, i + 1, NULL);
    Py_DECREF(list);
    return rc;
}

int q5py_reply_merge_fields(q5py_reply *reply, PyObject *fields) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(fields); i++) {
        PyObject *item = PyList_GET_ITEM(fields, i), *name, *value;
        if (PyExceptionInstance_Check(item)) {
            PyErr_SetObject((PyObject *)Py_TYPE(item), item);
            return -1;
        }
        if (!PyArg_ParseTuple(item, "UU", &name, &value)) return -1;
        if (PyUnicode_CompareWithASCIIString(name, "Vary")) {
            if (q5py_reply_add_field(reply, name, value)) return -1;
            continue;
        }
        Py_ssize_t len;
        const char *text = PyUnicode_AsUTF8AndSize(value, &len);
        if (!text || q5py_reply_vary(reply, q5_slice_make(text, (size_t)len))) return -1;
    }
    return 0;
}
