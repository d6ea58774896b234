/* The extension's shared words: module state, the objects of each type, small helpers. One file
 * per Python type; conversions in convert.c. All under the GIL unless said otherwise. */
#ifndef Q5PY_H
#define Q5PY_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "q5/conn.h"
#include "q5/server.h"

#include "django/django_names.h"

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
    XX(_reason_phrase)           \
    XX(call_soon)                \
    XX(context)                  \
    XX(add_done_callback)        \
    XX(_asyncio_future_blocking) \
    XX(cancel)                   \
    XX(result)                   \
    XX(_ready)                   \
    XX(_scheduled)               \
    XX(_stopping)                \
    XX(run)                      \
    XX(finish)                   \
    XX(throw)                    \
    XX(_loop)                    \
    XX(get_loop)                 \
    XX(start)                    \
    XX(__anext__)                \
    XX(_selector)                \
    XX(expire)                   \
    XX(gr_context)               \
    XX(bytes)                    \
    XX(in_atomic_block)          \
    XX(autocommit)               \
    XX(connection)               \
    XX(json)                     \
    XX(objects)                  \
    XX(lhs)                      \
    XX(rhs)                      \
    XX(connector)                \
    XX(negated)                  \
    XX(children)                 \
    XX(alias)                    \
    XX(target)                   \
    XX(output_field)             \
    XX(column)                   \
    XX(model)                    \
    XX(_meta)                    \
    XX(ordering)                 \
    XX(_state)                   \
    XX(adding)                   \
    XX(db)                       \
    XX(db_table)                 \
    XX(fetch_mode)               \
    XX(fields_cache)             \
    XX(int)                      \
    XX(is_safe)                  \
    XX(id)                       \
    XX(event)                    \
    XX(retry)                    \
    XX(comment)                  \
    XX(auth)                     \
    XX(user)                     \
    XX(is_authenticated)         \
    XX(done)                     \
    XX(scopes)                   \
    Q5PY_DJANGO_NAMES(XX)

/* The module's types. */
#define Q5PY_TYPES(XX) \
    XX(poller)         \
    XX(server)         \
    XX(request)        \
    XX(task)           \
    XX(task_await)     \
    XX(thread_pool)    \
    XX(job)            \
    XX(router)         \
    XX(plan)           \
    XX(call)           \
    XX(guard)          \
    XX(python_guard)   \
    XX(limit_table)    \
    XX(throttle)       \
    XX(cors)           \
    XX(fields_guard)   \
    XX(proxies)        \
    XX(encoder)        \
    XX(compress_guard) \
    XX(auth_guard)     \
    XX(auth_cache)     \
    XX(auth_field)     \
    XX(auth_session)   \
    XX(auth_any)       \
    XX(permission)     \
    XX(conditional)    \
    XX(segment)        \
    XX(stack_guard)    \
    XX(csrf_view)      \
    XX(store)          \
    XX(cached)         \
    XX(cache_turn)     \
    XX(cache_guard)    \
    XX(idempotent)     \
    XX(memory)         \
    XX(websocket)      \
    XX(socket_receive) \
    XX(socket_send)    \
    XX(stream)         \
    XX(pieces)         \
    XX(channel)        \
    XX(subscription)   \
    XX(body_source)    \
    XX(wait)           \
    XX(sync_call)      \
    XX(fd_wait)        \
    XX(lock)           \
    XX(watchdog)       \
    XX(query)          \
    XX(statement)      \
    XX(pending)        \
    XX(pg_pool)        \
    XX(sqlite_file)    \
    XX(pg_results)     \
    XX(rows)           \
    XX(children)       \
    XX(model_maker)    \
    XX(statement_keys) \
    XX(django_handler) \
    XX(django_urls)    \
    XX(django_match)   \
    XX(trace)          \
    XX(metrics)        \
    XX(jwt_key)        \
    XX(jwt_verifier)   \
    XX(claims)         \
    XX(jwt_guard)

