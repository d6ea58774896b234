/* Arguments of a call to the parameters of its statement. */
#include "query.h"

#include "q5/buf.h"

/* ---- reading the description ----------------------------------------------------------------- */

/* ((factor, first, second), ...) */
static int sum_read(q5py_sum *sum, PyObject *terms) {
    if (terms == Py_None) return 0;
    Py_ssize_t count = PyTuple_Check(terms) ? PyTuple_GET_SIZE(terms) : -1;
    if (count < 0 || count > Q5PY_SUM_TERMS_MAX) {
        PyErr_SetString(PyExc_ValueError, "malformed sum");
        return -1;
    }
    sum->terms = PyMem_Calloc((size_t)count + 1, sizeof(*sum->terms));
    if (!sum->terms) {
        PyErr_NoMemory();
        return -1;
    }
    sum->count = (uint16_t)count;
    for (Py_ssize_t i = 0; i < count; i++) {
        q5py_term *term = &sum->terms[i];
        long long factor;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(terms, i), "Lhh", &factor, &term->first,
                              &term->second))
            return -1;
        term->factor = factor;
    }
    return 0;
}

static PyObject *text_or_null(PyObject *text) {
    return PyBytes_GET_SIZE(text) ? Py_NewRef(text) : NULL;
}

int q5py_slot_read(q5py_slot *slot, uint32_t *ret_oid, PyObject *source) {
    int kind, escaped;
    unsigned int oid;
    PyObject *low, *high, *constant, *before, *after;
    if (!PyArg_ParseTuple(source, "iHIOOOpSS", &kind, &slot->argument, &oid, &low, &high, &constant,
                          &escaped, &before, &after))
        return -1;
    if (kind < 0 || kind > Q5PY_SLOT_PYTHON || slot->argument >= Q5PY_QUERY_PARAMS_MAX) {
        PyErr_SetString(PyExc_ValueError, "malformed slot");
        return -1;
    }
    slot->kind = (q5py_slot_kind)kind;
    slot->escaped = escaped;
    slot->constant = Py_NewRef(constant);
    slot->before = text_or_null(before);
    slot->after = text_or_null(after);
    *ret_oid = oid;
    return sum_read(&slot->low, low) || sum_read(&slot->high, high) ? -1 : 0;
}

void q5py_slot_clear(q5py_slot *slot) {
    PyMem_Free(slot->low.terms);
    PyMem_Free(slot->high.terms);
    Py_CLEAR(slot->constant);
    Py_CLEAR(slot->before);
    Py_CLEAR(slot->after);
}

/* ---- integers that are computed -------------------------------------------------------------- */

static int factor_of(PyObject *arguments, int16_t index, int64_t *number) {
    if (index < 0) return 0;
    if (index >= PyTuple_GET_SIZE(arguments)) {
        PyErr_SetString(PyExc_SystemError, "a sum refers to no argument");
        return -1;
    }
    long long value = PyLong_AsLongLong(PyTuple_GET_ITEM(arguments, index));
    if (value == -1 && PyErr_Occurred()) return -1;
    return __builtin_mul_overflow(*number, value, number) ? 1 : 0;
}

/* 0; 1: it exceeds 64 bits; -1 with an exception. */
static int sum_of(const q5py_sum *sum, PyObject *arguments, int64_t *ret) {
    int64_t total = 0;
    for (uint16_t i = 0; i < sum->count; i++) {
        int64_t product = sum->terms[i].factor;
        int rc = factor_of(arguments, sum->terms[i].first, &product);
        if (rc == 0) rc = factor_of(arguments, sum->terms[i].second, &product);
        if (rc == 0 && __builtin_add_overflow(total, product, &total)) rc = 1;
        if (rc) return rc;
    }
    *ret = total;
    return 0;
}

/* As QuerySet.__getitem__: no bound may be negative; a slice that ends before it begins is empty.
 * As sum_of; 1 for a negative one too. */
static int bounds_of(const q5py_slot *slot, PyObject *arguments, int64_t *ret) {
    int64_t low, high;
    int rc = sum_of(&slot->low, arguments, &low);
    if (rc) return rc;
    high = low;
    if (slot->kind == Q5PY_SLOT_COUNT) rc = sum_of(&slot->high, arguments, &high);
    if (rc) return rc;
    if (low < 0 || high < 0) return 1;
    if (slot->kind == Q5PY_SLOT_LOW)
        *ret = low;
    else
        *ret = high > low ? high - low : 0;
    return 0;
}

