/* See thread_locals.h. */
#include "thread_locals.h"

#include "convert.h"

/* Until 3.13 asyncio keeps the running loop in the dict. */
static int share_running_loop(q5py_thread_locals *self) {
#if PY_VERSION_HEX < 0x030E0000
    static const char key[] = "__asyncio_running_event_loop__";
    PyObject *dict = PyThreadState_Get()->dict;
    PyObject *loop = dict ? PyDict_GetItemString(dict, key) : NULL;
    return loop ? PyDict_SetItemString(self->dict, key, loop) : 0;
#else
    (void)self;
    return 0;
#endif
}

int q5py_thread_locals_renew(q5py_thread_locals *self) {
    if (!self->dict && !(self->dict = PyDict_New())) return -1;
    return share_running_loop(self);
}

static void swap(PyObject **a, PyObject **b) {
    PyObject *c = *a;
    *a = *b;
    *b = c;
}

#if PY_VERSION_HEX < 0x030D0000
/* Until 3.12 a threading.local keeps a stand-in under its address in the dict of each thread, which
 * points to this thread's attributes without owning them. A local that ends takes the stand-ins out
 * of the threads' dicts, but not out of those that are swapped away; and the next local at that
 * address would find freed memory. What a living one refers to weakly, a dead one no longer does.
 */
static PyObject *find_dead(PyObject *dict) {
    PyObject *key, *value;
    Py_ssize_t at = 0;
    while (PyDict_Next(dict, &at, &key, &value)) {
        const PyTypeObject *type = Py_TYPE(value);
        if (type->tp_weaklistoffset <= 0 || strcmp(type->tp_name, "_thread._localdummy") != 0)
            continue;
        if (!*(PyObject **)((char *)value + type->tp_weaklistoffset)) return key;
    }
    return NULL;
}

static void drop_dead(PyObject *dict) {
    PyObject *key = find_dead(dict);
    if (!key) return;
    PyObject *error = q5py_exception_take();
    for (; key; key = find_dead(dict)) {
        Py_INCREF(key);
        int rc = PyDict_DelItem(dict, key);
        Py_DECREF(key);
        if (rc) break;
    }
    if (PyErr_Occurred()) PyErr_WriteUnraisable(dict);
    if (error) q5py_exception_set(error);
}
#endif

void q5py_thread_locals_swap(q5py_thread_locals *self) {
    PyThreadState *thread = PyThreadState_Get();
    swap(&self->dict, &thread->dict);
#if PY_VERSION_HEX < 0x030D0000
    if (thread->dict) drop_dead(thread->dict);
#else
    swap(&self->key, &thread->threading_local_key);
    swap(&self->sentinel, &thread->threading_local_sentinel);
#endif
}

void q5py_thread_locals_clear(q5py_thread_locals *self) {
    Py_CLEAR(self->dict);
#if PY_VERSION_HEX >= 0x030D0000
    /* In this order: the sentinel's end removes what is kept under the key. */
    Py_CLEAR(self->sentinel);
    Py_CLEAR(self->key);
#endif
}
