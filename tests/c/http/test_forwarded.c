#include "q5/forwarded.h"

#include "headtest.h"
#include "q5test.h"

#define NETWORKS_MAX 4

typedef struct rig {
    q5_network networks[NETWORKS_MAX];
    q5_forwarded_policy policy;
} rig;

/* Trusted: 10.0.0.0/8, 2001:db8:ff::/48, and Unix sockets. */
static void rig_init(rig *self, q5_forwarded_kind kind) {
    static const q5_slice claims[] = {{"x-scheme", 8}};
    q5_network_parse(Q5_LIT("10.0.0.0/8"), &self->networks[0]);
    q5_network_parse(Q5_LIT("2001:db8:ff::/48"), &self->networks[1]);
    self->policy = (q5_forwarded_policy){.networks = self->networks,
                                         .network_count = 2,
                                         .trust_local = true,
                                         .kind = kind,
                                         .claims = claims,
                                         .claim_count = 1};
}

/* "client:port scheme host", a '-' for what is not known; or the status. */
static void describe(int status, const q5_client *client, char *out, size_t len) {
    static const char *const schemes[] = {"-", "http", "https"};
    char text[Q5_ADDRESS_TEXT_MAX];
    q5_address_format(&client->address, text);
    if (status) {
        snprintf(out, len, "%s", q5_status_name(status));
        return;
    }
    snprintf(out, len, "%s %u %s %.*s", *text ? text : "-", client->port, schemes[client->scheme],
             client->host.len ? (int)client->host.len : 1,
             client->host.len ? client->host.base : "-");
}

typedef struct row {
    const char *why;
    const char *lines;
    const char *client;
} row;

static void run_rows(const row *rows, size_t count, q5_forwarded_kind kind) {
    rig self;
    rig_init(&self, kind);
    q5_address peer;
    q5_address_parse(Q5_LIT("10.0.0.1"), &peer);
    for (size_t i = 0; i < count; i++) {
        q5_head head;
        q5_client client = {0};
        char got[256];
        head_from_lines(&head, Q5_METHOD_GET, rows[i].lines);
        int status = q5_forwarded_read(&self.policy, &head, &peer, &client);
        describe(status, &client, got, sizeof(got));
        if (strcmp(got, rows[i].client) != 0)
            fail_msg("%s (%s): %s", rows[i].why, rows[i].lines, got);
    }
}

#define X "X-Forwarded-For: "

