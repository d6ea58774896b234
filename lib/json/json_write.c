#include "q5/json_write.h"

#include "json/utf8.h"
#include "q5/json_number.h"

#define REPLACEMENT "\xef\xbf\xbd"

static bool is_plain(uint8_t byte) {
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

static int write_escape(q5_buf *buf, uint8_t byte) {
    static const char hex[] = "0123456789abcdef", names[] = "btn\0fr"; /* of 0x08 to 0x0d */
    char text[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
    size_t len = 6;
    if (byte == '"' || byte == '\\') {
        text[1] = (char)byte;
        len = 2;
    } else if (byte >= 0x08 && byte <= 0x0d && names[byte - 0x08]) {
        text[1] = names[byte - 0x08];
        len = 2;
    }
    return q5_buf_append(buf, text, len);
}

static int write_content(q5_buf *buf, q5_slice text) {
    const uint8_t *at = (const uint8_t *)text.base, *end = at + text.len;
    int status = Q5_OK;
    while (at < end && status == Q5_OK) {
        const uint8_t *from = at;
        int sequence = 0;
        for (; at < end; at += sequence) { /* a run that stays as it is */
            sequence = is_plain(*at) ? 1
                       : *at < 0x80  ? 0
                                     : q5__utf8_sequence(at, (size_t)(end - at));
            if (sequence <= 0) break;
        }
        status = q5_buf_append(buf, (const char *)from, (size_t)(at - from));
        if (status || at == end) break;
        if (sequence == 0) {
            status = write_escape(buf, *at++);
        } else {
            status = q5_buf_append(buf, REPLACEMENT, 3);
            at -= sequence;
        }
    }
    return status;
}

int q5_json_write_string(q5_buf *buf, q5_slice text) {
    size_t before = buf->len;
    int status = q5_buf_append(buf, "\"", 1);
    if (!status) status = write_content(buf, text);
    if (!status) status = q5_buf_append(buf, "\"", 1);
    if (status) buf->len = before;
    return status;
}

int q5_json_write_int(q5_buf *buf, int64_t number) {
    char text[Q5_JSON_INT_MAX];
    return q5_buf_append(buf, text, (size_t)(q5_json_int(text, number) - text));
}

int q5_json_write_bool(q5_buf *buf, bool value) {
    return value ? q5_buf_append(buf, "true", 4) : q5_buf_append(buf, "false", 5);
}
