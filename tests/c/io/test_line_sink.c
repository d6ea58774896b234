#include "q5/line_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "q5test.h"

#define LINES_LEN (1 << 20)
#define LINE_LEN 100

static char lines[LINES_LEN];
static char taken[LINES_LEN];

static int fill(void **state) {
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < LINES_LEN; i++)
        lines[i] = i % LINE_LEN == LINE_LEN - 1 ? '\n' : (char)('a' + i / LINE_LEN % 26);
    return 0;
}

static void open_pair(void **state, int fds[2]) {
    if (*state)
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    else
        assert_int_equal(pipe(fds), 0);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
}

/* The writing end blocks: a write too many would never return. */
static void test_a_reader_that_stalls(void **state) {
    int fds[2];
    open_pair(state, fds);
    q5_line_sink sink = q5_line_sink_make(fds[1]);
    size_t put = 0, got = 0, n;
    while (put < LINES_LEN) {
        int status = q5_line_sink_write(&sink, q5_slice_make(lines + put, LINES_LEN - put), &n);
        put += n;
        if (put < LINES_LEN) assert_status(status, Q5_AGAIN);
        if (!*state && put < LINES_LEN) assert_int_equal(lines[put - 1], '\n');
        for (ssize_t r; (r = read(fds[0], taken + got, LINES_LEN - got)) > 0;)
            got += (size_t)r;
    }
    assert_int_equal(got, LINES_LEN);
    assert_memory_equal(lines, taken, LINES_LEN);
    close(fds[0]);
    close(fds[1]);
}

static void test_a_line_longer_than_a_pipe_takes_at_once(void **state) {
    int fds[2];
    open_pair(state, fds);
    q5_line_sink sink = q5_line_sink_make(fds[1]);
    memset(taken, 'x', PIPE_BUF + 10);
    size_t n;
    assert_status(q5_line_sink_write(&sink, q5_slice_make(taken, PIPE_BUF + 10), &n), Q5_OK);
    assert_int_equal(n, PIPE_BUF + 10);
    close(fds[0]);
    close(fds[1]);
}

static void test_a_reader_that_left(void **state) {
    int fds[2];
    open_pair(state, fds);
    close(fds[0]);
    q5_line_sink sink = q5_line_sink_make(fds[1]);
    size_t n = 99;
    assert_status(q5_line_sink_write(&sink, q5_slice_make(lines, LINE_LEN), &n), Q5_EIO);
    assert_int_equal(errno, EPIPE);
    assert_int_equal(n, 0);
    close(fds[1]);
}

static void test_a_file(void **state) {
    (void)state;
    char name[] = "/tmp/q5-test-line-sink-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    unlink(name);
    q5_line_sink sink = q5_line_sink_make(fd);
    size_t n;
    assert_status(q5_line_sink_write(&sink, q5_slice_make(lines, LINES_LEN), &n), Q5_OK);
    assert_int_equal(n, LINES_LEN);
    assert_int_equal(lseek(fd, 0, SEEK_END), LINES_LEN);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reader_that_stalls),
        cmocka_unit_test_prestate(test_a_reader_that_stalls, "socket"),
        cmocka_unit_test(test_a_line_longer_than_a_pipe_takes_at_once),
        cmocka_unit_test(test_a_reader_that_left),
        cmocka_unit_test(test_a_file),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
