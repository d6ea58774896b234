/* Weights are between 0 and 1,000; the order has each coding once, the best-liked first, and none
 * that is not wanted. */
#include "q5/accept.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const q5_coding offered[] = {Q5_CODING_ZSTD, Q5_CODING_BR, Q5_CODING_GZIP,
                                        Q5_CODING_IDENTITY};
    q5_accept_encoding accept;
    q5_accept_encoding_parse(q5_slice_make((const char *)data, size), &accept);
    unsigned wanted = 0, seen = 0;
    for (int i = 0; i < Q5_CODING_COUNT; i++) {
        if (accept.weight[i] > 1000) abort();
        if (accept.weight[i]) wanted |= 1u << i;
    }
    q5_coding order[Q5_CODING_COUNT];
    size_t count = q5_accept_encoding_order(&accept, offered, Q5_ARRAY_LEN(offered), order);
    for (size_t i = 0; i < count; i++) {
        if (seen & 1u << order[i]) abort();
        seen |= 1u << order[i];
        if (i && accept.weight[order[i - 1]] < accept.weight[order[i]]) abort();
    }
    if (seen != wanted) abort();
    return 0;
}
