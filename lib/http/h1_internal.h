/* What the files of the HTTP/1 parser share. */
#ifndef Q5_HTTP_H1_INTERNAL_H
#define Q5_HTTP_H1_INTERNAL_H

#include "q5/h1.h"

/* Remembers where a fault is and returns its status. at points into the present buffer. */
static inline int q5__h1_fault(q5_h1_parser *parser, int status, const char *at) {
    parser->error = (size_t)(at - parser->base);
    return status;
}

/* pos holds a byte that cannot stand there: status, unless it is a line end of the wrong kind.
 * Q5_AGAIN while the byte behind a CR is not known. */
int q5__h1_stop_fault(q5_h1_parser *parser, int status, const char *pos, const char *end);

/* The line at pos does not begin with a name and a colon, or there is no room for it: Q5_DONE if it
 * is the empty line, Q5_AGAIN, or a fault. name_end is its first byte that belongs to no name. */
int q5__h1_no_field(q5_h1_parser *parser, const char *pos, const char *name_end, const char *end,
                    bool no_room);

/* NULL for a valid uri-host [":" port] (RFC 9110, 7.2), else the byte at fault, or the end where
 * something is missing. The host must not be empty; port_needed asks for a port of 1..65535.
 * readable is the end of the buffer that the host lies in: a short host is searched in one step
 * where there are bytes behind it. */
const char *q5__host_fault(q5_slice host, const char *readable, bool port_needed);

/* Judges the form of the target (RFC 9112, 3.2) once method, target, path and query are cut out;
 * changes path and host where the form says so. */
int q5__h1_target(q5_h1_parser *parser);

/* Judges a field of a low id (up to Q5_FIELD_UPGRADE) while it is being added: head->known[id] is
 * still what it was before it. */
int q5__h1_framing_field(q5_h1_parser *parser, const q5_field *field);

/* Judges the head as a whole; at is its last, empty line. */
int q5__h1_framing_finish(q5_h1_parser *parser, const char *at);

#endif
