#include "q5/host.h"

/* The host without port and trailing dot. An IPv6 literal keeps its brackets. */
static q5_slice domain_of(q5_slice host) {
    size_t end = host.len;
    if (host.len && host.base[0] == '[') {
        const char *bracket = memchr(host.base, ']', host.len);
        end = bracket ? (size_t)(bracket - host.base) + 1 : 0;
    } else {
        const char *colon = host.len ? memchr(host.base, ':', host.len) : NULL;
        if (colon) end = (size_t)(colon - host.base);
        if (end && host.base[end - 1] == '.') end--;
    }
    return q5_slice_make(host.base, end);
}

static bool matches(q5_slice domain, q5_slice pattern) {
    if (pattern.len == 0 || pattern.base[0] != '.') return q5_slice_ieq(domain, pattern);
    if (domain.len + 1 == pattern.len)
        return q5_slice_ieq(domain, q5_slice_make(pattern.base + 1, domain.len));
    if (domain.len < pattern.len) return false;
    return q5_slice_ieq(q5_slice_make(domain.base + domain.len - pattern.len, pattern.len),
                        pattern);
}

bool q5_host_allowed(q5_slice host, const q5_slice *patterns, size_t count) {
    q5_slice domain = domain_of(host);
    for (size_t i = 0; i < count; i++) {
        if (patterns[i].len == 1 && patterns[i].base[0] == '*') return true;
        if (domain.len && matches(domain, patterns[i])) return true;
    }
    return false;
}
