/* Who asks, where proxies stand in between: Forwarded (RFC 7239) or X-Forwarded-For with -Proto and
 * -Host.
 *
 * Anybody can send these fields. What they say counts only so far as it was written by a proxy that
 * is trusted: the entries are read from the last one on, which the peer itself has added, past
 * those of further trusted proxies, to the first address that is none. What stands before it is the
 * client's own invention. One kind of field is read, never both: a proxy that writes one of them
 * hands on the other as it came. */
#ifndef Q5_FORWARDED_H
#define Q5_FORWARDED_H

#include "q5/address.h"
#include "q5/head.h"

/* Proxies in a row. */
#define Q5_FORWARDED_HOPS_MAX 32

typedef enum q5_forwarded_kind {
    Q5_FORWARDED_X,       /* X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host */
    Q5_FORWARDED_RFC_7239 /* Forwarded */
} q5_forwarded_kind;

typedef struct q5_forwarded_policy {
    const q5_network *networks; /* of trusted proxies */
    size_t network_count;
    bool trust_local; /* peers without an address: those of a Unix socket */
    q5_forwarded_kind kind;
    /* Further fields (lower case) that only a proxy may set. */
    const q5_slice *claims;
    size_t claim_count;
} q5_forwarded_policy;

typedef enum q5_scheme { Q5_SCHEME_UNSAID, Q5_SCHEME_HTTP, Q5_SCHEME_HTTPS } q5_scheme;

typedef struct q5_client {
    q5_address address; /* not known: a proxy hides it ("unknown", "_x7") */
    uint16_t port;      /* 0: not known */
    uint8_t scheme;     /* q5_scheme: how the client spoke to the outermost trusted proxy */
    bool doubted;       /* the peer itself: it speaks as a proxy does, and is not trusted */
    q5_slice host;      /* that it asked for there, in the head's memory; empty: unsaid */
} q5_client;

/* Whether what this peer forwards is believed. An address that is not known: trust_local says. */
Q5_EXTERN bool q5_forwarded_trusts(const q5_forwarded_policy *policy, const q5_address *peer);

/* The client behind a trusted peer; the peer itself where it forwards nothing.
 * Q5_EFORWARDED: the fields are malformed where they had to be read, or name more than
 * Q5_FORWARDED_HOPS_MAX proxies; *ret_client is untouched. To go on with the proxy's own address
 * would let clients pass for it: refuse the request. */
Q5_EXTERN int q5_forwarded_read(const q5_forwarded_policy *policy, const q5_head *head,
                                const q5_address *peer, q5_client *ret_client);

/* Takes out of the head what nobody further on may believe. From a peer that is not trusted: all
 * fields by which proxies speak (Forwarded, X-Forwarded..., X-Real-IP, the policy's claims), also
 * those with '_' for '-', which are the same in WSGI's names. From a trusted one: what it need not
 * have written (the other kind, and names with '_') and, once read, scheme and host. Whether there
 * was any. */
Q5_EXTERN bool q5_forwarded_strip(const q5_forwarded_policy *policy, q5_head *head, bool trusted);

#endif
