#include "q5/trace_context.h"

#define KEY_MAX 256
#define VALUE_MAX 256

/* ---- hexadecimal digits ---------------------------------------------------------------------- */

void q5_hex_write(const uint8_t *bytes, size_t size, char *out) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
}

/* Lower case only (3.2.2.3). */
static int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(const char *text, size_t size, uint8_t *out) {
    for (size_t i = 0; i < size; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool all_zero(const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (bytes[i]) return false;
    return true;
}

/* ---- traceparent ----------------------------------------------------------------------------- */

/* version "-" trace-id "-" parent-id "-" trace-flags: 2, 32, 16 and 2 digits. */
int q5_traceparent_parse(q5_slice value, q5_trace *ret) {
    const char *text = value.base;
    uint8_t version, flags;
    q5_trace trace = {.has_parent = true};
    if (value.len < Q5_TRACEPARENT_LEN) return Q5_EINVAL;
    if (text[2] != '-' || text[35] != '-' || text[52] != '-') return Q5_EINVAL;
    if (!read_hex(text, 1, &version) || version == 0xff) return Q5_EINVAL;
    /* A later version may have more behind another dash (4). */
    if (value.len > Q5_TRACEPARENT_LEN && (version == 0 || text[Q5_TRACEPARENT_LEN] != '-'))
        return Q5_EINVAL;
    if (!read_hex(text + 3, Q5_TRACE_ID_SIZE, trace.trace_id) ||
        !read_hex(text + 36, Q5_SPAN_ID_SIZE, trace.parent_id) || !read_hex(text + 53, 1, &flags))
        return Q5_EINVAL;
    if (all_zero(trace.trace_id, Q5_TRACE_ID_SIZE) || all_zero(trace.parent_id, Q5_SPAN_ID_SIZE))
        return Q5_EINVAL;
    /* Bits that have no meaning yet are not passed on (3.2.2.5.3). */
    trace.flags = flags & (Q5_TRACE_SAMPLED | Q5_TRACE_RANDOM);
    *ret = trace;
    return Q5_OK;
}

void q5_traceparent_format(const q5_trace *trace, char out[Q5_TRACEPARENT_LEN]) {
    out[0] = out[1] = '0';
    out[2] = '-';
    q5_hex_write(trace->trace_id, Q5_TRACE_ID_SIZE, out + 3);
    out[35] = '-';
    q5_hex_write(trace->span_id, Q5_SPAN_ID_SIZE, out + 36);
    out[52] = '-';
    q5_hex_write(&trace->flags, 1, out + 53);
}

/* ---- tracestate ------------------------------------------------------------------------------ */

static bool lower_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Level 2, 3.3.1.3.1. Level 1's keys are among them, but for more than one '@'. */
static bool key_valid(q5_slice key) {
    if (key.len == 0 || key.len > KEY_MAX || !lower_or_digit(key.base[0])) return false;
    for (size_t i = 1; i < key.len; i++) {
        char c = key.base[i];
        if (!lower_or_digit(c) && c != '_' && c != '-' && c != '*' && c != '/' && c != '@')
            return false;
    }
    return true;
}

/* 3.3.1.3.2: printable ASCII without comma and equals sign; it does not end in a space. */
static bool value_valid(q5_slice value) {
    if (value.len == 0 || value.len > VALUE_MAX || value.base[value.len - 1] == ' ') return false;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.base[i];
        if (c < 0x20 || c > 0x7e || c == ',' || c == '=') return false;
    }
    return true;
}

static q5_slice trimmed(q5_slice text) {
    while (text.len && (text.base[0] == ' ' || text.base[0] == '\t')) {
        text.base++;
        text.len--;
    }
    while (text.len && (text.base[text.len - 1] == ' ' || text.base[text.len - 1] == '\t'))
        text.len--;
    return text;
}

static bool is_among(q5_slice key, const q5_slice *keys, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (q5_slice_eq(key, keys[i])) return true;
    return false;
}

bool q5_tracestate_valid(q5_slice value) {
    q5_slice keys[Q5_TRACE_STATE_MEMBERS];
    size_t count = 0;
    if (value.len > Q5_TRACE_STATE_MAX) return false;
    while (value.len) {
        const char *comma = memchr(value.base, ',', value.len);
        size_t len = comma ? (size_t)(comma - value.base) : value.len;
        q5_slice member = trimmed(q5_slice_make(value.base, len));
        size_t used = comma ? len + 1 : len;
        value = q5_slice_make(value.base + used, value.len - used);
        if (member.len == 0) continue; /* (3.3.1.2) */
        const char *equals = memchr(member.base, '=', member.len);
        if (!equals || count == Q5_TRACE_STATE_MEMBERS) return false;
        q5_slice key = q5_slice_make(member.base, (size_t)(equals - member.base));
        q5_slice text = q5_slice_make(equals + 1, member.len - key.len - 1);
        if (!key_valid(key) || !value_valid(text) || is_among(key, keys, count)) return false;
        keys[count++] = key;
    }
    return count != 0;
}

/* ---- a request ------------------------------------------------------------------------------- */

/* The only field of that name, or NULL. */
static const q5_field *only(const q5_head *head, q5_slice name) {
    const q5_field *field = q5_head_find(head, name, 0);
    if (!field) return NULL;
    uint16_t next = (uint16_t)(field - head->fields + 1);
    return q5_head_find(head, name, next) ? NULL : field;
}

static void fill(uint8_t *out, size_t size, q5_random *random) {
    for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
        uint64_t word = q5_random_next(random);
        memcpy(out + i, &word, sizeof(word));
    }
    out[size - 1] |= all_zero(out, size); /* zeroes mean none */
}

void q5_trace_begin(q5_trace *trace, const q5_head *head, q5_random *random) {
    const q5_field *parent = only(head, Q5_LIT("traceparent"));
    if (!parent || q5_traceparent_parse(parent->value, trace)) {
        *trace = (q5_trace){.flags = Q5_TRACE_RANDOM};
        fill(trace->trace_id, Q5_TRACE_ID_SIZE, random);
    }
    fill(trace->span_id, Q5_SPAN_ID_SIZE, random);
}

q5_slice q5_trace_state(const q5_trace *trace, const q5_head *head) {
    const q5_field *field = trace->has_parent ? only(head, Q5_LIT("tracestate")) : NULL;
    if (!field || !q5_tracestate_valid(field->value)) return q5_slice_make(NULL, 0);
    return field->value;
}

/* ---- request ids ----------------------------------------------------------------------------- */

bool q5_request_id_valid(q5_slice id) {
    if (id.len == 0 || id.len > Q5_REQUEST_ID_MAX) return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.base[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && (!c || !strchr("._~:@=+/-", c))) return false;
    }
    return true;
}

void q5_request_id_make(const q5_trace *trace, q5_random *random, char out[Q5_REQUEST_ID_LEN]) {
    uint8_t bytes[Q5_TRACE_ID_SIZE];
    if (trace->has_parent)
        fill(bytes, sizeof(bytes), random);
    else
        memcpy(bytes, trace->trace_id, sizeof(bytes));
    q5_hex_write(bytes, sizeof(bytes), out);
}
