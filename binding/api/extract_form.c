/* Forms: application/x-www-form-urlencoded and multipart/form-data. */
#include "plan_bind.h"

#include "q5/multipart.h"
#include "q5/spool.h"

#define SPOOL_CHUNK_SIZE 65536

/* ---- parts ----------------------------------------------------------------------------------- */

/* A part on its way. Python exceptions are carried out as Q5_EINVAL. */
typedef struct q5py_parts {
    q5py_bind *bind;
    q5_slice name; /* valid until the part has ended */
    q5_buf text;   /* of a field */
    PyObject
        *file; /* what the plan's open_file made; NULL for a field or a file nobody asked for */
    bool is_file;
} q5py_parts;

static bool is_wanted(const q5py_bind *bind, q5_slice name) {
    const q5py_plan_data *data = bind->data;
    for (uint16_t i = data->first[Q5PY_IN_FILE]; i < data->first[Q5PY_IN_FILE + 1]; i++)
        if (q5_slice_eq(data->params[i].key, name)) return true;
    return false;
}

static int part_begin(void *ctx, const q5_part *part) {
    q5py_parts *parts = ctx;
    parts->name = part->name;
    parts->is_file = part->is_file;
    parts->text.len = 0;
    /* A browser sends an empty file name where no file was chosen. */
    if (!part->is_file || part->filename.len == 0 || !is_wanted(parts->bind, part->name))
        return Q5_OK;
    parts->file = PyObject_CallFunction(parts->bind->data->open_file, "y#y#y#", part->name.base,
                                        (Py_ssize_t)part->name.len, part->filename.base,
                                        (Py_ssize_t)part->filename.len, part->content_type.base,
                                        (Py_ssize_t)part->content_type.len);
    return parts->file ? Q5_OK : Q5_EINVAL;
}

static int part_data(void *ctx, q5_slice data) {
    q5py_parts *parts = ctx;
    if (!parts->is_file) return q5_buf_append(&parts->text, data.base, data.len);
    if (!parts->file) return Q5_OK;
    PyObject *written =
        PyObject_CallMethod(parts->file, "write", "y#", data.base, (Py_ssize_t)data.len);
    Py_XDECREF(written);
    return written ? Q5_OK : Q5_EINVAL;
}

static int end_file(q5py_parts *parts) {
    const q5py_plan_data *data = parts->bind->data;
    if (!parts->file) return Q5_OK;
    PyObject *upload = PyObject_CallMethod(parts->file, "finish", NULL);
    Py_CLEAR(parts->file);
    if (!upload) return Q5_EINVAL;
    int status = q5py_bind_pair_object(parts->bind, data->first[Q5PY_IN_FILE],
                                       data->first[Q5PY_IN_FILE + 1], parts->name, upload);
    Py_DECREF(upload);
    return status < 0 ? Q5_EINVAL : Q5_OK;
}

static int part_end(void *ctx) {
    q5py_parts *parts = ctx;
    q5py_bind *bind = parts->bind;
    const q5py_plan_data *data = bind->data;
    if (parts->is_file) return end_file(parts);
    /* Values are converted when all parts are there: they move to memory that lasts until then. */
    char *value =
        q5_arena_dup(&bind->scratch, parts->text.base ? parts->text.base : "", parts->text.len);
    if (!value) return Q5_ENOMEM;
    int status = q5py_bind_pair(bind, data->first[Q5PY_IN_FORM], data->first[Q5PY_IN_FORM + 1],
                                parts->name, q5_slice_make(value, parts->text.len));
    return status < 0 ? Q5_EINVAL : Q5_OK;
}

/* ---- the body -------------------------------------------------------------------------------- */

static int feed_spool(q5_multipart *parser, q5_spool *spool) {
    char *chunk = PyMem_Malloc(SPOOL_CHUNK_SIZE);
    if (!chunk) return Q5_ENOMEM;
    int status = Q5_OK;
    uint64_t offset = 0;
    for (;;) {
        size_t len;
        status = q5_spool_read(spool, offset, chunk, SPOOL_CHUNK_SIZE, &len);
        if (status != Q5_OK || len == 0) break;
        status = q5_multipart_feed(parser, chunk, len);
        if (status != Q5_OK) break;
        offset += len;
    }
    PyMem_Free(chunk);
    return status;
}

