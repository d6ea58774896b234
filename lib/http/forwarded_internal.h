/* Internal to lib/http/forwarded*.c. */
#ifndef Q5_HTTP_FORWARDED_INTERNAL_H
#define Q5_HTTP_FORWARDED_INTERNAL_H

#include "q5/forwarded.h"

#include "http/byteset.h"
#include "http/h1_internal.h"

/* An address with or without a port, or a hidden one. Q5_OK, Q5_EFORWARDED. */
int q5__forwarded_node(q5_slice node, q5_client *client);
q5_scheme q5__forwarded_scheme(q5_slice text);
/* Q5_OK, Q5_EFORWARDED. */
int q5__forwarded_host(q5_slice text, q5_client *client);

/* Each as q5_forwarded_read; *client comes with the peer's address. */
int q5__forwarded_read_x(const q5_forwarded_policy *policy, const q5_head *head, q5_client *client);
int q5__forwarded_read_list(const q5_forwarded_policy *policy, const q5_head *head,
                            q5_client *client);

#endif
