#include "http/part_header.h"

#include "http/params.h"
#include "q5/percent.h"

/* Nothing below HTAB and SP belongs into a field value (RFC 9110, 5.5). */
static bool valid_value(q5_slice value) {
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.base[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) return false;
    }
    return true;
}

static q5_slice trim(q5_slice s) {
    size_t start = 0;
    q5__skip_ows(s, &start);
    while (s.len > start && (s.base[s.len - 1] == ' ' || s.base[s.len - 1] == '\t'))
        s.len--;
    return q5_slice_make(s.base + start, s.len - start);
}

static int parse_line(q5_slice line, q5_part_header *ret_header) {
    size_t pos = 0;
    q5_slice name = q5__token(line, &pos);
    if (name.len == 0 || pos == line.len || line.base[pos] != ':') return Q5_EMULTIPART;
    q5_slice value = trim(q5_slice_make(line.base + pos + 1, line.len - pos - 1));
    if (!valid_value(value)) return Q5_EMULTIPART;
    *ret_header = (q5_part_header){name, value};
    return Q5_OK;
}

/* Takes the escapes out of a quoted string: \" and \\ as in RFC 9110, 5.6.4; other backslashes
 * stay, since old browsers send paths with bare ones; %22 if the limits say so. */
static q5_slice unescape(char **scratch, q5_slice in, const q5_multipart_limits *limits) {
    char *out = *scratch;
    size_t len = 0;
    for (size_t i = 0; i < in.len; i++) {
        size_t left = in.len - i;
        char c = in.base[i];
        if (c == '\\' && left > 1 && (in.base[i + 1] == '"' || in.base[i + 1] == '\\')) {
            c = in.base[++i];
        } else if (limits->decode_quote && left > 2 && memcmp(in.base + i, "%22", 3) == 0) {
            c = '"';
            i += 2;
        }
        out[len++] = c;
    }
    *scratch += len;
    return q5_slice_make(out, len);
}

/* ext-value of RFC 8187, 3.2.1, in UTF-8 only: UTF-8'[language]'value-chars. */
static int decode_ext_value(char **scratch, q5_slice in, q5_slice *ret_value) {
    const char *charset_end = memchr(in.base, '\'', in.len);
    if (!charset_end) return Q5_EMULTIPART;
    size_t charset_len = (size_t)(charset_end - in.base);
    if (!q5_slice_ieq(q5_slice_make(in.base, charset_len), Q5_LIT("utf-8"))) return Q5_EMULTIPART;
    q5_slice rest = q5_slice_make(charset_end + 1, in.len - charset_len - 1);
    const char *language_end = rest.len ? memchr(rest.base, '\'', rest.len) : NULL;
    if (!language_end) return Q5_EMULTIPART;
    size_t language_len = (size_t)(language_end - rest.base);
    q5_slice value = q5_slice_make(language_end + 1, rest.len - language_len - 1);

    char *out = *scratch;
    size_t len = 0;
    if (q5_percent_decode(value, Q5_PERCENT_UTF8, out, &len)) return Q5_EMULTIPART;
    if (len && memchr(out, '\0', len)) return Q5_EMULTIPART;
    *scratch += len;
    *ret_value = q5_slice_make(out, len);
    return Q5_OK;
}

/* RFC 7578, 4.2. */
static int parse_disposition(char *scratch, q5_slice value, const q5_multipart_limits *limits,
                             q5_part *part) {
    size_t pos = 0;
    if (!q5_slice_ieq(q5__token(value, &pos), Q5_LIT("form-data"))) return Q5_EMULTIPART;
    bool has_name = false, has_plain = false, has_ext = false;
    q5__param param;
    int status;
    while ((status = q5__param_next(value, &pos, &param)) == Q5_OK) {
        if (q5_slice_ieq(param.name, Q5_LIT("name"))) {
            if (has_name) return Q5_EMULTIPART;
            has_name = true;
            part->name = param.quoted ? unescape(&scratch, param.value, limits) : param.value;
        } else if (q5_slice_ieq(param.name, Q5_LIT("filename"))) {
            if (has_plain) return Q5_EMULTIPART;
            has_plain = true;
            if (has_ext) continue; /* the extended form is to be preferred (RFC 6266, 4.3) */
            part->filename = param.quoted ? unescape(&scratch, param.value, limits) : param.value;
        } else if (q5_slice_ieq(param.name, Q5_LIT("filename*"))) {
            if (has_ext || param.quoted) return Q5_EMULTIPART;
            has_ext = true;
            status = decode_ext_value(&scratch, param.value, &part->filename);
            if (status) return status;
        }
    }
    if (status != Q5_DONE || !has_name) return Q5_EMULTIPART;
    part->is_file = has_plain || has_ext;
    return Q5_OK;
}

static int split_lines(q5_slice head, const q5_multipart_limits *limits, q5_part *part) {
    for (size_t pos = 0; pos < head.len;) {
        const char *line = head.base + pos;
        const char *lf = memchr(line, '\n', head.len - pos);
        if (!lf) return Q5_EMULTIPART;
        size_t line_len = (size_t)(lf - line) - 1; /* the caller saw to the CR */
        if (part->header_count == limits->headers_max) return Q5_ETOO_MANY;
        int status = parse_line(q5_slice_make(line, line_len), &part->headers[part->header_count]);
        if (status) return status;
        part->header_count++;
        pos += line_len + 2;
    }
    return Q5_OK;
}

int q5__part_header_parse(q5_slice head, char *scratch, const q5_multipart_limits *limits,
                          q5_part *part) {
    *part = (q5_part){0};
    int status = split_lines(head, limits, part);
    if (status) return status;
    const q5_part_header *disposition = NULL, *type = NULL;
    for (size_t i = 0; i < part->header_count; i++) {
        const q5_part_header *header = &part->headers[i];
        const q5_part_header **known = NULL;
        if (q5_slice_ieq(header->name, Q5_LIT("content-disposition"))) known = &disposition;
        if (q5_slice_ieq(header->name, Q5_LIT("content-type"))) known = &type;
        if (!known) continue;
        if (*known) return Q5_EMULTIPART;
        *known = header;
    }
    if (!disposition) return Q5_EMULTIPART;
    if (type) part->content_type = type->value;
    return parse_disposition(scratch, disposition->value, limits, part);
}
