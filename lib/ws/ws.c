/* The state machine: frames become messages, control frames are answered, time passes. */
#include "q5/ws.h"

#define IN_MIN 2048
#define IN_MAX 65536
#define KEPT_MAX 4096    /* bytes of a message's buffer that are kept for the next */
#define RATIO_FREE 65536 /* inflated bytes that may come of any input */
#define MSEC_PER_S 1000

q5_ws_config q5_ws_config_default(void) {
    return (q5_ws_config){.alloc = q5_alloc_default(),
                          .message_max = 1u << 20,
                          .fragments_max = 1024,
                          .ratio_max = 100,
                          .ping_msec = 20000,
                          .pong_msec = 20000,
                          .close_msec = 5000,
                          .message_idle_msec = 30000,
                          .message_floor_per_s = 240};
}

void q5_ws_init(q5_ws *ws, const q5_ws_config *config, const q5_ws_events *events,
                const q5_ws_inflate *inflate, q5_msec now) {
    *ws = (q5_ws){.config = config, .events = *events, .heard = now};
    if (inflate) ws->inflate = *inflate;
    q5_buf_init(&ws->in, config->alloc);
    q5_buf_init(&ws->message, config->alloc);
}

void q5_ws_deinit(q5_ws *ws) {
    q5_buf_deinit(&ws->in);
    q5_buf_deinit(&ws->message);
}

/* ---- control frames out, and the end --------------------------------------------------------- */

static void send_control(q5_ws *ws, q5_ws_opcode opcode, q5_slice payload) {
    char frame[Q5_WS_HEAD_MAX + Q5_WS_CONTROL_MAX];
    size_t len = q5_ws_head_write(frame, opcode, false, payload.len);
    if (payload.len) memcpy(frame + len, payload.base, payload.len);
    ws->events.on_control(ws->events.ctx, q5_slice_make(frame, len + payload.len));
}

static void send_close(q5_ws *ws, unsigned code, q5_slice reason) {
    char payload[Q5_WS_CONTROL_MAX] = {(char)(code >> 8), (char)code};
    if (reason.len) memcpy(payload + 2, reason.base, reason.len);
    send_control(ws, Q5_WS_CLOSE, q5_slice_make(payload, 2 + reason.len));
}

static void end(q5_ws *ws) {
    ws->state = Q5_WS_ENDED;
    ws->events.on_end(ws->events.ctx);
}

/* Nothing more comes of the client, by its Close frame or without. */
static void close_by_client(q5_ws *ws, q5_ws_code code, q5_slice reason) {
    if (ws->state == Q5_WS_OPEN) {
        ws->state = Q5_WS_CLOSING;
        ws->events.on_close(ws->events.ctx, code, reason);
    }
    end(ws);
}

/* "Fail the WebSocket Connection" (RFC 6455, 7.1.7). */
static void fail(q5_ws *ws, int status) {
    q5_ws_code code = q5_ws_code_of(status);
    const char *text = q5_status_text(status);
    q5_slice reason = q5_slice_make(text, strlen(text));
    if (ws->state == Q5_WS_OPEN) send_close(ws, code, reason);
    close_by_client(ws, code, reason);
}

/* ---- control frames in ----------------------------------------------------------------------- */

static void take_close(q5_ws *ws, q5_slice payload) {
    q5_ws_code code = Q5_WS_NO_STATUS;
    q5_slice reason = {NULL, 0};
    if (payload.len) {
        const uint8_t *at = (const uint8_t *)payload.base;
        unsigned number = payload.len >= 2 ? (unsigned)at[0] << 8 | at[1] : 0;
        if (!q5_ws_code_valid(number)) {
            fail(ws, Q5_EWS_CLOSE);
            return;
        }
        code = (q5_ws_code)number;
        reason = q5_slice_make(payload.base + 2, payload.len - 2);
        size_t valid;
        if (!q5_ws_utf8_prefix(reason, &valid) || valid != reason.len) {
            fail(ws, Q5_EWS_UTF8);
            return;
        }
    }
    /* "it typically echos the status code it received" (5.5.1) */
    if (ws->state == Q5_WS_OPEN)
        send_control(ws, Q5_WS_CLOSE, q5_slice_make(payload.base, payload.len ? 2 : 0));
    close_by_client(ws, code, reason);
}

