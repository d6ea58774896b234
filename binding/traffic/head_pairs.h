/* A head of fields that another host has parsed, as far as its fields go. */
#ifndef Q5PY_HEAD_PAIRS_H
#define Q5PY_HEAD_PAIRS_H

#include "q5py.h"

/* Of a list of (name, value) strs, into whose memory *ret_head points. 0, or -1 with an exception:
 * ValueError where there are more than Q5_FIELDS_MAX. */
int q5py_head_from_pairs(PyObject *pairs, q5_head *ret_head);

#endif
