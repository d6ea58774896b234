/* Files below one directory, served over HTTP: opened without ever leaving it, and a plan of what
 * to answer (conditional requests, ranges, precompressed siblings).
 *
 * Symbolic links are followed as long as they stay below the root; absolute ones do not. Only
 * regular files are served. */
#ifndef Q5_STATIC_FILE_H
#define Q5_STATIC_FILE_H

#include "q5/accept.h"
#include "q5/range.h"

typedef struct q5_static_options {
    bool allow_dotfiles; /* serve names that begin with a dot ("." and ".." never) */
    bool precompressed;  /* send x.br, x.zst or x.gz for x where they are not older than x */
} q5_static_options;

typedef enum q5_static_resolver {
    Q5_STATIC_OPENAT2, /* Linux 5.6: the kernel keeps below the root */
    Q5_STATIC_WALK     /* component by component, links read and judged by us */
} q5_static_resolver;

typedef struct q5_static_root {
    int fd;           /* of the directory; -1 while closed */
    int error;        /* errno, after Q5_EIO */
    uint8_t resolver; /* q5_static_resolver, chosen when the root is opened; tests set it */
    q5_static_options options;
} q5_static_root;

/* Opens a directory, links in its own path being followed. options may be NULL: no dotfiles, with
 * precompressed siblings. Q5_OK; or Q5_EIO with root->error set, the root being closed then. */
Q5_EXTERN int q5_static_root_open(q5_static_root *root, const char *dir,
                                  const q5_static_options *options);
/* Does nothing to a closed root. Files opened through it stay open. */
Q5_EXTERN void q5_static_root_close(q5_static_root *root);

#define Q5_STATIC_PATH_MAX 1024
#define Q5_STATIC_ETAG_MAX 36

typedef struct q5_static_file {
    int fd; /* the caller's to close */
    uint64_t size;
    int64_t mtime;         /* seconds since 1970 */
    q5_slice content_type; /* static storage */
    uint8_t coding;        /* q5_coding of what fd holds */
    bool vary;             /* another client might be sent another coding */
    uint8_t etag_len;
    char
        etag[Q5_STATIC_ETAG_MAX]; /* strong, quoted: from size, time in ns and inode of fd's file */
} q5_static_file;

/* Opens the file of a decoded path relative to the root ("css/site.css"). accept says which codings
 * the client takes; NULL: identity only.
 *
 * Q5_OK: *ret_file is filled in.
 * Q5_NOT_FOUND: there is none, it may not be read or not be served, or the path is unfit: empty,
 * longer than Q5_STATIC_PATH_MAX - 1, absolute, with NUL, backslash, "." or "..", an empty
 * component, or (unless allowed) a dotfile. *ret_directory, if not NULL, tells whether a directory
 * of that name would have been there (a redirect to the path with a slash may be the answer).
 * Q5_EIO: root->error is set (out of descriptors, a failing disk). */
Q5_EXTERN int q5_static_open(q5_static_root *root, q5_slice path, const q5_accept_encoding *accept,
                             q5_static_file *ret_file, bool *ret_directory);

/* Reads file->size bytes from the start into buf, for files so small that they go out together with
 * the head. Q5_OK; Q5_AGAIN when the file is larger than cap; Q5_EIO when it cannot be read or
 * has become shorter. */
Q5_EXTERN int q5_static_read(const q5_static_file *file, char *buf, size_t cap);

typedef struct q5_static_header {
    q5_slice name;
    q5_slice value;
} q5_static_header;

#define Q5_STATIC_HEADERS_MAX 10

/* Headers point into the plan itself, into the file and into cache_control: none of them may move
 * or go before the head is written. */
typedef struct q5_static_plan {
    uint16_t status; /* 200, 206, 304, 405, 412 or 416 */
    bool send_body;  /* length bytes of file->fd from offset on */
    uint64_t offset;
    uint64_t length;
    size_t header_count;
    q5_static_header headers[Q5_STATIC_HEADERS_MAX];
    char content_length[20];
    char content_range[Q5_CONTENT_RANGE_MAX];
    char last_modified[29];
} q5_static_plan;

/* What to answer to head with file. file may be NULL when the method is neither GET nor HEAD (405).
 * cache_control is sent as it is, unless empty; now is the response's Date in seconds since 1970.
 *
 * A single range is answered by 206. Several are answered by the whole file, as RFC 9110, 14.2
 * allows: multipart/byteranges is hardly used, and has been a way to make servers work hard for
 * little (CVE-2011-3192). */
Q5_EXTERN void q5_static_plan_make(const q5_head *head, const q5_static_file *file,
                                   q5_slice cache_control, int64_t now, q5_static_plan *ret_plan);

#endif
