/* The extension's shared words: module state, the objects of each type, small helpers. One file
 * per Python type; conversions in convert.c. All under the GIL unless said otherwise. */
#ifndef Q5PY_H
#define Q5PY_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "q5/conn.h"
#include "q5/server.h"

/* Names that are looked up often; interned once per module. X-macro: XX(identifier). */
#define Q5PY_NAMES(XX)           \
    XX(close)                    \
    XX(status_code)              \
    XX(headers)                  \
    XX(cookies)                  \
    XX(streaming)                \
    XX(content)                  \
    XX(__aiter__)                \
    XX(file_to_stream)           \
    XX(is_async)                 \
    XX(OutputString)             \
    XX(_store)                   \
    XX(call_soon)                \
    XX(context)                  \
    XX(add_done_callback)        \
    XX(_asyncio_future_blocking) \
    XX(cancel)                   \
    XX(result)                   \
    XX(_ready)                   \
    XX(__anext__)

typedef struct q5py_state {
    PyTypeObject *poller_type, *server_type, *request_type, *task_type, *thread_pool_type,
        *job_type, *router_type, *plan_type, *call_type, *memory_type, *stream_type;
    PyObject *asyncio_enter_task, *asyncio_leave_task, *asyncio_register_task,
        *asyncio_unregister_task, *asyncio_set_running_loop, *cancelled_error, *invalid_state_error;
    /* Set by quintette at import: HttpResponseBase, and what F and G register; see registry.c. */
    PyObject *registry;
#define XX(name) PyObject *str_##name;
    Q5PY_NAMES(XX)
#undef XX
} q5py_state;

extern struct PyModuleDef q5py_module;

/* The state from a heap type of this module, or from the module object. */
q5py_state *q5py_state_of_type(PyTypeObject *type);
q5py_state *q5py_state_of(PyObject *module);

/* Raises the Python exception that stands for a q5_status: MemoryError, OSError, ValueError,
 * ConnectionError, RuntimeError. Returns NULL. */
PyObject *q5py_raise_status(int status);

/* Each adds its type to the module; 0 or -1. Called once by module.c. */
int q5py_init_poller(PyObject *module, q5py_state *state);
int q5py_init_server(PyObject *module, q5py_state *state);
int q5py_init_request(PyObject *module, q5py_state *state);
int q5py_init_task(PyObject *module, q5py_state *state);
int q5py_init_threads(PyObject *module, q5py_state *state);
int q5py_init_router(PyObject *module, q5py_state *state);
int q5py_init_plan(PyObject *module, q5py_state *state);
int q5py_init_call(PyObject *module, q5py_state *state);
int q5py_init_memory(PyObject *module, q5py_state *state);

#endif
