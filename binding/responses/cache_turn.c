/* _quintette.CacheTurn. */
#include "cache.h"

q5py_turn *q5py_turn_new(q5py_state *state, q5py_store *store,
                         const uint8_t key[Q5_CACHE_KEY_LEN]) {
    q5py_turn *turn = (q5py_turn *)state->cache_turn_type->tp_alloc(state->cache_turn_type, 0);
    if (!turn) return NULL;
    turn->store = (q5py_store *)Py_NewRef(store);
    turn->begun = q5_tag_clock_now(store->clock);
    memcpy(turn->node.key, key, Q5_CACHE_KEY_LEN);
    turn->node.cost = 1;
    return turn;
}

q5py_turn *q5py_turn_of(q5py_store *store, const uint8_t key[Q5_CACHE_KEY_LEN]) {
    q5_cache_node *node = q5_cache_find(&store->turns, key);
    return node ? Q5_CONTAINER_OF(node, q5py_turn, node) : NULL;
}

void q5py_turn_list(q5py_turn *turn) {
    turn->is_listed = q5_cache_put(&turn->store->turns, &turn->node) == Q5_OK;
}

/* Whoever waits has a bound of his own, so that a failure here costs time only. */
static void wake(q5py_turn *turn, bool again) {
    PyObject *waiting = turn->waiting;
    turn->waiting = NULL;
    if (!waiting) return;
    PyObject *error_type, *error, *traceback;
    PyErr_Fetch(&error_type, &error, &traceback);
    PyObject *done = PyObject_CallFunction(turn->store->wake, "Oi", waiting, again);
    if (!done) PyErr_WriteUnraisable(turn->store->wake);
    Py_XDECREF(done);
    Py_DECREF(waiting);
    PyErr_Restore(error_type, error, traceback);
}

void q5py_turn_end(q5py_turn *turn, bool again) {
    if (turn->is_listed) q5_cache_remove(&turn->store->turns, &turn->node);
    wake(turn, again);
}

/* The pass may be over without a reply that was looked at: the client has left, say. */
static void turn_dealloc(PyObject *object) {
    q5py_turn *turn = (q5py_turn *)object;
    PyTypeObject *type = Py_TYPE(object);
    q5py_turn_end(turn, true);
    Py_XDECREF((PyObject *)turn->store);
    Py_XDECREF(turn->tags);
    Py_XDECREF(turn->version);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot turn_slots[] = {
    {Py_tp_doc, "A request that computes what others wait for."},
    {Py_tp_dealloc, turn_dealloc},
    {0, NULL},
};

PyType_Spec q5py_turn_spec = {
    .name = "_quintette.CacheTurn",
    .basicsize = sizeof(q5py_turn),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = turn_slots,
};
