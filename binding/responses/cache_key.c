/* The key of a reply: all that the handler can see of the request, and nothing else. A typed
 * handler sees what it declares, so what it does not declare (a field, a query parameter that only
 * serves to miss the cache) neither makes a difference nor can poison what others get. */
#include "cache.h"

#include <stdlib.h>

#include "api/plan_data.h"
#include "q5/cookie.h"
#include "q5/percent.h"
#include "q5/urlencoded.h"

#define PAIRS_MAX 256 /* of a query string; one with more is not kept */

/* ---- what the plan declares ------------------------------------------------------------------ */

static int add_name(PyObject *names, const char *base, Py_ssize_t len) {
    PyObject *name = PyBytes_FromStringAndSize(base, len);
    int rc = name ? PySequence_Contains(names, name) : -1;
    if (rc == 0) rc = PyList_Append(names, name);
    Py_XDECREF(name);
    return rc < 0 ? -1 : 0;
}

static int add_group(PyObject *names, PyObject *fields) {
    PyObject *key, *value;
    Py_ssize_t at = 0, len;
    while (PyDict_Next(fields, &at, &key, &value)) {
        const char *base = PyUnicode_AsUTF8AndSize(key, &len);
        if (!base || add_name(names, base, len)) return -1;
    }
    return 0;
}

static PyObject *names_of(const q5py_plan_data *data, q5py_source source, bool *ret_open) {
    PyObject *names = PyList_New(0);
    for (uint16_t i = data->first[source]; names && i < data->first[source + 1]; i++) {
        const q5py_param *param = &data->params[i];
        if (param->flags & Q5PY_GROUP_OPEN) *ret_open = true;
        int rc = param->arity == Q5PY_GROUP
                     ? add_group(names, param->fields)
                     : add_name(names, param->key.base, (Py_ssize_t)param->key.len);
        if (rc) Py_CLEAR(names);
    }
    return names;
}

int q5py_cache_inputs_read(q5py_cache_inputs *inputs, const q5py_plan_data *data, PyObject *vary) {
    bool unused = false;
    inputs->takes_request = data->first[Q5PY_IN_REQUEST] != data->first[Q5PY_IN_REQUEST + 1];
    inputs->whole_query = inputs->takes_request;
    inputs->queries = names_of(data, Q5PY_IN_QUERY, &inputs->whole_query);
    inputs->headers = inputs->queries ? names_of(data, Q5PY_IN_HEADER, &unused) : NULL;
    inputs->cookies = inputs->headers ? names_of(data, Q5PY_IN_COOKIE, &unused) : NULL;
    if (!inputs->cookies) return -1;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(vary); i++) {
        PyObject *name = PyTuple_GET_ITEM(vary, i);
        if (add_name(inputs->headers, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))) return -1;
    }
    inputs->is_read = true;
    return 0;
}

void q5py_cache_inputs_clear(q5py_cache_inputs *inputs) {
    Py_CLEAR(inputs->queries);
    Py_CLEAR(inputs->headers);
    Py_CLEAR(inputs->cookies);
}

/* ---- hashing: each piece with its length, each list with its count --------------------------- */

static void feed_number(q5_siphash *hash, uint64_t number) {
    q5_siphash_feed(hash, q5_slice_make((const char *)&number, sizeof(number)));
}

static q5_slice name_at(PyObject *names, Py_ssize_t i) {
    PyObject *name = PyList_GET_ITEM(names, i);
    return q5_slice_make(PyBytes_AS_STRING(name), (size_t)PyBytes_GET_SIZE(name));
}

static void feed_headers(q5_siphash *hash, PyObject *names, const q5_head *head) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(names); i++) {
        uint64_t count = 0;
        for (uint16_t k = 0; k < head->field_count; k++) {
            if (!q5_slice_ieq(head->fields[k].name, name_at(names, i))) continue;
            q5_siphash_feed_counted(hash, head->fields[k].value);
            count++;
        }
        feed_number(hash, count);
    }
}

