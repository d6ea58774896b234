/* HTTP dates (RFC 9110, 5.6.7). No clock: seconds since 1970-01-01T00:00:00Z come in and go out. */
#ifndef Q5_DATE_H
#define Q5_DATE_H

#include "q5/status.h"

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
#define Q5_HTTP_DATE_LEN 29

/* The years that four digits can name; q5_http_date_format clamps to them. */
#define Q5_HTTP_DATE_MIN INT64_C(-62167219200) /* 0000-01-01T00:00:00Z */
#define Q5_HTTP_DATE_MAX INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

/* Writes an IMF-fixdate, without a NUL. */
Q5_EXTERN void q5_http_date_format(int64_t unix_seconds, char out[Q5_HTTP_DATE_LEN]);

/* Reads an IMF-fixdate, an RFC 850 date or an asctime date. Q5_OK, or Q5_EINVAL for anything else
 * (names are case-sensitive; nothing may stand before or behind); *ret is untouched then.
 * The weekday must be one but need not be the right one. A leap second counts as the second after
 * it. Two-digit years are 1970-2069, since there is no clock here to tell "50 years ahead". */
Q5_EXTERN int q5_http_date_parse(q5_slice text, int64_t *ret);

#endif
