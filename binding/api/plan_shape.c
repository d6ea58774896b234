#include "plan_data.h"

void q5py_shape_clear(q5py_shape *shape) {
    for (uint16_t i = 0; i < shape->child_count; i++) {
        q5py_shape_clear(&shape->children[i]);
        if (shape->names) Py_XDECREF(shape->names[i]);
    }
    PyMem_Free(shape->children);
    PyMem_Free(shape->names);
    Py_XDECREF((PyObject *)shape->type);
    *shape = (q5py_shape){.kind = Q5PY_SHAPE_NEVER};
}

int q5py_shape_traverse(const q5py_shape *shape, visitproc visit, void *arg) {
    Py_VISIT((PyObject *)shape->type);
    for (uint16_t i = 0; i < shape->child_count; i++) {
        int status = q5py_shape_traverse(&shape->children[i], visit, arg);
        if (status) return status;
    }
    return 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The children of a STRUCT are (name, shape) pairs; those of the others plain shapes. */
static int read_children(q5py_shape *shape, PyObject *children) {
    Py_ssize_t count = PyTuple_GET_SIZE(children);
    if (count == 0) return 0;
    if (count > UINT16_MAX) {
        PyErr_SetString(PyExc_ValueError, "too many fields");
        return -1;
    }
    shape->children = PyMem_Calloc((size_t)count, sizeof(*shape->children));
    shape->names = PyMem_Calloc((size_t)count, sizeof(*shape->names));
    if (!shape->children || !shape->names) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *child = PyTuple_GET_ITEM(children, i), *name;
        shape->child_count++;
        if (shape->kind == Q5PY_SHAPE_STRUCT) {
            if (!PyArg_ParseTuple(child, "UO!", &name, &PyTuple_Type, &child)) return -1;
            shape->names[i] = Py_NewRef(name);
            PyUnicode_InternInPlace(&shape->names[i]);
        }
        if (q5py_shape_read(&shape->children[i], child) < 0) return -1;
    }
    return 0;
}

int q5py_shape_read(q5py_shape *shape, PyObject *source) {
    int kind;
    PyObject *type, *children;
    shape->kind = Q5PY_SHAPE_NEVER;
    if (!PyArg_ParseTuple(source, "iOO!", &kind, &type, &PyTuple_Type, &children)) return -1;
    Py_ssize_t count = PyTuple_GET_SIZE(children);
    bool needs_type =
        kind == Q5PY_SHAPE_EXACT || kind == Q5PY_SHAPE_STRUCT || kind == Q5PY_SHAPE_PLAIN;
    bool needs_child =
        kind == Q5PY_SHAPE_LIST || kind == Q5PY_SHAPE_DICT || kind == Q5PY_SHAPE_OPTIONAL;
    if (kind < 0 || kind > Q5PY_SHAPE_PLAIN || (needs_type && !PyType_Check(type)) ||
        (needs_child ? count != 1 : (count != 0 && kind != Q5PY_SHAPE_STRUCT))) {
        PyErr_SetString(PyExc_ValueError, "malformed shape");
        return -1;
    }
    shape->kind = (uint8_t)kind;
    if (needs_type) shape->type = (PyTypeObject *)Py_NewRef(type);
    if (Py_EnterRecursiveCall(" while reading a result type")) return -1;
    int status = read_children(shape, children);
    Py_LeaveRecursiveCall();
    return status;
}

/* ---- matching -------------------------------------------------------------------------------- */

static int match_struct(const q5py_shape *shape, PyObject *value) {
    if (Py_TYPE(value) != shape->type) return 0;
    for (uint16_t i = 0; i < shape->child_count; i++) {
        PyObject *field = PyObject_GetAttr(value, shape->names[i]);
        if (!field) return -1;
        int matches = q5py_shape_matches(&shape->children[i], field);
        Py_DECREF(field);
        if (matches != 1) return matches;
    }
    return 1;
}

/* Attribute access may run Python, which may change the list: its size is read each time. */
static int match_list(const q5py_shape *item, PyObject *list) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *value = Py_NewRef(PyList_GET_ITEM(list, i));
        int matches = q5py_shape_matches(item, value);
        Py_DECREF(value);
        if (matches != 1) return matches;
    }
    return 1;
}

static int match_dict(const q5py_shape *item, PyObject *dict) {
    if (item->kind == Q5PY_SHAPE_TRUST) return 1;
    PyObject *values = PyDict_Values(dict);
    if (!values) return -1;
    int matches = match_list(item, values);
    Py_DECREF(values);
    return matches;
}

static bool is_plain(const q5py_shape *shape, PyObject *value) {
    PyTypeObject *type = Py_TYPE(value);
    return type == &PyDict_Type || type == &PyList_Type || type == &PyUnicode_Type ||
           type == &PyLong_Type || type == &PyBool_Type || type == &PyFloat_Type ||
           PyType_IsSubtype(type, shape->type);
}

int q5py_shape_matches(const q5py_shape *shape, PyObject *value) {
    switch ((q5py_shape_kind)shape->kind) {
    case Q5PY_SHAPE_TRUST:
        return 1;
    case Q5PY_SHAPE_NEVER:
        return 0;
    case Q5PY_SHAPE_EXACT:
        return Py_TYPE(value) == shape->type;
    case Q5PY_SHAPE_STRUCT:
        return match_struct(shape, value);
    case Q5PY_SHAPE_LIST:
        return PyList_CheckExact(value) ? match_list(&shape->children[0], value) : 0;
    case Q5PY_SHAPE_DICT:
        return PyDict_CheckExact(value) ? match_dict(&shape->children[0], value) : 0;
    case Q5PY_SHAPE_OPTIONAL:
        return value == Py_None ? 1 : q5py_shape_matches(&shape->children[0], value);
    case Q5PY_SHAPE_PLAIN:
        return is_plain(shape, value);
    }
    return 0;
}
