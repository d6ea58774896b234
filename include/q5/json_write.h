/* Appends JSON values to a buffer (RFC 8259). On Q5_ENOMEM the buffer is as it was before. */
#ifndef Q5_JSON_WRITE_H
#define Q5_JSON_WRITE_H

#include "q5/buf.h"

/* With its quotes. Quote, backslash and control characters are escaped, the rest stays UTF-8; each
 * maximal part of an ill-formed sequence (Unicode 15, 3.9, U+FFFD substitution) becomes U+FFFD. */
Q5_EXTERN int q5_json_write_string(q5_buf *buf, q5_slice text);
Q5_EXTERN int q5_json_write_int(q5_buf *buf, int64_t number);
Q5_EXTERN int q5_json_write_bool(q5_buf *buf, bool value);

#endif
