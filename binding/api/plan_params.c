#include "plan_data.h"

#define KEY_MAX 256

void q5py_param_clear(q5py_param *param) {
    Py_CLEAR(param->key_bytes);
    Py_CLEAR(param->convert);
    Py_CLEAR(param->fields);
    Py_CLEAR(param->attribute);
    Py_CLEAR(param->fallback);
}

static int read_bound(PyObject *source, bool is_float, q5py_bound *ret_bound, uint8_t flag,
                      uint8_t *flags) {
    if (source == Py_None) return 0;
    if (is_float)
        ret_bound->f = PyFloat_AsDouble(source);
    else
        ret_bound->i = PyLong_AsLongLong(source);
    if (PyErr_Occurred()) return -1;
    *flags |= flag;
    return 0;
}

static PyObject *none_to_null(PyObject *object) {
    return object == Py_None ? NULL : Py_NewRef(object);
}

/* (source, arity, conversion, flags, slot, index, key, convert, fields, attribute, required,
 * fallback, is_factory, low, high), as api/plan.py writes it. */
static int read_param(q5py_param *param, PyObject *source) {
    int in, arity, conversion, flags, slot, index, required, is_factory;
    PyObject *key, *convert, *fields, *attribute, *fallback, *low, *high;
    if (!PyArg_ParseTuple(source, "iiiiiiSOOOpOpOO", &in, &arity, &conversion, &flags, &slot,
                          &index, &key, &convert, &fields, &attribute, &required, &fallback,
                          &is_factory, &low, &high))
        return -1;
    if (in < 0 || in >= Q5PY_IN_COUNT || arity < 0 || arity > Q5PY_GROUP || conversion < 0 ||
        conversion > Q5PY_TO_CALL || PyBytes_GET_SIZE(key) > KEY_MAX ||
        (conversion == Q5PY_TO_CALL && !PyCallable_Check(convert)) ||
        (arity == Q5PY_GROUP && !PyDict_CheckExact(fields)) || flags < 0 || flags > UINT8_MAX ||
        slot < 0 || slot >= Q5PY_ARGS_MAX || index < 0 || index > UINT16_MAX ||
        (in == Q5PY_IN_BODY_FIELD && !PyUnicode_Check(attribute))) {
        PyErr_SetString(PyExc_ValueError, "malformed parameter");
        return -1;
    }
    *param = (q5py_param){
        .source = (uint8_t)in,
        .arity = (uint8_t)arity,
        .conversion = (uint8_t)conversion,
        .flags = (uint8_t)flags,
        .slot = (uint16_t)slot,
        .index = (uint16_t)index,
        .key = {PyBytes_AS_STRING(key), (size_t)PyBytes_GET_SIZE(key)},
        .key_bytes = Py_NewRef(key),
        .convert = none_to_null(convert),
        .fields = none_to_null(fields),
        .attribute = none_to_null(attribute),
        .fallback = required ? NULL : Py_NewRef(fallback),
        .is_factory = is_factory,
    };
    bool is_float = conversion == Q5PY_TO_FLOAT;
    if (read_bound(low, is_float, &param->low, Q5PY_LOW, &param->flags) < 0) return -1;
    return read_bound(high, is_float, &param->high, Q5PY_HIGH, &param->flags);
}

/* Every argument must be made by exactly one parameter; a body that is only taken apart by
 * BODY_FIELDs has no slot of its own and carries the slot behind the last. */
static int check_slots(const q5py_plan_data *data) {
    uint64_t seen = 0;
    for (uint16_t i = 0; i < data->param_count; i++) {
        uint64_t bit = (uint64_t)1 << data->params[i].slot;
        if (data->params[i].slot > data->slot_count || (seen & bit)) goto malformed;
        if (data->params[i].slot == data->slot_count && data->params[i].source != Q5PY_IN_BODY)
            goto malformed;
        seen |= bit;
    }
    uint64_t all = ((uint64_t)1 << data->slot_count) - 1;
    if ((seen & all) == all) return 0;
malformed:
    PyErr_SetString(PyExc_ValueError, "each argument needs exactly one parameter");
    return -1;
}

static_assert(Q5PY_ARGS_MAX <= 64, "check_slots keeps the slots in 64 bits");

int q5py_params_read(q5py_plan_data *data, PyObject *params) {
    Py_ssize_t count = PyTuple_GET_SIZE(params);
    if (count > Q5PY_ARGS_MAX) {
        PyErr_Format(PyExc_ValueError, "more than %d parameters", Q5PY_ARGS_MAX);
        return -1;
    }
    data->params = PyMem_Calloc(count ? (size_t)count : 1, sizeof(*data->params));
    if (!data->params) {
        PyErr_NoMemory();
        return -1;
    }
    uint8_t source = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        q5py_param *param = &data->params[i];
        if (read_param(param, PyTuple_GET_ITEM(params, i)) < 0) return -1;
        data->param_count++;
        if (param->source < source) {
            PyErr_SetString(PyExc_ValueError, "parameters must be sorted by source");
            return -1;
        }
        while (source < param->source)
            data->first[++source] = (uint16_t)i;
    }
    while (source < Q5PY_IN_COUNT)
        data->first[++source] = (uint16_t)count;
    if (data->first[Q5PY_IN_BODY_FIELD] - data->first[Q5PY_IN_BODY] > 1) {
        PyErr_SetString(PyExc_ValueError, "at most one parameter is the body");
        return -1;
    }
    return check_slots(data);
}
