/* The module: its state, its functions, and the types that the other files add. */
#include "q5py.h"

#include <errno.h>

#include "auth/auth.h"
#include "auth/jwt.h"
#include "django/django_urls.h"
#include "greenlets/fd_wait.h"
#include "greenlets/lock.h"
#include "greenlets/sync_call.h"
#include "middleware/middleware.h"
#include "query/query.h"
#include "query/statement_keys.h"
#include "query/watch.h"
#include "responses/encoder.h"
#include "streams/body_source.h"
#include "streams/channel.h"
#include "streams/pieces.h"
#include "websocket/websocket.h"
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdlib.h>
#include <unistd.h>

#define FREED_MEMORY_MAX (32 << 20) /* what glibc takes as a threshold */

static q5py_state *get_state(PyObject *module) {
    return PyModule_GetState(module);
}

q5py_state *q5py_state_of(PyObject *module) {
    return get_state(module);
}

q5py_state *q5py_state_of_type(PyTypeObject *type) {
    PyObject *module = PyType_GetModuleByDef(type, &q5py_module);
    return module ? get_state(module) : NULL;
}

PyObject *q5py_raise_status(int status) {
    switch (status) {
    case Q5_ENOMEM:
        return PyErr_NoMemory();
    case Q5_EIO:
    case Q5_EADDR:
        return PyErr_SetFromErrno(PyExc_OSError);
    case Q5_ECLOSED:
        PyErr_SetString(PyExc_ConnectionError, q5_status_text(status));
        break;
    case Q5_ESTATE:
        PyErr_SetString(PyExc_RuntimeError, q5_status_text(status));
        break;
    default:
        PyErr_SetString(PyExc_ValueError, q5_status_text(status));
        break;
    }
    return NULL;
}

/* ---- functions ------------------------------------------------------------------------------- */

PyDoc_STRVAR(
    listen_doc,
    "listen(host, port, backlog=2048, reuse_port=False) -> int\n\n"
    "A bound, listening, non-blocking TCP socket, as a file descriptor that the caller owns.\n"
    "Raises OSError (EADDRINUSE, EACCES, EADDRNOTAVAIL).");

static PyObject *module_listen(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    static char *keywords[] = {"host", "port", "backlog", "reuse_port", NULL};
    const char *host;
    unsigned short port;
    int backlog = 2048, reuse_port = 0, fd, status;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sH|ip", keywords, &host, &port, &backlog,
                                     &reuse_port))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
        status = q5_listen_tcp(host, port, backlog, reuse_port, &fd);
    Py_END_ALLOW_THREADS
    return status ? q5py_raise_status(status) : PyLong_FromLong(fd);
}

PyDoc_STRVAR(set_request_class_doc,
             "set_request_class(cls)\n\nThe subclass of Request that handlers are given.");

static PyObject *module_set_request_class(PyObject *module, PyObject *cls) {
    q5py_state *state = get_state(module);
    if (!PyType_Check(cls) || !PyType_IsSubtype((PyTypeObject *)cls, state->request_type)) {
        PyErr_SetString(PyExc_TypeError, "a subclass of Request is needed");
        return NULL;
    }
    Py_INCREF(cls);
    Py_XSETREF(state->request_class, cls);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    keep_freed_memory_doc,
    "keep_freed_memory(size)\n\n"
    "For processes that serve: up to this many bytes that were freed stay with the process, ready\n"
    "for the next request. By default glibc returns the top of its heap to the kernel at 128 KB,\n"
    "and each large body is faulted in page by page. Other allocators, and thresholds given in "
    "the\n"
    "environment (MALLOC_TRIM_THRESHOLD_), are left alone. See mallopt(3).");

static PyObject *module_keep_freed_memory(PyObject *module, PyObject *arg) {
    (void)module;
    long size = PyLong_AsLong(arg);
    if (size == -1 && PyErr_Occurred()) return NULL;
    if (size < 0 || size > FREED_MEMORY_MAX) {
        PyErr_Format(PyExc_ValueError, "size must be from 0 to %d", FREED_MEMORY_MAX);
        return NULL;
    }
#ifdef __GLIBC__
    if (!getenv("MALLOC_TRIM_THRESHOLD_")) {
        mallopt(M_TRIM_THRESHOLD, (int)size);
        mallopt(M_MMAP_THRESHOLD, (int)size / 2);
    }
#endif
    Py_RETURN_NONE;
}

