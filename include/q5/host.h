/* Which hosts a server answers for: Django's ALLOWED_HOSTS. */
#ifndef Q5_HOST_H
#define Q5_HOST_H

#include "q5/base.h"

/* Whether a Host ("example.com", "Example.com.:8000", "[::1]:8000") is allowed by one of the
 * patterns: "*" allows any, ".example.com" the domain and all below it, anything else itself. Case,
 * one trailing dot and the port do not count. Patterns are lower case. An empty or malformed host
 * is allowed by "*" only. */
Q5_EXTERN bool q5_host_allowed(q5_slice host, const q5_slice *patterns, size_t count);

#endif
