#include "q5/ws_handshake.h"

#include "base/sha1.h"
#include "http/params.h"

#define KEY_LEN 24
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The next member of a list (RFC 9110, 5.6.1) from *pos on, without white space around it; empty
 * members are passed over. False at the end. */
static bool next_member(q5_slice list, size_t *pos, q5_slice *ret_member) {
    while (*pos < list.len) {
        q5__skip_ows(list, pos);
        size_t start = *pos;
        while (*pos < list.len && list.base[*pos] != ',')
            (*pos)++;
        size_t end = *pos;
        if (*pos < list.len) (*pos)++;
        while (end > start && (list.base[end - 1] == ' ' || list.base[end - 1] == '\t'))
            end--;
        if (end == start) continue;
        *ret_member = q5_slice_make(list.base + start, end - start);
        return true;
    }
    return false;
}

/* The only field of that name, NULL without one; *ret_twice when there are more. */
static const q5_field *only_field(const q5_head *head, q5_slice name, bool *ret_twice) {
    const q5_field *field = q5_head_find(head, name, 0);
    if (field && q5_head_find(head, name, (uint16_t)(field - head->fields + 1))) *ret_twice = true;
    return field;
}

static bool names_websocket(const q5_head *head) {
    if (!head->upgrade) return false;
    const q5_field *field = q5_head_known(head, Q5_FIELD_UPGRADE);
    q5_slice member;
    for (size_t pos = 0; field && next_member(field->value, &pos, &member);)
        if (q5_slice_ieq(member, Q5_LIT("websocket"))) return true;
    return false;
}

/* Base64 of 16 bytes: 22 digits and two signs of padding. */
static bool valid_key(q5_slice key) {
    if (key.len != KEY_LEN || key.base[22] != '=' || key.base[23] != '=') return false;
    for (size_t i = 0; i < 22; i++)
        if (key.base[i] == '\0' || !strchr(base64, key.base[i])) return false;
    return true;
}

int q5_ws_handshake_check(const q5_head *head, q5_slice *ret_key) {
    if (!names_websocket(head)) return Q5_EWS_UPGRADE;
    bool twice = false;
    const q5_field *version = only_field(head, Q5_LIT("Sec-WebSocket-Version"), &twice);
    const q5_field *key = only_field(head, Q5_LIT("Sec-WebSocket-Key"), &twice);
    if (head->method_id != Q5_METHOD_GET || head->chunked || head->content_length || twice)
        return Q5_EWS_HANDSHAKE;
    if (!version || !q5_slice_eq(version->value, Q5_LIT("13"))) return Q5_EWS_VERSION;
    if (!key || !valid_key(key->value)) return Q5_EWS_HANDSHAKE;
    *ret_key = key->value;
    return Q5_OK;
}

void q5_ws_accept(q5_slice key, char out[Q5_WS_ACCEPT_LEN]) {
    char text[KEY_LEN + sizeof(GUID) - 1];
    /* One byte more than the digest, so that groups of three come out even. */
    uint8_t digest[Q5__SHA1_LEN + 1] = {0};
    memcpy(text, key.base, KEY_LEN);
    memcpy(text + KEY_LEN, GUID, sizeof(GUID) - 1);
    q5__sha1(q5_slice_make(text, sizeof(text)), digest);
    for (size_t i = 0, at = 0; at < sizeof(digest); at += 3) {
        uint32_t group =
            (uint32_t)digest[at] << 16 | (uint32_t)digest[at + 1] << 8 | digest[at + 2];
        for (int shift = 18; shift >= 0; shift -= 6)
            out[i++] = base64[group >> shift & 63];
    }
    out[Q5_WS_ACCEPT_LEN - 1] = '=';
}

bool q5_ws_offers_protocol(const q5_head *head, q5_slice protocol) {
    static const q5_slice name = {"Sec-WebSocket-Protocol", 22};
    const q5_field *field = q5_head_find(head, name, 0);
    while (field) {
        q5_slice member;
        for (size_t pos = 0; next_member(field->value, &pos, &member);)
            if (q5_slice_eq(member, protocol)) return true;
        field = q5_head_find(head, name, (uint16_t)(field - head->fields + 1));
    }
    return false;
}
