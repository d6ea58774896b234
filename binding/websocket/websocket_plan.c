/* What a WebSocket route declares, and which handshakes it takes. */
#include "websocket.h"

#include "api/plan_data.h"
#include "convert.h"
#include "q5/ws_handshake.h"
#include "traffic/client.h"

/* ---- the declaration ------------------------------------------------------------------------- */

struct q5py_websocket_plan *q5py_websocket_plan_new(PyObject *given) {
    int in, out, compression;
    PyObject *decode, *encode, *origins, *protocols, *refuse, *is_invalid;
    if (!PyArg_ParseTuple(given, "iiOOO!O!OOi:websocket", &in, &out, &decode, &encode,
                          &PyTuple_Type, &origins, &PyTuple_Type, &protocols, &refuse, &is_invalid,
                          &compression))
        return NULL;
    struct q5py_websocket_plan *plan = PyMem_Calloc(1, sizeof(*plan));
    if (!plan) {
        PyErr_NoMemory();
        return NULL;
    }
    plan->in = (uint8_t)in;
    plan->out = (uint8_t)out;
    plan->decode = decode == Py_None ? NULL : Py_NewRef(decode);
    plan->encode = Py_NewRef(encode);
    plan->origins = Py_NewRef(origins);
    plan->protocols = Py_NewRef(protocols);
    plan->refuse = Py_NewRef(refuse);
    plan->is_invalid = Py_NewRef(is_invalid);
    plan->compression = (uint8_t)compression;
    return plan;
}

void q5py_websocket_plan_free(struct q5py_websocket_plan *plan) {
    if (!plan) return;
    Py_XDECREF(plan->decode);
    Py_DECREF(plan->encode);
    Py_DECREF(plan->origins);
    Py_DECREF(plan->protocols);
    Py_DECREF(plan->refuse);
    Py_DECREF(plan->is_invalid);
    PyMem_Free(plan);
}

int q5py_websocket_plan_traverse(const struct q5py_websocket_plan *plan, visitproc visit,
                                 void *arg) {
    if (!plan) return 0;
    Py_VISIT(plan->decode);
    Py_VISIT(plan->encode);
    Py_VISIT(plan->refuse);
    Py_VISIT(plan->is_invalid);
    return 0;
}

/* ---- the handshake --------------------------------------------------------------------------- */

static int refuse(q5py_flight *flight, int status, const char *detail) {
    PyObject *answer = PyObject_CallFunction(flight->plan->websocket->refuse, "is", status, detail);
    int rc =
        answer ? q5py_reply_from_answer(flight->server->state, answer, &flight->reply, NULL) : -1;
    Py_XDECREF(answer);
    return rc < 0 ? -1 : Q5PY_GUARD_ANSWER;
}

/* 1, 0, or -1 with an exception. */
static int in_list(q5_slice origin, PyObject *origins) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(origins); i++) {
        Py_ssize_t len;
        const char *text = PyUnicode_AsUTF8AndSize(PyTuple_GET_ITEM(origins, i), &len);
        if (!text) return -1;
        q5_slice pattern = q5_slice_make(text, (size_t)len);
        if (q5_slice_eq(pattern, Q5_LIT("*")) || q5_ws_origin_matches(origin, pattern)) return 1;
    }
    return 0;
}

/* 1, 0, or -1 with an exception. What is no browser sends none. */
static int origin_allowed(const q5py_flight *flight) {
    const q5_field *origin = q5_head_known(&flight->x->head, Q5_FIELD_ORIGIN);
    if (!origin) return 1;
    q5_slice host = q5py_hosts_name(flight->server, flight->x);
    if (q5_ws_same_origin(origin->value, host, q5py_client_is_https(flight->x))) return 1;
    return in_list(origin->value, flight->plan->websocket->origins);
}

int q5py_websocket_check(q5py_flight *flight) {
    q5_slice key;
    int status = q5_ws_handshake_check(&flight->x->head, &key);
    if (status) return refuse(flight, q5_status_http(status), q5_status_text(status));
    int allowed = origin_allowed(flight);
    if (allowed == 0) return refuse(flight, 403, "the Origin is not allowed");
    return allowed < 0 ? -1 : Q5PY_GUARD_GO;
}
