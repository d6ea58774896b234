/* The type _quintette.Job: a job in the hands of a Python executor or loop. Whatever these do with
 * it, a flight must end once, and never while a thread works for it. */
#include "server.h"

typedef struct job_object {
    PyObject_HEAD q5py_job *job; /* NULL once finished or forgotten */
    q5py_flight *flight;         /* whose job it is; NULL: a feed's */
    bool begun, running, finish_asked;
} job_object;

static PyObject *job_object_new(q5py_state *state, q5py_job *job, q5py_flight *flight) {
    job_object *self = (job_object *)state->job_type->tp_alloc(state->job_type, 0);
    if (!self) return NULL;
    self->job = job;
    self->flight = flight;
    Py_XSETREF(job->object, Py_NewRef((PyObject *)self));
    return (PyObject *)self;
}

static void job_object_forget(job_object *self) {
    q5py_job *job = self->job;
    self->job = NULL;
    if (job && job->object == (PyObject *)self) Py_CLEAR(job->object);
}

static void finish_job(job_object *self) {
    q5py_job *job = self->job;
    if (!job) return;
    job_object_forget(self);
    job->finish(job);
}

void q5py_job_forget(q5py_server *server, q5py_job *job) {
    if (job->object) job_object_forget((job_object *)job->object);
    if (server->poller) q5py_poller_forget(server->poller, job);
}

static PyObject *job_run(PyObject *op, PyObject *unused) {
    (void)unused;
    job_object *self = (job_object *)op;
    if (!self->job || self->begun) Py_RETURN_NONE;
    self->begun = self->running = true;
    self->job->run(self->job);
    self->running = false;
    if (self->finish_asked) finish_job(self);
    Py_RETURN_NONE;
}

/* On the loop's thread, while another runs the job: that one goes on and ends the flight; the
 * client sees its connection cut. */
static void finish_behind(job_object *self) {
    self->finish_asked = true;
    q5_response_abort(self->flight->x);
    q5py_flight_gone(self->flight);
}

static PyObject *job_finish(PyObject *op, PyObject *unused) {
    (void)unused;
    job_object *self = (job_object *)op;
    if (self->running)
        finish_behind(self); /* whoever waited for run() was cancelled */
    else
        finish_job(self);
    Py_RETURN_NONE;
}

static void job_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef job_methods[] = {
    {"run", job_run, METH_NOARGS, "run(): in a worker thread"},
    {"finish", job_finish, METH_NOARGS, "finish(): afterwards, on the loop's thread"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot job_slots[] = {
    {Py_tp_doc, "Work for an executor: call run(), then finish()."},
    {Py_tp_dealloc, job_dealloc},
    {Py_tp_methods, job_methods},
    {0, NULL},
};

static PyType_Spec job_spec = {
    .name = "quintette._quintette.Job",
    .basicsize = sizeof(job_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = job_slots,
};

int q5py_init_job(PyObject *module, q5py_state *state) {
    state->job_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &job_spec, NULL);
    return state->job_type ? 0 : -1;
}

/* ---- handing them out ------------------------------------------------------------------------ */

/* The executor may have begun or finished the job before it failed. */
static int execute(q5py_server *server, q5py_flight *flight) {
    job_object *op = (job_object *)job_object_new(server->state, &flight->job, flight);
    if (!op) return -1;
    PyObject *done = PyObject_CallOneArg(server->executor, (PyObject *)op);
    bool taken = done || !op->job || op->running;
    if (!done && taken) q5py_server_error(server, NULL);
    if (!done && op->job && op->running) finish_behind(op);
    if (!taken) job_object_forget(op);
    Py_XDECREF(done);
    Py_DECREF(op);
    return taken ? 0 : -1;
}

int q5py_server_submit(q5py_server *server, q5py_flight *flight) {
    if (server->executor) return execute(server, flight);
    if (!server->threads || !server->poller) {
        PyErr_SetString(PyExc_RuntimeError, "the server has no threads for synchronous handlers");
        return -1;
    }
    return q5py_thread_pool_submit(server->threads, &flight->job, server->poller);
}

void q5py_server_post(q5py_server *server, q5py_job *job) {
    if (server->poller) {
        q5py_poller_post(server->poller, job);
        return;
    }
    PyObject *loop = server->memory_loop;
    PyObject *op = job_object_new(server->state, job, NULL);
    PyObject *finish = op ? PyObject_GetAttr(op, server->state->str_finish) : NULL;
    PyObject *done =
        finish && loop ? PyObject_CallMethod(loop, "call_soon_threadsafe", "O", finish) : NULL;
    Py_XDECREF(done);
    Py_XDECREF(finish);
    Py_XDECREF(op);
    if (!done) q5py_server_error(server, NULL);
}
