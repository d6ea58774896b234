/* The key of a row: some of its cells, such that equal keys have equal bytes. */
#ifndef Q5_SQL_ROW_KEY_H
#define Q5_SQL_ROW_KEY_H

#include "q5/children.h"

typedef struct q5__row_key {
    uint32_t count;
    struct {
        uint8_t kind;    /* q5_cell_kind; an integer is INT64 whatever the database */
        uint64_t number; /* INT64, DOUBLE: its bits */
        q5_slice bytes;  /* TEXT, BYTES: the cell's */
    } parts[Q5_CHILDREN_KEY_MAX];
} q5__row_key;

/* count: at most Q5_CHILDREN_KEY_MAX. False: one of the cells is NULL. */
bool q5__row_key_make(q5_source source, const q5_cell *cells, uint32_t count, q5__row_key *ret);

uint64_t q5__row_key_hash(const q5__row_key *key, uint64_t seed);

/* Bytes that q5__row_key_put writes. */
size_t q5__row_key_size(const q5__row_key *key);
void q5__row_key_put(const q5__row_key *key, char *at);
/* Are these the bytes of this key? `stored` has as many as were put. */
bool q5__row_key_is(const q5__row_key *key, q5_slice stored);

#endif
