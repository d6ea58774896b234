/* What an Authorization field says (RFC 9110, 11.6.2), and the Basic scheme (RFC 7617). */
#ifndef Q5_CREDENTIALS_H
#define Q5_CREDENTIALS_H

#include "q5/status.h"

/* Whether the field's credentials are of that scheme (any case). Then *ret_token is what stands
 * behind it, without the spaces around: a token68, parameters, or nothing at all. It points into
 * the field. Else *ret_token is untouched. */
Q5_EXTERN bool q5_credentials_find(q5_slice field, q5_slice scheme, q5_slice *ret_token);

/* Bytes of Basic's token68: enough for a name of 255 and a password of 500 bytes. */
#define Q5_BASIC_MAX 1024
#define Q5_BASIC_ROOM (Q5_BASIC_MAX / 4 * 3)

/* Takes Basic's token68 apart: base64 with its padding (RFC 4648, 4), of UTF-8 (the charset that
 * our challenge names: RFC 7617, 2.1), split at the first colon. Both outputs point into room.
 *
 * Q5_OK; Q5_EINVAL: too long, no canonical base64, no colon, or a control character, which neither
 * part may hold (RFC 7617, 2); Q5_EENCODING: no UTF-8. The outputs are untouched unless Q5_OK. */
Q5_EXTERN int q5_basic_decode(q5_slice token, char room[Q5_BASIC_ROOM], q5_slice *ret_user,
                              q5_slice *ret_password);

#endif
