/* _quintette.ResponseStore. */
#include "cache.h"

#include <sys/mman.h>

#define TURNS_MAX 4096

/* ---- the tables ------------------------------------------------------------------------------ */

static void release_entry(q5_cache_node *node) {
    Py_DECREF((PyObject *)Q5_CONTAINER_OF(node, q5py_cached, node));
}

/* Room was needed: nobody waits for it any more, and whoever does will be told at its end. */
static void release_turn(q5_cache_node *node) {
    Q5_CONTAINER_OF(node, q5py_turn, node)->is_listed = false;
}

int q5py_store_tag(const q5py_store *store, PyObject *tag, uint64_t *ret) {
    Py_ssize_t len;
    const char *text = PyUnicode_Check(tag) ? PyUnicode_AsUTF8AndSize(tag, &len) : NULL;
    if (!text) {
        if (!PyErr_Occurred()) PyErr_Format(PyExc_TypeError, "a tag is a str, not %R", tag);
        return -1;
    }
    uint8_t bytes[Q5_SIPHASH_LEN];
    q5_siphash hash;
    q5_siphash_init(&hash, store->tag_key);
    q5_siphash_feed(&hash, q5_slice_make(text, (size_t)len));
    q5_siphash_end(&hash, bytes);
    memcpy(ret, bytes, sizeof(*ret));
    return 0;
}

q5py_cached *q5py_store_find(q5py_store *store, const uint8_t key[Q5_CACHE_KEY_LEN], double now_s) {
    q5_cache_node *node = q5_cache_find(&store->entries, key);
    if (!node) return NULL;
    q5py_cached *entry = Q5_CONTAINER_OF(node, q5py_cached, node);
    if (now_s < entry->stale_s &&
        q5_tag_clock_is_current(store->clock, entry->begun, entry->tags, entry->tag_count))
        return entry;
    q5_cache_remove(&store->entries, node);
    return NULL;
}

/* ---- methods --------------------------------------------------------------------------------- */

static PyObject *store_invalidate(PyObject *object, PyObject *const *args, Py_ssize_t count) {
    q5py_store *store = (q5py_store *)object;
    uint64_t tag;
    for (Py_ssize_t i = 0; i < count; i++)
        if (q5py_store_tag(store, args[i], &tag)) return NULL;
    for (Py_ssize_t i = 0; i < count; i++)
        if (q5py_store_tag(store, args[i], &tag) == 0) q5_tag_clock_invalidate(store->clock, tag);
    Py_RETURN_NONE;
}

static PyObject *store_clear(PyObject *object, PyObject *unused) {
    (void)unused;
    q5_cache_clear(&((q5py_store *)object)->entries);
    Py_RETURN_NONE;
}

static PyObject *store_stats(PyObject *object, PyObject *unused) {
    (void)unused;
    const q5py_store *store = (q5py_store *)object;
    return Py_BuildValue(
        "{s:n,s:n,s:K,s:K,s:K}", "entries", (Py_ssize_t)store->entries.count, "bytes",
        (Py_ssize_t)store->entries.cost, "hits", (unsigned long long)store->hits, "misses",
        (unsigned long long)store->misses, "stale", (unsigned long long)store->stale);
}

/* ---- construction ---------------------------------------------------------------------------- */

/* Memory that is the same in processes that are forked from here on. */
static int map_clock(q5py_store *store) {
    void *memory =
        mmap(NULL, sizeof(q5_tag_clock), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    store->clock = memory;
    return 0;
}

static PyObject *store_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"bytes_max", "count_max", "tag_key", "wake", NULL};
    Py_ssize_t bytes_max, count_max, key_len;
    const char *key;
    PyObject *wake;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$nny#O:ResponseStore", names, &bytes_max,
                                     &count_max, &key, &key_len, &wake))
        return NULL;
    if (bytes_max < 1 || count_max < 1 || key_len != Q5_SIPHASH_KEY_LEN)
        return PyErr_Format(PyExc_ValueError, "bytes_max, count_max or tag_key out of range");
    q5py_store *store = (q5py_store *)type->tp_alloc(type, 0);
    if (!store) return NULL;
    memcpy(store->tag_key, key, sizeof(store->tag_key));
    store->wake = Py_NewRef(wake);
    int status =
        q5_cache_init(&store->entries, NULL, (size_t)count_max, (size_t)bytes_max, release_entry);
    if (status == Q5_OK)
        status = q5_cache_init(&store->turns, NULL, TURNS_MAX, 8 * TURNS_MAX, release_turn);
    if (status) q5py_raise_status(status);
    if (status || map_clock(store)) Py_CLEAR(store);
    return (PyObject *)store;
}

/* A turn holds its store, so none is left. */
static void store_dealloc(PyObject *object) {
    q5py_store *store = (q5py_store *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (store->entries.buckets) q5_cache_deinit(&store->entries);
    if (store->turns.buckets) q5_cache_deinit(&store->turns);
    if (store->clock) munmap(store->clock, sizeof(*store->clock));
    Py_XDECREF(store->wake);
    type->tp_free(object);
    Py_DECREF(type);
}

static int store_traverse(PyObject *object, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((q5py_store *)object)->wake);
    return 0;
}

static PyMethodDef store_methods[] = {
    {"invalidate", (PyCFunction)(void (*)(void))store_invalidate, METH_FASTCALL,
     "invalidate(*tags): in all processes that were forked since the store was made"},
    {"clear", store_clear, METH_NOARGS, "clear(): of this process"},
    {"stats", store_stats, METH_NOARGS, "stats() -> dict: of this process"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot store_slots[] = {
    {Py_tp_doc, "ResponseStore(*, bytes_max, count_max, tag_key, wake)"},
    {Py_tp_new, store_new},
    {Py_tp_traverse, store_traverse},
    {Py_tp_dealloc, store_dealloc},
    {Py_tp_methods, store_methods},
    {0, NULL},
};

PyType_Spec q5py_store_spec = {
    .name = "_quintette.ResponseStore",
    .basicsize = sizeof(q5py_store),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = store_slots,
};
