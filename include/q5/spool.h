/* An anonymous temporary file that bodies too large for memory are appended to. It has no name, so
 * it is gone when its last descriptor is closed, a crash included. */
#ifndef Q5_SPOOL_H
#define Q5_SPOOL_H

#include "q5/status.h"

typedef struct q5_spool {
    int fd;        /* O_RDWR | O_CLOEXEC; -1 while closed */
    int error;     /* errno of the last call that failed */
    uint64_t size; /* bytes appended */
} q5_spool;

/* A closed spool; q5_spool_close may be called on it. */
#define Q5_SPOOL_INIT ((q5_spool){.fd = -1})

/* dir is a directory, NULL the one that $TMPDIR names, else /tmp. Q5_OK; or Q5_EIO with
 * spool->error set, the spool being closed then. Blocks as the file system does. */
Q5_EXTERN int q5_spool_open(q5_spool *spool, const char *dir);

/* Appends all bytes. Q5_OK; or Q5_EIO with spool->error set (ENOSPC, EDQUOT, ...), size telling
 * how much of what was appended so far counts; close the spool then. */
Q5_EXTERN int q5_spool_write(q5_spool *spool, const char *base, size_t len);

/* Reads up to len bytes from an offset; fewer at the end of the file only. Q5_OK or Q5_EIO. */
Q5_EXTERN int q5_spool_read(q5_spool *spool, uint64_t offset, char *out, size_t len,
                            size_t *ret_len);

/* Gives the descriptor to the caller, positioned at the start of the file; the spool is closed. */
Q5_EXTERN int q5_spool_release(q5_spool *spool);

/* Closes the file, which is gone then. Does nothing to a closed spool. */
Q5_EXTERN void q5_spool_close(q5_spool *spool);

#endif
