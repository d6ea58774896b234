#include "q5/static_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/beneath.h"
#include "q5/mime.h"

#ifdef __APPLE__
#define st_mtim st_mtimespec
#endif

#define SUFFIX_MAX 4 /* ".zst" */
#define NSEC_PER_SEC UINT64_C(1000000000)

static_assert(Q5_STATIC_ETAG_MAX >= 2 + 16 + 1 + 16 + 1, "two words in hex, quotes, '-', NUL");

int q5_static_root_open(q5_static_root *root, const char *dir, const q5_static_options *options) {
    *root = (q5_static_root){.fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                             .options = {.precompressed = true}};
    if (options) root->options = *options;
    if (root->fd < 0) {
        root->error = errno;
        return Q5_EIO;
    }
    int fd = q5__beneath_openat2(root->fd, ".");
    root->resolver = fd >= 0 ? Q5_STATIC_OPENAT2 : Q5_STATIC_WALK;
    if (fd >= 0) (void)close(fd);
    return Q5_OK;
}

void q5_static_root_close(q5_static_root *root) {
    if (root->fd >= 0) (void)close(root->fd);
    root->fd = -1;
}

static bool valid_component(const char *name, size_t len, bool allow_dotfiles) {
    if (len == 0) return false;
    if (name[0] != '.') return true;
    bool dots = len == 1 || (len == 2 && name[1] == '.');
    return allow_dotfiles && !dots;
}

static bool valid_path(q5_slice path, bool allow_dotfiles) {
    if (path.len == 0 || path.len >= Q5_STATIC_PATH_MAX) return false;
    size_t start = 0;
    for (size_t i = 0; i < path.len; i++) {
        char c = path.base[i];
        if (c == '\0' || c == '\\') return false;
        if (c != '/') continue;
        if (!valid_component(path.base + start, i - start, allow_dotfiles)) return false;
        start = i + 1;
    }
    return valid_component(path.base + start, path.len - start, allow_dotfiles);
}

/* What the client may not tell apart from a file that is not there. */
static bool is_not_found(int error) {
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case EXDEV:
    case ELOOP:
    case EACCES:
    case EPERM:
    case ENAMETOOLONG:
    case ENXIO: /* a socket */
    case ENODEV:
        return true;
    default:
        return false;
    }
}

/* Q5_OK with a regular file open, Q5_NOT_FOUND (*ret_stat tells the kind, st_mode 0: none). */
static int open_regular(q5_static_root *root, const char *path, int *ret_fd,
                        struct stat *ret_stat) {
    ret_stat->st_mode = 0;
    int fd = root->resolver == Q5_STATIC_OPENAT2 ? q5__beneath_openat2(root->fd, path)
                                                 : q5__beneath_walk(root->fd, path);
    if (fd < 0) {
        if (is_not_found(errno)) return Q5_NOT_FOUND;
        root->error = errno;
        return Q5_EIO;
    }
    if (fstat(fd, ret_stat) < 0) {
        root->error = errno;
        (void)close(fd);
        return Q5_EIO;
    }
    if (!S_ISREG(ret_stat->st_mode)) {
        (void)close(fd);
        return Q5_NOT_FOUND;
    }
    *ret_fd = fd;
    return Q5_OK;
}

static bool is_older(const struct stat *a, const struct stat *b) {
    if (a->st_mtim.tv_sec != b->st_mtim.tv_sec) return a->st_mtim.tv_sec < b->st_mtim.tv_sec;
    return a->st_mtim.tv_nsec < b->st_mtim.tv_nsec;
}

/* Puts the best sibling that the client takes in the place of *fd. path has room for a suffix. */
static int open_sibling(q5_static_root *root, char *path, size_t len,
                        const q5_accept_encoding *accept, int *fd, struct stat *st,
                        q5_coding *coding) {
    static const char suffixes[Q5_CODING_COUNT][SUFFIX_MAX + 1] = {
        [Q5_CODING_GZIP] = ".gz", [Q5_CODING_BR] = ".br", [Q5_CODING_ZSTD] = ".zst"};
    /* What was compressed ahead of time is smallest in brotli. */
    static const q5_coding offered[] = {Q5_CODING_BR, Q5_CODING_ZSTD, Q5_CODING_GZIP,
                                        Q5_CODING_IDENTITY};
    q5_coding order[Q5_CODING_COUNT];
    size_t count = q5_accept_encoding_order(accept, offered, Q5_ARRAY_LEN(offered), order);
    for (size_t i = 0; i < count && order[i] != Q5_CODING_IDENTITY; i++) {
        struct stat sibling;
        int sibling_fd = -1;
        memcpy(path + len, suffixes[order[i]], sizeof(suffixes[0]));
        int status = open_regular(root, path, &sibling_fd, &sibling);
        if (status == Q5_NOT_FOUND) continue;
        if (status) return status;
        if (is_older(&sibling, st)) {
            (void)close(sibling_fd);
            continue;
        }
        (void)close(*fd);
        *fd = sibling_fd;
        *st = sibling;
        *coding = order[i];
        break;
    }
    return Q5_OK;
}

/* A bijection that scatters (the finisher of splitmix64). */
static uint64_t scatter(uint64_t x) {
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* Time and inode are mixed, since an inode's number is nobody's business (CVE-2003-1418). */
static void write_etag(q5_static_file *file, const struct stat *st) {
    uint64_t nsec = (uint64_t)st->st_mtim.tv_sec * NSEC_PER_SEC + (uint64_t)st->st_mtim.tv_nsec;
    uint64_t mixed = scatter(scatter(nsec) + (uint64_t)st->st_ino);
    int len = snprintf(file->etag, sizeof(file->etag), "\"%" PRIx64 "-%016" PRIx64 "\"",
                       (uint64_t)st->st_size, mixed);
    file->etag_len = (uint8_t)len;
}

int q5_static_open(q5_static_root *root, q5_slice path, const q5_accept_encoding *accept,
                   q5_static_file *ret_file, bool *ret_directory) {
    if (ret_directory) *ret_directory = false;
    if (!valid_path(path, root->options.allow_dotfiles)) return Q5_NOT_FOUND;
    char name[Q5_STATIC_PATH_MAX + SUFFIX_MAX];
    memcpy(name, path.base, path.len);
    name[path.len] = '\0';

    struct stat st;
    int fd = -1;
    int status = open_regular(root, name, &fd, &st);
    if (status == Q5_NOT_FOUND && ret_directory) *ret_directory = S_ISDIR(st.st_mode);
    if (status) return status;

    q5_slice content_type = q5_mime_find(path);
    bool vary = root->options.precompressed && q5_mime_compressible(content_type);
    q5_coding coding = Q5_CODING_IDENTITY;
    if (vary && accept) {
        status = open_sibling(root, name, path.len, accept, &fd, &st, &coding);
        if (status) {
            (void)close(fd);
            return status;
        }
    }
    *ret_file = (q5_static_file){.fd = fd,
                                 .size = (uint64_t)st.st_size,
                                 .mtime = st.st_mtim.tv_sec,
                                 .content_type = content_type,
                                 .coding = (uint8_t)coding,
                                 .vary = vary};
    write_etag(ret_file, &st);
    return Q5_OK;
}

int q5_static_read(const q5_static_file *file, char *buf, size_t cap) {
    if (file->size > cap) return Q5_AGAIN;
    for (size_t done = 0; done < file->size;) {
        ssize_t n = pread(file->fd, buf + done, (size_t)file->size - done, (off_t)done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return Q5_EIO;
        done += (size_t)n;
    }
    return Q5_OK;
}
