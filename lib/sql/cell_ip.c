/* Network addresses (network_send in src/backend/utils/adt/network.c):
 *
 * OFFSET SIZE
 *      0    1  family: 2 IPv4, 3 IPv6
 *      1    1  bits of the network's mask
 *      2    1  1: cidr
 *      3    1  bytes of the address
 *      4    n  the address
 *
 * They are written as inet_out and cidr_out write them, which is how Django reads them. */
#include "sql/sql_internal.h"

#define HEAD_LEN 4
#define FAMILY_IPV4 2
#define FAMILY_IPV6 3
#define WORDS 8

static char *put_ipv4(char *at, const char *bytes) {
    for (int i = 0; i < 4; i++) {
        if (i) *at++ = '.';
        at = q5_json_uint(at, (uint8_t)bytes[i]);
    }
    return at;
}

static char *put_hex(char *at, unsigned word) {
    static const char hex[] = "0123456789abcdef";
    for (int shift = 12; shift >= 0; shift -= 4)
        if (word >> shift || shift == 0) *at++ = hex[word >> shift & 15];
    return at;
}

/* The first of the longest runs of zero words; of two or more, or there is none. */
static int longest_zeros(const unsigned words[WORDS], int *ret_len) {
    int best = -1, best_len = 1;
    for (int from = 0; from < WORDS; from++) {
        int len = 0;
        while (from + len < WORDS && words[from + len] == 0)
            len++;
        if (len > best_len) {
            best = from;
            best_len = len;
        }
        from += len;
    }
    *ret_len = best < 0 ? 0 : best_len;
    return best;
}

static char *put_ipv6(char *at, const char *bytes) {
    unsigned words[WORDS];
    for (int i = 0; i < WORDS; i++)
        words[i] = q5__get16(bytes + 2 * i);
    int zeros_len, zeros = longest_zeros(words, &zeros_len);
    for (int i = 0; i < WORDS; i++) {
        if (zeros >= 0 && i >= zeros && i < zeros + zeros_len) {
            if (i == zeros) *at++ = ':';
            continue;
        }
        if (i) *at++ = ':';
        /* ::a.b.c.d and ::ffff:a.b.c.d, but not ::1 (which is not an IPv4 address's) */
        bool embedded = zeros == 0 && (zeros_len == 6 || (zeros_len == 5 && words[5] == 0xffff));
        if (i == 6 && embedded) return put_ipv4(at, bytes + 12);
        at = put_hex(at, words[i]);
    }
    if (zeros >= 0 && zeros + zeros_len == WORDS) *at++ = ':';
    return at;
}

/* "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128", quoted */
#define IP_MAX 52

int q5__pg_ip(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    if (cell->kind != Q5_CELL_BYTES || cell->bytes.len < HEAD_LEN) return Q5_ECELL;
    const uint8_t *head = (const uint8_t *)cell->bytes.base;
    bool ipv4 = head[0] == FAMILY_IPV4;
    unsigned len = ipv4 ? 4 : 16, bits = head[1];
    if ((!ipv4 && head[0] != FAMILY_IPV6) || head[3] != len || cell->bytes.len != HEAD_LEN + len ||
        bits > 8 * len)
        return Q5_ECELL;
    char *at = q5__room(out, IP_MAX);
    if (!at) return Q5_ENOMEM;
    const char *address = cell->bytes.base + HEAD_LEN;
    *at++ = '"';
    at = ipv4 ? put_ipv4(at, address) : put_ipv6(at, address);
    if (bits < 8 * len || encoder->type.oid == Q5_PG_CIDR) {
        *at++ = '/';
        at = q5_json_uint(at, bits);
    }
    *at++ = '"';
    return q5__wrote(out, at);
}
