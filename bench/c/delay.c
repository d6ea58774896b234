/* A server that is further away: passes bytes between clients of one unix socket and a server on
 * another, those from the clients a fixed time later. What the server says goes on at once, so that
 * a round trip takes just so much longer.
 *
 *   delay DELAY_MS LISTEN_PATH SERVER_PATH
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define DELAY_MAX_MS 10000.0
#define PAIRS_MAX 256     /* two descriptors each: 1,024 is a usual limit */
#define QUEUE_BYTES 65536 /* of one direction */
#define PIECES_MAX 256    /* of one direction; a power of two */
#define EVENTS_MAX 256
#define EDGES (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)
#define CONNECT_TIMEOUT_S 5
#define NSEC_PER_SEC UINT64_C(1000000000)

static const char usage[] =
    "usage: delay DELAY_MS LISTEN_PATH SERVER_PATH\n"
    "\n"
    "Listens on the unix socket LISTEN_PATH, connects each client to the unix socket SERVER_PATH\n"
    "and passes bytes on: those from the client DELAY_MS milliseconds later (0 to 10000, 0.5 is\n"
    "possible), those from the server at once. Ends on SIGTERM and SIGINT.\n";

typedef struct way way;
typedef struct pair pair;

/* What one read brought. All pieces wait equally long, so the first that came is the first due: one
 * list of all, and no heap. */
typedef struct piece {
    struct piece *prev, *next; /* NULL once it is due */
    way *owner;
    uint64_t due_nsec;
    uint64_t end; /* the position behind its last byte */
} piece;

typedef struct end {
    pair *pair; /* NULL: the socket for new clients */
    int fd;
    bool readable, writable; /* as the last edge or EAGAIN said */
} end;

/* From one end to the other. Positions count bytes: sent <= due <= received <= sent + QUEUE_BYTES.
 * What has no room stays with the sender: it is late rather than early. */
struct way {
    end *from, *to;
    uint64_t delay_nsec;
    uint64_t received, due, sent;
    unsigned first, next; /* of pieces, modulo PIECES_MAX */
    bool ended;           /* nothing more comes; the last piece says when that is passed on */
    bool done;
    piece pieces[PIECES_MAX];
    char bytes[QUEUE_BYTES];
};

struct pair {
    end client, server;
    way there, back;
    pair *prev, *next; /* of those that are open, or closed and not yet freed */
};

static pair open_pairs = {.prev = &open_pairs, .next = &open_pairs};
static pair closed_pairs = {.prev = &closed_pairs, .next = &closed_pairs};
static piece waiting = {.prev = &waiting, .next = &waiting};
static unsigned pair_count;
static end listener = {.fd = -1};
static int poller;
static uint64_t delay;
static struct sockaddr_un server_address = {.sun_family = AF_UNIX};

static volatile sig_atomic_t stopping;

static void on_signal(int number) {
    (void)number;
    stopping = 1;
}

static uint64_t now_nsec(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "delay: %s: %s\n", what, strerror(errno));
    exit(1);
}

static bool watch(int operation, end *e, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = e};
    return epoll_ctl(poller, operation, e->fd, &event) == 0;
}

/* ---- a way ----------------------------------------------------------------------------------- */

static unsigned piece_count(const way *w) {
    return w->next - w->first;
}

/* What has been received so far is due a delay from now. */
static void way_stamp(way *w) {
    if (w->delay_nsec == 0) {
        w->due = w->received;
        return;
    }
    piece *p = &w->pieces[w->next++ % PIECES_MAX];
    *p = (piece){waiting.prev, &waiting, w, now_nsec() + w->delay_nsec, w->received};
    p->prev->next = p->next->prev = p;
}

/* The first piece has waited long enough. */
static void way_release(way *w) {
    piece *p = &w->pieces[w->first++ % PIECES_MAX];
    p->prev->next = p->next;
    p->next->prev = p->prev;
    p->prev = p->next = NULL;
    w->due = p->end;
}

/* The receiver takes no more: drops what waits, and lets the sender know by a failing write. One
 * that waits for room gets it: after the shutdown no more comes than is there. */
