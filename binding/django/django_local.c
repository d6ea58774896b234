/* asgiref.local.Local without its Python. A Local that follows the context keeps a dict of its
 * attributes in one ContextVar; the dict is never changed, only replaced by a changed copy. Newer
 * versions wrap it in a _Storage with the id of the thread that it belongs to. */
#include "django.h"

#include <pythread.h>

/* ---- reading --------------------------------------------------------------------------------- */

static int is_here(PyObject *thread_id) {
    unsigned long id = PyLong_AsUnsignedLong(thread_id);
    if (id == (unsigned long)-1 && PyErr_Occurred()) return -1;
    return id == PyThread_get_thread_ident();
}

/* The dict within a _Storage. */
static int unwrap(q5py_state *state, PyObject *storage, PyObject **ret) {
    PyObject *thread_id = PyObject_GetAttr(storage, state->str_thread_id);
    int here = thread_id ? is_here(thread_id) : -1;
    Py_XDECREF(thread_id);
    if (here <= 0) return here;
    *ret = PyObject_GetAttr(storage, state->str_data);
    return *ret ? 1 : -1;
}

int q5py_local_values(q5py_state *state, PyObject *variable, PyObject **ret) {
    PyObject *storage = NULL;
    if (PyContextVar_Get(variable, NULL, &storage)) return -1;
    if (!storage) return 0;
    int found = 1;
    if (state->django->storage_class) {
        found = unwrap(state, storage, ret);
        Py_DECREF(storage);
    } else {
        *ret = storage;
    }
    if (found == 1 && !PyDict_Check(*ret)) {
        Py_CLEAR(*ret);
        PyErr_SetString(PyExc_TypeError, "a Local's values are not in a dict");
        return -1;
    }
    return found;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Takes the dict over. */
static PyObject *wrap(q5py_django *django, PyObject *values) {
    if (!values || !django->storage_class) return values;
    PyObject *id = PyLong_FromUnsignedLong(PyThread_get_thread_ident());
    PyObject *storage =
        id ? PyObject_CallFunctionObjArgs(django->storage_class, id, values, NULL) : NULL;
    Py_XDECREF(id);
    Py_DECREF(values);
    return storage;
}

static PyObject *new_storage(q5py_state *state, PyObject *value) {
    PyObject *values = PyDict_New();
    if (values && value && PyDict_SetItem(values, state->str_value, value)) Py_CLEAR(values);
    return wrap(state->django, values);
}

/* A storage with that value alone (NULL: with none). The last one of each thread is kept in the
 * thread's own dict, under the variable, as (value, storage, empty storage). */
static PyObject *storage_for(q5py_state *state, PyObject *variable, PyObject *value) {
    PyObject *dict = PyThreadState_GetDict(), *kept = NULL;
    if (dict) kept = PyDict_GetItemWithError(dict, variable);
    if (!kept && PyErr_Occurred()) return NULL;
    if (kept && !value) return Py_NewRef(PyTuple_GET_ITEM(kept, 2));
    if (kept && PyTuple_GET_ITEM(kept, 0) == value) return Py_NewRef(PyTuple_GET_ITEM(kept, 1));
    PyObject *storage = new_storage(state, value), *empty = new_storage(state, NULL);
    PyObject *fresh =
        storage && empty ? PyTuple_Pack(3, value ? value : Py_None, storage, empty) : NULL;
    if (fresh && dict && PyDict_SetItem(dict, variable, fresh)) Py_CLEAR(fresh);
    if (!fresh) Py_CLEAR(storage);
    Py_XDECREF(fresh);
    Py_XDECREF(empty);
    return storage;
}

static int put(q5py_state *state, PyObject *variable, PyObject *value) {
    PyObject *storage = storage_for(state, variable, value);
    PyObject *token = storage ? PyContextVar_Set(variable, storage) : NULL;
    Py_XDECREF(storage);
    Py_XDECREF(token);
    return token ? 1 : -1;
}

int q5py_local_put(q5py_state *state, PyObject *variable, PyObject *value) {
    PyObject *values = NULL, *now = NULL;
    int found = q5py_local_values(state, variable, &values);
    if (found < 0) return -1;
    Py_ssize_t others = 0;
    if (found) {
        now = PyDict_GetItemWithError(values, state->str_value);
        others = PyDict_GET_SIZE(values) - (now != NULL);
        Py_DECREF(values); /* the context holds it */
    }
    if (!now && PyErr_Occurred()) return -1;
    if (others) return 0;
    return now == value ? 1 : put(state, variable, value);
}

int q5py_local_rehome(q5py_state *state, PyObject *variable) {
    q5py_django *django = state->django;
    PyObject *storage = NULL, *moved = NULL, *token = NULL;
    if (!django->storage_class) return 0;
    if (PyContextVar_Get(variable, NULL, &storage)) return -1;
    if (!storage) return 0;
    PyObject *thread_id = PyObject_GetAttr(storage, state->str_thread_id);
    int here = thread_id ? is_here(thread_id) : -1;
    if (here == 0) {
        moved = wrap(django, PyObject_GetAttr(storage, state->str_data));
        token = moved ? PyContextVar_Set(variable, moved) : NULL;
    }
    Py_DECREF(storage);
    Py_XDECREF(thread_id);
    Py_XDECREF(moved);
    Py_XDECREF(token);
    return here > 0 || token ? 0 : -1;
}

/* ---- what Django keeps in them --------------------------------------------------------------- */

static int call(PyObject *function, PyObject *arg) {
    PyObject *done = PyObject_CallOneArg(function, arg);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

int q5py_set_urlconf(q5py_state *state, PyObject *urlconf) {
    q5py_django *django = state->django;
    int truth = urlconf ? PyObject_IsTrue(urlconf) : 0;
    if (truth < 0) return -1;
    int done =
        django->urlconfs ? q5py_local_put(state, django->urlconfs, truth ? urlconf : NULL) : 0;
    return done ? (done < 0 ? -1 : 0) : call(django->set_urlconf, urlconf ? urlconf : Py_None);
}

/* Is the prefix "/"? That is also what get_script_prefix() says where none was set. */
static int is_root(q5py_state *state) {
    PyObject *values = NULL;
    if (!state->django->prefixes) return 0;
    int found = q5py_local_values(state, state->django->prefixes, &values);
    if (found <= 0) return found < 0 ? -1 : 1;
    PyObject *prefix = PyDict_GetItemWithError(values, state->str_value);
    bool root = !prefix || (PyUnicode_Check(prefix) && PyUnicode_GET_LENGTH(prefix) == 1 &&
                            PyUnicode_READ_CHAR(prefix, 0) == '/');
    Py_DECREF(values);
    return PyErr_Occurred() ? -1 : root;
}

int q5py_set_script_prefix(q5py_state *state) {
    q5py_django *django = state->django;
    PyObject *name = q5py_setting(state, state->str_FORCE_SCRIPT_NAME);
    int truth = name ? PyObject_IsTrue(name) : -1;
    int done = truth == 0 ? is_root(state) : truth < 0 ? -1 : 0;
    if (done == 0) {
        PyObject *prefix = truth ? Py_NewRef(name) : PyUnicode_FromString("/");
        done = prefix && call(django->set_script_prefix, prefix) == 0 ? 1 : -1;
        Py_XDECREF(prefix);
    }
    Py_XDECREF(name);
    return done < 0 ? -1 : 0;
}

PyObject *q5py_default_script_prefix(PyObject *module, PyObject *unused) {
    (void)unused;
    if (q5py_set_script_prefix(q5py_state_of(module))) return NULL;
    Py_RETURN_NONE;
}
