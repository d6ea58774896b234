/* Who may open a WebSocket: browsers send Origin (RFC 6455, 10.2), and let every page ask. */
#include "q5/ws_handshake.h"

typedef struct origin {
    q5_slice scheme; /* with its "://"; empty: none of these */
    q5_slice host;   /* with its port */
} origin;

static bool begins_with(q5_slice text, q5_slice start) {
    return text.len >= start.len && q5_slice_ieq(q5_slice_make(text.base, start.len), start);
}

static bool ends_with(q5_slice text, q5_slice end) {
    return text.len >= end.len &&
           q5_slice_ieq(q5_slice_make(text.base + text.len - end.len, end.len), end);
}

/* "null", a file or an extension's page have no scheme that counts. */
static origin split(q5_slice text) {
    origin made = {{NULL, 0}, text};
    if (begins_with(text, Q5_LIT("http://")))
        made.scheme = q5_slice_make(text.base, 7);
    else if (begins_with(text, Q5_LIT("https://")))
        made.scheme = q5_slice_make(text.base, 8);
    made.host = q5_slice_make(text.base + made.scheme.len, text.len - made.scheme.len);
    return made;
}

bool q5_ws_same_origin(q5_slice text, q5_slice host, bool is_https) {
    origin from = split(text);
    bool is_plain = q5_slice_ieq(from.scheme, Q5_LIT("http://"));
    if (!from.scheme.len || !from.host.len || (is_plain && is_https)) return false;
    if (q5_slice_ieq(from.host, host)) return true;
    /* Origin leaves the scheme's port out (RFC 6454, 6.2), Host may have it all the same. */
    q5_slice port = is_plain ? Q5_LIT(":80") : Q5_LIT(":443");
    return host.len == from.host.len + port.len && begins_with(host, from.host) &&
           ends_with(host, port);
}

bool q5_ws_origin_matches(q5_slice text, q5_slice pattern) {
    if (q5_slice_ieq(text, pattern)) return true;
    origin from = split(text), wanted = split(pattern);
    if (!from.scheme.len || !q5_slice_ieq(from.scheme, wanted.scheme)) return false;
    if (!begins_with(wanted.host, Q5_LIT("*."))) return false;
    /* The dot stays: "*.example.com" is no "badexample.com". */
    q5_slice end = q5_slice_make(wanted.host.base + 1, wanted.host.len - 1);
    return from.host.len > end.len && ends_with(from.host, end);
}
