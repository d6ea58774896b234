/* See sync_call.h. Greenlets are kept and used again: one waits, in worker_main(), for its next
 * call. A greenlet has what a thread would have of its own: a C stack, an exception state, a
 * context, and a dict for thread-local data, which is why threading.local and with it what packages
 * keep "per thread" does not pass from one request to another that runs in between. */
#include "sync_call.h"

#include <pythread.h>

#include "convert.h"
#include "thread_locals.h"

#include <greenlet.h>

/* Idle greenlets kept for each thread. */
#define IDLE_MAX 256

/* Which arguments a switch passes on; nothing travels that way. */
#define NO_ARGS NULL

typedef struct sync_call sync_call;

/* A greenlet of ours. Owned by its call while it runs one, else by the thread's list, or, should
 * the call be freed by another thread, by worker_main(). */
typedef struct worker {
    PyGreenlet *greenlet; /* owned; NULL: orphaned */
    q5py_thread_locals locals;
    sync_call *call; /* borrowed; NULL: idle, or orphaned */
    struct worker *next;
    bool last_call; /* it ends with the call that it runs */
} worker;

struct sync_call {
    PyObject_HEAD q5py_state *module;
    PyObject *(*body)(void *arg);
    void *arg;
    PyObject *func, *args, *kwargs; /* of call_python */
    worker *worker;                 /* owned while the call runs */
    PyGreenlet *stepper;            /* owned during a step: who is switched back to */
    sync_call *outer;               /* borrowed during a step: whose code steps this one */
    PyGreenlet *waiting;            /* owned between steps: who is switched to */
    PyObject *awaited;              /* owned: what q5py_yield() hands out */
    PyObject *thrown;               /* owned: what it shall raise */
    PyObject *result, *exception;   /* owned; once ended */
    unsigned long thread_id;
    bool started, stepping, ended, closing, stands_still;
};

/* What belongs to one thread. Without the GIL's help: a thread looks at its own only. */
static _Thread_local struct {
    sync_call *current; /* borrowed: whose greenlet runs */
    worker *idle;
    int idle_count;
} here;

bool q5py_in_greenlet(void) {
    return here.current != NULL;
}

bool q5py_can_wait(void) {
    return here.current && !here.current->stands_still;
}

/* ---- greenlets ------------------------------------------------------------------------------- */

static PyObject *worker_main(PyObject *capsule, PyObject *unused);

static PyMethodDef worker_main_def = {"greenlet", worker_main, METH_VARARGS, NULL};

static void worker_free(worker *self) {
    Py_XDECREF((PyObject *)self->greenlet);
    q5py_thread_locals_clear(&self->locals);
    PyMem_Free(self);
}

/* The thread's own greenlet, a new reference: the parent of ours, which outlive each other. */
static PyGreenlet *root_greenlet(void) {
    PyGreenlet *greenlet = PyGreenlet_GetCurrent(), *parent;
    while (greenlet && (parent = PyGreenlet_GetParent(greenlet)))
        Py_SETREF(greenlet, parent);
    return greenlet;
}

static worker *worker_new(void) {
    worker *self = PyMem_Calloc(1, sizeof(*self));
    if (!self) {
        PyErr_NoMemory();
        return NULL;
    }
    PyObject *capsule = PyCapsule_New(self, NULL, NULL);
    PyObject *run = capsule ? PyCFunction_New(&worker_main_def, capsule) : NULL;
    PyGreenlet *root = run ? root_greenlet() : NULL;
    if (root) self->greenlet = PyGreenlet_New(run, root);
    Py_XDECREF(capsule);
    Py_XDECREF(run);
    Py_XDECREF((PyObject *)root);
    if (self->greenlet) return self;
    worker_free(self);
    return NULL;
}

static worker *worker_take(void) {
    worker *self = here.idle;
    if (!self) return worker_new();
    here.idle = self->next;
    here.idle_count--;
    return self;
}

/* Idle greenlets would outlive a thread that ends, and could then not be ended. */
static bool may_keep(q5py_state *state) {
    return here.idle_count < IDLE_MAX && PyThread_get_thread_ident() == state->main_thread;
}

static void worker_give_back(worker *self) {
    if (self->last_call) {
        worker_free(self);
        return;
    }
    self->next = here.idle;
    here.idle = self;
    here.idle_count++;
}

/* False: nobody is there to take the outcome. */
static bool take_outcome(worker *self, PyObject *result) {
    sync_call *call = self->call;
    if (!call) {
        if (!result) PyErr_Clear();
        Py_XDECREF(result);
        return false;
    }
    call->result = result;
    if (!result) call->exception = q5py_exception_take();
    call->ended = true;
    return true;
}

