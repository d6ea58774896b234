/* Names of Django's and asgiref's that the request path looks up; interned with those of q5py.h.
 * X-macro: XX(identifier). */
#ifndef Q5PY_DJANGO_NAMES_H
#define Q5PY_DJANGO_NAMES_H

#define Q5PY_DJANGO_NAMES(XX)           \
    XX(args)                            \
    XX(ATOMIC_REQUESTS)                 \
    XX(callback)                        \
    XX(check_response)                  \
    XX(clear)                           \
    XX(close_if_unusable_or_obsolete)   \
    XX(closed)                          \
    XX(_connections)                    \
    XX(converters)                      \
    XX(cvar)                            \
    XX(data)                            \
    XX(_data)                           \
    XX(default_args)                    \
    XX(default_kwargs)                  \
    XX(__dict__)                        \
    XX(end)                             \
    XX(environ)                         \
    XX(_exception_middleware)           \
    XX(FORCE_SCRIPT_NAME)               \
    XX(func)                            \
    XX(_get_response)                   \
    XX(get_response)                    \
    XX(groupdict)                       \
    XX(groups)                          \
    XX(_handler_class)                  \
    XX(_is_coroutine)                   \
    XX(_is_coroutine_mark)              \
    XX(kwargs)                          \
    XX(_live_receivers)                 \
    XX(make_view_atomic)                \
    XX(match)                           \
    XX(_middleware_chain)               \
    XX(path_info)                       \
    XX(process_exception_by_middleware) \
    XX(queries_log)                     \
    XX(_quintette_urls)                 \
    XX(receivers)                       \
    XX(render)                          \
    XX(resolve)                         \
    XX(resolve_request)                 \
    XX(resolver_match)                  \
    XX(_resource_closers)               \
    XX(ROOT_URLCONF)                    \
    XX(script_name)                     \
    XX(send)                            \
    XX(sendable)                        \
    XX(sender)                          \
    XX(settings)                        \
    XX(_template_response_middleware)   \
    XX(thread_id)                       \
    XX(url_patterns)                    \
    XX(urlconf)                         \
    XX(value)                           \
    XX(_view_middleware)

#endif
