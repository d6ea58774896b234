#include "q5/head.h"

static const char *const names[Q5_METHOD_COUNT] = {
    [Q5_METHOD_OTHER] = "",          [Q5_METHOD_GET] = "GET",         [Q5_METHOD_HEAD] = "HEAD",
    [Q5_METHOD_POST] = "POST",       [Q5_METHOD_PUT] = "PUT",         [Q5_METHOD_PATCH] = "PATCH",
    [Q5_METHOD_DELETE] = "DELETE",   [Q5_METHOD_OPTIONS] = "OPTIONS", [Q5_METHOD_TRACE] = "TRACE",
    [Q5_METHOD_CONNECT] = "CONNECT", [Q5_METHOD_QUERY] = "QUERY",
};

const char *q5_method_name(q5_method method) {
    return (unsigned)method < Q5_METHOD_COUNT ? names[method] : "";
}

/* The one method that a name of this length and first byte can be. */
static q5_method candidate(q5_slice name) {
    switch (name.len) {
    case 3:
        return name.base[0] == 'G' ? Q5_METHOD_GET : Q5_METHOD_PUT;
    case 4:
        return name.base[0] == 'P' ? Q5_METHOD_POST : Q5_METHOD_HEAD;
    case 5:
        if (name.base[0] == 'P') return Q5_METHOD_PATCH;
        return name.base[0] == 'Q' ? Q5_METHOD_QUERY : Q5_METHOD_TRACE;
    case 6:
        return Q5_METHOD_DELETE;
    case 7:
        return name.base[0] == 'O' ? Q5_METHOD_OPTIONS : Q5_METHOD_CONNECT;
    default:
        return Q5_METHOD_OTHER;
    }
}

q5_method q5_method_find(q5_slice name) {
    q5_method method = candidate(name);
    if (method == Q5_METHOD_OTHER) return method;
    for (size_t i = 0; i < name.len; i++)
        if (name.base[i] != names[method][i]) return Q5_METHOD_OTHER;
    return method;
}
