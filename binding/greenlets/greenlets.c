/* The greenlets that calls run in, and switching to and from them: the only file that uses
 * greenlet's API. Greenlets are kept and used again: one waits, in greenlet_main(), for its next
 * call. A greenlet has what a thread would have of its own: a C stack, an exception state, a
 * context, and a dict for thread-local data, which is why threading.local and with it what packages
 * keep "per thread" does not pass from one request to another that runs in between. */
#include "sync_call_internal.h"

#include <greenlet.h>
#include <pythread.h>

#include "convert.h"

/* Idle greenlets kept for each thread. */
#define IDLE_MAX 256

/* Which arguments a switch passes on; nothing travels that way. */
#define NO_ARGS NULL

/* What belongs to one thread. Without the GIL's help: a thread looks at its own only. */
static _Thread_local struct {
    q5py_sync_call *current; /* borrowed: whose greenlet runs */
    q5py_greenlet *idle;
    int idle_count;
} here;

bool q5py_in_greenlet(void) {
    return here.current != NULL;
}

bool q5py_can_wait(void) {
    return here.current && !here.current->stands_still;
}

/* ---- making and keeping ---------------------------------------------------------------------- */

static PyObject *greenlet_main(PyObject *capsule, PyObject *unused);

static PyMethodDef greenlet_main_def = {"greenlet", greenlet_main, METH_VARARGS, NULL};

static void greenlet_free(q5py_greenlet *self) {
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

static q5py_greenlet *greenlet_new(void) {
    q5py_greenlet *self = PyMem_Calloc(1, sizeof(*self));
    if (!self) {
        PyErr_NoMemory();
        return NULL;
    }
    PyObject *capsule = PyCapsule_New(self, NULL, NULL);
    PyObject *run = capsule ? PyCFunction_New(&greenlet_main_def, capsule) : NULL;
    PyGreenlet *root = run ? root_greenlet() : NULL;
    if (root) self->greenlet = PyGreenlet_New(run, root);
    Py_XDECREF(capsule);
    Py_XDECREF(run);
    Py_XDECREF((PyObject *)root);
    if (self->greenlet) return self;
    greenlet_free(self);
    return NULL;
}

static q5py_greenlet *greenlet_take(void) {
    q5py_greenlet *self = here.idle;
    if (!self) return greenlet_new();
    here.idle = self->next;
    here.idle_count--;
    return self;
}

/* Idle greenlets would outlive a thread that ends, and could then not be ended. */
static bool may_keep(q5py_state *state) {
    return here.idle_count < IDLE_MAX && PyThread_get_thread_ident() == state->main_thread;
}

static void greenlet_give_back(q5py_greenlet *self) {
    if (self->last_call) {
        greenlet_free(self);
        return;
    }
    self->next = here.idle;
    here.idle = self;
    here.idle_count++;
}

void q5py_greenlet_orphan(q5py_greenlet *self) {
    PyGreenlet *greenlet = self->greenlet;
    self->greenlet = NULL;
    self->call = NULL;
    Py_DECREF((PyObject *)greenlet);
}

/* ---- within the greenlet --------------------------------------------------------------------- */

/* False: nobody is there to take the outcome. */
static bool take_outcome(q5py_greenlet *self, PyObject *result) {
    q5py_sync_call *call = self->call;
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
static int set_context(q5py_greenlet *self, q5py_state *state, PyObject *context) {
    return PyObject_SetAttr((PyObject *)self->greenlet, state->str_gr_context, context);
}

static PyObject *run_body(q5py_greenlet *self) {
    q5py_sync_call *call = self->call;
    PyObject *stepper = (PyObject *)call->stepper;
    PyObject *context = PyObject_GetAttr(stepper, call->module->str_gr_context);
    int rc = context ? set_context(self, call->module, context) : -1;
    Py_XDECREF(context);
    return rc ? NULL : call->body(call->arg);
}

static PyObject *greenlet_main(PyObject *capsule, PyObject *unused) {
    (void)unused;
    q5py_greenlet *self = PyCapsule_GetPointer(capsule, NULL);
    for (;;) {
        if (!take_outcome(self, run_body(self))) {
            greenlet_free(self);
            Py_RETURN_NONE;
        }
        q5py_sync_call *call = self->call;
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

static int begin(q5py_sync_call *self) {
    q5py_greenlet *taken = greenlet_take();
    if (!taken) return -1;
    if (q5py_thread_locals_renew(&taken->locals)) {
        greenlet_free(taken);
        return -1;
    }
    taken->call = self;
    self->greenlet = taken;
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
static void run_on(q5py_sync_call *self) {
    self->outer = here.current;
    here.current = self;
    q5py_thread_locals_swap(&self->greenlet->locals);
    PyObject *loop = self->stands_still ? hide_loop(self->module) : NULL;
    PyGreenlet *waiting = self->waiting;
    self->waiting = NULL;
    PyObject *done = PyGreenlet_Switch(waiting, NO_ARGS, NULL);
    Py_DECREF((PyObject *)waiting);
    show_loop(self->module, loop);
    q5py_thread_locals_swap(&self->greenlet->locals);
    here.current = self->outer;
    self->outer = NULL;
    if (!done && !self->ended) { /* the greenlet could not be switched to, or was killed */
        self->exception = q5py_exception_take();
        self->ended = self->greenlet->last_call = true;
    } else if (!done) {
        PyErr_Clear();
    }
    Py_XDECREF(done);
}

static void end(q5py_sync_call *self) {
    q5py_greenlet *done = self->greenlet;
    self->greenlet = NULL;
    done->call = NULL;
    greenlet_give_back(done);
}

/* As out of a coroutine, StopIteration must not come: it would look like a result. */
static void raise_exception(q5py_sync_call *self) {
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

PySendResult q5py_sync_call_step(q5py_sync_call *self, PyObject **ret_value) {
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
    q5py_sync_call *self = here.current;
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

PyObject *q5py_steppers(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    PyObject *found = PyList_New(0);
    for (q5py_sync_call *call = here.current; found && call; call = call->outer)
        if (PyList_Append(found, (PyObject *)call->stepper)) Py_CLEAR(found);
    return found;
}

/* ---- set-up ---------------------------------------------------------------------------------- */

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

int q5py_init_greenlets(q5py_state *state) {
    PyGreenlet_Import();
    return _PyGreenlet_API ? find_main_thread(state) : -1;
}
