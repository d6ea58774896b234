/* Handshakes: RFC 6455, 4.2.1, and the offers of RFC 7692. */
#include "q5/ws_handshake.h"

#include "http/headtest.h"
#include "q5test.h"

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n"
#define VERSION "Sec-WebSocket-Version: 13\n"
#define UPGRADE "Upgrade: websocket\n"

static q5_slice slice_of(const char *text) {
    return q5_slice_make(text, strlen(text));
}

static void make_head(q5_head *head, q5_method method, const char *lines) {
    head_from_lines(head, method, lines);
    head->version_minor = 1;
    head->upgrade = q5_head_known(head, Q5_FIELD_UPGRADE) != NULL;
}

static void test_check(void **state) {
    (void)state;
    static const struct {
        const char *lines;
        int status;
        q5_method method;
    } rows[] = {
        {UPGRADE KEY VERSION, Q5_OK, Q5_METHOD_GET},
        {"Upgrade: h2c, WebSocket\n" KEY VERSION, Q5_OK, Q5_METHOD_GET},
        {KEY VERSION, Q5_EWS_UPGRADE, Q5_METHOD_GET},
        {"Upgrade: h2c\n" KEY VERSION, Q5_EWS_UPGRADE, Q5_METHOD_GET},
        {UPGRADE KEY VERSION, Q5_EWS_HANDSHAKE, Q5_METHOD_POST},
        {UPGRADE KEY, Q5_EWS_VERSION, Q5_METHOD_GET},
        {UPGRADE KEY "Sec-WebSocket-Version: 8\n", Q5_EWS_VERSION, Q5_METHOD_GET},
        {UPGRADE KEY VERSION VERSION, Q5_EWS_HANDSHAKE, Q5_METHOD_GET},
        {UPGRADE VERSION, Q5_EWS_HANDSHAKE, Q5_METHOD_GET},
        {UPGRADE KEY KEY VERSION, Q5_EWS_HANDSHAKE, Q5_METHOD_GET},
        {UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ===\n", Q5_EWS_HANDSHAKE,
         Q5_METHOD_GET},
        {UPGRADE VERSION "Sec-WebSocket-Key: short\n", Q5_EWS_HANDSHAKE, Q5_METHOD_GET},
        {UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j!A==\n", Q5_EWS_HANDSHAKE,
         Q5_METHOD_GET},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_head head;
        q5_slice key;
        make_head(&head, rows[i].method, rows[i].lines);
        assert_status(q5_ws_handshake_check(&head, &key), rows[i].status);
        if (rows[i].status == Q5_OK) assert_slice(key, "dGhlIHNhbXBsZSBub25jZQ==");
    }
}

