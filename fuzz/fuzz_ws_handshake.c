/* Handshakes: a head of the input's lines is judged, and what is agreed on is within bounds. The
 * first byte chooses what the server wishes for. */
#include <stdlib.h>

#include "q5/h1.h"
#include "q5/ws_handshake.h"

#define REQUIRE(condition)         \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void negotiate(const q5_head *head, uint8_t choice) {
    q5_ws_deflate_wish wish = {.server_bits = (uint8_t)(9 + choice % 7),
                               .client_bits = (uint8_t)(8 + choice / 8 % 8),
                               .server_context = choice & 64,
                               .client_context = choice & 128};
    q5_ws_deflate_terms terms;
    char out[Q5_WS_EXTENSION_MAX];
    size_t len = 0;
    if (!q5_ws_deflate_negotiate(head, &wish, &terms, out, &len)) return;
    REQUIRE(len > 0 && len < sizeof(out));
    REQUIRE(terms.server_bits >= 9 && terms.server_bits <= wish.server_bits);
    REQUIRE(terms.client_bits >= 8 && terms.client_bits <= 15);
    REQUIRE(wish.server_context || !terms.server_context);
    REQUIRE(wish.client_context || !terms.client_context);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    q5_head head;
    q5_h1_parser parser;
    q5_h1_limits limits = q5_h1_limits_default();
    size_t head_len;
    char *text = malloc(size);
    REQUIRE(text);
    memcpy(text, data + 1, size - 1);
    q5_h1_init(&parser, &limits, &head);
    if (q5_h1_parse(&parser, text, size - 1, &head_len) == Q5_OK) {
        q5_slice key = {NULL, 0};
        int status = q5_ws_handshake_check(&head, &key);
        REQUIRE(status == Q5_OK || q5_status_http(status) >= 400);
        if (status == Q5_OK) {
            char accept[Q5_WS_ACCEPT_LEN];
            REQUIRE(key.len == 24);
            q5_ws_accept(key, accept);
        }
        q5_ws_offers_protocol(&head, Q5_LIT("chat"));
        const q5_field *origin = q5_head_known(&head, Q5_FIELD_ORIGIN);
        if (origin) {
            bool same = q5_ws_same_origin(origin->value, head.host, false);
            REQUIRE(!same || origin->value.len > head.host.len);
            q5_ws_origin_matches(origin->value, Q5_LIT("https://*.example.com"));
        }
        negotiate(&head, data[0]);
    }
    free(text);
    return 0;
}
