#include "q5/multipart.h"

#include <assert.h>

#include "http/params.h"
#include "http/part_header.h"

enum {
    PREAMBLE,
    DELIMITER,  /* behind a delimiter: "--", padding or CRLF follows */
    CLOSE_DASH, /* behind the first dash of "--" */
    PADDING,
    DELIMITER_LF,
    HEAD,
    DATA,
    EPILOGUE
};

static_assert(4 + Q5_BOUNDARY_MAX <= UINT8_MAX, "matched and delimiter_len are bytes");

/* bchars of RFC 2046, 5.1.1. None of them is CR: the search below relies on it. */
static bool valid_boundary(q5_slice b) {
    if (b.len == 0 || b.len > Q5_BOUNDARY_MAX || b.base[b.len - 1] == ' ') return false;
    for (size_t i = 0; i < b.len; i++) {
        char c = b.base[i];
        bool alnum = (c >= '0' && c <= '9') || (q5_lower(c) >= 'a' && q5_lower(c) <= 'z');
        if (!alnum && (c == '\0' || !strchr("'()+_,-./:=? ", c))) return false;
    }
    return true;
}

int q5_multipart_boundary(q5_slice content_type, q5_slice *ret_boundary) {
    static const char type[] = "multipart/form-data";
    const size_t type_len = sizeof(type) - 1;
    size_t pos = 0;
    q5__skip_ows(content_type, &pos);
    if (content_type.len - pos < type_len) return Q5_NOT_FOUND;
    q5_slice sent = q5_slice_make(content_type.base + pos, type_len);
    if (!q5_slice_ieq(sent, q5_slice_make(type, type_len))) return Q5_NOT_FOUND;
    pos += type_len;
    if (pos < content_type.len && !strchr(" \t;", content_type.base[pos])) return Q5_NOT_FOUND;

    q5_slice boundary = {0};
    q5__param param;
    int status;
    while ((status = q5__param_next(content_type, &pos, &param)) == Q5_OK) {
        if (!q5_slice_ieq(param.name, Q5_LIT("boundary"))) continue;
        if (boundary.base || !valid_boundary(param.value)) return Q5_EMULTIPART;
        boundary = param.value;
    }
    if (status != Q5_DONE || !boundary.base) return Q5_EMULTIPART;
    *ret_boundary = boundary;
    return Q5_OK;
}

q5_multipart_limits q5_multipart_limits_default(void) {
    return (q5_multipart_limits){.fields_max = 1000,
                                 .files_max = 100,
                                 .head_max = 8192,
                                 .headers_max = 8,
                                 .slack_max = 4096,
                                 .decode_quote = true};
}

int q5_multipart_init(q5_multipart *parser, const q5_alloc *alloc, q5_slice boundary,
                      const q5_multipart_limits *limits, const q5_multipart_callbacks *callbacks,
                      void *ctx) {
    if (!valid_boundary(boundary)) return Q5_EINVAL;
    *parser = (q5_multipart){
        .callbacks = *callbacks,
        .ctx = ctx,
        .limits = limits ? *limits : q5_multipart_limits_default(),
        .state = PREAMBLE,
        /* The first delimiter stands at the very beginning, or behind a preamble and CRLF. */
        .matched = 2,
        .delimiter_len = (uint8_t)(4 + boundary.len),
    };
    if (parser->limits.headers_max > Q5_PART_HEADERS_MAX)
        parser->limits.headers_max = Q5_PART_HEADERS_MAX;
    q5_buf_init(&parser->head, alloc);
    memcpy(parser->delimiter, "\r\n--", 4);
    memcpy(parser->delimiter + 4, boundary.base, boundary.len);
    return Q5_OK;
}

void q5_multipart_deinit(q5_multipart *parser) {
    q5_buf_deinit(&parser->head);
    parser->status = Q5_ESTATE;
}

static int add_slack(q5_multipart *parser, size_t n) {
    if (n > parser->limits.slack_max - parser->slack) return Q5_EMULTIPART;
    parser->slack += (uint32_t)n;
    return Q5_OK;
}

static int emit(q5_multipart *parser, const char *base, size_t len) {
    if (len == 0) return Q5_OK;
    if (parser->state == PREAMBLE) return add_slack(parser, len);
    return parser->callbacks.part_data(parser->ctx, q5_slice_make(base, len));
}

/* Length of the longest common start of s and the delimiter behind its first `from` bytes. */
static size_t match(const q5_multipart *parser, size_t from, const char *s, size_t len) {
    size_t n = 0;
    while (n < len && from + n < parser->delimiter_len && s[n] == parser->delimiter[from + n])
        n++;
    return n;
}

/* Passes data on up to the delimiter, which *ret_found tells of, or to the end of the input.
 * Linear: CR stands nowhere but at the delimiter's start, so bytes that matched and then did not
 * need no second look. */
