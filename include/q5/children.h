/* The rows of a to-many relation, read before their parents and grouped by the parents' key.
 *
 * A child row is encoded at once, into one buffer; a bounded hash table has the spans of each key.
 * A row's first columns are its parent's key, so two levels of children work the same way: the
 * deepest is read first. Not for two threads at once while rows are added; reading may be shared.
 */
#ifndef Q5_CHILDREN_H
#define Q5_CHILDREN_H

#include "q5/row.h"

#define Q5_CHILDREN_KEY_MAX 8 /* columns of a key */
#define Q5_CHILDREN_ROWS_MAX (UINT32_MAX / 2)

typedef struct q5_children_config {
    const q5_row_plan *plan; /* of a child's JSON; its columns count from 0, the key included */
    q5_source source;
    uint32_t key_columns; /* the first so many columns are the key: 1 to Q5_CHILDREN_KEY_MAX */
    size_t rows_max;      /* at most Q5_CHILDREN_ROWS_MAX; 0: 1,000,000 */
    size_t bytes_max;     /* of JSON; 0: 256 MB */
    uint64_t seed;        /* of the hash: random where keys are a stranger's to choose */
} q5_children_config;

/* On the heap, or NULL (no memory, or a config out of bounds). The plan must outlive it. */
Q5_EXTERN q5_children *q5_children_create(const q5_children_config *config, const q5_alloc *alloc);
Q5_EXTERN void q5_children_destroy(q5_children *children); /* NULL is allowed */

/* Takes a child row; children[slot] as in q5_row_encode (grandchildren). A row whose key has a NULL
 * belongs to nobody and is dropped. Q5_OK; Q5_ETOO_MANY: past rows_max or bytes_max; the errors of
 * q5_cell_encode. After an error what was added before is whole. */
Q5_EXTERN int q5_children_add(q5_children *children, const q5_cell *cells,
                              const q5_children *const *grandchildren);
/* Adds rows until the source is Q5_DONE, which becomes Q5_OK. */
Q5_EXTERN int q5_children_read(q5_children *children, const q5_row_source *source,
                               const q5_children *const *grandchildren);

/* Appends the array of the rows with the key that `key`, an array of key_columns cells, is; `[]` if
 * there are none. Integers of PostgreSQL are equal by value, whatever their widths (2, 4 or 8
 * bytes must then be integers); everything else is by bytes. Q5_OK or Q5_ENOMEM. */
Q5_EXTERN int q5_children_append(const q5_children *children, const q5_cell *key, q5_buf *out);

/* Rows taken so far. */
Q5_EXTERN size_t q5_children_count(const q5_children *children);

#endif