/* The stepper's context while a call runs, none while idle. Set from within: of a greenlet without
 * a Python frame that is switched away from, greenlet believes that another thread runs it. */
static int set_context(worker *self, q5py_state *state, PyObject *context) {
    return PyObject_SetAttr((PyObject *)self->greenlet, state->str_gr_context, context);
}

static PyObject *run_body(worker *self) {
    sync_call *call = self->call;
    PyObject *stepper = (PyObject *)call->stepper;
    PyObject *context = PyObject_GetAttr(stepper, call->module->str_gr_context);
    int rc = context ? set_context(self, call->module, context) : -1;
    Py_XDECREF(context);
    return rc ? NULL : call->body(call->arg);
}

static PyObject *worker_main(PyObject *capsule, PyObject *unused) {
    (void)unused;
    worker *self = PyCapsule_GetPointer(capsule, NULL);
    for (;;) {
        if (!take_outcome(self, run_body(self))) {
            worker_free(self);
            Py_RETURN_NONE;
        }
        sync_call *call = self->call;
        self->last_call =
            call->closing || !may_keep(call->module) || set_context(self, call->module, Py_None);
        if (self->last_call) {
            PyErr_Clear();
            if (PyGreenlet_SetParent(self->greenlet, call->stepper)) return NULL;
            Py_RETURN_NONE;
        }
        PyObject *done = PyGreenlet_Switch(call->stepper, NO_ARGS, NULL);
        if (!done) return NULL; /* GreenletExit: the interpreter ends */
        Py_DECREF(done);
    }
}

/* ---- switching ------------------------------------------------------------------------------- */

static int begin(sync_call *self) {
    worker *taken = worker_take();
    if (!taken) return -1;
    if (q5py_thread_locals_renew(&taken->locals)) {
        worker_free(taken);
        return -1;
    }
    taken->call = self;
    self->worker = taken;
    self->waiting = (PyGreenlet *)Py_NewRef((PyObject *)taken->greenlet);
    self->started = true;
    self->thread_id = PyThread_get_thread_ident();
    return 0;
}

/* The running loop: NULL with an exception when it is not known. */
static PyObject *hide_loop(q5py_state *state) {
    PyObject *loop = PyObject_CallNoArgs(state->get_running_loop);
    PyObject *done = loop ? PyObject_CallOneArg(state->set_running_loop, Py_None) : NULL;
    if (!done) Py_CLEAR(loop);
    Py_XDECREF(done);
    return loop;
}

/* Steals the reference, if there is one. */
static void show_loop(q5py_state *state, PyObject *loop) {
    PyObject *done = loop ? PyObject_CallOneArg(state->set_running_loop, loop) : NULL;
    if (loop && !done) PyErr_WriteUnraisable(loop);
    Py_XDECREF(done);
    Py_XDECREF(loop);
}

/* The greenlet runs until it waits or the call has ended. */
static void run_on(sync_call *self) {
    self->outer = here.current;
    here.current = self;
    q5py_thread_locals_swap(&self->worker->locals);
    PyObject *loop = self->stands_still ? hide_loop(self->module) : NULL;
    PyGreenlet *waiting = self->waiting;
    self->waiting = NULL;
    PyObject *done = PyGreenlet_Switch(waiting, NO_ARGS, NULL);
    Py_DECREF((PyObject *)waiting);
    show_loop(self->module, loop);
    q5py_thread_locals_swap(&self->worker->locals);
    here.current = self->outer;
    self->outer = NULL;
    if (!done && !self->ended) { /* the greenlet could not be switched to, or was killed */
        self->exception = q5py_exception_take();
        self->ended = self->worker->last_call = true;
    } else if (!done) {
        PyErr_Clear();
    }
    Py_XDECREF(done);
}

static void end(sync_call *self) {
    worker *done = self->worker;
    self->worker = NULL;
    done->call = NULL;
    worker_give_back(done);
}

/* As out of a coroutine, StopIteration must not come: it would look like a result. */
static void raise_exception(sync_call *self) {
    PyObject *exception = self->exception;
    self->exception = NULL;
    if (PyErr_GivenExceptionMatches(exception, PyExc_StopIteration)) {
        PyObject *error =
            PyObject_CallFunction(PyExc_RuntimeError, "s", "synchronous code raised StopIteration");
        if (error) PyException_SetCause(error, exception);
        exception = error ? error : q5py_exception_take();
    }
    q5py_exception_set(exception);
}

