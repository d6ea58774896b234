/* The cache backends that a thread has made, kept from one request to the next. Django keeps them
 * in a Local that follows the context; each request runs in a context of its own, so without this
 * it would begin with none, and every request that uses a cache would open a connection to it. */
#include "django.h"

/* The thread's own dict and the Local's variable. False: there is nothing to keep. */
static bool find(q5py_state *state, PyObject **ret_dict, PyObject **ret_variable) {
    q5py_django *django = state->django;
    *ret_dict = django && django->caches_storage ? PyThreadState_GetDict() : NULL;
    *ret_variable = *ret_dict ? django->caches_storage : NULL;
    return *ret_dict != NULL;
}

void q5py_caches_restore(q5py_state *state) {
    PyObject *dict, *variable, *token = NULL;
    if (!find(state, &dict, &variable)) return;
    PyObject *kept = PyDict_GetItemWithError(dict, state->django->caches);
    if (kept) token = PyContextVar_Set(variable, kept);
    Py_XDECREF(token);
    if (PyErr_Occurred()) PyErr_WriteUnraisable(state->django->caches);
}

void q5py_caches_keep(q5py_state *state) {
    PyObject *dict, *variable, *storage = NULL;
    if (!find(state, &dict, &variable)) return;
    if (PyContextVar_Get(variable, NULL, &storage) ||
        (storage && PyDict_SetItem(dict, state->django->caches, storage)))
        PyErr_WriteUnraisable(state->django->caches);
    Py_XDECREF(storage);
}
