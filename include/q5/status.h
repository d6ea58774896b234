/* Statuses: zero or a negative number. Each stands once, here, with its text and, where a client
 * caused it, the HTTP status that answers it (0: none, the connection is simply closed).
 *
 * Statuses below Q5_FATAL_THRESHOLD are fatal for the object that returned them: the only calls
 * that are still allowed on it are its _deinit/_destroy. */
#ifndef Q5_STATUS_H
#define Q5_STATUS_H

#include "q5/base.h"

/* XX(name, value, http, text) */
#define Q5_STATUS_MAP(XX)                                                          \
    XX(OK, 0, 0, "success")                                                        \
    XX(AGAIN, -1, 0, "more input or more room is needed")                          \
    XX(DONE, -2, 0, "nothing is left to do")                                       \
    XX(NOT_FOUND, -3, 404, "not found")                                            \
    XX(EINVAL, -10, 400, "invalid argument")                                       \
    XX(EMETHOD, -11, 400, "invalid request method")                                \
    XX(ETARGET, -12, 400, "invalid request target")                                \
    XX(EVERSION, -13, 505, "unsupported HTTP version")                             \
    XX(EREQUEST_LINE, -14, 400, "malformed request line")                          \
    XX(EFIELD_NAME, -15, 400, "invalid field name")                                \
    XX(EFIELD_VALUE, -16, 400, "invalid byte in field value")                      \
    XX(EFIELD_SPACE, -17, 400, "white space before the colon of a field")          \
    XX(EUNDERSCORE, -18, 400, "underscore in field name")                          \
    XX(EOBS_FOLD, -19, 400, "obsolete line folding")                               \
    XX(EBARE_LF, -20, 400, "line ends in LF without CR")                           \
    XX(EBARE_CR, -21, 400, "CR without LF")                                        \
    XX(ELENGTH, -22, 400, "invalid Content-Length")                                \
    XX(ELENGTH_TWICE, -23, 400, "more than one Content-Length")                    \
    XX(ELENGTH_CODING, -24, 400, "Content-Length together with Transfer-Encoding") \
    XX(ECODING, -25, 501, "unsupported transfer coding")                           \
    XX(ECODING_ORDER, -26, 400, "invalid Transfer-Encoding")                       \
    XX(EHOST, -27, 400, "missing, repeated or invalid Host")                       \
    XX(EEXPECT, -28, 417, "unknown expectation")                                   \
    XX(ECHUNK_SIZE, -29, 400, "invalid chunk size")                                \
    XX(ECHUNK_EXT, -30, 400, "chunk extension too long or invalid")                \
    XX(ECHUNK_END, -31, 400, "chunk data not followed by CRLF")                    \
    XX(ETRAILER, -32, 400, "invalid or forbidden trailer field")                   \
    XX(ELINE_LONG, -40, 414, "request line too long")                              \
    XX(EHEAD_LONG, -41, 431, "request head too long")                              \
    XX(EFIELDS, -42, 431, "too many fields")                                       \
    XX(EBODY_LONG, -43, 413, "request body too long")                              \
    XX(ETIMEOUT, -44, 408, "the client took too long")                             \
    XX(EENCODING, -50, 400, "invalid percent-encoding or UTF-8")                   \
    XX(ETOO_MANY, -51, 413, "too many fields, parts or files")                     \
    XX(EMULTIPART, -52, 400, "malformed multipart body")                           \
    XX(EJSON, -53, 400, "malformed JSON")                                          \
    XX(EJSON_DEPTH, -54, 422, "JSON nested too deeply")                            \
    XX(EJSON_KEYS, -55, 422, "too many keys in JSON")                              \
    XX(EJSON_INT, -56, 422, "integer outside 64 bits in JSON")                     \
    XX(EROUTE, -57, 0, "invalid or conflicting route pattern")                     \
    XX(ERANGE_INVALID, -58, 416, "range not satisfiable")                          \
    XX(EFORWARDED, -59, 400, "malformed forwarding field of a proxy")              \
    XX(ESTATE, -60, 0, "called in the wrong state")                                \
    XX(EHEADER_OUT, -61, 0, "invalid byte in response header")                     \
    XX(ECLOSED, -62, 0, "the peer has closed the connection")                      \
    XX(EIO, -63, 0, "input/output error")                                          \
    XX(EADDR, -64, 0, "address in use or not available")                           \
    XX(EBUSY, -80, 0, "locked by another connection")                              \
    XX(ESLOW, -81, 0, "a read took longer than its budget")                        \
    XX(EINTERRUPTED, -82, 0, "interrupted")                                        \
    XX(ECONSTRAINT, -83, 0, "a constraint of the database is violated")            \
    XX(ESQL, -84, 0, "the database refuses the statement")                         \
    XX(ELIBRARY, -85, 0, "a function of the library is missing")                   \
    XX(ECELL, -65, 0, "malformed value from the database")                         \
    XX(ECELL_RANGE, -66, 0, "a value from the database that Python cannot hold")   \
    XX(EPG_CONNECT, -71, 503, "no connection to PostgreSQL")                       \
    XX(EPG_LOST, -72, 0, "connection to PostgreSQL lost, outcome unknown")         \
    XX(EPG_BUSY, -74, 503, "too many batches wait for PostgreSQL")                 \
    XX(ETOKEN, -100, 401, "malformed token")                                       \
    XX(ETOKEN_LONG, -101, 401, "token too long")                                   \
    XX(ETOKEN_ALG, -102, 401, "algorithm not allowed for this key")                \
    XX(ETOKEN_CRIT, -103, 401, "token needs an extension that is not supported")   \
    XX(ETOKEN_KEY, -104, 401, "unknown key")                                       \
    XX(ETOKEN_SIGNATURE, -105, 401, "wrong signature")                             \
    XX(ETOKEN_CLAIMS, -106, 401, "malformed claims, or some are missing")          \
    XX(ETOKEN_EXPIRED, -107, 401, "token has expired")                             \
    XX(ETOKEN_EARLY, -108, 401, "token is not valid yet")                          \
    XX(ETOKEN_ISSUER, -109, 401, "wrong issuer")                                   \
    XX(ETOKEN_AUDIENCE, -110, 401, "wrong audience")                               \
    XX(ETOKEN_TYPE, -111, 401, "wrong type of token")                              \
    XX(ETOKEN_REVOKED, -112, 401, "token was revoked")                             \
    XX(EKEY, -120, 0, "unusable key")                                              \
    XX(EKEY_SHORT, -121, 0, "key too short")                                       \
    XX(EWS_FRAME, -130, 0, "malformed WebSocket frame")                            \
    XX(EWS_MASK, -131, 0, "a WebSocket frame of a client that is not masked")      \
    XX(EWS_ORDER, -132, 0, "a WebSocket frame where none of its kind may be")      \
    XX(EWS_CLOSE, -133, 0, "malformed WebSocket Close frame")                      \
    XX(EWS_UTF8, -134, 0, "a WebSocket text message that is no UTF-8")             \
    XX(EWS_LONG, -135, 0, "WebSocket message too long")                            \
    XX(EWS_FRAGMENTS, -136, 0, "WebSocket message in too many fragments")          \
    XX(EWS_RATIO, -137, 0, "WebSocket message inflates too much")                  \
    XX(EWS_DATA, -138, 0, "WebSocket message that cannot be inflated")             \
    XX(EWS_SLOW, -139, 0, "WebSocket message comes too slowly")                    \
    XX(EWS_UPGRADE, -140, 426, "this resource is a WebSocket")                     \
    XX(EWS_VERSION, -141, 426, "unsupported WebSocket version")                    \
    XX(EWS_HANDSHAKE, -142, 400, "malformed WebSocket handshake")                  \
    XX(ENOMEM, -900, 503, "out of memory")

typedef enum q5_status {
#define XX(name, value, http, text) Q5_##name = (value),
    Q5_STATUS_MAP(XX)
#undef XX
} q5_status;

#define Q5_FATAL_THRESHOLD (-900)

/* "EMETHOD" for Q5_EMETHOD; "UNKNOWN" for a number that is no status. Static storage. */
Q5_EXTERN const char *q5_status_name(int status);
/* One line of English, static storage. */
Q5_EXTERN const char *q5_status_text(int status);
/* The HTTP status that answers it, or 0. */
Q5_EXTERN int q5_status_http(int status);

static inline bool q5_status_fatal(int status) {
    return status <= Q5_FATAL_THRESHOLD;
}

#endif
