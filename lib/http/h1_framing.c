/* The fields that decide where a request ends and what becomes of its connection: each way to
 * read them in two ways is a way to smuggle a request, so there is one way. */
#include "http/byteset.h"
#include "http/field.h"
#include "http/h1_internal.h"

enum { OPTION_CLOSE = 1, OPTION_KEEP_ALIVE = 2, OPTION_UPGRADE = 4 };

static const q5__byteset token_set = Q5__BYTESET(Q5__IS_TOKEN);

static const char *skip_space(const char *pos, const char *end) {
    while (pos < end && (*pos == ' ' || *pos == '\t'))
        pos++;
    return pos;
}

static const char *skip_token(const char *pos, const char *end) {
    while (pos < end && q5__byteset_has(&token_set, *pos))
        pos++;
    return pos;
}

static int host_field(q5_h1_parser *parser, const q5_field *field) {
    q5_head *head = parser->head;
    if (head->known[Q5_FIELD_HOST] >= 0) return q5__h1_fault(parser, Q5_EHOST, field->name.base);
    const char *fault = q5__host_fault(field->value, parser->end, false);
    if (fault != NULL) return q5__h1_fault(parser, Q5_EHOST, fault);
    if (head->host.base == NULL) head->host = field->value;
    return Q5_OK;
}

static int content_length_field(q5_h1_parser *parser, const q5_field *field) {
    q5_head *head = parser->head;
    if (head->has_length) return q5__h1_fault(parser, Q5_ELENGTH_TWICE, field->name.base);
    if (head->chunked) return q5__h1_fault(parser, Q5_ELENGTH_CODING, field->name.base);
    const char *pos = field->value.base;
    const char *end = pos + field->value.len;
    if (pos == end) return q5__h1_fault(parser, Q5_ELENGTH, pos);
    uint64_t length = 0;
    for (; pos < end; pos++) {
        uint64_t digit = (uint64_t)(uint8_t)*pos - '0';
        if (digit > 9 || length > (INT64_MAX - digit) / 10)
            return q5__h1_fault(parser, Q5_ELENGTH, pos);
        length = length * 10 + digit;
    }
    head->content_length = length;
    head->has_length = true;
    return Q5_OK;
}

/* Anything but "chunked" alone: unsupported if it could be a list of other codings, else invalid.
 * "chunked" has no parameters and can only come last and once (RFC 9112, 6.1 and 7.1). */
static int coding_fault(q5_h1_parser *parser, q5_slice value) {
    const char *pos = value.base;
    const char *end = pos + value.len;
    const char *unknown = NULL;
    for (;;) {
        const char *start = pos;
        pos = skip_token(pos, end);
        q5_slice coding = q5_slice_make(start, (size_t)(pos - start));
        if (coding.len == 0) return q5__h1_fault(parser, Q5_ECODING_ORDER, pos);
        const char *after = skip_space(pos, end);
        bool is_chunked = q5_slice_ieq(coding, Q5_LIT("chunked"));
        if (is_chunked && after < end) return q5__h1_fault(parser, Q5_ECODING_ORDER, start);
        if (!is_chunked && unknown == NULL) unknown = start;
        if (after == end || *after == ';') break; /* parameters: of an unknown coding */
        if (*after != ',') return q5__h1_fault(parser, Q5_ECODING_ORDER, after);
        pos = skip_space(after + 1, end);
    }
    return q5__h1_fault(parser, Q5_ECODING, unknown);
}

static int transfer_encoding_field(q5_h1_parser *parser, const q5_field *field) {
    q5_head *head = parser->head;
    /* RFC 9112, 6.1: in HTTP/1.0 the framing is faulty. */
    if (head->version_minor == 0 || head->chunked)
        return q5__h1_fault(parser, Q5_ECODING_ORDER, field->name.base);
    if (head->has_length) return q5__h1_fault(parser, Q5_ELENGTH_CODING, field->name.base);
    if (!q5_slice_ieq(field->value, Q5_LIT("chunked"))) return coding_fault(parser, field->value);
    head->chunked = true;
    return Q5_OK;
}

static uint8_t connection_option(const char *option, size_t len) {
    if (len == 10 && q5__fold_eq(option, "keep-alive", 10)) return OPTION_KEEP_ALIVE;
    if (len == 5 && q5__fold_eq(option, "close", 5)) return OPTION_CLOSE;
    if (len == 7 && q5__fold_eq(option, "upgrade", 7)) return OPTION_UPGRADE;
    return 0;
}

/* Options that are none of ours, or no tokens, mean nothing to us. */
static void connection_field(q5_h1_parser *parser, const q5_field *field) {
    const char *pos = field->value.base;
    const char *end = pos + field->value.len;
    uint8_t only = connection_option(pos, field->value.len);
    parser->connection |= only;
    while (!only && pos < end) {
        const char *comma = memchr(pos, ',', (size_t)(end - pos));
        const char *stop = comma ? comma : end;
        pos = skip_space(pos, stop);
        const char *last = stop;
        while (last > pos && (last[-1] == ' ' || last[-1] == '\t'))
            last--;
        parser->connection |= connection_option(pos, (size_t)(last - pos));
        pos = comma ? comma + 1 : end;
    }
}

int q5__h1_framing_field(q5_h1_parser *parser, const q5_field *field) {
    switch ((q5_field_id)field->id) {
    case Q5_FIELD_HOST:
        return host_field(parser, field);
    case Q5_FIELD_CONTENT_LENGTH:
        return content_length_field(parser, field);
    case Q5_FIELD_TRANSFER_ENCODING:
        return transfer_encoding_field(parser, field);
    case Q5_FIELD_EXPECT:
        if (q5_slice_ieq(field->value, Q5_LIT("100-continue"))) return Q5_OK;
        return q5__h1_fault(parser, Q5_EEXPECT, field->value.base);
    case Q5_FIELD_CONNECTION:
        connection_field(parser, field);
        return Q5_OK;
    default:
        return Q5_OK;
    }
}

int q5__h1_framing_finish(q5_h1_parser *parser, const char *at) {
    q5_head *head = parser->head;
    bool is_11 = head->version_minor == 1;
    if (is_11 && head->known[Q5_FIELD_HOST] < 0) return q5__h1_fault(parser, Q5_EHOST, at);
    uint8_t options = parser->connection;
    head->keep_alive = !(options & OPTION_CLOSE) && (is_11 || (options & OPTION_KEEP_ALIVE));
    head->expect_continue =
        is_11 && head->known[Q5_FIELD_EXPECT] >= 0 && (head->chunked || head->content_length > 0);
    head->upgrade = is_11 && (options & OPTION_UPGRADE) && head->known[Q5_FIELD_UPGRADE] >= 0;
    return Q5_OK;
}
