#ifndef Q5_SQL_PARAM_NUMERIC_H
#define Q5_SQL_PARAM_NUMERIC_H

#include "q5/buf.h"

/* Appends PostgreSQL's numeric (the layout: cell_numeric.c) of what str(Decimal) wrote. Q5_EINVAL:
 * it is none; Q5_ECELL_RANGE: more than 131,072 digits before the point or 16,383 behind it. */
int q5__put_numeric(q5_buf *out, q5_slice text);

#endif
