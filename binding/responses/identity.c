/* Who asks, as a name for what is kept for him alone. */
#include "auth/auth.h"
#include "convert.h"
#include "cache.h"

static PyObject *of_user(PyObject *user) {
    PyObject *pk = PyObject_GetAttrString(user, "pk");
    PyObject *name = pk && pk != Py_None ? PyUnicode_FromFormat("user:%S", pk) : NULL;
    if (pk == Py_None) PyErr_SetString(PyExc_ValueError, "a user without a key has no identity");
    Py_XDECREF(pk);
    return name;
}

/* The subject of claims (RFC 7519, 4.1.2), as an attribute or a member. 1, 0 or -1. */
static int find_subject(PyObject *auth, PyObject **ret) {
    *ret = PyMapping_Check(auth) ? PyMapping_GetItemString(auth, "sub")
                                 : PyObject_GetAttrString(auth, "sub");
    if (*ret) return 1;
    if (!PyErr_ExceptionMatches(PyExc_LookupError) && !PyErr_ExceptionMatches(PyExc_AttributeError))
        return -1;
    PyErr_Clear();
    return 0;
}

/* The credentials themselves: a later token of the same user's counts as another. */
static PyObject *of_credentials(const q5py_pass *pass) {
    const q5_field *field = q5_head_known(&pass->x->head, Q5_FIELD_AUTHORIZATION);
    if (!field) {
        PyErr_SetString(PyExc_TypeError,
                        "who asks has neither a user nor a subject nor an Authorization field");
        return NULL;
    }
    PyObject *text = q5py_latin1(field->value);
    PyObject *name = text ? PyUnicode_FromFormat("credentials:%U", text) : NULL;
    Py_XDECREF(text);
    return name;
}

PyObject *q5py_pass_identity(q5py_pass *pass) {
    PyObject *user = q5py_pass_user(pass), *subject;
    if (!user) return NULL;
    if (user != Py_None) return of_user(user);
    if (!pass->auth || pass->auth == Py_None) return Py_NewRef(Py_None);
    int found = find_subject(pass->auth, &subject);
    if (found < 0) return NULL;
    if (!found || subject == Py_None) {
        if (found) Py_DECREF(subject);
        return of_credentials(pass);
    }
    PyObject *name = PyUnicode_FromFormat("subject:%S", subject);
    Py_DECREF(subject);
    return name;
}
