/* Responses that are kept, and given again without the handler.
 *
 *   cache_store.c   _quintette.ResponseStore: what this process keeps, and when tags were
 * invalidated cache_entry.c   _quintette.CachedReply: a reply that is kept cache_turn.c
 * _quintette.CacheTurn: who computes a reply, and who waits for it cache_key.c     which requests
 * are answered alike cache_guard.c   _quintette.CacheGuard
 *
 * All under the GIL. */
#ifndef Q5PY_CACHE_H
#define Q5PY_CACHE_H

#include "guards/guard.h"

#include "q5/cache.h"
#include "q5/siphash.h"

#define Q5PY_CACHE_TAGS_MAX 32

typedef struct q5py_store {
    PyObject_HEAD q5_cache entries; /* of q5py_cached, each with a reference */
    q5_cache turns;                 /* of q5py_turn, without one */
    q5_tag_clock *clock;            /* memory that forked processes share */
    uint8_t tag_key[Q5_SIPHASH_KEY_LEN];
    PyObject *wake; /* owned: (waiting, again) tells those who wait */
    uint64_t hits, misses, stale;
} q5py_store;

/* A reply, read-only once it is in the store. */
typedef struct q5py_cached {
    PyObject_HEAD q5_cache_node node;
    int status;
    PyObject *lines;                   /* owned bytes: header lines, checked */
    PyObject *body;                    /* owned bytes, or NULL */
    double stored_s, fresh_s, stale_s; /* monotonic: since when, until when, until when at all */
    uint64_t begun;                    /* of the clock of tags */
    uint8_t tag_count;
    uint64_t tags[Q5PY_CACHE_TAGS_MAX];
} q5py_cached;

typedef enum q5py_turn_phase {
    Q5PY_TURN_LOADING,   /* asks the store of another process */
    Q5PY_TURN_WAITING,   /* another request computes it */
    Q5PY_TURN_RELOADING, /* asks again, once that one is done */
    Q5PY_TURN_COMPUTING
} q5py_turn_phase;

/* A request on its way to a reply that may be kept. Held by its pass: with the pass ends the turn.
 */
typedef struct q5py_turn {
    PyObject_HEAD q5_cache_node
        node;          /* in store->turns while is_listed: others wait for this one */
    q5py_store *store; /* owned */
    bool is_listed;
    q5py_turn_phase phase;
    uint8_t wait_count;
    uint64_t begun;
    PyObject *tags;    /* owned tuple of str, or NULL */
    PyObject *version; /* owned or NULL: what load() said of the tags */
    PyObject *waiting; /* owned list, or NULL: for store->wake */
} q5py_turn;

/* ---- cache_store.c */
/* The hash of a tag. 0, or -1 with an exception: it is no str. */
int q5py_store_tag(const q5py_store *store, PyObject *tag, uint64_t *ret);
/* The entry of that key if it may be used now, borrowed; or NULL. One that is past its freshness is
 * told by now_s > entry->fresh_s. */
q5py_cached *q5py_store_find(q5py_store *store, const uint8_t key[Q5_CACHE_KEY_LEN], double now_s);

/* ---- cache_entry.c */
/* Copies of a reply's status, fields and body. New reference; NULL without an exception: its fields
 * cannot be sent; NULL with an exception. */
q5py_cached *q5py_cached_new(q5py_state *state, const q5py_reply *reply);
/* The same from the parts that q5py_cached_parts gave. NULL with an exception. */
q5py_cached *q5py_cached_from(q5py_state *state, PyObject *parts);
/* (status, lines, body or None): new reference. */
PyObject *q5py_cached_parts(const q5py_cached *entry);
/* Fills in the reply, which the entry must outlive. */
void q5py_cached_give(const q5py_cached *entry, q5py_reply *reply);
/* The same with Age. 0, or -1 with an exception. */
int q5py_cached_give_aged(const q5py_cached *entry, uint64_t age_s, q5py_reply *reply);

/* ---- cache_turn.c */
q5py_turn *q5py_turn_new(q5py_state *state, q5py_store *store, const uint8_t key[Q5_CACHE_KEY_LEN]);
/* The one that others wait for, borrowed; or NULL. */
q5py_turn *q5py_turn_of(q5py_store *store, const uint8_t key[Q5_CACHE_KEY_LEN]);
/* Others may wait for it from now on. */
void q5py_turn_list(q5py_turn *turn);
/* It is over: whoever waits goes on; `again`: and one of them takes its place. */
void q5py_turn_end(q5py_turn *turn, bool again);

/* ---- cache_key.c */
/* What a reply depends on, made of the plan's parameters and of names that the project adds. */
typedef struct q5py_cache_inputs {
    bool is_read;
    bool takes_request; /* and with it the whole query, the scheme and the method */
    bool whole_query;
    PyObject *queries, *headers, *cookies; /* owned lists of bytes */
} q5py_cache_inputs;

/* `vary`: a tuple of lower-case bytes. 0, or -1 with an exception. */
int q5py_cache_inputs_read(q5py_cache_inputs *inputs, const struct q5py_plan_data *data,
                           PyObject *vary);
void q5py_cache_inputs_clear(q5py_cache_inputs *inputs);
/* Whose and which reply it is: strs; NULL: of everybody, nothing else. */
typedef struct q5py_cache_scope {
    PyObject *route, *context, *who;
} q5py_cache_scope;

/* 1: *ret_key; 0: the request is none that can be kept; -1 with an exception. `secret`: bytes of a
 * key for the hash. */
int q5py_cache_key(const q5py_cache_inputs *inputs, q5py_pass *pass, const q5py_cache_scope *scope,
                   PyObject *secret, uint8_t ret_key[Q5_CACHE_KEY_LEN]);

/* ---- cache_rules.c */
/* Whether a reply may be given to others who send the same inputs; by_user: to this user again. */
bool q5py_may_be_kept(const q5py_cache_inputs *inputs, bool by_user, const q5py_reply *reply);

/* ---- identity.c */
/* Who asks, as a str that no other has: new reference; Py_None: nobody; NULL with an exception.
 * Behind q5py_pass_load_user. */
PyObject *q5py_pass_identity(q5py_pass *pass);
/* The site that is asked, as Django tells it: what is one tenant's is not another's. New reference;
 * NULL with an exception. */
PyObject *q5py_pass_host(q5py_pass *pass);

extern PyType_Spec q5py_store_spec, q5py_cached_spec, q5py_turn_spec;
int q5py_init_cache(PyObject *module, q5py_state *state);

#endif