static void take_control(q5_ws *ws, q5_slice payload) {
    if (ws->head.opcode == Q5_WS_CLOSE)
        take_close(ws, payload);
    else if (ws->head.opcode == Q5_WS_PING && ws->state == Q5_WS_OPEN)
        send_control(ws, Q5_WS_PONG, payload);
    /* A Pong has said that the client lives, as any byte does. */
}

/* ---- messages -------------------------------------------------------------------------------- */

static void forget_message(q5_ws *ws) {
    ws->kind = 0;
    ws->message.len = 0;
    if (ws->message.cap > KEPT_MAX) q5_buf_deinit(&ws->message);
}

static void give(q5_ws *ws, q5_slice data) {
    bool is_text = ws->kind == Q5_WS_TEXT;
    ws->kind = 0;
    if (!ws->events.on_message(ws->events.ctx, is_text, data)) ws->paused = true;
}

/* So many bytes inflate to what is suspicious. */
static bool inflates_too_much(const q5_ws *ws) {
    return ws->message.len > RATIO_FREE && ws->message.len / ws->config->ratio_max > ws->received;
}

/* Text is judged as it comes: an error shows before a message's end (8.1). */
static int judge(q5_ws *ws, bool last) {
    if (ws->kind != Q5_WS_TEXT) return Q5_OK;
    size_t len = ws->message.len - ws->valid_len, valid;
    if (len == 0) return Q5_OK;
    q5_slice rest = q5_slice_make(ws->message.base + ws->valid_len, len);
    if (!q5_ws_utf8_prefix(rest, &valid)) return Q5_EWS_UTF8;
    ws->valid_len += valid;
    return last && ws->valid_len != ws->message.len ? Q5_EWS_UTF8 : Q5_OK;
}

static int add(q5_ws *ws, q5_slice data, bool last) {
    ws->received += data.len;
    if (!ws->compressed) {
        int status = q5_buf_append(&ws->message, data.base, data.len);
        return status ? status : judge(ws, last);
    }
    int status =
        ws->inflate.piece(ws->inflate.ctx, data, last, &ws->message, ws->config->message_max);
    if (!status && inflates_too_much(ws)) status = Q5_EWS_RATIO;
    return status ? status : judge(ws, last);
}

