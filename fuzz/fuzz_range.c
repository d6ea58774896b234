/* Ranges are disjoint, inside the representation and, in all, no more than it. The first eight
 * bytes are its size. */
#include "q5/range.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t total;
    if (size < sizeof(total)) return 0;
    memcpy(&total, data, sizeof(total));
    q5_slice value = q5_slice_make((const char *)data + sizeof(total), size - sizeof(total));
    q5_range ranges[Q5_RANGES_MAX];
    size_t count;
    q5_range_kind kind = q5_range_parse(value, total, ranges, &count);
    if (count > Q5_RANGES_MAX || (kind == Q5_RANGE_SINGLE) != (count == 1)) abort();
    if ((kind == Q5_RANGE_MULTIPLE) != (count > 1)) abort();
    uint64_t left = total;
    for (size_t i = 0; i < count; i++) {
        const q5_range *a = &ranges[i];
        if (a->len == 0 || a->offset >= total || a->len > total - a->offset) abort();
        if (a->len > left) abort();
        left -= a->len;
        for (size_t k = 0; k < i; k++) {
            const q5_range *b = &ranges[k];
            if (a->offset <= b->offset + b->len && b->offset <= a->offset + a->len) abort();
        }
        char out[Q5_CONTENT_RANGE_MAX];
        if (q5_content_range(out, a, total) >= sizeof(out)) abort();
    }
    return 0;
}
