/* Dates and times that SQLite has as text. */
#ifndef Q5_SQL_MOMENT_TEXT_H
#define Q5_SQL_MOMENT_TEXT_H

#include "q5/moment.h"

/* Exactly what Django writes: str() of a date, a naive datetime (also with a T between) or a time,
 * with up to six digits of a second's fraction. Q5_ECELL_RANGE for everything else, which Django's
 * own parsers may still take, and for days that no month has. *ret may have changed then. */
int q5__moment_parse(const q5_type *type, const q5_cell *cell, q5_moment *ret);

#endif