static PyMethodDef module_methods[] = {
    {"listen", (PyCFunction)(void (*)(void))module_listen, METH_VARARGS | METH_KEYWORDS,
     listen_doc},
    {"set_django", q5py_set_django, METH_O,
     "set_django(parts)\n\nThe objects of Django that its request path uses, by name."},
    {"close_response", q5py_close_response, METH_O, "close_response(response): response.close()"},
    {"set_script_prefix", q5py_default_script_prefix, METH_NOARGS,
     "set_script_prefix()\n\nTo FORCE_SCRIPT_NAME, or to the root."},
    {"has_other_receivers", q5py_has_other_receivers, METH_O,
     "has_other_receivers(signal) -> bool: than Django's own, for whichever sender. Of\n"
     "request_started or request_finished."},
    {"can_wait", q5py_can_wait_py, METH_NOARGS,
     "can_wait() -> bool: whether the calling code runs in a greenlet of SyncCall"},
    {"steppers", q5py_steppers, METH_NOARGS,
     "steppers() -> list: the greenlets that step the SyncCalls the calling code runs in, the\n"
     "innermost first. A greenlet's parent is the thread's own, whoever steps it."},
    {"wait_for", q5py_wait_for, METH_O,
     "wait_for(awaitable): its result; meanwhile the loop goes on. In a greenlet of SyncCall."},
    {"set_auth", q5py_set_auth, METH_VARARGS, "set_auth(lazy_user, load, nobody, attach)"},
    {"set_request_class", module_set_request_class, METH_O, set_request_class_doc},
    {"pg_pools", q5py_pg_pools, METH_O,
     "pg_pools(poller) -> dict: the open pools of that loop, by the database's alias"},
    {"make_dicts", (PyCFunction)(void (*)(void))q5py_make_dicts, METH_FASTCALL,
     "make_dicts(names, rows) -> list: a dict of each row, by name"},
    {"keep_freed_memory", module_keep_freed_memory, METH_O, keep_freed_memory_doc},
    {"set_watch", q5py_set_watch, METH_VARARGS,
     "set_watch(request, query)\n\nWhat is told of each request and compiled query: see watch.h."},
    {"set_websocket_classes", q5py_set_websocket_classes, METH_VARARGS,
     "set_websocket_classes(socket, closed)\n\nThe subclass of WebSocket that handlers are given, "
     "and the\nexception that says that one is closed."},
    {"websocket_broadcast", q5py_websocket_broadcast, METH_VARARGS,
     "websocket_broadcast(sockets, message) -> int\n\nSends one message to all that are open, and "
     "tells how many.\nOne whose client is behind is closed (1013). On the loop's thread."},
    {NULL, NULL, 0, NULL},
};

/* ---- state ----------------------------------------------------------------------------------- */

static int import_into(PyObject **ret, const char *module_name, const char *attribute) {
    PyObject *module = PyImport_ImportModule(module_name);
    if (!module) return -1;
    *ret = PyObject_GetAttrString(module, attribute);
    Py_DECREF(module);
    return *ret ? 0 : -1;
}

static int import_current_task(q5py_state *state) {
#if PY_VERSION_HEX >= 0x030E0000
    return import_into(&state->swap_current_task, "_asyncio", "_swap_current_task");
#else
    if (import_into(&state->current_tasks, "_asyncio", "_current_tasks")) return -1;
    if (PyDict_CheckExact(state->current_tasks)) return 0;
    PyErr_SetString(PyExc_ImportError, "asyncio keeps its current tasks elsewhere");
    return -1;
#endif
}

static int import_uuid_safety(q5py_state *state) {
    PyObject *kinds = NULL;
    if (import_into(&kinds, "uuid", "SafeUUID")) return -1;
    state->uuid_safety = PyObject_GetAttrString(kinds, "unknown");
    Py_DECREF(kinds);
    return state->uuid_safety ? 0 : -1;
}

