#include "throttle.h"

#define NSEC_PER_SEC UINT64_C(1000000000)
#define NUMBER_MAX 20 /* digits of 64 bits */

/* ---- fields ---------------------------------------------------------------------------------- */

static char *put(char *at, q5_slice text) {
    memcpy(at, text.base, text.len);
    return at + text.len;
}

static char *put_number(char *at, uint64_t number) {
    char digits[NUMBER_MAX];
    size_t len = 0;
    do
        digits[len++] = (char)('0' + number % 10);
    while (number /= 10);
    while (len)
        *at++ = digits[--len];
    return at;
}

/* Whole seconds after which it is true that so much time has passed. */
static uint64_t seconds(q5_nsec nsec) {
    return nsec / NSEC_PER_SEC + (nsec % NSEC_PER_SEC != 0);
}

/* The policy's lines and, behind them, how much of it is left: in the exchange's arena, so that
 * they outlive the request. {NULL, 0} with an exception. */
static q5_slice write_lines(const q5py_throttle *self, q5py_pass *pass,
                            const q5_limit_verdict *verdict) {
    const q5_slice name = Q5_LIT("RateLimit: "), left = Q5_LIT(";r="), reset = Q5_LIT(";t="),
                   retry = Q5_LIT("\r\nRetry-After: "), end = Q5_LIT("\r\n");
    q5_slice policy = q5py_bytes_slice(self->policy), item = q5py_bytes_slice(self->item);
    size_t len = policy.len + name.len + item.len + left.len + reset.len + retry.len + end.len;
    char *base = q5_arena_alloc(&pass->x->arena, len + (size_t)3 * NUMBER_MAX);
    if (!base) {
        PyErr_NoMemory();
        return q5_slice_make(NULL, 0);
    }
    char *at = put(put(put(base, policy), name), item);
    at = put_number(put(at, left), verdict->remaining);
    at = put_number(put(at, reset), seconds(verdict->reset_nsec));
    if (!verdict->allowed) at = put_number(put(at, retry), seconds(verdict->retry_nsec));
    at = put(at, end);
    return q5_slice_make(base, (size_t)(at - base));
}

/* ---- verdicts -------------------------------------------------------------------------------- */

static int refuse(const q5py_throttle *self, q5py_reply *reply, q5_slice lines) {
    reply->status = 429;
    reply->lines = q5py_bytes_slice(self->refusal);
    reply->body = Py_NewRef(self->body);
    return q5py_reply_add_lines(reply, lines) ? -1 : Q5PY_GUARD_ANSWER;
}

/* What after() adds is the lines' place and length, in the note. */
static int keep(const q5py_throttle *self, q5py_pass *pass, q5_slice lines) {
    q5_slice *note = q5_arena_alloc(&pass->x->arena, sizeof(*note));
    if (!note) {
        PyErr_NoMemory();
        return -1;
    }
    *note = lines;
    pass->notes[self->base.index] = PyLong_FromVoidPtr(note);
    return pass->notes[self->base.index] ? Q5PY_GUARD_GO : -1;
}

static int settle(const q5py_throttle *self, q5py_pass *pass, const q5_limit_verdict *verdict,
                  q5py_reply *reply) {
    q5_slice lines = write_lines(self, pass, verdict);
    if (!lines.base) return -1;
    return verdict->allowed ? keep(self, pass, lines) : refuse(self, reply, lines);
}

/* What `ask` has found out. */
static int settle_told(const q5py_throttle *self, q5py_pass *pass, PyObject *told,
                       q5py_reply *reply) {
    if (told == Py_None) return Q5PY_GUARD_GO;
    int allowed;
    unsigned long long reset, retry;
    unsigned int remaining;
    if (!PyArg_ParseTuple(told, "pIKK:verdict", &allowed, &remaining, &reset, &retry)) return -1;
    q5_limit_verdict verdict = {
        .allowed = allowed, .remaining = remaining, .reset_nsec = reset, .retry_nsec = retry};
    return settle(self, pass, &verdict, reply);
}

static int ask(const q5py_throttle *self, q5py_pass *pass, const q5py_throttle_key *key,
               q5py_reply *reply, PyObject **ret_awaitable) {
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)key->hash, Q5_SIPHASH_LEN);
    PyObject *told = bytes ? PyObject_CallOneArg(self->ask, bytes) : NULL;
    Py_XDECREF(bytes);
    if (!told) return -1;
    if (told != Py_None && !PyTuple_Check(told)) {
        *ret_awaitable = told;
        return Q5PY_GUARD_WAIT;
    }
    int rc = settle_told(self, pass, told, reply);
    Py_DECREF(told);
    return rc;
}

static int count(const q5py_throttle *self, q5py_pass *pass, const q5py_throttle_key *key,
                 q5py_reply *reply, PyObject **ret_awaitable) {
    if (!key->found) return Q5PY_GUARD_GO;
    if (!self->table) return ask(self, pass, key, reply, ret_awaitable);
    uint64_t word;
    memcpy(&word, key->hash, sizeof(word));
    q5_limit_verdict verdict = q5py_limit_take(self->table, &self->rate, word);
    return settle(self, pass, &verdict, reply);
}

/* ---- the guard ------------------------------------------------------------------------------- */

