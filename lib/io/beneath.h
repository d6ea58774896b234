/* Opening files below a directory without leaving it. Internal to static_file. */
#ifndef Q5_IO_BENEATH_H
#define Q5_IO_BENEATH_H

#include "q5/base.h"

/* Both open path (relative) for reading, without blocking, close-on-exec, below the directory
 * root_fd; what it is (file, directory, FIFO) is for the caller to find out. Links are followed
 * unless they lead out (EXDEV). A descriptor, or -1 with errno. */

/* By openat2(2): ENOSYS, or EPERM from some sandboxes, where it is not to be had. */
int q5__beneath_openat2(int root_fd, const char *path);

/* By openat(2) with O_NOFOLLOW for each component. Bounds: Q5__BENEATH_DEPTH_MAX directories,
 * Q5__BENEATH_LINKS_MAX links (ELOOP). */
int q5__beneath_walk(int root_fd, const char *path);

#define Q5__BENEATH_DEPTH_MAX 32
#define Q5__BENEATH_LINKS_MAX 16

#endif
