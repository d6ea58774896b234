/* Which replies may be kept. */
#include "cache.h"

static q5_slice trimmed(const char *base, const char *end) {
    while (base < end && (*base == ' ' || *base == '\t'))
        base++;
    while (end > base && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return q5_slice_make(base, (size_t)(end - base));
}

/* The next member of a list; false at its end. */
static bool next_member(q5_slice list, size_t *at, q5_slice *ret) {
    if (*at >= list.len) return false;
    const char *base = list.base + *at, *end = list.base + list.len;
    const char *comma = memchr(base, ',', (size_t)(end - base));
    const char *stop = comma ? comma : end;
    *ret = trimmed(base, stop);
    *at += (size_t)(stop - base) + 1;
    return true;
}

/* RFC 9111, 5.2.2: what the handler says itself. */
static bool forbids(const q5py_reply *reply, bool by_user) {
    static const q5_slice words[] = {{"no-store", 8}, {"no-cache", 8}, {"private", 7}};
    q5_slice list, member;
    size_t at = 0;
    if (!q5py_reply_find(reply, Q5_LIT("cache-control"), &list)) return false;
    while (next_member(list, &at, &member)) {
        const char *equals = memchr(member.base, '=', member.len);
        q5_slice name = trimmed(member.base, equals ? equals : member.base + member.len);
        for (size_t i = 0; i < Q5_ARRAY_LEN(words); i++)
            if (q5_slice_ieq(name, words[i]) && !(i == 2 && by_user)) return true;
    }
    return false;
}

/* A reply that depends on a field that is not in the key (RFC 9111, 4.1). */
static bool varies(const q5py_cache_inputs *inputs, const q5py_reply *reply) {
    q5_slice list, member;
    size_t at = 0;
    if (!q5py_reply_find(reply, Q5_LIT("vary"), &list)) return false;
    while (next_member(list, &at, &member)) {
        bool is_known = member.len == 0;
        for (Py_ssize_t i = 0; !is_known && i < PyList_GET_SIZE(inputs->headers); i++) {
            PyObject *name = PyList_GET_ITEM(inputs->headers, i);
            is_known = q5_slice_ieq(
                member, q5_slice_make(PyBytes_AS_STRING(name), (size_t)PyBytes_GET_SIZE(name)));
        }
        if (!is_known) return true;
    }
    return false;
}

bool q5py_may_be_kept(const q5py_cache_inputs *inputs, bool by_user, const q5py_reply *reply) {
    q5_slice value;
    int status = reply->status;
    if (status != 200 && status != 301 && status != 308 && status != 404 && status != 410)
        return false;
    if (reply->stream || reply->file) return false;
    if (reply->body && !PyBytes_Check(reply->body)) return false;
    return !q5py_reply_find(reply, Q5_LIT("set-cookie"), &value) && !forbids(reply, by_user) &&
           !varies(inputs, reply);
}
