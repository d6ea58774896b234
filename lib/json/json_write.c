#include "q5/json_write.h"

#define REPLACEMENT "\xef\xbf\xbd"

/* Length of the well-formed sequence at the start of `text` (which is no ASCII), or minus the
 * length of the part that no sequence begins with. Bounds of the second byte as in Unicode 15,
 * table 3-7. */
static int sequence_len(const uint8_t *text, size_t len) {
    uint8_t lead = text[0], low = 0x80, high = 0xbf;
    int want;
    if (lead >= 0xc2 && lead <= 0xdf) {
        want = 2;
    } else if (lead >= 0xe0 && lead <= 0xef) {
        want = 3;
        if (lead == 0xe0) low = 0xa0;
        if (lead == 0xed) high = 0x9f; /* no surrogates */
    } else if (lead >= 0xf0 && lead <= 0xf4) {
        want = 4;
        if (lead == 0xf0) low = 0x90;
        if (lead == 0xf4) high = 0x8f; /* nothing above U+10FFFF */
    } else {
        return -1;
    }
    for (int i = 1; i < want; i++) {
        if ((size_t)i == len || text[i] < low || text[i] > high) return -i;
        low = 0x80;
        high = 0xbf;
    }
    return want;
}

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
            sequence = is_plain(*at) ? 1 : *at < 0x80 ? 0 : sequence_len(at, (size_t)(end - at));
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
    char text[20]; /* "-9223372036854775808" */
    size_t at = sizeof(text);
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    do {
        text[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (number < 0) text[--at] = '-';
    return q5_buf_append(buf, text + at, sizeof(text) - at);
}

int q5_json_write_bool(q5_buf *buf, bool value) {
    return value ? q5_buf_append(buf, "true", 4) : q5_buf_append(buf, "false", 5);
}