/* ret_value: the awaited object, or the result. */
static PySendResult step(sync_call *self, PyObject **ret_value) {
    self->stepping = true;
    self->stepper = PyGreenlet_GetCurrent();
    if (self->stepper && (self->started || begin(self) == 0)) run_on(self);
    Py_CLEAR(self->stepper);
    self->stepping = false;
    if (!self->started) return PYGEN_ERROR;
    if (!self->ended) {
        *ret_value = self->awaited;
        self->awaited = NULL;
        return PYGEN_NEXT;
    }
    end(self);
    if (self->exception) {
        raise_exception(self);
        return PYGEN_ERROR;
    }
    *ret_value = self->result;
    self->result = NULL;
    return PYGEN_RETURN;
}

int q5py_yield(PyObject *awaited) {
    sync_call *self = here.current;
    if (!self || self->closing) {
        PyErr_SetString(PyExc_RuntimeError, self ? "synchronous code that is being closed cannot "
                                                   "wait"
                                                 : "only code in a greenlet can wait here");
        return -1;
    }
    Py_XSETREF(self->awaited, Py_NewRef(awaited));
    self->waiting = PyGreenlet_GetCurrent(); /* the code may have greenlets of its own */
    PyObject *done = PyGreenlet_Switch(self->stepper, NO_ARGS, NULL);
    Py_XDECREF(done);
    if (!done) return -1; /* GreenletExit */
    if (!self->thrown) return 0;
    PyObject *thrown = self->thrown;
    self->thrown = NULL;
    q5py_exception_set(thrown);
    return -1;
}

/* ---- the methods of a coroutine -------------------------------------------------------------- */

static int check_usable(sync_call *self) {
    if (!self->stepping && !(self->ended && !self->worker)) {
        if (!self->started || self->thread_id == PyThread_get_thread_ident()) return 0;
        PyErr_SetString(PyExc_RuntimeError, "a call in a greenlet belongs to its thread");
        return -1;
    }
    PyErr_SetString(PyExc_RuntimeError, self->stepping ? "the call is being stepped already"
                                                       : "cannot reuse an awaited call");
    return -1;
}

static PySendResult sync_call_send(PyObject *op, PyObject *value, PyObject **ret) {
    (void)value;
    sync_call *self = (sync_call *)op;
    *ret = NULL;
    return check_usable(self) ? PYGEN_ERROR : step(self, ret);
}

static PyObject *to_python(PySendResult sent, PyObject *value) {
    if (sent != PYGEN_RETURN) return value; /* NULL: an exception is set */
    q5py_stop_iteration(value);
    return NULL;
}

static PyObject *sync_call_next(PyObject *op) {
    PyObject *value;
    PySendResult sent = sync_call_send(op, Py_None, &value);
    return to_python(sent, value);
}

static PyObject *sync_call_send_method(PyObject *op, PyObject *value) {
    (void)value;
    return sync_call_next(op);
}

static PyObject *throw_in(sync_call *self, PyObject *exception) {
    PyObject *value = NULL;
    if (check_usable(self)) return NULL;
    if (!self->started) {
        self->started = self->ended = true;
        q5py_exception_set(Py_NewRef(exception));
        return NULL;
    }
    Py_XSETREF(self->thrown, Py_NewRef(exception));
    PySendResult sent = step(self, &value);
    return to_python(sent, value);
}

/* As a generator's: throw(type, value, traceback) is the older form. */
static PyObject *sync_call_throw(PyObject *op, PyObject *const *args, Py_ssize_t nargs) {
    if (nargs < 1 || nargs > 3) {
        PyErr_SetString(PyExc_TypeError, "throw() takes from 1 to 3 arguments");
        return NULL;
    }
    PyObject *value = nargs > 1 && args[1] != Py_None ? args[1] : NULL;
    PyObject *exception = PyType_Check(args[0])
                              ? (value && PyExceptionInstance_Check(value)
                                     ? Py_NewRef(value)
                                     : PyObject_CallFunctionObjArgs(args[0], value, NULL))
                              : Py_NewRef(args[0]);
    if (!exception) return NULL;
    PyObject *result = NULL;
    if (PyExceptionInstance_Check(exception))
        result = throw_in((sync_call *)op, exception);
    else
        PyErr_SetString(PyExc_TypeError, "exceptions must derive from BaseException");
    Py_DECREF(exception);
    return result;
}

