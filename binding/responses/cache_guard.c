/* _quintette.CacheGuard: replies that are given again.
 *
 *   before: key -> the store of this process, or load() of another one -> a reply, or this request
 *           computes it, or waits for the one that does
 *
 * What comes after the handler is in cache_keep.c. */
#include "cache_guard.h"

#include "api/plan_data.h"
#include "auth/auth.h"
#include "guards/guard_values.h"
#include "loop/now.h"

#define WAITS_MAX 3 /* other requests that one waits for, one after the other */

/* ---- a reply that is there ------------------------------------------------------------------- */

static int give(q5py_guard *guard, q5py_pass *pass, q5py_cached *entry, double age_s,
                q5py_reply *reply) {
    /* The note keeps alive what the reply points to. */
    Py_XSETREF(pass->notes[guard->index], Py_NewRef((PyObject *)entry));
    return q5py_cached_give_aged(entry, (uint64_t)(age_s > 0 ? age_s : 0), reply)
               ? -1
               : Q5PY_GUARD_ANSWER;
}

/* ---- one that is not ------------------------------------------------------------------------- */

/* This request computes, in the place of the others where it is listed. */
static int compute(q5py_cache_guard *self, q5py_turn *turn) {
    self->store->misses++;
    turn->phase = Q5PY_TURN_COMPUTING;
    return Q5PY_GUARD_GO;
}

static int wait_for_other(q5py_cache_guard *self, q5py_turn *turn, q5py_turn *other,
                          PyObject **ret_awaitable) {
    if (!other->waiting && !(other->waiting = PyList_New(0))) return -1;
    *ret_awaitable = PyObject_CallOneArg(self->wait, other->waiting);
    if (!*ret_awaitable) return -1;
    turn->phase = Q5PY_TURN_WAITING;
    turn->wait_count++;
    return Q5PY_GUARD_WAIT;
}

/* WAIT for another one, unless that went wrong too often; else GO, and others wait for this one. */
static int lead_or_wait(q5py_cache_guard *self, q5py_turn *turn, PyObject **ret_awaitable) {
    q5py_turn *other = q5py_turn_of(self->store, turn->node.key);
    if (other && turn->wait_count < WAITS_MAX)
        return wait_for_other(self, turn, other, ret_awaitable);
    if (!other) q5py_turn_list(turn);
    return Q5PY_GUARD_GO;
}

/* In the store of this process. GO without a turn to wait for: *ret_entry is NULL. */
static q5py_cached *find(q5py_cache_guard *self, const uint8_t key[Q5_CACHE_KEY_LEN],
                         double now_s) {
    q5py_cached *entry = q5py_store_find(self->store, key, now_s);
    if (!entry || now_s <= entry->fresh_s) return entry;
    /* Past its freshness: it is good enough while one request makes the next one. */
    if (!q5py_turn_of(self->store, key)) return NULL;
    self->store->stale++;
    return entry;
}

/* Tags are asked for before anything of what they stand for is read. */
static int ask_tags(q5py_cache_guard *self, q5py_pass *pass, q5py_turn *turn) {
    if (PyTuple_Check(self->tags)) {
        turn->tags = Py_NewRef(self->tags);
        return 0;
    }
    turn->tags = q5py_pass_ask(pass, self->tags);
    if (!turn->tags) return -1;
    if (PyTuple_Check(turn->tags) && PyTuple_GET_SIZE(turn->tags) <= Q5PY_CACHE_TAGS_MAX) return 0;
    PyErr_SetString(PyExc_TypeError, "tags are a tuple, and not too many");
    return -1;
}

static int load(q5py_cache_guard *self, q5py_turn *turn, q5py_turn_phase phase,
                PyObject **ret_awaitable) {
    turn->phase = phase;
    *ret_awaitable = PyObject_CallFunction(self->load, "y#O", (const char *)turn->node.key,
                                           (Py_ssize_t)Q5_CACHE_KEY_LEN, turn->tags);
    return *ret_awaitable ? Q5PY_GUARD_WAIT : -1;
}

/* ---- before ---------------------------------------------------------------------------------- */

static int look_up(q5py_guard *guard, q5py_pass *pass, PyObject *who, q5py_reply *reply,
                   PyObject **ret_awaitable) {
    q5py_cache_guard *self = (q5py_cache_guard *)guard;
    uint8_t key[Q5_CACHE_KEY_LEN];
    if (!self->inputs.is_read &&
        q5py_cache_inputs_read(&self->inputs, pass->plan->data, self->vary))
        return -1;
    PyObject *context = self->context ? PyObject_CallNoArgs(self->context) : NULL;
    if (self->context && !context) return -1;
    const q5py_cache_scope scope = {self->scope, context, who};
    int rc = q5py_cache_key(&self->inputs, pass, &scope, self->secret, key);
    Py_XDECREF(context);
    if (rc <= 0) return rc < 0 ? -1 : Q5PY_GUARD_GO;
    double now_s = q5py_now_seconds();
    q5py_cached *entry = self->load ? NULL : find(self, key, now_s);
    if (entry) {
        self->store->hits++;
        return give(guard, pass, entry, now_s - entry->stored_s, reply);
    }
    q5py_turn *turn = q5py_turn_new(pass->state, self->store, key);
    if (!turn) return -1;
    Py_XSETREF(pass->notes[guard->index], (PyObject *)turn);
    if (ask_tags(self, pass, turn)) return -1;
    if (self->load) return load(self, turn, Q5PY_TURN_LOADING, ret_awaitable);
    rc = lead_or_wait(self, turn, ret_awaitable);
    return rc == Q5PY_GUARD_GO ? compute(self, turn) : rc;
}

