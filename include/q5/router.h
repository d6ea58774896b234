/* A radix tree over the still percent-encoded path: static text, typed parameters, methods. Built
 * once at start-up, then frozen and read only; a frozen router may be shared by threads. */
#ifndef Q5_ROUTER_H
#define Q5_ROUTER_H

#include "q5/alloc.h"
#include "q5/head.h"

#define Q5_ROUTE_PARAMS_MAX 16
#define Q5_ROUTE_PATTERN_MAX 2048

typedef enum q5_convert {
    Q5_CONVERT_STR,    /* one or more bytes, no '/' */
    Q5_CONVERT_INT,    /* [0-9]+ , no more than 19 digits within int64 counted as a match */
    Q5_CONVERT_SLUG,   /* [-a-zA-Z0-9_]+ */
    Q5_CONVERT_UUID,   /* 8-4-4-4-12 lower-case hex, as Django's */
    Q5_CONVERT_PATH,   /* one or more bytes, '/' included */
    Q5_CONVERT_CUSTOM, /* `accepts` decides; matches one segment, like STR */
} q5_convert;

/* Decides whether a custom converter takes the segment. Called from match, so it must be
 * re-entrant and fast. */
typedef bool (*q5_convert_accepts)(void *ctx, q5_slice segment);

typedef struct q5_route_param {
    q5_slice value; /* as sent, percent-encoded; points into the path */
    int64_t number; /* of an INT */
    uint8_t convert;
} q5_route_param;

typedef struct q5_route_match {
    void *route;        /* what was given to add; NULL when no method fits */
    uint32_t allow;     /* bit (1 << q5_method) for each method that the path knows; for 405 */
    bool slash_differs; /* with Q5_NOT_FOUND: the path would match with its trailing slash added or
                           removed */
    uint8_t param_count;
    q5_route_param params[Q5_ROUTE_PARAMS_MAX]; /* in the pattern's order */
} q5_route_match;

typedef struct q5_router q5_router;

/* NULL when out of memory. `alloc` may be NULL. */
Q5_EXTERN q5_router *q5_router_create(const q5_alloc *alloc);
Q5_EXTERN void q5_router_destroy(q5_router *router);

/* Names a custom converter for later patterns. Q5_EINVAL when the name is taken or built in. */
Q5_EXTERN int q5_router_add_converter(q5_router *router, q5_slice name, q5_convert_accepts accepts,
                                      void *ctx);

/* Adds `route` under a pattern in Django's spelling: "/cities/<int:id>/near"; "<name>" is
 * "<str:name>". A parameter is a whole segment or has static text before and behind it inside
 * its segment. Q5_EROUTE: malformed, unknown converter, or the same method and pattern twice
 * (*ret_error, if not NULL, is the offset in the pattern). Method Q5_METHOD_OTHER: any method.
 * HEAD is answered by GET's route unless one was added for it. */
Q5_EXTERN int q5_router_add(q5_router *router, q5_method method, q5_slice pattern, void *route,
                            size_t *ret_error);

/* Finds the route. Static text wins over a parameter, narrower converters over wider ones
 * (INT, UUID, SLUG, CUSTOM, STR, PATH), whatever the order in which they were added; a branch that
 * leads nowhere is left and the next one tried, in time bounded by a constant times the length of
 * the path per parameter level (no exponential blow-up). Static text is compared after decoding
 * percent-escapes of unreserved characters; a path with an invalid escape or an encoded NUL is
 * Q5_EENCODING.
 *
 * Q5_OK: match is filled in. Q5_NOT_FOUND: allow is 0 when the path is unknown (see
 * slash_differs), else the path is known and the method is not (405). */
Q5_EXTERN int q5_router_match(const q5_router *router, q5_method method, q5_slice path,
                              q5_route_match *match);

#endif
