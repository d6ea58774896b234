/* Strings in JSON exactly as msgspec writes them. */
#ifndef Q5_JSON_TEXT_H
#define Q5_JSON_TEXT_H

#include "q5/buf.h"

/* Appends the text in quotes: quote, backslash and control characters escaped, the rest as it is.
 * Q5_EENCODING: it is not UTF-8 (RFC 3629); Q5_ENOMEM; *out is as it was then. To replace what is
 * ill-formed instead of refusing it: q5_json_write_string. */
Q5_EXTERN int q5_json_text(q5_buf *out, const char *text, size_t len);

#endif
