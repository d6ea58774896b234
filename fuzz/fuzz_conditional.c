/* Entity tag lists, If-Range and Accept-Encoding: no read outside, weights in order, and what
 * matches strongly matches weakly. The first byte chooses the field. */
#include "q5/accept.h"
#include "q5/conditional.h"

#include <stdlib.h>

static void check_accept(q5_slice value) {
    static const q5_coding offered[] = {Q5_CODING_ZSTD, Q5_CODING_BR, Q5_CODING_GZIP,
                                        Q5_CODING_IDENTITY};
    q5_accept_encoding accept;
    q5_coding order[Q5_CODING_COUNT];
    q5_accept_encoding_parse(value, &accept);
    size_t count = q5_accept_encoding_order(&accept, offered, Q5_ARRAY_LEN(offered), order);
    for (size_t i = 0; i < count; i++) {
        if (accept.weight[order[i]] == 0 || accept.weight[order[i]] > 1000) abort();
        if (i && accept.weight[order[i - 1]] < accept.weight[order[i]]) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    static const uint8_t ids[] = {Q5_FIELD_IF_MATCH, Q5_FIELD_IF_NONE_MATCH, Q5_FIELD_IF_RANGE,
                                  Q5_FIELD_IF_MODIFIED_SINCE, Q5_FIELD_IF_UNMODIFIED_SINCE};
    q5_slice value = q5_slice_make((const char *)data + 1, size - 1);
    check_accept(value);

    static q5_head head;
    memset(head.known, 0xff, sizeof(head.known)); /* -1: not sent */
    uint8_t id = ids[data[0] % Q5_ARRAY_LEN(ids)];
    head.method_id = data[0] & 0x80 ? Q5_METHOD_PUT : Q5_METHOD_GET;
    head.field_count = 1;
    head.fields[0] = (q5_field){.value = value, .id = id};
    head.known[id] = 0;
    q5_validators validators = {.etag = value, .has_last_modified = true, .now = 1};
    q5_precondition self = q5_conditional_evaluate(&head, &validators);
    bool range = q5_conditional_range(&head, &validators);
    if (id != Q5_FIELD_IF_RANGE && !range) abort();
    /* Strong comparison implies weak comparison. */
    if (id == Q5_FIELD_IF_MATCH && self == Q5_PROCEED) {
        head.fields[0].id = Q5_FIELD_IF_NONE_MATCH;
        head.known[Q5_FIELD_IF_MATCH] = -1;
        head.known[Q5_FIELD_IF_NONE_MATCH] = 0;
        if (q5_conditional_evaluate(&head, &validators) == Q5_PROCEED) abort();
    }
    return 0;
}
