/* A statement and those of its to-many fields, on every level: the rows of each are encoded when
 * they are read, the deepest first, and those of the statement itself last. Where Python must make
 * a value, it gets the rows of all. */
#include "query.h"

#include <unistd.h>

static uint64_t hash_seed; /* keys may be a stranger's to choose */

/* ---- making ---------------------------------------------------------------------------------- */

static q5py_statement *child_at(const q5py_statement *statement, Py_ssize_t slot) {
    return (q5py_statement *)PyTuple_GET_ITEM(statement->children, slot);
}

int q5py_tree_make(q5py_statement *self) {
    Py_ssize_t slots = PyTuple_GET_SIZE(self->children);
    size_t count = 1;
    for (Py_ssize_t i = 0; i < slots; i++) {
        q5py_statement *child = child_at(self, i);
        if (!Py_IS_TYPE(child, Py_TYPE(self)) || child->is_postgresql != self->is_postgresql) {
            PyErr_SetString(PyExc_TypeError, "a child must be a Statement of the same database");
            return -1;
        }
        count += child->tree_count;
    }
    if (count > Q5PY_TREE_MAX) {
        PyErr_SetString(PyExc_ValueError, "too many statements in one query");
        return -1;
    }
    self->tree = PyMem_Calloc(count, sizeof(*self->tree));
    if (!self->tree) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < slots; i++) {
        q5py_statement *child = child_at(self, i);
        for (uint16_t j = 0; j < child->tree_count; j++)
            self->tree[self->tree_count++] = child->tree[j];
    }
    self->tree[self->tree_count++] = self;
    return 0;
}

/* ---- rows ------------------------------------------------------------------------------------ */

int q5py_children_read(q5py_statement *statement, const q5_row_source *source,
                       const q5_children *const *slots, q5_children **ret_children) {
    q5_children_config config = {.plan = statement->plan,
                                 .source = statement->is_postgresql ? Q5_SOURCE_POSTGRESQL
                                                                    : Q5_SOURCE_SQLITE,
                                 .key_columns = 1,
                                 .rows_max = Q5_CHILDREN_ROWS_MAX,
                                 .bytes_max = SIZE_MAX, /* Python would take more for them */
                                 .seed = hash_seed};
    q5_children *children = q5_children_create(&config, q5_alloc_default());
    if (!children) {
        PyErr_NoMemory();
        return -1;
    }
    int status = q5_children_read(children, source, slots);
    if (status == Q5_OK) {
        *ret_children = children;
        return 0;
    }
    q5_children_destroy(children);
    if (status == Q5_ECELL_RANGE || status == Q5_ETOO_MANY) return 1;
    q5py_raise_status(status);
    return -1;
}

static bool has_steps(const q5py_statement *root) {
    for (uint16_t i = 0; i < root->tree_count; i++)
        if (!root->tree[i]->steps) return false;
    return true;
}

int q5py_tree_begin(q5py_tree *tree, q5py_statement *root, bool as_json, bool in_python) {
    in_python = in_python || !as_json || !has_steps(root);
    *tree = (q5py_tree){.root = root, .as_json = as_json, .in_python = in_python};
    if (!tree->in_python) return 0;
    tree->rows = PyList_New(0);
    return tree->rows ? 0 : -1;
}

static int take_for_python(q5py_tree *tree, q5py_statement *statement, const q5_row_source *source,
                           const uint32_t *oids) {
    PyObject *rows = q5py_statement_rows(statement, source, oids);
    int rc = rows ? PyList_Append(tree->rows, rows) : -1;
    Py_XDECREF(rows);
    if (rc || statement != tree->root) return rc;
    tree->result = PyObject_CallMethod(tree->root->python, "result_of_tree", "OO", tree->rows,
                                       tree->as_json ? Py_True : Py_False);
    return tree->result ? 0 : -1;
}

/* The children by slots: the last one stands right before its parent, the others each before the
 * tree of the next. */
static void find_slots(const q5py_tree *tree, const q5py_statement *statement,
                       const q5_children **slots) {
    size_t at = tree->next;
    for (Py_ssize_t slot = PyTuple_GET_SIZE(statement->children); slot-- > 0;) {
        slots[slot] = tree->children[at - 1];
        at -= child_at(statement, slot)->tree_count;
    }
}

static int encode_root(q5py_tree *tree, const q5_row_source *source,
                       const q5_children *const *slots) {
    PyObject *made =
        q5py_statement_encode(tree->root, source, q5py_statement_rows_mode(tree->root), slots);
    if (!made) return -1;
    if (made != Py_NotImplemented) {
        tree->result = made;
        return 0;
    }
    Py_DECREF(made);
    return 1;
}

int q5py_tree_take(q5py_tree *tree, const q5_row_source *source, const uint32_t *oids,
                   uint32_t columns) {
    q5py_statement *statement = tree->root->tree[tree->next];
    int rc = q5py_statement_prepare(statement, oids, columns);
    if (rc < 0) return -1;
    if (tree->in_python) {
        rc = take_for_python(tree, statement, source, oids);
    } else if (rc == 0) {
        rc = 1;
    } else {
        const q5_children *slots[Q5PY_TREE_MAX];
        find_slots(tree, statement, slots);
        rc = statement == tree->root
                 ? encode_root(tree, source, slots)
                 : q5py_children_read(statement, source, slots, &tree->children[tree->next]);
    }
    tree->next++;
    return rc;
}

PyObject *q5py_tree_result(q5py_tree *tree) {
    if (!tree->result) PyErr_SetString(PyExc_SystemError, "a query without a result");
    return Py_XNewRef(tree->result);
}

void q5py_tree_end(q5py_tree *tree) {
    for (size_t i = 0; i < tree->next; i++)
        q5_children_destroy(tree->children[i]);
    Py_CLEAR(tree->rows);
    Py_CLEAR(tree->result);
}

int q5py_init_tree(PyObject *module, q5py_state *state) {
    (void)module;
    (void)state;
    if (!getentropy(&hash_seed, sizeof(hash_seed))) return 0;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}
