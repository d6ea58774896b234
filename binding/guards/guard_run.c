/* A request's way through the guards of its route, and what they share. */
#include "auth/auth.h"

#include "api/plan_data.h"
#include "django/request.h"
#include "traffic/client.h"

int q5py_pass_init(q5py_pass *pass, q5py_state *state, q5py_plan *plan, q5_exchange *x,
                   PyObject *request) {
    *pass = (q5py_pass){.state = state, .plan = plan, .x = x};
    pass->request = Py_XNewRef(request);
    uint8_t count = plan->data->guard_count;
    if (!count) return 0;
    pass->count = count;
    pass->notes = q5_arena_alloc(&x->arena, count * sizeof(*pass->notes));
    if (!pass->notes) {
        PyErr_NoMemory();
        return -1;
    }
    memset(pass->notes, 0, count * sizeof(*pass->notes));
    return 0;
}

void q5py_pass_clear(q5py_pass *pass) {
    for (uint8_t i = 0; pass->notes && i < pass->count; i++)
        Py_CLEAR(pass->notes[i]);
    pass->notes = NULL;
    Py_CLEAR(pass->request);
    Py_CLEAR(pass->after);
    Py_CLEAR(pass->auth);
    Py_CLEAR(pass->user);
}

/* ---- before ---------------------------------------------------------------------------------- */

int q5py_pass_before(q5py_pass *pass, q5py_reply *reply, PyObject **ret_awaitable) {
    const q5py_plan_data *data = pass->plan->data;
    for (; pass->passed < pass->count; pass->passed++) {
        q5py_guard *guard = data->guards[pass->passed];
        int rc = guard->before ? guard->before(guard, pass, reply, ret_awaitable) : Q5PY_GUARD_GO;
        if (rc != Q5PY_GUARD_GO) return rc;
    }
    return Q5PY_GUARD_GO;
}

static int take_result(q5py_pass *pass, PyObject *result, q5py_reply *reply) {
    if (result == Py_None) return Q5PY_GUARD_GO;
    if (!PyTuple_Check(result)) {
        PyErr_Format(PyExc_TypeError, "a guard answers with None or an answer, not %R", result);
        return -1;
    }
    return q5py_reply_from_answer(pass->state, result, reply, NULL) ? -1 : Q5PY_GUARD_ANSWER;
}

int q5py_pass_resume(q5py_pass *pass, PyObject *result, q5py_reply *reply,
                     PyObject **ret_awaitable) {
    q5py_guard *guard = pass->plan->data->guards[pass->passed];
    int rc = guard->resume ? guard->resume(guard, pass, result, reply, ret_awaitable)
                           : take_result(pass, result, reply);
    if (rc != Q5PY_GUARD_GO) return rc;
    pass->passed++;
    return q5py_pass_before(pass, reply, ret_awaitable);
}

/* ---- after ----------------------------------------------------------------------------------- */

/* The guard's exception takes the place of what was to be answered. */
static void replace(q5py_pass *pass, q5py_reply *reply) {
    PyObject *type, *exception, *traceback;
    PyErr_Fetch(&type, &exception, &traceback); /* dropping the reply may run anything */
    PyObject *closer = reply->closer;           /* is closed all the same */
    reply->closer = NULL;
    q5py_reply_clear(reply);
    q5py_reply_init(reply);
    PyErr_Restore(type, exception, traceback);
    q5py_plan_fail(pass, reply, NULL);
    if (!reply->closer)
        reply->closer = closer;
    else
        Py_XDECREF(closer);
}

int q5py_pass_after(q5py_pass *pass, q5py_reply *reply, PyObject **ret_awaitable) {
    while (pass->passed > 0) {
        q5py_guard *guard = pass->plan->data->guards[--pass->passed];
        if (!guard->after) continue;
        int rc = guard->after(guard, pass, reply, ret_awaitable);
        if (rc < 0) replace(pass, reply);
        if (rc == Q5PY_GUARD_WAIT) return rc;
    }
    return Q5PY_GUARD_GO;
}

int q5py_pass_finish(q5py_guard *guard, q5py_pass *pass, PyObject *finish, q5py_reply *reply,
                     PyObject **ret_awaitable) {
    PyObject *request = q5py_pass_request(pass);
    PyObject *fields = request ? PyList_New(0) : NULL;
    PyObject *made = fields ? PyObject_CallFunction(finish, "OiOO", request, reply->status, fields,
                                                    pass->may_block ? Py_True : Py_False)
                            : NULL;
    if (!made) {
        Py_XDECREF(fields);
        return -1;
    }
    Py_XSETREF(pass->notes[guard->index], fields);
    if (made != Py_None) {
        pass->passed++;
        *ret_awaitable = made;
        return Q5PY_GUARD_WAIT;
    }
    Py_DECREF(made);
    return q5py_reply_merge_fields(reply, fields);
}

/* ---- what guards ask for --------------------------------------------------------------------- */

PyObject *q5py_pass_request(q5py_pass *pass) {
    if (pass->request) return pass->request;
    pass->request = q5py_request_new(pass->state, pass->x);
    if (pass->request && pass->lazy)
        q5py_request_promise(pass->state, pass->request, pass->lazy, pass->session_store);
    if (pass->request && q5py_auth_is_through(pass) && q5py_pass_attach(pass) < 0) return NULL;
    return pass->request;
}

/* Another host's request. */
static int remote_addr(PyObject *request, char host[46]) {
    PyObject *meta = PyObject_GetAttrString(request, "META");
    PyObject *value = meta ? PyMapping_GetItemString(meta, "REMOTE_ADDR") : NULL;
    Py_XDECREF(meta);
    if (!value) {
        if (!PyErr_ExceptionMatches(PyExc_KeyError)) return -1;
        PyErr_Clear();
        return 0;
    }
    const char *text = PyUnicode_Check(value) ? PyUnicode_AsUTF8(value) : "";
    if (text) PyOS_snprintf(host, 46, "%s", text);
    Py_DECREF(value);
    return text ? 0 : -1;
}

int q5py_pass_client(q5py_pass *pass, char host[46]) {
    uint16_t port;
    q5py_client_text(pass->x, host, &port);
    return pass->x->is_detached && pass->request ? remote_addr(pass->request, host) : 0;
}
