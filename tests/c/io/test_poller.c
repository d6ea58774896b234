/* Readiness: levels and edges, ends, removal between fetching and delivering. */
#include "q5/poller.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "q5test.h"

typedef struct probe {
    q5_watch watch;
    q5_poller *poller;
    struct probe *removes; /* taken out by this one's callback */
    int calls;
    unsigned events;
} probe;

static void on_ready(q5_watch *watch, unsigned events) {
    probe *p = Q5_CONTAINER_OF(watch, probe, watch);
    p->calls++;
    p->events |= events;
    if (p->removes) q5_poller_remove(p->poller, &p->removes->watch);
}

static void probe_init(probe *p, q5_poller *poller, int fd) {
    *p = (probe){.watch = {fd, on_ready}, .poller = poller};
}

static int turn(q5_poller *poller) {
    int n = q5_poller_wait(poller, 0);
    q5_poller_deliver(poller);
    return n;
}

static void make_pair(int fds[2]) {
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    for (int i = 0; i < 2; i++)
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
}

static void close_pair(const int fds[2]) {
    close(fds[0]);
    close(fds[1]);
}

static void test_level(void **state) {
    (void)state;
    int fds[2];
    make_pair(fds);
    q5_poller *poller = q5_poller_create(NULL);
    probe p;
    probe_init(&p, poller, fds[0]);
    assert_status(q5_poller_add(poller, &p.watch, Q5_POLL_READ), Q5_OK);
    assert_int_equal(turn(poller), 0);
    assert_int_equal(write(fds[1], "ab", 2), 2);
    for (int i = 1; i < 4; i++) {
        assert_int_equal(turn(poller), 1);
        assert_int_equal(p.calls, i);
        assert_int_equal(p.events, Q5_POLL_READ);
    }
    q5_poller_remove(poller, &p.watch);
    assert_int_equal(turn(poller), 0);
    q5_poller_destroy(poller);
    close_pair(fds);
}

static void test_edge(void **state) {
    (void)state;
    int fds[2];
    make_pair(fds);
    q5_poller *poller = q5_poller_create(NULL);
    probe p;
    probe_init(&p, poller, fds[0]);
    q5_poller_add(poller, &p.watch, Q5_POLL_READ | Q5_POLL_WRITE | Q5_POLL_EDGE);
    turn(poller);
    assert_int_equal(p.events, Q5_POLL_WRITE);
    assert_int_equal(turn(poller), 0);
    assert_int_equal(write(fds[1], "ab", 2), 2);
    turn(poller);
    assert_true(p.events & Q5_POLL_READ);
    int calls = p.calls;
    assert_int_equal(turn(poller), 0);
    assert_int_equal(p.calls, calls);
    assert_int_equal(write(fds[1], "c", 1), 1);
    turn(poller);
    assert_true(p.calls > calls);
    assert_false(p.events & Q5_POLL_EOF);
    shutdown(fds[1], SHUT_WR);
    turn(poller);
    assert_true(p.events & Q5_POLL_EOF);
    q5_poller_remove(poller, &p.watch);
    q5_poller_destroy(poller);
    close_pair(fds);
}

static void test_modify(void **state) {
    (void)state;
    int fds[2];
    make_pair(fds);
    q5_poller *poller = q5_poller_create(NULL);
    probe p;
    probe_init(&p, poller, fds[0]);
    q5_poller_add(poller, &p.watch, Q5_POLL_READ);
    assert_int_equal(turn(poller), 0);
    assert_status(q5_poller_modify(poller, &p.watch, Q5_POLL_WRITE), Q5_OK);
    assert_int_equal(turn(poller), 1);
    assert_int_equal(p.events, Q5_POLL_WRITE);
    q5_poller_remove(poller, &p.watch);
    q5_poller_destroy(poller);
    close_pair(fds);
}

/* Both are ready; whichever is called first takes the other one out, which must not be called. */
static void test_removed_before_delivery(void **state) {
    (void)state;
    int a[2], b[2];
    make_pair(a);
    make_pair(b);
    q5_poller *poller = q5_poller_create(NULL);
    probe first, second;
    probe_init(&first, poller, a[0]);
    probe_init(&second, poller, b[0]);
    first.removes = &second;
    second.removes = &first;
    q5_poller_add(poller, &first.watch, Q5_POLL_READ);
    q5_poller_add(poller, &second.watch, Q5_POLL_READ);
    assert_int_equal(write(a[1], "x", 1), 1);
    assert_int_equal(write(b[1], "x", 1), 1);
    assert_int_equal(q5_poller_wait(poller, 0), 2);
    q5_poller_deliver(poller);
    assert_int_equal(first.calls + second.calls, 1);
    q5_poller_destroy(poller);
    close_pair(a);
    close_pair(b);
}

static void test_errors(void **state) {
    (void)state;
    q5_poller *poller = q5_poller_create(NULL);
    probe p;
    probe_init(&p, poller, 1 << 20);
    assert_status(q5_poller_add(poller, &p.watch, Q5_POLL_READ), Q5_EIO);
    assert_true(q5_poller_fd(poller) >= 0);
    assert_true(fcntl(q5_poller_fd(poller), F_GETFD) & FD_CLOEXEC);
    assert_int_equal(q5_poller_wait(poller, 1), 0);
    q5_poller_destroy(poller);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_level),  cmocka_unit_test(test_edge),
        cmocka_unit_test(test_modify), cmocka_unit_test(test_removed_before_delivery),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
