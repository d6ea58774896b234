/* base64url without padding (RFC 4648, 5; RFC 7515, 2), strictly: one spelling per sequence of
 * bytes. */
#ifndef Q5_BASE64URL_H
#define Q5_BASE64URL_H

#include "q5/status.h"

/* Bytes that `len` characters stand for at most. */
static inline size_t q5_base64url_decoded_max(size_t len) {
    return len / 4 * 3 + 2;
}

/* Characters that `len` bytes take. */
static inline size_t q5_base64url_encoded_len(size_t len) {
    return len / 3 * 4 + (len % 3 ? len % 3 + 1 : 0);
}

/* `out` has room for q5_base64url_decoded_max(text.len) and may be where the text is. Q5_OK or
 * Q5_EENCODING: another character ('=' and white space among them), a length that no sequence of
 * bytes has, or bits behind the last byte that are not zero (RFC 4648, 3.5). *ret_len is untouched
 * then; what `out` holds means nothing. */
Q5_EXTERN int q5_base64url_decode(q5_slice text, char *out, size_t *ret_len);

/* Writes q5_base64url_encoded_len(bytes.len) characters. `out` is elsewhere. */
Q5_EXTERN void q5_base64url_encode(q5_slice bytes, char *out);

#endif
