/* Django's request path in C. django_parts.c: the objects of Django that it uses;
 * django_local.c: asgiref's Locals; django_caches.c: cache backends; django_signals.c:
 * request_started and request_finished; django_close.c: response.close(). Everything here does what
 * Django's own Python does, in its order; where a part is not as known
 * (python/quintette/server/parts.py), Django's function is called. */
#ifndef Q5PY_DJANGO_H
#define Q5PY_DJANGO_H

#include "q5py.h"

/* What set_django() takes, by name. Each may be None, then NULL here, unless a comment says that it
 * is always there. X-macro: XX(identifier). */
#define Q5PY_DJANGO_PARTS(XX)                                                             \
    XX(settings)            /* always */                                                  \
    XX(set_urlconf)         /* always */                                                  \
    XX(set_script_prefix)   /* always */                                                  \
    XX(urlconfs)            /* ContextVar of the Local of set_urlconf */                  \
    XX(prefixes)            /* the same of set_script_prefix */                           \
    XX(storage_class)       /* what wraps the dict in these; NULL: nothing does */        \
    XX(connections)         /* always */                                                  \
    XX(connections_local)   /* always: connections._connections */                        \
    XX(connections_storage) /* threading.local with the connections */                    \
    XX(connections_here)    /* Storage.here of quintette.db.scope, where that is */       \
    XX(caches)              /* always */                                                  \
    XX(caches_local)        /* always: caches._connections */                             \
    XX(caches_storage)      /* ContextVar */                                              \
    XX(languages_known)     /* always, as the next five: of quintette.server.languages */ \
    XX(language_asked)                                                                    \
    XX(language_default)                                                                  \
    XX(language_in_path)                                                                  \
    XX(catalogue_class)      /* DjangoTranslation */                                      \
    XX(prefix_patterns_used) /* is_language_prefix_patterns_used */                       \
    XX(request_started)      /* always */                                                 \
    XX(request_finished)     /* always */                                                 \
    XX(signal_class)         /* always */                                                 \
    XX(signal_send)          /* Signal.send, Django's own */                              \
    XX(signal_live)          /* Signal._live_receivers, Django's own */                   \
    XX(reset_queries)        /* Django's receivers */                                     \
    XX(close_old_connections)                                                             \
    XX(close_caches)                                                                      \
    XX(reset_urlconf)                                                                     \
    XX(response_class) /* always: HttpResponseBase */                                     \
    XX(response_close) /* HttpResponseBase.close, Django's own */                         \
    XX(response_get)   /* its methods, Django's own */                                    \
    XX(response_has_header)                                                               \
    XX(response_setdefault)                                                               \
    XX(response_headers_class) /* always */                                               \
    XX(response_for_exception) /* always */                                               \
    XX(get_host)               /* HttpRequest.get_host, Django's own */                   \
    XX(xframe_options_value)   /* XFrameOptionsMiddleware's, Django's own */              \
    XX(random_filename)        /* what GZipMiddleware has gzip's file name from */        \
    XX(needs_etag)             /* ConditionalGetMiddleware's, Django's own */             \
    XX(md5)                    /* what its tags are made by */                            \
    XX(not_modified)           /* its (request, response) -> response of 304 */           \
    XX(file_response_class)    /* always */                                               \
    XX(sendable)               /* always: quintette.http.files.sendable */                \
    XX(base_handler)           /* always: BaseHandler, and below its own methods */       \
    XX(handler_get_response)                                                              \
    XX(handler__get_response)                                                             \
    XX(handler_resolve_request)                                                           \
    XX(handler_make_view_atomic)                                                          \
    XX(handler_check_response)                                                            \
    XX(handler_process_exception_by_middleware)                                           \
    XX(iscoroutinefunction) /* always: as handlers.base has it; so the next two */        \
    XX(async_to_sync)                                                                     \
    XX(log_response)                                                                      \
    XX(get_resolver)    /* always */                                                      \
    XX(cached_resolver) /* what get_resolver() calls with the URLconf's name */           \
    XX(resolver404)     /* always; so the next four, all classes */                       \
    XX(url_resolver_class)                                                                \
    XX(url_pattern_class)                                                                 \
    XX(route_class)                                                                       \
    XX(regex_class)                                                                       \
    XX(url_resolver_resolve) /* their methods, Django's own */                            \
    XX(url_pattern_resolve)                                                               \
    XX(route_match)                                                                       \
    XX(regex_match)                                                                       \
    XX(uuid_class)      /* always */                                                      \
    XX(describe_urls)   /* always: quintette.server.urls.describe */                      \
    XX(resolver_match)  /* always: quintette.server.urls.resolver_match */                \
    XX(path_info)       /* always: Request's attribute of that name */                    \
    XX(file_block_size) /* always: int, for files that Python reads */

/* Receivers that are remembered; a signal with more is sent in Python. */
#define Q5PY_RECEIVERS_MAX 8