static void test_accept(void **state) {
    (void)state;
    char out[Q5_WS_ACCEPT_LEN];
    q5_ws_accept(Q5_LIT("dGhlIHNhbXBsZSBub25jZQ=="), out); /* 1.3 */
    assert_slice(q5_slice_make(out, sizeof(out)), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    q5_ws_accept(Q5_LIT("x3JJHMbDL1EzLkh9GBhXDw=="), out);
    assert_slice(q5_slice_make(out, sizeof(out)), "HSmrc0sMlYUkAGmm5OPpG2HaGWk=");
}

static void test_protocols(void **state) {
    (void)state;
    q5_head head;
    make_head(&head, Q5_METHOD_GET,
              "Sec-WebSocket-Protocol: chat.v2 ,, chat.v1\nSec-WebSocket-Protocol: other\n");
    assert_true(q5_ws_offers_protocol(&head, Q5_LIT("chat.v1")));
    assert_true(q5_ws_offers_protocol(&head, Q5_LIT("chat.v2")));
    assert_true(q5_ws_offers_protocol(&head, Q5_LIT("other")));
    assert_false(q5_ws_offers_protocol(&head, Q5_LIT("Chat.v1")));
    assert_false(q5_ws_offers_protocol(&head, Q5_LIT("chat")));
    assert_false(q5_ws_offers_protocol(&head, Q5_LIT("")));
}

static void test_origins(void **state) {
    (void)state;
    static const struct {
        const char *origin, *host;
        bool same;
    } rows[] = {
        {"https://example.com", "example.com", true},
        {"http://EXAMPLE.com:8000", "example.com:8000", true},
        {"https://example.com", "example.com:443", true},
        {"http://example.com", "example.com:80", true},
        {"http://example.com", "example.com:443", false},
        {"https://evil.com", "example.com", false},
        {"https://example.com.evil.com", "example.com", false},
        {"https://sub.example.com", "example.com", false},
        {"https://example.com:8443", "example.com", false},
        {"null", "null", false},
        {"", "example.com", false},
        {"https://", "", false},
        {"file://", "", false},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++)
        assert_int_equal(q5_ws_same_origin(slice_of(rows[i].origin), slice_of(rows[i].host), false),
                         rows[i].same);
    q5_slice host = Q5_LIT("example.com");
    assert_true(q5_ws_same_origin(Q5_LIT("https://example.com"), host, true));
    assert_false(q5_ws_same_origin(Q5_LIT("http://example.com"), host, true));
    assert_false(q5_ws_same_origin(Q5_LIT("HTTP://example.com"), host, true));
}

static void test_origin_patterns(void **state) {
    (void)state;
    static const struct {
        const char *origin, *pattern;
        bool matches;
    } rows[] = {
        {"https://example.com", "https://example.com", true},
        {"https://Example.com", "https://example.com", true},
        {"http://example.com", "https://example.com", false},
        {"https://a.example.com", "https://*.example.com", true},
        {"https://a.b.example.com", "https://*.example.com", true},
        {"https://example.com", "https://*.example.com", false},
        {"https://.example.com", "https://*.example.com", false},
        {"https://badexample.com", "https://*.example.com", false},
        {"http://a.example.com", "https://*.example.com", false},
        {"https://a.example.com:8443", "https://*.example.com", false},
        {"null", "null", true},
        {"null", "https://*.example.com", false},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++)
        assert_int_equal(q5_ws_origin_matches(slice_of(rows[i].origin), slice_of(rows[i].pattern)),
                         rows[i].matches);
}

/* Stateless with a window of 2^12 is what we wish for, unless a row says "keep". */
static void test_deflate_offers(void **state) {
    (void)state;
    static const char none[] = "permessage-deflate; server_no_context_takeover; "
                               "client_no_context_takeover; server_max_window_bits=12";
    static const struct {
        const char *offer, *answer; /* NULL: declined */
        bool keep;
        unsigned client_bits;
    } rows[] = {
        {"permessage-deflate", none, false, 15},
        {"Permessage-Deflate", none, false, 15},
        {"permessage-deflate; client_max_window_bits",
         "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
         "server_max_window_bits=12; client_max_window_bits=12",
         false, 12},
        {"permessage-deflate; client_max_window_bits=10",
         "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
         "server_max_window_bits=12; client_max_window_bits=10",
         false, 10},
        {"permessage-deflate; server_max_window_bits=\"9\"",
         "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
         "server_max_window_bits=9",
         false, 15},
        {"permessage-deflate", "permessage-deflate; server_max_window_bits=12", true, 15},
        {"permessage-deflate; server_no_context_takeover",
         "permessage-deflate; server_no_context_takeover; server_max_window_bits=12", true, 15},
        {"permessage-deflate; client_no_context_takeover",
         "permessage-deflate; client_no_context_takeover; server_max_window_bits=12", true, 15},
        {"foo, permessage-deflate; bar, permessage-deflate", none, false, 15},
        {"permessage-deflate; server_max_window_bits=8, permessage-deflate", none, false, 15},
        {"permessage-deflate; server_max_window_bits=8", NULL, false, 0},
        {"permessage-deflate; server_max_window_bits=16", NULL, false, 0},
        {"permessage-deflate; server_max_window_bits=09", NULL, false, 0},
        {"permessage-deflate; server_max_window_bits", NULL, false, 0},
        {"permessage-deflate; client_max_window_bits=7", NULL, false, 0},
        {"permessage-deflate; client_max_window_bits=", NULL, false, 0},
        {"permessage-deflate; server_no_context_takeover=1", NULL, false, 0},
        {"permessage-deflate; server_no_context_takeover; server_no_context_takeover", NULL, false,
         0},
        {"permessage-deflate; client_max_window_bits; client_max_window_bits", NULL, false, 0},
        {"permessage-deflate; unknown", NULL, false, 0},
        {"permessage-deflate; ", NULL, false, 0},
        {"permessage-deflate x", NULL, false, 0},
        {"x-webkit-deflate-frame", NULL, false, 0},
        {"", NULL, false, 0},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_head head;
        char lines[200], out[Q5_WS_EXTENSION_MAX];
        snprintf(lines, sizeof(lines), "Sec-WebSocket-Extensions: %s\n", rows[i].offer);
        make_head(&head, Q5_METHOD_GET, lines);
        q5_ws_deflate_wish wish = {.server_bits = 12,
                                   .client_bits = 12,
                                   .server_context = rows[i].keep,
                                   .client_context = rows[i].keep};
        q5_ws_deflate_terms terms;
        size_t len = 0;
        bool agreed = q5_ws_deflate_negotiate(&head, &wish, &terms, out, &len);
        if (agreed != (rows[i].answer != NULL)) print_error("%s\n", rows[i].offer);
        assert_int_equal(agreed, rows[i].answer != NULL);
        if (!agreed) continue;
        assert_slice(q5_slice_make(out, len), rows[i].answer);
        assert_int_equal(terms.client_bits, rows[i].client_bits);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),           cmocka_unit_test(test_accept),
        cmocka_unit_test(test_protocols),       cmocka_unit_test(test_origins),
        cmocka_unit_test(test_origin_patterns), cmocka_unit_test(test_deflate_offers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
