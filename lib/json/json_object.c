#include "q5/json_object.h"

#include "json/utf8.h"

typedef struct cursor {
    const char *at;
    const char *end;
} cursor;

static int scan_value(cursor *c, unsigned depth, q5_json_value *ret_value);

static void skip_space(cursor *c) {
    while (c->at != c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        c->at++;
}

static bool take(cursor *c, char wanted) {
    if (c->at == c->end || *c->at != wanted) return false;
    c->at++;
    return true;
}

/* ---- strings --------------------------------------------------------------------------------- */

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = q5_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits of \uXXXX at `text`, or -1. */
static int32_t hex4(const char *text, size_t len) {
    int32_t unit = 0;
    if (len < 4) return -1;
    for (int i = 0; i < 4; i++) {
        int value = hex_value(text[i]);
        if (value < 0) return -1;
        unit = unit << 4 | value;
    }
    return unit;
}

/* The code point of the escape behind a backslash at `text`, and how many characters it takes;
 * -1: it is none. */
static int32_t escape(const char *text, size_t len, size_t *ret_len) {
    static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (len == 0) return -1;
    *ret_len = 1;
    if (text[0] != 'u') {
        const char *name = memchr(names, text[0], sizeof(names) - 1);
        return name ? meanings[name - names] : -1;
    }
    int32_t unit = hex4(text + 1, len - 1);
    *ret_len = 5;
    if (unit < 0xd800 || unit > 0xdfff) return unit;
    if (unit > 0xdbff || len < 11 || text[5] != '\\' || text[6] != 'u') return -1;
    int32_t low = hex4(text + 7, len - 7);
    if (low < 0xdc00 || low > 0xdfff) return -1;
    *ret_len = 11;
    return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
}

static int scan_string(cursor *c, q5_slice *ret_text) {
    if (!take(c, '"')) return Q5_EJSON;
    const char *base = c->at;
    while (c->at != c->end) {
        size_t left = (size_t)(c->end - c->at), taken;
        uint8_t byte = (uint8_t)*c->at;
        if (byte == '"') {
            *ret_text = q5_slice_make(base, (size_t)(c->at - base));
            c->at++;
            return Q5_OK;
        }
        if (byte < 0x20) return Q5_EJSON;
        if (byte == '\\') {
            if (escape(c->at + 1, left - 1, &taken) < 0) return Q5_EJSON;
            c->at += 1 + taken;
        } else if (byte < 0x80) {
            c->at++;
        } else {
            int sequence = q5__utf8_sequence((const uint8_t *)c->at, left);
            if (sequence < 0) return Q5_EENCODING;
            c->at += sequence;
        }
    }
    return Q5_EJSON;
}

/* Writes a code point as UTF-8; how many bytes. */
static size_t put_utf8(char out[4], int32_t point) {
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    size_t len = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const uint8_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len - 1; i > 0; i--, point >>= 6)
        out[i] = (char)(0x80 | (point & 0x3f));
    out[0] = (char)(leads[len] | point);
    return len;
}

/* The next of a string's bytes as UTF-8, escapes resolved: at least one. */
static size_t next_piece(q5_slice *string, char out[4]) {
    size_t taken = 0, len = 1;
    if (string->base[0] == '\\') {
        len = put_utf8(out, escape(string->base + 1, string->len - 1, &taken));
        taken++;
    } else {
        out[0] = string->base[0];
        taken = 1;
    }
    string->base += taken;
    string->len -= taken;
    return len;
}

bool q5_json_string_eq(q5_slice string, q5_slice plain) {
    if (string.len == 0 || !memchr(string.base, '\\', string.len))
        return q5_slice_eq(string, plain);
    while (string.len) {
        char piece[4];
        size_t len = next_piece(&string, piece);
        if (plain.len < len || memcmp(piece, plain.base, len) != 0) return false;
        plain.base += len;
        plain.len -= len;
    }
    return plain.len == 0;
}

/* Two strings as read, each perhaps with escapes. */
static bool same_string(q5_slice a, q5_slice b) {
    if (b.len == 0 || !memchr(b.base, '\\', b.len)) return q5_json_string_eq(a, b);
    char left[4], right[4];
    size_t left_len = 0, right_len = 0, left_at = 0, right_at = 0;
    for (;;) {
        if (left_at == left_len && a.len) {
            left_len = next_piece(&a, left);
            left_at = 0;
        }
        if (right_at == right_len && b.len) {
            right_len = next_piece(&b, right);
            right_at = 0;
        }
        if (left_at == left_len || right_at == right_len)
            return left_at == left_len && right_at == right_len;
        if (left[left_at++] != right[right_at++]) return false;
    }
}

/* ---- other values ---------------------------------------------------------------------------- */

static size_t scan_digits(cursor *c) {
    const char *base = c->at;
    while (c->at != c->end && *c->at >= '0' && *c->at <= '9')
        c->at++;
    return (size_t)(c->at - base);
}

