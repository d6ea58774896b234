#include "q5/static_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/beneath.h"
#include "q5test.h"

/* base/secret.txt lies outside, base/root/ is what is served. */
static char base[] = "/tmp/q5-test-static-XXXXXX";
static char root_dir[64];
static q5_static_root root;

static void write_file(const char *name, const char *text, time_t mtime) {
    int fd = openat(root.fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    const struct timespec times[2] = {{.tv_sec = mtime}, {.tv_sec = mtime, .tv_nsec = 5}};
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static void make_dirs(const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        assert_int_equal(mkdirat(root.fd, names[i], 0755), 0);
}

static int make_tree(void **state) {
    (void)state;
    assert_non_null(mkdtemp(base));
    snprintf(root_dir, sizeof(root_dir), "%s/root", base);
    assert_int_equal(mkdir(root_dir, 0755), 0);
    assert_status(q5_static_root_open(&root, root_dir, NULL), Q5_OK);
    static const char *const dirs[] = {"css", "css/deep", "css/deep/er", ".git"};
    make_dirs(dirs, Q5_ARRAY_LEN(dirs));
    static const char *const files[] = {"a.txt",     "css/site.css", "css/deep/er/x.txt",
                                        ".env",      ".git/config",  "../secret.txt",
                                        "css/.keep", "a..b",         "..c.txt"};
    for (size_t i = 0; i < Q5_ARRAY_LEN(files); i++)
        write_file(files[i], files[i], 1000);
    static const char *const links[][2] = {
        {"a.txt", "link.txt"},
        {"css", "style"},
        {"../../a.txt", "css/deep/up.txt"},
        {"./css//deep/./er/x.txt", "winding.txt"},
        {"style/deep", "twice"},
        {"../secret.txt", "out.txt"},
        {"..", "parent"},
        {"../root/a.txt", "out-and-in.txt"},
        {"/etc/passwd", "absolute.txt"},
        {"/proc/self/root", "magic"},
        {"loop2", "loop1"},
        {"loop1", "loop2"},
        {"missing", "dangling"},
        {"a.txt/", "slashed"},
        {"css/", "style-slashed"},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(links); i++)
        assert_int_equal(symlinkat(links[i][0], root.fd, links[i][1]), 0);
    assert_int_equal(mkfifoat(root.fd, "fifo", 0644), 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%.60s/socket", root_dir);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
    return 0;
}

static int remove_tree(void **state) {
    (void)state;
    q5_static_root_close(&root);
    q5_static_root_close(&root);
    char command[128];
    snprintf(command, sizeof(command), "rm -r '%s'", base);
    return system(command);
}

static size_t count_fds(void) {
    DIR *dir = opendir("/proc/self/fd");
    if (!dir) return 0;
    size_t n = 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static const struct row {
    const char *why;
    q5_slice path;
    const char *content; /* NULL: not found */
    bool directory;
} rows[] = {
    {"a file", Q5_LIT("a.txt"), "a.txt", false},
    {"a file further down", Q5_LIT("css/site.css"), "css/site.css", false},
    {"dots inside a name", Q5_LIT("a..b"), "a..b", false},
    {"a link", Q5_LIT("link.txt"), "a.txt", false},
    {"a link to a directory", Q5_LIT("style/site.css"), "css/site.css", false},
    {"a link that goes up, but stays", Q5_LIT("css/deep/up.txt"), "a.txt", false},
    {"a link with empty and '.' components", Q5_LIT("winding.txt"), "css/deep/er/x.txt", false},
    {"a link over a link", Q5_LIT("twice/er/x.txt"), "css/deep/er/x.txt", false},
    {"links and '..' mixed", Q5_LIT("twice/up.txt"), "a.txt", false},
    {"a link with a slash at its end", Q5_LIT("style-slashed/site.css"), "css/site.css", false},

    {"CWE-22: up", Q5_LIT("../secret.txt"), NULL, false},
    {"CWE-22: up from further down", Q5_LIT("css/../../secret.txt"), NULL, false},
    {"up, though it stays", Q5_LIT("css/../a.txt"), NULL, false},
    {"only up", Q5_LIT(".."), NULL, false},
    {"here", Q5_LIT("."), NULL, false},
    {"here inside", Q5_LIT("./a.txt"), NULL, false},
    {"CWE-22: absolute", Q5_LIT("/etc/passwd"), NULL, false},
    {"CWE-22: backslashes", Q5_LIT("css\\..\\..\\secret.txt"), NULL, false},
    {"CWE-158: NUL", Q5_LIT("a.txt\0.css"), NULL, false},
    {"CWE-158: NUL at the end", Q5_LIT("a.txt\0"), NULL, false},
    {"CWE-59: a link out", Q5_LIT("out.txt"), NULL, false},
    {"CWE-59: a directory link out", Q5_LIT("parent/secret.txt"), NULL, false},
    {"CWE-59: out and in again", Q5_LIT("out-and-in.txt"), NULL, false},
    {"CWE-59: an absolute link", Q5_LIT("absolute.txt"), NULL, false},
    {"CWE-59: a link to a magic link", Q5_LIT("magic/etc/passwd"), NULL, false},
    {"a loop", Q5_LIT("loop1"), NULL, false},
    {"a link to nothing", Q5_LIT("dangling"), NULL, false},
    {"a link with a slash behind a file", Q5_LIT("slashed"), NULL, false},
    {"a dotfile", Q5_LIT(".env"), NULL, false},
    {"a dotfile further down", Q5_LIT("css/.keep"), NULL, false},
    {"below a dot directory", Q5_LIT(".git/config"), NULL, false},
    {"a dotfile of two dots", Q5_LIT("..c.txt"), NULL, false},
    {"empty", Q5_LIT(""), NULL, false},
    {"missing", Q5_LIT("b.txt"), NULL, false},
    {"missing directory", Q5_LIT("x/b.txt"), NULL, false},
    {"a file is no directory", Q5_LIT("a.txt/b"), NULL, false},
    {"a slash behind a file", Q5_LIT("a.txt/"), NULL, false},
    {"an empty component", Q5_LIT("css//site.css"), NULL, false},
    {"a directory", Q5_LIT("css"), NULL, true},
    {"a link to a directory", Q5_LIT("twice"), NULL, true},
    {"a FIFO does not block", Q5_LIT("fifo"), NULL, false},
    {"a socket", Q5_LIT("socket"), NULL, false},
};

static void check_row(const struct row *row) {
    q5_static_file file = {.fd = -2};
    bool directory = !row->directory;
    int status = q5_static_open(&root, row->path, NULL, &file, &directory);
    if (status != (row->content ? Q5_OK : Q5_NOT_FOUND) || directory != row->directory)
        fail_msg("%s: %s, directory %d", row->why, q5_status_name(status), directory);
    if (!row->content) {
        assert_int_equal(file.fd, -2);
        return;
    }
    char text[64];
    assert_status(q5_static_read(&file, text, sizeof(text)), Q5_OK);
    assert_slice(q5_slice_make(text, (size_t)file.size), row->content);
    assert_true(fcntl(file.fd, F_GETFD) & FD_CLOEXEC);
    close(file.fd);
}

/* The kernel's way must not be skipped silently where the machine has it: if it lacks it, opening
 * the root has chosen the other. */
static void test_paths(void **state) {
    (void)state;
    uint8_t chosen = root.resolver;
    size_t fds = count_fds();
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        root.resolver = chosen;
        check_row(&rows[i]);
        root.resolver = Q5_STATIC_WALK;
        check_row(&rows[i]);
    }
    root.resolver = chosen;
    assert_int_equal(count_fds(), fds);
}

static void test_openat2_where_the_kernel_has_it(void **state) {
    (void)state;
    int fd = q5__beneath_openat2(root.fd, "a.txt");
    assert_int_equal(root.resolver, fd >= 0 ? Q5_STATIC_OPENAT2 : Q5_STATIC_WALK);
    if (fd < 0) skip();
    close(fd);
    assert_int_equal(q5__beneath_openat2(root.fd, "parent"), -1);
    assert_int_equal(errno, EXDEV);
}

static void test_dotfiles_allowed(void **state) {
    (void)state;
    static const struct row allowed[] = {
        {"a dotfile", Q5_LIT(".env"), ".env", false},
        {"below a dot directory", Q5_LIT(".git/config"), ".git/config", false},
        {"two dots and more", Q5_LIT("..c.txt"), "..c.txt", false},
        {"up", Q5_LIT("../secret.txt"), NULL, false},
        {"here", Q5_LIT("."), NULL, false},
        {"up at the end", Q5_LIT("css/.."), NULL, false},
    };
    root.options.allow_dotfiles = true;
    for (size_t i = 0; i < Q5_ARRAY_LEN(allowed); i++)
        check_row(&allowed[i]);
    root.options.allow_dotfiles = false;
}

static void test_walk_bounds(void **state) {
    (void)state;
    char path[2 * Q5__BENEATH_DEPTH_MAX + 16] = "";
    int dir = dup(root.fd);
    for (int i = 0; i <= Q5__BENEATH_DEPTH_MAX; i++) {
        assert_int_equal(mkdirat(dir, "d", 0755), 0);
        int next = openat(dir, "d", O_RDONLY | O_DIRECTORY);
        close(openat(next, "f", O_WRONLY | O_CREAT, 0644));
        close(dir);
        dir = next;
    }
    close(dir);
    for (int i = 0; i < Q5__BENEATH_DEPTH_MAX; i++)
        strcat(path, "d/");
    strcat(path, "f");
    size_t fds = count_fds();
    int fd = q5__beneath_walk(root.fd, path);
    assert_true(fd >= 0);
    close(fd);
    path[strlen(path) - 1] = '\0';
    strcat(path, "d/f");
    assert_int_equal(q5__beneath_walk(root.fd, path), -1);
    assert_int_equal(errno, ENAMETOOLONG);
    assert_int_equal(q5__beneath_walk(root.fd, "loop1"), -1);
    assert_int_equal(errno, ELOOP);
    assert_int_equal(q5__beneath_walk(root.fd, "out.txt"), -1);
    assert_int_equal(errno, EXDEV);

    char longest[5000];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(q5__beneath_walk(root.fd, longest), -1);
    assert_int_equal(errno, ENAMETOOLONG);
    q5_static_file file;
    assert_status(
        q5_static_open(&root, q5_slice_make(longest, Q5_STATIC_PATH_MAX - 1), NULL, &file, NULL),
        Q5_NOT_FOUND);
    assert_status(
        q5_static_open(&root, q5_slice_make(longest, sizeof(longest) - 1), NULL, &file, NULL),
        Q5_NOT_FOUND);
    assert_int_equal(count_fds(), fds);
}

static void test_out_of_descriptors(void **state) {
    (void)state;
    struct rlimit old, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    q5_static_file file;
    int status = q5_static_open(&root, Q5_LIT("a.txt"), NULL, &file, NULL);
    q5_static_root other;
    int other_status = q5_static_root_open(&other, root_dir, NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_status(status, Q5_EIO);
    assert_int_equal(root.error, EMFILE);
    assert_status(other_status, Q5_EIO);
    assert_int_equal(other.error, EMFILE);
    assert_int_equal(other.fd, -1);
}

static void test_precompressed(void **state) {
    (void)state;
    write_file("app.js", "original", 1000);
    write_file("app.js.gz", "G", 1000);
    write_file("app.js.br", "B", 999);
    write_file("app.js.zst", "ZZ", 2000);
    write_file("pic.png", "png", 1000);
    write_file("pic.png.gz", "G", 1000);
    static const struct {
        const char *why;
        q5_slice path;
        const char *accept; /* NULL: none given */
        q5_coding coding;
        uint64_t size;
        bool vary;
    } table[] = {
        {"none given", Q5_LIT("app.js"), NULL, Q5_CODING_IDENTITY, 8, true},
        {"none taken", Q5_LIT("app.js"), "", Q5_CODING_IDENTITY, 8, true},
        {"gzip", Q5_LIT("app.js"), "gzip", Q5_CODING_GZIP, 1, true},
        {"br is older than the original", Q5_LIT("app.js"), "br", Q5_CODING_IDENTITY, 8, true},
        {"the next one is tried", Q5_LIT("app.js"), "br, gzip;q=0.5", Q5_CODING_GZIP, 1, true},
        {"zstd before gzip", Q5_LIT("app.js"), "gzip, br, zstd", Q5_CODING_ZSTD, 2, true},
        {"as the client likes", Q5_LIT("app.js"), "zstd;q=0.5, gzip", Q5_CODING_GZIP, 1, true},
        {"identity liked best", Q5_LIT("app.js"), "identity, gzip;q=0.9", Q5_CODING_IDENTITY, 8,
         true},
        {"no sibling", Q5_LIT("css/site.css"), "gzip", Q5_CODING_IDENTITY, 12, true},
        {"not worth compressing", Q5_LIT("pic.png"), "gzip", Q5_CODING_IDENTITY, 3, false},
        {"the sibling itself", Q5_LIT("app.js.gz"), "gzip", Q5_CODING_IDENTITY, 1, false},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(table); i++) {
        q5_accept_encoding accept;
        q5_slice value =
            q5_slice_make(table[i].accept, table[i].accept ? strlen(table[i].accept) : 0);
        q5_accept_encoding_parse(value, &accept);
        q5_static_file file;
        assert_status(
            q5_static_open(&root, table[i].path, table[i].accept ? &accept : NULL, &file, NULL),
            Q5_OK);
        if (file.coding != table[i].coding || file.size != table[i].size ||
            file.vary != table[i].vary)
            fail_msg("%s: %s", table[i].why, q5_coding_name((q5_coding)file.coding));
        close(file.fd);
    }
    root.options.precompressed = false;
    q5_accept_encoding accept;
    q5_accept_encoding_parse(Q5_LIT("gzip"), &accept);
    q5_static_file file;
    assert_status(q5_static_open(&root, Q5_LIT("app.js"), &accept, &file, NULL), Q5_OK);
    assert_int_equal(file.coding, Q5_CODING_IDENTITY);
    assert_false(file.vary);
    close(file.fd);
    root.options.precompressed = true;
}

static void etag_of(const char *name, char out[Q5_STATIC_ETAG_MAX]) {
    q5_static_file file;
    assert_status(q5_static_open(&root, q5_slice_make(name, strlen(name)), NULL, &file, NULL),
                  Q5_OK);
    assert_int_equal(file.etag_len, strlen(file.etag));
    assert_true(file.etag_len > 4 && file.etag[0] == '"' && file.etag[file.etag_len - 1] == '"');
    memcpy(out, file.etag, Q5_STATIC_ETAG_MAX);
    close(file.fd);
}

static void test_etag(void **state) {
    (void)state;
    char first[Q5_STATIC_ETAG_MAX], other[Q5_STATIC_ETAG_MAX];
    write_file("e1", "one", 1000);
    etag_of("e1", first);
    etag_of("e1", other);
    assert_string_equal(first, other);
    write_file("e1", "onex", 1000); /* size */
    etag_of("e1", other);
    assert_string_not_equal(first, other);
    write_file("e1", "one", 1001); /* time */
    etag_of("e1", other);
    assert_string_not_equal(first, other);
    write_file("e2", "two", 1000); /* inode */
    etag_of("e2", other);
    assert_string_not_equal(first, other);
}

static void test_read(void **state) {
    (void)state;
    write_file("r", "0123456789", 1000);
    q5_static_file file;
    assert_status(q5_static_open(&root, Q5_LIT("r"), NULL, &file, NULL), Q5_OK);
    char text[10];
    assert_status(q5_static_read(&file, text, 9), Q5_AGAIN);
    assert_status(q5_static_read(&file, text, 10), Q5_OK);
    assert_memory_equal(text, "0123456789", 10);
    write_file("r", "0", 1000);
    assert_status(q5_static_read(&file, text, 10), Q5_EIO);
    close(file.fd);
}

static void test_root_that_is_none(void **state) {
    (void)state;
    q5_static_root other;
    assert_status(q5_static_root_open(&other, "/nonexistent/q5", NULL), Q5_EIO);
    assert_int_equal(other.error, ENOENT);
    q5_static_root_close(&other);
    char path[128];
    snprintf(path, sizeof(path), "%s/secret.txt", base);
    assert_status(q5_static_root_open(&other, path, NULL), Q5_EIO);
    assert_int_equal(other.error, ENOTDIR);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_openat2_where_the_kernel_has_it),
        cmocka_unit_test(test_dotfiles_allowed),
        cmocka_unit_test(test_walk_bounds),
        cmocka_unit_test(test_out_of_descriptors),
        cmocka_unit_test(test_precompressed),
        cmocka_unit_test(test_etag),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_root_that_is_none),
    };
    return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
