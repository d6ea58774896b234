/* The cache backends that a thread has made, kept from one request to the next. Django keeps them
 * in a Local that follows the context; each request runs in a context of its own, so without this
 * it would begin with none, and every request that uses a cache would open a connection to it. */
#include "django.h"

/* The thread's own dict, borrowed; NULL: there is nothing to keep. */
static PyObject *keeper(q5py_state *state) {
    q5py_django *django = state->django;
    return django && django->caches_storage ? PyThreadState_GetDict() : NULL;
}

void q5py_caches_restore(q5py_state *state) {
    PyObject *dict = keeper(state), *token = NULL;
    if (!dict) return;
    PyObject *kept = PyDict_GetItemWithError(dict, state->django->caches);
    if (kept) token = PyContextVar_Set(state->django->caches_storage, kept);
    Py_XDECREF(token);
    if (PyErr_Occurred()) PyErr_WriteUnraisable(state->django->caches);
}

void q5py_caches_keep(q5py_state *state) {
    PyObject *dict = keeper(state), *storage = NULL;
    if (!dict) return;
    if (PyContextVar_Get(state->django->caches_storage, NULL, &storage) ||
        (storage && PyDict_SetItem(dict, state->django->caches, storage)))
        PyErr_WriteUnraisable(state->django->caches);
    Py_XDECREF(storage);
}