static const row x_rows[] = {
    {"nothing forwarded: the proxy asks for itself", "", "10.0.0.1 0 - -"},
    {"one proxy", X "192.0.2.1", "192.0.2.1 0 - -"},
    {"two proxies", X "192.0.2.1, 10.0.0.2", "192.0.2.1 0 - -"},
    {"any number of spaces", X "192.0.2.1 ,\t10.0.0.2  ", "192.0.2.1 0 - -"},
    {"spoofed in front: never read", X "127.0.0.1, 192.0.2.1", "192.0.2.1 0 - -"},
    {"a trusted address spoofed in front", X "10.0.0.9, 192.0.2.1, 10.0.0.2", "192.0.2.1 0 - -"},
    {"spoofed in a field of its own", X "127.0.0.1\n" X "192.0.2.1", "192.0.2.1 0 - -"},
    {"the order of fields is the order of proxies", X "192.0.2.1\nA: b\nx-forwarded-for: 10.0.0.2",
     "192.0.2.1 0 - -"},
    {"garbage in front: never read", X "\"<script>, ::::, 192.0.2.1", "192.0.2.1 0 - -"},
    {"all of them proxies: one of them asks", X "10.0.0.3, 10.0.0.2", "10.0.0.3 0 - -"},
    {"a port", X "192.0.2.1:4711", "192.0.2.1 4711 - -"},
    {"IPv6", X "2001:db8::7", "2001:db8::7 0 - -"},
    {"IPv6 in brackets", X "[2001:db8::7]", "2001:db8::7 0 - -"},
    {"IPv6 with a port", X "[2001:db8::7]:4711", "2001:db8::7 4711 - -"},
    {"IPv6 past a trusted proxy", X "2001:db8::7, 2001:db8:ff::1", "2001:db8::7 0 - -"},
    {"IPv4 in IPv6's clothes is IPv4", X "192.0.2.1, ::ffff:10.0.0.2", "192.0.2.1 0 - -"},
    {"hidden by the proxy", X "unknown", "- 0 - -"},
    {"hidden: what stands before is not read", X "192.0.2.1, unknown", "- 0 - -"},
    {"RFC 7239, 6.3", X "192.0.2.1, _hidden.7", "- 0 - -"},
    {"nginx of a Unix socket", X "192.0.2.1, unix:", "- 0 - -"},
    {"an empty field is none", "X-Forwarded-For:", "10.0.0.1 0 - -"},
    {"empty where it counts: no spoofed one instead", X "192.0.2.1,", "EFORWARDED"},
    {"the same in a field of its own", X "192.0.2.1\nX-Forwarded-For:", "EFORWARDED"},
    {"garbage where it counts", X "192.0.2.1, x", "EFORWARDED"},
    {"leading zeros", X "192.0.2.01", "EFORWARDED"},
    {"a zone", X "fe80::1%eth0", "EFORWARDED"},
    {"a quoted address", X "\"192.0.2.1\"", "EFORWARDED"},
    {"no port behind the colon", X "192.0.2.1:", "EFORWARDED"},
    {"no port at all", X "192.0.2.1:65536", "EFORWARDED"},
    {"a port with a sign", X "192.0.2.1:+80", "EFORWARDED"},
    {"IPv4 in brackets", X "[192.0.2.1]", "EFORWARDED"},
    {"an open bracket", X "[2001:db8::7", "EFORWARDED"},
    {"text behind the bracket", X "[2001:db8::7]x", "EFORWARDED"},
    {"digits of another script", X "\xd9\xa1.2.3.4", "EFORWARDED"},
    {"a list of spaces", X "192.0.2.1 10.0.0.2", "EFORWARDED"},
    {"Forwarded is not read", "Forwarded: for=127.0.0.1\n" X "192.0.2.1", "192.0.2.1 0 - -"},
    {"Forwarded alone is not read", "Forwarded: for=127.0.0.1", "10.0.0.1 0 - -"},
    {"an underscore is another name", "X_Forwarded_For: 127.0.0.1", "10.0.0.1 0 - -"},
    /* Scheme and host. */
    {"TLS ends at the proxy", X "192.0.2.1\nX-Forwarded-Proto: https", "192.0.2.1 0 https -"},
    {"without an address", "X-Forwarded-Proto: HTTPS", "10.0.0.1 0 https -"},
    {"plain", "X-Forwarded-Proto: http", "10.0.0.1 0 http -"},
    {"WebSocket over TLS", "X-Forwarded-Proto: wss", "10.0.0.1 0 https -"},
    {"one word for two proxies", X "192.0.2.1, 10.0.0.2\nX-Forwarded-Proto: https",
     "192.0.2.1 0 https -"},
    {"a word of each proxy: the outermost's",
     X "192.0.2.1, 10.0.0.2\nX-Forwarded-Proto: https, http", "192.0.2.1 0 https -"},
    {"and what the client has put before", X "9.9.9.9, 192.0.2.1\nX-Forwarded-Proto: https, http",
     "192.0.2.1 0 http -"},
    {"as a field of its own", X "192.0.2.1\nX-Forwarded-Proto: https\nX-Forwarded-Proto: http",
     "192.0.2.1 0 http -"},
    {"too few words: nobody knows whose",
     X "192.0.2.1, 10.0.0.2, 10.0.0.3\nX-Forwarded-Proto: https, http", "192.0.2.1 0 - -"},
    {"no scheme", "X-Forwarded-Proto: https\xc2\xa0", "10.0.0.1 0 - -"},
    {"a host", X "192.0.2.1\nX-Forwarded-Host: Example.com:8443", "192.0.2.1 0 - Example.com:8443"},
    {"the outermost proxy's", X "192.0.2.1\nX-Forwarded-Host: evil.example, good.example",
     "192.0.2.1 0 - good.example"},
    {"no host", "X-Forwarded-Host: a/b", "EFORWARDED"},
    {"user information", "X-Forwarded-Host: a@b", "EFORWARDED"},
};