static int feed_cookies(q5_siphash *hash, PyObject *names, const q5_head *head) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(names); i++) {
        uint64_t count = 0;
        for (uint16_t k = 0; k < head->field_count; k++) {
            q5_cookies it;
            q5_slice name, value;
            if (head->fields[k].id != Q5_FIELD_COOKIE) continue;
            q5_cookies_init(&it, head->fields[k].value, 0);
            int status;
            while ((status = q5_cookies_next(&it, &name, &value)) == Q5_OK) {
                if (!q5_slice_eq(name, name_at(names, i))) continue;
                q5_siphash_feed_counted(hash, value);
                count++;
            }
            if (status != Q5_DONE) return 0;
        }
        feed_number(hash, count);
    }
    return 1;
}

typedef struct pair {
    q5_slice name, value;
    size_t at; /* the order of those that have one name matters */
} pair;

static int compare_pairs(const void *left, const void *right) {
    const pair *a = left, *b = right;
    size_t len = a->name.len < b->name.len ? a->name.len : b->name.len;
    int order = len ? memcmp(a->name.base, b->name.base, len) : 0;
    if (order == 0 && a->name.len != b->name.len) order = a->name.len < b->name.len ? -1 : 1;
    if (order == 0) order = a->at < b->at ? -1 : 1;
    return order;
}

/* 1: *ret_count pairs; 0: too many, or none that can be read. */
static int read_query(q5py_pass *pass, pair pairs[PAIRS_MAX], size_t *ret_count) {
    q5_urlencoded it;
    q5_urlencoded_init(&it, pass->x->head.query, 0);
    size_t count = 0;
    int status;
    while (count < PAIRS_MAX &&
           (status = q5_urlencoded_next_decoded(&it, &pass->x->arena, &pairs[count].name,
                                                &pairs[count].value)) == Q5_OK) {
        pairs[count].at = count;
        count++;
    }
    *ret_count = count;
    return count < PAIRS_MAX && status == Q5_DONE;
}

static int feed_query(q5_siphash *hash, const q5py_cache_inputs *inputs, q5py_pass *pass) {
    pair pairs[PAIRS_MAX];
    size_t count = 0;
    if (!pass->x->head.query.len) {
        feed_number(hash, 0);
        return 1;
    }
    if (!read_query(pass, pairs, &count)) return 0;
    if (inputs->whole_query) {
        qsort(pairs, count, sizeof(*pairs), compare_pairs);
        for (size_t k = 0; k < count; k++) {
            q5_siphash_feed_counted(hash, pairs[k].name);
            q5_siphash_feed_counted(hash, pairs[k].value);
        }
        feed_number(hash, count);
        return 1;
    }
    uint64_t total = 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(inputs->queries); i++)
        for (size_t k = 0; k < count; k++) {
            if (!q5_slice_eq(pairs[k].name, name_at(inputs->queries, i))) continue;
            feed_number(hash, (uint64_t)i + 1);
            q5_siphash_feed_counted(hash, pairs[k].value);
            total++;
        }
    feed_number(hash, total);
    return 1;
}

static int feed_path(q5_siphash *hash, q5py_pass *pass) {
    const q5_route_match *match = &pass->x->match;
    for (uint8_t i = 0; i < match->param_count; i++) {
        q5_slice text;
        if (q5_percent_decode_arena(match->params[i].value, Q5_PERCENT_STRICT, &pass->x->arena,
                                    &text))
            return 0;
        q5_siphash_feed_counted(hash, text);
    }
    feed_number(hash, match->param_count);
    return 1;
}

/* A site per host: the database may be chosen by it. 1, 0 or -1. */
static int feed_host(q5_siphash *hash, q5py_pass *pass) {
    if (!pass->x->is_detached) {
        char lower[256];
        q5_slice host = pass->x->head.host;
        if (host.len > sizeof(lower)) return 0;
        for (size_t i = 0; i < host.len; i++)
            lower[i] = q5_lower(host.base[i]);
        q5_siphash_feed_counted(hash, q5_slice_make(lower, host.len));
        return 1;
    }
    PyObject *host = q5py_pass_host(pass);
    q5_slice text;
    int rc = host && q5py_field_slice(host, &text) == 0 ? 1 : -1;
    if (rc > 0) q5_siphash_feed_counted(hash, text);
    Py_XDECREF(host);
    return rc;
}

