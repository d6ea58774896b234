/* A server's end of one WebSocket (RFC 6455), without I/O and clock: bytes and timestamps go in,
 * messages and control frames come out. One thread at a time.
 *
 * Lifetime rules
 * 1. The owner embeds a q5_ws, gives it bytes as a q5_conn asks for them, and deinits it once, not
 *    from a callback.
 * 2. After on_end nothing of it is called any more but q5_ws_deinit.
 * 3. Slices in callbacks live until the callback returns. */
#ifndef Q5_WS_H
#define Q5_WS_H

#include "q5/buf.h"
#include "q5/ws_frame.h"

typedef struct q5_ws_config {
    const q5_alloc *alloc;
    size_t message_max;           /* bytes of a message, inflated */
    uint32_t fragments_max;       /* frames of a message */
    uint32_t ratio_max;           /* inflated bytes per received one, beyond the first 64 KiB */
    q5_msec ping_msec;            /* without a byte from the client: a Ping is sent */
    q5_msec pong_msec;            /* and then without one for so long: it is gone */
    q5_msec close_msec;           /* for the client's part of the closing handshake */
    q5_msec message_idle_msec;    /* what a message may take in any case */
    uint32_t message_floor_per_s; /* and the bytes per second that buy it more; 0: none do */
} q5_ws_config;

/* 1 MiB, 1,024, 100, 20 s, 20 s, 5 s, 30 s, 240 B/s. */
Q5_EXTERN q5_ws_config q5_ws_config_default(void);

/* Undoes compression; see q5/ws_deflate.h. piece: appends to *out what `data` inflates to; `last`:
 * it is the message's last. At most out_max bytes may be in *out afterwards: Q5_EWS_LONG.
 * Q5_EWS_DATA, Q5_ENOMEM. */
typedef struct q5_ws_inflate {
    int (*piece)(void *ctx, q5_slice data, bool last, q5_buf *out, size_t out_max);
    void *ctx;
} q5_ws_inflate;

/* None may deinit the q5_ws. */
typedef struct q5_ws_events {
    void *ctx;
    /* A whole message; text is valid UTF-8. False: no more for now, until q5_ws_resume; when the
     * client has left without a Close frame, what was received before comes all the same. */
    bool (*on_message)(void *ctx, bool is_text, q5_slice data);
    /* A whole control frame is to be sent, before any data frame that is yet to be sent. */
    void (*on_control)(void *ctx, q5_slice frame);
    /* No more messages: the client closes (its code, or Q5_WS_NO_STATUS), is gone
     * (Q5_WS_ABNORMAL), or has done what is answered with this code. Called once, unless
     * q5_ws_close was called before; a Close frame has been sent where one can be. */
    void (*on_close)(void *ctx, q5_ws_code code, q5_slice reason);
    /* The connection is to be closed once what was sent has left. Last call, once. */
    void (*on_end)(void *ctx);
} q5_ws_events;

typedef enum q5_ws_state {
    Q5_WS_OPEN,
    Q5_WS_CLOSING, /* we have sent Close, the client has not */
    Q5_WS_ENDED
} q5_ws_state;

typedef struct q5_ws {
    const q5_ws_config *config;
    q5_ws_events events;
    q5_ws_inflate inflate; /* piece NULL: permessage-deflate was not agreed on */
    uint8_t state;         /* q5_ws_state */
    /* The present frame. */
    q5_ws_head head;
    uint64_t frame_at; /* bytes of its payload that were taken */
    bool in_frame;
    /* The present message, once it has begun. */
    uint8_t kind; /* Q5_WS_TEXT or Q5_WS_BINARY; 0: none has begun */
    bool compressed;
    uint32_t fragments;
    size_t received;  /* bytes of its payloads */
    size_t valid_len; /* how much of a text was found to be UTF-8 */
    q5_msec message_since;
    q5_buf in;      /* received, not taken up: a head in parts, or what waits for q5_ws_resume */
    q5_buf message; /* what there is of a message in parts */
    uint8_t control_len;
    char control[Q5_WS_CONTROL_MAX]; /* of a control frame in parts */
    /* Time. */
    q5_msec heard; /* when the last byte came */
    q5_msec asked; /* when a Ping went out that nothing has come after; 0: none */
    q5_msec closing_since;
    bool paused; /* on_message has said so */
    bool busy;   /* taking up bytes */
    bool eof;    /* the client sends no more: what is here is taken up, paused or not */
} q5_ws;

/* config outlives it. inflate may be NULL. */
Q5_EXTERN void q5_ws_init(q5_ws *ws, const q5_ws_config *config, const q5_ws_events *events,
                          const q5_ws_inflate *inflate, q5_msec now);
Q5_EXTERN void q5_ws_deinit(q5_ws *ws);

/* Where the next bytes should be received, at least 1. Q5_OK; Q5_AGAIN: do not read now; Q5_DONE:
 * nothing more will be read; Q5_ENOMEM. */
Q5_EXTERN int q5_ws_space(q5_ws *ws, char **ret_base, size_t *ret_len);
/* n bytes were put there. */
Q5_EXTERN void q5_ws_received(q5_ws *ws, size_t n, q5_msec now);
/* After on_message has said false: messages may come again. Not from a callback. */
Q5_EXTERN void q5_ws_resume(q5_ws *ws, q5_msec now);
/* The client will send no more, without a Close frame. */
Q5_EXTERN void q5_ws_eof(q5_ws *ws);
/* When q5_ws_expire must be called; 0: never. */
Q5_EXTERN q5_msec q5_ws_deadline(const q5_ws *ws);
Q5_EXTERN void q5_ws_expire(q5_ws *ws, q5_msec now);
/* Sends Close; messages that come from here on are dropped, and on_close is not called. The reason
 * is UTF-8, cut to Q5_WS_REASON_MAX bytes between two characters. May call on_end. Q5_EINVAL: no
 * code that may be sent; Q5_ESTATE: closed already. */
Q5_EXTERN int q5_ws_close(q5_ws *ws, unsigned code, q5_slice reason, q5_msec now);

#endif
