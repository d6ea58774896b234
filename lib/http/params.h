/* Parameters of a field value (RFC 9110, 5.6.6): *( OWS ";" OWS [ token "=" ( token / quoted ) ] ).
 * Internal: shared by what parses Content-Type, Content-Disposition and Accept-Encoding. */
#ifndef Q5_HTTP_PARAMS_H
#define Q5_HTTP_PARAMS_H

#include "q5/status.h"

typedef struct q5__param {
    q5_slice name;
    q5_slice value; /* inside the quotes, escapes untouched */
    bool quoted;
} q5__param;

/* tchar of RFC 9110, 5.6.2. */
bool q5__is_tchar(char c);

/* Skips spaces and tabs from *pos on. */
void q5__skip_ows(q5_slice text, size_t *pos);

/* The token at *pos (perhaps empty), which moves behind it. */
q5_slice q5__token(q5_slice text, size_t *pos);

/* The next parameter of text from *pos on, which must stand on white space, ';' or the end.
 * Q5_OK, Q5_DONE at the end, Q5_EINVAL when malformed. An unquoted value runs up to white space or
 * ';' and may hold other bytes than a token's (boundaries with '/' or '=' are sent like that); it
 * is for the caller to judge them. */
int q5__param_next(q5_slice text, size_t *pos, q5__param *ret_param);

#endif
