/* Exchanges: references, reuse, and those that never had a connection. */
#include "http/conn_script.h"

static void test_outlives_the_connection(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, "POST /later HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello");
    q5_exchange *x = r.later[0];
    char *note = q5_arena_dup(&x->arena, "note", 4);
    rig_destroy_conn(&r, Q5_GONE_PEER);
    assert_null(x->conn);
    assert_slice(x->body, "hello");
    assert_slice(x->head.path, "/later");
    assert_string_equal(note, "note");
    assert_status(q5_response_start(x, 200), Q5_ECLOSED);
    r.taken += 2;
    assert_status(q5_response_send(x, Q5_LIT("a"), rig_release, &r), Q5_ECLOSED);
    assert_status(q5_response_file(x, 0, 0, 1, rig_release, &r), Q5_ECLOSED);
    assert_int_equal(r.released, 2);
    rig_deinit(&r);
}

/* The head that was sent may still lie in the queue when everybody has let go of the exchange. */
static void test_kept_by_its_output(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    r.send_max = 0;
    rig_say(&r, GET("/"));
    assert_true(q5_conn_idle(r.conn));
    assert_int_equal(r.pool.live_count, 1);
    r.send_max = SIZE_MAX;
    rig_flush(&r);
    assert_int_equal(r.pool.live_count, 0);
    assert_output(&r, OK_);
    rig_deinit(&r);
}

static void test_reused_clean(void **state) {
    (void)state;
    rig r;
    rig_init(&r);
    rig_say(&r, "POST /later HTTP/1.1\r\n" HOST "X-A: 1\r\nContent-Length: 5\r\n\r\nhello");
    q5_exchange *first = r.later[0];
    first->user = &r;
    first->match.route = &r;
    first->match.param_count = 3;
    first->begin_usec = 99;
    rig_answer_later(&r, "ok");
    rig_say(&r, GET("/later"));
    q5_exchange *x = r.later[0];
    assert_ptr_equal(x, first);
    assert_null(x->user);
    assert_null(x->match.route);
    assert_int_equal(x->match.param_count, 0);
    assert_int_equal(x->begin_usec, 0);
    assert_int_equal(x->body.len, 0);
    assert_int_equal(x->body_len, 0);
    assert_int_equal(x->status, 0);
    assert_int_equal(x->sent_len, 0);
    assert_int_equal(x->head.field_count, 1);
    assert_null(q5_head_known(&x->head, Q5_FIELD_CONTENT_LENGTH));
    rig_deinit(&r);
}

/* The pool keeps free_max of them, and no large buffers. */
static void test_pool_bounds(void **state) {
    (void)state;
    failmalloc fm;
    failmalloc_init(&fm, SIZE_MAX);
    q5_exchange_pool pool;
    q5_exchange_pool_init(&pool, &fm.alloc, 2);
    q5_conn_config config = q5_conn_config_default();
    q5_exchange *held[5];
    for (size_t i = 0; i < Q5_ARRAY_LEN(held); i++)
        assert_status(
            q5_exchange_create_detached(&pool, &config, Q5_LIT(GET("/")), rig_big(), &held[i]),
            Q5_OK);
    assert_int_equal(pool.live_count, 5);
    for (size_t i = 0; i < Q5_ARRAY_LEN(held); i++)
        q5_exchange_unref(held[i]);
    assert_int_equal(pool.live_count, 0);
    assert_int_equal(pool.free_count, 2);
    for (q5_exchange *x = pool.free; x; x = x->next_free)
        assert_true(x->in.cap + x->body_buf.cap + x->out.cap < 32768);
    q5_exchange_pool_deinit(&pool);
    assert_int_equal(fm.live, 0);
}

static void count_call(void *ctx) {
    ++*(int *)ctx;
}

