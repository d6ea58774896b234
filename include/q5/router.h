/* A radix tree over the still percent-encoded path: static text, typed parameters, methods. Built
 * once at start-up, then read only: from then on it may be shared by threads.
 *
 * How a path is read: "%XX" stands for its byte wherever text or a converter's characters are
 * compared, with one exception: "%2F" is never the '/' that divides segments. */
#ifndef Q5_ROUTER_H
#define Q5_ROUTER_H

#include "q5/alloc.h"
#include "q5/head.h"

#define Q5_ROUTE_PARAMS_MAX 16
#define Q5_ROUTE_PATTERN_MAX 2048
/* Parameters that stand behind a parameter whose end is not fixed, see q5_router_match. */
#define Q5_ROUTE_NESTED_MAX 256
/* Longer paths get no answer in slash_differs. */
#define Q5_ROUTE_SLASH_PATH_MAX 1024

/* In the order of their priority, the narrowest first. */
typedef enum q5_convert {
    Q5_CONVERT_INT,    /* [0-9]+, at most 19 digits and within int64, else no match */
    Q5_CONVERT_UUID,   /* 8-4-4-4-12 lower-case hex, as Django's */
    Q5_CONVERT_SLUG,   /* [-a-zA-Z0-9_]+ */
    Q5_CONVERT_CUSTOM, /* `accepts` decides; matches one segment, like STR */
    Q5_CONVERT_STR,    /* one or more bytes, no '/' */
    Q5_CONVERT_PATH,   /* one or more bytes, '/' included; no line feed, as Django's ".+" */
} q5_convert;

/* Decides whether a custom converter takes the segment, given as sent, percent-encoded. Called
 * from match, so it must be re-entrant and fast. */
typedef bool (*q5_convert_accepts)(void *ctx, q5_slice segment);

typedef struct q5_route_param {
    q5_slice value; /* as sent, percent-encoded; points into the path */
    int64_t number; /* of an INT */
    uint8_t convert;
} q5_route_param;

typedef struct q5_route_match {
    void *route; /* what was given to add; NULL when no method fits */
    /* With Q5_NOT_FOUND: a bit (1 << q5_method) for each method under which some pattern matches
     * the path, HEAD with GET; for 405. With Q5_OK only the patterns looked at are in it, and bit 0
     * stands for a route that takes any method. */
    uint32_t allow;
    /* With Q5_NOT_FOUND and allow == 0: the path would match some method with its trailing slash
     * added or removed. */
    bool slash_differs;
    uint8_t param_count;
    q5_route_param params[Q5_ROUTE_PARAMS_MAX]; /* in the pattern's order */
} q5_route_match;

typedef struct q5_router q5_router;

/* NULL when out of memory. `alloc` may be NULL, else it outlives the router. */
Q5_EXTERN q5_router *q5_router_create(const q5_alloc *alloc);
/* Does nothing to NULL. The routes themselves belong to the caller. */
Q5_EXTERN void q5_router_destroy(q5_router *router);

/* Names a custom converter for later patterns; the name is copied, `ctx` outlives the router. Of
 * two custom converters the one named first is tried first.
 * Q5_EINVAL when the name is taken, built in, empty or has ':', '<', '>' or white space; Q5_ENOMEM.
 */
Q5_EXTERN int q5_router_add_converter(q5_router *router, q5_slice name, q5_convert_accepts accepts,
                                      void *ctx);

/* Adds `route` (not NULL) under a pattern in Django's spelling with a leading slash:
 * "/cities/<int:id>/near"; "<name>" is "<str:name>". A parameter is a whole segment or has static
 * text before and behind it inside its segment ("/v<int:major>.<int:minor>"), so two parameters
 * never touch. Method Q5_METHOD_OTHER: any method. HEAD is answered by GET's route unless one was
 * added for it. The pattern is copied.
 *
 * Q5_EROUTE: malformed, a NUL in the text, unknown converter, a name twice in one pattern, past one
 * of the limits above, the same method and pattern twice (names of parameters make no difference),
 * or a custom parameter with static text behind it in its segment which itself stands behind a
 * parameter without a fixed end. *ret_error, if not NULL, is the offset in the pattern.
 * Q5_EINVAL: route is NULL or method no method. Q5_ENOMEM: nothing was added. */
Q5_EXTERN int q5_router_add(q5_router *router, q5_method method, q5_slice pattern, void *route,
                            size_t *ret_error);

/* Visits each route in the order in which they were added, with its pattern as given. Stops when
 * `visit` returns other than 0, and returns that; else 0. */
Q5_EXTERN int
q5_router_each(const q5_router *router,
               int (*visit)(void *ctx, q5_method method, q5_slice pattern, void *route), void *ctx);

/* Finds the route. Static text wins over a parameter, narrower converters over wider ones
 * (INT, UUID, SLUG, CUSTOM, STR, PATH), whatever the order in which they were added. A parameter
 * that its converter lets end in several places takes the longest run behind which the pattern
 * goes on, as a regex would; a pattern that ends with it is tried last ("/<a>.json" before "/<a>").
 * A branch that leads nowhere, or knows the path but not the method, is left for the next one.
 *
 * Time: no branch of the tree is followed twice from one place of the path, whatever the patterns,
 * so the work is bounded by nodes of the tree times length of the path and, unless a parameter is
 * followed by text that its own converter would take too, visits each node once. No allocation, no
 * recursion deeper than Q5_ROUTE_PARAMS_MAX; about 5 KiB of stack.
 *
 * Q5_OK: match is filled in. Q5_NOT_FOUND: allow is 0 when the path is unknown (see slash_differs),
 * else the path is known and the method is not (405). Q5_EENCODING: the path has a '%' without two
 * hex digits or an encoded NUL. */
Q5_EXTERN int q5_router_match(const q5_router *router, q5_method method, q5_slice path,
                              q5_route_match *match);

#endif
