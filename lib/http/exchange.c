/* Exchanges: their memory, references and reuse. */
#include "http/conn_internal.h"

/* What a kept exchange may hold on to; larger buffers go back to the allocator. */
#define KEPT_IN_MAX 8192
#define KEPT_OUT_MAX 4096
#define ARENA_MAX (1u << 20)

void q5_exchange_pool_init(q5_exchange_pool *pool, const q5_alloc *alloc, uint32_t free_max) {
    *pool = (q5_exchange_pool){.alloc = alloc ? alloc : q5_alloc_default(), .free_max = free_max};
}

static void exchange_free(q5_exchange *x) {
    q5_buf_deinit(&x->in);
    q5_buf_deinit(&x->body_buf);
    q5_buf_deinit(&x->out);
    q5_arena_deinit(&x->arena);
    q5_free(x->alloc, x);
}

void q5_exchange_pool_deinit(q5_exchange_pool *pool) {
    while (pool->free) {
        q5_exchange *x = pool->free;
        pool->free = x->next_free;
        exchange_free(x);
    }
    pool->free_count = 0;
}

void q5_exchange_pool_retire(q5_exchange_pool *pool, void (*on_empty)(void *ctx), void *ctx) {
    q5_exchange_pool_deinit(pool);
    pool->free_max = 0;
    pool->on_empty = on_empty;
    pool->on_empty_ctx = ctx;
    if (pool->live_count == 0) on_empty(ctx);
}

/* Everything but head, buffers and arena, whose memory is kept. */
static void exchange_reset(q5_exchange *x) {
    x->conn = NULL;
    x->body = q5_slice_make(NULL, 0);
    x->spool = NULL;
    x->body_len = x->body_max = 0;
    x->match.route = NULL;
    x->match.param_count = 0;
    x->user = NULL;
    x->client = NULL;
    x->begin_msec = 0;
    x->begin_usec = 0;
    x->note = NULL;
    x->request_id = x->own_line = q5_slice_make(NULL, 0);
    x->status = 0;
    x->sent_len = 0;
    x->response_state = Q5_RESPONSE_NONE;
    x->body_state = Q5_BODY_NONE;
    x->stream_body = x->body_waits = x->body_continued = false;
    x->body_error = Q5_OK;
    x->response_close = x->is_detached = x->bodiless = false;
    x->refs = 1;
    x->length = -1;
    x->keep_alive_msec = 0;
    x->head_len = 0;
    x->in.len = x->body_buf.len = x->out.len = 0;
}

static q5_exchange *exchange_alloc(q5_exchange_pool *pool) {
    q5_exchange *x = q5_malloc(pool->alloc, sizeof(*x));
    if (!x) return NULL;
    q5_buf_init(&x->in, pool->alloc);
    q5_buf_init(&x->body_buf, pool->alloc);
    q5_buf_init(&x->out, pool->alloc);
    q5_arena_init(&x->arena, pool->alloc, ARENA_MAX);
    x->alloc = pool->alloc;
    x->pool = pool;
    return x;
}

q5_exchange *q5__exchange_acquire(q5_exchange_pool *pool, const q5_conn_config *config) {
    q5_exchange *x = pool->free;
    if (x) {
        pool->free = x->next_free;
        pool->free_count--;
    } else if (!(x = exchange_alloc(pool))) {
        return NULL;
    }
    pool->live_count++;
    exchange_reset(x);
    /* What the response functions read must be sound even when the head turns out malformed. */
    x->head.method_id = Q5_METHOD_OTHER;
    x->head.version_minor = 1;
    x->head.keep_alive = false;
    x->head.expect_continue = false;
    q5_h1_init(&x->parser, &config->head_limits, &x->head);
    return x;
}

q5_exchange *q5_exchange_ref(q5_exchange *x) {
    x->refs++;
    return x;
}

static void trim(q5_buf *buf, size_t cap_max) {
    if (buf->cap > cap_max) q5_buf_deinit(buf);
}

void q5_exchange_unref(q5_exchange *x) {
    if (--x->refs) return;
    q5_exchange_pool *pool = x->pool;
    if (x->spool) x->spool_ops->close(x->spool_ops->ctx, x->spool);
    pool->live_count--;
    if (pool->free_count >= pool->free_max) {
        exchange_free(x);
        if (pool->on_empty && pool->live_count == 0) pool->on_empty(pool->on_empty_ctx);
        return;
    }
    trim(&x->in, KEPT_IN_MAX);
    trim(&x->body_buf, KEPT_IN_MAX);
    trim(&x->out, KEPT_OUT_MAX);
    q5_arena_reset(&x->arena);
    x->next_free = pool->free;
    pool->free = x;
    pool->free_count++;
}

int q5_exchange_create_detached(q5_exchange_pool *pool, const q5_conn_config *config,
                                q5_slice head_text, q5_slice body, q5_exchange **ret_x) {
    q5_exchange *x = q5__exchange_acquire(pool, config);
    if (!x) return Q5_ENOMEM;
    x->is_detached = true;
    int status = q5_buf_append(&x->in, head_text.base, head_text.len);
    if (!status) status = q5_buf_append(&x->body_buf, body.base, body.len);
    if (!status) status = q5_h1_parse(&x->parser, x->in.base, x->in.len, &x->head_len);
    if (status == Q5_AGAIN || (!status && x->head_len != x->in.len)) status = Q5_EINVAL;
    if (status) {
        q5_exchange_unref(x);
        return status;
    }
    x->body = q5_buf_slice(&x->body_buf);
    x->body_len = x->body.len;
    x->body_max = config->body_max;
    x->body_state = Q5_BODY_COMPLETE;
    *ret_x = x;
    return Q5_OK;
}
