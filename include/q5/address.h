/* IP addresses and networks, read from text. An IPv4 address in IPv6's clothes (::ffff:192.0.2.1,
 * RFC 4291, 2.5.5.2) is the IPv4 address: whoever compares need not think of it. */
#ifndef Q5_ADDRESS_H
#define Q5_ADDRESS_H

#include "q5/status.h"

/* With the NUL. */
#define Q5_ADDRESS_TEXT_MAX 46

typedef struct q5_address {
    uint8_t len; /* 4 or 16; 0: not known */
    uint8_t bytes[16];
} q5_address;

/* "192.0.2.1", "2001:db8::1". Nothing around it: no port, brackets, zone or leading zeros (which
 * some read as octal). Q5_EINVAL: it is none, and *ret_address is untouched. */
Q5_EXTERN int q5_address_parse(q5_slice text, q5_address *ret_address);

/* Of 4 or 16 bytes in network order, as sockets have them. */
Q5_EXTERN void q5_address_make(q5_address *address, const void *bytes, uint8_t len);

/* The usual text (RFC 5952) with a NUL, "" where it is not known; returns its length. */
Q5_EXTERN size_t q5_address_format(const q5_address *address, char out[Q5_ADDRESS_TEXT_MAX]);

/* Keeps the first `bits` bits, and makes the others zero. */
Q5_EXTERN void q5_address_mask(q5_address *address, unsigned bits);

typedef struct q5_network {
    q5_address base;
    uint8_t bits;
} q5_network;

/* "10.0.0.0/8", or an address alone for itself. Q5_EINVAL: it is none, or has bits behind its
 * prefix; *ret_network is untouched. */
Q5_EXTERN int q5_network_parse(q5_slice text, q5_network *ret_network);

/* Never of an address that is not known. */
Q5_EXTERN bool q5_network_has(const q5_network *network, const q5_address *address);

#endif