static void test_x(void **state) {
    (void)state;
    run_rows(x_rows, Q5_ARRAY_LEN(x_rows), Q5_FORWARDED_X);
}

#define F "Forwarded: "

static const row list_rows[] = {
    {"nothing forwarded", "", "10.0.0.1 0 - -"},
    {"an empty field is none", "Forwarded:", "10.0.0.1 0 - -"},
    {"RFC 7239, 4", F "for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60 0 http -"},
    {"RFC 7239, 4: case, and a port", F "For=\"[2001:db8:cafe::17]:4711\"",
     "2001:db8:cafe::17 4711 - -"},
    {"RFC 7239, 4: two hops", F "for=192.0.2.43, for=198.51.100.17", "198.51.100.17 0 - -"},
    {"past a trusted proxy", F "for=192.0.2.43, for=10.0.0.2", "192.0.2.43 0 - -"},
    {"RFC 7239, 6.3: hidden", F "for=_gazonk", "- 0 - -"},
    {"RFC 7239, 6.2: unknown", F "for=192.0.2.1, for=unknown", "- 0 - -"},
    {"no word of for whom", F "for=192.0.2.1, proto=https", "- 0 https -"},
    {"RFC 7239, 7.1: fields are one list", F "for=192.0.2.43\n" F "for=10.0.0.2;proto=https",
     "192.0.2.43 0 - -"},
    {"scheme and host of the outermost trusted proxy",
     F
     "for=1.2.3.4;proto=http;host=evil.example, for=192.0.2.1;proto=https;host=\"a.example:444\", "
     "for=10.0.0.2;proto=http",
     "192.0.2.1 0 https a.example:444"},
    {"semicolons and spaces", F ";for=192.0.2.1 ; ;proto=https; , ", "- 0 - -"},
    {"unknown parameters", F "for=192.0.2.1;secret=\"x,y;z\"", "192.0.2.1 0 - -"},
    {"X-Forwarded-For is not read", "X-Forwarded-For: 127.0.0.1", "10.0.0.1 0 - -"},
    {"a quote that swallows the proxy's entry", F "for=127.0.0.1;x=\", for=192.0.2.1",
     "EFORWARDED"},
    {"and one that the proxy's own closes", F "for=127.0.0.1;x=\", for=\"[2001:db8::7]\"",
     "EFORWARDED"},
    {"an escape", F "for=\"192.0.2.1\\\"", "EFORWARDED"},
    {"twice in one element", F "for=127.0.0.1;for=192.0.2.1", "EFORWARDED"},
    {"the same in another case", F "proto=http;Proto=https;for=192.0.2.1", "EFORWARDED"},
    {"IPv6 without quotes", F "for=[2001:db8::7]", "EFORWARDED"},
    {"IPv6 without brackets is taken", F "for=\"2001:db8::7\"", "2001:db8::7 0 - -"},
    {"a port without quotes", F "for=192.0.2.1:80", "EFORWARDED"},
    {"a hidden port", F "for=\"192.0.2.1:_x\"", "192.0.2.1 0 - -"},
    {"a name alone", F "for", "EFORWARDED"},
    {"no value", F "for=", "EFORWARDED"},
    {"spaces around '='", F "for =192.0.2.1", "EFORWARDED"},
    {"garbage anywhere", F "<>, for=192.0.2.1", "EFORWARDED"},
    {"no address", F "for=example.com", "EFORWARDED"},
    {"no host", F "for=192.0.2.1;host=\"a b\"", "EFORWARDED"},
};

static void test_list(void **state) {
    (void)state;
    run_rows(list_rows, Q5_ARRAY_LEN(list_rows), Q5_FORWARDED_RFC_7239);
}

