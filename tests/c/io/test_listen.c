/* Listening sockets and what may be wrong with their addresses. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "q5/server.h"

#include "q5test.h"

static uint16_t port_of(int fd) {
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    if (address.ss_family == AF_INET) return ntohs(((struct sockaddr_in *)&address)->sin_port);
    return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
}

static void test_flags(void **state) {
    (void)state;
    int fd = -1;
    assert_status(q5_listen_tcp("127.0.0.1", 0, 16, false, &fd), Q5_OK);
    assert_true(port_of(fd) > 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(accept(fd, NULL, NULL), -1);
    assert_int_equal(errno, EAGAIN);
    close(fd);
}

static void test_port_in_use(void **state) {
    (void)state;
    int fd = -1, other = -1;
    assert_status(q5_listen_tcp("127.0.0.1", 0, 16, false, &fd), Q5_OK);
    assert_status(q5_listen_tcp("127.0.0.1", port_of(fd), 16, false, &other), Q5_EADDR);
    assert_int_equal(errno, EADDRINUSE);
    assert_int_equal(other, -1);
    /* One that shares cannot join one that does not. */
    assert_status(q5_listen_tcp("127.0.0.1", port_of(fd), 16, true, &other), Q5_EADDR);
    close(fd);
}

static void test_reuse_port(void **state) {
    (void)state;
    int fd = -1, other = -1;
    assert_status(q5_listen_tcp("127.0.0.1", 0, 16, true, &fd), Q5_OK);
    assert_status(q5_listen_tcp("127.0.0.1", port_of(fd), 16, true, &other), Q5_OK);
    assert_int_equal(port_of(fd), port_of(other));
    close(fd);
    close(other);
}

static void test_bad_addresses(void **state) {
    (void)state;
    static const char *const hosts[] = {"192.0.2.1", "999.1.1.1", "", "no such host"};
    for (size_t i = 0; i < Q5_ARRAY_LEN(hosts); i++) {
        int fd = -1;
        int status = q5_listen_tcp(hosts[i], 0, 16, false, &fd);
        if (status != Q5_EADDR) fail_msg("%s: %s", hosts[i], q5_status_name(status));
        assert_int_equal(errno, EADDRNOTAVAIL);
        assert_int_equal(fd, -1);
    }
}

/* The IPv6 socket leaves the IPv4 port free. */
static void test_ipv6(void **state) {
    (void)state;
    int six = -1, four = -1;
    if (q5_listen_tcp("::1", 0, 16, false, &six)) skip();
    assert_status(q5_listen_tcp("127.0.0.1", port_of(six), 16, false, &four), Q5_OK);
    close(six);
    close(four);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags),      cmocka_unit_test(test_port_in_use),
        cmocka_unit_test(test_reuse_port), cmocka_unit_test(test_bad_addresses),
        cmocka_unit_test(test_ipv6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