static int by_user(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                   PyObject **ret_awaitable) {
    PyObject *who = q5py_pass_identity(pass);
    if (!who) return -1;
    /* Credentials that nobody has looked at: whose they are cannot be said. */
    bool is_unknown =
        who == Py_None && q5_head_known(&pass->x->head, Q5_FIELD_AUTHORIZATION) != NULL;
    int rc = is_unknown ? Q5PY_GUARD_GO
                        : look_up(guard, pass, who == Py_None ? NULL : who, reply, ret_awaitable);
    Py_DECREF(who);
    return rc;
}

static int cache_before(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                        PyObject **ret_awaitable) {
    const q5py_cache_guard *self = (q5py_cache_guard *)guard;
    const q5_head *head = &pass->x->head;
    if (head->method_id != Q5_METHOD_GET && head->method_id != Q5_METHOD_HEAD) return Q5PY_GUARD_GO;
    if (self->by_user) {
        int rc = q5py_pass_load_user(pass, ret_awaitable);
        return rc == Q5PY_GUARD_GO ? by_user(guard, pass, reply, ret_awaitable) : rc;
    }
    if (!self->is_public && q5py_cache_is_somebodys(pass)) return Q5PY_GUARD_GO;
    return look_up(guard, pass, NULL, reply, ret_awaitable);
}

/* ---- resume ---------------------------------------------------------------------------------- */

/* Another one may have saved it, and ended, while we were told that it was not there: whoever leads
 * asks once more. */
static int missed(q5py_cache_guard *self, q5py_turn *turn, PyObject **ret_awaitable) {
    if (turn->phase == Q5PY_TURN_RELOADING) return compute(self, turn);
    int rc = lead_or_wait(self, turn, ret_awaitable);
    return rc == Q5PY_GUARD_GO ? load(self, turn, Q5PY_TURN_RELOADING, ret_awaitable) : rc;
}

/* (version, age in seconds or None, parts or None) */
static int loaded(q5py_guard *guard, q5py_pass *pass, q5py_turn *turn, PyObject *result,
                  q5py_reply *reply, PyObject **ret_awaitable) {
    q5py_cache_guard *self = (q5py_cache_guard *)guard;
    PyObject *version, *age, *parts;
    if (!PyArg_ParseTuple(result, "OOO", &version, &age, &parts)) return -1;
    Py_XSETREF(turn->version, Py_NewRef(version));
    if (parts == Py_None) return missed(self, turn, ret_awaitable);
    double age_s = PyFloat_AsDouble(age);
    if (age_s == -1 && PyErr_Occurred()) return -1;
    q5py_cached *entry = q5py_cached_from(pass->state, parts);
    if (!entry) return -1;
    self->store->hits++;
    int rc = give(guard, pass, entry, age_s, reply);
    Py_DECREF(entry);
    return rc;
}

/* The other request is done (True: without a reply that was looked at), or took too long. */
static int waited(q5py_guard *guard, q5py_pass *pass, q5py_turn *turn, PyObject *again,
                  q5py_reply *reply, PyObject **ret_awaitable) {
    q5py_cache_guard *self = (q5py_cache_guard *)guard;
    bool may_lead = again == Py_True;
    if (self->load)
        return load(self, turn, may_lead ? Q5PY_TURN_LOADING : Q5PY_TURN_RELOADING, ret_awaitable);
    double now_s = q5py_now_seconds();
    q5py_cached *entry = find(self, turn->node.key, now_s);
    if (entry) {
        self->store->hits++;
        return give(guard, pass, entry, now_s - entry->stored_s, reply);
    }
    turn->begun = q5_tag_clock_now(self->store->clock);
    /* Of a reply that is not kept each needs his own, and they go on beside each other. */
    int rc = may_lead ? lead_or_wait(self, turn, ret_awaitable) : Q5PY_GUARD_GO;
    return rc == Q5PY_GUARD_GO ? compute(self, turn) : rc;
}

