/* Names of Django's and asgiref's that the request path looks up; interned with those of q5py.h.
 * X-macro: XX(identifier). */
#ifndef Q5PY_DJANGO_NAMES_H
#define Q5PY_DJANGO_NAMES_H

#define Q5PY_DJANGO_NAMES(XX)           \
    XX(ATOMIC_REQUESTS)                 \
    XX(check_response)                  \
    XX(clear)                           \
    XX(close_if_unusable_or_obsolete)   \
    XX(closed)                          \
    XX(_connections)                    \
    XX(data)                            \
    XX(__dict__)                        \
    XX(environ)                         \
    XX(_exception_middleware)           \
    XX(FORCE_SCRIPT_NAME)               \
    XX(_get_response)                   \
    XX(get_response)                    \
    XX(_handler_class)                  \
    XX(_is_coroutine)                   \
    XX(_is_coroutine_mark)              \
    XX(_live_receivers)                 \
    XX(make_view_atomic)                \
    XX(_middleware_chain)               \
    XX(process_exception_by_middleware) \
    XX(queries_log)                     \
    XX(receivers)                       \
    XX(render)                          \
    XX(resolve_request)                 \
    XX(_resource_closers)               \
    XX(ROOT_URLCONF)                    \
    XX(send)                            \
    XX(sender)                          \
    XX(settings)                        \
    XX(_template_response_middleware)   \
    XX(thread_id)                       \
    XX(value)                           \
    XX(_view_middleware)

#endif
