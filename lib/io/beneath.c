#include "io/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#if defined(__has_include) && __has_include(<linux/openat2.h>)
#include <linux/openat2.h>
#endif
#endif

/* O_NONBLOCK: a FIFO must not hold us until somebody writes to it. */
#define OPEN_FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

#ifdef O_PATH
#define DIR_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#else
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#endif

#if defined(SYS_openat2) && defined(RESOLVE_BENEATH)

#define RACES_MAX 8

int q5__beneath_openat2(int root_fd, const char *path) {
    struct open_how how = {.flags = OPEN_FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    for (int i = 0;; i++) {
        int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
        /* EAGAIN: somebody renamed a directory while the kernel stepped through "..". */
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR) || i == RACES_MAX) return fd;
    }
}

#else

int q5__beneath_openat2(int root_fd, const char *path) {
    (void)root_fd;
    (void)path;
    errno = ENOSYS;
    return -1;
}

#endif

#define REST_SIZE 4096

typedef struct walk {
    int dirs[1 + Q5__BENEATH_DEPTH_MAX]; /* the root (the caller's), then those we opened */
    size_t depth;
    size_t links;
    char rest[REST_SIZE]; /* what is left of the path */
} walk;

static int step_up(walk *w) {
    if (w->depth == 0) {
        errno = EXDEV;
        return -1;
    }
    (void)close(w->dirs[w->depth--]);
    return 0;
}

/* Puts the target of the link `name` before `rest` (which begins with '/' or is empty). */
static int follow(walk *w, const char *name, const char *rest) {
    char target[REST_SIZE];
    ssize_t len = readlinkat(w->dirs[w->depth], name, target, sizeof(target));
    if (len < 0) {
        if (errno == EINVAL) errno = ENOTDIR; /* no link: a file where a directory should be */
        return -1;
    }
    size_t rest_size = strlen(rest) + 1;
    if (len == 0 || target[0] == '/') {
        errno = len == 0 ? ENOENT : EXDEV;
    } else if ((size_t)len + rest_size > sizeof(target)) {
        errno = ENAMETOOLONG;
    } else if (w->links == Q5__BENEATH_LINKS_MAX) {
        errno = ELOOP;
    } else {
        w->links++;
        memcpy(target + len, rest, rest_size);
        memcpy(w->rest, target, (size_t)len + rest_size);
        return 0;
    }
    return -1;
}

static int step_down(walk *w, const char *name, const char *rest) {
    if (w->depth == Q5__BENEATH_DEPTH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = openat(w->dirs[w->depth], name, DIR_FLAGS);
    if (fd < 0) {
        /* What a link gives differs between systems: readlinkat tells. */
        return errno == ELOOP || errno == ENOTDIR || errno == EMLINK ? follow(w, name, rest) : -1;
    }
    w->dirs[++w->depth] = fd;
    memmove(w->rest, rest, strlen(rest) + 1);
    return 0;
}

/* Takes the first component off: 0 when there is more to do, 1 at the end with *ret_fd, or -1. */
static int step(walk *w, int *ret_fd) {
    char name[REST_SIZE];
    const char *start = w->rest + strspn(w->rest, "/");
    size_t len = strcspn(start, "/");
    memcpy(name, start, len);
    name[len] = '\0';
    const char *rest = start + len;

    if (len == 0 || strcmp(name, ".") == 0) {
        memmove(w->rest, rest, strlen(rest) + 1);
        if (*w->rest) return 0;
        *ret_fd = openat(w->dirs[w->depth], ".", OPEN_FLAGS);
        return *ret_fd < 0 ? -1 : 1;
    }
    if (strcmp(name, "..") == 0) {
        memmove(w->rest, rest, strlen(rest) + 1);
        return step_up(w);
    }
    if (*rest) return step_down(w, name, rest);
    *ret_fd = openat(w->dirs[w->depth], name, OPEN_FLAGS | O_NOFOLLOW);
    if (*ret_fd >= 0) return 1;
    return errno == ELOOP || errno == EMLINK ? follow(w, name, rest) : -1;
}

int q5__beneath_walk(int root_fd, const char *path) {
    walk w = {.dirs = {root_fd}};
    size_t size = strlen(path) + 1;
    if (size > sizeof(w.rest)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(w.rest, path, size);
    int fd = -1;
    int done;
    do
        done = step(&w, &fd);
    while (done == 0);
    int error = errno;
    while (w.depth)
        (void)step_up(&w);
    errno = error;
    return done == 1 ? fd : -1;
}
