/* What was read is written back as it was; what is passed on stays within the bounds, and nothing
 * in it could end a field. */
#include "q5/trace_context.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    q5_slice value = q5_slice_make((const char *)data, size);
    q5_trace trace;
    if (q5_traceparent_parse(value, &trace) == 0) {
        char out[Q5_TRACEPARENT_LEN];
        memcpy(trace.span_id, trace.parent_id, Q5_SPAN_ID_SIZE);
        q5_traceparent_format(&trace, out);
        if (memcmp(out + 3, data + 3, Q5_TRACEPARENT_LEN - 5)) abort();
    }
    if (q5_tracestate_valid(value)) {
        if (size == 0 || size > Q5_TRACE_STATE_MAX) abort();
        for (size_t i = 0; i < size; i++)
            if ((data[i] < 0x20 && data[i] != '\t') || data[i] > 0x7e) abort();
    }
    if (q5_request_id_valid(value) && (size == 0 || size > Q5_REQUEST_ID_MAX)) abort();
    return 0;
}
