/* JSON of the database as json.loads and msgspec.json.encode would leave it: without white space,
 * strings in UTF-8 with as few escapes as can be, floats in their shortest form. Object members
 * stay as they are, repeated names too (jsonb has none). */
#include "json/escape.h"
#include "json/json_internal.h"
#include "q5/json_text.h"
#include "q5/percent.h"
#include "sql/sql_internal.h"

#define INT_DIGITS_MAX 4300 /* sys.int_info.default_max_str_digits: json.loads refuses more */

typedef struct json_copy {
    const char *at, *end;
    q5_buf *out;
    char *to; /* has room for the rest of the text, Q5__COPY_SLACK and what a number may add */
    uint64_t high;
    q5__json_stack stack;
} json_copy;

/* A number may be longer than its text: 1e9. */
static bool make_room(json_copy *c) {
    c->out->len = (size_t)(c->to - c->out->base);
    c->to = q5__room(c->out, (size_t)(c->end - c->at) + Q5_JSON_DOUBLE_MAX + Q5__COPY_SLACK);
    return c->to != NULL;
}

static void skip_space(json_copy *c) {
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t'))
        c->at++;
}

static bool take_hex(json_copy *c, unsigned *ret) {
    if (c->end - c->at < 4) return false;
    unsigned unit = 0;
    for (int i = 0; i < 4; i++) {
        char byte = q5_lower(*c->at++);
        if (byte >= '0' && byte <= '9')
            unit = unit << 4 | (unsigned)(byte - '0');
        else if (byte >= 'a' && byte <= 'f')
            unit = unit << 4 | (unsigned)(byte - 'a' + 10);
        else
            return false;
    }
    *ret = unit;
    return true;
}

static char *put_utf8(char *to, unsigned code) {
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 63));
    } else {
        if (code < 0x10000) {
            *to++ = (char)(0xe0 | code >> 12);
        } else {
            *to++ = (char)(0xf0 | code >> 18);
            *to++ = (char)(0x80 | (code >> 12 & 63));
        }
        *to++ = (char)(0x80 | (code >> 6 & 63));
        *to++ = (char)(0x80 | (code & 63));
    }
    return to;
}

