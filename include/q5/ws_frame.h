/* Frames of WebSocket (RFC 6455, 5.2): heads read and written, payloads unmasked, text judged. Pure
 * functions; q5/ws.h puts them together. */
#ifndef Q5_WS_FRAME_H
#define Q5_WS_FRAME_H

#include "q5/status.h"

typedef enum q5_ws_opcode {
    Q5_WS_CONTINUATION = 0x0,
    Q5_WS_TEXT = 0x1,
    Q5_WS_BINARY = 0x2,
    Q5_WS_CLOSE = 0x8,
    Q5_WS_PING = 0x9,
    Q5_WS_PONG = 0xa
} q5_ws_opcode;

/* Why a connection ends (RFC 6455, 7.4.1, and its registry). */
typedef enum q5_ws_code {
    Q5_WS_NORMAL = 1000,
    Q5_WS_GOING_AWAY = 1001,
    Q5_WS_PROTOCOL_ERROR = 1002,
    Q5_WS_UNSUPPORTED = 1003,
    Q5_WS_NO_STATUS = 1005, /* never sent: the Close frame had none */
    Q5_WS_ABNORMAL = 1006,  /* never sent: there was no Close frame */
    Q5_WS_INVALID = 1007,   /* text that is no UTF-8, and the like */
    Q5_WS_POLICY = 1008,
    Q5_WS_TOO_BIG = 1009,
    Q5_WS_INTERNAL = 1011,
    Q5_WS_TRY_LATER = 1013
} q5_ws_code;

#define Q5_WS_CONTROL_MAX 125 /* bytes of a control frame's payload (5.5) */
#define Q5_WS_REASON_MAX 123  /* the same without the code */
#define Q5_WS_HEAD_MAX 10     /* of a server's frame, which has no mask */

typedef struct q5_ws_head {
    uint64_t len; /* bytes of payload */
    uint8_t mask[4];
    uint8_t opcode; /* q5_ws_opcode */
    bool fin;
    bool compressed; /* RSV1 */
} q5_ws_head;

/* Reads a client's frame head from the first `len` bytes. Q5_OK: *ret_used bytes of it were the
 * head; Q5_AGAIN: there is more of it to come; Q5_EWS_FRAME: a reserved bit or opcode, a length
 * that is not the shortest form or has the top bit, a control frame that is fragmented or long
 * (5.2, 5.5); Q5_EWS_MASK: not masked (5.1). RSV1 is for the caller to judge. Both results are
 * untouched unless Q5_OK. */
Q5_EXTERN int q5_ws_head_parse(const char *base, size_t len, q5_ws_head *ret_head,
                               size_t *ret_used);

/* Writes the head of an unmasked, final frame; returns its length. */
Q5_EXTERN size_t q5_ws_head_write(char out[Q5_WS_HEAD_MAX], q5_ws_opcode opcode, bool compressed,
                                  uint64_t len);

/* Unmasks (or masks) in place. `at` is how many bytes of the payload lie before base. */
Q5_EXTERN void q5_ws_unmask(char *base, size_t len, const uint8_t mask[4], uint64_t at);

/* May stand in a Close frame (7.4): a code of the registry that may be sent, or 3000 to 4999. */
Q5_EXTERN bool q5_ws_code_valid(unsigned code);

/* How much of `text` is well-formed UTF-8, without a sequence at its end that is not complete; that
 * may be up to 3 bytes. False: what stands there cannot become UTF-8. */
Q5_EXTERN bool q5_ws_utf8_prefix(q5_slice text, size_t *ret_len);

/* The code that a client is told for a q5_status that its bytes have led to. */
Q5_EXTERN q5_ws_code q5_ws_code_of(int status);

#endif
