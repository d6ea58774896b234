/* Forwarded (RFC 7239, 4): 1#( [ pair ] *( ";" [ pair ] ) ), pair = token "=" ( token / quoted ).
 */
#include "http/forwarded_internal.h"
#include "http/params.h"

typedef struct element {
    q5_slice node, proto, host;
    bool has_node, has_proto, has_host, has_by;
} element;

/* The last ones of all fields; those before are too far away to be reached. */
typedef struct elements {
    element ring[Q5_FORWARDED_HOPS_MAX];
    size_t count; /* of all */
} elements;

/* What is quoted here has no need of escapes: whoever sends them means to be misread. */
static int value_at(q5_slice text, size_t *pos, q5_slice *ret_value) {
    if (*pos < text.len && text.base[*pos] == '"') {
        size_t from = ++*pos;
        while (*pos < text.len && text.base[*pos] != '"')
            if (text.base[(*pos)++] == '\\') return Q5_EFORWARDED;
        if (*pos == text.len) return Q5_EFORWARDED;
        *ret_value = q5_slice_make(text.base + from, (*pos)++ - from);
        return Q5_OK;
    }
    *ret_value = q5__token(text, pos);
    return ret_value->len ? Q5_OK : Q5_EFORWARDED;
}

/* RFC 7239, 4: each parameter at most once per element. */
static int put(bool *has, q5_slice *slot, q5_slice value) {
    if (*has) return Q5_EFORWARDED;
    *has = true;
    *slot = value;
    return Q5_OK;
}

static int put_pair(element *into, q5_slice name, q5_slice value) {
    q5_slice unused;
    if (q5_slice_ieq(name, Q5_LIT("for"))) return put(&into->has_node, &into->node, value);
    if (q5_slice_ieq(name, Q5_LIT("proto"))) return put(&into->has_proto, &into->proto, value);
    if (q5_slice_ieq(name, Q5_LIT("host"))) return put(&into->has_host, &into->host, value);
    if (q5_slice_ieq(name, Q5_LIT("by"))) return put(&into->has_by, &unused, value);
    return Q5_OK;
}

/* One element, up to its comma or the end. */
static int read_element(q5_slice text, size_t *pos, element *into) {
    for (;;) {
        q5__skip_ows(text, pos);
        q5_slice name = q5__token(text, pos), value;
        if (name.len) {
            if (*pos == text.len || text.base[(*pos)++] != '=') return Q5_EFORWARDED;
            int status = value_at(text, pos, &value);
            if (!status) status = put_pair(into, name, value);
            if (status) return status;
            q5__skip_ows(text, pos);
        }
        if (*pos == text.len || text.base[*pos] == ',') return Q5_OK;
        if (text.base[(*pos)++] != ';') return Q5_EFORWARDED;
    }
}

static int read_field(q5_slice text, elements *all) {
    for (size_t pos = 0;; pos++) {
        element *into = &all->ring[all->count++ % Q5_FORWARDED_HOPS_MAX];
        *into = (element){.has_node = false};
        int status = read_element(text, &pos, into);
        if (status || pos == text.len) return status;
    }
}

static int read_all(const q5_head *head, elements *all) {
    for (uint16_t i = 0; i < head->field_count; i++) {
        const q5_field *field = &head->fields[i];
        if (!q5_slice_ieq(field->name, Q5_LIT("forwarded")) || field->value.len == 0) continue;
        int status = read_field(field->value, all);
        if (status) return status;
    }
    return Q5_OK;
}

int q5__forwarded_read_list(const q5_forwarded_policy *policy, const q5_head *head,
                            q5_client *client) {
    elements all = {.count = 0};
    int status = read_all(head, &all);
    if (status) return status;
    const element *reached = NULL;
    for (size_t hop = 1; hop <= all.count; hop++) {
        if (hop > Q5_FORWARDED_HOPS_MAX) return Q5_EFORWARDED;
        reached = &all.ring[(all.count - hop) % Q5_FORWARDED_HOPS_MAX];
        /* A proxy that does not say for whom hides it. */
        status = q5__forwarded_node(reached->has_node ? reached->node : Q5_LIT("unknown"), client);
        if (status) return status;
        if (!client->address.len || !q5_forwarded_trusts(policy, &client->address)) break;
    }
    if (!reached) return Q5_OK;
    client->scheme = (uint8_t)q5__forwarded_scheme(reached->proto);
    return q5__forwarded_host(reached->host, client);
}
