/* The four forms of a request target, and the host in them (RFC 9112, 3.2; RFC 3986, 3.2.2). */
#include "http/h1_internal.h"
#include "http/h1_scan.h"

static const q5__byteset reg_name_set = Q5__BYTESET(Q5__IS_REG_NAME);
static const q5__byteset ipv6_set = Q5__BYTESET(Q5__IS_IPV6);
static const q5__byteset hex_set = Q5__BYTESET(Q5__IS_HEX);

/* Behind the last byte of the uri-host at pos, or pos itself where there is none; *ret_fault is
 * set when a byte inside it is wrong. */
static const char *host_end(const char *pos, const char *end, const char *readable,
                            const char **ret_fault) {
    const char *start = pos;
    if (pos < end && *pos == '[') {
        for (pos++; pos < end && q5__byteset_has(&ipv6_set, *pos);)
            pos++;
        if (pos < end && *pos == ']' && pos - start > 2) return pos + 1; /* "::" is the shortest */
        *ret_fault = pos;
        return pos;
    }
    const q5__h1_scanner *scan = q5__h1_scanner_get();
    while ((pos = scan->set(&reg_name_set, pos, readable)) < end && *pos == '%') {
        bool escape =
            end - pos > 2 && q5__byteset_has(&hex_set, pos[1]) && q5__byteset_has(&hex_set, pos[2]);
        if (!escape) {
            *ret_fault = pos;
            break;
        }
        pos += 3;
    }
    return pos < end ? pos : end;
}

const char *q5__host_fault(q5_slice host, const char *readable, bool port_needed) {
    const char *end = host.base + host.len;
    const char *fault = NULL;
    const char *pos = host_end(host.base, end, readable, &fault);
    if (fault != NULL) return fault;
    if (pos == host.base) return pos;
    if (pos == end) return port_needed ? end : NULL;
    if (*pos != ':') return pos;
    uint32_t port = 0;
    for (pos++; pos < end; pos++) {
        if (!Q5__IS_DIGIT(*pos)) return pos;
        port = port * 10 + (uint32_t)(*pos - '0');
        if (port > UINT16_MAX) return pos;
    }
    return port_needed && port == 0 ? end : NULL;
}

static int authority_form(q5_h1_parser *parser) {
    q5_head *head = parser->head;
    const char *fault = q5__host_fault(head->target, parser->end, true);
    if (fault != NULL) return q5__h1_fault(parser, Q5_ETARGET, fault);
    head->host = head->target;
    head->path = q5_slice_make(head->target.base + head->target.len, 0);
    return Q5_OK;
}

/* The path ends where the target's query begins, so the authority ends in it too. User information
 * fails as a host does: RFC 9110, 4.2.4 wants it treated as an error. */
static int absolute_form(q5_h1_parser *parser) {
    q5_head *head = parser->head;
    const char *pos = head->path.base;
    const char *end = pos + head->path.len;
    size_t scheme = 0;
    if (head->path.len >= 7 && q5_slice_ieq(q5_slice_make(pos, 7), Q5_LIT("http://"))) scheme = 7;
    if (head->path.len >= 8 && q5_slice_ieq(q5_slice_make(pos, 8), Q5_LIT("https://"))) scheme = 8;
    if (scheme == 0) return q5__h1_fault(parser, Q5_ETARGET, pos);
    const char *host = pos + scheme;
    const char *path = memchr(host, '/', (size_t)(end - host));
    size_t host_len = (size_t)((path ? path : end) - host);
    const char *fault = q5__host_fault(q5_slice_make(host, host_len), parser->end, false);
    if (fault != NULL) return q5__h1_fault(parser, Q5_ETARGET, fault);
    head->host = q5_slice_make(host, host_len);
    /* An empty path means "/" (RFC 9110, 4.2.3); the scheme has one to point at. */
    head->path = path ? q5_slice_make(path, (size_t)(end - path)) : q5_slice_make(host - 1, 1);
    return Q5_OK;
}

int q5__h1_target(q5_h1_parser *parser) {
    q5_head *head = parser->head;
    q5_method method = (q5_method)head->method_id;
    if (method == Q5_METHOD_CONNECT) return authority_form(parser);
    if (Q5_LIKELY(head->target.base[0] == '/')) return Q5_OK;
    if (q5_slice_eq(head->target, Q5_LIT("*"))) {
        if (method == Q5_METHOD_OPTIONS) return Q5_OK;
        return q5__h1_fault(parser, Q5_ETARGET, head->target.base);
    }
    return absolute_form(parser);
}