/* An owner that goes before its exchanges: told when the last one has come back. */
static void test_pool_retire(void **state) {
    (void)state;
    for (int held_count = 0; held_count < 3; held_count++) {
        q5_exchange_pool pool;
        q5_exchange_pool_init(&pool, NULL, 2);
        q5_conn_config config = q5_conn_config_default();
        q5_exchange *held[2];
        int calls = 0;
        for (int i = 0; i < held_count; i++)
            assert_status(q5_exchange_create_detached(&pool, &config, Q5_LIT(GET("/")),
                                                      q5_slice_make(NULL, 0), &held[i]),
                          Q5_OK);
        q5_exchange_pool_retire(&pool, count_call, &calls);
        for (int i = 0; i < held_count; i++) {
            assert_int_equal(calls, 0);
            q5_exchange_unref(held[i]);
        }
        assert_int_equal(calls, 1);
    }
}

/* ---- detached -------------------------------------------------------------------------------- */

static void test_detached(void **state) {
    (void)state;
    q5_exchange_pool pool;
    q5_exchange_pool_init(&pool, NULL, 1);
    q5_conn_config config = q5_conn_config_default();
    char head[] = "PUT /a/b?c=d HTTP/1.1\r\nHost: h.example\r\nX-A: 1\r\n\r\n", body[] = "body";
    q5_exchange *x;
    assert_status(q5_exchange_create_detached(&pool, &config, q5_slice_make(head, strlen(head)),
                                              q5_slice_make(body, 4), &x),
                  Q5_OK);
    memset(head, '?', sizeof(head)); /* both are copied */
    memset(body, '?', sizeof(body));
    assert_slice(x->head.method, "PUT");
    assert_slice(x->head.path, "/a/b");
    assert_slice(x->head.query, "c=d");
    assert_slice(x->head.host, "h.example");
    assert_slice(x->body, "body");
    assert_int_equal(x->body_len, 4);
    assert_true(x->is_detached);
    assert_status(q5_response_start(x, 200), Q5_ECLOSED);
    assert_status(q5_response_problem(x, 404, q5_slice_make(NULL, 0)), Q5_ECLOSED);
    q5_response_abort(x);
    q5_response_reset(x);
    q5_exchange_ref(x);
    q5_exchange_unref(x);
    assert_int_equal(pool.live_count, 1);
    q5_exchange_unref(x);
    assert_int_equal(pool.live_count, 0);
    q5_exchange_pool_deinit(&pool);
}

static void test_detached_faults(void **state) {
    (void)state;
    static const struct {
        const char *head;
        int status;
    } cases[] = {
        {"", Q5_EINVAL},
        {"GET / HTTP/1.1\r\nHost: h\r\n", Q5_EINVAL},
        {GET("/") "more", Q5_EINVAL},
        {"GET / HTTP/1.1\r\n\r\n", Q5_EHOST},
        {"GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n", Q5_EFIELD_SPACE},
    };
    q5_exchange_pool pool;
    q5_exchange_pool_init(&pool, NULL, 1);
    q5_conn_config config = q5_conn_config_default();
    for (size_t i = 0; i < Q5_ARRAY_LEN(cases); i++) {
        q5_exchange *x = NULL;
        q5_slice head = q5_slice_make(cases[i].head, strlen(cases[i].head));
        assert_status(q5_exchange_create_detached(&pool, &config, head, q5_slice_make(NULL, 0), &x),
                      cases[i].status);
        assert_null(x);
        assert_int_equal(pool.live_count, 0);
    }
    q5_exchange_pool_deinit(&pool);
}

static int detached_scenario(const q5_alloc *alloc, void *ctx) {
    (void)ctx;
    q5_exchange_pool pool;
    q5_exchange_pool_init(&pool, alloc, 1);
    q5_conn_config config = q5_conn_config_default();
    q5_exchange *x;
    int status = q5_exchange_create_detached(&pool, &config, Q5_LIT(GET("/")), Q5_LIT("body"), &x);
    if (!status) q5_exchange_unref(x);
    q5_exchange_pool_deinit(&pool);
    return status;
}

static void test_detached_failing_allocations(void **state) {
    (void)state;
    failmalloc_sweep(detached_scenario, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outlives_the_connection),
        cmocka_unit_test(test_kept_by_its_output),
        cmocka_unit_test(test_reused_clean),
        cmocka_unit_test(test_pool_bounds),
        cmocka_unit_test(test_pool_retire),
        cmocka_unit_test(test_detached),
        cmocka_unit_test(test_detached_faults),
        cmocka_unit_test(test_detached_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
