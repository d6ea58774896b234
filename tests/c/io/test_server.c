/* The server over real sockets. */
#include <signal.h>

#include "io/net_script.h"

static int open_descriptors(void) {
    int count = 0;
    for (int fd = 0; fd < 4096; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void test_request_and_keep_alive(void **state) {
    (void)state;
    net n;
    net_init(&n);
    int fd = net_client(&n);
    for (int i = 0; i < 5; i++)
        assert_int_equal(net_ask(&n, fd, GET("/")), 200);
    assert_int_equal(net_ask(&n, fd, GET("/close")), 200);
    assert_int_equal(net_read(&n, fd, 1, NET_PATIENCE_MSEC), NET_EOF);
    close(fd);
    assert_int_equal(net_stats(&n)->accepted, 1);
    assert_int_equal(net_stats(&n)->requests, 6);
    assert_int_equal(net_stats(&n)->connections, 0);
    net_deinit(&n);
}

static void test_many_connections(void **state) {
    (void)state;
    enum { COUNT = 300 };
    static int fds[COUNT];
    int before = open_descriptors();
    net n;
    net_init(&n);
    for (int i = 0; i < COUNT; i++) {
        fds[i] = net_client(&n);
        net_turn(&n, 0);
    }
    net_until(&n, net_stats(&n)->connections == COUNT);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++)
            net_say(&n, fds[i], GET("/"));
        response got;
        for (int i = 0; i < COUNT; i++)
            assert_int_equal(net_response(&n, fds[i], &got), 200);
    }
    /* All idle: none holds an exchange. */
    assert_int_equal(q5_server_pool(n.server)->live_count, 0);
    for (int i = 0; i < COUNT; i++)
        close(fds[i]);
    net_until(&n, net_stats(&n)->connections == 0);
    net_deinit(&n);
    assert_int_equal(open_descriptors(), before);
}

static char *upload(size_t len, const char *path, size_t *ret_len) {
    char *text = malloc(len + 200);
    assert_non_null(text);
    size_t at =
        (size_t)sprintf(text, "POST %s HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n", path, len);
    for (size_t i = 0; i < len; i++)
        text[at + i] = (char)('a' + i % 26);
    *ret_len = at + len;
    return text;
}

/* Edge-triggered reading must not stop while bytes are left. */
static void test_large_bodies(void **state) {
    (void)state;
    static const size_t lens[] = {1, 4000, 65536, 1000000, 2400000};
    net n;
    net_init(&n);
    int fd = net_client(&n);
    for (size_t i = 0; i < Q5_ARRAY_LEN(lens); i++) {
        size_t len;
        response got;
        char *text = upload(lens[i], "/echo", &len);
        assert_int_equal(net_send(&n, fd, text, len), len);
        assert_int_equal(net_response(&n, fd, &got), 200);
        assert_int_equal(got.body_len, lens[i]);
        free(text);
    }
    /* Past spool_min it goes to a file. */
    size_t len;
    char *text = upload(3000000, "/echo", &len);
    assert_int_equal(net_send(&n, fd, text, len), len);
    net_say(&n, fd, GET("/"));
    net_until(&n, n.r.requests == (int)Q5_ARRAY_LEN(lens) + 2);
    net_read(&n, fd, 80, 1000);
    n.r.out[n.r.out_len] = '\0';
    assert_non_null(strstr(n.r.out, "X-Body: spooled 3000000\r\n"));
    free(text);
    close(fd);
    net_deinit(&n);
}

