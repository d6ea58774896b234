/* The Range field (RFC 9110, 14.1.2 and 14.2), byte ranges only. */
#ifndef Q5_RANGE_H
#define Q5_RANGE_H

#include "q5/status.h"

#define Q5_RANGES_MAX 16

typedef struct q5_range {
    uint64_t offset;
    uint64_t len; /* > 0 */
} q5_range;

typedef enum q5_range_kind {
    Q5_RANGE_NONE,         /* serve the whole representation: no or no valid Range, another unit,
                            * more than Q5_RANGES_MAX ranges, or nothing to take ranges of */
    Q5_RANGE_SINGLE,       /* 206 with one range */
    Q5_RANGE_MULTIPLE,     /* 206 with multipart/byteranges, or the whole */
    Q5_RANGE_UNSATISFIABLE /* 416 */
} q5_range_kind;

/* Judges a Range field's value against a representation of size bytes. Ranges that overlap or
 * touch are made one, in the place of the one that was asked for first; so those that come out are
 * disjoint and hold size bytes at most, however many were asked for. *ret_count is 0 unless
 * SINGLE (1) or MULTIPLE (2 and up). Linear in value.len. */
Q5_EXTERN q5_range_kind q5_range_parse(q5_slice value, uint64_t size,
                                       q5_range ret_ranges[Q5_RANGES_MAX], size_t *ret_count);

#define Q5_CONTENT_RANGE_MAX 72

/* Writes "bytes 0-4/10", or for 416, where range is NULL, "bytes *" and then "/10"; returns its
 * length. */
Q5_EXTERN size_t q5_content_range(char out[Q5_CONTENT_RANGE_MAX], const q5_range *range,
                                  uint64_t size);

#endif
