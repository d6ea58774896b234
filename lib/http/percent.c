#include "q5/percent.h"

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = q5_lower(c);
    return (c >= 'a' && c <= 'f') ? c - 'a' + 10 : -1;
}

/* Offset of the first byte that decoding may change; in.len when there is none. */
static size_t plain_len(q5_slice in, unsigned flags) {
    if (in.len == 0) return 0;
    const char *hit = memchr(in.base, '%', in.len);
    size_t len = hit ? (size_t)(hit - in.base) : in.len;
    if (flags & Q5_PERCENT_PLUS && len) {
        hit = memchr(in.base, '+', len);
        if (hit) len = (size_t)(hit - in.base);
    }
    return len;
}

int q5_percent_decode(q5_slice in, unsigned flags, char *out, size_t *ret_len) {
    size_t i = plain_len(in, flags);
    size_t len = i;
    if (i && out != in.base) memcpy(out, in.base, i);
    while (i < in.len) {
        char c = in.base[i++];
        if (c == '%') {
            int high = in.len - i >= 2 ? hex_digit(in.base[i]) : -1;
            int low = high >= 0 ? hex_digit(in.base[i + 1]) : -1;
            if (low >= 0) {
                c = (char)(high << 4 | low);
                i += 2;
            } else if (!(flags & Q5_PERCENT_LENIENT)) {
                return Q5_EENCODING;
            }
        } else if (c == '+' && flags & Q5_PERCENT_PLUS) {
            c = ' ';
        }
        out[len++] = c;
    }
    if (flags & Q5_PERCENT_UTF8 && !q5_utf8_valid(q5_slice_make(out, len))) return Q5_EENCODING;
    *ret_len = len;
    return Q5_OK;
}

int q5_percent_decode_arena(q5_slice in, unsigned flags, q5_arena *arena, q5_slice *ret_out) {
    if (plain_len(in, flags) == in.len) {
        if (flags & Q5_PERCENT_UTF8 && !q5_utf8_valid(in)) return Q5_EENCODING;
        *ret_out = in;
        return Q5_OK;
    }
    char *out = q5_arena_alloc(arena, in.len);
    if (!out) return Q5_ENOMEM;
    size_t len = 0;
    int status = q5_percent_decode(in, flags, out, &len);
    if (status) return status;
    *ret_out = q5_slice_make(out, len);
    return Q5_OK;
}

static bool is_tail(unsigned char c) {
    return (c & 0xc0) == 0x80;
}

/* Length of the well-formed sequence at s (RFC 3629, 4), 0 when there is none. */
static size_t sequence_len(const unsigned char *s, size_t left) {
    unsigned char lead = s[0];
    if (lead < 0x80) return 1;
    if (lead < 0xc2 || lead > 0xf4) return 0;
    size_t len = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (left < len || !is_tail(s[1])) return 0;
    if (lead == 0xe0 && s[1] < 0xa0) return 0; /* overlong */
    if (lead == 0xed && s[1] > 0x9f) return 0; /* surrogates */
    if (lead == 0xf0 && s[1] < 0x90) return 0; /* overlong */
    if (lead == 0xf4 && s[1] > 0x8f) return 0; /* above U+10FFFF */
    for (size_t i = 2; i < len; i++)
        if (!is_tail(s[i])) return 0;
    return len;
}

bool q5_utf8_valid(q5_slice text) {
    const unsigned char *s = (const unsigned char *)text.base;
    size_t i = 0;
    while (i < text.len) {
        uint64_t word;
        while (text.len - i >= sizeof(word)) {
            memcpy(&word, s + i, sizeof(word));
            if (word & UINT64_C(0x8080808080808080)) break;
            i += sizeof(word);
        }
        if (i == text.len) break;
        size_t len = sequence_len(s + i, text.len - i);
        if (len == 0) return false;
        i += len;
    }
    return true;
}