static void test_sendfile(void **state) {
    (void)state;
    char path[] = "/tmp/q5-server-XXXXXX";
    net n;
    net_init(&n);
    n.r.fd = mkstemp(path);
    assert_true(n.r.fd >= 0);
    unlink(path);
    assert_int_equal(write(n.r.fd, "xyzfile!", 8), 8);
    int fd = net_client(&n);
    for (int i = 0; i < 3; i++) {
        response got;
        net_say(&n, fd, i % 2 ? GET("/file-chunked") : GET("/file"));
        assert_int_equal(net_response(&n, fd, &got), 200);
        assert_int_equal(got.body_len, 4);
    }
    assert_int_equal(n.r.released, 3);
    /* A file that has become shorter than was promised: the client sees the end. */
    assert_int_equal(ftruncate(n.r.fd, 3), 0);
    net_say(&n, fd, GET("/file"));
    net_end end = net_read(&n, fd, 4096, 2000);
    assert_true(end == NET_EOF || end == NET_RESET);
    n.r.out[n.r.out_len] = '\0';
    assert_null(strstr(n.r.out, "\r\n\r\nf"));
    close(fd);
    net_until(&n, net_stats(&n)->connections == 0);
    close(n.r.fd);
    net_deinit(&n);
}

static void reset(int fd) {
    struct linger now = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd);
}

/* A reset while much is still to be sent: every release is called, nothing raises SIGPIPE. */
static void test_client_resets(void **state) {
    (void)state;
    static const char *const requests[] = {GET("/pump"), GET("/later"), GET("/open"), GET("/big"),
                                           "POST /echo HTTP/1.1\r\n" HOST
                                           "Content-Length: 100\r\n\r\nabc"};
    net n;
    net_init(&n);
    for (size_t i = 0; i < Q5_ARRAY_LEN(requests); i++) {
        int fd = net_client_sized(&n, 4096);
        int before = n.r.heads;
        n.r.pieces = 10000;
        net_say(&n, fd, requests[i]);
        net_until(&n, n.r.heads == before + 1);
        for (int turn = 0; turn < 10; turn++)
            net_turn(&n, 0);
        reset(fd);
        /* What waits for an answer learns of it when there is one. */
        for (int turn = 0; turn < 10; turn++)
            net_turn(&n, 1);
        while (n.r.later_count) {
            q5_exchange *x = n.r.later[--n.r.later_count];
            if (x->response_state == Q5_RESPONSE_NONE)
                rig_text(x, 200, "too late");
            else
                q5_response_end(x);
            q5_exchange_unref(x);
        }
        net_until(&n, net_stats(&n)->connections == 0);
        assert_int_equal(n.r.dones, n.r.heads);
        assert_int_equal(n.r.released, n.r.taken);
        assert_int_equal(q5_server_pool(n.server)->live_count, 0);
    }
    net_deinit(&n);
}

static void test_half_close(void **state) {
    (void)state;
    net n;
    net_init(&n);
    /* The answer comes after the client's end of file, and so do those to what it pipelined. */
    int fd = net_client(&n);
    net_say(&n, fd, GET("/later") GET("/2") GET("/3"));
    shutdown(fd, SHUT_WR);
    net_until(&n, n.r.later_count == 1);
    for (int i = 0; i < 5; i++)
        net_turn(&n, 1);
    q5_exchange *x = n.r.later[--n.r.later_count];
    rig_text(x, 200, "one");
    q5_exchange_unref(x);
    response got;
    assert_int_equal(net_response(&n, fd, &got), 200);
    assert_int_equal(got.body_len, 3);
    assert_int_equal(net_response(&n, fd, &got), 200);
    assert_int_equal(net_response(&n, fd, &got), 200);
    assert_int_equal(net_read(&n, fd, 1, NET_PATIENCE_MSEC), NET_EOF);
    close(fd);
    assert_int_equal(n.r.gones, 0);
    net_deinit(&n);
}

/* The second request still lies in the kernel when the client's end of file is seen. */
static void test_half_close_behind_unread(void **state) {
    (void)state;
    net n;
    net_init(&n);
    int fd = net_client(&n);
    net_say(&n, fd, GET("/later"));
    net_until(&n, n.r.later_count == 1);
    net_say(&n, fd, GET("/2"));
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < 5; i++)
        net_turn(&n, 1);
    q5_exchange *x = n.r.later[--n.r.later_count];
    rig_text(x, 200, "one");
    q5_exchange_unref(x);
    response got;
    assert_int_equal(net_response(&n, fd, &got), 200);
    assert_int_equal(net_response(&n, fd, &got), 200);
    assert_int_equal(net_read(&n, fd, 1, NET_PATIENCE_MSEC), NET_EOF);
    close(fd);
    net_deinit(&n);
}

