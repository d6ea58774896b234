/* Shared by cache_guard.c, which looks for a reply, and cache_keep.c, which keeps one. */
#ifndef Q5PY_CACHE_GUARD_H
#define Q5PY_CACHE_GUARD_H

#include "auth/auth.h"
#include "cache.h"

typedef struct q5py_cache_guard {
    q5py_guard base;
    q5py_store *store; /* owned */
    PyObject *secret;  /* owned bytes: of the keys */
    PyObject *scope;   /* owned str: of the route, the same in all processes */
    PyObject *vary;    /* owned tuple of lower-case bytes: fields that a reply depends on, too */
    q5py_cache_inputs inputs;
    double seconds, stale_seconds;
    bool by_user, is_public;
    PyObject *tags;      /* owned: tuple of str, or (request, path) -> tuple of str */
    PyObject *lines;     /* owned bytes: fields of what is kept, besides Cache-Control */
    PyObject *control;   /* owned bytes: Cache-Control, unless the handler gives one */
    PyObject *context;   /* owned or NULL: () -> str, what else a reply depends on */
    PyObject *separator; /* owned str: of the tags in that field */
    PyObject *tag_field; /* owned str: the name of the field with the tags; or NULL */
    PyObject *wait;      /* owned: (list) -> awaitable of whether to take the other one's place */
    PyObject *load;      /* owned or NULL: (key, tags) -> awaitable of (version, age, parts) */
    PyObject *save, *asave; /* owned or NULL: (key, version, parts), plain and asynchronous */
} q5py_cache_guard;

/* The request's turn, borrowed; or NULL. */
static inline q5py_turn *q5py_cache_turn_of(const q5py_guard *guard, const q5py_pass *pass) {
    PyObject *note = pass->notes[guard->index];
    return note && Py_IS_TYPE(note, pass->state->cache_turn_type) ? (q5py_turn *)note : NULL;
}

/* Somebody's reply is nobody else's, unless it was declared to be. */
static inline bool q5py_cache_is_somebodys(const q5py_pass *pass) {
    return q5py_pass_is_somebody(pass) ||
           q5_head_known(&pass->x->head, Q5_FIELD_AUTHORIZATION) != NULL;
}

int q5py_cache_after(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                     PyObject **ret_awaitable);

#endif
