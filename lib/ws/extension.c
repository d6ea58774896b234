/* The negotiation of permessage-deflate (RFC 7692, 7.1). */
#include "q5/ws_handshake.h"

#include <stdio.h>

#include "http/params.h"

#define BITS_MIN 8
#define BITS_MAX 15
#define SERVER_BITS_MIN 9 /* zlib's deflate has no raw window of 256 bytes */

typedef struct offer {
    bool server_no_context, client_no_context, server_bits_given, client_bits_given;
    uint8_t server_bits, client_bits; /* client_bits 0: given without a value */
} offer;

typedef struct scan {
    q5_slice text;
    size_t pos;
} scan;

static bool at_end(scan *s, char stop) {
    q5__skip_ows(s->text, &s->pos);
    return s->pos == s->text.len || s->text.base[s->pos] == stop;
}

/* A token, or one in quotes (RFC 6455, 9.1). */
static q5_slice take_value(scan *s) {
    bool quoted = s->pos < s->text.len && s->text.base[s->pos] == '"';
    s->pos += quoted;
    q5_slice value = q5__token(s->text, &s->pos);
    if (!quoted) return value;
    if (s->pos == s->text.len || s->text.base[s->pos] != '"') return q5_slice_make(NULL, 0);
    s->pos++;
    return value;
}

/* 8 to 15, without a leading zero; 0 for anything else. */
static uint8_t read_bits(q5_slice value) {
    unsigned bits = 0;
    if (value.len == 1 && value.base[0] >= '8' && value.base[0] <= '9')
        bits = (unsigned)(value.base[0] - '0');
    else if (value.len == 2 && value.base[0] == '1' && value.base[1] >= '0' && value.base[1] <= '5')
        bits = 10 + (unsigned)(value.base[1] - '0');
    return (uint8_t)bits;
}

/* False: unknown, invalid or a second one of its kind (7.1: such an offer must be declined). */
static bool take_param(offer *o, q5_slice name, bool has_value, q5_slice value) {
    bool *flag = NULL;
    if (q5_slice_ieq(name, Q5_LIT("server_no_context_takeover")))
        flag = &o->server_no_context;
    else if (q5_slice_ieq(name, Q5_LIT("client_no_context_takeover")))
        flag = &o->client_no_context;
    if (flag) {
        bool first = !*flag;
        *flag = true;
        return first && !has_value;
    }
    if (q5_slice_ieq(name, Q5_LIT("server_max_window_bits"))) {
        bool first = !o->server_bits_given;
        o->server_bits_given = true;
        o->server_bits = read_bits(value);
        return first && o->server_bits;
    }
    if (!q5_slice_ieq(name, Q5_LIT("client_max_window_bits")) || o->client_bits_given) return false;
    o->client_bits_given = true;
    o->client_bits = read_bits(value);
    return !has_value || o->client_bits;
}

/* The offer at s->pos, up to its comma. True: it is one for us, and well-formed. */
static bool take_offer(scan *s, offer *ret) {
    *ret = (offer){.server_bits = BITS_MAX};
    q5__skip_ows(s->text, &s->pos);
    bool good = q5_slice_ieq(q5__token(s->text, &s->pos), Q5_LIT("permessage-deflate"));
    while (good && !at_end(s, ',')) {
        if (s->text.base[s->pos] != ';') return false;
        s->pos++;
        q5__skip_ows(s->text, &s->pos);
        q5_slice name = q5__token(s->text, &s->pos), value = {NULL, 0};
        bool has_value = !at_end(s, ';') && s->text.base[s->pos] == '=';
        s->pos += has_value;
        if (has_value) value = take_value(s);
        good = (!has_value || value.len) && take_param(ret, name, has_value, value);
    }
    return good;
}

/* Behind the comma that ends an offer, whose values may have none (tokens all of them). */
static void skip_offer(scan *s) {
    while (s->pos < s->text.len && s->text.base[s->pos] != ',')
        s->pos++;
    if (s->pos < s->text.len) s->pos++;
}

static uint8_t least(uint8_t a, uint8_t b) {
    return a < b ? a : b;
}

static size_t accept(const offer *o, const q5_ws_deflate_wish *wish, q5_ws_deflate_terms *terms,
                     char out[Q5_WS_EXTENSION_MAX]) {
    *terms = (q5_ws_deflate_terms){
        .server_bits = least(o->server_bits, wish->server_bits),
        .client_bits = o->client_bits_given
                           ? least(o->client_bits ? o->client_bits : BITS_MAX, wish->client_bits)
                           : BITS_MAX,
        .server_context = wish->server_context && !o->server_no_context,
        .client_context = wish->client_context && !o->client_no_context};
    char server_bits[32] = "", client_bits[32] = "";
    if (o->server_bits_given || terms->server_bits < BITS_MAX)
        snprintf(server_bits, sizeof(server_bits), "; server_max_window_bits=%u",
                 terms->server_bits);
    if (o->client_bits_given && terms->client_bits < BITS_MAX)
        snprintf(client_bits, sizeof(client_bits), "; client_max_window_bits=%u",
                 terms->client_bits);
    return (size_t)snprintf(out, Q5_WS_EXTENSION_MAX, "permessage-deflate%s%s%s%s",
                            terms->server_context ? "" : "; server_no_context_takeover",
                            terms->client_context ? "" : "; client_no_context_takeover",
                            server_bits, client_bits);
}

bool q5_ws_deflate_negotiate(const q5_head *head, const q5_ws_deflate_wish *wish,
                             q5_ws_deflate_terms *ret_terms, char out[Q5_WS_EXTENSION_MAX],
                             size_t *ret_len) {
    static const q5_slice name = {"Sec-WebSocket-Extensions", 24};
    const q5_field *field = q5_head_find(head, name, 0);
    while (field) {
        for (scan s = {.text = field->value}; s.pos < s.text.len; skip_offer(&s)) {
            offer found;
            if (!take_offer(&s, &found) || found.server_bits < SERVER_BITS_MIN) continue;
            *ret_len = accept(&found, wish, ret_terms, out);
            return true;
        }
        field = q5_head_find(head, name, (uint16_t)(field - head->fields + 1));
    }
    return false;
}