/* on_eof answers true: the request is given up as soon as the client has gone. */
static void test_eof_gives_up(void **state) {
    (void)state;
    net n;
    net_init(&n);
    n.r.eof_gives_up = true;
    int fd = net_client(&n);
    net_say(&n, fd, GET("/later"));
    net_until(&n, n.r.later_count == 1);
    close(fd);
    net_until(&n, n.r.gones == 1);
    net_until(&n, net_stats(&n)->connections == 0);
    net_deinit(&n);
}

/* 20 MB to a reader that takes its time: memory stays bounded by out_high. */
static void test_slow_reader(void **state) {
    (void)state;
    net n;
    net_init(&n);
    int fd = net_client_sized(&n, 8192);
    n.r.pieces = 1000;
    net_say(&n, fd, GET("/pump"));
    uint64_t total = 0;
    q5_msec end = q5_clock_msec() + 2 * NET_PATIENCE_MSEC;
    while (n.r.drains == 0 || n.r.dones == 0 || total < 20000000) {
        int held = n.r.taken - n.r.released;
        assert_in_range(held, 0, 15); /* out_high in pieces of 20,000, and one that is half sent */
        if (net_read(&n, fd, 4000, NET_PATIENCE_MSEC) != NET_OPEN) break;
        total += n.r.out_len;
        n.r.out_len = 0;
        assert_true(q5_clock_msec() < end);
    }
    assert_true(total >= 20000000);
    assert_true(n.r.drains > 10);
    close(fd);
    net_deinit(&n);
}

/* Requests without end from a client that reads nothing: held back, and answered once it reads. */
static void test_pipelining_without_reading(void **state) {
    (void)state;
    net n;
    net_init(&n);
    int fd = net_client_sized(&n, 4096);
    static char many[500 * 40];
    for (int i = 0; i < 500; i++)
        strcat(many, GET("/big"));
    size_t len = strlen(many);
    for (size_t done = 0, turns = 0; done < len && turns < 50; turns++) {
        ssize_t sent = send(fd, many + done, len - done, MSG_NOSIGNAL);
        if (sent > 0) done += (size_t)sent;
        net_turn(&n, 0);
    }
    assert_in_range(n.r.taken - n.r.released, 0, 5);
    assert_true(n.r.requests < 500);
    uint64_t total = 0;
    while (total < 500u * 100000u && net_read(&n, fd, 1, NET_PATIENCE_MSEC) == NET_OPEN) {
        total += n.r.out_len;
        n.r.out_len = 0;
    }
    assert_int_equal(n.r.requests, 500);
    assert_true(total >= 500u * 100000u);
    close(fd);
    net_deinit(&n);
}

static void test_connections_max(void **state) {
    (void)state;
    net n;
    net_prepare(&n);
    n.config.connections_max = 3;
    net_start(&n);
    int fds[5];
    for (size_t i = 0; i < Q5_ARRAY_LEN(fds); i++)
        fds[i] = net_client(&n);
    net_until(&n, net_stats(&n)->connections == 3);
    for (int i = 0; i < 10; i++)
        net_turn(&n, 1);
    assert_int_equal(net_stats(&n)->accepted, 3);
    net_say(&n, fds[3], GET("/"));
    assert_int_equal(net_read(&n, fds[3], 1, 50), NET_SILENT);
    close(fds[0]);
    /* The fourth has waited in the backlog, and has its turn. */
    response got;
    assert_int_equal(net_response(&n, fds[3], &got), 200);
    assert_int_equal(net_stats(&n)->connections, 3);
    for (size_t i = 1; i < Q5_ARRAY_LEN(fds); i++)
        close(fds[i]);
    net_until(&n, net_stats(&n)->accepted == 5 && net_stats(&n)->connections == 0);
    net_deinit(&n);
}

