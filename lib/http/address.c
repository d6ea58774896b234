#include "q5/address.h"

#include <arpa/inet.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool unmap(q5_address *address) {
    if (address->len != 16 || memcmp(address->bytes, mapped, sizeof(mapped)) != 0) return false;
    memmove(address->bytes, address->bytes + sizeof(mapped), 4);
    memset(address->bytes + 4, 0, 12);
    address->len = 4;
    return true;
}

void q5_address_make(q5_address *address, const void *bytes, uint8_t len) {
    *address = (q5_address){.len = len};
    memcpy(address->bytes, bytes, len);
    unmap(address);
}

/* As it is written: a mapped address stays one. */
static int parse_plain(q5_slice text, q5_address *ret_address) {
    char copy[Q5_ADDRESS_TEXT_MAX];
    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.base, 0, text.len))
        return Q5_EINVAL;
    memcpy(copy, text.base, text.len);
    copy[text.len] = 0;
    bool is_ipv6 = memchr(copy, ':', text.len) != NULL;
    q5_address address = {.len = is_ipv6 ? 16 : 4};
    if (inet_pton(is_ipv6 ? AF_INET6 : AF_INET, copy, address.bytes) != 1) return Q5_EINVAL;
    *ret_address = address;
    return Q5_OK;
}

int q5_address_parse(q5_slice text, q5_address *ret_address) {
    int status = parse_plain(text, ret_address);
    if (status == Q5_OK) unmap(ret_address);
    return status;
}

size_t q5_address_format(const q5_address *address, char out[Q5_ADDRESS_TEXT_MAX]) {
    out[0] = 0;
    if (address->len)
        inet_ntop(address->len == 4 ? AF_INET : AF_INET6, address->bytes, out, Q5_ADDRESS_TEXT_MAX);
    return strlen(out);
}

void q5_address_mask(q5_address *address, unsigned bits) {
    for (unsigned i = 0; i < sizeof(address->bytes); i++) {
        unsigned kept = bits > 8 * i ? bits - 8 * i : 0;
        if (kept < 8) address->bytes[i] &= (uint8_t)(0xff00 >> kept);
    }
}

/* One to three digits, at most `max`. */
static int parse_bits(q5_slice text, unsigned max, uint8_t *ret_bits) {
    unsigned bits = 0;
    if (text.len == 0 || text.len > 3 || (text.len > 1 && text.base[0] == '0')) return Q5_EINVAL;
    for (size_t i = 0; i < text.len; i++) {
        if (text.base[i] < '0' || text.base[i] > '9') return Q5_EINVAL;
        bits = bits * 10 + (unsigned)(text.base[i] - '0');
    }
    if (bits > max) return Q5_EINVAL;
    *ret_bits = (uint8_t)bits;
    return Q5_OK;
}

int q5_network_parse(q5_slice text, q5_network *ret_network) {
    const char *slash = text.len ? memchr(text.base, '/', text.len) : NULL;
    size_t len = slash ? (size_t)(slash - text.base) : text.len;
    q5_network network;
    int status = parse_plain(q5_slice_make(text.base, len), &network.base);
    if (status) return status;
    unsigned max = 8u * network.base.len;
    network.bits = (uint8_t)max;
    if (slash)
        status = parse_bits(q5_slice_make(slash + 1, text.len - len - 1), max, &network.bits);
    if (status) return status;
    q5_address masked = network.base;
    q5_address_mask(&masked, network.bits);
    if (memcmp(masked.bytes, network.base.bytes, sizeof(masked.bytes)) != 0) return Q5_EINVAL;
    if (network.bits >= 96 && unmap(&network.base)) network.bits = (uint8_t)(network.bits - 96);
    *ret_network = network;
    return Q5_OK;
}

bool q5_network_has(const q5_network *network, const q5_address *address) {
    if (address->len != network->base.len) return false;
    q5_address masked = *address;
    q5_address_mask(&masked, network->bits);
    return memcmp(masked.bytes, network->base.bytes, sizeof(masked.bytes)) == 0;
}
