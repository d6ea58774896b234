/* Text, bytes and UUIDs. */
#include "q5/json_text.h"
#include "sql/sql_internal.h"

#define UUID_LEN 16
#define UUID_TEXT_LEN 36

int q5__write_text(q5_buf *out, q5_slice text) {
    int status = q5_json_text(out, text.base, text.len);
    return status == Q5_EENCODING ? Q5_ECELL : status;
}

int q5__pg_text(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    (void)encoder;
    return cell->kind == Q5_CELL_BYTES ? q5__write_text(out, cell->bytes) : Q5_ECELL;
}

int q5__pg_bytes(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    (void)encoder;
    return cell->kind == Q5_CELL_BYTES ? q5__write_base64(out, cell->bytes) : Q5_ECELL;
}

/* RFC 4648, 4. */
int q5__write_base64(q5_buf *out, q5_slice bytes) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *at = bytes.len > SIZE_MAX / 4 ? NULL : q5__room(out, (bytes.len + 2) / 3 * 4 + 2);
    if (!at) return Q5_ENOMEM;
    const uint8_t *from = (const uint8_t *)bytes.base;
    *at++ = '"';
    size_t left = bytes.len;
    for (; left >= 3; left -= 3, from += 3, at += 4) {
        unsigned word = (unsigned)from[0] << 16 | (unsigned)from[1] << 8 | from[2];
        at[0] = digits[word >> 18];
        at[1] = digits[word >> 12 & 63];
        at[2] = digits[word >> 6 & 63];
        at[3] = digits[word & 63];
    }
    if (left) {
        unsigned word = (unsigned)from[0] << 16 | (left == 2 ? (unsigned)from[1] << 8 : 0);
        at[0] = digits[word >> 18];
        at[1] = digits[word >> 12 & 63];
        at[2] = left == 2 ? digits[word >> 6 & 63] : '=';
        at[3] = '=';
        at += 4;
    }
    *at++ = '"';
    return q5__wrote(out, at);
}

static int write_uuid(q5_buf *out, const uint8_t bytes[UUID_LEN]) {
    static const char hex[] = "0123456789abcdef";
    char *at = q5__room(out, UUID_TEXT_LEN + 2);
    if (!at) return Q5_ENOMEM;
    *at++ = '"';
    for (unsigned i = 0; i < UUID_LEN; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *at++ = '-';
        at[0] = hex[bytes[i] >> 4];
        at[1] = hex[bytes[i] & 15];
        at += 2;
    }
    *at++ = '"';
    return q5__wrote(out, at);
}

int q5__pg_uuid(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    (void)encoder;
    if (cell->kind != Q5_CELL_BYTES || cell->bytes.len != UUID_LEN) return Q5_ECELL;
    return write_uuid(out, (const uint8_t *)cell->bytes.base);
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = q5_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* char(32) is what Django writes; with its four hyphens uuid.UUID() takes it too. */
int q5__sqlite_uuid(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    (void)encoder;
    if (cell->kind != Q5_CELL_TEXT) return Q5_ECELL_RANGE;
    const char *from = cell->bytes.base;
    bool hyphens = cell->bytes.len == UUID_TEXT_LEN;
    if (!hyphens && cell->bytes.len != 2 * (size_t)UUID_LEN) return Q5_ECELL_RANGE;
    uint8_t bytes[UUID_LEN];
    for (unsigned i = 0; i < UUID_LEN; i++) {
        if (hyphens && (i == 4 || i == 6 || i == 8 || i == 10) && *from++ != '-')
            return Q5_ECELL_RANGE;
        int high = hex_value(from[0]), low = hex_value(from[1]);
        if ((high | low) < 0) return Q5_ECELL_RANGE;
        bytes[i] = (uint8_t)(high << 4 | low);
        from += 2;
    }
    return write_uuid(out, bytes);
}
