/* A load of WebSocket messages: each connection sends a text and waits until the same text is back.
 *
 *   ws_echo PORT CONNECTIONS RATE SECONDS BYTES PATH
 *
 * RATE is of all connections together, in messages a second, due at fixed times whatever the echoes
 * do, and a latency counts from the moment its message was due (see openloop.c). A RATE of 0: each
 * connection sends when its last echo has come. Prints as phases.h says. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

#include "clock.h"
#include "net.h"
#include "phases.h"
#include "samples.h"
#include "ws_client.h"

#define OPEN_TIMEOUT_NS (30 * NS_PER_S)
#define OPENING_MAX 64                     /* handshakes at a time */
#define LAST_ECHOES_NS (2 * NS_PER_S)      /* what messages on their way get at the end */
#define SAMPLES_MAX ((size_t)16 * 1000000) /* touched only as far as it is used */
#define CONNECTIONS_MAX 100000
#define EVENTS_MAX 256
#define HANDSHAKE_MAX 2048

typedef struct {
    uint64_t start_ns;
    uint64_t end_ns;
    double period_ns; /* 0: as many as are echoed */
    uint64_t issued;
    samples echoed;
    size_t failed; /* messages whose connection was lost */
    size_t lost;   /* connections */
    size_t opened;
    size_t in_flight;
    ws_client *first_idle, *last_idle; /* a queue, so that a low rate is one of all connections */
} load;

static void put_idle(load *l, ws_client *c) {
    c->next_idle = NULL;
    *(l->first_idle ? &l->last_idle->next_idle : &l->first_idle) = c;
    l->last_idle = c;
}

static void settle(load *l, ws_client *c, ws_outcome outcome) {
    switch (outcome) {
    case WS_WAITS:
        return;
    case WS_OPENED:
        l->opened++;
        break;
    case WS_ECHOED:
        samples_add(&l->echoed, now_ns() - c->due_ns);
        l->in_flight--;
        break;
    case WS_LOST:
        l->lost++;
        if (c->busy) {
            l->failed++;
            l->in_flight--;
        }
        return;
    }
    put_idle(l, c);
}

static int take_events(load *l, int poller, struct timespec wait) {
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_pwait2(poller, events, EVENTS_MAX, &wait, NULL);
    if (n < 0) return errno == EINTR ? 0 : -1;
    for (int i = 0; i < n; i++) {
        ws_client *c = events[i].data.ptr;
        settle(l, c, ws_go_on(c, events[i].events));
    }
    return 0;
}

/* All connections, a few at a time: a server's backlog is no part of what is measured. */
static int open_all(load *l, ws_client *clients, size_t count, const ws_target *target) {
    uint64_t until = now_ns() + OPEN_TIMEOUT_NS;
    size_t begun = 0;
    while (l->opened < count) {
        for (; begun < count && begun - l->opened < OPENING_MAX; begun++)
            if (ws_open(&clients[begun], target) != 0) return -1;
        if (take_events(l, target->poller, span_of(NS_PER_S / 10)) != 0) return -1;
        if (l->lost || now_ns() > until) {
            errno = l->lost ? ECONNREFUSED : ETIMEDOUT;
            return -1;
        }
    }
    return 0;
}

static uint64_t due_ns(const load *l, uint64_t now) {
    return l->period_ns > 0 ? l->start_ns + (uint64_t)((double)l->issued * l->period_ns) : now;
}

static void issue(load *l) {
    uint64_t now = now_ns();
    while (l->first_idle && due_ns(l, now) <= now) {
        ws_client *c = l->first_idle;
        l->first_idle = c->next_idle;
        l->in_flight++;
        uint64_t due = due_ns(l, now);
        settle(l, c, ws_send(c, l->issued++, due));
    }
}

static int run(load *l, int poller) {
    for (;;) {
        uint64_t now = now_ns();
        bool ending = now >= l->end_ns;
        if (ending && (l->in_flight == 0 || now >= l->end_ns + LAST_ECHOES_NS)) return 0;
        if (!ending) issue(l);
        uint64_t until = l->end_ns;
        if (l->first_idle && due_ns(l, now) < until) until = due_ns(l, now);
        uint64_t wait = ending ? NS_PER_S / 100 : until > now ? until - now : 0;
        if (take_events(l, poller, span_of(wait)) != 0) return -1;
    }
}

static void print_results(load *l, double seconds, uint64_t cpu_ns) {
    samples_sort(&l->echoed);
    printf("{\"requests\": %zu, \"seconds\": %.6f, \"failed\": %zu, \"unanswered\": %zu, "
           "\"lost\": %zu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, "
           "\"client_cpu_s\": %.6f}\n",
           l->echoed.count, seconds, l->failed, l->in_flight, l->lost,
           samples_at_ms(&l->echoed, 0.5), samples_at_ms(&l->echoed, 0.99),
           samples_at_ms(&l->echoed, 1), (double)cpu_ns / (double)NS_PER_S);
}

static int measure(load *l, double rate, double seconds, int poller) {
    uint64_t cpu_ns = phase_cpu_ns();
    l->period_ns = rate > 0 ? (double)NS_PER_S / rate : 0;
    l->start_ns = now_ns();
    l->end_ns = l->start_ns + (uint64_t)(seconds * (double)NS_PER_S);
    if (run(l, poller) != 0) return -1;
    double took = (double)(now_ns() - l->start_ns) / (double)NS_PER_S;
    print_results(l, took, phase_cpu_ns() - cpu_ns);
    phase_end();
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 7) {
        fprintf(stderr, "usage: ws_echo PORT CONNECTIONS RATE SECONDS BYTES PATH\n");
        return 2;
    }
    size_t count = strtoul(argv[2], NULL, 10);
    double rate = strtod(argv[3], NULL), seconds = strtod(argv[4], NULL);
    ws_target target = {.address = net_address(argv[1])};
    target.message_bytes = strtoul(argv[5], NULL, 10);
    if (count == 0 || count > CONNECTIONS_MAX || rate < 0 || seconds <= 0 ||
        target.message_bytes < WS_MESSAGE_MIN || target.message_bytes > WS_MESSAGE_MAX) {
        fprintf(stderr, "ws_echo: an argument is out of bounds\n");
        return 2;
    }
    /* The default slack of timers, 50 us, would be the generator's own latency. */
    prctl(PR_SET_TIMERSLACK, 1000UL);

    char handshake[HANDSHAKE_MAX];
    int len = ws_handshake(handshake, sizeof(handshake), argv[1], argv[6]);
    target.handshake = handshake;
    target.handshake_len = (size_t)len;
    target.poller = epoll_create1(EPOLL_CLOEXEC);
    load l = {0};
    ws_client *clients = calloc(count, sizeof(ws_client));
    if (len < 0 || target.poller < 0 || !clients || samples_init(&l.echoed, SAMPLES_MAX) != 0 ||
        open_all(&l, clients, count, &target) != 0) {
        perror("ws_echo: connecting");
        return 1;
    }
    if (phase_ready() != 0) return 1;
    if (measure(&l, rate, seconds, target.poller) != 0) {
        perror("ws_echo");
        return 1;
    }
    return 0;
}
