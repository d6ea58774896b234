/* A load of server-sent events: one connection publishes, all others subscribe, and each event must
 * come to every subscriber, in order.
 *
 *   sse_broadcast PORT SUBSCRIBERS RATE SECONDS BYTES EVENTS_PATH PUBLISH_PATH
 *
 * An event is published by POST to PUBLISH_PATH with its text of so many BYTES appended, and comes
 * as the data {"text":"..."}. RATE is in publications a second, due at fixed times; 0: the next is
 * published when the last has come to all. A latency counts from the moment a publication was due
 * to one subscriber's having it; `requests` are these deliveries. Prints as phases.h says. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

#include "client.h"
#include "clock.h"
#include "phases.h"
#include "samples.h"
#include "sse_client.h"

#define OPEN_TIMEOUT_NS (30 * NS_PER_S)
#define OPENING_MAX 64                 /* connections at a time */
#define FIRST_EVENTS_NS (NS_PER_S / 5) /* between those that show who has subscribed */
#define LAST_EVENTS_NS (2 * NS_PER_S)  /* what events on their way get at the end */
#define SAMPLES_MAX ((size_t)16 * 1000000)
#define SUBSCRIBERS_MAX 100000
#define EVENTS_MAX 256
#define REQUEST_MAX 2048
#define DUE_MAX 65536 /* publications whose time is still known; a power of two */
#define TEXT_MIN 16
#define TEXT_MAX 512
#define NUMBER_DIGITS 10

typedef struct {
    int poller;
    size_t count; /* of subscribers */
    sse_client *subscribers;
    size_t asked, lost;

    client publisher;
    client_target publish_to;
    const char *port, *publish_path;
    char request[REQUEST_MAX];
    size_t refused;

    uint64_t published;   /* the number of the last event; they begin with 1 */
    size_t came_to;       /* subscribers that have the last event */
    uint64_t last_due_ns; /* of it */
    uint64_t due_ns[DUE_MAX];
    size_t text_len;
    char text[TEXT_MAX]; /* but for the number that it begins with */

    bool running;
    uint64_t start_ns, end_ns;
    double period_ns; /* 0: as many as come to all */
    uint64_t issued;
    samples delivered;
    size_t gaps; /* events that a subscriber never had, but a later one */
} load;

static void print_text(const load *l, uint64_t number, char *to) {
    memcpy(to, l->text, l->text_len);
    for (size_t i = NUMBER_DIGITS; i-- > 0; number /= 10)
        to[i] = (char)('0' + number % 10);
}

/* Returns 0 where the data is none that was published. */
static uint64_t number_of(const load *l, const char *data, size_t len) {
    static const char head[] = "{\"text\":\"", tail[] = "\"}";
    size_t head_len = sizeof(head) - 1, tail_len = sizeof(tail) - 1;
    if (len != head_len + l->text_len + tail_len || memcmp(data, head, head_len) != 0 ||
        memcmp(data + len - tail_len, tail, tail_len) != 0)
        return 0;
    char right[TEXT_MAX];
    uint64_t number = strtoull(data + head_len, NULL, 10);
    print_text(l, number, right);
    bool known = number <= l->published && memcmp(data + head_len, right, l->text_len) == 0;
    return known ? number : 0;
}

static void on_event(void *owner, sse_client *c, const char *data, size_t len) {
    load *l = owner;
    uint64_t number = number_of(l, data, len);
    if (number < c->next || number == 0) {
        c->broken = true;
        return;
    }
    if (l->running) {
        l->gaps += c->next ? number - c->next : 0;
        samples_add(&l->delivered, now_ns() - l->due_ns[number % DUE_MAX]);
    }
    c->next = number + 1;
    l->came_to += number == l->published;
}

static void settle_publisher(load *l, client_outcome outcome) {
    l->refused += outcome == CLIENT_FAILED;
}

static void publish(load *l, uint64_t due_ns) {
    char text[TEXT_MAX];
    uint64_t number = ++l->published;
    print_text(l, number, text);
    int len = snprintf(l->request, sizeof(l->request),
                       "POST %s%.*s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nContent-Length: 0\r\n\r\n",
                       l->publish_path, (int)l->text_len, text, l->port);
    l->publish_to.request_len = (size_t)len;
    l->came_to = 0;
    l->last_due_ns = l->due_ns[number % DUE_MAX] = due_ns;
    settle_publisher(l, client_send(&l->publisher, due_ns));
}

static int take_events(load *l, uint64_t wait_ns) {
    struct epoll_event events[EVENTS_MAX];
    struct timespec wait = span_of(wait_ns);
    int n = epoll_pwait2(l->poller, events, EVENTS_MAX, &wait, NULL);
    if (n < 0) return errno == EINTR ? 0 : -1;
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr == &l->publisher) {
            settle_publisher(l, client_go_on(&l->publisher, events[i].events));
            continue;
        }
        sse_client *c = events[i].data.ptr;
        bool asking = c->wants_out;
        if (sse_go_on(c, events[i].events) != 0) l->lost++;
        l->asked += asking && !c->wants_out;
    }
    return 0;
}

static int give_up(const load *l, uint64_t until) {
    if (!l->lost && !l->refused && now_ns() < until) return 0;
    errno = l->lost || l->refused ? ECONNREFUSED : ETIMEDOUT;
    return -1;
}

/* All connections, a few at a time; then events until one has come to everybody: some servers send
 * the head before they subscribe, some with the first event. */
