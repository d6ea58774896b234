/* A running statement is cancelled, without waiting: by a cancel request of libpq 17's, encrypted
 * like the connection itself; before 17, whose PQcancel blocks, by a session of its own that calls
 * pg_cancel_backend. Whether it succeeded is seen on the connection alone. */
#include <stdio.h>

#include "io/pg_internal.h"

static void watch(q5__pg_cancel *cancel, q5_poller *poller, int fd, unsigned events) {
    if (cancel->watched) q5_poller_remove(poller, &cancel->watch);
    cancel->watch.fd = fd;
    cancel->watched = events && q5_poller_add(poller, &cancel->watch, events) == Q5_OK;
}

void q5__pg_cancel_stop(q5__pg_conn *conn) {
    q5_pg_pool *pool = conn->pool;
    q5__pg_cancel *cancel = &conn->cancel;
    if (!q5__pg_cancelling(conn)) return;
    watch(cancel, pool->poller, -1, 0);
    q5_timer_stop(&pool->wheel, &cancel->timer);
    if (cancel->request) pool->library->cancelFinish(cancel->request);
    if (cancel->helper) pool->library->finish(cancel->helper);
    cancel->request = NULL;
    cancel->helper = NULL;
    cancel->asked = false;
    pool->work = true;
    q5__pg_arm(conn);
}

static unsigned events_of(PostgresPollingStatusType step) {
    return step == PGRES_POLLING_READING ? Q5_POLL_READ : Q5_POLL_WRITE;
}

static bool over(PostgresPollingStatusType step) {
    return step == PGRES_POLLING_OK || step == PGRES_POLLING_FAILED;
}

static void go_on_requesting(q5__pg_conn *conn) {
    const q5_pg_library *library = conn->pool->library;
    q5__pg_cancel *cancel = &conn->cancel;
    watch(cancel, conn->pool->poller, -1, 0); /* the socket may be replaced */
    PostgresPollingStatusType step = library->cancelPoll(cancel->request);
    if (over(step))
        q5__pg_cancel_stop(conn);
    else
        watch(cancel, conn->pool->poller, library->cancelSocket(cancel->request), events_of(step));
}

static bool ask(q5__pg_conn *conn) {
    const q5_pg_library *library = conn->pool->library;
    q5__pg_cancel *cancel = &conn->cancel;
    char sql[64];
    snprintf(sql, sizeof(sql), "SELECT pg_catalog.pg_cancel_backend(%d)",
             library->backendPID(conn->pg));
    cancel->asked = true;
    if (library->setnonblocking(cancel->helper, 1) || !library->sendQuery(cancel->helper, sql) ||
        library->flush(cancel->helper)) /* so short a text leaves at once */
        return false;
    watch(cancel, conn->pool->poller, library->socket(cancel->helper), Q5_POLL_READ);
    return true;
}

static void go_on_connecting(q5__pg_conn *conn) {
    const q5_pg_library *library = conn->pool->library;
    q5__pg_cancel *cancel = &conn->cancel;
    watch(cancel, conn->pool->poller, -1, 0);
    PostgresPollingStatusType step = library->connectPoll(cancel->helper);
    if (!over(step))
        watch(cancel, conn->pool->poller, library->socket(cancel->helper), events_of(step));
    else if (step == PGRES_POLLING_FAILED || !ask(conn))
        q5__pg_cancel_stop(conn);
}

static void await_answer(q5__pg_conn *conn) {
    const q5_pg_library *library = conn->pool->library;
    PGconn *helper = conn->cancel.helper;
    bool alive = library->consumeInput(helper);
    while (alive && !library->isBusy(helper)) {
        PGresult *result = library->getResult(helper);
        alive = result != NULL;
        library->clear(result);
    }
    if (!alive) q5__pg_cancel_stop(conn);
}

static void on_event(q5_watch *event_watch, unsigned events) {
    (void)events;
    q5__pg_cancel *cancel = Q5_CONTAINER_OF(event_watch, q5__pg_cancel, watch);
    q5__pg_conn *conn = Q5_CONTAINER_OF(cancel, q5__pg_conn, cancel);
    q5__pg_now(conn->pool);
    if (cancel->request)
        go_on_requesting(conn);
    else if (cancel->asked)
        await_answer(conn);
    else
        go_on_connecting(conn);
}

static void on_timer(q5_timer *timer, q5_msec now) {
    (void)now;
    q5__pg_cancel *cancel = Q5_CONTAINER_OF(timer, q5__pg_cancel, timer);
    q5__pg_cancel_stop(Q5_CONTAINER_OF(cancel, q5__pg_conn, cancel));
}

static int begin(q5__pg_conn *conn) {
    q5_pg_pool *pool = conn->pool;
    const q5_pg_library *library = pool->library;
    q5__pg_cancel *cancel = &conn->cancel;
    if (library->cancelCreate) {
        cancel->request = library->cancelCreate(conn->pg);
        if (!cancel->request || !library->cancelStart(cancel->request)) return -1;
        return library->cancelSocket(cancel->request);
    }
    cancel->helper = library->connectStartParams(pool->config.keywords, pool->config.values, 1);
    if (!cancel->helper || library->status(cancel->helper) == CONNECTION_BAD) return -1;
    return library->socket(cancel->helper);
}

void q5__pg_cancel_start(q5__pg_conn *conn) {
    q5_pg_pool *pool = conn->pool;
    q5__pg_cancel *cancel = &conn->cancel;
    q5__pg_flight *flight = q5__pg_first(conn);
    pool->stats.cancels++;
    flight->cancels++;
    flight->cancel_at = pool->now + pool->config.connect_timeout_msec;
    conn->at_risk = conn->flight_end;
    cancel->watch.ready = on_event;
    q5_timer_init(&cancel->timer, on_timer);
    q5_timer_start(&pool->wheel, &cancel->timer, flight->cancel_at);
    int fd = begin(conn);
    if (fd >= 0) watch(cancel, pool->poller, fd, Q5_POLL_WRITE);
    if (cancel->watched) return;
    q5_timer_stop(&pool->wheel, &cancel->timer);
    q5__pg_cancel_stop(conn);
    q5__pg_arm(conn);
}
