/* An open-loop load generator for HTTP/1.1: requests are due at fixed times, whatever the answers
 * do, and a latency counts from the moment its request was due.
 *
 *   openloop PORT CONNECTIONS RATE SECONDS REQUEST_FILE
 *
 * Why our own: wrk sends a request when the last one is answered, so that a server that stalls is
 * asked less and its stall counts once ("coordinated omission", Gil Tene). wrk2 would do, but it is
 * packaged nowhere; h2load can hold a rate, but counts from the moment it sends.
 *
 * One thread; the file holds the request as it is sent. A due request for which no connection is
 * free waits, and its waiting counts; one that could not be sent two seconds after the end is told
 * as unsent. Prints one line of JSON. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

#include "client.h"
#include "clock.h"
#include "net.h"
#include "samples.h"

#define LAST_ANSWERS_NS (2 * NS_PER_S) /* what late requests and their answers get at the end */
#define REQUEST_MAX (64 * 1024 * 1024)
#define EVENTS_MAX 256

typedef struct {
    uint64_t start_ns;
    uint64_t end_ns;
    double period_ns;
    size_t due_max; /* requests that come due between start and end */
    size_t issued;
    size_t late; /* of these, sent after the end */
    size_t failed;
    samples answered;
    client *idle; /* a stack */
    size_t in_flight;
} load;

static uint64_t due_ns(const load *l, size_t number) {
    return l->start_ns + (uint64_t)((double)number * l->period_ns);
}

static void settle(load *l, client *c, client_outcome outcome) {
    if (outcome == CLIENT_WAITS) return;
    if (outcome == CLIENT_ANSWERED)
        samples_add(&l->answered, now_ns() - c->due_ns);
    else
        l->failed++;
    l->in_flight--;
    c->next_idle = l->idle;
    l->idle = c;
}

/* Sends what is due. A request that fails at once leaves its connection idle: the bound is the
 * number of requests. */
static void issue(load *l) {
    uint64_t now = now_ns();
    while (l->idle && l->issued < l->due_max && due_ns(l, l->issued) <= now) {
        client *c = l->idle;
        l->idle = c->next_idle;
        l->in_flight++;
        l->late += now >= l->end_ns;
        settle(l, c, client_send(c, due_ns(l, l->issued++)));
    }
}

/* Until the next request is due, or, when none can be sent before an answer comes, until the last
 * moment for answers. */
static struct timespec time_to_wait(const load *l) {
    bool can_send = l->idle && l->issued < l->due_max;
    uint64_t until = can_send ? due_ns(l, l->issued) : l->end_ns + LAST_ANSWERS_NS;
    uint64_t now = now_ns();
    return span_of(until > now ? until - now : 0);
}

static bool over(const load *l) {
    bool all_settled = l->issued == l->due_max && l->in_flight == 0;
    return all_settled || now_ns() >= l->end_ns + LAST_ANSWERS_NS;
}

/* What came due while no connection was free, or while this process was not run, is sent late, and
 * after the end too: dropped, it would make the percentiles look better than they are. */
static int run(load *l, int poller) {
    struct epoll_event events[EVENTS_MAX];
    while (!over(l)) {
        issue(l);
        struct timespec wait = time_to_wait(l);
        int n = epoll_pwait2(poller, events, EVENTS_MAX, &wait, NULL);
        if (n < 0 && errno != EINTR) return -1;
        for (int i = 0; i < n; i++) {
            client *c = events[i].data.ptr;
            settle(l, c, client_go_on(c, events[i].events));
        }
    }
    return 0;
}

static void print_results(load *l, double seconds) {
    samples_sort(&l->answered);
    printf("{\"requests\": %zu, \"seconds\": %.3f, \"failed\": %zu, \"unanswered\": %zu, "
           "\"late\": %zu, \"unsent\": %zu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"p999_ms\": %.3f, "
           "\"max_ms\": %.3f}\n",
           l->answered.count, seconds, l->failed, l->in_flight, l->late, l->due_max - l->issued,
           samples_at_ms(&l->answered, 0.5), samples_at_ms(&l->answered, 0.99),
           samples_at_ms(&l->answered, 0.999), samples_at_ms(&l->answered, 1));
}

static char *read_request(const char *path, size_t *ret_len) {
    FILE *file = fopen(path, "rb");
    char *bytes = file ? malloc(REQUEST_MAX) : NULL;
    if (bytes) *ret_len = fread(bytes, 1, REQUEST_MAX, file);
    if (file) fclose(file);
    return bytes;
}

static int open_clients(load *l, client *clients, size_t count, const client_target *target) {
    for (size_t i = 0; i < count; i++) {
        if (client_open(&clients[i], target) != 0) return -1;
        clients[i].next_idle = l->idle;
        l->idle = &clients[i];
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: openloop PORT CONNECTIONS RATE SECONDS REQUEST_FILE\n");
        return 2;
    }
    size_t connections = strtoul(argv[2], NULL, 10);
    double rate = strtod(argv[3], NULL), seconds = strtod(argv[4], NULL);
    if (connections == 0 || rate <= 0 || seconds <= 0) return 2;
    /* The default slack of timers, 50 us, would be the generator's own latency. */
    prctl(PR_SET_TIMERSLACK, 1000UL);

    client_target target = {.poller = epoll_create1(EPOLL_CLOEXEC)};
    target.address = net_address(argv[1]);
    target.request = read_request(argv[5], &target.request_len);
    load l = {.period_ns = (double)NS_PER_S / rate, .due_max = (size_t)(rate * seconds)};
    client *clients = calloc(connections, sizeof(client));
    if (target.poller < 0 || !target.request || !clients ||
        samples_init(&l.answered, l.due_max + 1) != 0 ||
        open_clients(&l, clients, connections, &target) != 0) {
        perror("openloop");
        return 1;
    }
    l.start_ns = now_ns();
    l.end_ns = l.start_ns + (uint64_t)(seconds * (double)NS_PER_S);
    if (run(&l, target.poller) != 0) {
        perror("openloop");
        return 1;
    }
    print_results(&l, seconds);
    return 0;
}