static void way_break(way *w) {
    while (piece_count(w))
        way_release(w);
    shutdown(w->from->fd, SHUT_RD);
    while (recv(w->from->fd, w->bytes, QUEUE_BYTES, 0) > 0)
        continue;
    w->ended = w->done = true;
}

static void way_read(way *w) {
    while (w->from->readable && !w->ended && piece_count(w) < PIECES_MAX) {
        size_t at = w->received % QUEUE_BYTES, room = QUEUE_BYTES - (w->received - w->sent);
        if (room > QUEUE_BYTES - at) room = QUEUE_BYTES - at;
        if (room == 0) return;
        ssize_t n = recv(w->from->fd, w->bytes + at, room, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) {
            w->from->readable = false;
            return;
        }
        if (n <= 0)
            w->ended = true; /* a reset is an end too: what came before it is passed on */
        else
            w->received += (uint64_t)n;
        way_stamp(w);
    }
}

static void way_write(way *w) {
    while (w->to->writable && w->sent < w->due) {
        size_t at = w->sent % QUEUE_BYTES, len = w->due - w->sent;
        if (len > QUEUE_BYTES - at) len = QUEUE_BYTES - at;
        ssize_t n = send(w->to->fd, w->bytes + at, len, MSG_NOSIGNAL);
        if (n >= 0) {
            w->sent += (uint64_t)n;
        } else if (errno == EAGAIN) {
            w->to->writable = false;
        } else if (errno != EINTR) {
            way_break(w);
            return;
        }
    }
    /* An empty queue starts again where the caches are warm. */
    if (w->sent == w->received && !piece_count(w)) w->sent = w->due = w->received = 0;
}

/* Does what can be done now, a queue's worth at most: others have their turn before the kernel is
 * made to tell again that there is more. */
static void way_move(way *w) {
    if (w->done) return;
    way_read(w);
    uint64_t held = w->received - w->sent;
    way_write(w);
    if (w->done) return;
    bool room = w->received - w->sent < held;
    if (room && w->from->readable && !w->ended) watch(EPOLL_CTL_MOD, w->from, EDGES);
    if (w->ended && w->sent == w->received && !piece_count(w)) {
        shutdown(w->to->fd, SHUT_WR);
        w->done = true;
    }
}

/* ---- a pair ---------------------------------------------------------------------------------- */

static void insert(pair *head, pair *p) {
    p->prev = head->prev;
    p->next = head;
    p->prev->next = p->next->prev = p;
}

static void take_out(pair *p) {
    p->prev->next = p->next;
    p->next->prev = p->prev;
}

/* Freed after the turn: events of this turn may still point to it. */
static void pair_close(pair *p) {
    while (piece_count(&p->there))
        way_release(&p->there);
    close(p->client.fd);
    if (p->server.fd >= 0) close(p->server.fd);
    p->client.fd = p->server.fd = -1;
    take_out(p);
    insert(&closed_pairs, p);
    if (pair_count-- == PAIRS_MAX) watch(EPOLL_CTL_MOD, &listener, EPOLLIN);
}

static void pairs_free(void) {
    while (closed_pairs.next != &closed_pairs) {
        pair *p = closed_pairs.next;
        take_out(p);
        free(p);
    }
}

static void pair_move(pair *p) {
    if (p->client.fd < 0) return;
    way_move(&p->there);
    way_move(&p->back);
    if (p->there.done && p->back.done) pair_close(p);
}

/* Waits for the server's backlog: a server on the same machine takes its clients at once. */
static int connect_to_server(void) {
    struct timeval timeout = {.tv_sec = CONNECT_TIMEOUT_S};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) == 0 &&
        connect(fd, (struct sockaddr *)&server_address, sizeof(server_address)) == 0 &&
        fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
        return fd;
    fprintf(stderr, "delay: %s: %s\n", server_address.sun_path, strerror(errno));
    close(fd);
    return -1;
}

