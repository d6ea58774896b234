#include "encoder.h"

#include <sys/random.h>

#define IDLE_MAX 8          /* compressors that are kept, of all codings and levels */
#define IDLE_OUT_MAX 131072 /* bytes of output buffer that are kept with each */
#define RELEASE_GIL_MIN 16384
#define RANDOM_LEN 256

/* A compressor and the room for its output. */
typedef struct coder {
    q5_compressor compressor;
    q5_buf out;
    q5_coding coding;
    int level;
} coder;

typedef struct q5py_encoders {
    coder idle[IDLE_MAX]; /* the longest unused first */
    size_t count;
    uint8_t random[RANDOM_LEN]; /* lengths of padding to come */
    size_t random_left;
} q5py_encoders;

/* ---- compressors, kept and made -------------------------------------------------------------- */

static void coder_deinit(coder *c) {
    q5_compressor_deinit(&c->compressor);
    q5_buf_deinit(&c->out);
}

static void remove_idle(q5py_encoders *encoders, size_t at) {
    encoders->count--;
    memmove(encoders->idle + at, encoders->idle + at + 1, (encoders->count - at) * sizeof(coder));
}

/* Under the GIL, as everything that touches `encoders`. */
static int take_coder(q5py_encoders *encoders, q5_coding coding, int level, coder *ret) {
    for (size_t i = encoders->count; i-- > 0;) {
        if (encoders->idle[i].coding != coding || encoders->idle[i].level != level) continue;
        *ret = encoders->idle[i];
        remove_idle(encoders, i);
        return Q5_OK;
    }
    *ret = (coder){.coding = coding, .level = level};
    q5_buf_init(&ret->out, NULL);
    return q5_compressor_init(&ret->compressor, NULL, coding, level);
}

static void give_coder_back(q5py_encoders *encoders, coder *c) {
    if (encoders->count == IDLE_MAX) {
        coder_deinit(&encoders->idle[0]);
        remove_idle(encoders, 0);
    }
    c->out.len = 0;
    if (c->out.cap > IDLE_OUT_MAX) q5_buf_deinit(&c->out);
    encoders->idle[encoders->count++] = *c;
}

size_t q5py_random_pad(q5py_state *state) {
    q5py_encoders *encoders = state->encoders;
    if (!encoders->random_left) {
        if (getrandom(encoders->random, RANDOM_LEN, 0) != RANDOM_LEN)
            return Q5_COMPRESS_PAD_MAX; /* no entropy: constant, and so of no use, but no harm */
        encoders->random_left = RANDOM_LEN;
    }
    return 1 + encoders->random[--encoders->random_left] % Q5_COMPRESS_PAD_MAX;
}

/* Begins a stream. 0, or -1 with an exception: *ret holds nothing. */
static int begin(q5py_state *state, q5_coding coding, int level, size_t pad, uint64_t size,
                 coder *ret) {
    int status = take_coder(state->encoders, coding, level, ret);
    if (status == Q5_OK) {
        status = q5_compressor_begin(&ret->compressor, size, pad);
        if (status) coder_deinit(ret);
    }
    if (status) q5py_raise_status(status);
    return status ? -1 : 0;
}

/* ---- whole bodies ---------------------------------------------------------------------------- */

PyObject *q5py_encode_whole(q5py_state *state, q5_coding coding, int level, size_t pad,
                            q5_slice body, bool may_block) {
    coder c;
    int status;
    if (begin(state, coding, level, pad, body.len, &c)) return NULL;
    if (may_block && body.len >= RELEASE_GIL_MIN) {
        Py_BEGIN_ALLOW_THREADS
            status = q5_compressor_finish(&c.compressor, body, &c.out);
        Py_END_ALLOW_THREADS
    } else {
        status = q5_compressor_finish(&c.compressor, body, &c.out);
    }
    if (status) {
        coder_deinit(&c);
        return q5py_raise_status(status);
    }
    PyObject *made = PyBytes_FromStringAndSize(c.out.base, (Py_ssize_t)c.out.len);
    give_coder_back(state->encoders, &c);
    return made;
}

/* ---- streams --------------------------------------------------------------------------------- */

typedef struct encoder_object {
    PyObject_HEAD q5py_state *state;
    coder coder;
    bool is_open; /* coder is held */
    bool is_busy; /* a thread works with it */
} encoder_object;

PyObject *q5py_encoder_new(q5py_state *state, q5_coding coding, int level, size_t pad) {
    encoder_object *self = (encoder_object *)state->encoder_type->tp_alloc(state->encoder_type, 0);
    if (!self) return NULL;
    self->state = state;
    if (begin(state, coding, level, pad, Q5_COMPRESS_UNKNOWN, &self->coder))
        Py_CLEAR(self);
    else
        self->is_open = true;
    return (PyObject *)self;
}

typedef int (*push_function)(q5_compressor *, q5_slice, q5_buf *);