/* Objects of other modules that are used while serving. */
#define Q5PY_IMPORTS(XX)                                                      \
    XX(swap_current_task) /* 3.14+, else NULL */                              \
    XX(current_tasks)     /* to 3.13: the dict, else NULL */                  \
    XX(register_task)                                                         \
    XX(unregister_task)                                                       \
    XX(set_running_loop)                                                      \
    XX(get_running_loop)                                                      \
    XX(task_class) /* asyncio.Task */                                         \
    XX(cancelled_error)                                                       \
    XX(invalid_state_error)                                                   \
    XX(selector_key)                                                          \
    XX(thread_class)        /* threading.Thread */                            \
    XX(uuid_class)          /* uuid.UUID */                                   \
    XX(uuid_safety)         /* uuid.SafeUUID.unknown */                       \
    XX(decimal_class)       /* decimal.Decimal */                             \
    XX(enum_class)          /* enum.Enum */                                   \
    XX(connections)         /* django.db's; NULL until a query is compiled */ \
    XX(connections_known)   /* what connections_storage was found for */      \
    XX(connections_storage) /* see query_pending.c */                         \
    XX(kw_context)          /* ("context",) */                                \
    XX(kw_msg)              /* ("msg",) */                                    \
    XX(kw_usedforsecurity)  /* ("usedforsecurity",) */                        \
    XX(watch_request)       /* what set_watch gave, or NULL: see watch.h */   \
    XX(watch_query)         /* the same */                                    \
    XX(accept_encoding)                                                       \
    XX(accept_language)                                                       \
    XX(cache_control_lower)                                                   \
    XX(content_encoding)                                                      \
    XX(content_encoding_lower)                                                \
    XX(content_length)                                                        \
    XX(content_length_lower)                                                  \
    XX(etag)                                                                  \
    XX(etag_lower)                                                            \
    XX(frame_options_lower)                                                   \
    XX(gzip)                                                                  \
    XX(last_modified_lower)                                                   \
    XX(vary)                                                                  \
    XX(vary_lower)                                                            \
    XX(cookie)                                                                \
    XX(content_language_lower)                                                \
    XX(trace_var)        /* the context variable of trace.h */                \
    XX(lazy_user)        /* what set_auth gave, or NULL: see auth.h */        \
    XX(load_user)        /* the same */                                       \
    XX(nobody)           /* the same */                                       \
    XX(attach_user)      /* the same */                                       \
    XX(request_class)    /* what set_request_class gave */                    \
    XX(websocket_class)  /* what set_websocket_classes gave, or NULL */       \
    XX(websocket_closed) /* the same */                                       \
    XX(websocket_sent)   /* see websocket_send.c */

typedef struct q5py_state {
#define XX(name) PyTypeObject *name##_type;
    Q5PY_TYPES(XX)
#undef XX
#define XX(name) PyObject *name;
    Q5PY_IMPORTS(XX)
#undef XX
#define XX(name) PyObject *str_##name;
    Q5PY_NAMES(XX)
#undef XX
    struct q5py_django *django;     /* owned; NULL until set_django() */
    struct q5py_encoders *encoders; /* owned: see encoder.c */
    struct q5py_task *free_tasks;   /* see task.c */
    int free_task_count;
    unsigned long main_thread;      /* its identifier */
    struct q5py_watchdog *watchdog; /* owned while it runs; else NULL */
} q5py_state;

extern struct PyModuleDef q5py_module;

/* The state from a heap type of this module, or from the module object. */
q5py_state *q5py_state_of_type(PyTypeObject *type);
q5py_state *q5py_state_of(PyObject *module);

/* Of a bytes object, as long as it lives. */
static inline q5_slice q5py_bytes_slice(PyObject *bytes) {
    return q5_slice_make(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
}

/* A new reference, or NULL for None. */
static inline PyObject *q5py_maybe(PyObject *object) {
    return object == Py_None ? NULL : Py_NewRef(object);
}

/* Raises the Python exception that stands for a q5_status: MemoryError, OSError, ValueError,
 * ConnectionError, RuntimeError. Returns NULL. */
PyObject *q5py_raise_status(int status);

/* Each adds its type to the module; 0 or -1. Called once by module.c. */
int q5py_init_stream(PyObject *module, q5py_state *state);
int q5py_init_poller(PyObject *module, q5py_state *state);
int q5py_init_server(PyObject *module, q5py_state *state);
int q5py_init_request(PyObject *module, q5py_state *state);
int q5py_init_task(PyObject *module, q5py_state *state);
void q5py_task_free_list_clear(q5py_state *state);
int q5py_init_threads(PyObject *module, q5py_state *state);
int q5py_init_router(PyObject *module, q5py_state *state);
int q5py_init_plan(PyObject *module, q5py_state *state);
int q5py_init_call(PyObject *module, q5py_state *state);
int q5py_init_guard(PyObject *module, q5py_state *state);
/* Throttles and their tables: behind q5py_init_guard. */
int q5py_init_throttle(PyObject *module, q5py_state *state);
int q5py_init_cors(PyObject *module, q5py_state *state);
int q5py_init_fields_guard(PyObject *module, q5py_state *state);
int q5py_init_proxies(PyObject *module, q5py_state *state);
int q5py_init_compress(PyObject *module, q5py_state *state);
int q5py_init_conditional(PyObject *module, q5py_state *state);
int q5py_init_cache(PyObject *module, q5py_state *state);
int q5py_init_idempotent(PyObject *module, q5py_state *state);
int q5py_init_memory(PyObject *module, q5py_state *state);
int q5py_init_trace(PyObject *module, q5py_state *state);
int q5py_init_metrics(PyObject *module, q5py_state *state);
int q5py_init_websocket(PyObject *module, q5py_state *state);
int q5py_init_watchdog(PyObject *module, q5py_state *state);
/* make_dicts(names, rows): see dicts.c. */
PyObject *q5py_make_dicts(PyObject *module, PyObject *const *args, Py_ssize_t count);
int q5py_init_model_maker(PyObject *module, q5py_state *state);

#endif
