/* Files below configured prefixes, answered without a line of Python. */
#include "server.h"

#include <unistd.h>

#include "q5/accept.h"
#include "q5/percent.h"
#include "q5/static_file.h"

#define STATICS_MAX 16
#define INLINE_MAX 16384 /* files up to it leave together with their head */

typedef struct mount {
    char *prefix; /* owned; percent-decoded, begins and ends with '/' */
    size_t prefix_len;
    char *cache_control; /* owned */
    q5_static_root root;
} mount;

struct q5py_statics {
    size_t count;
    mount mounts[STATICS_MAX];
};

static char *copy_text(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = PyMem_Malloc(size);
    if (copy) memcpy(copy, text, size);
    return copy;
}

static int add_mount(q5py_statics *statics, PyObject *item) {
    const char *prefix, *dir, *cache_control = "";
    PyObject *options = NULL;
    if (!PyArg_ParseTuple(item, "ss|O!", &prefix, &dir, &PyDict_Type, &options)) return -1;
    PyObject *cache = options ? PyDict_GetItemString(options, "cache_control") : NULL;
    if (cache && !(cache_control = PyUnicode_AsUTF8(cache))) return -1;
    size_t len = strlen(prefix);
    if (statics->count == STATICS_MAX || len < 2 || prefix[0] != '/' || prefix[len - 1] != '/') {
        PyErr_Format(PyExc_ValueError, "a static prefix is a path like /static/, not %s", prefix);
        return -1;
    }
    mount *m = &statics->mounts[statics->count];
    if (q5_static_root_open(&m->root, dir, NULL)) {
        PyErr_SetFromErrnoWithFilename(PyExc_OSError, dir);
        return -1;
    }
    statics->count++;
    m->prefix = copy_text(prefix);
    m->prefix_len = len;
    m->cache_control = copy_text(cache_control);
    if (m->prefix && m->cache_control) return 0;
    PyErr_NoMemory();
    return -1;
}

int q5py_statics_set(q5py_server *server, PyObject *list) {
    PyObject *fast = PySequence_Fast(list, "statics must be a sequence");
    if (!fast) return -1;
    server->statics = PyMem_Calloc(1, sizeof(*server->statics));
    int rc = server->statics ? 0 : -1;
    for (Py_ssize_t i = 0; rc == 0 && i < PySequence_Fast_GET_SIZE(fast); i++)
        rc = add_mount(server->statics, PySequence_Fast_GET_ITEM(fast, i));
    Py_DECREF(fast);
    return rc;
}

void q5py_statics_free(q5py_statics *statics) {
    if (!statics) return;
    for (size_t i = 0; i < statics->count; i++) {
        mount *m = &statics->mounts[i];
        q5_static_root_close(&m->root);
        PyMem_Free(m->prefix);
        PyMem_Free(m->cache_control);
    }
    PyMem_Free(statics);
}

/* The longest prefix of the raw path. Prefixes are ASCII without escapes, so raw may be compared.
 */
static mount *find_mount(q5py_statics *statics, q5_slice path) {
    mount *best = NULL;
    for (size_t i = 0; i < statics->count; i++) {
        mount *m = &statics->mounts[i];
        bool below = path.len > m->prefix_len && memcmp(path.base, m->prefix, m->prefix_len) == 0;
        if (!below) continue;
        if (!best || m->prefix_len > best->prefix_len) best = m;
    }
    return best;
}

static void release_fd(void *ctx) {
    close((int)(intptr_t)ctx);
}

static int send_file(q5_exchange *x, const q5_static_file *file, const q5_static_plan *plan) {
    char small[INLINE_MAX];
    if (plan->length <= sizeof(small) && plan->offset == 0 &&
        q5_static_read(file, small, sizeof(small)) == Q5_OK) {
        int status = q5_response_send(x, q5_slice_make(small, plan->length), NULL, NULL);
        close(file->fd);
        return status;
    }
    int status = q5_response_stream(x, (int64_t)plan->length);
    if (status) {
        close(file->fd);
        return status;
    }
    status = q5_response_file(x, file->fd, plan->offset, plan->length, release_fd,
                              (void *)(intptr_t)file->fd);
    return status == Q5_OK || status == Q5_AGAIN ? q5_response_end(x) : status;
}

static int send_no_file(q5_exchange *x, const q5_static_file *file, const q5_static_plan *plan) {
    bool head_of_file = file && plan->status == 200;
    if (!head_of_file) return q5_response_send(x, q5_slice_make(NULL, 0), NULL, NULL);
    /* HEAD declares what GET would send. */
    int status = q5_response_stream(x, (int64_t)file->size);
    return status ? status : q5_response_end(x);
}

static void send_plan(q5_exchange *x, const q5_static_file *file, const q5_static_plan *plan) {
    int status = q5_response_start(x, plan->status);
    for (size_t i = 0; i < plan->header_count && !status; i++)
        status = q5_response_field(x, plan->headers[i].name, plan->headers[i].value);
    if (!status && file && plan->send_body) {
        status = send_file(x, file, plan);
    } else {
        if (file) close(file->fd);
        if (!status) status = send_no_file(x, file, plan);
    }
    if (status) q5_response_abort(x);
}

static q5_slice accept_encoding(const q5_head *head) {
    const q5_field *field = q5_head_known(head, Q5_FIELD_ACCEPT_ENCODING);
    return field ? field->value : q5_slice_make(NULL, 0);
}

bool q5py_statics_serve(q5py_server *server, q5_exchange *x) {
    mount *m = find_mount(server->statics, x->head.path);
    if (!m) return false;
    q5_slice raw =
        q5_slice_make(x->head.path.base + m->prefix_len, x->head.path.len - m->prefix_len);
    q5_slice path;
    q5_static_file file;
    q5_static_plan plan;
    q5_slice cache = q5_slice_make(m->cache_control, strlen(m->cache_control));
    bool reads = x->head.method_id == Q5_METHOD_GET || x->head.method_id == Q5_METHOD_HEAD;
    if (!reads) {
        q5_static_plan_make(&x->head, NULL, cache, 0, &plan);
        send_plan(x, NULL, &plan);
        return true;
    }
    q5_accept_encoding accept;
    q5_accept_encoding_parse(accept_encoding(&x->head), &accept);
    if (q5_percent_decode_arena(raw, 0, &x->arena, &path) ||
        q5_static_open(&m->root, path, &accept, &file, NULL)) {
        q5_response_problem(x, 404, q5_slice_make(NULL, 0));
        return true;
    }
    q5_static_plan_make(&x->head, &file, cache, (int64_t)time(NULL), &plan);
    send_plan(x, &file, &plan);
    return true;
}