/* Behind \u. Half a surrogate pair is a str that nobody can encode. */
static int copy_code(json_copy *c) {
    unsigned code, low;
    if (!take_hex(c, &code)) return Q5_ECELL;
    if (code >= 0xd800 && code < 0xe000) {
        if (code >= 0xdc00 || c->end - c->at < 6 || c->at[0] != '\\' || c->at[1] != 'u')
            return Q5_ECELL_RANGE;
        c->at += 2;
        if (!take_hex(c, &low)) return Q5_ECELL;
        if (low < 0xdc00 || low >= 0xe000) return Q5_ECELL_RANGE;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    bool escaped = code < 0x20 || code == '"' || code == '\\';
    c->to = escaped ? q5__put_escape(c->to, (char)code) : put_utf8(c->to, code);
    return Q5_OK;
}

/* Behind the backslash. */
static int copy_escape(json_copy *c) {
    if (c->at == c->end) return Q5_ECELL;
    char name = *c->at++;
    switch (name) {
    case 'u':
        return copy_code(c);
    case '/':
        *c->to++ = '/';
        return Q5_OK;
    case '"':
    case '\\':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        *c->to++ = '\\';
        *c->to++ = name;
        return Q5_OK;
    default:
        return Q5_ECELL;
    }
}

static int copy_string(json_copy *c) {
    if (c->at == c->end || *c->at != '"') return Q5_ECELL;
    c->at++;
    *c->to++ = '"';
    for (;;) {
        size_t n = q5__copy_plain(c->to, c->at, (size_t)(c->end - c->at), &c->high);
        c->to += n;
        c->at += n;
        if (c->at == c->end) return Q5_ECELL;
        char byte = *c->at++;
        if (byte == '"') break;
        int status = byte == '\\' ? copy_escape(c) : Q5_ECELL;
        if (status) return status;
    }
    *c->to++ = '"';
    return Q5_OK;
}

/* Over digits, of which there must be one. */
static const char *digits_end(const char *at, const char *end) {
    const char *start = at;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at > start ? at : NULL;
}

/* RFC 8259, 6. NULL: it is no number. */
static const char *number_end(const char *at, const char *end, bool *ret_real) {
    *ret_real = false;
    if (*at == '-') at++;
    const char *first = at;
    at = digits_end(at, end);
    if (!at || (*first == '0' && at - first > 1)) return NULL;
    if (at < end && *at == '.') {
        *ret_real = true;
        at = digits_end(at + 1, end);
    }
    if (at && at < end && q5_lower(*at) == 'e') {
        *ret_real = true;
        at++;
        if (at < end && (*at == '+' || *at == '-')) at++;
        at = digits_end(at, end);
    }
    return at;
}

static int copy_number(json_copy *c) {
    bool real;
    const char *end = number_end(c->at, c->end, &real);
    if (!end) return Q5_ECELL;
    q5_slice text = q5_slice_make(c->at, (size_t)(end - c->at));
    c->at = end;
    if (real) {
        c->to = q5_json_double(c->to, q5__parse_double(text));
        return make_room(c) ? Q5_OK : Q5_ENOMEM;
    }
    if (text.len > INT_DIGITS_MAX) return Q5_ECELL_RANGE;
    bool minus_zero = text.len == 2 && text.base[0] == '-' && text.base[1] == '0';
    c->to = minus_zero ? Q5__PUT(c->to, "0") : q5__put(c->to, text.base, text.len);
    return Q5_OK;
}

static int copy_literal(json_copy *c, q5_slice text) {
    if ((size_t)(c->end - c->at) < text.len || memcmp(c->at, text.base, text.len) != 0)
        return Q5_ECELL;
    c->at += text.len;
    c->to = q5__put(c->to, text.base, text.len);
    return Q5_OK;
}

/* "name": up to the value. */
static int copy_name(json_copy *c) {
    skip_space(c);
    int status = copy_string(c);
    if (status) return status;
    skip_space(c);
    if (c->at == c->end || *c->at != ':') return Q5_ECELL;
    c->at++;
    *c->to++ = ':';
    return Q5_OK;
}

static int copy_scalar(json_copy *c) {
    switch (*c->at) {
    case '"':
        return copy_string(c);
    case 't':
        return copy_literal(c, Q5_LIT("true"));
    case 'f':
        return copy_literal(c, Q5_LIT("false"));
    case 'n':
        return copy_literal(c, Q5_LIT("null"));
    default:
        return copy_number(c);
    }
}

/* A value up to what it may open: *ret_open says that its first value or name is to come. */
static int copy_value(json_copy *c, bool *ret_open) {
    *ret_open = false;
    skip_space(c);
    if (c->at == c->end) return Q5_ECELL;
    char bracket = *c->at;
    if (bracket != '{' && bracket != '[') return copy_scalar(c);
    if (c->stack.depth == Q5_JSON_DEPTH_MAX) return Q5_ECELL_RANGE;
    c->at++;
    *c->to++ = bracket;
    q5__json_open(&c->stack, bracket == '{');
    skip_space(c);
    bool closes = c->at < c->end && *c->at == (bracket == '{' ? '}' : ']');
    if (!closes && bracket == '{') {
        int status = copy_name(c);
        if (status) return status;
    }
    *ret_open = !closes;
    return Q5_OK;
}

/* Behind a value: closing brackets, then a comma (and a name) or nothing at all. */
static int copy_between(json_copy *c) {
    for (;; c->at++) {
        skip_space(c);
        if (c->stack.depth == 0) return Q5_OK;
        if (c->at == c->end) return Q5_ECELL;
        char byte = *c->at;
        bool object = c->stack.objects[(c->stack.depth - 1) / 64] >> (c->stack.depth - 1) % 64 & 1;
        *c->to++ = byte;
        if (byte == ',') {
            c->at++;
            return object ? copy_name(c) : Q5_OK;
        }
        if ((byte != '}' && byte != ']') || !q5__json_close(&c->stack, byte == '}'))
            return Q5_ECELL;
    }
}

static int copy_text(json_copy *c) {
    do {
        bool open;
        int status = copy_value(c, &open);
        if (!status && !open) status = copy_between(c);
        if (status) return status;
    } while (c->stack.depth);
    return c->at == c->end ? Q5_OK : Q5_ECELL;
}

static int copy_json(q5_slice text, q5_buf *out) {
    json_copy c = {.at = text.base, .end = text.base + text.len, .out = out};
    size_t before = out->len;
    c.to = q5__room(out, text.len + Q5_JSON_DOUBLE_MAX + Q5__COPY_SLACK);
    if (!c.to) return Q5_ENOMEM;
    int status = copy_text(&c);
    if (!status && c.high && !q5_utf8_valid(text)) status = Q5_ECELL;
    out->len = before;
    return status ? status : q5__wrote(out, c.to);
}

int q5__pg_json(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    (void)encoder;
    return cell->kind == Q5_CELL_BYTES ? copy_json(cell->bytes, out) : Q5_ECELL;
}

/* jsonb_send: a version, which is 1, and the text. */
int q5__pg_jsonb(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    (void)encoder;
    if (cell->kind != Q5_CELL_BYTES || cell->bytes.len < 1 || cell->bytes.base[0] != 1)
        return Q5_ECELL;
    return copy_json(q5_slice_make(cell->bytes.base + 1, cell->bytes.len - 1), out);
}

/* A part that a key picked out (KeyTransform) is no text but the value itself. */
int q5__sqlite_json(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    (void)encoder;
    if (cell->kind == Q5_CELL_TEXT) return copy_json(cell->bytes, out);
    return cell->kind == Q5_CELL_BYTES ? Q5_ECELL_RANGE : q5__write_as_stored(out, cell);
}