typedef enum q5py_receiver {
    Q5PY_OTHER,
    Q5PY_RESET_QUERIES,
    Q5PY_CLOSE_OLD_CONNECTIONS,
    Q5PY_CLOSE_CACHES,
    Q5PY_RESET_URLCONF,
} q5py_receiver;

/* A signal's receivers as they were at its last request. The entries are tuples that Django never
 * changes, so comparing pointers tells whether the list is still the same. */
typedef struct q5py_receivers {
    PyObject *entries[Q5PY_RECEIVERS_MAX]; /* owned */
    q5py_receiver what[Q5PY_RECEIVERS_MAX];
    int count;  /* -1: not looked at, or too many */
    bool known; /* none is Q5PY_OTHER */
} q5py_receivers;

typedef struct q5py_django {
#define XX(name) PyObject *name;
    Q5PY_DJANGO_PARTS(XX)
#undef XX
    PyObject
        *languages; /* owned or NULL: what languages_known() has said, see middleware_locale.c */
    q5py_receivers started, finished;
} q5py_django;

/* ---- django_parts.c */
/* _quintette.set_django(parts). */
PyObject *q5py_set_django(PyObject *module, PyObject *parts);
int q5py_django_traverse(q5py_django *django, visitproc visit, void *arg);
/* NULL is allowed. */
void q5py_django_free(q5py_django *django);
/* True: the type's attribute of that name is `own`, which is Django's. Never raises. */
static inline bool q5py_is_own(PyTypeObject *type, PyObject *name, PyObject *own) {
    return own && _PyType_Lookup(type, name) == own;
}

/* settings.NAME: new reference, or NULL with an exception. */
PyObject *q5py_setting(q5py_state *state, PyObject *name);

/* ---- django_local.c */
/* The values that a Local kept in `variable` has in this context and thread. 1: *ret is a new
 * reference to the dict, which must not be changed; 0: it has none; -1 with an exception. */
int q5py_local_values(q5py_state *state, PyObject *variable, PyObject **ret);
/* local.value = value, or for NULL del local.value. 1: done; 0: the Local has other attributes, so
 * nothing was done; -1 with an exception. */
int q5py_local_put(q5py_state *state, PyObject *variable, PyObject *value);
/* Values that another thread has put there pass to this one, as asgiref does where work changes
 * threads. 0, or -1 with an exception. */
int q5py_local_rehome(q5py_state *state, PyObject *variable);
/* set_urlconf(urlconf), of which NULL is None. 0, or -1 with an exception. */
int q5py_set_urlconf(q5py_state *state, PyObject *urlconf);
/* set_script_prefix(settings.FORCE_SCRIPT_NAME or "/"). 0, or -1 with an exception. */
int q5py_set_script_prefix(q5py_state *state);
/* _quintette.set_script_prefix() */
PyObject *q5py_default_script_prefix(PyObject *module, PyObject *unused);

/* ---- django_caches.c: in a worker thread, inside a request's context */
/* Gives the context the cache backends of this thread. */
void q5py_caches_restore(q5py_state *state);
/* Keeps for the thread's next request what the context has of them. */
void q5py_caches_keep(q5py_state *state);

/* ---- django_signals.c */
/* request_started.send(sender, environ=request.environ). 0, or -1 with a receiver's exception. */
int q5py_send_started(q5py_state *state, PyObject *sender, PyObject *request);
/* request_finished.send(sender). The same. */
int q5py_send_finished(q5py_state *state, PyObject *sender);
/* _quintette.has_other_receivers(signal) */
PyObject *q5py_has_other_receivers(PyObject *module, PyObject *signal);

/* ---- django_handler.c */
/* handler._get_response(request), in C where nobody has replaced it. */
PyObject *q5py_handler_response(PyObject *handler, PyObject *request);

/* ---- django_close.c */
/* response.close(). 0, or -1 with an exception. Any object with a close() will do. */
int q5py_response_close(q5py_state *state, PyObject *response);
/* _quintette.close_response(response) */
PyObject *q5py_close_response(PyObject *module, PyObject *response);

/* ---- django_request.c */
/* What BaseHandler.resolve_request(request) does. All new references. */
typedef struct q5py_target {
    PyObject *callback, *args, *kwargs;
} q5py_target;

/* request.path_info: new reference, or NULL with an exception. */
PyObject *q5py_path_info(q5py_state *state, PyObject *request);
/* From any sequence of the three. 0, or -1 with an exception. */
int q5py_take_target(PyObject *match, q5py_target *ret);
/* 0, or -1 with an exception: Resolver404, as a rule. */
int q5py_resolve_request(q5py_state *state, PyObject *request, q5py_target *ret);

/* ---- django_view.c */
/* BaseHandler._get_response: the view and what runs around it inside the middleware. New reference,
 * or NULL with an exception. */
PyObject *q5py_view_response(q5py_state *state, PyObject *handler, PyObject *request);

/* ---- django_handler.c */
/* Adds DjangoHandler to the module; 0 or -1. */
int q5py_init_django_handler(PyObject *module, q5py_state *state);

#endif