/* A piece of a data frame's payload, unmasked; `ends`: its last. */
static int take_data(q5_ws *ws, q5_slice data, bool ends) {
    if (ws->state != Q5_WS_OPEN) return Q5_OK;
    bool last = ends && ws->head.fin;
    if (last && !ws->compressed && ws->fragments == 1 && ws->received == 0) {
        /* All of it is here: nothing is copied. */
        size_t valid = data.len;
        if (ws->kind == Q5_WS_TEXT && (!q5_ws_utf8_prefix(data, &valid) || valid != data.len))
            return Q5_EWS_UTF8;
        give(ws, data);
        return Q5_OK;
    }
    int status = add(ws, data, last);
    if (status || !last) return status;
    give(ws, q5_buf_slice(&ws->message));
    forget_message(ws);
    return Q5_OK;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static int begin_message(q5_ws *ws, q5_msec now) {
    const q5_ws_head *head = &ws->head;
    if (head->opcode == Q5_WS_CONTINUATION) {
        /* RSV1 is set on a message's first frame only (RFC 7692, 6.1). */
        if (!ws->kind || head->compressed) return Q5_EWS_ORDER;
        return ++ws->fragments > ws->config->fragments_max ? Q5_EWS_FRAGMENTS : Q5_OK;
    }
    if (ws->kind) return Q5_EWS_ORDER;
    if (head->compressed && !ws->inflate.piece) return Q5_EWS_FRAME;
    ws->kind = head->opcode;
    ws->compressed = head->compressed;
    ws->fragments = 1;
    ws->received = ws->valid_len = 0;
    ws->message_since = now;
    return Q5_OK;
}

static bool is_control(const q5_ws_head *head) {
    return head->opcode >= Q5_WS_CLOSE;
}

static int begin_frame(q5_ws *ws, q5_msec now) {
    ws->frame_at = 0;
    ws->control_len = 0;
    if (is_control(&ws->head) || ws->state != Q5_WS_OPEN) return Q5_OK;
    int status = begin_message(ws, now);
    if (status) return status;
    /* Told by its head, before a byte of it has come. */
    size_t left = ws->config->message_max - ws->received;
    return ws->received > ws->config->message_max || ws->head.len > left ? Q5_EWS_LONG : Q5_OK;
}

static int take_payload(q5_ws *ws, char *base, size_t len) {
    q5_ws_unmask(base, len, ws->head.mask, ws->frame_at);
    ws->frame_at += len;
    bool ends = ws->frame_at == ws->head.len;
    if (!is_control(&ws->head)) return take_data(ws, q5_slice_make(base, len), ends);
    if (len) memcpy(ws->control + ws->control_len, base, len);
    ws->control_len = (uint8_t)(ws->control_len + len);
    if (ends) take_control(ws, q5_slice_make(ws->control, ws->control_len));
    return Q5_OK;
}

/* Takes up what stands at *pos. Q5_OK: go on; Q5_AGAIN: more must come first; else an error. */
static int take_up(q5_ws *ws, size_t *pos, q5_msec now) {
    if (*pos == ws->in.len) return Q5_AGAIN;
    if (!ws->in_frame) {
        size_t used;
        int status = q5_ws_head_parse(ws->in.base + *pos, ws->in.len - *pos, &ws->head, &used);
        if (!status) status = begin_frame(ws, now);
        if (status) return status;
        *pos += used;
        ws->in_frame = true;
    }
    uint64_t left = ws->head.len - ws->frame_at;
    size_t len = ws->in.len - *pos;
    if (len == 0 && left) return Q5_AGAIN;
    if (len > left) len = (size_t)left;
    char *base = ws->in.base + *pos;
    *pos += len;
    ws->in_frame = len < left;
    return take_payload(ws, base, len);
}

static void take_all(q5_ws *ws, q5_msec now) {
    size_t pos = 0;
    int status = Q5_OK;
    ws->busy = true;
    while (!status && (!ws->paused || ws->eof) && ws->state != Q5_WS_ENDED)
        status = take_up(ws, &pos, now);
    ws->busy = false;
    if (status && status != Q5_AGAIN) fail(ws, status);
    if (ws->state == Q5_WS_ENDED)
        q5_ws_deinit(ws);
    else
        q5_buf_consume(&ws->in, pos);
}

int q5_ws_space(q5_ws *ws, char **ret_base, size_t *ret_len) {
    if (ws->state == Q5_WS_ENDED) return Q5_DONE;
    if (ws->paused) return Q5_AGAIN;
    q5_buf *in = &ws->in;
    if (in->cap - in->len < IN_MIN / 2 && q5_buf_reserve(in, IN_MIN)) return Q5_ENOMEM;
    /* Twice the room each time for what is known to come; without it, it comes all the same. */
    bool is_large = ws->in_frame && ws->head.len - ws->frame_at > in->cap;
    if (is_large && in->cap < IN_MAX) (void)q5_buf_reserve(in, in->cap * 2 - in->len);
    *ret_base = in->base + in->len;
    *ret_len = in->cap - in->len;
    return Q5_OK;
}

void q5_ws_received(q5_ws *ws, size_t n, q5_msec now) {
    if (n == 0) return;
    ws->in.len += n;
    ws->heard = now;
    ws->asked = 0;
    take_all(ws, now);
}

void q5_ws_resume(q5_ws *ws, q5_msec now) {
    if (!ws->paused || ws->state == Q5_WS_ENDED) return;
    ws->paused = false;
    /* What the client has said meanwhile was not heard, nor was it slow. */
    ws->heard = ws->message_since = now;
    ws->asked = 0;
    take_all(ws, now);
}

void q5_ws_eof(q5_ws *ws) {
    if (ws->state == Q5_WS_ENDED) return;
    /* What was received waits for nobody any more. */
    ws->eof = true;
    take_all(ws, ws->heard);
    if (ws->state == Q5_WS_ENDED) return;
    close_by_client(ws, Q5_WS_ABNORMAL, q5_slice_make(NULL, 0));
    q5_ws_deinit(ws);
}

/* ---- closing --------------------------------------------------------------------------------- */

/* No longer than fits, without a character that is cut. */
static q5_slice cut_reason(q5_slice reason) {
    if (reason.len <= Q5_WS_REASON_MAX) return reason;
    size_t len = Q5_WS_REASON_MAX;
    q5_ws_utf8_prefix(q5_slice_make(reason.base, len), &len);
    return q5_slice_make(reason.base, len);
}

int q5_ws_close(q5_ws *ws, unsigned code, q5_slice reason, q5_msec now) {
    if (ws->state != Q5_WS_OPEN) return Q5_ESTATE;
    if (!q5_ws_code_valid(code)) return Q5_EINVAL;
    send_close(ws, code, cut_reason(reason));
    ws->state = Q5_WS_CLOSING;
    ws->closing_since = now;
    if (ws->busy) return Q5_OK; /* a callback may be looking at the buffers */
    /* The client's Close may stand behind messages that nobody wants any more. */
    q5_buf_deinit(&ws->message);
    ws->paused = false;
    take_all(ws, now);
    return Q5_OK;
}

/* ---- time ------------------------------------------------------------------------------------ */

static q5_msec message_deadline(const q5_ws *ws) {
    q5_msec more = 0;
    if (ws->config->message_floor_per_s)
        more = (uint64_t)ws->received * MSEC_PER_S / ws->config->message_floor_per_s;
    return ws->message_since + ws->config->message_idle_msec + more;
}

static q5_msec sign_of_life_deadline(const q5_ws *ws) {
    return ws->asked ? ws->asked + ws->config->pong_msec : ws->heard + ws->config->ping_msec;
}

q5_msec q5_ws_deadline(const q5_ws *ws) {
    if (ws->state == Q5_WS_ENDED) return 0;
    if (ws->state == Q5_WS_CLOSING) return ws->closing_since + ws->config->close_msec;
    if (ws->paused) return 0;
    q5_msec life = sign_of_life_deadline(ws);
    if (!ws->kind) return life;
    q5_msec message = message_deadline(ws);
    return message < life ? message : life;
}

static void ping(q5_ws *ws, q5_msec now) {
    ws->asked = now;
    send_control(ws, Q5_WS_PING, q5_slice_make(NULL, 0));
    /* Quiet for so long: its buffers are better used elsewhere. */
    if (ws->in.len == 0) q5_buf_deinit(&ws->in);
}

void q5_ws_expire(q5_ws *ws, q5_msec now) {
    q5_msec due = q5_ws_deadline(ws);
    if (due == 0 || now < due) return;
    if (ws->state == Q5_WS_CLOSING)
        end(ws);
    else if (ws->kind && message_deadline(ws) <= now)
        fail(ws, Q5_EWS_SLOW);
    else if (ws->asked)
        close_by_client(ws, Q5_WS_ABNORMAL, q5_slice_make(NULL, 0));
    else
        ping(ws, now);
    if (ws->state == Q5_WS_ENDED) q5_ws_deinit(ws);
}