static int scan(q5_multipart *parser, q5_slice in, size_t *pos, bool *ret_found) {
    size_t i = *pos;
    size_t run = i; /* start of what is not passed on yet */
    *ret_found = false;
    if (parser->matched) {
        size_t n = match(parser, parser->matched, in.base + i, in.len - i);
        size_t before = parser->matched;
        parser->matched = (uint8_t)(before + n);
        *pos = i += n;
        *ret_found = parser->matched == parser->delimiter_len;
        if (*ret_found) parser->matched = 0;
        if (*ret_found || i == in.len) return Q5_OK;
        parser->matched = 0;
        int status = emit(parser, parser->delimiter, before);
        if (status) return status;
    }
    while (i < in.len) {
        const char *cr = memchr(in.base + i, '\r', in.len - i);
        if (!cr) break;
        size_t at = (size_t)(cr - in.base);
        size_t n = match(parser, 0, cr, in.len - at);
        i = at + n;
        *ret_found = n == parser->delimiter_len;
        if (!*ret_found && i < in.len) continue;
        if (!*ret_found) parser->matched = (uint8_t)n;
        *pos = i;
        return emit(parser, in.base + run, at - run);
    }
    *pos = in.len;
    return emit(parser, in.base + run, in.len - run);
}

static int scan_data(q5_multipart *parser, q5_slice in, size_t *pos) {
    bool found;
    int status = scan(parser, in, pos, &found);
    if (status || !found) return status;
    bool in_part = parser->state == DATA;
    parser->state = DELIMITER;
    return in_part ? parser->callbacks.part_end(parser->ctx) : Q5_OK;
}

static int begin_part(q5_multipart *parser) {
    size_t len = parser->head.len - 2; /* without the empty line */
    int status = q5_buf_reserve(&parser->head, len);
    if (status) return status;
    q5_slice head = q5_slice_make(parser->head.base, len);
    char *scratch = parser->head.base + parser->head.len;
    status = q5__part_header_parse(head, scratch, &parser->limits, &parser->part);
    if (status) return status;
    uint32_t *count = parser->part.is_file ? &parser->files : &parser->fields;
    uint32_t max = parser->part.is_file ? parser->limits.files_max : parser->limits.fields_max;
    if (*count == max) return Q5_ETOO_MANY;
    (*count)++;
    parser->state = DATA;
    return parser->callbacks.part_begin(parser->ctx, &parser->part);
}

/* Takes bytes up to the end of one header line. */
static int read_head(q5_multipart *parser, q5_slice in, size_t *pos) {
    q5_buf *head = &parser->head;
    const char *base = in.base + *pos;
    const char *lf = memchr(base, '\n', in.len - *pos);
    size_t len = lf ? (size_t)(lf - base) + 1 : in.len - *pos;
    if (len > parser->limits.head_max - head->len) return Q5_ETOO_MANY;
    int status = q5_buf_append(head, base, len);
    if (status) return status;
    *pos += len;
    if (!lf) return Q5_OK;
    size_t line_len = head->len - parser->line;
    if (line_len < 2 || head->base[head->len - 2] != '\r') return Q5_EMULTIPART;
    parser->line = head->len;
    return line_len == 2 ? begin_part(parser) : Q5_OK;
}

/* The rest of a delimiter's line, byte by byte. */
static int read_delimiter(q5_multipart *parser, char c) {
    switch (parser->state) {
    case DELIMITER:
        if (c == '-') {
            parser->state = CLOSE_DASH;
            return Q5_OK;
        }
        parser->state = PADDING;
        /* fallthrough */
    case PADDING:
        if (c == ' ' || c == '\t') return add_slack(parser, 1);
        parser->state = DELIMITER_LF;
        return c == '\r' ? Q5_OK : Q5_EMULTIPART;
    case CLOSE_DASH:
        parser->state = EPILOGUE;
        return c == '-' ? Q5_OK : Q5_EMULTIPART;
    default:
        parser->head.len = parser->line = 0;
        parser->state = HEAD;
        return c == '\n' ? Q5_OK : Q5_EMULTIPART;
    }
}

int q5_multipart_feed(q5_multipart *parser, const char *base, size_t len) {
    q5_slice in = q5_slice_make(base, len);
    size_t pos = 0;
    while (pos < len && parser->status == Q5_OK) {
        switch (parser->state) {
        case PREAMBLE:
        case DATA:
            parser->status = scan_data(parser, in, &pos);
            break;
        case HEAD:
            parser->status = read_head(parser, in, &pos);
            break;
        case EPILOGUE:
            parser->status = add_slack(parser, len - pos);
            pos = len;
            break;
        default:
            parser->status = read_delimiter(parser, base[pos++]);
            break;
        }
    }
    return parser->status;
}

int q5_multipart_finish(q5_multipart *parser) {
    if (parser->status == Q5_OK && parser->state != EPILOGUE) parser->status = Q5_EMULTIPART;
    return parser->status;
}
