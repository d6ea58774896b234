/* What both kinds of fields share: trust, and the address of a node. */
#include "http/forwarded_internal.h"

bool q5_forwarded_trusts(const q5_forwarded_policy *policy, const q5_address *peer) {
    if (peer->len == 0) return policy->trust_local;
    for (size_t i = 0; i < policy->network_count; i++)
        if (q5_network_has(&policy->networks[i], peer)) return true;
    return false;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static int parse_port(q5_slice text, uint16_t *ret_port) {
    uint32_t port = 0;
    if (text.len == 0 || text.len > 5) return Q5_EFORWARDED;
    for (size_t i = 0; i < text.len; i++) {
        if (!Q5__IS_DIGIT(text.base[i])) return Q5_EFORWARDED;
        port = port * 10 + (uint32_t)(text.base[i] - '0');
    }
    if (port > UINT16_MAX) return Q5_EFORWARDED;
    *ret_port = (uint16_t)port;
    return Q5_OK;
}

/* "_" 1*( ALPHA / DIGIT / "." / "_" / "-") (RFC 7239, 6.3), "unknown", and "unix:", as nginx calls
 * whoever came by a Unix socket. */
static bool is_hidden(q5_slice node) {
    if (q5_slice_ieq(node, Q5_LIT("unknown")) || q5_slice_ieq(node, Q5_LIT("unix:"))) return true;
    if (node.len < 2 || node.base[0] != '_') return false;
    for (size_t i = 1; i < node.len; i++) {
        char c = node.base[i];
        if (!Q5__IS_ALNUM(c) && c != '.' && c != '_' && c != '-') return false;
    }
    return true;
}

/* Splits address and port: *ret_port_at is where the port begins, 0: there is none. */
static q5_slice address_part(q5_slice node, size_t *ret_port_at) {
    *ret_port_at = 0;
    const char *colon = memchr(node.base, ':', node.len);
    if (node.base[0] == '[') {
        const char *bracket = memchr(node.base, ']', node.len);
        size_t end = bracket ? (size_t)(bracket - node.base) : 0;
        if (!bracket || !colon || colon > bracket) return q5_slice_make(NULL, 0);
        if (end + 1 < node.len && node.base[end + 1] != ':') return q5_slice_make(NULL, 0);
        if (end + 1 < node.len) *ret_port_at = end + 2;
        return q5_slice_make(node.base + 1, end - 1);
    }
    size_t before = colon ? (size_t)(colon - node.base) : node.len;
    bool is_ipv6 = colon && memchr(colon + 1, ':', node.len - before - 1);
    if (!colon || is_ipv6) return node;
    *ret_port_at = before + 1;
    return q5_slice_make(node.base, before);
}

int q5__forwarded_node(q5_slice node, q5_client *client) {
    client->address = (q5_address){0};
    client->port = 0;
    if (node.len == 0) return Q5_EFORWARDED;
    if (is_hidden(node)) return Q5_OK;
    size_t port_at;
    q5_slice address = address_part(node, &port_at);
    if (q5_address_parse(address, &client->address)) return Q5_EFORWARDED;
    if (!port_at) return Q5_OK;
    q5_slice port = q5_slice_make(node.base + port_at, node.len - port_at);
    /* RFC 7239, 6: a port may be hidden too. */
    if (port.len && port.base[0] == '_' && is_hidden(port)) return Q5_OK;
    return parse_port(port, &client->port);
}

q5_scheme q5__forwarded_scheme(q5_slice text) {
    if (q5_slice_ieq(text, Q5_LIT("https")) || q5_slice_ieq(text, Q5_LIT("wss")))
        return Q5_SCHEME_HTTPS;
    if (q5_slice_ieq(text, Q5_LIT("http")) || q5_slice_ieq(text, Q5_LIT("ws")))
        return Q5_SCHEME_HTTP;
    return Q5_SCHEME_UNSAID;
}

int q5__forwarded_host(q5_slice text, q5_client *client) {
    if (text.len && q5__host_fault(text, text.base + text.len, false)) return Q5_EFORWARDED;
    client->host = text;
    return Q5_OK;
}

int q5_forwarded_read(const q5_forwarded_policy *policy, const q5_head *head,
                      const q5_address *peer, q5_client *ret_client) {
    q5_client client = {.address = *peer};
    int status = policy->kind == Q5_FORWARDED_X ? q5__forwarded_read_x(policy, head, &client)
                                                : q5__forwarded_read_list(policy, head, &client);
    if (status == Q5_OK) *ret_client = client;
    return status;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* '_' is equal to '-' here. */
static bool names_equal(q5_slice name, q5_slice lower) {
    if (name.len != lower.len) return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = q5_lower(name.base[i]);
        if ((c == '_' ? '-' : c) != lower.base[i]) return false;
    }
    return true;
}

static bool begins_with(q5_slice name, q5_slice lower) {
    return name.len >= lower.len && names_equal(q5_slice_make(name.base, lower.len), lower);
}

static bool is_one_of(q5_slice name, const q5_slice *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (names_equal(name, names[i])) return true;
    return false;
}

static bool is_claim(const q5_forwarded_policy *policy, q5_slice name) {
    return begins_with(name, Q5_LIT("x-forwarded")) || names_equal(name, Q5_LIT("forwarded")) ||
           names_equal(name, Q5_LIT("x-real-ip")) ||
           is_one_of(name, policy->claims, policy->claim_count);
}

/* Of a trusted peer's fields, those that go all the same. */
static bool is_unvouched(const q5_forwarded_policy *policy, q5_slice name) {
    static const q5_slice read[] = {{"x-forwarded-proto", 17}, {"x-forwarded-host", 16}};
    if (memchr(name.base, '_', name.len)) return is_claim(policy, name);
    if (is_one_of(name, read, Q5_ARRAY_LEN(read))) return true;
    return policy->kind == Q5_FORWARDED_X ? names_equal(name, Q5_LIT("forwarded"))
                                          : names_equal(name, Q5_LIT("x-forwarded-for"));
}

bool q5_forwarded_strip(const q5_forwarded_policy *policy, q5_head *head, bool trusted) {
    uint16_t kept = 0;
    for (uint16_t i = 0; i < head->field_count; i++) {
        q5_field field = head->fields[i];
        if (trusted ? is_unvouched(policy, field.name) : is_claim(policy, field.name)) continue;
        if (kept != i && field.id != Q5_FIELD_OTHER && head->known[field.id] == (int16_t)i)
            head->known[field.id] = (int16_t)kept;
        head->fields[kept++] = field;
    }
    bool any = kept < head->field_count;
    head->field_count = kept;
    return any;
}