static int subscribe_all(load *l, const sse_target *target) {
    uint64_t until = now_ns() + OPEN_TIMEOUT_NS;
    size_t begun = 0;
    while (l->asked < l->count) {
        for (; begun < l->count && begun - l->asked < OPENING_MAX; begun++)
            if (sse_open(&l->subscribers[begun], target) != 0) return -1;
        if (take_events(l, NS_PER_S / 10) != 0 || give_up(l, until) != 0) return -1;
    }
    while (l->came_to < l->count || l->publisher.busy) {
        uint64_t now = now_ns();
        if (!l->publisher.busy && now >= l->last_due_ns + FIRST_EVENTS_NS) publish(l, now);
        if (take_events(l, NS_PER_S / 100) != 0 || give_up(l, until) != 0) return -1;
    }
    return 0;
}

static uint64_t next_due_ns(const load *l, uint64_t now) {
    if (l->publisher.busy) return UINT64_MAX;
    if (l->period_ns > 0) return l->start_ns + (uint64_t)((double)l->issued * l->period_ns);
    return l->came_to == l->count ? now : UINT64_MAX;
}

static size_t expected(const load *l) {
    return (size_t)l->issued * l->count;
}

static int run(load *l) {
    for (;;) {
        uint64_t now = now_ns();
        bool all_came = l->delivered.count + l->gaps >= expected(l) && !l->publisher.busy;
        if (now >= l->end_ns && (all_came || now >= l->end_ns + LAST_EVENTS_NS)) return 0;
        uint64_t due = next_due_ns(l, now), wait = NS_PER_S / 100;
        if (now < l->end_ns && due <= now) {
            l->issued++;
            publish(l, due);
            due = next_due_ns(l, now);
        }
        if (now < l->end_ns && due < now + wait) wait = due > now ? due - now : 0;
        if (take_events(l, wait) != 0) return -1;
    }
}

static void print_results(load *l, double seconds, uint64_t cpu_ns) {
    size_t seen = l->delivered.count + l->gaps;
    samples_sort(&l->delivered);
    printf("{\"requests\": %zu, \"seconds\": %.6f, \"publications\": %llu, \"failed\": %zu, "
           "\"unanswered\": %zu, \"lost\": %zu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, "
           "\"max_ms\": %.3f, \"client_cpu_s\": %.6f}\n",
           l->delivered.count, seconds, (unsigned long long)l->issued, l->gaps + l->refused,
           expected(l) > seen ? expected(l) - seen : 0, l->lost, samples_at_ms(&l->delivered, 0.5),
           samples_at_ms(&l->delivered, 0.99), samples_at_ms(&l->delivered, 1),
           (double)cpu_ns / (double)NS_PER_S);
}

static int measure(load *l, double rate, double seconds) {
    uint64_t cpu_ns = phase_cpu_ns();
    l->period_ns = rate > 0 ? (double)NS_PER_S / rate : 0;
    l->running = true;
    l->start_ns = now_ns();
    l->end_ns = l->start_ns + (uint64_t)(seconds * (double)NS_PER_S);
    if (run(l) != 0) return -1;
    double took = (double)(now_ns() - l->start_ns) / (double)NS_PER_S;
    print_results(l, took, phase_cpu_ns() - cpu_ns);
    phase_end();
    return 0;
}

static int prepare(load *l, char **argv, sse_target *target, char *request, size_t room) {
    l->port = argv[1];
    l->publish_path = argv[7];
    for (size_t i = 0; i < l->text_len; i++)
        l->text[i] = (char)('a' + i % 26);
    int len = snprintf(request, room,
                       "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nAccept: text/event-stream\r\n\r\n",
                       argv[6], l->port);
    if (len < 0 || (size_t)len >= room || strlen(l->publish_path) > REQUEST_MAX / 2) {
        errno = ENAMETOOLONG;
        return -1;
    }
    l->poller = epoll_create1(EPOLL_CLOEXEC);
    l->subscribers = calloc(l->count, sizeof(sse_client));
    if (l->poller < 0 || !l->subscribers || samples_init(&l->delivered, SAMPLES_MAX) != 0)
        return -1;
    *target = (sse_target){.address = net_address(l->port),
                           .poller = l->poller,
                           .request = request,
                           .request_len = (size_t)len,
                           .on_event = on_event,
                           .owner = l};
    l->publish_to =
        (client_target){.address = target->address, .poller = l->poller, .request = l->request};
    return client_open(&l->publisher, &l->publish_to);
}

int main(int argc, char **argv) {
    if (argc != 8) {
        fprintf(stderr, "usage: sse_broadcast PORT SUBSCRIBERS RATE SECONDS BYTES EVENTS_PATH "
                        "PUBLISH_PATH\n");
        return 2;
    }
    static load l;
    l.count = strtoul(argv[2], NULL, 10);
    l.text_len = strtoul(argv[5], NULL, 10);
    double rate = strtod(argv[3], NULL), seconds = strtod(argv[4], NULL);
    if (l.count == 0 || l.count > SUBSCRIBERS_MAX || rate < 0 || seconds <= 0 ||
        l.text_len < TEXT_MIN || l.text_len > TEXT_MAX) {
        fprintf(stderr, "sse_broadcast: an argument is out of bounds\n");
        return 2;
    }
    /* The default slack of timers, 50 us, would be the generator's own latency. */
    prctl(PR_SET_TIMERSLACK, 1000UL);
    static char request[REQUEST_MAX];
    sse_target target;
    if (prepare(&l, argv, &target, request, sizeof(request)) != 0 ||
        subscribe_all(&l, &target) != 0) {
        perror("sse_broadcast: subscribing");
        return 1;
    }
    if (phase_ready() != 0) return 1;
    if (measure(&l, rate, seconds) != 0) {
        perror("sse_broadcast");
        return 1;
    }
    return 0;
}
