/* What _quintette.CacheGuard does with a reply: one that may be kept is, and whoever waits is told.
 */
#include "cache_guard.h"

#include "api/plan_data.h"
#include "loop/now.h"

static int add_names_to_vary(q5py_reply *reply, PyObject *names) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(names); i++) {
        PyObject *name = PyList_GET_ITEM(names, i);
        q5_slice text = q5_slice_make(PyBytes_AS_STRING(name), (size_t)PyBytes_GET_SIZE(name));
        if (q5py_reply_vary(reply, text)) return -1;
    }
    return 0;
}

/* What caches between us and the client are to know. */
static int add_fields(const q5py_cache_guard *self, const q5py_turn *turn, q5py_reply *reply) {
    q5_slice value;
    if (PyBytes_GET_SIZE(self->control) && !q5py_reply_find(reply, Q5_LIT("cache-control"), &value))
        if (q5py_reply_add_lines(reply, q5py_bytes_slice(self->control))) return -1;
    if (PyBytes_GET_SIZE(self->lines) && q5py_reply_add_lines(reply, q5py_bytes_slice(self->lines)))
        return -1;
    if (add_names_to_vary(reply, self->inputs.headers)) return -1;
    if (PyList_GET_SIZE(self->inputs.cookies) && q5py_reply_vary(reply, Q5_LIT("cookie")))
        return -1;
    if (!self->tag_field || !PyTuple_GET_SIZE(turn->tags)) return 0;
    PyObject *text = PyUnicode_Join(self->separator, turn->tags);
    int rc = text ? q5py_reply_add_field(reply, self->tag_field, text) : -1;
    Py_XDECREF(text);
    return rc;
}

static int keep_here(q5py_cache_guard *self, const q5py_turn *turn, q5py_cached *entry) {
    entry->stored_s = q5py_now_seconds();
    entry->fresh_s = entry->stored_s + self->seconds;
    entry->stale_s = entry->fresh_s + self->stale_seconds;
    entry->begun = turn->begun;
    entry->tag_count = (uint8_t)PyTuple_GET_SIZE(turn->tags);
    for (uint8_t i = 0; i < entry->tag_count; i++)
        if (q5py_store_tag(self->store, PyTuple_GET_ITEM(turn->tags, i), &entry->tags[i]))
            return -1;
    memcpy(entry->node.key, turn->node.key, Q5_CACHE_KEY_LEN);
    if (q5_cache_put(&self->store->entries, &entry->node) == Q5_OK) Py_INCREF(entry);
    return Q5PY_GUARD_GO;
}

static int keep_elsewhere(q5py_cache_guard *self, const q5py_pass *pass, const q5py_turn *turn,
                          const q5py_cached *entry, PyObject **ret_awaitable) {
    PyObject *parts = q5py_cached_parts(entry);
    if (!parts) return -1;
    PyObject *made = PyObject_CallFunction(
        pass->may_block ? self->save : self->asave, "y#OO", (const char *)turn->node.key,
        (Py_ssize_t)Q5_CACHE_KEY_LEN, turn->version ? turn->version : Py_None, parts);
    Py_DECREF(parts);
    if (!made) return -1;
    if (pass->may_block) {
        Py_DECREF(made);
        return Q5PY_GUARD_GO;
    }
    *ret_awaitable = made;
    return Q5PY_GUARD_WAIT;
}

static int keep(q5py_cache_guard *self, q5py_pass *pass, q5py_turn *turn, q5py_reply *reply,
                PyObject **ret_awaitable) {
    if (add_fields(self, turn, reply)) return -1;
    q5py_cached *entry = q5py_cached_new(pass->state, reply);
    if (!entry) return PyErr_Occurred() ? -1 : Q5PY_GUARD_GO;
    int rc = self->load ? keep_elsewhere(self, pass, turn, entry, ret_awaitable)
                        : keep_here(self, turn, entry);
    Py_DECREF(entry);
    return rc;
}

/* What is under this address for everybody may be kept on the way: not so this. */
static int keep_private(q5py_reply *reply) {
    q5_slice value;
    if (q5py_reply_find(reply, Q5_LIT("cache-control"), &value)) return Q5PY_GUARD_GO;
    return q5py_reply_add_lines(reply, Q5_LIT("Cache-Control: private, no-cache\r\n"));
}

static bool varies_with_cookies(const q5py_cache_inputs *inputs) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(inputs->headers); i++)
        if (q5_slice_ieq(q5py_bytes_slice(PyList_GET_ITEM(inputs->headers, i)), Q5_LIT("cookie")))
            return true;
    return false;
}

/* What the request has under `name`, and that its attribute `sign` is true. What cannot be told
 * counts as true. */
static bool is_marked(PyObject *dict, PyObject *name, PyObject *sign) {
    PyObject *owner = PyDict_GetItemWithError(dict, name);
    if (!owner) return PyErr_Occurred() != NULL;
    PyObject *value = PyObject_GetAttr(owner, sign);
    bool is = !value || PyObject_IsTrue(value) != 0;
    Py_XDECREF(value);
    return is;
}

/* The reply holds a token against CSRF, out of which that of the browser's cookie can be read. */
static bool gives_csrf_token(const q5py_state *state, PyObject *dict) {
    PyObject *meta = PyDict_GetItemWithError(dict, state->str_META);
    return meta && PyMapping_Check(meta) &&
           PyMapping_HasKey(meta, state->str_CSRF_COOKIE_NEEDS_UPDATE);
}

/* The handler has looked at what belongs to one browser, whatever it has declared: the session, its
 * messages, its token against CSRF. Of these a user has the session alone in all his browsers. */
static bool is_of_browser(const q5py_cache_guard *self, const q5py_pass *pass) {
    if (!pass->request || varies_with_cookies(&self->inputs)) return false;
    const q5py_state *state = pass->state;
    PyObject *dict = PyObject_GenericGetDict(pass->request, NULL);
    bool is = !dict || gives_csrf_token(state, dict) ||
              is_marked(dict, state->str__messages, state->str_used) ||
              (!self->by_user && is_marked(dict, state->str_session, state->str_accessed));
    PyErr_Clear();
    Py_XDECREF(dict);
    return is;
}

int q5py_cache_after(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                     PyObject **ret_awaitable) {
    q5py_cache_guard *self = (q5py_cache_guard *)guard;
    q5py_turn *turn = q5py_cache_turn_of(guard, pass);
    if (!turn) return q5py_cache_is_somebodys(pass) ? keep_private(reply) : Q5PY_GUARD_GO;
    if (is_of_browser(self, pass)) {
        q5py_turn_end(turn, false);
        return keep_private(reply);
    }
    int rc = q5py_may_be_kept(&self->inputs, self->by_user, reply)
                 ? keep(self, pass, turn, reply, ret_awaitable)
                 : Q5PY_GUARD_GO;
    /* What is being saved elsewhere is told of when the pass ends. */
    if (rc != Q5PY_GUARD_WAIT) q5py_turn_end(turn, false);
    return rc;
}
