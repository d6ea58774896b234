/* The host guard of typed routes: what CommonMiddleware's call of get_host() does for views. */
#include "server.h"

#include "q5/host.h"

struct q5py_hosts {
    bool forwarded; /* USE_X_FORWARDED_HOST */
    size_t count;
    PyObject *texts; /* owned tuple of str, lower case: what patterns point into */
    q5_slice patterns[];
};

static PyObject *lowered(PyObject *list) {
    PyObject *fast = PySequence_Fast(list, "allowed_hosts must be a sequence of str");
    PyObject *texts = fast ? PyTuple_New(PySequence_Fast_GET_SIZE(fast)) : NULL;
    for (Py_ssize_t i = 0; texts && i < PyTuple_GET_SIZE(texts); i++) {
        PyObject *text = PyObject_CallMethod(PySequence_Fast_GET_ITEM(fast, i), "lower", NULL);
        if (!text) Py_CLEAR(texts);
        if (texts) PyTuple_SET_ITEM(texts, i, text);
    }
    Py_XDECREF(fast);
    return texts;
}

int q5py_hosts_set(q5py_server *server, PyObject *list, bool forwarded) {
    PyObject *texts = lowered(list);
    if (!texts) return -1;
    size_t count = (size_t)PyTuple_GET_SIZE(texts);
    q5py_hosts *hosts = PyMem_Calloc(1, sizeof(*hosts) + count * sizeof(q5_slice));
    if (!hosts) {
        Py_DECREF(texts);
        PyErr_NoMemory();
        return -1;
    }
    hosts->forwarded = forwarded;
    hosts->texts = texts;
    server->hosts = hosts;
    for (size_t i = 0; i < count; i++) {
        Py_ssize_t len;
        const char *text = PyUnicode_AsUTF8AndSize(PyTuple_GET_ITEM(texts, (Py_ssize_t)i), &len);
        if (!text) return -1;
        hosts->patterns[hosts->count++] = q5_slice_make(text, (size_t)len);
    }
    return 0;
}

void q5py_hosts_free(q5py_hosts *hosts) {
    if (!hosts) return;
    Py_DECREF(hosts->texts);
    PyMem_Free(hosts);
}

q5_slice q5py_hosts_name(const q5py_server *server, const q5_exchange *x) {
    const q5_field *forwarded = server->hosts && server->hosts->forwarded
                                    ? q5_head_find(&x->head, Q5_LIT("x-forwarded-host"), 0)
                                    : NULL;
    return forwarded ? forwarded->value : x->head.host;
}

bool q5py_hosts_refuse(q5py_server *server, q5_exchange *x) {
    const q5py_hosts *hosts = server->hosts;
    if (q5_host_allowed(q5py_hosts_name(server, x), hosts->patterns, hosts->count)) return false;
    q5_response_problem(x, 400, Q5_LIT("the Host is not one of ALLOWED_HOSTS"));
    return true;
}
