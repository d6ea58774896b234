#include "q5/ws_frame.h"

#include "json/utf8.h"

#define FIN 0x80
#define RSV1 0x40
#define RSV23 0x30
#define MASKED 0x80
#define LEN_16 126
#define LEN_64 127

static bool known_opcode(unsigned opcode) {
    return opcode <= Q5_WS_BINARY || (opcode >= Q5_WS_CLOSE && opcode <= Q5_WS_PONG);
}

static uint64_t big_endian(const uint8_t *at, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

/* What the first two bytes alone forbid: a client is told without waiting for more. */
static int check_start(const uint8_t *at) {
    unsigned opcode = at[0] & 0x0f, len = at[1] & 0x7f;
    if (at[0] & RSV23 || !known_opcode(opcode)) return Q5_EWS_FRAME;
    if (!(at[1] & MASKED)) return Q5_EWS_MASK;
    bool control = opcode >= Q5_WS_CLOSE;
    if (control && (!(at[0] & FIN) || at[0] & RSV1 || len > Q5_WS_CONTROL_MAX)) return Q5_EWS_FRAME;
    return Q5_OK;
}

int q5_ws_head_parse(const char *base, size_t len, q5_ws_head *ret_head, size_t *ret_used) {
    const uint8_t *at = (const uint8_t *)base;
    if (len < 2) return Q5_AGAIN;
    int status = check_start(at);
    if (status) return status;
    uint64_t payload = at[1] & 0x7f;
    size_t extra = payload == LEN_16 ? 2 : payload == LEN_64 ? 8 : 0;
    if (len < 2 + extra) return Q5_AGAIN;
    if (extra) payload = big_endian(at + 2, extra);
    /* "the minimal number of bytes MUST be used" (5.2) */
    if (extra == 2 && payload < LEN_16) return Q5_EWS_FRAME;
    if (extra == 8 && (payload <= UINT16_MAX || payload > INT64_MAX)) return Q5_EWS_FRAME;
    if (len < 2 + extra + 4) return Q5_AGAIN;
    *ret_head = (q5_ws_head){
        .len = payload, .opcode = at[0] & 0x0f, .fin = at[0] & FIN, .compressed = at[0] & RSV1};
    memcpy(ret_head->mask, at + 2 + extra, 4);
    *ret_used = 2 + extra + 4;
    return Q5_OK;
}

size_t q5_ws_head_write(char out[Q5_WS_HEAD_MAX], q5_ws_opcode opcode, bool compressed,
                        uint64_t len) {
    uint8_t *to = (uint8_t *)out;
    to[0] = (uint8_t)(FIN | (compressed ? RSV1 : 0) | (unsigned)opcode);
    size_t extra = len < LEN_16 ? 0 : len <= UINT16_MAX ? 2 : 8;
    to[1] = (uint8_t)(extra == 0 ? len : extra == 2 ? LEN_16 : LEN_64);
    for (size_t i = 0; i < extra; i++)
        to[2 + i] = (uint8_t)(len >> (8 * (extra - 1 - i)));
    return 2 + extra;
}

void q5_ws_unmask(char *base, size_t len, const uint8_t mask[4], uint64_t at) {
    uint8_t turned[8];
    for (size_t i = 0; i < sizeof(turned); i++)
        turned[i] = mask[(at + i) & 3];
    uint64_t wide;
    memcpy(&wide, turned, sizeof(wide));
    size_t i = 0;
    /* The compiler makes vectors of it. */
    for (; i + sizeof(wide) <= len; i += sizeof(wide)) {
        uint64_t word;
        memcpy(&word, base + i, sizeof(word));
        word ^= wide;
        memcpy(base + i, &word, sizeof(word));
    }
    for (size_t j = 0; i < len; i++, j++)
        base[i] = (char)((uint8_t)base[i] ^ turned[j]);
}

bool q5_ws_code_valid(unsigned code) {
    if (code >= 3000 && code <= 4999) return true;
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

bool q5_ws_utf8_prefix(q5_slice text, size_t *ret_len) {
    const uint64_t high = 0x8080808080808080;
    const uint8_t *base = (const uint8_t *)text.base;
    size_t at = 0;
    while (at < text.len) {
        uint64_t word = high;
        if (text.len - at >= sizeof(word)) memcpy(&word, base + at, sizeof(word));
        if (!(word & high)) {
            at += sizeof(word);
            continue;
        }
        if (base[at] < 0x80) {
            at++;
            continue;
        }
        int len = q5__utf8_sequence(base + at, text.len - at);
        if (len < 0) {
            *ret_len = at;
            /* So far it is the beginning of a sequence, or its first byte begins none. */
            return base[at] >= 0xc2 && base[at] <= 0xf4 && at + (size_t)-len == text.len;
        }
        at += (size_t)len;
    }
    *ret_len = at;
    return true;
}

q5_ws_code q5_ws_code_of(int status) {
    switch (status) {
    case Q5_EWS_UTF8:
    case Q5_EWS_DATA:
        return Q5_WS_INVALID;
    case Q5_EWS_LONG:
    case Q5_EWS_RATIO:
        return Q5_WS_TOO_BIG;
    case Q5_EWS_FRAGMENTS:
    case Q5_EWS_SLOW:
        return Q5_WS_POLICY;
    case Q5_ENOMEM:
        return Q5_WS_TRY_LATER;
    default:
        return Q5_WS_PROTOCOL_ERROR;
    }
}