static int scan_number(cursor *c) {
    take(c, '-');
    const char *base = c->at;
    size_t digits = scan_digits(c);
    if (digits == 0 || (digits > 1 && *base == '0')) return Q5_EJSON;
    if (take(c, '.') && scan_digits(c) == 0) return Q5_EJSON;
    if (take(c, 'e') || take(c, 'E')) {
        if (!take(c, '+')) take(c, '-');
        if (scan_digits(c) == 0) return Q5_EJSON;
    }
    return Q5_OK;
}

static int scan_word(cursor *c, q5_slice word) {
    if ((size_t)(c->end - c->at) < word.len || memcmp(c->at, word.base, word.len) != 0)
        return Q5_EJSON;
    c->at += word.len;
    return Q5_OK;
}

/* From behind a name's opening quote's place to behind its value. */
static int scan_member(cursor *c, unsigned depth, q5_json_member *ret_member) {
    skip_space(c);
    int status = scan_string(c, &ret_member->name);
    if (status) return status;
    skip_space(c);
    if (!take(c, ':')) return Q5_EJSON;
    return scan_value(c, depth, &ret_member->value);
}

/* The elements of an array or object below the top, from behind its opening bracket. */
static int scan_elements(cursor *c, unsigned depth, bool object) {
    char closing = object ? '}' : ']';
    if (depth == Q5_JSON_OBJECT_DEPTH_MAX) return Q5_EJSON_DEPTH;
    skip_space(c);
    if (take(c, closing)) return Q5_OK;
    for (;;) {
        q5_json_member ignored;
        int status =
            object ? scan_member(c, depth + 1, &ignored) : scan_value(c, depth + 1, &ignored.value);
        if (status) return status;
        if (take(c, closing)) return Q5_OK;
        if (!take(c, ',')) return Q5_EJSON;
    }
}

/* One value and the white space around it. Recursion is bounded by Q5_JSON_OBJECT_DEPTH_MAX. */
static int scan_value(cursor *c, unsigned depth, q5_json_value *ret_value) {
    skip_space(c);
    if (c->at == c->end) return Q5_EJSON;
    const char *base = c->at;
    int status;
    switch (*base) {
    case '"':
        ret_value->kind = Q5_JSON_STRING;
        status = scan_string(c, &ret_value->text);
        if (status == Q5_OK) skip_space(c);
        return status;
    case '{':
    case '[':
        c->at++;
        ret_value->kind = *base == '{' ? Q5_JSON_OBJECT : Q5_JSON_ARRAY;
        status = scan_elements(c, depth, *base == '{');
        break;
    case 't':
        ret_value->kind = Q5_JSON_TRUE;
        status = scan_word(c, Q5_LIT("true"));
        break;
    case 'f':
        ret_value->kind = Q5_JSON_FALSE;
        status = scan_word(c, Q5_LIT("false"));
        break;
    case 'n':
        ret_value->kind = Q5_JSON_NULL;
        status = scan_word(c, Q5_LIT("null"));
        break;
    default:
        ret_value->kind = Q5_JSON_NUMBER;
        status = scan_number(c);
        break;
    }
    if (status) return status;
    ret_value->text = q5_slice_make(base, (size_t)(c->at - base));
    skip_space(c);
    return Q5_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool is_known(const q5_json_member *members, size_t count, q5_slice name) {
    for (size_t i = 0; i < count; i++)
        if (same_string(members[i].name, name)) return true;
    return false;
}

static int scan_object(cursor *c, q5_json_member *members, size_t members_max, size_t *ret_count) {
    size_t count = 0;
    skip_space(c);
    if (take(c, '}')) {
        *ret_count = 0;
        return Q5_OK;
    }
    for (;;) {
        if (count == members_max) return Q5_EJSON_KEYS;
        int status = scan_member(c, 1, &members[count]);
        if (status) return status;
        if (is_known(members, count, members[count].name)) return Q5_EJSON;
        count++;
        if (take(c, '}')) break;
        if (!take(c, ',')) return Q5_EJSON;
    }
    *ret_count = count;
    return Q5_OK;
}

int q5_json_object_read(q5_slice text, q5_json_member *members, size_t members_max,
                        size_t *ret_count) {
    cursor c = {text.base, text.len ? text.base + text.len : text.base};
    size_t count = 0;
    skip_space(&c);
    if (!take(&c, '{')) return Q5_EJSON;
    int status = scan_object(&c, members, members_max, &count);
    if (status) return status;
    skip_space(&c);
    if (c.at != c.end) return Q5_EJSON;
    *ret_count = count;
    return Q5_OK;
}

const q5_json_value *q5_json_object_find(const q5_json_member *members, size_t count,
                                         q5_slice name) {
    for (size_t i = 0; i < count; i++)
        if (q5_json_string_eq(members[i].name, name)) return &members[i].value;
    return NULL;
}

bool q5_json_array_next(q5_slice *rest, q5_json_value *ret_value) {
    cursor c = {rest->base, rest->base + rest->len};
    /* The opening bracket or the comma, then an element; or the closing bracket. */
    if (c.at == c.end) return false;
    c.at++;
    skip_space(&c);
    if (c.at == c.end || *c.at == ']' || scan_value(&c, 1, ret_value)) return false;
    *rest = q5_slice_make(c.at, (size_t)(c.end - c.at));
    return true;
}
