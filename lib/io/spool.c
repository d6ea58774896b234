#include "q5/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/spool_internal.h"

#define PATH_SIZE 4096

/* Where there is no O_TMPFILE (macOS, some network and overlay file systems). */
int q5__spool_open_named(const char *dir) {
    char path[PATH_SIZE];
    int len = snprintf(path, sizeof(path), "%s/q5-XXXXXX", dir);
    if (len < 0 || (size_t)len >= sizeof(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
#ifdef __APPLE__
    int fd = mkstemp(path);
    if (fd >= 0) (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
#else
    int fd = mkostemp(path, O_CLOEXEC);
#endif
    if (fd >= 0) (void)unlink(path);
    return fd;
}

int q5_spool_open(q5_spool *spool, const char *dir) {
    *spool = Q5_SPOOL_INIT;
    if (!dir) dir = getenv("TMPDIR");
    if (!dir || !*dir) dir = "/tmp";
    int fd = -1;
#ifdef O_TMPFILE
    fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
#endif
    /* Which error stands for "not here" differs by file system and kernel: try the other way
     * after each; what is really wrong will be so again. */
    if (fd < 0) fd = q5__spool_open_named(dir);
    if (fd < 0) {
        spool->error = errno;
        return Q5_EIO;
    }
    spool->fd = fd;
    return Q5_OK;
}

int q5_spool_write(q5_spool *spool, const char *base, size_t len) {
    while (len) {
        ssize_t n = pwrite(spool->fd, base, len, (off_t)spool->size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            spool->error = n < 0 ? errno : EIO;
            return Q5_EIO;
        }
        spool->size += (uint64_t)n;
        base += n;
        len -= (size_t)n;
    }
    return Q5_OK;
}

int q5_spool_read(q5_spool *spool, uint64_t offset, char *out, size_t len, size_t *ret_len) {
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(spool->fd, out + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            spool->error = errno;
            return Q5_EIO;
        }
        if (n == 0) break;
        done += (size_t)n;
    }
    *ret_len = done;
    return Q5_OK;
}

int q5_spool_release(q5_spool *spool) {
    int fd = spool->fd; /* written and read by offset only: its position is still 0 */
    *spool = Q5_SPOOL_INIT;
    return fd;
}

void q5_spool_close(q5_spool *spool) {
    if (spool->fd >= 0) (void)close(spool->fd);
    spool->fd = -1;
}
