/* A server in C, without Python: typed routes, JSON, graceful stop.
 *
 *   cc hello.c $(pkg-config --cflags --libs libq5) -o hello && ./hello 127.0.0.1 8000
 *   curl http://127.0.0.1:8000/hello/Django/42
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "q5/server.h"

typedef void (*handler)(q5_exchange *x);

static void send_json(q5_exchange *x, const char *text, size_t len) {
    q5_response_start(x, 200);
    q5_response_lines(x, Q5_LIT("Content-Type: application/json\r\n"));
    q5_response_send(x, q5_slice_make(text, len), NULL, NULL);
}

static void hello(q5_exchange *x) {
    static const char text[] = "{\"message\":\"Hello, world!\"}";
    send_json(x, text, sizeof(text) - 1);
}

/* /hello/<slug:name>/<int:times>: a slug needs no escaping in JSON. */
static void hello_name(q5_exchange *x) {
    char text[512];
    q5_slice name = x->match.params[0].value;
    if (name.len > 400) {
        q5_response_problem(x, 422, Q5_LIT("the name is too long"));
        return;
    }
    int len = snprintf(text, sizeof(text), "{\"hello\":\"%.*s\",\"times\":%lld}", (int)name.len,
                       name.base, (long long)x->match.params[1].number);
    send_json(x, text, (size_t)len);
}

static void on_head(void *router, q5_exchange *x) {
    int status = q5_router_match(router, x->head.method_id, x->head.path, &x->match);
    if (status == Q5_OK) return;
    if (x->match.allow)
        q5_response_not_allowed(x, x->match.allow);
    else
        q5_response_problem(x, q5_status_http(status), q5_slice_make(NULL, 0));
}

static void on_request(void *router, q5_exchange *x) {
    (void)router;
    handler *route = x->match.route;
    (*route)(x);
}

static void ignore(void *ctx, q5_exchange *x) {
    (void)ctx;
    (void)x;
}

static void ignore_gone(void *ctx, q5_exchange *x, q5_gone why) {
    (void)why;
    ignore(ctx, x);
}

static volatile sig_atomic_t stopping;

static void on_signal(int number) {
    (void)number;
    stopping = 1;
}

static void serve(q5_poller *poller, q5_server *server) {
    bool draining = false;
    while (!q5_server_drained(server)) {
        if (stopping && !draining) {
            draining = true;
            q5_server_drain(server);
            continue; /* there may have been nothing to wait for */
        }
        q5_server_tick(server);
        if (q5_poller_wait(poller, q5_server_timeout_msec(server)) < 0) return;
        q5_server_refresh(server);
        q5_poller_deliver(poller);
    }
}

int main(int argc, char **argv) {
    const char *host = argc > 1 ? argv[1] : "127.0.0.1";
    int port = argc > 2 ? atoi(argv[2]) : 8000;
    static handler routes[] = {hello, hello_name};
    q5_router *router = q5_router_create(NULL);
    if (!router || q5_router_add(router, Q5_METHOD_GET, Q5_LIT("/hello"), &routes[0], NULL) ||
        q5_router_add(router, Q5_METHOD_GET, Q5_LIT("/hello/<slug:name>/<int:times>"), &routes[1],
                      NULL))
        return 1;
    int fd;
    if (q5_listen_tcp(host, (uint16_t)port, 1024, false, &fd)) {
        perror("listen");
        return 1;
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    q5_app app = {.ctx = router,
                  .on_head = on_head,
                  .on_request = on_request,
                  .on_drain = ignore,
                  .on_gone = ignore_gone,
                  .on_done = ignore};
    q5_server_config config = q5_server_config_default();
    q5_poller *poller = q5_poller_create(NULL);
    q5_server *server = poller ? q5_server_create(poller, &config, &app) : NULL;
    if (!server || q5_server_accept_on(server, fd)) return 1;
    printf("listening on http://%s:%d/hello\n", host, port);
    fflush(stdout);
    serve(poller, server);
    q5_server_destroy(server);
    q5_poller_destroy(poller);
    q5_router_destroy(router);
    return 0;
}