/* With WAIT, the note tells resume() for what; until after() it is of no other use. */
static int waiting(const q5py_throttle *self, q5py_pass *pass, q5py_throttle_stage stage, int rc,
                   PyObject **ret_awaitable) {
    if (rc != Q5PY_GUARD_WAIT) return rc;
    pass->notes[self->base.index] = PyLong_FromLong(stage);
    if (pass->notes[self->base.index]) return rc;
    Py_CLEAR(*ret_awaitable);
    return -1;
}

static int throttle_before(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                           PyObject **ret_awaitable) {
    const q5py_throttle *self = (const q5py_throttle *)guard;
    q5py_throttle_key key;
    q5py_throttle_stage stage;
    int rc = q5py_throttle_find_key(self, pass, &key, &stage, ret_awaitable);
    if (rc == Q5PY_GUARD_GO) {
        stage = Q5PY_THROTTLE_TOLD;
        rc = count(self, pass, &key, reply, ret_awaitable);
    }
    return waiting(self, pass, stage, rc, ret_awaitable);
}

static int throttle_resume(q5py_guard *guard, q5py_pass *pass, PyObject *result, q5py_reply *reply,
                           PyObject **ret_awaitable) {
    const q5py_throttle *self = (const q5py_throttle *)guard;
    q5py_throttle_key key;
    q5py_throttle_stage stage = (q5py_throttle_stage)PyLong_AsLong(pass->notes[guard->index]);
    Py_CLEAR(pass->notes[guard->index]);
    if (stage == Q5PY_THROTTLE_TOLD) return settle_told(self, pass, result, reply);
    if (q5py_throttle_key_of(self, pass, stage, result, &key)) return -1;
    int rc = count(self, pass, &key, reply, ret_awaitable);
    return waiting(self, pass, Q5PY_THROTTLE_TOLD, rc, ret_awaitable);
}

static int throttle_after(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                          PyObject **ret_awaitable) {
    (void)ret_awaitable;
    PyObject *note = pass->notes[guard->index];
    if (!note) return Q5PY_GUARD_GO;
    const q5_slice *lines = PyLong_AsVoidPtr(note);
    return q5py_reply_add_lines(reply, *lines);
}

static PyObject *throttle_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"count",  "period_nsec", "burst", "by",     "ipv6_bits",
                            "key_of", "table",       "ask",   "secret", "item",
                            "policy", "refusal",     "body",  NULL};
    q5py_state *state = q5py_state_of_type(type);
    unsigned long long count, period;
    unsigned int burst;
    int by, bits;
    PyObject *key_of, *table, *asked, *secret, *item, *policy, *refusal, *body;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "KKIiiOOOSSSSS:ThrottleGuard", names, &count,
                                     &period, &burst, &by, &bits, &key_of, &table, &asked, &secret,
                                     &item, &policy, &refusal, &body))
        return NULL;
    q5_limit_rate rate;
    bool is_local = PyObject_TypeCheck(table, state->limit_table_type);
    if (q5_limit_rate_make(count, period, burst, &rate) || by < Q5PY_BY_ADDRESS ||
        by > Q5PY_BY_AUTH || bits < 1 || bits > 128 ||
        PyBytes_GET_SIZE(secret) != Q5_SIPHASH_KEY_LEN || (!is_local && table != Py_None))
        return PyErr_Format(PyExc_ValueError, "malformed throttle");
    q5py_throttle *self = (q5py_throttle *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->base.before = throttle_before;
    self->base.resume = throttle_resume;
    self->base.after = throttle_after;
    self->rate = rate;
    self->by = by;
    self->ipv6_bits = bits;
    self->key_of = Py_NewRef(key_of);
    self->table = is_local ? (q5py_limit_table *)Py_NewRef(table) : NULL;
    self->ask = Py_NewRef(asked);
    self->secret = Py_NewRef(secret);
    self->item = Py_NewRef(item);
    self->policy = Py_NewRef(policy);
    self->refusal = Py_NewRef(refusal);
    self->body = Py_NewRef(body);
    return (PyObject *)self;
}

static int throttle_traverse(PyObject *object, visitproc visit, void *arg) {
    q5py_throttle *self = (q5py_throttle *)object;
    Py_VISIT(self->key_of);
    Py_VISIT(self->ask);
    return q5py_guard_traverse(object, visit, arg);
}

static int throttle_clear(PyObject *object) {
    q5py_throttle *self = (q5py_throttle *)object;
    Py_CLEAR(self->key_of);
    Py_CLEAR(self->ask);
    return 0;
}

static void throttle_dealloc(PyObject *object) {
    q5py_throttle *self = (q5py_throttle *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    throttle_clear(object);
    Py_XDECREF((PyObject *)self->table);
    Py_XDECREF(self->secret);
    Py_XDECREF(self->item);
    Py_XDECREF(self->policy);
    Py_XDECREF(self->refusal);
    Py_XDECREF(self->body);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot throttle_slots[] = {
    {Py_tp_doc, "Holds the requests of one key to a rate; made by quintette.traffic."},
    {Py_tp_new, throttle_new},
    {Py_tp_traverse, throttle_traverse},
    {Py_tp_clear, throttle_clear},
    {Py_tp_dealloc, throttle_dealloc},
    {0, NULL},
};

static PyType_Spec throttle_spec = {
    .name = "_quintette.ThrottleGuard",
    .basicsize = sizeof(q5py_throttle),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = throttle_slots,
};

int q5py_init_throttle(PyObject *module, q5py_state *state) {
    if (q5py_init_limit_table(module, state)) return -1;
    return q5py_guard_add_type(module, state, &throttle_spec, &state->throttle_type);
}
