/* X-Forwarded-For, -Proto and -Host: lists of several fields, each proxy's entry behind those
 * before it. */
#include "http/forwarded_internal.h"
#include "http/params.h"

/* The entries of all fields of a name, from the last one on. */
typedef struct backwards {
    const q5_head *head;
    q5_slice name;
    uint16_t field; /* the next one to look at is before it */
    q5_slice left;  /* of the present field */
    bool open;      /* there is an entry in `left`, if only an empty one */
} backwards;

static backwards backwards_make(const q5_head *head, q5_slice name) {
    return (backwards){.head = head, .name = name, .field = head->field_count};
}

static bool find_field(backwards *it) {
    while (!it->open && it->field) {
        const q5_field *field = &it->head->fields[--it->field];
        if (!q5_slice_ieq(field->name, it->name)) continue;
        it->left = field->value;
        it->open = true;
    }
    return it->open;
}

static q5_slice trimmed(q5_slice text) {
    size_t pos = 0;
    q5__skip_ows(text, &pos);
    while (text.len > pos && (text.base[text.len - 1] == ' ' || text.base[text.len - 1] == '\t'))
        text.len--;
    return q5_slice_make(text.base + pos, text.len - pos);
}

static bool backwards_next(backwards *it, q5_slice *ret_entry) {
    if (!find_field(it)) return false;
    size_t from = it->left.len;
    while (from && it->left.base[from - 1] != ',')
        from--;
    *ret_entry = trimmed(q5_slice_make(it->left.base + from, it->left.len - from));
    it->open = from > 0;
    if (from) it->left.len = from - 1;
    return true;
}

/* The entry that the proxy has written that is `hop` proxies away (1: the peer). Where all of them
 * share one entry it is that; where some have none nobody knows whose is whose: empty. */
static q5_slice entry_at(const q5_head *head, q5_slice name, size_t hop) {
    backwards it = backwards_make(head, name);
    q5_slice entry, found = {NULL, 0};
    size_t count = 0;
    while (count < hop && backwards_next(&it, &entry)) {
        found = entry;
        count++;
    }
    if (count == hop || count == 1) return found;
    return q5_slice_make(NULL, 0);
}

/* An empty field is as good as none. */
static bool says_nothing(const q5_head *head, q5_slice name) {
    backwards it = backwards_make(head, name);
    q5_slice entry;
    return !backwards_next(&it, &entry) || (entry.len == 0 && !backwards_next(&it, &entry));
}

int q5__forwarded_read_x(const q5_forwarded_policy *policy, const q5_head *head,
                         q5_client *client) {
    const q5_slice name = Q5_LIT("x-forwarded-for");
    backwards it = backwards_make(head, name);
    q5_slice entry;
    size_t hops = 0;
    if (!says_nothing(head, name)) {
        do {
            if (!backwards_next(&it, &entry)) break;
            if (hops++ == Q5_FORWARDED_HOPS_MAX) return Q5_EFORWARDED;
            int status = q5__forwarded_node(entry, client);
            if (status) return status;
        } while (client->address.len && q5_forwarded_trusts(policy, &client->address));
    }
    size_t hop = hops ? hops : 1;
    client->scheme =
        (uint8_t)q5__forwarded_scheme(entry_at(head, Q5_LIT("x-forwarded-proto"), hop));
    return q5__forwarded_host(entry_at(head, Q5_LIT("x-forwarded-host"), hop), client);
}
