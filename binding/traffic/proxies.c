/* _quintette.Proxies: which peers are believed what they forward. Constant once made. */
#include "client.h"

#include "convert.h"
#include "head_pairs.h"

struct q5py_proxies {
    PyObject_HEAD q5_forwarded_policy policy;
    q5_network *networks;    /* owned */
    q5_slice *claims;        /* owned; into claim_objects */
    PyObject *claim_objects; /* owned tuple of bytes */
    bool takes_host;
};

/* ---- at a request's head --------------------------------------------------------------------- */

static bool keep_client(q5_exchange *x, const q5_client *client) {
    q5_client *kept = q5_arena_alloc(&x->arena, sizeof(*kept));
    if (kept) *kept = *client;
    x->client = kept;
    return kept;
}

/* The client behind a trusted peer. False: malformed. */
static bool take_client(const q5py_proxies *self, q5_exchange *x, const q5_client *peer) {
    q5_client client = *peer;
    if (q5_forwarded_read(&self->policy, &x->head, &peer->address, &client)) return false;
    if (self->takes_host && client.host.len) x->head.host = client.host;
    return keep_client(x, &client);
}

bool q5py_proxies_refuse(const q5py_proxies *self, q5_exchange *x) {
    q5_client peer = {.port = 0};
    if (x->conn) q5_server_peer_address(x->conn, &peer.address, &peer.port);
    bool trusted = q5_forwarded_trusts(&self->policy, &peer.address);
    bool fine = !trusted || take_client(self, x, &peer);
    bool stripped = q5_forwarded_strip(&self->policy, &x->head, trusted);
    if (!trusted && stripped) {
        peer.doubted = true;
        fine = keep_client(x, &peer);
    }
    if (!fine) q5_response_problem(x, 400, Q5_LIT("what the proxy forwards is malformed"));
    return !fine;
}

/* ---- for other hosts ------------------------------------------------------------------------- */

/* The fields that are left, as they were given. */
static PyObject *fields_left(const q5_head *head) {
    PyObject *list = PyList_New(head->field_count);
    for (uint16_t i = 0; list && i < head->field_count; i++) {
        PyObject *name = q5py_latin1(head->fields[i].name);
        if (!name) Py_CLEAR(list);
        if (list) PyList_SET_ITEM(list, i, name);
    }
    return list;
}

PyDoc_STRVAR(
    resolve_doc,
    "resolve(peer, fields) -> (address, scheme, host, names, doubted)\n\n"
    "Whom the peer, an address or '', forwards for by these (name, value) strs: '' for what is\n"
    "not known or said, or where it is not believed; the names of the fields that may stay; and\n"
    "whether it speaks as a proxy does without being trusted.\n"
    "ValueError: malformed, the request is to be refused.");

static PyObject *proxies_resolve(PyObject *object, PyObject *args) {
    static const char *const schemes[] = {"", "http", "https"};
    const q5py_proxies *self = (const q5py_proxies *)object;
    const char *peer;
    Py_ssize_t peer_len;
    PyObject *fields;
    if (!PyArg_ParseTuple(args, "s#O!:resolve", &peer, &peer_len, &PyList_Type, &fields))
        return NULL;
    q5_client client = {.port = 0};
    q5_head head = {.field_count = 0};
    char text[Q5_ADDRESS_TEXT_MAX];
    if (q5py_head_from_pairs(fields, &head)) return NULL;
    q5_address_parse(q5_slice_make(peer, (size_t)peer_len), &client.address);
    bool trusted = q5_forwarded_trusts(&self->policy, &client.address);
    int status =
        trusted ? q5_forwarded_read(&self->policy, &head, &client.address, &client) : Q5_OK;
    if (status) return q5py_raise_status(status);
    bool doubted = q5_forwarded_strip(&self->policy, &head, trusted) && !trusted;
    q5_address_format(&client.address, text);
    q5_slice host = self->takes_host ? client.host : q5_slice_make("", 0);
    return Py_BuildValue("(sss#NN)", text, schemes[client.scheme], host.base ? host.base : "",
                         (Py_ssize_t)host.len, fields_left(&head), PyBool_FromLong(doubted));
}

/* ---- the type -------------------------------------------------------------------------------- */

static int read_networks(q5py_proxies *self, PyObject *networks) {
    Py_ssize_t count = PyTuple_GET_SIZE(networks);
    self->networks = PyMem_Calloc(count ? (size_t)count : 1, sizeof(*self->networks));
    if (!self->networks) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_ssize_t len;
        PyObject *object = PyTuple_GET_ITEM(networks, i);
        const char *text = PyUnicode_AsUTF8AndSize(object, &len);
        if (!text) return -1;
        if (q5_network_parse(q5_slice_make(text, (size_t)len), &self->networks[i])) {
            PyErr_Format(PyExc_ValueError, "%R is no network", object);
            return -1;
        }
    }
    self->policy.networks = self->networks;
    self->policy.network_count = (size_t)count;
    return 0;
}

static int read_claims(q5py_proxies *self, PyObject *claims) {
    Py_ssize_t count = PyTuple_GET_SIZE(claims);
    self->claim_objects = Py_NewRef(claims);
    self->claims = PyMem_Calloc(count ? (size_t)count : 1, sizeof(*self->claims));
    if (!self->claims) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        if (q5py_field_slice(PyTuple_GET_ITEM(claims, i), &self->claims[i])) return -1;
    self->policy.claims = self->claims;
    self->policy.claim_count = (size_t)count;
    return 0;
}

static PyObject *proxies_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"networks", "local", "kind", "claims", "takes_host", NULL};
    PyObject *networks, *claims;
    int local, kind, takes_host;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!piO!p:Proxies", names, &PyTuple_Type,
                                     &networks, &local, &kind, &PyTuple_Type, &claims, &takes_host))
        return NULL;
    if (kind != Q5_FORWARDED_X && kind != Q5_FORWARDED_RFC_7239)
        return PyErr_Format(PyExc_ValueError, "unknown kind of forwarding");
    q5py_proxies *self = (q5py_proxies *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->policy.trust_local = local;
    self->policy.kind = (q5_forwarded_kind)kind;
    self->takes_host = takes_host;
    if (read_networks(self, networks) || read_claims(self, claims)) Py_CLEAR(self);
    return (PyObject *)self;
}

static void proxies_dealloc(PyObject *object) {
    q5py_proxies *self = (q5py_proxies *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyMem_Free(self->networks);
    PyMem_Free(self->claims);
    Py_XDECREF(self->claim_objects);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef proxies_methods[] = {
    {"resolve", proxies_resolve, METH_VARARGS, resolve_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot proxies_slots[] = {
    {Py_tp_doc,
     "Proxies(networks, local, kind, claims, takes_host)\n\nnetworks: strs of CIDR; local: peers\n"
     "without an address; kind: 0 X-Forwarded-For and its like, 1 Forwarded; claims: further\n"
     "fields (bytes, lower case) that only proxies may send; takes_host: a forwarded host is the\n"
     "request's."},
    {Py_tp_new, proxies_new},
    {Py_tp_dealloc, proxies_dealloc},
    {Py_tp_methods, proxies_methods},
    {0, NULL},
};

static PyType_Spec proxies_spec = {
    .name = "_quintette.Proxies",
    .basicsize = sizeof(q5py_proxies),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = proxies_slots,
};

int q5py_init_proxies(PyObject *module, q5py_state *state) {
    state->proxies_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &proxies_spec, NULL);
    return state->proxies_type ? PyModule_AddType(module, state->proxies_type) : -1;
}
