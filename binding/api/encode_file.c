/* Files that handlers send, answered like static ones: conditional requests and ranges. */
#include "plan_data.h"

#include <time.h>

#include "q5/static_file.h"

#define NEGOTIABLE_COUNT 9

/* Content fields describe a body, which an answer without the file does not have. */
static int append_field(PyObject *fields, PyObject *field, bool has_content) {
    PyObject *name = PySequence_GetItem(field, 0);
    const char *text = name ? PyUnicode_AsUTF8(name) : NULL;
    bool is_wanted = text && (has_content || PyOS_strnicmp(text, "content-", 8) != 0);
    int rc = !text ? -1 : is_wanted ? PyList_Append(fields, field) : 0;
    Py_XDECREF(name);
    return rc;
}

static int append_plan(PyObject *fields, const q5_static_plan *plan) {
    for (size_t i = 0; i < plan->header_count; i++) {
        const q5_static_header *header = &plan->headers[i];
        if (!q5_slice_eq(header->name, Q5_LIT("Content-Range")) &&
            !q5_slice_eq(header->name, Q5_LIT("Accept-Ranges")))
            continue;
        PyObject *field = Py_BuildValue("(s#s#)", header->name.base, (Py_ssize_t)header->name.len,
                                        header->value.base, (Py_ssize_t)header->value.len);
        int rc = field ? PyList_Append(fields, field) : -1;
        Py_XDECREF(field);
        if (rc < 0) return -1;
    }
    return 0;
}

static PyObject *fields_of(PyObject *given, const q5_static_plan *plan) {
    bool has_content = plan->status < 300;
    PyObject *fields = PyList_New(0);
    PyObject *fast = fields ? PySequence_Fast(given, "fields must be a sequence") : NULL;
    int rc = fast ? 0 : -1;
    for (Py_ssize_t i = 0; rc == 0 && i < PySequence_Fast_GET_SIZE(fast); i++)
        rc = append_field(fields, PySequence_Fast_GET_ITEM(fast, i), has_content);
    if (rc == 0) rc = append_plan(fields, plan);
    Py_XDECREF(fast);
    if (rc < 0) Py_CLEAR(fields);
    return fields;
}

/* Closing is what the closer of a file may do on any thread. */
static PyObject *without_file(const q5_static_plan *plan, PyObject *fields, PyObject *closer) {
    PyObject *closed =
        closer == Py_None ? Py_NewRef(Py_None) : PyObject_CallMethod(closer, "close", NULL);
    if (!closed) return NULL;
    Py_DECREF(closed);
    return Py_BuildValue("(iiOO)", Q5PY_ANSWER_BODY, (int)plan->status, fields, Py_None);
}

static PyObject *negotiate(const q5_exchange *x, PyObject *answer) {
    int kind, status;
    PyObject *given, *object, *closer;
    unsigned long long offset, len;
    const char *etag;
    Py_ssize_t etag_len;
    long long mtime;
    if (!PyArg_ParseTuple(answer, "iiOOKKOy#L", &kind, &status, &given, &object, &offset, &len,
                          &closer, &etag, &etag_len, &mtime))
        return NULL;
    q5_static_file file = {.fd = -1, .size = len, .mtime = mtime};
    if (etag_len > Q5_STATIC_ETAG_MAX) return PyErr_Format(PyExc_ValueError, "too long a tag");
    file.etag_len = (uint8_t)etag_len;
    memcpy(file.etag, etag, (size_t)etag_len);
    q5_static_plan plan;
    q5_static_plan_make(&x->head, &file, q5_slice_make(NULL, 0), (int64_t)time(NULL), &plan);
    PyObject *fields = fields_of(given, &plan), *made = NULL;
    if (fields && plan.status >= 300) made = without_file(&plan, fields, closer);
    if (fields && plan.status < 300)
        made = Py_BuildValue("(iiOOKKO)", kind, (int)plan.status, fields, object,
                             offset + plan.offset, (unsigned long long)plan.length, closer);
    Py_XDECREF(fields);
    return made;
}

int q5py_file_negotiate(const q5_exchange *x, PyObject **answer) {
    if (PyTuple_GET_SIZE(*answer) != NEGOTIABLE_COUNT ||
        PyLong_AsLong(PyTuple_GET_ITEM(*answer, 0)) != Q5PY_ANSWER_FILE)
        return 0;
    if (x->head.method_id != Q5_METHOD_GET && x->head.method_id != Q5_METHOD_HEAD) return 0;
    Py_SETREF(*answer, negotiate(x, *answer));
    return *answer ? 0 : -1;
}