/* A client that is still sending, and for long, must be able to read why it should not. */
static void test_413_while_sending(void **state) {
    (void)state;
    net n;
    net_init(&n);
    for (int chunked = 0; chunked < 2; chunked++) {
        int fd = net_client(&n);
        net_say(&n, fd,
                chunked ? "POST /small HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                          "F00000\r\n"
                        : "POST /small HTTP/1.1\r\n" HOST "Content-Length: 15728640\r\n\r\n");
        static char block[65536];
        size_t sent = 0;
        while (sent < 15728640) {
            size_t now = net_send(&n, fd, block, sizeof(block));
            sent += now;
            if (now < sizeof(block)) break;
        }
        assert_int_equal(sent, 15728640); /* neither reset nor stuck */
        response got;
        assert_int_equal(net_response(&n, fd, &got), 413);
        assert_true(got.is_close);
        assert_int_equal(net_read(&n, fd, 1, NET_PATIENCE_MSEC), NET_EOF);
        close(fd);
        net_until(&n, net_stats(&n)->connections == 0);
    }
    assert_int_equal(net_stats(&n)->faults, 2);
    net_deinit(&n);
}

/* One that never stops sending is left after two seconds. */
static void test_lingering_ends(void **state) {
    (void)state;
    net n;
    net_init(&n);
    int fd = net_client(&n);
    net_say(&n, fd, "POST /small HTTP/1.1\r\n" HOST "Content-Length: 1000000\r\n\r\n");
    q5_msec begin = q5_clock_msec();
    net_until(&n, net_stats(&n)->connections == 0);
    assert_in_range(q5_clock_msec() - begin, 1500, 10000); /* by no other limit */
    close(fd);
    net_deinit(&n);
}

static void test_deadlines(void **state) {
    (void)state;
    net n;
    net_prepare(&n);
    n.config.conn.keep_alive_msec = 300;
    n.config.conn.head_timeout_msec = 450;
    n.config.conn.body_idle_msec = 600;
    net_start(&n);
    int idle = net_client(&n), head = net_client(&n), body = net_client(&n);
    net_say(&n, head, "GET / HTTP/1.1\r\nHo");
    net_say(&n, body, "POST / HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\n1");
    response got;
    assert_int_equal(net_read(&n, idle, 1, NET_PATIENCE_MSEC), NET_EOF);
    assert_int_equal(net_response(&n, head, &got), 408);
    assert_true(got.is_close);
    assert_int_equal(net_response(&n, body, &got), 408);
    assert_int_equal(net_stats(&n)->timeouts, 3);
    assert_int_equal(net_stats(&n)->faults, 2);
    close(idle);
    close(head);
    close(body);
    net_until(&n, net_stats(&n)->connections == 0);
    net_deinit(&n);
}

static void test_drain(void **state) {
    (void)state;
    net n;
    net_init(&n);
    int used = net_client(&n), busy = net_client(&n);
    assert_int_equal(net_ask(&n, used, GET("/")), 200);
    net_say(&n, busy, GET("/later"));
    net_until(&n, n.r.later_count == 1);
    q5_server_drain(n.server);
    assert_int_equal(net_read(&n, used, 1, NET_PATIENCE_MSEC), NET_EOF);
    assert_false(q5_server_drained(n.server));
    q5_exchange *x = n.r.later[--n.r.later_count];
    rig_text(x, 200, "done");
    q5_exchange_unref(x);
    response got;
    assert_int_equal(net_response(&n, busy, &got), 200);
    assert_true(got.is_close);
    net_until(&n, q5_server_drained(n.server));
    close(used);
    close(busy);
    net_deinit(&n);
}

static void test_abort(void **state) {
    (void)state;
    net n;
    net_init(&n);
    int fd = net_client(&n);
    net_say(&n, fd, GET("/later"));
    net_until(&n, n.r.later_count == 1);
    q5_server_abort(n.server);
    assert_trace(&n.r, "H/later R/later GSHUTDOWN D0");
    assert_int_equal(net_stats(&n)->connections, 0);
    close(fd);
    net_deinit(&n);
}

