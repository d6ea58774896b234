#include "q5/line_sink.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

q5_line_sink q5_line_sink_make(int fd) {
    struct stat st;
    return (q5_line_sink){.fd = fd, .is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode)};
}

/* How much is written at once: a pipe that is ready takes PIPE_BUF bytes without waiting, and
 * without anything of others in between. Whole lines, unless one alone is longer. */
static size_t portion(q5_slice lines) {
    if (lines.len <= PIPE_BUF) return lines.len;
    for (size_t len = PIPE_BUF; len; len--)
        if (lines.base[len - 1] == '\n') return len;
    return PIPE_BUF;
}

static bool is_ready(int fd) {
    struct pollfd look = {.fd = fd, .events = POLLOUT};
    return poll(&look, 1, 0) > 0; /* with an error, too: write() tells it */
}

int q5_line_sink_write(const q5_line_sink *sink, q5_slice lines, size_t *ret_len) {
    *ret_len = 0;
    while (*ret_len < lines.len) {
        q5_slice rest = {lines.base + *ret_len, lines.len - *ret_len};
        if (!sink->is_file && !is_ready(sink->fd)) return Q5_AGAIN;
        ssize_t n = write(sink->fd, rest.base, sink->is_file ? rest.len : portion(rest));
        if (n >= 0)
            *ret_len += (size_t)n;
        else if (errno == EAGAIN)
            return Q5_AGAIN;
        else if (errno != EINTR)
            return Q5_EIO;
    }
    return Q5_OK;
}
