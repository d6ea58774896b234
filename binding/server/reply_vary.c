/* The Vary field of a reply. Guards add to it one after the other: what they add most is kept as
 * one constant line. (Several lines would do by RFC 9110, 5.3, yet not for every cache.) */
#include "reply.h"

#include "convert.h"

enum { ACCEPT_ENCODING = 1, ORIGIN = 2, COOKIE = 4, ALL = 8 };

static const q5_slice names[] = {{"Accept-Encoding", 15}, {"Origin", 6}, {"Cookie", 6}};

/* By what is in them. */
#define LINE(text) \
    { text "\r\n", sizeof(text) + 1 }
static const q5_slice lines[ALL] = {
    [ACCEPT_ENCODING] = LINE("Vary: Accept-Encoding"),
    [ORIGIN] = LINE("Vary: Origin"),
    [ACCEPT_ENCODING | ORIGIN] = LINE("Vary: Accept-Encoding, Origin"),
    [COOKIE] = LINE("Vary: Cookie"),
    [ACCEPT_ENCODING | COOKIE] = LINE("Vary: Accept-Encoding, Cookie"),
    [ORIGIN | COOKIE] = LINE("Vary: Origin, Cookie"),
    [ACCEPT_ENCODING | ORIGIN | COOKIE] = LINE("Vary: Accept-Encoding, Origin, Cookie"),
};

/* 0: none of them. */
static unsigned bit_of(q5_slice name) {
    for (unsigned i = 0; i < Q5_ARRAY_LEN(names); i++)
        if (q5_slice_ieq(name, names[i])) return 1u << i;
    return 0;
}

/* What the line says, if it is one of ours; else 0. */
static unsigned bits_of_line(q5_slice line) {
    for (unsigned bits = 1; bits < ALL; bits++)
        if (line.base == lines[bits].base) return bits;
    return 0;
}

/* The reply's line of ours, or NULL. */
static q5_slice *find_line(q5py_reply *reply, unsigned *ret_bits) {
    for (uint8_t i = 0; i < reply->more_count; i++)
        if ((*ret_bits = bits_of_line(reply->more_lines[i]))) return &reply->more_lines[i];
    return NULL;
}

/* One of the members of a comma-separated list is `name`, or "*" (RFC 9110, 12.5.5). */
static bool list_has(q5_slice list, q5_slice name) {
    const char *at = list.base, *end = list.base + list.len;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma ? comma : end;
        const char *last = stop;
        while (at < last && *at == ' ')
            at++;
        while (last > at && last[-1] == ' ')
            last--;
        q5_slice member = q5_slice_make(at, (size_t)(last - at));
        if (q5_slice_ieq(member, name) || (member.len == 1 && *at == '*')) return true;
        at = stop + 1;
    }
    return false;
}

static int add_pair(q5py_reply *reply, PyObject *value) {
    PyObject *name = value ? PyUnicode_FromString("Vary") : NULL;
    int rc = name ? q5py_reply_add_field(reply, name, value) : -1;
    Py_XDECREF(name);
    return rc;
}

/* Behind the value that is there. */
static int join(q5py_reply *reply, q5_slice value, q5_slice name) {
    PyObject *old = q5py_latin1(value);
    PyObject *more = q5py_latin1(name);
    PyObject *joined = old && more ? PyUnicode_FromFormat("%U, %U", old, more) : NULL;
    int rc = joined ? q5py_reply_remove(reply, Q5_LIT("vary")) : -1;
    if (rc == 0) rc = add_pair(reply, joined);
    Py_XDECREF(old);
    Py_XDECREF(more);
    Py_XDECREF(joined);
    return rc;
}

int q5py_reply_vary(q5py_reply *reply, q5_slice name) {
    unsigned bit = bit_of(name), bits;
    q5_slice value, *line = bit ? find_line(reply, &bits) : NULL;
    if (line) {
        *line = lines[bits | bit];
        return 0;
    }
    if (q5py_reply_find(reply, Q5_LIT("vary"), &value))
        return list_has(value, name) ? 0 : join(reply, value, name);
    if (bit) return q5py_reply_add_lines(reply, lines[bit]);
    PyObject *text = q5py_latin1(name);
    int rc = add_pair(reply, text);
    Py_XDECREF(text);
    return rc;
}
