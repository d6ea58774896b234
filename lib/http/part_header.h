/* The header of one part of a multipart/form-data body. Internal to multipart. */
#ifndef Q5_HTTP_PART_HEADER_H
#define Q5_HTTP_PART_HEADER_H

#include "q5/multipart.h"

/* Fills *part in from head, which holds the header lines, each with its CRLF, without the empty
 * line. Unescaped names go to scratch, which has room for head.len bytes; part points there and
 * into head. Q5_OK, Q5_EMULTIPART, Q5_ETOO_MANY (header fields). */
int q5__part_header_parse(q5_slice head, char *scratch, const q5_multipart_limits *limits,
                          q5_part *part);

#endif
