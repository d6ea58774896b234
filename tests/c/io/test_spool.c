#include "q5/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/spool_internal.h"
#include "q5test.h"

static char dir[] = "/tmp/q5-test-spool-XXXXXX";

static int make_dir(void **state) {
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
    (void)state;
    return rmdir(dir);
}

static size_t count_entries(void) {
    DIR *d = opendir(dir);
    assert_non_null(d);
    size_t n = 0;
    for (struct dirent *entry; (entry = readdir(d));)
        n += entry->d_name[0] != '.';
    closedir(d);
    return n;
}

static void check_anonymous(int fd) {
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_nlink, 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
    assert_int_equal(count_entries(), 0);
}

static void test_append_and_read(void **state) {
    (void)state;
    q5_spool spool;
    assert_status(q5_spool_open(&spool, dir), Q5_OK);
    check_anonymous(spool.fd);
    assert_status(q5_spool_write(&spool, "hello ", 6), Q5_OK);
    assert_status(q5_spool_write(&spool, NULL, 0), Q5_OK);
    assert_status(q5_spool_write(&spool, "world", 5), Q5_OK);
    assert_int_equal(spool.size, 11);
    char out[32];
    size_t len = 99;
    assert_status(q5_spool_read(&spool, 4, out, sizeof(out), &len), Q5_OK);
    assert_int_equal(len, 7);
    assert_memory_equal(out, "o world", 7);
    assert_status(q5_spool_read(&spool, 11, out, sizeof(out), &len), Q5_OK);
    assert_int_equal(len, 0);

    int fd = q5_spool_release(&spool);
    assert_int_equal(spool.fd, -1);
    assert_int_equal(read(fd, out, sizeof(out)), 11);
    close(fd);
    q5_spool_close(&spool);
}

static void test_without_tmpfile(void **state) {
    (void)state;
    int fd = q5__spool_open_named(dir);
    assert_true(fd >= 0);
    check_anonymous(fd);
    close(fd);
    char longer[5000];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(q5__spool_open_named(longer), -1);
    assert_int_equal(errno, ENAMETOOLONG);
}

static void test_open_fails(void **state) {
    (void)state;
    q5_spool spool;
    assert_status(q5_spool_open(&spool, "/nonexistent/q5"), Q5_EIO);
    assert_int_equal(spool.error, ENOENT);
    assert_int_equal(spool.fd, -1);
    q5_spool_close(&spool);
}

static void test_default_directory(void **state) {
    (void)state;
    q5_spool spool;
    setenv("TMPDIR", "/nonexistent/q5", 1);
    assert_status(q5_spool_open(&spool, NULL), Q5_EIO);
    setenv("TMPDIR", dir, 1);
    assert_status(q5_spool_open(&spool, NULL), Q5_OK);
    q5_spool_close(&spool);
    unsetenv("TMPDIR");
    assert_status(q5_spool_open(&spool, NULL), Q5_OK);
    q5_spool_close(&spool);
    assert_int_equal(spool.fd, -1);
}

/* A short write, then none: what a full disk looks like. */
static void test_disk_full(void **state) {
    (void)state;
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){.rlim_cur = 10, .rlim_max = old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    q5_spool spool;
    assert_status(q5_spool_open(&spool, dir), Q5_OK);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int status = q5_spool_write(&spool, "0123456789abcdef", 16);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_status(status, Q5_EIO);
    assert_int_equal(spool.error, EFBIG);
    assert_int_equal(spool.size, 10);
    q5_spool_close(&spool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_and_read), cmocka_unit_test(test_without_tmpfile),
        cmocka_unit_test(test_open_fails),      cmocka_unit_test(test_default_directory),
        cmocka_unit_test(test_disk_full),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
