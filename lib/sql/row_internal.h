#ifndef Q5_SQL_ROW_INTERNAL_H
#define Q5_SQL_ROW_INTERNAL_H

#include "q5/row.h"

/* What stands before a value is copied in blocks: so much may be read, and written, behind it. */
#define Q5__BEFORE_BLOCK 16

/* While a plan is built: what is open. */
typedef struct q5__row_level {
    uint32_t step; /* that opened it */
    uint32_t values;
    char bracket;
} q5__row_level;

struct q5_row_plan {
    const q5_alloc *alloc;
    q5_row_step *steps; /* owned, and the `before` of each */
    size_t count, cap;
    uint32_t columns, slots;
    bool finished;
    uint32_t depth;
    q5__row_level levels[Q5_ROW_DEPTH_MAX];
};

#endif