#ifdef __linux__
static uint64_t resident_bytes(void) {
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*u %llu", &pages), 1);
    fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* The kernel counts pages per processor and adds them up late: in a large process the few that are
 * still missing do not count. The caller frees it. */
static char *hold_memory(void) {
    const size_t size = 128u << 20;
    char *ballast = malloc(size);
    assert_non_null(ballast);
    memset(ballast, 1, size);
    return ballast;
}

/* Memory is short: 503 with Retry-After, and the application is not asked. */
static void test_shedding(void **state) {
    (void)state;
    net n;
    net_prepare(&n);
    char *ballast = hold_memory();
    n.config.memory_max = resident_bytes() / 925 * 1000; /* between 90 and 95 % */
    net_start(&n);
    int fd = net_client(&n);
    net_say(&n, fd, GET("/"));
    net_until(&n, net_stats(&n)->shed == 1);
    net_read(&n, fd, 60, 2000);
    n.r.out[n.r.out_len] = '\0';
    assert_int_equal(strncmp(n.r.out, "HTTP/1.1 503 ", 13), 0);
    assert_non_null(strstr(n.r.out, "\r\nRetry-After: 1\r\n"));
    assert_int_equal(n.r.heads, 0);
    n.r.heads = n.r.dones; /* the end is told even so */
    free(ballast);
    close(fd);
    net_deinit(&n);
}

/* Memory is shorter still: nobody new is let in. */
static void test_no_accepting_without_memory(void **state) {
    (void)state;
    net n;
    net_prepare(&n);
    n.config.memory_max = 1 << 20;
    net_start(&n);
    int fd = net_client(&n);
    assert_int_equal(net_read(&n, fd, 1, 1500), NET_SILENT);
    assert_int_equal(net_stats(&n)->accepted, 0);
    close(fd);
    net_deinit(&n);
}
#endif

static void test_addresses(void **state) {
    (void)state;
    net n;
    net_init(&n);
    int fd = net_client(&n);
    net_say(&n, fd, GET("/later"));
    net_until(&n, n.r.later_count == 1);
    struct sockaddr_in own;
    socklen_t len = sizeof(own);
    getsockname(fd, (struct sockaddr *)&own, &len);
    char host[46];
    uint16_t port;
    assert_true(q5_server_peer(n.r.later[0]->conn, host, &port));
    assert_string_equal(host, "127.0.0.1");
    assert_int_equal(port, ntohs(own.sin_port));
    q5_address address;
    port = 0;
    assert_true(q5_server_peer_address(n.r.later[0]->conn, &address, &port));
    assert_int_equal(address.len, 4);
    assert_memory_equal(address.bytes, "\x7f\0\0\x01", 4);
    assert_int_equal(port, ntohs(own.sin_port));
    assert_true(q5_server_local(n.r.later[0]->conn, host, &port));
    assert_string_equal(host, "127.0.0.1");
    assert_int_equal(port, n.port);
    close(fd);
    net_deinit(&n);
}

/* Reads what is there without turning the server. */
static size_t take_without_turn(net *n, int fd) {
    ssize_t got = recv(fd, n->r.out, RIG_OUT_MAX - 1, 0);
    n->r.out_len = 0;
    return got > 0 ? (size_t)got : 0;
}

static int client_that_waits(net *n, const char *request, int rcvbuf) {
    int fd = net_client_sized(n, rcvbuf), before = n->r.later_count;
    net_say(n, fd, request);
    net_until(n, n->r.later_count == before + 1);
    return fd;
}

/* Responses leave without a turn of the poller; the connections go on. */
static void test_push(void **state) {
    (void)state;
    net n;
    net_init(&n);
    int one = client_that_waits(&n, GET("/later"), 0);
    int two = client_that_waits(&n, GET("/later"), 0);
    assert_int_equal(n.r.dones, 0);
    rig_give_later(&n.r, "one");
    rig_give_later(&n.r, "two");
    assert_true(q5_server_push(n.server));
    assert_int_equal(n.r.dones, 2);
    assert_true(take_without_turn(&n, one) > 0);
    assert_true(take_without_turn(&n, two) > 0);
    assert_true(q5_server_timeout_msec(n.server) > 0);
    assert_int_equal(net_ask(&n, one, GET("/")), 200);
    assert_int_equal(net_ask(&n, two, GET("/")), 200);
    close(one);
    close(two);
    net_deinit(&n);
}

/* What a push may not do is left to the tick: the next request, the close. */
static void test_push_leaves_to_the_tick(void **state) {
    (void)state;
    net n;
    net_init(&n);
    int pipelined = client_that_waits(&n, GET("/later") GET("/"), 0);
    int last = client_that_waits(&n, "GET /later HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", 0);
    int requests = n.r.requests;
    rig_give_later(&n.r, "one");
    rig_give_later(&n.r, "two");
    assert_false(q5_server_push(n.server));
    assert_int_equal(n.r.requests, requests);
    assert_int_equal(net_stats(&n)->connections, 2);
    assert_int_equal(q5_server_timeout_msec(n.server), 0);
    assert_true(take_without_turn(&n, pipelined) > 0);
    assert_true(take_without_turn(&n, last) > 0);
    response got;
    assert_int_equal(net_response(&n, pipelined, &got), 200);
    assert_int_equal(net_read(&n, last, 1, NET_PATIENCE_MSEC), NET_EOF);
    close(pipelined);
    close(last);
    net_deinit(&n);
}

/* The end of the buffer cuts one of the requests that came ahead; the kernel holds its rest. */
static void test_push_before_a_cut_request(void **state) {
    (void)state;
    net n;
    net_init(&n);
    /* No power of two holds a whole number of them. */
    static const char request[] = "GET /later HTTP/1.1\r\n" HOST "A: bc\r\n\r\n";
    _Static_assert((sizeof(request) - 1) % 2, "an odd length");
    enum { COUNT = 300 };
    char *requests = calloc(COUNT, sizeof(request));
    assert_non_null(requests);
    for (int i = 0; i < COUNT; i++)
        strcat(requests, request);
    int fd = client_that_waits(&n, requests, 0);
    for (int i = 1; i < COUNT; i++) {
        rig_give_later(&n.r, "x");
        q5_server_push(n.server);
        net_until(&n, n.r.later_count == 1);
    }
    free(requests);
    close(fd);
    net_deinit(&n);
}

/* The client has reset: that, too, is found by the push and told by the tick. */
static void test_push_to_the_dead(void **state) {
    (void)state;
    net n;
    net_init(&n);
    int fd = client_that_waits(&n, GET("/later"), 0);
    struct linger reset = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
    rig_give_later(&n.r, "nobody");
    assert_false(q5_server_push(n.server));
    assert_int_equal(net_stats(&n)->connections, 1);
    net_until(&n, net_stats(&n)->connections == 0);
    net_deinit(&n);
}

int main(void) {
    signal(SIGPIPE, SIG_DFL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_and_keep_alive),
        cmocka_unit_test(test_many_connections),
        cmocka_unit_test(test_large_bodies),
        cmocka_unit_test(test_sendfile),
        cmocka_unit_test(test_client_resets),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_half_close_behind_unread),
        cmocka_unit_test(test_eof_gives_up),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_pipelining_without_reading),
        cmocka_unit_test(test_connections_max),
        cmocka_unit_test(test_413_while_sending),
        cmocka_unit_test(test_lingering_ends),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_abort),
#ifdef __linux__
        cmocka_unit_test(test_shedding),
        cmocka_unit_test(test_no_accepting_without_memory),
#endif
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_push),
        cmocka_unit_test(test_push_leaves_to_the_tick),
        cmocka_unit_test(test_push_before_a_cut_request),
        cmocka_unit_test(test_push_to_the_dead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