/* ---- texts ----------------------------------------------------------------------------------- */

static int append_escaped(q5_buf *out, q5_slice text) {
    for (size_t i = 0; i < text.len; i++) {
        char c = text.base[i];
        if ((c == '\\' || c == '%' || c == '_') && q5_buf_append(out, "\\", 1)) return Q5_ENOMEM;
        if (q5_buf_append(out, &c, 1)) return Q5_ENOMEM;
    }
    return Q5_OK;
}

static int append_bytes(q5_buf *out, PyObject *bytes) {
    return bytes ? q5_buf_append(out, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes))
                 : Q5_OK;
}

/* The text between what Django puts around it. */
static int wrap(const q5py_slot *slot, q5_param *param, PyObject **owner) {
    q5_buf out;
    q5_buf_init(&out, q5_alloc_default());
    int status = append_bytes(&out, slot->before);
    if (!status && slot->escaped)
        status = append_escaped(&out, param->bytes);
    else if (!status)
        status = q5_buf_append(&out, param->bytes.base, param->bytes.len);
    if (!status) status = append_bytes(&out, slot->after);
    PyObject *bytes =
        status ? PyErr_NoMemory() : PyBytes_FromStringAndSize(out.base, (Py_ssize_t)out.len);
    q5_buf_deinit(&out);
    if (!bytes) return -1;
    Py_XSETREF(*owner, bytes);
    param->bytes = q5_slice_make(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    return 0;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static int bind_python(q5py_statement *statement, uint16_t index, PyObject *arguments,
                       q5_param *param, PyObject **owner) {
    PyObject *value =
        PyObject_CallMethod(statement->python, "bind_slot", "iO", (int)index, arguments);
    if (!value) return -1;
    PyObject *inner = NULL;
    int rc = q5py_param_of(statement->state, value, param, &inner);
    if (rc == 0 && inner) {
        *owner = PyTuple_Pack(2, value, inner);
        Py_DECREF(inner);
        Py_DECREF(value);
        return *owner ? 0 : -1;
    }
    *owner = value;
    return rc;
}

static int bind_slot(q5py_statement *statement, uint16_t index, PyObject *arguments,
                     q5_param *param, PyObject **owner) {
    const q5py_slot *slot = &statement->slots[index];
    int64_t number;
    int rc;
    switch (slot->kind) {
    case Q5PY_SLOT_ARGUMENT:
        if (slot->argument >= PyTuple_GET_SIZE(arguments)) break;
        if (q5py_param_of(statement->state, PyTuple_GET_ITEM(arguments, slot->argument), param,
                          owner))
            return -1;
        if (param->kind == Q5_PARAM_TEXT && (slot->escaped || slot->before || slot->after))
            return wrap(slot, param, owner);
        return 0;
    case Q5PY_SLOT_SUM:
        rc = sum_of(&slot->low, arguments, &number);
        /* The Python side has the words for it. */
        if (rc) return rc < 0 ? -1 : bind_python(statement, index, arguments, param, owner);
        *param = (q5_param){.kind = Q5_PARAM_INT64, .int64 = number};
        return 0;
    case Q5PY_SLOT_LOW:
    case Q5PY_SLOT_COUNT:
        rc = bounds_of(slot, arguments, &number);
        if (rc) return rc < 0 ? -1 : bind_python(statement, index, arguments, param, owner);
        *param = (q5_param){.kind = Q5_PARAM_INT64, .int64 = number};
        return 0;
    case Q5PY_SLOT_CONSTANT:
        return q5py_param_of(statement->state, slot->constant, param, owner);
    case Q5PY_SLOT_PYTHON:
        return bind_python(statement, index, arguments, param, owner);
    }
    PyErr_SetString(PyExc_SystemError, "a slot refers to no argument");
    return -1;
}

int q5py_bind(q5py_statement *statement, PyObject *arguments, q5_param *params, PyObject **owners) {
    for (uint16_t i = 0; i < statement->slot_count; i++)
        if (bind_slot(statement, i, arguments, &params[i], &owners[i])) return -1;
    return 0;
}
