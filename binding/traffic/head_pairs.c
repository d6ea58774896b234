#include "head_pairs.h"

static int add_pair(q5_head *head, PyObject *pair) {
    const char *name, *value;
    Py_ssize_t name_len, value_len;
    if (!PyArg_ParseTuple(pair, "s#s#;(name, value)", &name, &name_len, &value, &value_len))
        return -1;
    if (head->field_count == Q5_FIELDS_MAX) {
        PyErr_SetString(PyExc_ValueError, "too many fields");
        return -1;
    }
    q5_field *field = &head->fields[head->field_count];
    field->name = q5_slice_make(name, (size_t)name_len);
    field->value = q5_slice_make(value, (size_t)value_len);
    field->id = (uint8_t)q5_field_find(field->name);
    if (head->known[field->id] < 0) head->known[field->id] = (int16_t)head->field_count;
    head->field_count++;
    return 0;
}

int q5py_head_from_pairs(PyObject *pairs, q5_head *ret_head) {
    ret_head->field_count = 0;
    memset(ret_head->known, 0xff, sizeof(ret_head->known)); /* -1: not sent */
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pairs); i++)
        if (add_pair(ret_head, PyList_GET_ITEM(pairs, i))) return -1;
    return 0;
}
