/* Who asks: the peer, or whom a trusted proxy forwards for (QUINTETTE["TRUSTED_PROXIES"]).
 *
 *   client.c    of a request
 *   proxies.c   _quintette.Proxies: whom to believe */
#ifndef Q5PY_CLIENT_H
#define Q5PY_CLIENT_H

#include "guards/guard.h"

#include "q5/forwarded.h"

/* ---- client.c */
/* The client's address as text, "" where it is not known, and its port (0: not known). */
void q5py_client_text(const q5_exchange *x, char host[Q5_ADDRESS_TEXT_MAX], uint16_t *ret_port);
/* A trusted proxy says that the client came by https. */
static inline bool q5py_client_is_https(const q5_exchange *x) {
    return x->client && x->client->scheme == Q5_SCHEME_HTTPS;
}
/* The client's address; not known where the host does not say. 0, or -1 with an exception. */
int q5py_pass_address(q5py_pass *pass, q5_address *ret_address);

/* ---- proxies.c */
typedef struct q5py_proxies q5py_proxies;
/* At the request's head: sets x->client if its peer forwards for somebody and is believed, and
 * takes out of the head what must not be. True: what it forwards is malformed, and 400 was
 * answered. */
bool q5py_proxies_refuse(const q5py_proxies *self, q5_exchange *x);

#endif
