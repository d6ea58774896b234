/* Arguments of a call in PostgreSQL's formats: each as binary where its type allows it, else as
 * text. */
#include "query_pg.h"

#define NO_OFFSET SIZE_MAX /* of SQL's NULL */

static_assert(sizeof(size_t) == sizeof(char *), "an offset stands where its pointer will");

/* Appends the bound values of one query, each in the format of its type; in the text's place stands
 * its offset until all are there. */
static int encode_query(q5py_pg_run *run, uint16_t index, const q5_param *params, size_t *offsets) {
    const q5py_statement *statement = run->pending->statement->tree[index];
    int *lengths = (int *)run->queries[index].lengths,
        *formats = (int *)run->queries[index].formats;
    for (uint16_t i = 0; i < statement->slot_count; i++) {
        q5_param_format format = Q5_PARAM_AS_TEXT;
        offsets[i] = params[i].kind == Q5_PARAM_NULL ? NO_OFFSET : run->values.len;
        size_t before = run->values.len;
        int status = q5_param_pg_encode(&params[i], statement->oids[i], &run->values, &format);
        if (status) {
            q5py_raise_status(status);
            return -1;
        }
        size_t len = run->values.len - before;
        if (len > INT32_MAX) {
            PyErr_SetString(PyExc_ValueError, "a parameter is too long");
            return -1;
        }
        formats[i] = format;
        lengths[i] = (int)(format == Q5_PARAM_AS_TEXT && len ? len - 1 : len);
    }
    return 0;
}

static int bind_query(q5py_pg_run *run, uint16_t index, size_t *offsets) {
    q5py_statement *statement = run->pending->statement->tree[index];
    q5_param params[Q5PY_STATEMENT_SLOTS_MAX];
    PyObject *owners[Q5PY_STATEMENT_SLOTS_MAX];
    memset(owners, 0, statement->slot_count * sizeof(PyObject *));
    int rc = q5py_bind(statement, run->pending->arguments, params, owners);
    if (rc == 0) rc = encode_query(run, index, params, offsets);
    for (uint16_t i = 0; i < statement->slot_count; i++)
        Py_XDECREF(owners[i]);
    return rc;
}

/* The values of all queries stand in one buffer, which has grown by now for the last time. */
static void point_at_values(q5py_pg_run *run, size_t count) {
    const char **values = (const char **)run->queries[0].values;
    size_t *offsets = (size_t *)(void *)values; /* in their places */
    for (size_t i = 0; i < count; i++) {
        size_t offset = offsets[i];
        values[i] = offset == NO_OFFSET ? NULL : run->values.base + offset;
    }
}

int q5py_pg_run_bind(q5py_pg_run *run) {
    size_t count = 0;
    size_t *offsets = (size_t *)(void *)run->queries[0].values;
    /* Not even an empty value may be at NULL, which is SQL's NULL. */
    if (q5_buf_reserve(&run->values, 64)) {
        PyErr_NoMemory();
        return -1;
    }
    for (uint16_t i = 0; i < run->batch.query_count; i++) {
        if (bind_query(run, i, offsets + count)) return -1;
        count += run->pending->statement->tree[i]->slot_count;
    }
    point_at_values(run, count);
    return 0;
}