/* Of absolute addresses that the handler may make. 1 or -1. */
static int feed_scheme(q5_siphash *hash, q5py_pass *pass) {
    PyObject *request = q5py_pass_request(pass);
    PyObject *scheme = request ? PyObject_GetAttrString(request, "scheme") : NULL;
    q5_slice text;
    int rc = scheme && q5py_field_slice(scheme, &text) == 0 ? 1 : -1;
    if (rc > 0) q5_siphash_feed_counted(hash, text);
    Py_XDECREF(scheme);
    return rc;
}

/* ---- content --------------------------------------------------------------------------------- */

static bool is_some(q5_slice length) {
    for (size_t i = 0; i < length.len; i++)
        if (length.base[i] != '0') return true;
    return false;
}

/* Another host keeps its framing to itself, and tells of it in META. 1, 0 or -1. */
static int meta_has_content(PyObject *meta) {
    if (PyMapping_HasKeyString(meta, "HTTP_TRANSFER_ENCODING")) return 1;
    PyObject *length = PyMapping_GetItemString(meta, "CONTENT_LENGTH");
    if (!length) {
        if (!PyErr_ExceptionMatches(PyExc_KeyError)) return -1;
        PyErr_Clear();
        return 0;
    }
    q5_slice text;
    int rc = q5py_field_slice(length, &text) ? -1 : is_some(text);
    Py_DECREF(length);
    return rc;
}

/* Whoever can read the content may answer by it, and nothing of it is in the key (RFC 9110, 9.3.1).
 * 1, 0 or -1. */
static int reads_content(const q5py_cache_inputs *inputs, q5py_pass *pass) {
    if (!inputs->takes_request && !pass->plan->accepts_body) return 0;
    if (!pass->x->is_detached) {
        const q5_head *head = &pass->x->head;
        return head->chunked || head->content_length > 0;
    }
    PyObject *request = q5py_pass_request(pass);
    PyObject *meta = request ? PyObject_GetAttr(request, pass->state->str_META) : NULL;
    int rc = meta ? meta_has_content(meta) : -1;
    Py_XDECREF(meta);
    return rc;
}

/* ---- the key --------------------------------------------------------------------------------- */

static int feed_text(q5_siphash *hash, PyObject *text) {
    Py_ssize_t len = 0;
    const char *base = text ? PyUnicode_AsUTF8AndSize(text, &len) : "";
    if (!base) return -1;
    q5_siphash_feed_counted(hash, q5_slice_make(base, (size_t)len));
    return 1;
}

int q5py_cache_key(const q5py_cache_inputs *inputs, q5py_pass *pass, const q5py_cache_scope *scope,
                   PyObject *secret, uint8_t ret_key[Q5_CACHE_KEY_LEN]) {
    q5_siphash hash;
    int rc = reads_content(inputs, pass);
    if (rc) return rc < 0 ? -1 : 0;
    q5_siphash_init(&hash, (const uint8_t *)PyBytes_AS_STRING(secret));
    rc = feed_text(&hash, scope->route);
    if (rc > 0) rc = feed_text(&hash, scope->context);
    if (rc > 0) rc = feed_text(&hash, scope->who);
    if (rc > 0) rc = feed_host(&hash, pass);
    if (rc > 0 && inputs->takes_request) {
        /* Such a handler may answer HEAD in a way of its own. */
        feed_number(&hash, (uint64_t)pass->x->head.method_id);
        rc = feed_scheme(&hash, pass);
    }
    if (rc > 0) rc = feed_path(&hash, pass);
    if (rc > 0) rc = feed_query(&hash, inputs, pass);
    if (rc > 0) rc = feed_cookies(&hash, inputs->cookies, &pass->x->head);
    if (rc <= 0) return rc;
    feed_headers(&hash, inputs->headers, &pass->x->head);
    q5_siphash_end(&hash, ret_key);
    return 1;
}
