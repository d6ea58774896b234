/* Who asks, as a name for what is kept for him alone, and where. */
#include "cache.h"

#include "auth/auth.h"
#include "convert.h"

static PyObject *of_user(PyObject *user) {
    PyObject *pk = PyObject_GetAttrString(user, "pk");
    PyObject *name = pk && pk != Py_None ? PyUnicode_FromFormat("user:%S", pk) : NULL;
    if (pk == Py_None) PyErr_SetString(PyExc_ValueError, "a user without a key has no identity");
    Py_XDECREF(pk);
    return name;
}

/* A claim (RFC 7519, 4.1), as an attribute or a member: a new reference; Py_None where there is
 * none; NULL with an exception. */
static PyObject *find_claim(PyObject *auth, const char *name) {
    PyObject *claim = PyMapping_Check(auth) ? PyMapping_GetItemString(auth, name)
                                            : PyObject_GetAttrString(auth, name);
    if (claim) return claim;
    if (!PyErr_ExceptionMatches(PyExc_LookupError) && !PyErr_ExceptionMatches(PyExc_AttributeError))
        return NULL;
    PyErr_Clear();
    return Py_NewRef(Py_None);
}

/* A subject is its issuer's: another one may give the same to somebody else. Py_None: none. */
static PyObject *of_subject(PyObject *auth) {
    PyObject *subject = find_claim(auth, "sub");
    if (!subject || subject == Py_None) return subject;
    PyObject *issuer = find_claim(auth, "iss");
    PyObject *name = issuer ? PyUnicode_FromFormat("subject:%R %S", issuer, subject) : NULL;
    Py_XDECREF(issuer);
    Py_DECREF(subject);
    return name;
}

/* The credentials that were verified, not others that came along: a later token of the same user's
 * counts as another. */
static PyObject *of_credentials(const q5py_pass *pass) {
    q5_slice given = pass->credentials, kind = pass->credentials_name;
    if (!given.len) {
        PyErr_SetString(PyExc_TypeError,
                        "who asks has neither a user nor a subject nor credentials");
        return NULL;
    }
    PyObject *text = q5py_latin1(given);
    PyObject *way = text ? q5py_latin1(kind) : NULL;
    PyObject *name = way ? PyUnicode_FromFormat("credentials:%U %U", way, text) : NULL;
    Py_XDECREF(way);
    Py_XDECREF(text);
    return name;
}

PyObject *q5py_pass_identity(q5py_pass *pass) {
    PyObject *user = q5py_pass_user(pass);
    if (!user) return NULL;
    if (user != Py_None) return of_user(user);
    if (!pass->auth || pass->auth == Py_None) return Py_NewRef(Py_None);
    PyObject *name = of_subject(pass->auth);
    if (name != Py_None) return name;
    Py_DECREF(name);
    return of_credentials(pass);
}

PyObject *q5py_pass_host(q5py_pass *pass) {
    PyObject *request = q5py_pass_request(pass);
    return request ? PyObject_CallMethodNoArgs(request, pass->state->str_get_host) : NULL;
}
