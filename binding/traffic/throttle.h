/* _quintette.ThrottleGuard: requests of one key are held to a rate. They are counted in a
 * LimitTable, or by whomever a function of Python's asks.
 *
 *   throttle.c       the guard, and what becomes of a verdict
 *   throttle_key.c   whose request it is */
#ifndef Q5PY_THROTTLE_H
#define Q5PY_THROTTLE_H

#include "guards/guard.h"
#include "limit_table.h"

#include "q5/siphash.h"

/* The numbers are shared with traffic/throttle.py. */
typedef enum q5py_throttle_by {
    Q5PY_BY_ADDRESS,
    Q5PY_BY_CALL, /* key_of(request) -> str | bytes | int | None, or an awaitable of these */
    Q5PY_BY_USER, /* nobody: by address */
    Q5PY_BY_AUTH  /* key_of(pass->auth) -> str; where there is none as for users */
} q5py_throttle_by;

/* What a request waits for, in its note. */
typedef enum q5py_throttle_stage {
    Q5PY_THROTTLE_KEY,  /* what key_of gives */
    Q5PY_THROTTLE_USER, /* the user */
    Q5PY_THROTTLE_TOLD  /* the verdict of `ask` */
} q5py_throttle_stage;

typedef struct q5py_throttle {
    q5py_guard base;
    q5_limit_rate rate;
    int by;                  /* q5py_throttle_by */
    int ipv6_bits;           /* of an IPv6 address, that are one client's */
    PyObject *key_of;        /* owned or None */
    q5py_limit_table *table; /* owned, or None: `ask` knows */
    /* Owned or None: (key: bytes) -> (allowed, remaining, reset_nsec, retry_nsec), None for a
     * request that goes uncounted, or an awaitable of these. */
    PyObject *ask;
    PyObject *secret;  /* owned bytes: of the keys' hash */
    PyObject *item;    /* owned bytes: the policy's name, as RateLimit has it */
    PyObject *policy;  /* owned bytes: lines of every reply */
    PyObject *refusal; /* owned bytes: lines of a refusal */
    PyObject *body;    /* owned bytes: of a refusal */
} q5py_throttle;

typedef struct q5py_throttle_key {
    bool found; /* else the request is nobody's, and not throttled */
    uint8_t hash[Q5_SIPHASH_LEN];
} q5py_throttle_key;

/* ---- throttle_key.c */
/* GO; WAIT: the awaitable's result is that of *ret_stage; -1. */
int q5py_throttle_find_key(const q5py_throttle *self, q5py_pass *pass, q5py_throttle_key *ret_key,
                           q5py_throttle_stage *ret_stage, PyObject **ret_awaitable);
/* The result of KEY or USER. 0, or -1 with an exception. */
int q5py_throttle_key_of(const q5py_throttle *self, q5py_pass *pass, q5py_throttle_stage stage,
                         PyObject *result, q5py_throttle_key *ret_key);

#endif