static void pair_open(int client) {
    pair *p = calloc(1, sizeof(*p));
    if (!p) {
        close(client);
        return;
    }
    p->client = (end){p, client, false, false};
    p->server = (end){p, connect_to_server(), false, false};
    p->there.from = p->back.to = &p->client;
    p->there.to = p->back.from = &p->server;
    p->there.delay_nsec = delay;
    insert(&open_pairs, p);
    if (++pair_count == PAIRS_MAX) watch(EPOLL_CTL_MOD, &listener, 0);
    if (p->server.fd < 0 || !watch(EPOLL_CTL_ADD, &p->client, EDGES) ||
        !watch(EPOLL_CTL_ADD, &p->server, EDGES))
        pair_close(p);
}

static void accept_clients(void) {
    while (pair_count < PAIRS_MAX) {
        int fd = accept4(listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            pair_open(fd);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            fail("accept");
        }
    }
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void handle(const struct epoll_event *event) {
    end *e = event->data.ptr;
    if (!e->pair) {
        accept_clients();
        return;
    }
    if (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) e->readable = true;
    if (event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) e->writable = true;
    pair_move(e->pair);
}

static void release_due(void) {
    uint64_t now = waiting.next != &waiting ? now_nsec() : 0;
    while (waiting.next != &waiting && waiting.next->due_nsec <= now) {
        way *w = waiting.next->owner;
        way_release(w);
        pair_move(w->from->pair);
    }
}

static const struct timespec *until_due(struct timespec *left) {
    if (waiting.next == &waiting) return NULL;
    uint64_t now = now_nsec(), due = waiting.next->due_nsec;
    uint64_t nsec = due > now ? due - now : 0;
    *left = (struct timespec){(time_t)(nsec / NSEC_PER_SEC), (long)(nsec % NSEC_PER_SEC)};
    return left;
}

/* Signals come while it waits and at no other time: none is missed. */
static void serve(const sigset_t *while_waiting) {
    struct epoll_event events[EVENTS_MAX];
    struct timespec left;
    while (!stopping) {
        int n = epoll_pwait2(poller, events, EVENTS_MAX, until_due(&left), while_waiting);
        if (n < 0 && errno != EINTR) fail("epoll_pwait2");
        for (int i = 0; i < n; i++)
            handle(&events[i]);
        release_due();
        pairs_free();
    }
}

static bool to_address(struct sockaddr_un *address, const char *path) {
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(address->sun_path)) {
        fprintf(stderr, "delay: %s: no path of a socket, which has 1 to %zu bytes\n", path,
                sizeof(address->sun_path) - 1);
        return false;
    }
    memcpy(address->sun_path, path, len + 1);
    return true;
}

static void listen_on(const struct sockaddr_un *address) {
    listener.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener.fd < 0 || bind(listener.fd, (const struct sockaddr *)address, sizeof(*address)) ||
        listen(listener.fd, SOMAXCONN))
        fail(address->sun_path);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0 || !watch(EPOLL_CTL_ADD, &listener, EPOLLIN)) fail("epoll");
}

static void block_signals(sigset_t *before) {
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    if (sigprocmask(SIG_BLOCK, &ending, before) || sigaction(SIGTERM, &action, NULL) ||
        sigaction(SIGINT, &action, NULL))
        fail("signals");
    sigdelset(before, SIGTERM);
    sigdelset(before, SIGINT);
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    char *end_of_number = NULL;
    double msec = argc == 4 ? strtod(argv[1], &end_of_number) : -1;
    if (argc != 4 || end_of_number == argv[1] || *end_of_number ||
        !(msec >= 0 && msec <= DELAY_MAX_MS)) {
        fputs(usage, stderr);
        return 2;
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    sigset_t while_waiting;
    if (!to_address(&address, argv[2]) || !to_address(&server_address, argv[3])) return 2;
    delay = (uint64_t)(msec * 1e6);
    prctl(PR_SET_TIMERSLACK, 1); /* by default the kernel may be 50 us late on purpose */
    block_signals(&while_waiting);
    listen_on(&address);
    serve(&while_waiting);
    unlink(address.sun_path);
    while (open_pairs.next != &open_pairs)
        pair_close(open_pairs.next);
    pairs_free();
    close(listener.fd);
    close(poller);
    return 0;
}