/* Unwinds the code at its wait; what it wants to wait for meanwhile is refused. */
static int close_call(sync_call *self) {
    if (!self->started) self->started = self->ended = true;
    if (!self->worker || self->stepping) return 0;
    self->closing = true;
    PyObject *exit = PyObject_CallNoArgs(PyExc_GeneratorExit);
    PyObject *value = exit ? throw_in(self, exit) : NULL;
    Py_XDECREF(exit);
    if (value || PyErr_ExceptionMatches(PyExc_StopIteration) ||
        PyErr_ExceptionMatches(PyExc_GeneratorExit)) {
        Py_XDECREF(value);
        PyErr_Clear();
        return 0;
    }
    return -1;
}

static PyObject *sync_call_close(PyObject *op, PyObject *unused) {
    (void)unused;
    if (((sync_call *)op)->stepping) {
        PyErr_SetString(PyExc_ValueError, "the call is being stepped");
        return NULL;
    }
    if (close_call((sync_call *)op)) return NULL;
    Py_RETURN_NONE;
}

/* ---- calling Python -------------------------------------------------------------------------- */

static PyObject *call_python(void *arg) {
    sync_call *self = arg;
    PyObject *func = self->func, *args = self->args, *kwargs = self->kwargs;
    self->func = self->args = self->kwargs = NULL;
    PyObject *result = PyObject_Call(func, args, kwargs);
    Py_DECREF(func);
    Py_DECREF(args);
    Py_XDECREF(kwargs);
    return result;
}

static sync_call *sync_call_alloc(q5py_state *state, PyObject *(*body)(void *), void *arg) {
    sync_call *self = (sync_call *)state->sync_call_type->tp_alloc(state->sync_call_type, 0);
    if (!self) return NULL;
    self->module = state;
    self->body = body;
    self->arg = arg ? arg : self;
    return self;
}

PyObject *q5py_sync_call_new(q5py_state *state, PyObject *(*body)(void *), void *arg,
                             bool stands_still) {
    sync_call *self = sync_call_alloc(state, body, arg);
    if (self) self->stands_still = stands_still;
    return (PyObject *)self;
}

static PyObject *sync_call_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    if (PyTuple_GET_SIZE(args) < 1 || !PyCallable_Check(PyTuple_GET_ITEM(args, 0))) {
        PyErr_SetString(PyExc_TypeError, "SyncCall(func, *args, **kwargs): a callable is needed");
        return NULL;
    }
    sync_call *self = sync_call_alloc(q5py_state_of_type(type), call_python, NULL);
    if (!self) return NULL;
    self->func = Py_NewRef(PyTuple_GET_ITEM(args, 0));
    self->kwargs = Py_XNewRef(kwargs);
    self->args = PyTuple_GetSlice(args, 1, PyTuple_GET_SIZE(args));
    if (!self->args) Py_CLEAR(self);
    return (PyObject *)self;
}

/* ---- awaiting in synchronous code ---------------------------------------------------------------
 */

static PyObject *throw_into(q5py_state *state, PyObject *awaited, PyObject **ret_yielded) {
    PyObject *exception = q5py_exception_take(), *throw = NULL, *result = NULL;
    if (q5py_find_attribute(awaited, state->str_throw, &throw) > 0) {
        *ret_yielded = PyObject_CallOneArg(throw, exception);
        Py_DECREF(throw);
        Py_DECREF(exception);
    } else {
        q5py_exception_set(exception);
    }
    if (!*ret_yielded && PyErr_ExceptionMatches(PyExc_StopIteration)) {
        PyObject *stop = q5py_exception_take();
        result = Py_NewRef(((PyStopIterationObject *)stop)->value);
        Py_DECREF(stop);
    }
    return result;
}

/* Steps what was got from __await__ here, and hands on what it yields. */
static PyObject *step_here(q5py_state *state, PyObject *awaited) {
    PyObject *yielded = NULL, *result;
    PySendResult sent = PyIter_Send(awaited, Py_None, &yielded);
    while (sent == PYGEN_NEXT) {
        int rc = q5py_yield(yielded);
        Py_CLEAR(yielded);
        if (rc == 0) {
            sent = PyIter_Send(awaited, Py_None, &yielded);
            continue;
        }
        result = throw_into(state, awaited, &yielded);
        if (!yielded) return result;
    }
    return sent == PYGEN_RETURN ? yielded : NULL;
}

static PyObject *awaited_of(PyObject *awaitable) {
    if (PyCoro_CheckExact(awaitable)) return Py_NewRef(awaitable);
    PyAsyncMethods *methods = Py_TYPE(awaitable)->tp_as_async;
    if (methods && methods->am_await) return methods->am_await(awaitable);
    PyErr_Format(PyExc_TypeError, "object %.100s can't be used in wait_for()",
                 Py_TYPE(awaitable)->tp_name);
    return NULL;
}

