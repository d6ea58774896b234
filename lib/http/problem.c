#include "q5/problem.h"

#include "q5/json_write.h"

static int write_literal(q5_buf *buf, q5_slice text) {
    return q5_buf_append(buf, text.base, text.len);
}

static int write_member(q5_buf *buf, q5_slice name, q5_slice value) {
    if (value.len == 0) return Q5_OK;
    int error = write_literal(buf, name);
    return error ? error : q5_json_write_string(buf, value);
}

int q5_problem_write(q5_buf *buf, int status, q5_slice title, q5_slice detail,
                     q5_slice request_id) {
    size_t before = buf->len;
    int error = write_literal(buf, Q5_LIT("{\"type\":\"about:blank\",\"title\":"));
    if (!error) error = q5_json_write_string(buf, title);
    if (!error) error = write_literal(buf, Q5_LIT(",\"status\":"));
    if (!error) error = q5_json_write_int(buf, status);
    if (!error) error = write_member(buf, Q5_LIT(",\"detail\":"), detail);
    if (!error) error = write_member(buf, Q5_LIT(",\"request_id\":"), request_id);
    if (!error) error = write_literal(buf, Q5_LIT("}"));
    if (error) buf->len = before;
    return error;
}
