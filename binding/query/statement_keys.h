/* _quintette.StatementKeys: what two queries of Django's ORM must have in common to have the same
 * SQL, whatever their parameters' values are. */
#ifndef Q5PY_STATEMENT_KEYS_H
#define Q5PY_STATEMENT_KEYS_H

#include "q5py.h"

int q5py_init_statement_keys(PyObject *module, q5py_state *state);

#endif
