/* Whose request it is. Keys of different kinds begin with different letters. */
#include "throttle.h"

#include "auth/auth.h"
#include "client.h"

static void make_key(const q5py_throttle *self, const char *kind, q5_slice text,
                     q5py_throttle_key *ret_key) {
    q5_siphash hash;
    q5_siphash_init(&hash, (const uint8_t *)PyBytes_AS_STRING(self->secret));
    q5_siphash_feed(&hash, q5_slice_make(kind, 1));
    q5_siphash_feed(&hash, text);
    q5_siphash_end(&hash, ret_key->hash);
    ret_key->found = true;
}

/* All whose address is hidden are one client: nobody gets out of a limit by hiding. */
static int by_address(const q5py_throttle *self, q5py_pass *pass, q5py_throttle_key *ret_key) {
    q5_address address;
    if (q5py_pass_address(pass, &address)) return -1;
    if (address.len == 16) q5_address_mask(&address, (unsigned)self->ipv6_bits);
    make_key(self, "a", q5_slice_make((const char *)address.bytes, address.len), ret_key);
    return Q5PY_GUARD_GO;
}

static int of_text(const q5py_throttle *self, const char *kind, PyObject *text,
                   q5py_throttle_key *ret_key) {
    Py_ssize_t len;
    const char *base = text ? PyUnicode_AsUTF8AndSize(text, &len) : NULL;
    if (!base) return -1;
    make_key(self, kind, q5_slice_make(base, (size_t)len), ret_key);
    return 0;
}

static int of_given(const q5py_throttle *self, PyObject *given, q5py_throttle_key *ret_key) {
    ret_key->found = false;
    if (given == Py_None) return 0;
    if (PyUnicode_Check(given)) return of_text(self, "s", given, ret_key);
    if (PyBytes_Check(given)) {
        make_key(self, "b",
                 q5_slice_make(PyBytes_AS_STRING(given), (size_t)PyBytes_GET_SIZE(given)), ret_key);
        return 0;
    }
    if (PyLong_Check(given)) {
        PyObject *text = PyObject_Str(given);
        int rc = of_text(self, "i", text, ret_key);
        Py_XDECREF(text);
        return rc;
    }
    PyErr_Format(PyExc_TypeError, "a throttle's key is a str, bytes, int or None, not %R", given);
    return -1;
}

/* The user is loaded. */
static int of_user(const q5py_throttle *self, q5py_pass *pass, q5py_throttle_key *ret_key) {
    if (pass->user == Py_None) return by_address(self, pass, ret_key);
    PyObject *pk = PyObject_GetAttrString(pass->user, "pk");
    PyObject *text = pk ? PyObject_Str(pk) : NULL;
    int rc = of_text(self, "u", text, ret_key);
    Py_XDECREF(pk);
    Py_XDECREF(text);
    return rc;
}

int q5py_throttle_key_of(const q5py_throttle *self, q5py_pass *pass, q5py_throttle_stage stage,
                         PyObject *result, q5py_throttle_key *ret_key) {
    if (stage == Q5PY_THROTTLE_KEY) return of_given(self, result, ret_key);
    return q5py_pass_take_user(pass, result) ? -1 : of_user(self, pass, ret_key);
}

static int by_user(const q5py_throttle *self, q5py_pass *pass, q5py_throttle_key *ret_key,
                   q5py_throttle_stage *ret_stage, PyObject **ret_awaitable) {
    if (!q5py_auth_guard_of(pass)) {
        PyErr_SetString(PyExc_RuntimeError,
                        "a throttle by user stands behind no authentication guard");
        return -1;
    }
    *ret_stage = Q5PY_THROTTLE_USER;
    int rc = q5py_pass_load_user(pass, ret_awaitable);
    return rc == Q5PY_GUARD_GO ? of_user(self, pass, ret_key) : rc;
}

/* key_of(subject). */
static int by_call(const q5py_throttle *self, PyObject *subject, q5py_throttle_key *ret_key,
                   q5py_throttle_stage *ret_stage, PyObject **ret_awaitable) {
    PyObject *given = subject ? PyObject_CallOneArg(self->key_of, subject) : NULL;
    if (!given) return -1;
    if (q5py_is_awaitable(given)) {
        *ret_stage = Q5PY_THROTTLE_KEY;
        *ret_awaitable = given;
        return Q5PY_GUARD_WAIT;
    }
    int rc = of_given(self, given, ret_key);
    Py_DECREF(given);
    return rc;
}

int q5py_throttle_find_key(const q5py_throttle *self, q5py_pass *pass, q5py_throttle_key *ret_key,
                           q5py_throttle_stage *ret_stage, PyObject **ret_awaitable) {
    switch ((q5py_throttle_by)self->by) {
    case Q5PY_BY_CALL:
        return by_call(self, q5py_pass_request(pass), ret_key, ret_stage, ret_awaitable);
    case Q5PY_BY_AUTH:
        if (pass->auth && pass->auth != Py_None)
            return by_call(self, pass->auth, ret_key, ret_stage, ret_awaitable);
        return by_user(self, pass, ret_key, ret_stage, ret_awaitable);
    case Q5PY_BY_USER:
        return by_user(self, pass, ret_key, ret_stage, ret_awaitable);
    case Q5PY_BY_ADDRESS:
        break;
    }
    return by_address(self, pass, ret_key);
}