static int cache_resume(q5py_guard *guard, q5py_pass *pass, PyObject *result, q5py_reply *reply,
                        PyObject **ret_awaitable) {
    q5py_turn *turn = q5py_cache_turn_of(guard, pass);
    if (!turn) {
        if (q5py_pass_take_user(pass, result)) return -1;
        return by_user(guard, pass, reply, ret_awaitable);
    }
    if (turn->phase == Q5PY_TURN_WAITING)
        return waited(guard, pass, turn, result, reply, ret_awaitable);
    return loaded(guard, pass, turn, result, reply, ret_awaitable);
}

/* ---- construction ---------------------------------------------------------------------------- */

static PyObject *cache_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"store",         "secret",    "scope",     "vary", "seconds",
                            "stale_seconds", "by_user",   "public",    "tags", "lines",
                            "control",       "tag_field", "wait",      "load", "save",
                            "asave",         "context",   "separator", NULL};
    q5py_state *state = q5py_state_of_type(type);
    q5py_cache_guard given = {0};
    int by_user_flag, public_flag;
    PyObject *tag_field, *load_, *save, *asave, *context;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$O!SUO!ddppOSSOOOOOOU:CacheGuard", names,
                                     state->store_type, &given.store, &given.secret, &given.scope,
                                     &PyTuple_Type, &given.vary, &given.seconds,
                                     &given.stale_seconds, &by_user_flag, &public_flag, &given.tags,
                                     &given.lines, &given.control, &tag_field, &given.wait, &load_,
                                     &save, &asave, &context, &given.separator))
        return NULL;
    if (PyBytes_GET_SIZE(given.secret) != Q5_SIPHASH_KEY_LEN)
        return PyErr_Format(PyExc_ValueError, "a key has %d bytes", Q5_SIPHASH_KEY_LEN);
    if (PyTuple_Check(given.tags) && PyTuple_GET_SIZE(given.tags) > Q5PY_CACHE_TAGS_MAX)
        return PyErr_Format(PyExc_ValueError, "at most %d tags", Q5PY_CACHE_TAGS_MAX);
    q5py_cache_guard *self = (q5py_cache_guard *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->base.before = cache_before;
    self->base.resume = cache_resume;
    self->base.after = q5py_cache_after;
    self->store = (q5py_store *)Py_NewRef((PyObject *)given.store);
    self->secret = Py_NewRef(given.secret);
    self->scope = Py_NewRef(given.scope);
    self->vary = Py_NewRef(given.vary);
    self->seconds = given.seconds;
    self->stale_seconds = given.stale_seconds;
    self->by_user = by_user_flag;
    self->is_public = public_flag;
    self->tags = Py_NewRef(given.tags);
    self->lines = Py_NewRef(given.lines);
    self->control = Py_NewRef(given.control);
    self->tag_field = q5py_maybe(tag_field);
    self->separator = Py_NewRef(given.separator);
    self->context = q5py_maybe(context);
    self->wait = Py_NewRef(given.wait);
    self->load = q5py_maybe(load_);
    self->save = q5py_maybe(save);
    self->asave = q5py_maybe(asave);
    return (PyObject *)self;
}

#define OWNED(XX) \
    XX(secret)    \
    XX(scope)     \
    XX(vary)      \
    XX(tags)      \
    XX(lines)     \
    XX(control) XX(tag_field) XX(separator) XX(context) XX(wait) XX(load) XX(save) XX(asave)

static int cache_traverse(PyObject *object, visitproc visit, void *arg) {
    q5py_cache_guard *self = (q5py_cache_guard *)object;
    Py_VISIT((PyObject *)self->store);
#define XX(name) Py_VISIT(self->name);
    OWNED(XX)
#undef XX
    return q5py_guard_traverse(object, visit, arg);
}

static int cache_clear(PyObject *object) {
    q5py_cache_guard *self = (q5py_cache_guard *)object;
#define XX(name) Py_CLEAR(self->name);
    OWNED(XX)
#undef XX
    Py_CLEAR(self->store);
    q5py_cache_inputs_clear(&self->inputs);
    return 0;
}

static void cache_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    cache_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot cache_slots[] = {
    {Py_tp_doc, "Keeps replies; see quintette.api.cached."},
    {Py_tp_new, cache_new},
    {Py_tp_traverse, cache_traverse},
    {Py_tp_clear, cache_clear},
    {Py_tp_dealloc, cache_dealloc},
    {0, NULL},
};

static PyType_Spec cache_spec = {
    .name = "_quintette.CacheGuard",
    .basicsize = sizeof(q5py_cache_guard),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = cache_slots,
};

static int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **ret) {
    *ret = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    return *ret ? PyModule_AddType(module, *ret) : -1;
}

int q5py_init_cache(PyObject *module, q5py_state *state) {
    if (add_type(module, &q5py_store_spec, &state->store_type) ||
        add_type(module, &q5py_cached_spec, &state->cached_type) ||
        add_type(module, &q5py_turn_spec, &state->cache_turn_type))
        return -1;
    return q5py_guard_add_type(module, state, &cache_spec, &state->cache_guard_type);
}
