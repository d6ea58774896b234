/* A descriptor that takes lines of a log. Whoever reads at its other end (a pipe, a terminal, a
 * socket) must never hold up who writes. */
#ifndef Q5_LINE_SINK_H
#define Q5_LINE_SINK_H

#include <stdbool.h>

#include "q5/base.h"
#include "q5/status.h"

typedef struct q5_line_sink {
    int fd; /* the caller's; its flags, which others may share, are left alone */
    bool is_file;
} q5_line_sink;

Q5_EXTERN q5_line_sink q5_line_sink_make(int fd);

/* Writes as much of what begins a line and ends with one as fd takes at once. Lines of up to
 * PIPE_BUF bytes are not mixed with those of others who write to the same pipe. Q5_OK: all is
 * written; Q5_AGAIN: try later with the rest; Q5_EIO, with errno: the rest cannot be written.
 * *ret_len: the bytes written, in each case. */
Q5_EXTERN int q5_line_sink_write(const q5_line_sink *sink, q5_slice lines, size_t *ret_len);

#endif