PyObject *q5py_wait_for(PyObject *module, PyObject *awaitable) {
    if (!q5py_can_wait()) {
        PyErr_SetString(PyExc_RuntimeError, "only code in a greenlet can wait here");
        return NULL;
    }
    PyObject *awaited = awaited_of(awaitable);
    PyObject *result = awaited ? step_here(q5py_state_of(module), awaited) : NULL;
    Py_XDECREF(awaited);
    return result;
}

PyObject *q5py_can_wait_py(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    return PyBool_FromLong(q5py_can_wait());
}

PyObject *q5py_steppers(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    PyObject *found = PyList_New(0);
    for (sync_call *call = here.current; found && call; call = call->outer)
        if (PyList_Append(found, (PyObject *)call->stepper)) Py_CLEAR(found);
    return found;
}

/* ---- the type -------------------------------------------------------------------------------- */

static int sync_call_traverse(PyObject *op, visitproc visit, void *arg) {
    sync_call *self = (sync_call *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->func);
    Py_VISIT(self->args);
    Py_VISIT(self->kwargs);
    Py_VISIT(self->awaited);
    Py_VISIT(self->thrown);
    Py_VISIT(self->result);
    Py_VISIT(self->exception);
    return 0;
}

static int sync_call_clear(PyObject *op) {
    sync_call *self = (sync_call *)op;
    Py_CLEAR(self->func);
    Py_CLEAR(self->args);
    Py_CLEAR(self->kwargs);
    Py_CLEAR(self->awaited);
    Py_CLEAR(self->thrown);
    Py_CLEAR(self->result);
    Py_CLEAR(self->exception);
    return 0;
}

/* Like a coroutine that nobody steps any more, it is closed. In another thread that is impossible:
 * greenlet then unwinds it when its own thread comes by. */
static void sync_call_finalize(PyObject *op) {
    sync_call *self = (sync_call *)op;
    PyObject *error = q5py_exception_take();
    if (self->worker && self->thread_id == PyThread_get_thread_ident() && close_call(self))
        PyErr_WriteUnraisable(op);
    if (error) q5py_exception_set(error);
}

static void orphan(worker *greenlet_worker) {
    PyGreenlet *greenlet = greenlet_worker->greenlet;
    greenlet_worker->greenlet = NULL;
    greenlet_worker->call = NULL;
    Py_DECREF((PyObject *)greenlet);
}

static void sync_call_dealloc(PyObject *op) {
    sync_call *self = (sync_call *)op;
    PyTypeObject *type = Py_TYPE(op);
    if (self->worker && PyObject_CallFinalizerFromDealloc(op)) return;
    PyObject_GC_UnTrack(op);
    Py_CLEAR(self->waiting);
    if (self->worker) orphan(self->worker);
    sync_call_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef sync_call_methods[] = {
    {"send", sync_call_send_method, METH_O, "send(None)"},
    {"throw", (PyCFunction)(void (*)(void))sync_call_throw, METH_FASTCALL, "throw(exception)"},
    {"close", sync_call_close, METH_NOARGS, "close()"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot sync_call_slots[] = {
    {Py_tp_doc, "SyncCall(func, *args, **kwargs)\n\nAn awaitable that runs func in a greenlet."},
    {Py_tp_new, sync_call_new},
    {Py_tp_dealloc, sync_call_dealloc},
    {Py_tp_finalize, sync_call_finalize},
    {Py_tp_traverse, sync_call_traverse},
    {Py_tp_clear, sync_call_clear},
    {Py_tp_methods, sync_call_methods},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, sync_call_next},
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, sync_call_send},
    {0, NULL},
};

static PyType_Spec sync_call_spec = {
    .name = "quintette._quintette.SyncCall",
    .basicsize = sizeof(sync_call),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = sync_call_slots,
};

static int find_main_thread(q5py_state *state) {
    PyObject *threading = PyImport_ImportModule("threading");
    PyObject *main = threading ? PyObject_CallMethod(threading, "main_thread", NULL) : NULL;
    PyObject *ident = main ? PyObject_GetAttrString(main, "ident") : NULL;
    if (ident) state->main_thread = PyLong_AsUnsignedLong(ident);
    Py_XDECREF(threading);
    Py_XDECREF(main);
    Py_XDECREF(ident);
    return PyErr_Occurred() ? -1 : 0;
}

int q5py_init_sync_call(PyObject *module, q5py_state *state) {
    PyGreenlet_Import();
    if (!_PyGreenlet_API || find_main_thread(state)) return -1;
    state->sync_call_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &sync_call_spec, NULL);
    return state->sync_call_type ? PyModule_AddType(module, state->sync_call_type) : -1;
}