/* No more proxies than the bound, in either kind, however many entries there are. */
static void test_hops(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        rig self;
        rig_init(&self, (q5_forwarded_kind)kind);
        for (int hops = Q5_FORWARDED_HOPS_MAX - 1; hops <= Q5_FORWARDED_HOPS_MAX; hops++) {
            char lines[4096];
            const char *prefix = kind ? "for=" : "";
            strcpy(lines, kind ? F : X);
            for (int i = 0; i < 40; i++)
                sprintf(lines + strlen(lines), "%s6.6.6.6, ", prefix);
            sprintf(lines + strlen(lines), "%s192.0.2.1", prefix);
            for (int i = 0; i < hops; i++)
                sprintf(lines + strlen(lines), ", %s10.0.0.2", prefix);
            q5_head head;
            q5_client client = {0};
            q5_address peer = {.len = 4, .bytes = {10}};
            head_from_lines(&head, Q5_METHOD_GET, lines);
            int status = q5_forwarded_read(&self.policy, &head, &peer, &client);
            assert_status(status, hops < Q5_FORWARDED_HOPS_MAX ? Q5_OK : Q5_EFORWARDED);
        }
    }
}

static void test_trust(void **state) {
    (void)state;
    static const struct {
        const char *peer;
        bool trusted;
    } rows[] = {{"10.1.2.3", true},   {"::ffff:10.1.2.3", true}, {"11.0.0.1", false},
                {"127.0.0.1", false}, {"2001:db8:ff::1", true},  {"2001:db8::1", false}};
    rig self;
    rig_init(&self, Q5_FORWARDED_X);
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_address peer;
        q5_address_parse(q5_slice_make(rows[i].peer, strlen(rows[i].peer)), &peer);
        if (q5_forwarded_trusts(&self.policy, &peer) != rows[i].trusted)
            fail_msg("%s", rows[i].peer);
    }
    q5_address local = {0};
    assert_true(q5_forwarded_trusts(&self.policy, &local));
    self.policy.trust_local = false;
    assert_false(q5_forwarded_trusts(&self.policy, &local));
}

#define ALL                                                                                    \
    "Cookie: a\nForwarded: b\nX-Forwarded-For: c\nx-forwarded-proto: d\nX-Forwarded-Host: e\n" \
    "X-Forwarded-Port: f\nX-Real-IP: g\nX-Scheme: h\nX_Forwarded_For: i\nx-real_ip: j\n"       \
    "X-Forward: k\nOrigin: l\nCookie: m"

static void test_strip(void **state) {
    (void)state;
    static const struct {
        q5_forwarded_kind kind;
        bool trusted;
        const char *left;
    } rows[] = {
        {Q5_FORWARDED_X, false, "aklm"},
        {Q5_FORWARDED_RFC_7239, false, "aklm"},
        {Q5_FORWARDED_X, true, "acfghklm"},
        {Q5_FORWARDED_RFC_7239, true, "abfghklm"},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        rig self;
        q5_head head;
        char left[16] = "";
        rig_init(&self, rows[i].kind);
        head_from_lines(&head, Q5_METHOD_GET, ALL);
        assert_true(q5_forwarded_strip(&self.policy, &head, rows[i].trusted));
        for (uint16_t k = 0; k < head.field_count; k++)
            strncat(left, head.fields[k].value.base, 1);
        assert_string_equal(left, rows[i].left);
        assert_slice(q5_head_known(&head, Q5_FIELD_COOKIE)->value, "a");
        assert_slice(q5_head_known(&head, Q5_FIELD_ORIGIN)->value, "l");
        assert_null(q5_head_known(&head, Q5_FIELD_HOST));
        assert_false(q5_forwarded_strip(&self.policy, &head, rows[i].trusted));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_x),     cmocka_unit_test(test_list),  cmocka_unit_test(test_hops),
        cmocka_unit_test(test_trust), cmocka_unit_test(test_strip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
