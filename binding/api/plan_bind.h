/* The state of one extraction; lives on the C stack of q5py_plan_bind, which runs no switch. */
#ifndef Q5PY_PLAN_BIND_H
#define Q5PY_PLAN_BIND_H

#include "convert.h"
#include "plan_data.h"

/* What a scan found for a parameter, before conversion. */
typedef struct q5py_found {
    q5_slice text;     /* ONE: the last value; lives in the exchange, its arena or bind->scratch */
    PyObject *objects; /* MANY: owned list; GROUP: owned dict; a file: the owned object */
    bool seen;
} q5py_found;

typedef struct q5py_bind {
    q5py_state *state;
    const q5py_plan_data *data;
    q5_exchange *x;
    q5py_pass *pass;
    PyObject **values; /* by slot; owned */
    PyObject *faults;  /* NULL, or the owned list of (index, code, text, exception, detail) */
    PyObject *body;    /* the decoded body, owned, for BODY_FIELDs */
    q5_arena scratch;  /* decoded names and values; released by the end of the bind */
    bool body_refused; /* then what is missing from it is not reported too */
    q5py_found found[Q5PY_ARGS_MAX]; /* by position in data->params; only used ones are zeroed */
} q5py_bind;

/* Reports a fault. text, exception (stolen) and detail may be NULL / 0. 0, or -1 out of memory. */
int q5py_bind_fault(q5py_bind *bind, const q5py_param *param, q5py_fault code, PyObject *text,
                    PyObject *exception, long detail);
/* The same for what belongs to no parameter: `source` and a q5_status. */
int q5py_bind_fault_source(q5py_bind *bind, q5py_source source, q5py_fault code, long detail);
/* Stores the value (stolen) of a parameter. */
static inline void q5py_bind_store(q5py_bind *bind, const q5py_param *param, PyObject *value) {
    if (param->slot < bind->data->slot_count)
        bind->values[param->slot] = value;
    else
        bind->body = value;
}
/* Converts a text and stores the value, or reports the fault. 0 or -1. */
int q5py_bind_text(q5py_bind *bind, const q5py_param *param, q5_slice text);
/* Calls param->convert on an object (stolen) and stores the value, or reports the fault. */
int q5py_bind_object(q5py_bind *bind, const q5py_param *param, PyObject *object);

/* extract_pairs.c: each takes one source's range of parameters. 0 or -1 with an exception. */
int q5py_extract_query(q5py_bind *bind);
int q5py_extract_headers(q5py_bind *bind);
int q5py_extract_cookies(q5py_bind *bind);
int q5py_extract_urlencoded(q5py_bind *bind, q5_slice body);
/* A pair for one of the parameters [from, to). */
int q5py_bind_pair(q5py_bind *bind, uint16_t from, uint16_t to, q5_slice name, q5_slice value);
/* Takes an owned object (a file) under its name. */
int q5py_bind_pair_object(q5py_bind *bind, uint16_t from, uint16_t to, q5_slice name,
                          PyObject *object);
/* Converts what the scan found for [from, to). */
int q5py_bind_found(q5py_bind *bind, uint16_t from, uint16_t to);

/* extract_body.c: what the plan's media asks for. */
int q5py_extract_body(q5py_bind *bind);
/* The body as one bytes object, also when it was spooled. New reference or NULL. */
PyObject *q5py_body_bytes(const q5_exchange *x);
/* extract_form.c: forms and files. */
int q5py_extract_form(q5py_bind *bind, q5_slice media_type);

#endif
