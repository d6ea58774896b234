#include "q5/sse.h"

#include "q5/json_write.h"

static bool is_one_line(q5_slice text) {
    for (size_t i = 0; i < text.len; i++)
        if (text.base[i] == '\r' || text.base[i] == '\n' || text.base[i] == '\0') return false;
    return true;
}

static const char *line_end(const char *at, const char *end) {
    while (at < end && *at != '\r' && *at != '\n')
        at++;
    return at;
}

/* "name: line\n" for each line. A client drops one space behind the colon, so that one is written
 * even where a line begins with a space of its own. */
static int write_lines(q5_buf *buf, q5_slice name, q5_slice text) {
    const char *at = text.base, *end = text.base + text.len;
    for (;;) {
        const char *stop = line_end(at, end);
        size_t len = (size_t)(stop - at);
        if (q5_buf_reserve(buf, name.len + len + 3)) return Q5_ENOMEM;
        q5_buf_append(buf, name.base, name.len);
        q5_buf_append(buf, ": ", 2);
        q5_buf_append(buf, at, len);
        q5_buf_append(buf, "\n", 1);
        if (stop == end) return Q5_OK;
        at = stop + (*stop == '\r' && stop + 1 < end && stop[1] == '\n' ? 2 : 1);
    }
}

static int write_retry(q5_buf *buf, int64_t msec) {
    int status = q5_buf_append(buf, "retry: ", 7);
    if (!status) status = q5_json_write_int(buf, msec);
    return status ? status : q5_buf_append(buf, "\n", 1);
}

static int write_fields(q5_buf *buf, const q5_sse_event *event) {
    int status = Q5_OK;
    if (event->comment.base) status = write_lines(buf, Q5_LIT(""), event->comment);
    if (!status && event->retry_msec >= 0) status = write_retry(buf, event->retry_msec);
    if (!status && event->id.base) status = write_lines(buf, Q5_LIT("id"), event->id);
    if (!status && event->name.len) status = write_lines(buf, Q5_LIT("event"), event->name);
    if (!status && event->data.base) status = write_lines(buf, Q5_LIT("data"), event->data);
    return status ? status : q5_buf_append(buf, "\n", 1);
}

int q5_sse_write(q5_buf *buf, const q5_sse_event *event) {
    if (!is_one_line(event->id) || !is_one_line(event->name)) return Q5_EINVAL;
    size_t before = buf->len;
    int status = write_fields(buf, event);
    if (status) buf->len = before;
    return status;
}