static PyObject *take_output(encoder_object *self, int status) {
    coder *c = &self->coder;
    if (status) {
        coder_deinit(c);
        self->is_open = false;
        return q5py_raise_status(status);
    }
    PyObject *made = PyBytes_FromStringAndSize(c->out.base, (Py_ssize_t)c->out.len);
    c->out.len = 0;
    return made;
}

static PyObject *push(encoder_object *self, push_function function, q5_slice data) {
    if (!self->is_open || self->is_busy) {
        PyErr_SetString(PyExc_RuntimeError,
                        self->is_open ? "the encoder is in use" : "the stream has ended");
        return NULL;
    }
    int status;
    if (data.len < RELEASE_GIL_MIN) {
        status = function(&self->coder.compressor, data, &self->coder.out);
    } else {
        self->is_busy = true;
        Py_BEGIN_ALLOW_THREADS
            status = function(&self->coder.compressor, data, &self->coder.out);
        Py_END_ALLOW_THREADS
        self->is_busy = false;
    }
    return take_output(self, status);
}

/* Bytes-likes, and str as UTF-8. */
static PyObject *push_object(PyObject *op, push_function function, PyObject *data) {
    encoder_object *self = (encoder_object *)op;
    if (PyUnicode_Check(data)) {
        Py_ssize_t len;
        const char *text = PyUnicode_AsUTF8AndSize(data, &len);
        return text ? push(self, function, q5_slice_make(text, (size_t)len)) : NULL;
    }
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)) return NULL;
    PyObject *made = push(self, function, q5_slice_make(view.buf, (size_t)view.len));
    PyBuffer_Release(&view);
    return made;
}

static PyObject *encoder_feed(PyObject *op, PyObject *data) {
    return push_object(op, q5_compressor_feed, data);
}

static PyObject *encoder_flush(PyObject *op, PyObject *data) {
    return push_object(op, q5_compressor_flush, data);
}

PyObject *q5py_encoder_flush(PyObject *encoder, q5_slice data) {
    return push((encoder_object *)encoder, q5_compressor_flush, data);
}

PyObject *q5py_encoder_finish(PyObject *encoder) {
    encoder_object *self = (encoder_object *)encoder;
    PyObject *made = push(self, q5_compressor_finish, q5_slice_make("", 0));
    if (!made || !self->is_open) return made;
    give_coder_back(self->state->encoders, &self->coder);
    self->is_open = false;
    return made;
}

static PyObject *encoder_finish(PyObject *op, PyObject *unused) {
    (void)unused;
    return q5py_encoder_finish(op);
}

static void encoder_dealloc(PyObject *op) {
    encoder_object *self = (encoder_object *)op;
    PyTypeObject *type = Py_TYPE(op);
    if (self->is_open && self->state->encoders)
        give_coder_back(self->state->encoders, &self->coder);
    else if (self->is_open)
        coder_deinit(&self->coder);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef encoder_methods[] = {
    {"feed", encoder_feed, METH_O, "feed(data) -> bytes: what there is of the output so far"},
    {"flush", encoder_flush, METH_O, "flush(data) -> bytes: all that the data can be read from"},
    {"finish", encoder_finish, METH_NOARGS, "finish() -> bytes: the end of the stream"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot encoder_slots[] = {
    {Py_tp_doc, "A body that is being compressed piece by piece, each bytes or str."},
    {Py_tp_dealloc, encoder_dealloc},
    {Py_tp_methods, encoder_methods},
    {0, NULL},
};

static PyType_Spec encoder_spec = {
    .name = "quintette._quintette.Encoder",
    .basicsize = sizeof(encoder_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = encoder_slots,
};

/* ---- the module's ---------------------------------------------------------------------------- */

void q5py_encoders_free(q5py_state *state) {
    q5py_encoders *encoders = state->encoders;
    if (!encoders) return;
    state->encoders = NULL;
    for (size_t i = 0; i < encoders->count; i++)
        coder_deinit(&encoders->idle[i]);
    PyMem_Free(encoders);
}

/* codings: the names of those that the library was built with. */
static int add_codings(PyObject *module) {
    PyObject *names = PyList_New(0);
    int rc = names ? 0 : -1;
    for (int i = 0; rc == 0 && i < Q5_CODING_COUNT; i++) {
        if (!q5_compress_supported((q5_coding)i)) continue;
        PyObject *name = PyUnicode_FromString(q5_coding_name((q5_coding)i));
        rc = name ? PyList_Append(names, name) : -1;
        Py_XDECREF(name);
    }
    PyObject *tuple = rc == 0 ? PyList_AsTuple(names) : NULL;
    Py_XDECREF(names);
    rc = tuple ? PyModule_AddObjectRef(module, "codings", tuple) : -1;
    Py_XDECREF(tuple);
    return rc;
}

int q5py_init_encoder(PyObject *module, q5py_state *state) {
    state->encoders = PyMem_Calloc(1, sizeof(q5py_encoders));
    if (!state->encoders) {
        PyErr_NoMemory();
        return -1;
    }
    state->encoder_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &encoder_spec, NULL);
    if (!state->encoder_type || PyModule_AddType(module, state->encoder_type)) return -1;
    return add_codings(module);
}
