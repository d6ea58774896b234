/* What each converter takes, on percent-encoded text whose escapes have been checked. */
#include "route/route.h"

#define UUID_LEN 36
#define INT_DIGITS_MAX 19

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = q5_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool q5__path_valid(q5_slice path) {
    const char *at = path.base, *end = path.base + path.len;
    while (at < end && (at = memchr(at, '%', (size_t)(end - at)))) {
        if (end - at < 3) return false;
        int high = hex_value(at[1]), low = hex_value(at[2]);
        if (high < 0 || low < 0 || (high | low) == 0) return false;
        at += 3;
    }
    return true;
}

static bool is_digit(uint8_t byte) {
    return byte >= '0' && byte <= '9';
}

bool q5__convert_takes(q5_convert convert, uint8_t byte, bool escaped) {
    switch (convert) {
    case Q5_CONVERT_INT:
        return is_digit(byte);
    case Q5_CONVERT_SLUG:
        return is_digit(byte) || byte == '-' || byte == '_' ||
               ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
    case Q5_CONVERT_CUSTOM:
    case Q5_CONVERT_STR:
        return byte != '/' || escaped;
    case Q5_CONVERT_PATH:
        return byte != '\n';
    default:
        return false;
    }
}

static size_t uuid_run(q5_slice path, size_t start) {
    size_t at = start;
    for (int i = 0; i < UUID_LEN; i++) {
        if (at == path.len) return start;
        uint8_t byte = q5__path_byte(path.base + at);
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool fits = dash ? byte == '-' : is_digit(byte) || (byte >= 'a' && byte <= 'f');
        if (!fits) return start;
        at += q5__path_step(path.base + at);
    }
    return at;
}

size_t q5__convert_run(q5_convert convert, q5_slice path, size_t start, size_t limit) {
    if (convert == Q5_CONVERT_UUID) return uuid_run(path, start);
    if (convert == Q5_CONVERT_STR || convert == Q5_CONVERT_CUSTOM) {
        if (start == limit) return start;
        const char *slash = memchr(path.base + start, '/', limit - start);
        return slash ? (size_t)(slash - path.base) : limit;
    }
    size_t at = start;
    while (at < limit) {
        const char *base = path.base + at;
        if (!q5__convert_takes(convert, q5__path_byte(base), *base == '%')) break;
        at += q5__path_step(base);
    }
    return at;
}

bool q5__convert_int(q5_slice value, int64_t *ret_number) {
    uint64_t number = 0;
    size_t at = 0;
    for (int digits = 0; at < value.len; digits++) {
        if (digits == INT_DIGITS_MAX) return false;
        number = number * 10 + (q5__path_byte(value.base + at) - '0');
        at += q5__path_step(value.base + at);
    }
    if (number > INT64_MAX) return false; /* 19 digits fit into 64 bits */
    *ret_number = (int64_t)number;
    return true;
}
