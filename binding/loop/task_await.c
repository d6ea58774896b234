/* _quintette.TaskAwait: what asyncio.Future.__await__ answers. It yields the task while that is
 * pending, then ends with its outcome. */
#include "task_internal.h"

#include "convert.h"

typedef struct task_await {
    PyObject_HEAD q5py_task *task; /* owned; NULL once the outcome was given */
} task_await;

PyObject *q5py_task_await(PyObject *op) {
    q5py_state *state = ((q5py_task *)op)->module;
    task_await *self = (task_await *)state->task_await_type->tp_alloc(state->task_await_type, 0);
    if (self) self->task = (q5py_task *)Py_NewRef(op);
    return (PyObject *)self;
}

static PyObject *task_await_next(PyObject *op) {
    task_await *self = (task_await *)op;
    q5py_task *task = self->task;
    if (!task) return NULL;
    if (task->state == Q5PY_TASK_PENDING && !task->blocking) {
        task->blocking = true;
        return Py_NewRef((PyObject *)task);
    }
    if (task->state == Q5PY_TASK_PENDING) {
        PyErr_SetString(PyExc_RuntimeError, "await wasn't used with future");
        return NULL;
    }
    self->task = NULL;
    PyObject *result = q5py_task_result((PyObject *)task, NULL);
    if (result) q5py_stop_iteration(result);
    Py_DECREF(task);
    return NULL;
}

static int task_await_traverse(PyObject *op, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(op));
    Py_VISIT((PyObject *)((task_await *)op)->task);
    return 0;
}

static int task_await_clear(PyObject *op) {
    Py_CLEAR(((task_await *)op)->task);
    return 0;
}

static void task_await_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    task_await_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyType_Slot task_await_slots[] = {
    {Py_tp_dealloc, task_await_dealloc}, {Py_tp_traverse, task_await_traverse},
    {Py_tp_clear, task_await_clear},     {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, task_await_next},   {0, NULL},
};

static PyType_Spec task_await_spec = {
    .name = "quintette._quintette.TaskAwait",
    .basicsize = sizeof(task_await),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = task_await_slots,
};

int q5py_init_task_await(PyObject *module, q5py_state *state) {
    state->task_await_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &task_await_spec, NULL);
    return state->task_await_type ? 0 : -1;
}
