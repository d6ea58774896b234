#include "q5/address.h"

#include "q5test.h"

static const struct {
    const char *text;
    const char *out; /* NULL: none */
} addresses[] = {
    {"192.0.2.1", "192.0.2.1"},
    {"0.0.0.0", "0.0.0.0"},
    {"2001:db8::1", "2001:db8::1"},
    {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"}, /* RFC 5952, 4 */
    {"::", "::"},
    {"::ffff:192.0.2.1", "192.0.2.1"},
    {"::ffff:c000:201", "192.0.2.1"},
    {"::192.0.2.1", "::192.0.2.1"}, /* not a mapped one */
    {"", NULL},
    {" 192.0.2.1", NULL},
    {"192.0.2.1 ", NULL},
    {"192.0.2.1:80", NULL},
    {"192.0.2", NULL},    /* which inet_aton() takes */
    {"192.0.2.01", NULL}, /* octal for some: CVE-2021-29921 */
    {"0xc0.0.2.1", NULL},
    {"3221225985", NULL},
    {"192.0.2.256", NULL},
    {"192.0.2.1.5", NULL},
    {"[::1]", NULL},
    {"fe80::1%eth0", NULL}, /* a zone means nothing elsewhere: RFC 4007, 11.2 */
    {"::1::", NULL},
    {"1:2:3:4:5:6:7:8:9", NULL},
    {"\xd9\xa1.2.3.4", NULL}, /* U+0661, a digit for some */
    {"localhost", NULL},
    {"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", NULL},
};

static void test_addresses(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(addresses); i++) {
        const char *text = addresses[i].text;
        q5_address address = {.len = 77};
        char out[Q5_ADDRESS_TEXT_MAX] = "none";
        int status = q5_address_parse(q5_slice_make(text, strlen(text)), &address);
        size_t len = status == Q5_OK ? q5_address_format(&address, out) : strlen(out);
        assert_int_equal(len, strlen(out));
        if (status != Q5_OK) assert_int_equal(address.len, 77);
        if (strcmp(out, addresses[i].out ? addresses[i].out : "none") != 0)
            fail_msg("row %zu, %s: %s", i, text, out);
    }
    q5_address address;
    assert_status(q5_address_parse(q5_slice_make("1.2.3.4\0x", 9), &address), Q5_EINVAL);
}

static void test_unknown(void **state) {
    (void)state;
    q5_address unknown = {0};
    q5_network any;
    char out[Q5_ADDRESS_TEXT_MAX];
    assert_int_equal(q5_address_format(&unknown, out), 0);
    assert_string_equal(out, "");
    assert_status(q5_network_parse(Q5_LIT("0.0.0.0/0"), &any), Q5_OK);
    assert_false(q5_network_has(&any, &unknown));
}

static const struct {
    const char *network;
    const char *address; /* NULL: the network is malformed */
    bool has;
} networks[] = {
    {"10.0.0.0/8", "10.255.0.1", true},
    {"10.0.0.0/8", "11.0.0.1", false},
    {"10.0.0.0/8", "::a00:1", false},
    {"10.0.0.0/8", "::ffff:10.1.2.3", true},
    {"192.0.2.1", "192.0.2.1", true},
    {"192.0.2.1", "192.0.2.2", false},
    {"192.0.2.128/25", "192.0.2.127", false},
    {"192.0.2.128/25", "192.0.2.200", true},
    {"0.0.0.0/0", "203.0.113.9", true},
    {"0.0.0.0/0", "2001:db8::1", false},
    {"2001:db8::/32", "2001:db8:ffff::1", true},
    {"2001:db8::/33", "2001:db8:ffff::1", false},
    {"::/0", "2001:db8::1", true},
    {"::/0", "192.0.2.1", false},
    {"::ffff:10.0.0.0/104", "10.9.9.9", true},
    {"10.0.0.1/8", NULL, false}, /* which of the two was meant? */
    {"10.0.0.0/33", NULL, false},
    {"10.0.0.0/", NULL, false},
    {"10.0.0.0/08", NULL, false},
    {"10.0.0.0/-1", NULL, false},
    {"10.0.0.0/8 ", NULL, false},
    {"10.0.0.0/255.0.0.0", NULL, false},
    {"2001:db8::/129", NULL, false},
    {"/8", NULL, false},
    {"", NULL, false},
};

static void test_networks(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(networks); i++) {
        const char *text = networks[i].network, *inside = networks[i].address;
        q5_network network;
        int status = q5_network_parse(q5_slice_make(text, strlen(text)), &network);
        if ((status == Q5_OK) != (inside != NULL)) fail_msg("row %zu: %s", i, text);
        if (!inside) continue;
        q5_address address;
        assert_status(q5_address_parse(q5_slice_make(inside, strlen(inside)), &address), Q5_OK);
        if (q5_network_has(&network, &address) != networks[i].has) fail_msg("row %zu: %s", i, text);
    }
}

static void test_mask(void **state) {
    (void)state;
    q5_address address;
    char out[Q5_ADDRESS_TEXT_MAX];
    assert_status(q5_address_parse(Q5_LIT("2001:db8:1:2:3:4:5:6"), &address), Q5_OK);
    q5_address_mask(&address, 128);
    q5_address_mask(&address, 64);
    q5_address_format(&address, out);
    assert_string_equal(out, "2001:db8:1:2::");
    q5_address_mask(&address, 31);
    q5_address_format(&address, out);
    assert_string_equal(out, "2001:db8::");
    q5_address_mask(&address, 0);
    q5_address_format(&address, out);
    assert_string_equal(out, "::");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_mask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
