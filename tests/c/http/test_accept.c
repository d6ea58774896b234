#include "q5/accept.h"

#include "headtest.h"
#include "q5test.h"

/* The order of what is taken when zstd, br, gzip and identity are offered. */
static const struct row {
    const char *why;
    const char *lines;
    const char *order;
} rows[] = {
    {"not sent", "", "identity "},
    {"RFC 9110, 12.5.3: an empty field: the user agent wants no coding",
     "Accept-Encoding:", "identity "},
    {"a browser", "Accept-Encoding: gzip, deflate, br, zstd", "zstd br gzip identity "},
    {"RFC 9110, 12.5.3: compress, gzip", "Accept-Encoding: compress, gzip", "gzip identity "},
    {"RFC 9110, 12.5.3: *", "Accept-Encoding: *", "zstd br gzip identity "},
    {"RFC 9110, 12.5.3: compress;q=0.5, gzip;q=1.0", "Accept-Encoding: compress;q=0.5, gzip;q=1.0",
     "gzip identity "},
    {"RFC 9110, 12.5.3: gzip;q=1.0, identity; q=0.5, *;q=0",
     "Accept-Encoding: gzip;q=1.0, identity; q=0.5, *;q=0", "gzip identity "},
    {"the client's order goes before ours", "Accept-Encoding: zstd;q=0.1, br;q=0.25, gzip;q=0.255",
     "gzip br zstd identity "},
    {"identity may be liked best", "Accept-Encoding: identity, br;q=0.5", "identity br "},
    {"identity excluded", "Accept-Encoding: br, identity;q=0", "br "},
    {"identity excluded by '*'", "Accept-Encoding: br, *;q=0", "br "},
    {"everything excluded", "Accept-Encoding: *;q=0", ""},
    {"RFC 9110, 12.4.2: a weight of 0 is 'not acceptable'", "Accept-Encoding: br;q=0, *;q=0.5",
     "zstd gzip identity "},
    {"q=0.000 too", "Accept-Encoding: br;q=0.000, gzip", "gzip identity "},
    {"RFC 9110, 8.4: coding values are case-insensitive", "Accept-Encoding: GZip;Q=1",
     "gzip identity "},
    {"RFC 9110, 8.4.1.3: x-gzip is gzip", "Accept-Encoding: x-gzip", "gzip identity "},
    {"white space and empty elements", "Accept-Encoding: ,\t br ; q=1 ,, gzip",
     "br gzip identity "},
    {"several fields are one list", "Accept-Encoding: br\nX: y\nAccept-Encoding: gzip",
     "br gzip identity "},
    {"malformed weights", "Accept-Encoding: br;q=2, gzip;q=1.001, zstd;q=", "identity "},
    {"malformed weights", "Accept-Encoding: br;q=0.1234, gzip;q=.5, zstd;q=0,5", "identity "},
    {"a malformed member spoils no other", "Accept-Encoding: br;q, gzip", "gzip identity "},
    {"a longer name", "Accept-Encoding: brx, gzipp, xgzip", "identity "},
};

static void test_order(void **state) {
    (void)state;
    static const q5_coding offered[] = {Q5_CODING_ZSTD, Q5_CODING_BR, Q5_CODING_GZIP,
                                        Q5_CODING_IDENTITY};
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_head head;
        head_from_lines(&head, Q5_METHOD_GET, rows[i].lines);
        q5_accept_encoding accept;
        q5_accept_encoding_read(&head, &accept);
        q5_coding order[Q5_CODING_COUNT];
        size_t count = q5_accept_encoding_order(&accept, offered, 4, order);
        char got[64] = "";
        for (size_t k = 0; k < count; k++) {
            strcat(got, q5_coding_name(order[k]));
            strcat(got, " ");
        }
        if (strcmp(got, rows[i].order) != 0) fail_msg("%s: %s", rows[i].why, got);
    }
}

static void test_only_what_is_offered(void **state) {
    (void)state;
    q5_accept_encoding accept;
    q5_accept_encoding_parse(Q5_LIT("br, gzip"), &accept);
    const q5_coding offered[] = {Q5_CODING_GZIP, Q5_CODING_ZSTD};
    q5_coding order[Q5_CODING_COUNT];
    assert_int_equal(q5_accept_encoding_order(&accept, offered, 2, order), 1);
    assert_int_equal(order[0], Q5_CODING_GZIP);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_only_what_is_offered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
