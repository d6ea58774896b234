/* _quintette.FieldsGuard: constant fields on every reply, unless the handler has set its own. */
#include "guards/guard.h"

#define FIELDS_MAX 24

/* Lines in a row, so that all of them are added in one piece where none is there already. */
typedef struct field_set {
    PyObject *lines; /* owned bytes */
    uint8_t count;
    q5_slice names[FIELDS_MAX]; /* into lines */
    size_t ends[FIELDS_MAX];    /* of each line */
} field_set;

typedef struct fields_guard {
    q5py_guard base;
    field_set plain, html; /* by the reply's media type */
} fields_guard;

/* ---- on a reply ------------------------------------------------------------------------------ */

static q5_slice piece(const field_set *set, size_t from, size_t to) {
    return q5_slice_make(PyBytes_AS_STRING(set->lines) + from, to - from);
}

/* Those that are not there, in as few pieces as can be. */
static int add_missing(const field_set *set, uint32_t present, q5py_reply *reply) {
    size_t from = 0, begin = 0;
    for (uint8_t i = 0; i < set->count; from = set->ends[i++]) {
        if (!(present >> i & 1)) continue;
        if (from > begin && q5py_reply_add_lines(reply, piece(set, begin, from))) return -1;
        begin = set->ends[i];
    }
    return from > begin ? q5py_reply_add_lines(reply, piece(set, begin, from)) : 0;
}

static bool is_html(const q5py_reply *reply) {
    static const q5_slice html = {"text/html", 9};
    q5_slice type;
    return q5py_reply_find(reply, Q5_LIT("content-type"), &type) && type.len >= html.len &&
           q5_slice_ieq(q5_slice_make(type.base, html.len), html);
}

static int fields_after(q5py_guard *guard, q5py_pass *pass, q5py_reply *reply,
                        PyObject **ret_awaitable) {
    (void)pass;
    (void)ret_awaitable;
    const fields_guard *self = (const fields_guard *)guard;
    const field_set *set = is_html(reply) ? &self->html : &self->plain;
    return add_missing(set, q5py_reply_present(reply, set->names, set->count), reply);
}

/* ---- the type -------------------------------------------------------------------------------- */

/* Of checked lines, "Name: value\r\n" each. */
static int read_set(field_set *set, PyObject *lines) {
    const char *base = PyBytes_AS_STRING(lines);
    size_t len = (size_t)PyBytes_GET_SIZE(lines), at = 0;
    set->lines = Py_NewRef(lines);
    while (at < len) {
        const char *colon = memchr(base + at, ':', len - at);
        const char *end = colon ? memchr(colon, '\n', len - (size_t)(colon - base)) : NULL;
        if (!end || set->count == FIELDS_MAX) {
            PyErr_SetString(PyExc_ValueError, "malformed lines, or too many");
            return -1;
        }
        set->names[set->count] = q5_slice_make(base + at, (size_t)(colon - base) - at);
        at = (size_t)(end - base) + 1;
        set->ends[set->count++] = at;
    }
    return 0;
}

static PyObject *fields_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"plain", "html", NULL};
    PyObject *plain, *html;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "SS:FieldsGuard", names, &plain, &html))
        return NULL;
    fields_guard *self = (fields_guard *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->base.after = fields_after;
    if (read_set(&self->plain, plain) || read_set(&self->html, html)) Py_CLEAR(self);
    return (PyObject *)self;
}

static void fields_dealloc(PyObject *object) {
    fields_guard *self = (fields_guard *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    Py_XDECREF(self->plain.lines);
    Py_XDECREF(self->html.lines);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot fields_slots[] = {
    {Py_tp_doc, "FieldsGuard(plain, html)\n\nChecked lines for replies of HTML, and for others."},
    {Py_tp_new, fields_new},
    {Py_tp_traverse, q5py_guard_traverse},
    {Py_tp_dealloc, fields_dealloc},
    {0, NULL},
};

static PyType_Spec fields_spec = {
    .name = "_quintette.FieldsGuard",
    .basicsize = sizeof(fields_guard),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = fields_slots,
};

int q5py_init_fields_guard(PyObject *module, q5py_state *state) {
    return q5py_guard_add_type(module, state, &fields_spec, &state->fields_guard_type);
}