static int import_all(q5py_state *state) {
    if (import_current_task(state)) return -1;
    if (import_into(&state->register_task, "asyncio.tasks", "_register_task")) return -1;
    if (import_into(&state->unregister_task, "asyncio.tasks", "_unregister_task")) return -1;
    if (import_into(&state->set_running_loop, "asyncio.events", "_set_running_loop")) return -1;
    if (import_into(&state->uuid_class, "uuid", "UUID")) return -1;
    if (import_uuid_safety(state)) return -1;
    if (import_into(&state->enum_class, "enum", "Enum")) return -1;
    if (import_into(&state->decimal_class, "decimal", "Decimal")) return -1;
    if (import_into(&state->get_running_loop, "asyncio.events", "_get_running_loop")) return -1;
    if (import_into(&state->task_class, "asyncio", "Task")) return -1;
    if (import_into(&state->cancelled_error, "asyncio", "CancelledError")) return -1;
    if (import_into(&state->invalid_state_error, "asyncio", "InvalidStateError")) return -1;
    if (import_into(&state->selector_key, "selectors", "SelectorKey")) return -1;
    return import_into(&state->thread_class, "threading", "Thread");
}

static int intern_names(q5py_state *state) {
#define XX(name) \
    if (!(state->str_##name = PyUnicode_InternFromString(#name))) return -1;
    Q5PY_NAMES(XX)
#undef XX
    return 0;
}

/* One per line. clang-format reads the next comment alone. */
/* clang-format off */
static int (*const inits[])(PyObject *, q5py_state *) = {
    q5py_init_poller,
    q5py_init_server,
    q5py_init_request,
    q5py_init_task,
    q5py_init_threads,
    q5py_init_router,
    q5py_init_plan,
    q5py_init_call,
    q5py_init_memory,
    q5py_init_stream,
    q5py_init_django_handler,
    q5py_init_django_urls,
    q5py_init_django_match,
    q5py_init_wait,
    q5py_init_sync_call,
    q5py_init_fd_wait,
    q5py_init_lock,
    q5py_init_query,
    q5py_init_statement,
    q5py_init_pending,
    q5py_init_pg,
    q5py_init_sqlite,
    q5py_init_cells,
    q5py_init_param,
    q5py_init_statement_keys,
    q5py_init_watchdog,
    q5py_init_django_results,
    q5py_init_model_maker,
    q5py_init_tree,
    q5py_init_tuples,
    q5py_init_rows,
    q5py_init_guard,
    q5py_init_pieces,
    q5py_init_trace,
    q5py_init_throttle,
    q5py_init_cors,
    q5py_init_proxies,
    q5py_init_encoder,
    q5py_init_compress,
    q5py_init_conditional,
    q5py_init_auth,
    q5py_init_jwt,
    q5py_init_middleware_fields,
    q5py_init_segment,
    q5py_init_csrf_view,
    q5py_init_channel,
    q5py_init_subscription,
    q5py_init_websocket,
    q5py_init_fields_guard,
    q5py_init_cache,
    q5py_init_body_source,
    q5py_init_metrics,
    q5py_init_idempotent,
    q5py_init_stack,
};
/* clang-format on */

static int module_exec(PyObject *module) {
    q5py_state *state = get_state(module);
    if (intern_names(state) || import_all(state)) return -1;
    for (size_t i = 0; i < Q5_ARRAY_LEN(inits); i++)
        if (inits[i](module, state)) return -1;
    state->request_class = Py_NewRef(state->request_type);
    return PyModule_AddStringConstant(module, "scanner", q5_h1_scanner());
}

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
    q5py_state *state = get_state(module);
#define XX(name) Py_VISIT(state->name##_type);
    Q5PY_TYPES(XX)
#undef XX
#define XX(name) Py_VISIT(state->name);
    Q5PY_IMPORTS(XX)
#undef XX
    return state->django ? q5py_django_traverse(state->django, visit, arg) : 0;
}

static int module_clear(PyObject *module) {
    q5py_state *state = get_state(module);
#define XX(name) Py_CLEAR(state->name##_type);
    Q5PY_TYPES(XX)
#undef XX
#define XX(name) Py_CLEAR(state->name);
    Q5PY_IMPORTS(XX)
#undef XX
#define XX(name) Py_CLEAR(state->str_##name);
    Q5PY_NAMES(XX)
#undef XX
    q5py_django_free(state->django);
    state->django = NULL;
    return 0;
}

static void module_free(void *module) {
    module_clear(module);
    q5py_task_free_list_clear(get_state(module));
    q5py_encoders_free(get_state(module));
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL},
};

struct PyModuleDef q5py_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "quintette._quintette",
    .m_doc =
        "The engine: sockets, HTTP, routing, typed handlers. Used by quintette, not by projects.",
    .m_size = sizeof(q5py_state),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__quintette(void);

PyMODINIT_FUNC PyInit__quintette(void) {
    return PyModuleDef_Init(&q5py_module);
}
