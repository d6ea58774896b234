/* What a client reads of an event is what was written: its data with LF for each line's end, its id
 * and its name, and nothing of the one in another. The first two bytes are the lengths of id and
 * name. */
#include "q5/sse.h"

#include <stdlib.h>

/* HTML, 9.2.6, for streams whose lines end in LF. */
typedef struct reader {
    char *data;
    size_t data_len, events;
    q5_slice id, name;
} reader;

static bool has_name(q5_slice line, q5_slice name) {
    return line.len > name.len && memcmp(line.base, name.base, name.len) == 0 &&
           line.base[name.len] == ':';
}

static q5_slice value_of(q5_slice line) {
    const char *colon = memchr(line.base, ':', line.len);
    q5_slice value = {colon + 1, line.len - (size_t)(colon + 1 - line.base)};
    if (value.len && value.base[0] == ' ') value = q5_slice_make(value.base + 1, value.len - 1);
    return value;
}

static void read_line(reader *r, q5_slice line) {
    if (line.len == 0) {
        r->events++;
    } else if (has_name(line, Q5_LIT("data"))) {
        q5_slice value = value_of(line);
        if (value.len) memcpy(r->data + r->data_len, value.base, value.len);
        r->data_len += value.len;
        r->data[r->data_len++] = '\n';
    } else if (has_name(line, Q5_LIT("id"))) {
        r->id = value_of(line);
    } else if (has_name(line, Q5_LIT("event"))) {
        r->name = value_of(line);
    } else {
        abort();
    }
}

static void read_all(reader *r, q5_slice text) {
    const char *at = text.base, *end = text.base + text.len;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) abort();
        read_line(r, q5_slice_make(at, (size_t)(stop - at)));
        at = stop + 1;
    }
}

/* In place: CRLF and CR become LF. */
static size_t normalize(char *text, size_t len) {
    size_t out = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\r' && i + 1 < len && text[i + 1] == '\n') continue;
        text[out++] = text[i] == '\r' ? '\n' : text[i];
    }
    return out;
}

static void check(const q5_sse_event *event, q5_slice text, char *data) {
    reader r = {.data = malloc(text.len + 1)};
    if (!r.data) abort();
    read_all(&r, text);
    size_t len = normalize(data, event->data.len);
    if (r.events != 1 || r.data_len != len + 1 || memcmp(r.data, data, len) != 0) abort();
    if (!q5_slice_eq(r.id, event->id) || !q5_slice_eq(r.name, event->name)) abort();
    free(r.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    if (size < 2 || size - 2 < (size_t)input[0] + input[1]) return 0;
    char *copy = malloc(size);
    if (!copy) abort();
    memcpy(copy, input, size);
    size_t fixed = 2u + input[0] + input[1];
    q5_sse_event event = q5_sse_event_make(q5_slice_make(copy + fixed, size - fixed));
    event.id = q5_slice_make(copy + 2, input[0]);
    event.name = q5_slice_make(copy + 2 + input[0], input[1]);
    q5_buf buf;
    q5_buf_init(&buf, NULL);
    int status = q5_sse_write(&buf, &event);
    if (status == Q5_OK)
        check(&event, q5_buf_slice(&buf), copy + fixed);
    else if (status != Q5_EINVAL || buf.len != 0)
        abort();
    q5_buf_deinit(&buf);
    free(copy);
    return 0;
}
