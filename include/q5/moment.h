/* Dates, times and durations of cells, for those who make objects of them; q5_cell_encode reads
 * them by the same functions. */
#ifndef Q5_MOMENT_H
#define Q5_MOMENT_H

#include "q5/encoder.h"

/* A date, a time of day or both, in the Gregorian calendar as Python's datetime counts it. What the
 * type does not have is 0. */
typedef struct q5_moment {
    uint16_t year; /* 1 to 9999 */
    uint8_t month, day, hour, minute, second;
    bool zoned; /* offset_s counts; that of a DATETIME with `utc` is 0 */
    uint32_t microsecond;
    int32_t offset_s; /* east of UTC, less than a day */
} q5_moment;

/* The cell of a DATE, TIME or DATETIME that is not NULL. Q5_ECELL, Q5_ECELL_RANGE as
 * q5_cell_encode; *ret is untouched then. The type must have an encoder. */
Q5_EXTERN int q5_cell_moment(const q5_type *type, const q5_cell *cell, q5_moment *ret);

/* As Python's timedelta is normalised. */
typedef struct q5_duration {
    int32_t days; /* -999999999 to 999999999 */
    int64_t us;   /* 0 to 86,399,999,999 */
} q5_duration;

/* The cell of a DURATION that is not NULL; otherwise as q5_cell_moment. */
Q5_EXTERN int q5_cell_duration(const q5_type *type, const q5_cell *cell, q5_duration *ret);

#endif