static int parse_parts(q5py_bind *bind, q5_slice boundary) {
    static const q5_multipart_callbacks callbacks = {part_begin, part_data, part_end};
    q5py_parts parts = {.bind = bind};
    q5_multipart parser;
    q5_buf_init(&parts.text, NULL);
    int status = q5_multipart_init(&parser, NULL, boundary, NULL, &callbacks, &parts);
    if (status != Q5_OK) return status;
    const q5_exchange *x = bind->x;
    if (x->spool)
        status = feed_spool(&parser, x->spool);
    else
        status = q5_multipart_feed(&parser, x->body.base, x->body.len);
    if (status == Q5_OK) status = q5_multipart_finish(&parser);
    q5_multipart_deinit(&parser);
    q5_buf_deinit(&parts.text);
    Py_CLEAR(parts.file);
    return status;
}

/* Faults of the client are reported, ours raised. */
static int judge(q5py_bind *bind, int status) {
    if (PyErr_Occurred()) return -1;
    if (status == Q5_ETOO_MANY)
        return q5py_bind_fault_source(bind, Q5PY_IN_FORM, Q5PY_FAULT_TOO_MANY, status);
    if (status == Q5_EMULTIPART || status == Q5_EINVAL)
        return q5py_bind_fault_source(bind, Q5PY_IN_FORM, Q5PY_FAULT_GUARD, Q5_EMULTIPART);
    if (status == Q5_OK) return 0;
    q5py_raise_status(status);
    return -1;
}

static int extract_multipart(q5py_bind *bind, q5_slice boundary) {
    const q5py_plan_data *data = bind->data;
    int status = parse_parts(bind, boundary);
    if (judge(bind, status) < 0) return -1;
    bind->body_refused = status != Q5_OK;
    return q5py_bind_found(bind, data->first[Q5PY_IN_FORM], data->first[Q5PY_IN_FILE + 1]);
}

static int extract_urlencoded(q5py_bind *bind) {
    const q5_exchange *x = bind->x;
    if (!x->spool) return q5py_extract_urlencoded(bind, x->body);
    size_t len;
    char *text = q5_arena_alloc(&bind->scratch, (size_t)x->body_len);
    if (!text) {
        PyErr_NoMemory();
        return -1;
    }
    if (q5_spool_read(x->spool, 0, text, (size_t)x->body_len, &len) != Q5_OK) {
        q5py_raise_status(Q5_EIO);
        return -1;
    }
    return q5py_extract_urlencoded(bind, q5_slice_make(text, len));
}

int q5py_extract_form(q5py_bind *bind, q5_slice media_type) {
    const q5py_plan_data *data = bind->data;
    const q5_exchange *x = bind->x;
    /* Without a body an empty group still gets its defaults. */
    if (x->body_len == 0)
        return q5py_bind_found(bind, data->first[Q5PY_IN_FORM], data->first[Q5PY_IN_FILE + 1]);
    bool asks_file = data->first[Q5PY_IN_FILE] != data->first[Q5PY_IN_FILE + 1];
    if (!asks_file && q5_slice_ieq(media_type, Q5_LIT("application/x-www-form-urlencoded")))
        return extract_urlencoded(bind);
    const q5_field *field = q5_head_known(&x->head, Q5_FIELD_CONTENT_TYPE);
    q5_slice boundary;
    int status = field ? q5_multipart_boundary(field->value, &boundary) : Q5_NOT_FOUND;
    if (status == Q5_OK) return extract_multipart(bind, boundary);
    bind->body_refused = true;
    if (status == Q5_EMULTIPART) return judge(bind, status);
    return q5py_bind_fault_source(bind, Q5PY_IN_FORM, Q5PY_FAULT_MEDIA, 0);
}
